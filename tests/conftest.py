"""Tiny models and toy data: everything here is made in milliseconds, offline."""

import os
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import soundfile
import torch
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors

from emoembed.corpora.corpus import Corpus, make_samples
from emoembed.corpora.stand_in import write_iemocap, write_mosei
from emoembed.encoders import whisper
from emoembed.encoders.pooled import PooledSettings
from emoembed.labels.emotion import table
from emoembed.labels.phrases import SentenceEncoder, WordTable
from emoembed.labels.projections import LabelParts
from emoembed.model.config import ModalityConfig, ModelConfig
from emoembed.model.model import EmotionModel
from emoembed.model.state import State
from emoembed.reading.rows import EmotionData
from emoembed.training import recipes
from emoembed.training.build import build, start_projections

TINY_BERT = {
    "model_type": "bert",
    "hidden_size": 16,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "intermediate_size": 32,
    "max_position_embeddings": 64,
}


def pytest_configure(config):
    """Of several processes, each has one thread: more would wait for each other."""
    if hasattr(config, "workerinput"):
        os.environ["OMP_NUM_THREADS"] = "1"
        torch.set_num_threads(1)


def pytest_addoption(parser):
    parser.addoption("--write-golden", action="store_true", help="keep the answers of test_golden.py as they are now")


@pytest.fixture(autouse=True)
def _one_seed():
    torch.manual_seed(0)


@pytest.fixture(scope="session")
def voice():
    """`voice(seconds, pitch, seed)` -> float32 samples at 16 kHz that pass for speech: syllables, a moving pitch."""

    def make(seconds=1.0, pitch=180.0, seed=0):
        time = np.arange(int(seconds * 16_000)) / 16_000
        generator = np.random.default_rng(seed)
        glide = 1 + 0.12 * np.sin(2 * np.pi * (1.3 + 0.2 * generator.random()) * time + generator.random())
        phase = 2 * np.pi * np.cumsum(pitch * glide) / 16_000
        formants = 1 + np.sin(2 * np.pi * 2.1 * time)
        wave = sum(np.sin(k * phase) / k ** (0.6 + 0.5 * formants) for k in range(1, 20))
        syllables = 0.02 + np.clip(np.sin(2 * np.pi * 3.7 * time), 0, None) ** 0.7
        breath = 0.05 * generator.standard_normal(len(time))
        return (0.1 * (wave + breath) * syllables).astype(np.float32)

    return make


@pytest.fixture(scope="session")
def word_table():
    phrases = [phrase for label in table().values() for phrase in (label.name, *label.synonyms)]
    words = list(dict.fromkeys(word for phrase in phrases for word in phrase.split()))
    return WordTable(words, np.random.default_rng(0).standard_normal((len(words), 16)), "the toy table")


@pytest.fixture(scope="session")
def tokenizer():
    letters = [chr(code) for code in range(ord("a"), ord("z") + 1)]
    tokens = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", *letters, *(f"##{x}" for x in letters), ".", ",", "'", "joy", "sad"]
    vocabulary = {token: i for i, token in enumerate(tokens)}
    made = Tokenizer(models.WordPiece(vocabulary, unk_token="[UNK]"))
    made.normalizer = normalizers.Lowercase()
    made.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    made.post_processor = processors.BertProcessing(("[SEP]", 3), ("[CLS]", 2))
    made.enable_truncation(64)
    return made


@pytest.fixture
def text_model(tokenizer):
    config = recipes.text_modality({**TINY_BERT, "vocab_size": tokenizer.get_vocab_size()}, rank=2)
    known = ("joy", "anger")
    model = EmotionModel(ModelConfig({"text": config}, phrase_dim=16), state=State(known, {"text": known}))
    model.phrases = SentenceEncoder(model.modality("text").encoder, tokenizer)
    start_projections(model)
    return model.eval()


@pytest.fixture(autouse=True)
def _tiny_whisper(monkeypatch):
    """New speech models have a tiny Whisper with random weights. Shipped ones keep their own."""
    tiny = {"d_model": 16, "encoder_layers": 1, "encoder_attention_heads": 2, "encoder_ffn_dim": 32}
    for key, value in tiny.items():
        monkeypatch.setitem(whisper.DEFAULT, key, value)

    def layers(base=None):
        with torch.random.fork_rng():
            torch.manual_seed(0)
            return whisper.WhisperLayers(whisper.DEFAULT).state_dict()

    monkeypatch.setattr("emoembed.training.fit.whisper_weights", layers)


@pytest.fixture
def three_model(tokenizer, text_model):
    modalities = {
        "text": text_model.config.modalities["text"],
        "audio": recipes.audio_modality(),
        "video": recipes.video_modality(),
    }
    model = build(modalities, text_model.phrases).with_seen(dict.fromkeys(modalities, ("joy", "anger")))
    return model.with_state(replace(model.state, labels=("joy", "anger")))


@pytest.fixture
def units_model(word_table):
    columns = tuple(f"unit_{i}" for i in range(6))
    settings = PooledSettings(hidden=16, dropout=0.0)
    modality = ModalityConfig("action_units", "pooled", 24, columns, settings, parts=LabelParts(vad_share=0.5))
    return build({"video": modality}, word_table)


@pytest.fixture
def corpus_of():
    """`corpus_of(texts, labels, split, **columns)` -> a corpus of rows row0, row1, ..."""

    def make(texts, labels=None, split="train", **columns):
        labels = [()] * len(texts) if labels is None else [(x,) if isinstance(x, str) else x for x in labels]
        ids = [f"row{i}" for i in range(len(texts))]
        samples = make_samples(ids, text=texts, labels=labels, split=split, **columns)
        names = tuple(sorted({name for row in labels for name in row}))
        return Corpus("toy", samples, names, any(len(row) > 1 for row in labels))

    return make


@pytest.fixture
def speech(corpus_of, tmp_path, monkeypatch, voice):
    """`speech(name)`: recordings of six speakers; joy is high, anger is low."""
    monkeypatch.setenv("EMOEMBED_CACHE", str(tmp_path / "cache"))

    def make(name, seed=0):
        labels = ["joy", "anger"] * 12
        paths = []
        for i, label in enumerate(labels):
            path = tmp_path / f"{name}-{i}.wav"
            soundfile.write(path, voice(0.6, 260.0 if label == "joy" else 110.0, seed=seed + i), 16_000)
            paths.append(str(path))
        corpus = corpus_of([None] * 24, labels, audio=paths, speaker=[f"{name}{i // 4}" for i in range(24)])
        return replace(corpus, name=name)

    return make


@pytest.fixture
def toy():
    """Rows of six columns around one centre a label; `toy(rows, seed)` -> EmotionData."""

    def make(rows=60, seed=0, labels=("joy", "anger", "sadness"), noise=0.3):
        centres = np.random.default_rng(7).standard_normal((len(labels), 6)) * 2
        generator = np.random.default_rng(seed)
        true = np.arange(rows) % len(labels)
        store = {
            f"{seed}-{i}": (centres[t] + noise * generator.standard_normal((2 + i % 3, 6))).astype(np.float32)
            for i, t in enumerate(true)
        }
        targets = np.eye(len(labels), dtype=np.float32)[true]
        return EmotionData(tuple(store), {"video": store}, tuple(labels), targets, np.zeros(rows, bool))

    return make


@pytest.fixture(scope="session")
def stand_in(tmp_path_factory, word_table):
    """`stand_in("mosei", "csd")` -> its folder."""
    written = {}
    writers = {"mosei": write_mosei, "iemocap": write_iemocap}
    small = {("mosei", "raw"): {"size": (6, 2)}, ("iemocap", "raw"): {"size": (2, 3)}}

    def make(name, form):
        if (name, form) not in written:
            folder = tmp_path_factory.mktemp(f"{name}-{form}")
            writers[name](folder, word_table, word_table.words, form=form, **small.get((name, form), {}))
            written[name, form] = folder
        return written[name, form]

    return make


KINDS = {
    "joy": ("jubilant", "sunny", "merry"),
    "anger": ("wrathful", "irate", "cross"),
    "sadness": ("downcast", "blue", "tearful"),
    "fear": ("afraid", "scared", "shaken"),
}


@pytest.fixture
def manifest(tmp_path):
    """The path of 96 sentences whose words say their label: 48 train, 24 valid, 24 test."""
    generator = np.random.default_rng(0)
    labels = list(KINDS) * 24
    texts = [" ".join(generator.choice(KINDS[label], 2)) for label in labels]
    splits = np.repeat(["train", "valid", "test"], [48, 24, 24])
    path = tmp_path / "toy.csv"
    table = pd.DataFrame({"id": [f"r{i}" for i in range(96)], "text": texts, "labels": labels, "split": splits})
    table.to_csv(path, index=False)
    return path
