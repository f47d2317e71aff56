"""Measure how long things take: `python benchmarks/speed.py`. It prints medians of repeated runs and asserts nothing.

The media are those of the demo: a synthetic voice of 2.5 s and a 640x480 video of 2 s.
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import torch

sys.path.insert(0, str(Path(__file__).parents[1] / "examples"))

from make_demo_media import SAMPLING_RATE, make_demo_media, voice

import emoembed
from emoembed import corpora
from emoembed.features import audio, video

SITUATIONS = Path(__file__).parents[1] / "checkpoints" / "build" / "situations"
LABELS = ["joy", "anger", "nostalgia", "awe"]


def median(call: Callable[[], object], runs: int = 15, warm: int = 3) -> float:
    """Median seconds of a call once warm."""
    times = []
    for run in range(runs + warm):
        begin = time.perf_counter()
        call()
        if run >= warm:
            times.append(time.perf_counter() - begin)
    return statistics.median(times)


def fresh(code: str, runs: int = 5) -> float:
    """Median seconds of a whole new process running some code."""
    command = [sys.executable, "-c", code]
    return median(lambda: subprocess.run(command, check=True, capture_output=True), runs, 1)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--threads", type=int, default=2, help="threads of torch, for all but fresh processes")
    torch.set_num_threads(parser.parse_args().threads)
    with tempfile.TemporaryDirectory() as folder:
        sound, face = make_demo_media(Path(folder))
        bare, torch_alone = fresh("pass"), fresh("import torch")
        first_text, first_sound = (fresh(_predict(given)) for given in ("text='I kept it.'", f"audio={str(sound)!r}"))
        rows: list[tuple[str, float, str]] = [
            ("import emoembed, above a bare interpreter", fresh("import emoembed") - bare, "s"),
            ("first text prediction, fresh process", first_text, "s"),
            ("the same, times import torch alone", first_text / torch_alone, "x"),
            ("first sound prediction, fresh process", first_sound, "s"),
            ("the same, times import torch alone", first_sound / torch_alone, "x"),
        ]
        model = emoembed.load("base")
        two, ten = voice()[: 2 * SAMPLING_RATE], np.tile(voice(), 4)[: 10 * SAMPLING_RATE]
        many = [f"feeling number {i}" for i in range(10_000)]
        model.predict(text="once", labels=many)
        examples = [
            {"text": f"I kept ticket {i}.", "audio": (two, SAMPLING_RATE), "video": face, "label": "nostalgia"}
            for i in range(16)
        ]
        text = median(lambda: model.predict(text="I kept it.", labels=LABELS))
        fast = emoembed.load("base", backend="onnx")
        with_onnx = median(lambda: fast.predict(text="I kept it.", labels=LABELS))
        short = corpora.load("situations", SITUATIONS).samples["text"].tolist()[:1000]
        batches = [median(partial(one.predict, short, labels=LABELS), 3, 1) for one in (model, fast)]
        clip = median(lambda: model.predict(audio=(two, SAMPLING_RATE), video=face, labels=LABELS), 7)
        rows += [
            ("text prediction, warm", text * 1e3, "ms"),
            ("the same with ONNX Runtime", with_onnx * 1e3, "ms"),
            ("1,000 texts in one call, each", batches[0], "ms"),
            ("the same with ONNX Runtime", batches[1], "ms"),
            ("2 s of sound and 640x480 video, share of 2 s", clip / 2, ""),
            ("log-mel and prosody, times real time", 10 / median(lambda: audio.speech(ten, SAMPLING_RATE)), "x"),
            ("faces of a 2 s video", median(lambda: video.read_faces(face), 7), "s"),
            ("16 examples of text, 2 s of sound and 640x480 video", median(lambda: model.adapt(examples), 3, 1), "s"),
            ("10,000 labels, once embedded", median(lambda: model.predict(text="again", labels=many)) * 1e3, "ms"),
        ]
    for name, value, unit in rows:
        print(f"{name:52} {value:10.3f} {unit}")
    print(f"(medians, {torch.get_num_threads()} threads)")


def _predict(arguments: str) -> str:
    return f"import emoembed; emoembed.predict({arguments}, labels={LABELS!r})"


if __name__ == "__main__":
    main()
