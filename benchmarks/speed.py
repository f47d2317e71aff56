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
from typing import get_args

import av
import cv2
import numpy as np
import torch
from torch import Tensor

sys.path.insert(0, str(Path(__file__).parents[1] / "examples"))

from make_demo_media import SAMPLING_RATE, make_demo_media, voice

import emoembed
from emoembed import corpora
from emoembed.encoders.transformer import TransformerEncoder
from emoembed.features import audio, video
from emoembed.labels.phrases import SentenceEncoder
from emoembed.prediction.public import Backend
from emoembed.prediction.recognizer import Recognizer
from emoembed.reading.rows import collate

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


Rows = list[tuple[str, float, str]]
"""What was measured, its value and unit."""


def texts(model: Recognizer) -> Rows:
    """A single text and 1,000 texts: emoembed, its encoder alone in torch, and ONNX Runtime."""
    short = corpora.load("situations", SITUATIONS).samples["text"].tolist()[:1000]
    encoder, phrases = model.model.modality("text").encoder, model.model.phrases
    if not isinstance(encoder, TransformerEncoder) or not isinstance(phrases, SentenceEncoder):
        raise TypeError("the text encoder of base is a sentence encoder")
    ids = [np.array(tokens, dtype=np.float32)[:, None] for tokens in phrases.token_ids(short)]
    by_length = sorted(range(len(ids)), key=lambda i: len(ids[i]))
    batches = [collate([ids[i] for i in by_length[first : first + 32]]) for first in range(0, len(ids), 32)]
    single = collate([ids[0]])

    @torch.inference_mode()
    def raw(given: list[tuple[Tensor, Tensor]]) -> None:
        for frames, lengths in given:
            encoder.hidden_mean(frames, lengths, adapted=True)

    one, many = median(partial(raw, [single])), median(partial(raw, batches), 3, 1)
    rows: Rows = [
        ("the text encoder alone, one text, warm", one * 1e3, "ms"),
        ("the same, 1,000 texts sorted by length, each", many, "ms"),
    ]
    for backend in get_args(Backend):
        recognizer = model if backend == "torch" else emoembed.load("base", backend=backend)
        text = median(partial(recognizer.predict, short[0], labels=LABELS))
        each = median(partial(recognizer.predict, short, labels=LABELS), 3, 1)
        rows += [
            (f"one text, warm, {backend}", text * 1e3, "ms"),
            ("the same, times the encoder alone", text / one, "x"),
            (f"1,000 texts in one call, each, {backend}", each, "ms"),
            ("the same, times the encoder alone", each / many, "x"),
        ]
    return rows


def sounds(model: Recognizer) -> Rows:
    """Recordings of several lengths, as samples."""
    rows: Rows = []
    for seconds in (4, 30, 300):
        samples = np.tile(voice(), 1 + seconds * SAMPLING_RATE // len(voice()))[: seconds * SAMPLING_RATE]
        taken = median(partial(model.predict, audio=(samples, SAMPLING_RATE), labels=LABELS), 5, 1)
        rows.append((f"{seconds} s of sound, share of its length", taken / seconds, ""))
    return rows


def films(folder: Path, face: Path) -> Rows:
    """Faces of a film of 10 s at three sizes, beside decoding it."""
    with av.open(str(face)) as container:
        frames = [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]
    rows: Rows = []
    for height, width in ((480, 640), (720, 1280), (1080, 1920)):
        film = folder / f"{height}.mp4"
        with av.open(str(film), "w") as container:
            stream = container.add_stream("libx264", rate=25)
            stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
            for frame in (frames + frames[::-1]) * 3:
                picture = av.VideoFrame.from_ndarray(
                    np.asarray(cv2.resize(frame, (width, height)), dtype=np.uint8), format="rgb24"
                )
                container.mux(stream.encode(picture))
            container.mux(stream.encode())
        decoding = median(partial(decode, film), 5, 1)
        rows.append(
            (
                f"faces of a film of {height} lines, times decoding",
                median(partial(video.read_faces, film), 5, 1) / decoding,
                "x",
            )
        )
    return rows


def decode(film: Path) -> int:
    """Decode a film, and count its frames."""
    with av.open(str(film)) as container:
        container.streams.video[0].thread_type = "AUTO"
        return sum(1 for _ in container.decode(video=0))


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--threads", type=int, default=2, help="threads of torch, for all but fresh processes")
    torch.set_num_threads(parser.parse_args().threads)
    with tempfile.TemporaryDirectory() as folder:
        sound, face = make_demo_media(Path(folder))
        bare, torch_alone = fresh("pass"), fresh("import torch")
        first_text, first_sound = (fresh(_predict(given)) for given in ("text='I kept it.'", f"audio={str(sound)!r}"))
        rows: Rows = [
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
        clip = median(lambda: model.predict(audio=(two, SAMPLING_RATE), video=face, labels=LABELS), 7)
        rows += [
            *texts(model),
            *sounds(model),
            *films(Path(folder), face),
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
