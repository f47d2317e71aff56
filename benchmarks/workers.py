"""Measure several processes: `python benchmarks/workers.py`. It prints items per second and the memory of a process.

`--ray` also measures the actors of a Ray cluster on this machine (extra `scale`).

The items are short texts written for this project, and synthetic voices of 4 s. Each line is one run of
`emoembed predict --manifest`, less the time of a run with a single item.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import time
from itertools import product
from pathlib import Path

import numpy as np
import pandas as pd
from scipy.io import wavfile

from emoembed import corpora
from emoembed.features.workers import cores

sys.path.insert(0, str(Path(__file__).parents[1] / "examples"))

from make_demo_media import SAMPLING_RATE, voice

SITUATIONS = Path(__file__).parents[1] / "checkpoints" / "build" / "situations"
LABELS = "joy,anger,nostalgia,awe"
CODE = """
import resource, sys
from emoembed.interfaces.cli import main
code = main(sys.argv[1:])
print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
sys.exit(code)
"""


def manifests(folder: Path, texts: int, clips: int) -> dict[str, pd.DataFrame]:
    """Tables of texts and of sound files, which are written to the folder."""
    written = corpora.load("situations", SITUATIONS).samples["text"]
    recording = np.tile(voice(), 2)[: 4 * SAMPLING_RATE]
    for i in range(clips):
        wavfile.write(folder / f"{i}.wav", SAMPLING_RATE, (recording * (0.5 + i % 40 / 100) * 2**15).astype(np.int16))
    names = [f"{i}.wav" for i in range(clips)]
    return {
        "texts": pd.DataFrame({"text": np.resize(written.to_numpy(dtype=object), texts)}),
        "clips of 4 s": pd.DataFrame({"audio": names}),
    }


def run(table: pd.DataFrame, folder: Path, workers: int, *, ray: bool = False) -> tuple[float, float, float]:
    """Seconds of a run, and the greatest memory of a worker and of the process that starts them, in MiB.

    Actors of Ray are not processes of this one, so their memory is 0.
    """
    table.to_csv(folder / "in.csv", index=False)
    arguments = ["predict", "--manifest", str(folder / "in.csv"), "--labels", LABELS, "--quiet"]
    arguments += ["--output", str(folder / "out.csv")]
    arguments += ["--engine", "ray", "--num-actors", str(workers)] if ray else ["--workers", str(workers)]
    begin = time.perf_counter()
    done = subprocess.run([sys.executable, "-c", CODE, *arguments], check=True, capture_output=True, text=True)
    seconds = time.perf_counter() - begin
    of_worker, of_parent = (int(word) / 1024 for word in done.stdout.split()[-2:])
    return seconds, of_worker if workers > 1 and not ray else 0.0, of_parent


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--texts", type=int, default=2000, help="number of texts")
    parser.add_argument("--clips", type=int, default=300, help="number of sound files")
    parser.add_argument("--workers", type=int, nargs="+", default=[1, cores()], help="numbers of processes to compare")
    parser.add_argument("--ray", action="store_true", help="also measure the actors of Ray")
    parsed = parser.parse_args()
    print("| items | processes | start, s | the rest, s | items a second | MiB a worker | MiB of the first process |")
    print("|---|---|---|---|---|---|---|")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for items, table in manifests(folder, parsed.texts, parsed.clips).items():
            if table.empty:
                continue
            for ray, workers in product((False, True) if parsed.ray else (False,), parsed.workers):
                start, *_ = run(table[:1], folder, workers, ray=ray)
                seconds, of_worker, of_parent = run(table, folder, workers, ray=ray)
                rest = seconds - start
                figures = [
                    f"{start:.1f}",
                    f"{rest:.1f}",
                    f"{len(table) / rest:.0f}",
                    f"{of_worker:.0f}",
                    f"{of_parent:.0f}",
                ]
                print(
                    "|",
                    " | ".join([f"{len(table)} {items}", f"{workers} actors" if ray else str(workers), *figures]),
                    "|",
                    flush=True,
                )


if __name__ == "__main__":
    main()
