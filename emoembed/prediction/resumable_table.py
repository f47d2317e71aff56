"""A table that is written row by row, and taken up again where a run was stopped.

While it is written it lies in `NAME.part` beside its place. `NAME.part.json` says how far it is sure to be whole, and
what it is made from. Opened again for the same, it goes on there.
"""

from __future__ import annotations

import contextlib
import csv
import io
import json
import os
import time
from collections.abc import Sequence
from pathlib import Path
from typing import IO, Any

import pandas as pd
from filelock import FileLock, Timeout

from emoembed.corpora import manifest
from emoembed.corpora.files import long_cells
from emoembed.errors import EmoembedError, OutputError
from emoembed.features.atomic import write_file

FLUSH_ROWS, FLUSH_SECONDS = 100, 10.0
"""Scored rows are on the disk after so many, or so long, at the latest; a row that takes longer is one by itself."""


class ResumableTable:
    """A table under way: `NAME.part`, and beside it how far it is whole and what it is made from."""

    def __init__(self, output: Path, columns: Sequence[str], made_from: str) -> None:
        self.output, self.columns, self.made_from = output, list(columns), made_from
        self.place = output.with_name(output.name + ".part")
        self.beside = output.with_name(output.name + ".part.json")
        self.delimiter = {".csv": ",", ".tsv": "\t"}.get(output.suffix.lower())  # None is JSON lines
        self.rows = self.resumed = 0
        self._flushed, self._at = 0, time.monotonic()
        self._lock = FileLock(str(output.with_name(output.name + ".part.lock")))
        self._opened: IO[bytes] | None = None

    def __enter__(self) -> ResumableTable:
        try:
            self._lock.acquire(timeout=0)
        except Timeout as error:
            raise OutputError(f"another process is writing {self.output}; wait for it, or name another file") from error
        except OSError as error:
            raise OutputError(f"{self.output} cannot be written: {error.strerror or error}") from error
        try:
            self._open()
        except OSError as error:
            self._lock.release()
            raise OutputError(f"{self.place} cannot be written: {error.strerror or error}") from error
        return self

    @property
    def _out(self) -> IO[bytes]:
        if self._opened is None:
            raise OutputError(f"{self.place} is not open; rows are written within `with`")
        return self._opened

    def _open(self) -> None:
        size = self._size_of_earlier()
        self._opened = self.place.open("r+b" if size else "wb")
        if size:
            self._out.truncate(size)
            self._out.seek(size)
        elif self.delimiter:
            self.write(self.columns)
        self.resumed = self._flushed = self.rows

    def _size_of_earlier(self) -> int:
        """Bytes of an earlier run's rows that count, 0 where there are none or they were made from something else."""
        try:
            earlier = json.loads(self.beside.read_text(encoding="utf-8"))
            rows, size = int(earlier["rows"]), int(earlier["bytes"])
            if earlier["made_from"] != self.made_from or self.place.stat().st_size < size:
                return 0
        except (OSError, ValueError, KeyError, TypeError, OverflowError):
            return 0
        self.rows = rows
        return size

    def write(self, cells: Sequence[Any]) -> None:
        """One row."""
        if self.delimiter:
            line = io.StringIO()
            # Python 3.11 quotes a carriage return in a cell only where it ends lines too
            csv.writer(line, delimiter=self.delimiter, lineterminator="\r\n").writerow(cells)
            content = line.getvalue()[:-2] + "\n"
        else:
            content = json.dumps(dict(zip(self.columns, cells, strict=True)), ensure_ascii=False) + "\n"
        try:
            self._out.write(content.encode("utf-8", "replace"))
        except OSError as error:
            raise self._failed(error) from error

    def flush(self, rows: int, *, now: bool = False) -> None:
        """Note that so many rows are written; to the disk where it is time."""
        self.rows = rows
        waited = time.monotonic() - self._at
        if not now and rows - self._flushed < FLUSH_ROWS and waited < FLUSH_SECONDS:
            return
        try:
            self._out.flush()
            os.fsync(self._out.fileno())
            state = {"rows": rows, "bytes": self._out.tell(), "made_from": self.made_from}
            write_file(self.beside, json.dumps(state).encode())
        except OSError as error:
            raise self._failed(error) from error
        self._flushed, self._at = rows, time.monotonic()

    def _failed(self, error: OSError) -> OutputError:
        why = error.strerror or error
        return OutputError(f"{self.place} cannot be written: {why}; {self._flushed} rows are in it: run again to go on")

    def finish(self, ids: Sequence[str]) -> tuple[dict[str, str], dict[str, str]]:
        """Put the table in its place; by id, why rows failed, and why modalities were absent."""
        self.flush(self.rows, now=True)
        self._out.close()
        self._opened = None
        table = self._read()
        failures = {item: row["error"] for item, row in zip(ids, table, strict=True) if row["error"]}
        absent = {item: row["absent"] for item, row in zip(ids, table, strict=True) if row["absent"]}
        try:
            if self.output.suffix.lower() in (".csv", ".tsv", ".jsonl"):
                if self.output.exists():
                    self.place.chmod(self.output.stat().st_mode & 0o777)
                os.replace(self.place, self.output)
            else:
                frame = pd.DataFrame(table, columns=self.columns)
                write_file(self.output, manifest.table_bytes(frame, self.output))
                self.place.unlink()
        except OSError as error:
            if isinstance(error, EmoembedError):
                raise
            raise self._failed(error) from error
        self.beside.unlink(missing_ok=True)
        return failures, absent

    def _read(self) -> list[dict[str, Any]]:
        """The rows as they were written."""
        with self.place.open(encoding="utf-8", newline="") as lines:
            if self.delimiter:
                with long_cells():
                    return list(csv.DictReader(lines, delimiter=self.delimiter))
            return [json.loads(line) for line in lines]

    def __exit__(self, *_: object) -> None:
        if self._opened is not None:
            with contextlib.suppress(OSError):
                self._opened.close()
                if not self._flushed and not self.rows:
                    self.place.unlink()  # nothing is in it
        lock = Path(self._lock.lock_file)
        with contextlib.suppress(OSError):
            lock.unlink(missing_ok=True)
        self._lock.release()
