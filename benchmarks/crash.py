"""Kill commands at random moments and run them again. No data is lost; the output equals that of an undisturbed run.

    python benchmarks/crash.py [--runs 30] [--seed 0] [--output docs/crash]

Six commands (save, predict, prepare, extract, adapt, train) run on generated rows of text and sound. Each runs in a
fork of this process, which has imported the package, so that no kill falls into the imports. A run is killed (SIGKILL)
after a random share of its usual time, then run again to its end. A run that ends before its kill does not count: a new
moment is drawn, at most four times per counted run. For each command the table has the number of runs that were killed,
of those that ended with the same content as an undisturbed run, and of those that lost something: the previous
checkpoint, or rows of the output. Right after each kill, a reader loads the checkpoint at the output.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import multiprocessing
import os
import random
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from multiprocessing.context import ForkProcess
from pathlib import Path

import numpy as np
import pandas as pd
import soundfile

import emoembed
from emoembed.errors import EmoembedError
from emoembed.evaluation.report import Report, write
from emoembed.features import audio
from emoembed.features.store import FeatureStore
from emoembed.interfaces import cli
from emoembed.model import checkpoint, checkpoint_files

ROWS = 60
TEXTS = 240
"""Rows of the manifest that is predicted: its part file is flushed every 100 rows, so later kills leave rows in it."""
SAVES = 40
DRAWS = 4
"""Moments drawn for each counted run, at most."""


@dataclass(frozen=True)
class Case:
    """A command, the path of its output, and the part of the output that must not differ."""

    work: Callable[[], int]
    """Runs the command and returns its exit code."""
    output: Path
    content: Callable[[Path], str]
    before: Path | None = None
    """A checkpoint that stands at the output before each run: it or the new one has to stand after the kill."""


def write_rows(folder: Path) -> None:
    """Manifests of texts and half a second of sound each, half of it labelled joy, half anger."""
    lines = ["id,text,audio,labels,split"]
    for i in range(ROWS):
        when = np.arange(12_000) / 16_000
        pitch = (120 + 3 * i) * (1 + 0.1 * np.sin(8 * when))
        phase = 2 * np.pi * np.cumsum(pitch) / 16_000
        wave = 0.1 * sum(np.sin(k * phase) / k for k in range(1, 12)) * (0.05 + np.abs(np.sin(12 * when)))
        soundfile.write(folder / f"{i}.wav", wave.astype(np.float32), 16_000)
        label, text = ("joy", "what a day") if i % 2 else ("anger", "leave me alone")
        lines.append(f"r{i},{text} number {i},{i}.wav,{label},{'valid' if i % 5 == 0 else 'train'}")
    (folder / "rows.csv").write_text("\n".join(lines) + "\n")
    texts = [f"t{i},what a day number {i},{f'{i % ROWS}.wav' if i % 12 == 0 else ''}" for i in range(TEXTS)]
    (folder / "texts.csv").write_text("\n".join(["id,text,audio", *texts]) + "\n")
    support = ["label,text", *(f"pride,I did it all by myself {i}" for i in range(12))]
    (folder / "support.csv").write_text("\n".join(support) + "\n")


def cases(folder: Path) -> dict[str, Case]:
    """The six commands."""
    rows, texts, out = str(folder / "rows.csv"), str(folder / "texts.csv"), folder / "out"
    model, table, store, prepared = out / "model", out / "scores.csv", out / "store", out / "prepared"

    def command(*words: str | Path) -> Callable[[], int]:
        return partial(cli.main, [str(word) for word in words])

    predict = command("predict", "--manifest", texts, "--output", table, "--labels", "joy,anger")
    extract = command("extract", "--manifest", rows, "--output", store, "--modality", "audio")
    adapt = command("adapt", "--support", folder / "support.csv", "--output", model)
    train = command("train", "--manifest", rows, "--output", model, "--modality", "audio", "--epochs", "2")
    return {
        "save": Case(partial(_save, model), model, _files, before=model),
        "predict": Case(predict, table, _bytes),
        "prepare": Case(command("prepare", rows, "--output", prepared), prepared, _stores),
        "extract": Case(extract, store, _stores),
        "adapt": Case(adapt, model, _files, before=model),
        "train": Case(train, model, _files, before=model),
    }


def _save(folder: Path) -> int:
    """Save a model again and again to one folder."""
    model = emoembed.load("ravdess-av")
    for _ in range(SAVES):
        model.save_pretrained(folder)
    return 0


def _bytes(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _files(folder: Path) -> str:
    """A checkpoint's checksums."""
    return json.dumps(json.loads((folder / checkpoint_files.CHECKSUMS).read_text()), sort_keys=True)


def _stores(folder: Path) -> str:
    """The numbers of the feature stores in a folder, item by item."""
    found = hashlib.sha256()
    places = sorted(path.parent for path in folder.rglob("store.json"))
    for place in places:
        store = FeatureStore(place)
        for item in sorted(store):
            found.update(item.encode() + np.ascontiguousarray(store[item]).tobytes())
    for path in sorted(folder.glob("*.jsonl")):
        found.update(path.read_bytes())
    return found.hexdigest()


def run(folder: Path, runs: int, seed: int) -> pd.DataFrame:
    """One row a command. The folder has the files that `write_rows` writes."""
    rows = []
    for name, case in cases(folder).items():
        generator = random.Random(f"{seed}-{name}")
        whole, took = _undisturbed(case)
        drawn = killed = same = lost = 0
        while killed < runs and drawn < DRAWS * runs:
            _clear(case)
            drawn += 1
            # half of the kills fall into the last third, in which most is written
            share = generator.uniform(0.66, 1.0) if generator.random() < 0.5 else generator.uniform(0.0, 1.0)
            seconds = _kill_after(case, share * took)
            if seconds is not None:
                took = seconds  # the machine has become faster
                continue
            killed += 1
            lost += case.before is not None and not _stands(case.before)
            if _to_the_end(case):
                same += case.content(case.output) == whole
            else:
                lost += 1
        rows.append([name, killed, same, lost, _left(case)])
        print(*rows[-1], flush=True)
    return pd.DataFrame(rows, columns=["command", "interrupted", "identical after rerun", "lost", "left over"])


def _undisturbed(case: Case) -> tuple[str, float]:
    """The content of a run that nobody kills, and its seconds."""
    for _ in range(2):  # the first run fills caches
        _clear(case)
        begin = time.perf_counter()
        if not _to_the_end(case):
            sys.exit("a run that nobody kills has failed")
        seconds = time.perf_counter() - begin
    return case.content(case.output), seconds


def _clear(case: Case) -> None:
    """Nothing at the output, or the checkpoint that was there before."""
    shutil.rmtree(case.output.parent, ignore_errors=True)
    case.output.parent.mkdir()
    if case.before is not None:
        shutil.copytree(checkpoint_files.find_folder("ravdess-av"), case.before)


def _kill_after(case: Case, seconds: float) -> float | None:
    """Kill the command after some seconds. If it ends before: the seconds that it took."""
    begin = time.perf_counter()
    process = _start(case.work)
    process.join(seconds)
    took = time.perf_counter() - begin
    process.kill()
    process.join()
    return None if process.exitcode == -signal.SIGKILL else took


def _to_the_end(case: Case) -> bool:
    """Whether the command ends well."""
    process = _start(case.work, speaks=True)
    process.join()
    return process.exitcode == 0


def _start(work: Callable[[], int], speaks: bool = False) -> ForkProcess:
    """Run in a fork. This process computes nothing with torch, so its forks may."""
    process = multiprocessing.get_context("fork").Process(target=_quietly, args=(work, speaks))
    process.start()
    return process


def _quietly(work: Callable[[], int], speaks: bool) -> None:
    """Run without output; a failure's message is printed if `speaks`."""
    nowhere, errors = os.open(os.devnull, os.O_WRONLY), os.dup(2)
    os.dup2(nowhere, 1)
    with tempfile.TemporaryFile() as said:
        os.dup2(said.fileno(), 2)
        code = work()
        said.seek(0)
        if code and speaks:
            os.write(errors, said.read()[-500:])
    sys.exit(code)


def _stands(folder: Path) -> bool:
    """Whether a whole checkpoint is found."""
    process = _start(partial(_load, folder), speaks=True)
    process.join()
    return process.exitcode == 0


def _load(folder: Path) -> int:
    try:
        checkpoint.load(checkpoint_files.find_folder(folder))
    except EmoembedError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


def _left(case: Case) -> int:
    """Files and folders beside the output after the last run; what a kill left goes a minute later, with the next."""
    return len(list(case.output.parent.iterdir())) - 1


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=30, help="number of interruptions per command")
    parser.add_argument("--seed", type=int, default=0, help="seed of the moments of the kills")
    parser.add_argument("--output", type=Path, help="folder for report.md")
    parsed = parser.parse_args()
    with tempfile.TemporaryDirectory() as place:
        write_rows(Path(place))
        audio.speech(Path(place) / "0.wav")  # imports and compiles what reads sound, before anything is forked
        table = run(Path(place), parsed.runs, parsed.seed)
    if parsed.output:
        command = f"`python benchmarks/crash.py --runs {parsed.runs} --seed {parsed.seed}`"
        report = Report("Killed and run again", {"printed by": command}, {"Commands": table.set_index("command")})
        write(report, parsed.output)


if __name__ == "__main__":
    main()
