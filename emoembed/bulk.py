"""Whole manifests: predict their rows, extract their features, attune or adapt to them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from emoembed import attune, checkpoint, extraction, media
from emoembed.corpora import manifest
from emoembed.corpora.corpus import Corpus
from emoembed.errors import EmoembedError, InputError, LabelError, MediaError, MissingFileError
from emoembed.extraction import Span
from emoembed.features import audio
from emoembed.features.store import FeatureStore
from emoembed.labels import resolve
from emoembed.model import Batch
from emoembed.model_config import MODALITIES
from emoembed.recognizer import Labels, Recognizer, Result
from emoembed.table_files import predictions_table, read_support, require_output, write_table

Source = str | Span | None
"""What a row has of a modality: a text, or a part of a media file."""


@dataclass(frozen=True)
class Summary:
    """What became of the rows: how many there were, which failed, which lacked a modality; each with the reason."""

    rows: int
    failures: dict[str, str]
    absent: dict[str, str] = field(default_factory=dict)


def predict_manifest(
    recognizer: Recognizer,
    source: Corpus | str | Path,
    labels: Labels | None,
    output: str | Path,
    *,
    multi_label: bool = False,
    abstain: bool | float = False,
    batch_size: int = 32,
    progress: bool = False,
) -> Summary:
    """Score every row of a manifest and write a table: `id`, `label`, a column per label's score, `error`.

    Args:
        recognizer: whose modalities are read; the manifest's others are left aside.
        source: a manifest's path, or a corpus.
        labels: as `predict` takes them.
        output: `.csv`, `.jsonl` or `.parquet`; written whole or not at all, after the last row.
        multi_label, abstain: as `predict` takes them; a row that is not answered has no label.
        batch_size: rows a call; a batch that fails is done again row by row.
        progress: show a bar.

    Returns:
        Summary; a row that fails has its reason in `error` there and in `failures` here, and stops nothing.
    """
    require_output(output, source)
    corpus = as_corpus(source)
    names = _names(recognizer, labels)
    clashing = {"id", "label", "error"} & set(names)
    if clashing:
        raise LabelError(f"label {clashing.pop()!r} is a column of the output itself; spell it in another way")
    usable = usable_modalities(recognizer, corpus, present_modalities(corpus))
    recognizer.risk(abstain, usable)  # a bad one is not every row's failure
    results, summary = score_rows(recognizer, corpus, usable, labels, multi_label, batch_size, progress, abstain)
    write_table(predictions_table(corpus, results, summary.failures, names), output)
    return summary


def extract_features(
    source: Corpus | str | Path, modality: str, folder: str | Path, *, dtype: str = "float32", progress: bool = False
) -> FeatureStore:
    """The features of a manifest's `audio` or `video` as a store; `start` and `end` cut out a part of a file.

    Raises:
        InputError: no row has the modality, or no row of it can be read.
    """
    corpus = as_corpus(source)
    if modality not in ("audio", "video"):
        raise InputError(f"features are extracted of audio or video; given {modality!r}")
    if modality not in present_modalities(corpus):
        raise InputError(
            f"{corpus.name} has no {modality}; it has {', '.join(present_modalities(corpus)) or 'nothing'}"
        )
    return extraction.extract_features(corpus, modality, folder, dtype=dtype, progress=progress)


def adapt_table(
    recognizer: Recognizer, support: str | Path, output: str | Path, labels: Labels | None = None, **settings: Any
) -> Recognizer:
    """`Recognizer.adapt` to the rows of a CSV, JSONL or Parquet file, and the result saved as a checkpoint.

    `settings` are its `steps` and `max_harm`.
    """
    checkpoint.require_own_folder(output)
    adapted = recognizer.adapt(read_support(support), labels, **settings)
    adapted.save_pretrained(output)
    return adapted


def attune_manifest(
    recognizer: Recognizer, source: Corpus | str | Path, output: str | Path
) -> tuple[Recognizer, dict[str, str]]:
    """`Recognizer.attune` to a manifest's sound and faces, no label read, and the result saved as a checkpoint.

    Returns:
        The new recognizer, and why rows were left out, by id.
    """
    checkpoint.require_own_folder(output)
    corpus = as_corpus(source)
    present = present_modalities(corpus)
    offered = [name for name in present if name in attune.MODALITIES]
    if present and not offered:
        raise InputError(
            f"attuning needs {' or '.join(attune.MODALITIES)}; {corpus.name} has {', '.join(present)} alone"
        )
    usable = usable_modalities(recognizer, corpus, offered)
    failures: dict[str, str] = {}

    def batches() -> Iterator[Batch]:
        for item, sources in _sources(corpus, usable):
            for name, given in sources.items():
                try:
                    if given is not None:
                        reading = media.read(recognizer.model, name, input_of(name, given))
                        yield recognizer.batch_of([{name: reading}])
                except EmoembedError as error:
                    failures[item] = str(error)

    try:
        attuned = Recognizer(attune.attune(recognizer.model, batches()), recognizer.folder)
    except InputError as error:
        if not failures:
            raise
        item, why = next(iter(failures.items()))
        raise InputError(f"{error}; {item}: {why}") from error
    attuned.save_pretrained(output)
    return attuned, failures


def as_corpus(source: Corpus | str | Path) -> Corpus:
    """A corpus as given, or a manifest read from its path."""
    return source if isinstance(source, Corpus) else manifest.read(source)


def present_modalities(corpus: Corpus) -> tuple[str, ...]:
    """The modalities that any row has."""
    return tuple(name for name in MODALITIES if corpus.samples[name].notna().any())


def usable_modalities(recognizer: Recognizer, corpus: Corpus, offered: Sequence[str]) -> tuple[str, ...]:
    """Of the modalities offered, those the model reads. Raises InputError where there is none."""
    usable = tuple(name for name in offered if name in recognizer.model.modalities)
    if not usable:
        if corpus.samples.empty:
            raise InputError(f"{corpus.name} has no rows")
        have, read = ", ".join(offered) or "no text, audio or video", ", ".join(recognizer.model.modalities)
        raise InputError(f"{corpus.name} has {have}; this model reads {read}")
    return usable


def score_rows(
    recognizer: Recognizer,
    corpus: Corpus,
    usable: Sequence[str],
    labels: Labels | None,
    multi_label: bool,
    batch_size: int,
    progress: bool,
    abstain: bool | float = False,
) -> tuple[dict[str, Result], Summary]:
    """Results by id. A batch that fails is done again row by row, so that only the rows at fault are lost."""
    if batch_size < 1:
        raise InputError(f"batch_size >= 1 is needed; given {batch_size}")
    rows = _sources(corpus, usable)
    results: dict[str, Result] = {}
    failures: dict[str, str] = {}
    absent: dict[str, str] = {}
    for start in _bar(range(0, len(rows), batch_size), progress, corpus.name):
        batch = rows[start : start + batch_size]
        try:
            answers = _predict(recognizer, batch, labels, multi_label, abstain)
        except Exception:  # whatever it was, it comes again with the row at fault, and is kept there
            answers = []
            for item, sources in batch:
                try:
                    answers += _predict(recognizer, [(item, sources)], labels, multi_label, abstain)
                except Exception as error:
                    own = isinstance(error, EmoembedError)
                    failures[item] = str(error) if own else f"{type(error).__name__}: {error}"
        for item, result, missing in answers:
            results[item] = result
            if missing:
                absent[item] = "; ".join(f"{name}: {reason}" for name, reason in missing.items())
    return results, Summary(len(rows), failures, absent)


def _names(recognizer: Recognizer, labels: Labels | None) -> tuple[str, ...]:
    """The labels' names, once each is known to have a point, so that a bad one is not every row's failure."""
    if labels is None and not recognizer.labels:
        raise LabelError("this checkpoint names no default labels; give labels=['joy', 'anger']")
    wanted = recognizer.labels if labels is None else labels
    with torch.inference_mode():
        recognizer.model.label_points(wanted)
    return tuple(resolve(wanted))


def _sources(corpus: Corpus, usable: Sequence[str]) -> list[tuple[str, dict[str, Source]]]:
    """Every row's id, and what it has of each usable modality; None where it has nothing."""
    ids = corpus.samples["id"]
    columns: dict[str, Mapping[str, Source]] = {
        name: dict(zip(ids, corpus.samples["text"], strict=True))
        if name == "text"
        else dict(extraction.spans(corpus, name))
        for name in usable
    }
    return [(item, {name: column.get(item) for name, column in columns.items()}) for item in ids]


def _predict(
    recognizer: Recognizer,
    rows: Sequence[tuple[str, dict[str, Source]]],
    labels: Labels | None,
    multi_label: bool,
    abstain: bool | float,
) -> list[tuple[str, Result, dict[str, str]]]:
    """Id, result and why modalities are absent, by row."""
    read = [_read(sources) for _, sources in rows]
    given = {name: [inputs[name] for inputs, _ in read] for name in rows[0][1]}
    options: dict[str, Any] = {"labels": labels, "multi_label": multi_label, "abstain": abstain}
    if len(rows) == 1:  # as a single item its errors do not speak of a position in a list
        results = [recognizer.predict(**{n: v[0] for n, v in given.items()}, **options)]
    else:
        results = recognizer.predict(**{**given, **options})
    return [
        (item, result, {**reasons, **result.absent})
        for (item, _), result, (_, reasons) in zip(rows, results, read, strict=True)
    ]


def _read(sources: Mapping[str, Source]) -> tuple[dict[str, Any], dict[str, str]]:
    """What `predict` takes of a row, None where it has none, and why a part of a file cannot be read."""
    inputs: dict[str, Any] = {}
    errors: dict[str, EmoembedError] = {}
    for name, source in sources.items():
        try:
            inputs[name] = input_of(name, source)
        except (MediaError, MissingFileError) as error:
            inputs[name], errors[name] = None, error
    if errors and all(given is None for given in inputs.values()):
        raise next(iter(errors.values()))
    return inputs, {name: str(error) for name, error in errors.items()}


def input_of(modality: str, source: Source) -> Any:
    """A text or a whole file as it stands, for `predict` to read; a part of a file is cut out here."""
    if source is None or isinstance(source, str):
        return source
    path, start, end, side = source
    if not Path(path).is_file():
        raise MissingFileError(f"no {modality} file at {path}")
    if start is None and end is None and side is None:
        return path
    if modality == "audio":
        return audio.read_audio(path, start=start, end=end, limit=extraction.LOOKED_AT), audio.SAMPLING_RATE
    return extraction.read_span(modality, source)


def _bar(steps: Sequence[int], progress: bool, name: str) -> Any:
    if not progress:
        return steps
    from tqdm import tqdm

    return tqdm(steps, desc=name, unit="batch")
