"""Small valid files of every kind that the package reads, each with the function that reads it."""

from __future__ import annotations

import gzip
import io
import json
import pickle
import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, cast

import numpy as np
import pandas as pd

from emoembed.corpora import manifest, prepared, table_files
from emoembed.corpora.forms import csd, merbench, npz, padded_files, pickles
from emoembed.corpora.tables import read_labels, read_support
from emoembed.encoders.modular import ModularSettings
from emoembed.encoders.transformer import TransformerEncoder
from emoembed.features import tables as feature_tables
from emoembed.features import text as word_vectors
from emoembed.features.atomic import write_file
from emoembed.features.feature_set import Features, FeatureSet
from emoembed.features.store import FeatureStore, extract
from emoembed.labels.emotion import table
from emoembed.labels.phrases import SentenceEncoder, WordTable
from emoembed.model import checkpoint, checkpoint_files
from emoembed.model.config import ModalityConfig, ModelConfig
from emoembed.model.model import EmotionModel
from emoembed.prediction.recognizer import Recognizer
from emoembed.reading.transcripts import read_transcript
from emoembed.training import recipes
from emoembed.training.build import build, start_projections
from emoembed.transfer.bank import Entry, PathBank
from emoembed.transfer.strategies import modules_of

LABELS = ["joy", "anger", "sadness"]
Reader = Callable[[Path], object]
Target = tuple[str, bytes, Reader]
"""A file's name, its whole content, and what reads it."""
SMALL_BERT = {
    "model_type": "bert",
    "hidden_size": 16,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "intermediate_size": 32,
    "max_position_embeddings": 64,
}
TRANSCRIPTS = {
    "a.vtt": "WEBVTT\n\n1\n00:01.000 --> 00:02.500\n<v Ann>You <i>lied</i> to me!\n\n"
    "00:03.000 --> 00:04.000\n<v Ben>No.\n",
    "a.srt": "1\n00:00:01,000 --> 00:00:02,500\nAnn: You lied!\n\n"
    "2\n00:00:03,000 --> 00:00:04,000\nBen: I am ashamed.\n",
    "a.cha": "@UTF8\n@Begin\n@Languages:\teng\n@Participants:\tCHI Eve Child, MOT Mother\n"
    "@ID:\teng|Brown|CHI|1;6|||Child|||\n*CHI:\tmore cookie . \x151000_2500\x15\n%mor:\tqn|more n|cookie .\n"
    "*MOT:\tyou [/] you lied to me (.) &-um ! \x153000_4000\x15\n@End\n",
    "a.txt": "[00:01] Ann: You lied to me!\n[00:03 - 00:04] Ben: I am ashamed.\nand sorry\nAnn: Go away.\n",
    "segments.json": '{"segments": [{"text": " You lied!", "start": 1.0, "end": 2.5, "speaker": "SPEAKER_00"}, '
    '{"text": " No.", "start": 3, "end": 4, "words": []}], "language": "en"}',
    "pyannote.json": '{"output": {"diarization": [{"speaker": 0, "start": 1.0, "end": 2.5}], "text": "a"}}',
    "core.json": '{"content": [{"segment": {"start": 1.0, "end": 2.5}, "track": "A", "label": "ann"}]}',
    "a.jsonl": '{"text": "You lied!", "speaker": "Ann", "start": 1.0, "turn": 1}\n'
    '{"text": "No.", "speaker": 2, "turn": 2}\n',
    "a.csv": 'text,speaker,start,end,turn\nYou lied!,Ann,1.0,2.5,1\n"No, never",Ben,3.0,4.0,2\n',
    "a.tsv": "text\tspeaker\tdialogue\nYou lied!\tAnn\td1\nNo.\tBen\td1\n",
}
"""A transcript of each form: name of the file -> content."""


def voice() -> np.ndarray:
    """A second of a voice."""
    time = np.arange(16_000) / 16_000
    phase = 2 * np.pi * np.cumsum(160 * (1 + 0.1 * np.sin(8 * time))) / 16_000
    wave = 0.1 * sum(np.sin(k * phase) / k for k in range(1, 12)) * (0.05 + np.abs(np.sin(12 * time)))
    return np.asarray(wave, np.float32)


def media(folder: Path, model: Recognizer) -> Iterator[Target]:
    """Sounds, pictures and films."""
    import av
    import cv2
    import soundfile

    speech = voice()
    noise = np.random.default_rng(0).integers(0, 255, (90, 80, 3), np.uint8)
    picture = cv2.GaussianBlur(noise, (9, 9), 0).astype(np.uint8)

    def hear(path: Path) -> object:
        return model.predict(audio=str(path), labels=LABELS)

    def look(path: Path) -> object:
        return model.predict(video=str(path), labels=LABELS)

    for kind in ("wav", "flac", "ogg", "mp3"):
        soundfile.write(folder / f"a.{kind}", speech, 16_000)
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
            for first in range(0, len(speech), 1024):
                frame = av.AudioFrame.from_ndarray(speech[None, first : first + 1024], format="fltp", layout="mono")
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


def transcripts(folder: Path, model: Recognizer) -> Iterator[Target]:
    """Transcripts of dialogues, in every form."""
    for name, content in TRANSCRIPTS.items():
        yield name, content.encode(), lambda path: read_transcript(path, join=1.0)


def checkpoints(folder: Path, model: Recognizer) -> Iterator[Target]:
    """The files of a checkpoint, their checksums made anew, so that what is in them is read; and a bank of paths."""
    speech = voice()

    def within(whole: Path, item: dict[str, Any]) -> Reader:
        def read(path: Path) -> object:
            with tempfile.TemporaryDirectory(dir=folder) as place:
                for file in whole.iterdir():
                    if file.name not in (path.name, checkpoint_files.CHECKSUMS):
                        (Path(place) / file.name).symlink_to(file.resolve())
                shutil.copy(path, Path(place) / path.name)
                if path.name != checkpoint_files.CHECKSUMS:
                    checkpoint_files.write_checksums(Path(place))
                return Recognizer.from_pretrained(place).predict(**item, labels=LABELS)

        return read

    spoken, written = checkpoint_files.find_folder("ravdess-av"), folder / "written"
    checkpoint.save(_small_text_model(model), written)
    for name in (checkpoint_files.CONFIG, checkpoint_files.WEIGHTS, checkpoint_files.WORDS, checkpoint_files.CHECKSUMS):
        yield name, (spoken / name).read_bytes(), within(spoken, {"audio": (speech, 16_000)})
    for name in (checkpoint_files.CONFIG, checkpoint_files.TOKENIZER):
        yield name, (written / name).read_bytes(), within(written, {"text": "what a wonderful day 😀"})
    words = sorted({word for label in table().values() for word in label.name.split()})
    phrases = WordTable(words, np.random.default_rng(0).standard_normal((len(words), 16)), "the campaign's table")
    settings = ModularSettings(modules=3, active=1, width=8, dropout=0.0)
    units = build({"video": ModalityConfig("action_units", "modular", 24, ("a", "b", "c"), settings)}, phrases)
    own = {key: value for key, value in units.state_dict().items() if ".encoder.layers." not in key}
    entry = Entry(units.config, units.state, own, {"licence": "own"})
    PathBank(phrases, {"mine": entry}, modules_of(units, "video", settings.path)).save(folder / "bank.safetensors")
    yield (
        "bank.safetensors",
        (folder / "bank.safetensors").read_bytes(),
        lambda path: PathBank.read(path, phrases)["mine"],
    )


def _small_text_model(shipped: Recognizer) -> EmotionModel:
    """An untrained text model with the tokenizer of the shipped one."""
    tokenizer = cast(SentenceEncoder, shipped.model.phrases).tokenizer
    config = recipes.text_modality({**SMALL_BERT, "vocab_size": tokenizer.get_vocab_size()}, rank=2)
    model = EmotionModel(ModelConfig({"text": config}, phrase_dim=16))
    model.phrases = SentenceEncoder(cast(TransformerEncoder, model.modality("text").encoder), tokenizer)
    start_projections(model)
    return model.with_seen({"text": tuple(LABELS)}).eval()


KINDS: dict[str, Callable[[Path, Recognizer], Iterator[Target]]] = {
    "media": media,
    "tables": tables,
    "transcripts": transcripts,
    "stores": stores,
    "checkpoints": checkpoints,
}
