"""Rows scored in parts: each process reads a part of the manifest and writes its scores as a separate Parquet file.

So no single process reads all rows or writes all scores. The manifest may be a folder of Parquet files or an address
such as `s3://bucket/calls`, and so may the output. A part that is scored again, for example because its machine was
lost, replaces the file of the same name, so each row is in the output once. A run resumes by the files that are there.
"""

from __future__ import annotations

import hashlib
import io
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Unpack

import emoembed
from emoembed.cache import content_of, tensors_of
from emoembed.corpora import manifest
from emoembed.corpora.corpus import Corpus
from emoembed.errors import InputError, OutputError
from emoembed.features import addresses
from emoembed.features.atomic import write_file
from emoembed.features.workers import Workers, in_order, require_workers
from emoembed.labels.emotion import Labels, resolve
from emoembed.prediction.arguments import ManifestOptions, options_of
from emoembed.prediction.manifests.batches import (
    Batching,
    Scored,
    loaded_recognizer,
    preparation,
    score_batches,
    stopped,
)
from emoembed.prediction.manifests.part_reader import Part, Source, open_source, read_part
from emoembed.prediction.manifests.resumable_table import Summary, summary_of
from emoembed.prediction.manifests.scoring import (
    asked_of,
    backend_of,
    check_labels,
    columns_of_results,
    renamed,
    result_cells,
)
from emoembed.prediction.progress import Progress
from emoembed.prediction.recognizer import Recognizer
from emoembed.reading.sources import RowSources, sources_of

if TYPE_CHECKING:
    import pyarrow

ROWS_OF_PART = 1000
"""Rows of a part. With fewer rows, the loss of a machine costs less; with more rows, there are fewer files."""
MADE_FROM = "_emoembed.json"
"""File in the output that tells what the scores depend on. Readers of Parquet folders skip names with `_`."""
TEXTS = ("label", "notes", "absent", "label_alone", "error")
"""Result columns that are texts; the others are numbers."""


@dataclass(frozen=True)
class Job:
    """Everything that a process needs to score a part, besides the recognizer.

    Attributes:
        place, folder, schema: of the manifest; see `part_reader.Source`.
        output: folder or address of the scores.
        modalities: the modalities that are scored.
        names: the labels.
        options: arguments of `Recognizer.predict`.
        batch_size: number of texts per batch.
        columns: columns of the manifest that have other names.
    """

    place: str
    folder: str
    schema: pyarrow.Schema
    output: str
    modalities: tuple[str, ...]
    names: tuple[str, ...]
    options: Mapping[str, Any]
    batch_size: int
    columns: Mapping[str, str]


def is_folder_of_parts(output: str | Path) -> bool:
    """Whether this output gets parts: it is an address, a folder that exists, or a name that ends in `/`."""
    return addresses.is_address(output) or str(output).endswith(("/", os.sep)) or os.path.isdir(output)


def predict_parts(
    recognizer: Recognizer,
    source: Corpus | str | Path,
    labels: Labels | None,
    output: str | Path,
    *,
    rows_of_part: int = ROWS_OF_PART,
    progress: bool = False,
    **options: Unpack[ManifestOptions],
) -> Summary:
    """Score the rows of a manifest in parts, and write them to a folder of Parquet files.

    The rows have the columns of `predict_manifest`, in the order of the manifest, and so have the files. Rows are not
    scored in the context of dialogues.

    Args:
        recognizer, labels: as in `predict_manifest`.
        source: a manifest, a folder of tables, their address, or a corpus. Rows of Parquet are read by the process that
            scores them.
        output: a folder or an address. If it has parts of a former run with the same input, only the others are scored.
        rows_of_part: number of rows that are scored and written together, at most.
        progress: show progress on stderr.
        options: as in `predict_manifest`. `workers` is also 1 by default; the rows are then scored by one other
            process.

    Raises:
        InputError: the model reads none of the manifest's modalities, or an option has a wrong value.
        CorpusError: the manifest cannot be read, or two rows have the same id.
        OutputError: the output cannot be written, or has the scores of another run.
    """
    if isinstance(rows_of_part, bool) or not isinstance(rows_of_part, int) or rows_of_part < 1:
        raise InputError(f"a part has a whole number of rows, at least 1; given {rows_of_part!r:.40}")
    columns = options.get("columns") or {}
    opened = open_source(source, columns.get("id", "id"))
    job = _job_of(recognizer, opened, labels, str(output), options)
    workers = require_workers(options.get("workers", 1), texts=opened.rows)
    require_cpu_and_torch(recognizer, workers)
    made_from = _fingerprint(recognizer, job, labels, (opened.state, rows_of_part))
    present = _claim(job.output, made_from)
    plan = list(opened.parts(rows_of_part))
    missing = (opened.with_rows(part) for part in plan if part.name not in present)
    done = resumed = sum(part.count for part in plan if part.name in present)
    if done == opened.rows:
        return summary_of(_written_rows(job.output), resumed)
    setup = preparation(recognizer, workers)
    lost: list[Part] = []
    with Progress(opened.rows, Path(job.place).name, shown=progress, begin=resumed) as bar:
        answers: Iterator[int | Part] = in_order(partial(write_part, job), missing, workers, lambda part: part, *setup)
        for answer in answers:
            if isinstance(answer, Part):
                lost.append(answer)
            else:
                bar.to(done := done + answer)
        for part in lost:  # a row of it stops its process, so its rows are scored one by one
            rows = in_order(partial(score_part, job), part.single_rows(), workers, partial(_failed, job), *setup)
            _write(job.output, part.name, list(rows))
            bar.to(done := done + part.count)
    return summary_of(_written_rows(job.output), resumed)


def require_cpu_and_torch(recognizer: Recognizer, workers: Workers) -> None:
    """Raise InputError if the model uses a GPU or ONNX Runtime, because the other processes would use neither."""
    device = next(recognizer.model.parameters()).device.type
    if device != "cpu":
        raise InputError(f"parts are scored by other processes; to use their GPUs, give gpus to Ray, not {device} here")
    if not isinstance(workers, int) and backend_of(recognizer.model) != "torch":
        raise InputError("a cluster computes with torch; leave out the backend")


def _job_of(
    recognizer: Recognizer, opened: Source, labels: Labels | None, output: str, options: ManifestOptions
) -> Job:
    """Check what is asked for. Raises as `predict_parts`."""
    columns = options.get("columns") or {}
    checked = options_of({name: value for name, value in options.items() if name not in ("workers", "columns")})
    names, asked = check_labels(recognizer, labels), asked_of(labels, checked)
    present = {*columns, *(opened.schema.names)}
    modalities = tuple(name for name in recognizer.model.modalities if name in present)
    if not modalities:
        raise InputError(
            f"{opened.place} has the columns {', '.join(opened.schema.names)}; this model reads "
            f"{', '.join(recognizer.model.modalities)}"
        )
    columns_of_results(modalities, names, False)  # raises if a label has the name of a column
    recognizer.risk(asked["abstain"], modalities)
    place = opened.place, opened.folder, opened.schema
    return Job(*place, output, modalities, names, asked, checked.batch_size, dict(columns))


def _fingerprint(recognizer: Recognizer, job: Job, labels: Labels | None, state: object) -> str:
    """A hash of everything that the scores depend on, except the content of media files."""
    model = recognizer.model
    digest = hashlib.sha256(content_of(tensors_of(model)).encode())
    described = repr(resolve(recognizer.labels if labels is None else labels))
    settings = job.place, job.modalities, job.names, dict(job.options), job.batch_size, job.columns, model.bf16
    for part in (emoembed.__version__, described, settings, state, model.config.to_dict(), model.state.to_dict()):
        digest.update(repr(part).encode("utf-8", "replace"))
    return digest.hexdigest()


def _claim(output: str, made_from: str) -> set[str]:
    """Create the output folder, and find the parts that are there. Raises OutputError if they are of another run."""
    from pyarrow.fs import FileType

    system, path = addresses.located(output)
    try:
        system.create_dir(path, recursive=True)
        marker = f"{path}/{MADE_FROM}"
        present = {info.base_name for info in addresses.files_in(output)}
        if system.get_file_info(marker).type == FileType.File:
            with system.open_input_file(marker) as file:
                known = file.read().decode("utf-8", "replace")
        else:
            known = "" if present else made_from
    except OSError as error:
        raise OutputError(f"{output} cannot be written: {error}") from error
    if known != made_from:
        raise OutputError(
            f"{output} has other files, or the scores of another manifest, model or settings; give another folder, or "
            "delete it"
        )
    _write_bytes(output, MADE_FROM, made_from.encode())
    return present


def write_part(job: Job, part: Part) -> int:
    """Score a part and write its file. Returns the number of rows."""
    _write(job.output, part.name, [score_part(job, part)])
    return part.count


def score_part(job: Job, part: Part) -> pyarrow.Table:
    """The rows of a part with their scores."""
    rows, sources = _rows_of(job, part)
    scored = score_batches(loaded_recognizer(), sources, job.options, Batching(job.batch_size), 0)
    return _with_results(job, rows, [row for _, batch in scored for row in batch])


def _failed(job: Job, part: Part) -> pyarrow.Table:
    """The rows of a part that stopped its process."""
    rows, sources = _rows_of(job, part)
    return _with_results(job, rows, stopped(sources[:]))


def _rows_of(job: Job, part: Part) -> tuple[pyarrow.Table, RowSources]:
    """The rows of a part, with an id for each, and what is scored in them."""
    import pyarrow

    rows = read_part(job.place, job.schema, part)
    frame = manifest.with_names(rows.to_pandas(ignore_metadata=True).astype(object), job.columns, job.place)
    if "id" not in frame:
        frame = frame.assign(id=[str(row) for row in range(part.first + 1, part.first + part.count + 1)])
    corpus = manifest.of_table(frame, Path(job.place), job.folder, annotated=False)
    ids = pyarrow.array(corpus.samples["id"], pyarrow.string())
    kept = rows.drop_columns(["id"]) if "id" in rows.column_names and "id" not in job.columns else rows
    names = renamed(kept.column_names, {"id", *_result_kinds(job)})
    return kept.rename_columns(names).add_column(0, "id", ids), sources_of(corpus, job.modalities)


def _result_kinds(job: Job) -> dict[str, str]:
    """The columns of the results, and whether each has texts or numbers."""
    names = [*columns_of_results(job.modalities, job.names, False), "error"]
    return {name: "string" if name in TEXTS else "double" for name in names}


def _with_results(job: Job, rows: pyarrow.Table, scored: Scored) -> pyarrow.Table:
    import pyarrow

    cells = [[*result_cells(result, job.modalities, job.names), failure] for result, failure in scored]
    for (name, kind), column in zip(_result_kinds(job).items(), zip(*cells, strict=True), strict=True):
        rows = rows.append_column(name, pyarrow.array(column, pyarrow.type_for_alias(kind)))
    return rows


def _write(output: str, name: str, tables: list[pyarrow.Table]) -> None:
    import pyarrow
    import pyarrow.parquet

    out = io.BytesIO()
    pyarrow.parquet.write_table(pyarrow.concat_tables(tables), out)
    _write_bytes(output, name, out.getvalue())


def _write_bytes(output: str, name: str, content: bytes) -> None:
    """Write a complete file or nothing. Stores such as S3 show a file only when it is complete."""
    from pyarrow.fs import LocalFileSystem

    system, path = addresses.located(output)
    if isinstance(system, LocalFileSystem):
        write_file(Path(path, name), content)
        return
    try:
        with system.open_output_stream(f"{path}/{name}") as file:
            file.write(content)
    except OSError as error:
        raise OutputError(f"{output}/{name} cannot be written: {error}") from error


def _written_rows(output: str) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """The id of each row in the output, and the cells that a summary reads."""
    import pyarrow.parquet

    system, _ = addresses.located(output)
    for info in addresses.files_in(output):
        columns = ["id", "error", "absent", "confidence", "label", "notes"]
        for row in pyarrow.parquet.read_table(info.path, filesystem=system, columns=columns).to_pylist():
            yield row["id"], row
