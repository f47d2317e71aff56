"""Read thousands of damaged and unusual files: each gives an answer or an error of this package.

    python benchmarks/fuzz.py [--count 2000] [--seed 0] [--output docs/fuzz] [--kinds media,tables,stores,checkpoints]

Each input is a small valid file with some bytes changed, cut, repeated or inserted; some inputs are only noise. One
process reads all of them, each with a time limit. For each kind the table has the number of inputs, of answers, of
errors of this package, of foreign errors and of slow inputs, and the memory growth of the process.
"""

from __future__ import annotations

import argparse
import gzip
import io
import json
import random
import resource
import shutil
import signal
import tempfile
import time
import warnings
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import cast

import numpy as np
import pandas as pd

import emoembed
from emoembed.corpora import manifest, prepared, table_files
from emoembed.corpora.forms import csd, merbench, npz, padded_files, pickles
from emoembed.corpora.tables import read_labels, read_support
from emoembed.errors import EmoembedError
from emoembed.evaluation.report import Report, write
from emoembed.features import tables as feature_tables
from emoembed.features import text as word_vectors
from emoembed.features.atomic import write_file
from emoembed.features.feature_set import Features, FeatureSet
from emoembed.features.store import FeatureStore, extract
from emoembed.model import checkpoint_files
from emoembed.prediction.recognizer import Recognizer

SLOW = 10.0
"""Seconds an input may take."""
LABELS = ["joy", "anger", "sadness"]
Reader = Callable[[Path], object]
Target = tuple[str, bytes, Reader]
"""A file's name, its whole content, and what reads it."""


class TooSlow(BaseException):
    """An input took longer than it may."""


def media(folder: Path, model: Recognizer) -> Iterator[Target]:
    """Sounds, pictures and films."""
    import av
    import cv2
    import soundfile

    time_ = np.arange(16_000) / 16_000
    phase = 2 * np.pi * np.cumsum(160 * (1 + 0.1 * np.sin(8 * time_))) / 16_000
    voice = (0.1 * sum(np.sin(k * phase) / k for k in range(1, 12)) * (0.05 + np.abs(np.sin(12 * time_)))).astype("f4")
    noise = np.random.default_rng(0).integers(0, 255, (90, 80, 3), np.uint8)
    picture = cv2.GaussianBlur(noise, (9, 9), 0).astype(np.uint8)

    def hear(path: Path) -> object:
        return model.predict(audio=str(path), labels=LABELS)

    def look(path: Path) -> object:
        return model.predict(video=str(path), labels=LABELS)

    for kind in ("wav", "flac", "ogg", "mp3"):
        soundfile.write(folder / f"a.{kind}", voice, 16_000)
        yield f"a.{kind}", (folder / f"a.{kind}").read_bytes(), hear
    for kind in ("png", "jpg", "bmp", "webp", "tif", "pgm", "jp2"):
        shown = picture[..., 0] if kind == "pgm" else picture
        yield f"a.{kind}", cv2.imencode(f".{kind}", shown)[1].tobytes(), look
    for kind, codec in (("mp4", "mpeg4"), ("avi", "mpeg4"), ("mkv", "mjpeg")):
        place = folder / f"a.{kind}"
        with av.open(str(place), "w") as film:
            film.metadata["title"] = "a title"
            stream = cast(av.VideoStream, film.add_stream(codec, rate=10))
            stream.width, stream.height, stream.pix_fmt = 80, 90, "yuvj420p" if codec == "mjpeg" else "yuv420p"
            sound = film.add_stream("aac", rate=16_000, layout="mono")
            for _ in range(6):
                film.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
            for first in range(0, len(voice), 1024):
                frame = av.AudioFrame.from_ndarray(voice[None, first : first + 1024], format="fltp", layout="mono")
                frame.rate, frame.pts = 16_000, first
                film.mux(sound.encode(frame))
            film.mux(stream.encode())
            film.mux(sound.encode())
        yield f"a.{kind}", place.read_bytes(), look
        yield f"b.{kind}", place.read_bytes(), hear


def tables(folder: Path, model: Recognizer) -> Iterator[Target]:
    """Manifests, supports, labels, feature tables, word vectors, and the files of corpora."""
    import h5py

    frame = pd.DataFrame({"id": ["a", "b"], "text": ["so happy", "so sad"], "labels": ["joy", "anger|joy"]})
    for suffix in table_files.SUFFIXES:
        yield f"m{suffix}", table_files.table_bytes(frame, Path(f"m{suffix}")), manifest.read
        support = frame.rename(columns={"labels": "label"})
        yield f"s{suffix}", table_files.table_bytes(support, Path(f"s{suffix}")), read_support
    yield "labels.json", json.dumps({"awe": "wonder", "joy": {"sounds": "loud"}}).encode(), read_labels
    units = pd.DataFrame({"frame": [1, 2], "success": [1, 1], "AU01_r": [0.1, 0.2], "AU12_c": [1, 0]})
    for suffix, content in ((".csv", units.to_csv(index=False).encode()), (".parquet", units.to_parquet(index=False))):
        yield f"units{suffix}", content, feature_tables.read_openface
    packed = gzip.compress(units.to_csv(index=False).encode())
    yield "units.csv.gz", packed, lambda path: feature_tables.read_table(path, key="frame")
    glove = "".join(f"word{i} {' '.join(f'{i * j % 7:.2f}' for j in range(8))}\n" for i in range(20)).encode()
    yield "g.txt", glove, word_vectors.read_word_vectors
    yield "g.txt.gz", gzip.compress(glove), word_vectors.read_word_vectors
    yield "v.txt", b"20 8\n" + glove, word_vectors.read_word_vectors
    binary = b"20 8\n" + b"".join(f"w{i} ".encode() + np.full(8, i, "f4").tobytes() + b"\n" for i in range(20))
    yield "v.bin", binary, word_vectors.read_word_vectors
    yield "v.bin.gz", gzip.compress(binary), word_vectors.read_word_vectors
    import pickle

    held = {"train": {"vision": np.zeros((3, 4, 2), "f4"), "id": np.array([["a", "0"]] * 3)}, "x": [1.0, {"a"}]}
    for protocol in (0, 2, 5):
        yield f"p{protocol}.pkl", pickle.dumps(held, protocol=protocol), pickles.read_pickle
    out = io.BytesIO()
    labels = np.array({"clip": {"emo": "joy", "val": 1.0}}, dtype=object)
    np.savez_compressed(out, whole_corpus=labels, numbers=np.arange(6.0).reshape(2, 3))
    yield "a.npz", out.getvalue(), npz.read_npz
    yield "label.npz", out.getvalue(), merbench.read_labels
    out = io.BytesIO()
    np.save(out, np.arange(12.0).reshape(3, 4))
    yield "a.npy", out.getvalue(), npz.read_npy
    with h5py.File(folder / "a.h5", "w") as file:
        file["d1"] = np.arange(24.0).reshape(2, 3, 4)
    yield "a.h5", (folder / "a.h5").read_bytes(), padded_files.read_array
    with h5py.File(folder / "a.csd", "w") as file:
        for video in ("v1", "v2"):
            file[f"words/data/{video}/features"] = np.arange(12.0).reshape(4, 3)
            file[f"words/data/{video}/intervals"] = np.arange(8.0).reshape(4, 2)
        file["words/metadata/dimension names"] = np.array([json.dumps(["a", "b", "c"]).encode()])
    yield "a.csd", (folder / "a.csd").read_bytes(), _read_csd


def _read_csd(path: Path) -> object:
    sequence = csd.ComputationalSequence(path)
    try:
        sequence.columns("text")
        return {video: sequence[video] for video in sequence}
    finally:
        sequence.close()


def stores(folder: Path, model: Recognizer) -> Iterator[Target]:
    """The files of a feature store and of a prepared corpus."""
    feature_set = FeatureSet("three", ("a", "b", "c"), 10.0)
    whole = folder / "store"
    items = {"one": np.ones((2, 3), "f4"), "two": np.zeros((4, 3), "f4")}
    extract([(name, name) for name in items], lambda name: Features(items[name], feature_set), whole)
    write_file(whole / "failures.jsonl", b'{"id": "x", "reason": "no sound"}\n')
    header = {"version": 1, "name": "mine", "form": "media", "labels": ["joy"], "multi_label": False, "notes": []}
    write_file(folder / "corpus.json", json.dumps(header).encode())
    write_file(folder / "samples.jsonl", b'{"id": "one", "text": "hello", "labels": ["joy"], "split": "train"}\n')

    def within(source: Path, read: Reader) -> Reader:
        def reader(path: Path) -> object:
            with tempfile.TemporaryDirectory(dir=folder) as place:
                copy = Path(place) / "copy"
                shutil.copytree(source, copy)
                shutil.copy(path, copy / path.name)
                return read(copy)

        return reader

    def read_store(place: Path) -> object:
        store = FeatureStore(place)
        return {item: np.array(store[item]) for item in store}, store.failures

    for path in sorted(whole.glob("*.*")):
        yield path.name, path.read_bytes(), within(whole, read_store)
    corpus = folder / "corpus"
    corpus.mkdir()
    for name in ("corpus.json", "samples.jsonl"):
        shutil.move(folder / name, corpus / name)
    for path in sorted(corpus.iterdir()):
        yield path.name, path.read_bytes(), within(corpus, prepared.read)


def checkpoints(folder: Path, model: Recognizer) -> Iterator[Target]:
    """The files of a checkpoint, their checksums made anew, so that what is in them is read."""
    whole = folder / "checkpoint"
    shutil.copytree(checkpoint_files.find_folder("ravdess-av"), whole)

    def read(path: Path) -> object:
        with tempfile.TemporaryDirectory(dir=folder) as place:
            copy = Path(place) / "copy"
            shutil.copytree(whole, copy)
            shutil.copy(path, copy / path.name)
            if path.name != checkpoint_files.CHECKSUMS:
                checkpoint_files.write_checksums(copy)
            return Recognizer.from_pretrained(copy).predict(audio=(voice, 16_000), labels=LABELS)

    time_ = np.arange(16_000) / 16_000
    phase = 2 * np.pi * np.cumsum(160 * (1 + 0.1 * np.sin(8 * time_))) / 16_000
    voice = (0.1 * sum(np.sin(k * phase) / k for k in range(1, 12)) * (0.05 + np.abs(np.sin(12 * time_)))).astype("f4")
    for name in (checkpoint_files.CONFIG, checkpoint_files.WEIGHTS, checkpoint_files.WORDS, checkpoint_files.CHECKSUMS):
        yield name, (whole / name).read_bytes(), read


KINDS: dict[str, Callable[[Path, Recognizer], Iterator[Target]]] = {
    "media": media,
    "tables": tables,
    "stores": stores,
    "checkpoints": checkpoints,
}
SHARES = {"media": 0.5, "tables": 0.35, "stores": 0.1, "checkpoints": 0.05}
"""Of the inputs, by kind."""


def damaged(content: bytes, generator: random.Random) -> bytes:
    """A file's bytes with something wrong with them."""
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
    model = model or emoembed.load("base")
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
                except Exception as error:  # what this campaign looks for
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
            "Damaged files", {"printed by": command}, {"Inputs": table.set_index("kind")}, {"Faults": faults}
        )
        write(report, parsed.output)


if __name__ == "__main__":
    main()
