"""Read thousands of damaged and unusual files: each gives an answer or an error of this package.

    python benchmarks/fuzz.py [--count 2000] [--seed 0] [--output docs/fuzz] [--kinds media,tables]

Each input is a small valid file with some bytes changed, cut, repeated or inserted; some inputs are only noise. In half
of the JSON files, a value is replaced or removed instead, so that what stands behind the parser is reached. One process
reads all of them, each with a time limit. For each kind the table has the number of inputs, of answers, of errors of
this package, of foreign errors and of slow inputs, and the memory growth of the process.
"""

from __future__ import annotations

import argparse
import json
import random
import resource
import shutil
import signal
import tempfile
import time
import warnings
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pandas as pd
from studies.small_files import KINDS, LABELS, voice

import emoembed
from emoembed.errors import EmoembedError
from emoembed.evaluation.report import Report, write
from emoembed.prediction.recognizer import Recognizer

SLOW = 10.0
"""Seconds an input may take."""


class TooSlow(BaseException):
    """An input took longer than it may."""


SHARES = {"media": 0.4, "tables": 0.3, "transcripts": 0.15, "stores": 0.05, "checkpoints": 0.1}
"""Of the inputs, by kind."""


VALUES: tuple[Any, ...] = (None, True, -1, 0, 1e308, 2**70, "", "no", "\ud800", "1" * 400, [], {}, [[]], {"a": None})
"""What replaces a value of a JSON file."""


def damaged(content: bytes, generator: random.Random) -> bytes:
    """A file's bytes with something wrong with them."""
    if content[:1] in b"{[" and generator.random() < 0.5:
        with suppress(ValueError):
            return _other_value(json.loads(content), generator)
        with suppress(ValueError):  # one object a line
            lines = content.splitlines()
            place = generator.randrange(len(lines))
            lines[place] = _other_value(json.loads(lines[place]), generator)
            return b"\n".join(lines)
    kind = generator.choice(("flip", "flip", "cut", "drop", "repeat", "insert", "zero", "number", "noise"))
    if kind == "noise":
        return generator.randbytes(generator.choice((0, 1, 40, 4000)))
    changed = bytearray(content)
    for _ in range(generator.choice((1, 1, 2, 8, 60)) if kind in ("flip", "number") else 1):
        # the beginning of a file says what is in it
        near = len(changed) if generator.random() < 0.5 else min(len(changed), 200)
        place = generator.randrange(max(near, 1))
        length = generator.choice((1, 4, 16, 300))
        if kind == "flip":
            changed[place : place + 1] = bytes([generator.randrange(256)])
        elif kind == "cut":
            del changed[place:]
        elif kind == "drop":
            del changed[place : place + length]
        elif kind == "repeat":
            changed[place:place] = changed[place : place + length] * generator.choice((1, 50))
        elif kind == "insert":
            changed[place:place] = generator.randbytes(length)
        elif kind == "zero":
            changed[place : place + length] = bytes(length)
        elif kind == "number":
            changed[place : place + 4] = generator.choice(
                (b"\xff\xff\xff\x7f", b"\0\0\0\x80", b"9999", b"-1e9", b"null")
            )
    return bytes(changed)


def _other_value(content: Any, generator: random.Random) -> bytes:
    """A JSON file in which one value, at any depth, is another or is missing."""
    node = content
    while node:
        key = generator.choice(list(node) if isinstance(node, dict) else range(len(node)))
        if not isinstance(node[key], dict | list) or not node[key] or generator.random() < 0.2:
            break
        node = node[key]
    if node and generator.random() < 0.3:
        del node[key]
    elif node:
        node[key] = generator.choice(VALUES)
    return json.dumps(content).encode()


@contextmanager
def at_most(seconds: float) -> Iterator[None]:
    """End what takes longer, where the interpreter comes to it."""

    def late(*_: object) -> None:
        raise TooSlow

    before = signal.signal(signal.SIGALRM, late)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def run(
    count: int, seed: int, kinds: list[str], model: Recognizer | None = None, keep: Path | None = None
) -> tuple[pd.DataFrame, list[str]]:
    """One row a kind, and a line for each foreign error or slow input; such inputs are kept in a folder, if named."""
    if model is None:
        model = emoembed.load("base")
        model.predict(audio=(voice(), 16_000), labels=LABELS)  # imports what reads sound, before time is measured
    rows, faults = [], []
    for kind in kinds:
        generator = random.Random(f"{seed}-{kind}")
        with tempfile.TemporaryDirectory() as place:
            folder = Path(place)
            targets = list(KINDS[kind](folder, model))
            outcomes: Counter[str] = Counter()
            longest, before = 0.0, _memory()
            inputs = folder / "inputs"
            inputs.mkdir()
            for i in range(max(round(count * SHARES[kind]), len(targets))):
                name, content, read = targets[i % len(targets)]
                path = inputs / name
                path.write_bytes(content if i < len(targets) else damaged(content, generator))
                begin = time.perf_counter()
                outcome = "answered"
                try:
                    with at_most(2 * SLOW), warnings.catch_warnings(action="ignore"):
                        read(path)
                except EmoembedError:
                    outcome = "own errors"
                except TooSlow:
                    outcome = "slow"
                except BaseException as error:  # what this campaign looks for; a panic of Rust is no Exception
                    if isinstance(error, KeyboardInterrupt | SystemExit):
                        raise
                    outcome = "foreign errors"
                    faults.append(f"{kind} {i} {name}: {type(error).__name__}: {error!s:.150}")
                took = time.perf_counter() - begin
                longest = max(longest, took)
                if took > SLOW:
                    outcome = "slow"
                    faults.append(f"{kind} {i} {name}: {took:.1f} s")
                outcomes[outcome] += 1
                if outcome in ("slow", "foreign errors") and keep is not None:
                    keep.mkdir(parents=True, exist_ok=True)
                    shutil.copy(path, keep / f"{kind}-{i}-{name}")
            counted = [outcomes[name] for name in ("answered", "own errors", "foreign errors", "slow")]
            rows.append([kind, sum(counted), *counted, round(longest, 2), round(_memory() - before)])
            print(*rows[-1], flush=True)
    columns = ["kind", "inputs", "answered", "own errors", "foreign errors", "slow", "longest s", "growth MB"]
    return pd.DataFrame(rows, columns=columns), faults


def _memory() -> float:
    """The most memory this process has had, in MB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=2000, help="number of inputs over all kinds")
    parser.add_argument("--seed", type=int, default=0, help="seed of the damage")
    parser.add_argument("--kinds", default=",".join(KINDS), help="kinds of files, comma-separated")
    parser.add_argument("--keep", type=Path, help="folder for inputs that are slow or raise a foreign error")
    parser.add_argument("--output", type=Path, help="folder for report.md")
    parsed = parser.parse_args()
    table, faults = run(parsed.count, parsed.seed, parsed.kinds.split(","), keep=parsed.keep)
    for fault in faults:
        print(fault)
    if parsed.output:
        command = f"`python benchmarks/fuzz.py --count {parsed.count} --seed {parsed.seed}`"
        report = Report(
            "Damaged files",
            {"printed by": command},
            {"Inputs": table.set_index("kind")},
            {"Faults": faults or ["none"]},
        )
        write(report, parsed.output)


if __name__ == "__main__":
    main()
