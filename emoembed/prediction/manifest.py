"""Whole manifests scored row by row, written as they come, and taken up again where a run was stopped.

While a table is written it lies in `NAME.part` beside its place, and `NAME.part.json` says how far it is sure to be
whole and what it is made from: manifest, model, options. Run again with the same, it goes on there, and comes out the
same, to the byte. Rows with sound or faces are scored one by one and texts in batches of fixed places, so that no row's
numbers depend on where a run was stopped.
"""

from __future__ import annotations

import contextlib
import hashlib
import math
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Unpack

import numpy as np
import pandas as pd

import emoembed
from emoembed.cache import content_of, tensors_of
from emoembed.corpora import manifest
from emoembed.corpora.corpus import COLUMNS, Corpus
from emoembed.corpora.tables import require_output
from emoembed.errors import InputError, LabelError
from emoembed.labels.emotion import Labels, resolve
from emoembed.prediction.arguments import AnswerOptions, options_of
from emoembed.prediction.progress import Progress
from emoembed.prediction.recognizer import Recognizer
from emoembed.prediction.result import Result
from emoembed.prediction.resumable_table import FLUSH_ROWS, ResumableTable
from emoembed.reading.sources import Sources, as_corpus, present_modalities, read_row, sources_of, usable_modalities

OWN = ("label", "confidence", "notes", "absent")
"""Columns of the output beside the manifest's, before the modalities' weights and the labels' scores."""


@dataclass(frozen=True)
class Summary:
    """What became of the rows: how many there were, which failed, which lacked a modality; each with the reason."""

    rows: int
    failures: dict[str, str]
    absent: dict[str, str] = field(default_factory=dict)
    resumed: int = 0
    """Rows that an earlier run had scored."""


def predict_manifest(
    recognizer: Recognizer,
    source: Corpus | str | Path,
    labels: Labels | None,
    output: str | Path,
    *,
    batch_size: int = 32,
    progress: bool = False,
    **options: Unpack[AnswerOptions],
) -> Summary:
    """Score every row of a manifest and write a table.

    Its columns are those of the manifest, then `label`, `confidence`, `notes` and `absent` (why a modality could not
    be used), `weight_text` and so on, a column for each label's score, and `error`. A column of the manifest that has
    the name of one of these is called `input_NAME`. A link as output is followed.

    Args:
        recognizer: whose modalities are read; the manifest's others are left aside.
        source: a manifest's path, or a corpus.
        labels: as `predict` takes them.
        output: `.csv`, `.tsv`, `.jsonl`, `.parquet` or `.xlsx`; `NAME.part` until all rows are there.
        batch_size: texts a call.
        progress: show a bar, or where there is no terminal a line every 30 seconds, on stderr.
        options: `multi_label` and `abstain`, as `predict` takes them; a row that is not answered has no label.

    Returns:
        Summary; a row that fails has its reason in `error` there and in `failures` here, and stops nothing.

    Raises:
        OutputError: the table cannot be written, or another process writes it at this moment.
    """
    require_output(output, source)
    multi_label, abstain, _ = options_of(options)
    corpus = as_corpus(source)
    names = _names(recognizer, labels)
    usable = usable_modalities(recognizer.model, corpus, present_modalities(corpus))
    recognizer.risk(abstain, usable)  # a bad one is not every row's failure
    weights = [f"weight_{name}" for name in usable]
    clashing = {"id", "error", *OWN, *weights} & set(names)
    if clashing:
        raise LabelError(f"label {clashing.pop()!r} is a column of the output itself; spell it in another way")
    carried = _carried(corpus, source, {*OWN, *weights, *names, "error"})
    made_from = fingerprint(recognizer, corpus, labels, names, [multi_label, abstain, batch_size], carried)
    asked = {"labels": labels, "multi_label": multi_label, "abstain": abstain}
    columns = [*carried, *OWN, *weights, *names, "error"]
    table = ResumableTable(Path(os.path.realpath(output)), columns, made_from)
    with table:
        rows = sources_of(corpus, usable)
        scored = _scored(recognizer, rows, batch_size, asked, table.rows)
        with Progress(len(rows), corpus.name, shown=progress, begin=table.rows) as shown:
            for first, results in scored:
                for place, (result, failure) in enumerate(results, first):
                    given = [column.iloc[place] for column in carried.values()]
                    table.write([*map(_plain, given), *_cells(result, usable, names), failure])
                table.flush(first + len(results))
                shown.to(first + len(results))
        failures, absent = table.finish(list(corpus.samples["id"]))
    return Summary(len(rows), failures, absent, table.resumed)


def score_rows(
    recognizer: Recognizer,
    corpus: Corpus,
    usable: Sequence[str],
    labels: Labels | None,
    multi_label: bool,
    batch_size: int,
    progress: bool,
) -> tuple[dict[str, Result], Summary]:
    """Results by id, in memory; rows that fail are in the summary alone."""
    rows = sources_of(corpus, usable)
    results: dict[str, Result] = {}
    failures: dict[str, str] = {}
    absent: dict[str, str] = {}
    options = {"labels": labels, "multi_label": multi_label}
    with Progress(len(rows), corpus.name, shown=progress) as shown:
        for first, scored in _scored(recognizer, rows, batch_size, options, 0):
            for (item, _), (result, failure) in zip(rows[first:], scored, strict=False):
                if failure:
                    failures[item] = failure
                    continue
                results[item] = result
                if result.absent:
                    absent[item] = _reasons(result.absent)
            shown.to(first + len(scored))
    return results, Summary(len(rows), failures, absent)


def _scored(
    recognizer: Recognizer, rows: Sequence[tuple[str, Sources]], batch_size: int, options: Mapping[str, Any], begin: int
) -> Iterator[tuple[int, list[tuple[Result, str]]]]:
    """Batches of results, each with the place of its first row; a result without scores has the reason beside it."""
    if batch_size < 1:
        raise InputError(f"batch_size >= 1 is needed; given {batch_size}")
    for first, last in _batches([sources for _, sources in rows], min(batch_size, FLUSH_ROWS)):
        if first < begin:
            continue
        read = [read_row(sources) for _, sources in rows[first:last]]
        given = {name: [inputs[name] for inputs, _ in read] for name in rows[first][1]}
        answers = recognizer.predict(**{**given, **options}, errors="skip")
        scored = []
        for answer, (_, reasons) in zip(answers, read, strict=True):
            missing = {**answer.absent, **reasons}
            reason = next(iter(missing.values()), "") if len(set(missing.values())) < 2 else _reasons(missing)
            scored.append((replace(answer, absent=missing), "" if answer.scores else reason))
        yield first, scored


def _batches(rows: Sequence[Sources], size: int) -> Iterator[tuple[int, int]]:
    """Ranges of rows that are scored together, by the rows alone: texts by so many, a row with media by itself."""
    first = 0
    while first < len(rows):
        last = first + 1
        if _text_alone(rows[first]):
            while last < len(rows) and last - first < size and _text_alone(rows[last]):
                last += 1
        yield first, last
        first = last


def _text_alone(sources: Sources) -> bool:
    return all(given is None for name, given in sources.items() if name != "text")


def _reasons(missing: Mapping[str, str]) -> str:
    return "; ".join(f"{name}: {reason}" for name, reason in missing.items())


def _cells(result: Result, usable: Sequence[str], names: Sequence[str]) -> list[Any]:
    """A result as the cells of its row, between those of the manifest and the error."""
    weights = [result.modalities[name].weight if name in result.modalities else None for name in usable]
    scores = [result.scores.get(label) for label in names]
    notes = "; ".join(f"{note.modality} {note.code}: {note.text}" for note in result.notes)
    confidence = None if math.isnan(result.confidence) else result.confidence
    absent = _reasons(result.absent) if result.scores else ""
    return [result.label, confidence, notes, absent, *weights, *scores]


def _names(recognizer: Recognizer, labels: Labels | None) -> tuple[str, ...]:
    """The labels' names, once each is known to have a point, so that a bad one is not every row's failure."""
    import torch

    if labels is None and not recognizer.labels:
        raise LabelError("this checkpoint names no default labels; give labels=['joy', 'anger']")
    wanted = recognizer.labels if labels is None else labels
    with torch.inference_mode():
        recognizer.model.label_points(wanted)
    return tuple(resolve(wanted))


def _carried(corpus: Corpus, source: Corpus | str | Path, taken: set[str]) -> dict[str, pd.Series]:
    """The manifest's own columns as they stand in it, `id` first; of a corpus those that hold anything."""
    if isinstance(source, Corpus):
        samples = corpus.samples
        table = samples[[name for name in samples if name not in COLUMNS or _holds(name, samples[name])]]
    else:
        table = manifest.read_table(Path(source), ())
        table = table if "id" in table else table.assign(id=list(corpus.samples["id"]))
    own = ["id", *(name for name in map(str, table) if name != "id")]
    carried: dict[str, pd.Series] = {}
    for name in own:
        free = name
        while free in taken or (free != name and free in own):
            free = f"input_{free}"
        carried[free] = table[name]
    return carried


def _holds(name: str, column: pd.Series) -> bool:
    """Whether a column of a corpus says anything; all rows in `train` are rows of which no split was said."""
    if name == "split" and set(column) == {"train"}:
        return False
    return bool(column.map(lambda cell: cell != () and not manifest.is_missing(cell)).any())


def _plain(cell: Any) -> Any:
    """A cell as JSON and CSV have it: labels joined, nothing as None."""
    if isinstance(cell, list | tuple) or (np.ndim(cell) > 0):
        return manifest.SEPARATOR.join(map(str, cell))
    if manifest.is_missing(cell):
        return None
    cell = cell.item() if hasattr(cell, "item") else cell
    return cell if isinstance(cell, str | int | float | bool) else str(cell)


def fingerprint(
    recognizer: Recognizer,
    corpus: Corpus,
    labels: Labels | None,
    names: Sequence[str],
    options: Sequence[Any],
    carried: Mapping[str, pd.Series],
) -> str:
    """What the output is made from: the same for the same rows, model and options."""
    described = repr(resolve(recognizer.labels if labels is None else labels))
    model = recognizer.model
    made_from = hashlib.sha256()
    rows = ([_plain(cell) for cell in row] for row in corpus.samples.itertuples(index=False))
    for part in (
        emoembed.__version__,
        described,
        tuple(names),
        tuple(options),
        list(carried),
        model.config.to_dict(),
        model.state.to_dict(),
    ):
        made_from.update(repr(part).encode("utf-8", "replace"))
    for row in rows:
        made_from.update(repr(row).encode("utf-8", "replace"))
    for path in sorted({*corpus.samples["audio"].dropna(), *corpus.samples["video"].dropna()}):
        with contextlib.suppress(OSError, ValueError):  # what cannot be read says so in its row
            state = os.stat(path)
            made_from.update(f"{path} {state.st_size} {state.st_mtime_ns}".encode("utf-8", "replace"))
    made_from.update(content_of(tensors_of(model)).encode())
    return made_from.hexdigest()
