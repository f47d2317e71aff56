"""Kill commands at random moments and run them again. No data is lost; the output equals that of an undisturbed run.

    python benchmarks/crash.py [--runs 30] [--seed 0] [--output docs/crash]

Six commands (save, predict, prepare, extract, adapt, train) run on generated rows of text and sound. A run is killed
(SIGKILL) after a random share of its usual time, then run again to its end. For each command the table has the number
of runs that were killed before their end, that ended with the same content as an undisturbed run, and that lost
something: the previous checkpoint, or rows of the output. In `save`, a reader checks the folder right after the kill.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import soundfile

from emoembed.errors import EmoembedError
from emoembed.evaluation.report import Report, write
from emoembed.features.store import FeatureStore
from emoembed.model import checkpoint, checkpoint_files

ROWS = 60
SAVES = (
    "import sys, emoembed\nmodel = emoembed.load(sys.argv[1])\nfor _ in range(40): model.save_pretrained(sys.argv[2])"
)


@dataclass(frozen=True)
class Case:
    """A command, the path of its output, and the part of the output that must not differ."""

    command: list[str]
    output: Path
    content: Callable[[Path], str]
    before: Path | None = None
    """A checkpoint that stands at the output before each run: it or the new one has to stand after the kill."""


def write_rows(folder: Path) -> None:
    """A manifest of texts and half a second of sound each, half of it labelled joy, half anger."""
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
    support = ["label,text", *(f"pride,I did it all by myself {i}" for i in range(12))]
    (folder / "support.csv").write_text("\n".join(support) + "\n")


def cases(folder: Path) -> dict[str, Case]:
    """The six commands."""
    cli = [sys.executable, "-m", "emoembed"]
    rows, out = str(folder / "rows.csv"), folder / "out"
    manifest = ["--manifest", rows, "--output"]
    small = ["--model", "ravdess-av"]
    model, table, store = out / "model", out / "scores.csv", out / "store"
    prepared = [*cli, "prepare", rows, "--output", str(out / "prepared")]
    trained = [*cli, "train", *manifest, str(model), "--modality", "audio", "--epochs", "2"]
    return {
        "save": Case([sys.executable, "-c", SAVES, "ravdess-av", str(model)], model, _files, before=model),
        "predict": Case([*cli, "predict", *manifest, str(table), *small, "--labels", "joy,anger"], table, _bytes),
        "prepare": Case(prepared, out / "prepared", _stores),
        "extract": Case([*cli, "extract", *manifest, str(store), "--modality", "audio"], store, _stores),
        "adapt": Case(
            [*cli, "adapt", "--support", str(folder / "support.csv"), "--output", str(model)], model, _files, model
        ),
        "train": Case(trained, model, _files, before=model),
    }


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
    """One row a command."""
    write_rows(folder)
    rows = []
    for name, case in cases(folder).items():
        generator = random.Random(f"{seed}-{name}")
        whole, took = _undisturbed(case)
        reached = same = lost = 0
        for _ in range(runs):
            _clear(case)
            # half of the kills fall into the last third, in which most is written
            share = generator.uniform(0.66, 1.02) if generator.random() < 0.5 else generator.uniform(0.0, 1.0)
            killed = _killed(case.command, share * took)
            reached += killed
            lost += case.before is not None and not _stands(case.before)
            done = subprocess.run(case.command, capture_output=True, text=True)
            if done.returncode != 0:
                print(name, done.stderr[-500:], file=sys.stderr)
                lost += 1
            elif case.content(case.output) == whole:
                same += 1
        rows.append([name, runs, reached, same, lost, _left(case)])
        print(*rows[-1], flush=True)
    return pd.DataFrame(rows, columns=["command", "runs", "interrupted", "identical after rerun", "lost", "left over"])


def _undisturbed(case: Case) -> tuple[str, float]:
    """The content of a run that nobody kills, and its seconds."""
    _clear(case)
    subprocess.run(case.command, check=True, capture_output=True)  # fills caches
    _clear(case)
    begin = time.perf_counter()
    subprocess.run(case.command, check=True, capture_output=True)
    return case.content(case.output), time.perf_counter() - begin


def _clear(case: Case) -> None:
    """Nothing at the output, or the checkpoint that was there before."""
    shutil.rmtree(case.output.parent, ignore_errors=True)
    case.output.parent.mkdir()
    if case.before is not None:
        shutil.copytree(checkpoint_files.find_folder("ravdess-av"), case.before)


def _killed(command: list[str], seconds: float) -> bool:
    """Whether a command was still running when it was killed."""
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        process.wait(seconds)
    except subprocess.TimeoutExpired:
        process.send_signal(signal.SIGKILL)
    return process.wait() == -signal.SIGKILL


def _stands(folder: Path) -> bool:
    """Whether a whole checkpoint is found."""
    try:
        checkpoint.load(checkpoint_files.find_folder(folder))
    except EmoembedError as error:
        print(error, file=sys.stderr)
        return False
    return True


def _left(case: Case) -> int:
    """Files and folders beside the output after the last run; what a kill left goes a minute later, with the next."""
    return len(list(case.output.parent.iterdir())) - 1


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=30, help="number of runs per command")
    parser.add_argument("--seed", type=int, default=0, help="seed of the moments of the kills")
    parser.add_argument("--output", type=Path, help="folder for report.md")
    parsed = parser.parse_args()
    with tempfile.TemporaryDirectory() as place:
        table = run(Path(place), parsed.runs, parsed.seed)
    if parsed.output:
        command = f"`python benchmarks/crash.py --runs {parsed.runs} --seed {parsed.seed}`"
        report = Report("Killed and run again", {"printed by": command}, {"Commands": table.set_index("command")})
        write(report, parsed.output)


if __name__ == "__main__":
    main()
