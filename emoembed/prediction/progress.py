"""Show the progress of a long run on stderr: a bar on a terminal, otherwise a line every 30 seconds."""

from __future__ import annotations

import sys
import time
from typing import Any

EVERY = 30.0
"""Seconds between two lines."""


class Progress:
    """Shows how many of `total` rows are done; `begin` of them were done by an earlier run."""

    def __init__(self, total: int, name: str, *, shown: bool = True, begin: int = 0) -> None:
        self.total, self.name, self.shown, self.begin = total, name, shown, begin
        self._started = self._printed = time.monotonic()
        self._bar: Any = None

    def __enter__(self) -> Progress:
        if self.shown and sys.stderr.isatty():
            from tqdm import tqdm

            self._bar = tqdm(total=self.total, initial=self.begin, desc=self.name, unit="row")
        return self

    def to(self, done: int) -> None:
        """Report that `done` rows are done."""
        if self._bar is not None:
            self._bar.update(done - self._bar.n)
        elif self.shown and time.monotonic() - self._printed >= EVERY:
            self._printed = time.monotonic()
            rate = (done - self.begin) / (self._printed - self._started)
            seconds = (self.total - done) / rate if rate else 0.0
            wait = f"{seconds / 60:.0f} minutes" if seconds >= 60 else "less than a minute"
            print(f"{self.name}: {done:,} of {self.total:,}, {wait} left", file=sys.stderr, flush=True)

    def __exit__(self, *_: object) -> None:
        if self._bar is not None:
            self._bar.close()
