"""How far a long run is, on stderr: a bar on a terminal, elsewhere a line every 30 seconds."""

from __future__ import annotations

import sys
import time
from typing import Any

EVERY = 30.0


class Progress:
    """Shows how many of `total` things are done; `begin` of them were done before."""

    def __init__(self, total: int, name: str, *, shown: bool = True, begin: int = 0) -> None:
        self.total, self.name, self.shown, self.begin = total, name, shown, begin
        self._started = self._said = time.monotonic()
        self._bar: Any = None

    def __enter__(self) -> Progress:
        if self.shown and sys.stderr.isatty():
            from tqdm import tqdm

            self._bar = tqdm(total=self.total, initial=self.begin, desc=self.name, unit="row")
        return self

    def to(self, done: int) -> None:
        """So many are done."""
        if self._bar is not None:
            self._bar.update(done - self._bar.n)
        elif self.shown and time.monotonic() - self._said >= EVERY:
            self._said = time.monotonic()
            rate = (done - self.begin) / (self._said - self._started)
            left = (self.total - done) / rate if rate else 0.0
            wait = f"{left / 60:.0f} minutes" if left >= 60 else "less than a minute"
            print(f"{self.name}: {done:,} of {self.total:,}, {wait} left", file=sys.stderr, flush=True)

    def __exit__(self, *_: object) -> None:
        if self._bar is not None:
            self._bar.close()
