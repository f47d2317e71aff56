"""Measure how long things take: `python benchmarks/speed.py`. It prints medians of repeated runs and asserts nothing.

The media are those of the demo: a synthetic voice of 2.5 s and a 640x480 video of 2 s.

`--all` then runs the benchmarks of processes, of many rows, of training and of the model of Dai et al. 2020, one after
the other: with `--data DIR` and `--official DIR`, as `benchmarks/mtee.py` takes them.
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
import soundfile
import torch
from torch import Tensor

sys.path.insert(0, str(Path(__file__).parents[1] / "examples"))

from make_demo_media import SAMPLING_RATE, make_demo_media, voice

import emoembed
from emoembed import corpora
from emoembed.encoders.transformer import TransformerEncoder
from emoembed.features import audio, video
from emoembed.labels.phrases import SentenceEncoder
from emoembed.prediction.manifests.scoring import predict_manifest
from emoembed.prediction.public import Backend
from emoembed.prediction.recognizer import Recognizer
from emoembed.reading.items import batch_of, read_item
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

    single_seconds, many = median(partial(raw, [single])), median(partial(raw, batches), 3, 1)
    rows: Rows = [
        ("the text encoder alone, one text, warm", single_seconds * 1e3, "ms"),
        ("the same, 1,000 texts sorted by length, each", many, "ms"),
    ]
    for backend in get_args(Backend):
        recognizer = model if backend == "torch" else emoembed.load("base", backend=backend)
        text = median(partial(recognizer.predict, short[0], labels=LABELS))
        each = median(partial(recognizer.predict, short, labels=LABELS), 3, 1)
        rows += [
            (f"one text, warm, {backend}", text * 1e3, "ms"),
            ("the same, times the encoder alone", text / single_seconds, "x"),
            (f"1,000 texts in one call, each, {backend}", each, "ms"),
            ("the same, times the encoder alone", each / many, "x"),
        ]
    return rows


def _read(model: Recognizer, texts: list[str]) -> None:
    for text in texts:
        read_item(model.model, {"text": text})


def _encode(model: Recognizer, batches: list[dict[str, tuple[Tensor, Tensor]]]) -> None:
    for batch in batches:
        model.model.encode(batch)


def steps(model: Recognizer) -> Rows:
    """Where the time of a single text and of 1,000 texts goes: reading, encoder, scores."""
    short = corpora.load("situations", SITUATIONS).samples["text"].tolist()[:1000]
    rows: Rows = []
    for count, name in ((1, "one text"), (1000, "1,000 texts")):
        given = sorted(short[:count], key=len)
        whole = median(partial(model.predict, given, labels=LABELS), 5, 1)
        items = [read_item(model.model, {"text": text}).readings for text in given]
        reading = median(partial(_read, model, given), 5, 1)
        batches = [batch_of(model.model, items[first : first + 32]) for first in range(0, count, 32)]
        with torch.inference_mode():
            encoder = median(partial(_encode, model, batches), 5, 1)
        rows += [
            (f"{name}: share of reading", reading / whole, ""),
            (f"{name}: share of the encoder", encoder / whole, ""),
            (f"{name}: share of scores and the rest", 1 - (reading + encoder) / whole, ""),
        ]
    return rows


def new_labels(model: Recognizer) -> Rows:
    """A call with a label that was never named before, beside a call with known labels."""
    names = iter(f"the feeling of day {i}" for i in range(1000))
    text = "I kept it."
    known = median(partial(model.predict, text, labels=LABELS))
    new = median(lambda: model.predict(text, labels=[*LABELS, next(names)]))
    many = median(lambda: model.predict(text, labels=[next(names) for _ in range(50)]), 7)
    return [
        ("a call with a new label, times one with known labels", new / known, "x"),
        ("each of 50 new labels, share of a call with known labels", (many - known) / known / 50, ""),
    ]


def manifest_beside_list(model: Recognizer, folder: Path) -> Rows:
    """A manifest of 128 texts, beside `predict` of the list."""
    short = corpora.load("situations", SITUATIONS).samples["text"].tolist()[:128]
    files = iter(folder / f"{i}.csv" for i in range(99))
    (folder / "texts.csv").write_text("text\n" + "".join(f'"{text.replace(chr(34), "")}"\n' for text in short))
    table = median(lambda: predict_manifest(model, folder / "texts.csv", LABELS, next(files)), 5, 1)
    listed = median(partial(model.predict, short, labels=LABELS), 5, 1)
    return [("a manifest of 128 texts, times predict(list)", table / listed, "x")]


def sounds(model: Recognizer, folder: Path) -> Rows:
    """Recordings of several lengths, as samples and as files."""
    rows: Rows = []
    for seconds in (4, 30, 300):
        samples = np.tile(voice(), 1 + seconds * SAMPLING_RATE // len(voice()))[: seconds * SAMPLING_RATE]
        taken = median(partial(model.predict, audio=(samples, SAMPLING_RATE), labels=LABELS), 5, 1)
        file = folder / f"{seconds}.wav"
        soundfile.write(file, samples, SAMPLING_RATE)
        reading = median(partial(soundfile.read, file), 5, 1)
        whole = median(partial(model.predict, audio=file, labels=LABELS), 5, 1)
        features = median(partial(audio.speech, samples, SAMPLING_RATE), 5, 1)
        rows += [
            (f"{seconds} s of sound, share of its length", taken / seconds, ""),
            ("the same from a file, times reading it", whole / reading, "x"),
            ("log-mel and prosody, share of the call", features / taken, ""),
        ]
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
    parser.add_argument("--all", action="store_true", help="also run the other benchmarks of speed")
    parser.add_argument("--data", type=Path, help="with --all: folder of the corpora")
    parser.add_argument("--official", type=Path, help="with --all: folder with the code of Dai et al. 2020")
    parsed = parser.parse_args()
    torch.set_num_threads(parsed.threads)
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
            *steps(model),
            *new_labels(model),
            *manifest_beside_list(model, Path(folder)),
            *sounds(model, Path(folder)),
            *films(Path(folder), face),
            ("2 s of sound and 640x480 video, share of 2 s", clip / 2, ""),
            ("log-mel and prosody, times real time", 10 / median(lambda: audio.speech(ten, SAMPLING_RATE)), "x"),
            ("faces of a 2 s video", median(lambda: video.read_faces(face), 7), "s"),
            ("16 examples of text, 2 s of sound and 640x480 video", median(lambda: model.adapt(examples), 3, 1), "s"),
            ("10,000 labels, once embedded", median(lambda: model.predict(text="again", labels=many)) * 1e3, "ms"),
        ]
    for name, value, unit in rows:
        print(f"{name:52} {value:10.3f} {unit}")
    print(f"(medians, {torch.get_num_threads()} threads)", flush=True)
    if parsed.all:
        run_others(parsed.data, parsed.official)


def run_others(data: Path | None, official: Path | None) -> None:
    """Run the other benchmarks, each in a process of its own."""
    paper = [
        argument for name, path in (("--data", data), ("--official", official)) if path for argument in (name, path)
    ]
    for command in (["workers.py", "--ray"], ["many_rows.py"], ["training.py"], ["mtee.py", *paper]):
        print(f"\n{' '.join(map(str, command))}", flush=True)
        subprocess.run([sys.executable, Path(__file__).with_name(str(command[0])), *command[1:]], check=True)


def _predict(arguments: str) -> str:
    return f"import emoembed; emoembed.predict({arguments}, labels={LABELS!r})"


if __name__ == "__main__":
    main()
