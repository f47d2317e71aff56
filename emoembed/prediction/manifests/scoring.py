"""Score a whole manifest row by row, write the rows as they come, and resume after an interruption.

The rows go to a temporary file `NAME.part` next to the output. `NAME.part.json` records how many rows are safely on
disk, and a fingerprint of manifest, model and options. A run with the same fingerprint resumes there and writes the
same table, byte for byte. Rows with sound or faces are scored one by one. Texts are scored in batches with fixed
boundaries. So no score depends on where a run was stopped.

Examples:
    >>> from pathlib import Path
    >>> from tempfile import mkdtemp
    >>> import emoembed, pandas as pd
    >>> from emoembed.prediction.manifests.scoring import predict_manifest
    >>> folder = Path(mkdtemp())
    >>> pd.DataFrame({"text": ["We made it!", "How dare you!"]}).to_csv(folder / "texts.csv", index=False)
    >>> summary = predict_manifest(
    ...     emoembed.load("base"), folder / "texts.csv", ["joy", "anger"], folder / "scores.csv"
    ... )
    >>> summary.rows, summary.failures, list(pd.read_csv(folder / "scores.csv")["label"])
    (2, {}, ['joy', 'anger'])
"""

from __future__ import annotations

import contextlib
import hashlib
import math
import os
from collections.abc import Callable, Collection, Generator, Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any, Unpack

import numpy as np
import pandas as pd

import emoembed
from emoembed.cache import content_of, tensors_of
from emoembed.corpora import manifest, places, table_files
from emoembed.corpora.corpus import COLUMNS, Corpus
from emoembed.corpora.tables import require_output
from emoembed.errors import InputError, LabelError
from emoembed.features import addresses
from emoembed.features.workers import Workers, require_workers
from emoembed.labels.emotion import Labels, resolve
from emoembed.model.model import EmotionModel
from emoembed.prediction.arguments import ManifestOptions, Options, options_of
from emoembed.prediction.dialogue.result import TurnResult
from emoembed.prediction.dialogue.rows import score_dialogues
from emoembed.prediction.manifests.batches import Batching, join_reasons, score_batches
from emoembed.prediction.manifests.resumable_table import ResumableTable, Summary
from emoembed.prediction.progress import Progress
from emoembed.prediction.recognizer import Recognizer
from emoembed.prediction.result import Result
from emoembed.reading.sources import as_corpus, present_modalities, sources_of, usable_modalities
from emoembed.reading.turns import dialogue_rows

RESULT_COLUMNS = ("label", "confidence", "notes", "absent")
"""Output columns after those of the manifest and before the modality weights and the label scores."""
DIALOGUE_COLUMNS = ("label_alone", "context_turns")
"""Output columns after the modality weights, if rows are scored in the context of their dialogues."""


def predict_manifest(
    recognizer: Recognizer,
    source: Corpus | str | Path,
    labels: Labels | None,
    output: str | Path,
    *,
    context: bool | float = False,
    progress: bool = False,
    **options: Unpack[ManifestOptions],
) -> Summary:
    """Score every row of a manifest and write a table.

    The table has the columns of the manifest, then `label`, `confidence`, `notes` and `absent` (why a modality could
    not be used), a weight for each modality such as `weight_text`, a score for each label, and `error`. A column of
    the manifest with one of these names is renamed to `input_NAME`. With `context`, the table also has `label_alone`
    and `context_turns`. The target of a symbolic link is written.

    Args:
        recognizer: the recognizer that scores. Modalities that it does not read are ignored.
        source: path or address of a manifest, a folder of tables, or a corpus.
        labels: as in `predict`.
        output: a `.csv`, `.tsv`, `.jsonl`, `.parquet` or `.xlsx` file; `NAME.part` until all rows are written.
        context: True scores the rows that name a `dialogue` in the context of its earlier turns
            (`predict_dialogue`), in the order of the column `turn`, or else of `start`. A number sets the strength. By
            default each row is scored alone.
        progress: show progress on stderr: a bar, or without a terminal a line every 30 seconds.
        options: `columns` names columns of the manifest that have other names, such as `{"text": "Q5"}`. `multi_label`
            and `abstain`, as in `predict`; a row on which the model abstains has no label. `batch_size` is the number
            of texts per batch, by default 32. `workers` is the number of processes, by default 1; None chooses it;
            `emoembed.interfaces.scale.Ray()` scores on several machines. With several, scores differ by at most 1e-6,
            and a script needs `if __name__ == "__main__":` before its first call.

    Returns:
        A summary. A row that fails has its reason in the column `error` and in `failures`; the other rows are scored.

    Raises:
        LabelError: a label is not valid, or has the name of an output column.
        InputError: the model reads none of the manifest's modalities, an option has a wrong value, or the dialogues
            that `context` needs are missing or have a `turn` twice.
        OutputError: the table cannot be written, or another process is writing it.
    """
    require_output(output, source)
    columns = options.get("columns") or {}
    checked = options_of({name: value for name, value in options.items() if name not in ("workers", "columns")})
    corpus, names = as_corpus(source, annotated=False, columns=columns), check_labels(recognizer, labels)
    modalities = usable_modalities(recognizer.model, corpus, present_modalities(corpus))
    workers = workers_for(options.get("workers", 1), recognizer, corpus, modalities, context)
    batching = Batching(checked.batch_size, workers)
    score = _scorer(recognizer, corpus, modalities, asked_of(labels, checked), batching, context)
    result_columns = [*columns_of_results(modalities, names, context is not False), "error"]
    input_columns = _input_columns(corpus, source, set(result_columns), new_id="id" in columns)
    made_from = fingerprint(recognizer, corpus, labels, names, (checked, context), input_columns)
    with ResumableTable(Path(os.path.realpath(output)), [*input_columns, *result_columns], made_from) as table:
        bar_of_rows = Progress(len(corpus.samples), corpus.name, shown=progress, begin=table.rows)
        with closing(score(table.rows)) as scored, bar_of_rows as bar:
            for first, results in scored:
                for position, (result, failure) in enumerate(results, first):
                    table.write([*_cells(input_columns, position), *result_cells(result, modalities, names), failure])
                bar.to(table.flush(first + len(results)))
        return table.finish(list(corpus.samples["id"]))


def backend_of(model: EmotionModel) -> str:
    """The backend of a model's text encoder: `torch`, or the name of a file for ONNX Runtime."""
    return getattr(model.modality("text").encoder, "backend", "torch") if "text" in model.modalities else "torch"


def asked_of(labels: Labels | None, options: Options) -> dict[str, Any]:
    """Arguments of `Recognizer.predict` for all rows."""
    return {"labels": labels, "multi_label": options.multi_label, "abstain": options.abstain}


def workers_for(
    workers: Workers | None, recognizer: Recognizer, corpus: Corpus, modalities: Sequence[str], context: bool | float
) -> Workers:
    """The number of processes for the rows of a corpus. Dialogues and rows on a GPU are scored by one process.

    Raises:
        InputError: it is not a whole number of at least 1; or there are several, for dialogues or on a GPU.
    """
    if workers is not None and not isinstance(workers, int) and backend_of(recognizer.model) != "torch":
        raise InputError("a cluster computes with torch; leave out the backend")
    device = next(recognizer.model.parameters()).device.type
    if context is not False or device != "cpu":
        if workers is not None and require_workers(workers) != 1:
            place = f"on the device {device}" if context is False else "in the context of their dialogues"
            raise InputError(f"rows are scored by one process {place}; given workers={workers}")
        return 1
    media = sum(int(corpus.samples[name].notna().sum()) for name in modalities if name != "text")
    return require_workers(workers, len(corpus.samples) - min(media, len(corpus.samples)), media)


def _scorer(
    recognizer: Recognizer,
    corpus: Corpus,
    modalities: Sequence[str],
    predict_options: Mapping[str, Any],
    batching: Batching,
    context: bool | float,
) -> Callable[[int], Generator[tuple[int, Sequence[tuple[Result, str]]]]]:
    """A function that scores the rows from a position on. A wrong option fails here, not in every row."""
    rows = sources_of(corpus, modalities)
    if context is False:
        recognizer.risk(predict_options["abstain"], modalities)
        return lambda begin: score_batches(recognizer, rows, predict_options, batching, begin)
    options = {**predict_options} if context is True else {**predict_options, "strength": context}
    recognizer.dialogue(**options)
    groups = dialogue_rows(corpus)
    speakers = list(corpus.samples["speaker"])
    return lambda begin: score_dialogues(recognizer, groups, rows, speakers, options, batching.size, begin)


def score_rows(
    recognizer: Recognizer,
    corpus: Corpus,
    usable: Sequence[str],
    predict_options: Mapping[str, Any],
    *,
    batching: Batching,
    context: bool | float = False,
    progress: bool = False,
) -> tuple[dict[str, Result], Summary]:
    """Score all rows in memory. Returns id -> result, and a summary; failed rows are only in the summary.

    `predict_options` has the `labels` and `multi_label` of `predict`.
    """
    rows = sources_of(corpus, usable)
    score = _scorer(recognizer, corpus, usable, {"abstain": False, **predict_options}, batching, context)
    results: dict[str, Result] = {}
    failures: dict[str, str] = {}
    absent: dict[str, str] = {}
    with Progress(len(rows), corpus.name, shown=progress) as bar:
        for first, batch in score(0):
            for (item, _), (result, failure) in zip(rows[first : first + len(batch)], batch, strict=True):
                if failure:
                    failures[item] = failure
                    continue
                results[item] = result
                if result.absent:
                    absent[item] = join_reasons(result.absent)
            bar.to(first + len(batch))
    return results, Summary(len(rows), failures, absent)


def _cells(columns: Mapping[str, pd.Series], position: int) -> list[Any]:
    """The cells of a row of the manifest."""
    return [_plain_value(column.iloc[position]) for column in columns.values()]


def result_cells(result: Result, usable: Sequence[str], names: Sequence[str]) -> list[Any]:
    """The cells of a result, between those of the manifest and the error."""
    weights = [result.modalities[name].weight if name in result.modalities else None for name in usable]
    scores = [result.scores.get(label) for label in names]
    notes = "; ".join(f"{note.modality} {note.code}: {note.text}" for note in result.notes)
    confidence = None if math.isnan(result.confidence) else result.confidence
    absent = join_reasons(result.absent) if result.scores else ""
    context = [result.alone.label, result.context_turns] if isinstance(result, TurnResult) else []
    return [result.label, confidence, notes, absent, *weights, *context, *scores]


def check_labels(recognizer: Recognizer, labels: Labels | None) -> tuple[str, ...]:
    """Compute a point for every label, so that a wrong label fails once and not in every row. Returns the names."""
    import torch

    if labels is None and not recognizer.labels:
        raise LabelError("this checkpoint names no default labels; give labels=['joy', 'anger']")
    requested_labels = recognizer.labels if labels is None else labels
    with torch.inference_mode():
        recognizer.model.label_points(requested_labels)
    return tuple(resolve(requested_labels))


def columns_of_results(modalities: Sequence[str], names: Sequence[str], context: bool) -> list[str]:
    """The columns of the results. Raises LabelError if a label has the name of one of the others."""
    columns = [*RESULT_COLUMNS, *(f"weight_{name}" for name in modalities), *(DIALOGUE_COLUMNS if context else ())]
    clashing_names = {"id", "error", *columns} & set(names)
    if clashing_names:
        raise LabelError(f"label {clashing_names.pop()!r} is a column of the output itself; use another spelling")
    return [*columns, *names]


def _input_columns(
    corpus: Corpus, source: Corpus | str | Path, reserved_names: set[str], *, new_id: bool
) -> dict[str, pd.Series]:
    """The columns of the manifest with their own names, `id` first. For a corpus, the columns that are not empty.

    With `new_id`, the ids come from another column than `id`, which becomes `input_id`.
    """
    if isinstance(source, Corpus):
        samples = corpus.samples
        table = samples[[name for name in samples if name not in COLUMNS or _has_values(name, samples[name])]]
    else:
        table = places.read_tables(source)[0] if places.is_place(source) else table_files.read_table(Path(source), ())
        table = table.rename(columns={"id": "input_id"}) if new_id else table
        table = table if "id" in table else table.assign(id=list(corpus.samples["id"]))
    names = ["id", *(name for name in map(str, table) if name != "id")]
    return {new_name: table[name] for name, new_name in zip(names, renamed(names, reserved_names), strict=True)}


def renamed(names: Sequence[str], reserved: Collection[str]) -> list[str]:
    """The columns of a manifest as the output names them: `input_NAME` for a name that a result has."""
    new_names = []
    for name in names:
        new_name = name
        while new_name in reserved or (new_name != name and new_name in names):
            new_name = f"input_{new_name}"
        new_names.append(new_name)
    return new_names


def _has_values(name: str, column: pd.Series) -> bool:
    """Whether a column of a corpus has values. A split column with only `train` is the default and has none."""
    if name == "split" and set(column) == {"train"}:
        return False
    return bool(column.map(lambda cell: cell != () and not table_files.is_missing(cell)).any())


def _plain_value(cell: Any) -> Any:
    """A cell as a value for JSON and CSV: lists are joined, missing values become None."""
    if isinstance(cell, list | tuple) or (np.ndim(cell) > 0):
        return manifest.SEPARATOR.join(map(str, cell))
    if table_files.is_missing(cell):
        return None
    cell = cell.item() if hasattr(cell, "item") else cell
    return cell if isinstance(cell, str | int | float | bool) else str(cell)


def fingerprint(
    recognizer: Recognizer,
    corpus: Corpus,
    labels: Labels | None,
    names: Sequence[str],
    settings: object,
    carried: Mapping[str, pd.Series],
) -> str:
    """A hash of everything that the output depends on: rows, media files, model and options."""
    label_descriptions = repr(resolve(recognizer.labels if labels is None else labels))
    model = recognizer.model
    digest = hashlib.sha256()
    rows = ([_plain_value(cell) for cell in row] for row in corpus.samples.itertuples(index=False))
    for part in (
        emoembed.__version__,
        label_descriptions,
        tuple(names),
        settings,
        list(carried),
        model.config.to_dict(),
        model.state.to_dict(),
        backend_of(model),
        *(("bf16",) if model.bf16 else ()),
    ):
        digest.update(repr(part).encode("utf-8", "replace"))
    for row in rows:
        digest.update(repr(row).encode("utf-8", "replace"))
    for path in sorted({*corpus.samples["audio"].dropna(), *corpus.samples["video"].dropna()}):
        with contextlib.suppress(OSError, ValueError):  # a file that cannot be read fails in its row
            if addresses.is_address(path):
                digest.update(f"{path} {addresses.state_of(path)}".encode("utf-8", "replace"))
                continue
            state = os.stat(path)
            digest.update(f"{path} {state.st_size} {state.st_mtime_ns}".encode("utf-8", "replace"))
    digest.update(content_of(tensors_of(model)).encode())
    return digest.hexdigest()
