"""A table that is written row by row and can be resumed after an interruption.

The rows go to a temporary file `NAME.part` next to the output. `NAME.part.json` records how many rows and bytes are
safely on disk, and a fingerprint of the inputs. A run with the same fingerprint resumes after these rows.
"""

from __future__ import annotations

import contextlib
import csv
import io
import json
import math
import os
import statistics
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

import pandas as pd
from filelock import FileLock, Timeout

from emoembed.corpora import table_files
from emoembed.corpora.files import long_cells
from emoembed.errors import EmoembedError, OutputError
from emoembed.features.atomic import write_file

FLUSH_ROWS, FLUSH_SECONDS = 100, 10.0
"""Rows are flushed to disk after this many rows or seconds. A row that takes longer is flushed on its own, and so are
the rows of a larger batch, which are scored together."""


@dataclass(frozen=True)
class Summary:
    """What happened to the rows of a manifest.

    Attributes:
        rows: number of rows.
        failures: id -> reason, of the rows that failed.
        absent: id -> reason, of the rows that lacked a modality.
        resumed: number of rows that an earlier run had scored.
        withheld: number of rows whose answer was withheld.
        noted: number of rows with a note.
        median_confidence: of the rows that were scored; NaN if there are none, or if no table was written.
    """

    rows: int
    failures: dict[str, str]
    absent: dict[str, str] = field(default_factory=dict)
    resumed: int = 0
    withheld: int = 0
    noted: int = 0
    median_confidence: float = float("nan")


def summary_of(rows: Iterable[tuple[str, Mapping[str, Any]]], resumed: int) -> Summary:
    """A summary of written rows: the id of each with its cells `error`, `absent`, `confidence`, `label` and `notes`."""
    failures, absent, confidences = {}, {}, []
    count = withheld = noted = 0
    for item, row in rows:
        count += 1
        if row["error"]:
            failures[item] = row["error"]
            continue
        if row["absent"]:
            absent[item] = row["absent"]
        if row["confidence"] not in ("", None):
            confidences.append(float(row["confidence"]))
            withheld += not row["label"]
        noted += bool(row["notes"])
    median = statistics.median(confidences) if confidences else math.nan
    return Summary(count, failures, absent, resumed, withheld, noted, median)


class ResumableTable:
    """An unfinished table: the rows in `NAME.part`, the progress and the fingerprint in `NAME.part.json`.

    Args:
        output: path of the finished table.
        columns: names of the columns.
        made_from: fingerprint of everything that the rows depend on.
    """

    def __init__(self, output: Path, columns: Sequence[str], made_from: str) -> None:
        self.output, self.columns, self.made_from = output, list(columns), made_from
        self.part_path = output.with_name(output.name + ".part")
        self.state_path = output.with_name(output.name + ".part.json")
        self.delimiter = {".csv": ",", ".tsv": "\t"}.get(output.suffix.lower())  # None: JSON lines
        self.rows = self.resumed = 0
        self._flushed_rows, self._flushed_at = 0, time.monotonic()
        self._lock = FileLock(str(output.with_name(output.name + ".part.lock")))
        self._file: IO[bytes] | None = None

    def __enter__(self) -> ResumableTable:
        try:
            self._lock.acquire(timeout=0)
        except Timeout as error:
            raise OutputError(
                f"another process is writing {self.output}; wait for it, or choose another file"
            ) from error
        except OSError as error:
            raise OutputError(f"{self.output} cannot be written: {error.strerror or error}") from error
        try:
            self._open()
        except OSError as error:
            self._lock.release()
            raise OutputError(f"{self.part_path} cannot be written: {error.strerror or error}") from error
        return self

    @property
    def _out(self) -> IO[bytes]:
        if self._file is None:
            raise OutputError(f"{self.part_path} is not open; write rows inside a `with` block")
        return self._file

    def _open(self) -> None:
        size = self._size_to_keep()
        if not size:
            self.state_path.unlink(missing_ok=True)  # it counts the rows of another run, which are now overwritten
        self._file = self.part_path.open("r+b" if size else "wb")
        if size:
            self._out.truncate(size)
            self._out.seek(size)
        elif self.delimiter:
            self.write(self.columns)
        self.resumed = self._flushed_rows = self.rows

    def _size_to_keep(self) -> int:
        """Size in bytes of the rows to keep from an earlier run; 0 if there are none or the fingerprint differs."""
        try:
            state = json.loads(self.state_path.read_text(encoding="utf-8"))
            rows, size = int(state["rows"]), int(state["bytes"])
            if state["made_from"] != self.made_from or self.part_path.stat().st_size < size:
                return 0
        except (OSError, ValueError, KeyError, TypeError, OverflowError, RecursionError):
            return 0
        self.rows = rows
        return size

    def write(self, cells: Sequence[Any]) -> None:
        """Write one row."""
        if self.delimiter:
            line = io.StringIO()
            # Python 3.11 quotes a carriage return in a cell only if it is part of the line terminator
            csv.writer(line, delimiter=self.delimiter, lineterminator="\r\n").writerow(cells)
            content = line.getvalue()[:-2] + "\n"
        else:
            content = json.dumps(dict(zip(self.columns, cells, strict=True)), ensure_ascii=False) + "\n"
        try:
            self._out.write(content.encode("utf-8", "replace"))
        except OSError as error:
            raise self._write_error(error) from error

    def flush(self, rows: int, *, now: bool = False) -> int:
        """Record that `rows` rows are written. Flush them to disk if it is time, or `now`. Returns `rows`."""
        self.rows = rows
        seconds = time.monotonic() - self._flushed_at
        if not now and rows - self._flushed_rows < FLUSH_ROWS and seconds < FLUSH_SECONDS:
            return rows
        try:
            self._out.flush()
            os.fsync(self._out.fileno())
            state = {"rows": rows, "bytes": self._out.tell(), "made_from": self.made_from}
            write_file(self.state_path, json.dumps(state).encode())
        except OSError as error:
            raise self._write_error(error) from error
        self._flushed_rows, self._flushed_at = rows, time.monotonic()
        return rows

    def _write_error(self, error: OSError) -> OutputError:
        reason = error.strerror or error
        return OutputError(
            f"{self.part_path} cannot be written: {reason}; {self._flushed_rows} rows are saved; run again to resume"
        )

    def finish(self, ids: Sequence[str]) -> Summary:
        """Move the finished table to the output path, and say what happened to the rows with these ids."""
        self.flush(self.rows, now=True)
        self._out.close()
        self._file = None
        summary = summary_of(zip(ids, self._read(), strict=True), self.resumed)
        try:
            if self.output.suffix.lower() in (".csv", ".tsv", ".jsonl"):
                if self.output.exists():
                    self.part_path.chmod(self.output.stat().st_mode & 0o777)
                os.replace(self.part_path, self.output)
            else:
                frame = pd.DataFrame(list(self._read()), columns=self.columns)
                write_file(self.output, table_files.table_bytes(frame, self.output))
                self.part_path.unlink()
        except OSError as error:
            if isinstance(error, EmoembedError):
                raise
            raise self._write_error(error) from error
        self.state_path.unlink(missing_ok=True)
        return summary

    def _read(self) -> Iterator[dict[str, Any]]:
        """The rows of the temporary file, one after the other."""
        with self.part_path.open(encoding="utf-8", newline="") as lines:
            if self.delimiter:
                with long_cells():
                    yield from csv.DictReader(lines, delimiter=self.delimiter)
            else:
                yield from map(json.loads, lines)

    def __exit__(self, *_: object) -> None:
        if self._file is not None:
            with contextlib.suppress(OSError):
                self._file.close()
                if not self._flushed_rows and not self.rows:
                    self.part_path.unlink()  # the file is empty
        lock = Path(self._lock.lock_file)
        with contextlib.suppress(OSError):
            lock.unlink(missing_ok=True)
        self._lock.release()
