"""CONTRIBUTING's "How to add ...", done: each touches one room, and nothing else has to know."""

import sys
from dataclasses import dataclass
from types import ModuleType
from typing import Annotated

import numpy as np
import torch
import typer
from torch import nn

from emoembed import corpora
from emoembed.corpora.corpus import Corpus, make_samples
from emoembed.encoders.base import Encoder, Settings
from emoembed.encoders.layers import padding_mask
from emoembed.interfaces.cli import app, main
from emoembed.interfaces.options import LabelOptions, as_command
from emoembed.labels.projections import LabelParts
from emoembed.model import checkpoint
from emoembed.model.config import ENCODERS, ModalityConfig
from emoembed.training.config import TrainConfig
from emoembed.training.fit import train
from emoembed.training.recipes import Recipe


@dataclass(frozen=True)
class LoudestSettings(Settings):
    dropout: float = 0.0


class LoudestEncoder(Encoder):
    """The largest value of each column over time, through a linear layer."""

    settings_type = LoudestSettings

    def __init__(self, feature_dim, embed_dim, settings):
        super().__init__()
        self.features_dim = feature_dim
        self.out = nn.Sequential(nn.Dropout(settings.dropout), nn.Linear(feature_dim, embed_dim))

    def read(self, frames, lengths):
        mask = padding_mask(lengths, frames.shape[1])[..., None]
        return frames.masked_fill(~mask, -torch.inf).amax(dim=1)

    def embed(self, features):
        return self.out(features)


def test_an_encoder(monkeypatch, word_table, toy, tmp_path):
    monkeypatch.setitem(ENCODERS, "loudest", LoudestEncoder)
    modality = ModalityConfig(
        "units", "loudest", 24, tuple("abcdef"), LoudestSettings(0.1), LabelParts(vad_share=0.5), residual=4
    )
    config = TrainConfig(epochs=12, batch_size=16, learning_rate=0.02, bf16=False)
    model, history = train(Recipe({"video": modality}, word_table, config), toy(90), toy(60, 1))
    assert max(history.scores) > 0.8
    checkpoint.save(model, tmp_path)
    again, rows = checkpoint.load(tmp_path), toy(6, 2).batch(np.arange(6))
    assert again.config == model.config
    torch.testing.assert_close(again.encode(rows), model.encode(rows), atol=1e-2, rtol=1e-2)


def test_a_corpus_reader(monkeypatch, tmp_path):
    reader = ModuleType("emoembed.corpora.readers.diary")

    def read(folder):
        lines = [line.split("\t") for line in (folder / "diary.tsv").read_text().splitlines()]
        rows = {"text": [text for text, _ in lines], "labels": [(label,) for _, label in lines], "split": "train"}
        return Corpus("diary", make_samples([f"day{i}" for i in range(len(lines))], **rows), ("joy", "awe"), False)

    reader.read = read
    monkeypatch.setitem(sys.modules, reader.__name__, reader)
    monkeypatch.setattr(corpora, "NAMES", (*corpora.NAMES, "diary"))
    (tmp_path / "diary.tsv").write_text("the sea at last\tawe\nwe won\tjoy\n")
    corpus = corpora.load("diary", tmp_path).canonical()
    assert list(corpus.samples["text"]) == ["the sea at last", "we won"]
    assert corpus.labels == ("joy", "awe")


def test_a_transfer_strategy(units_model, toy):
    """A model and rows give a model; the one that was given stays as it is."""

    def widen(model, rows):
        points = model.encode(rows.batch(np.arange(len(rows))))["video"].detach()
        copy = model.with_state(model.state)
        copy.modality("video").shift.copy_(points.mean(dim=0))
        return copy

    before = {name: value.clone() for name, value in units_model.state_dict().items()}
    moved = widen(units_model, toy(30))
    assert bool(moved.modality("video").shift.any())
    for name, value in units_model.state_dict().items():
        torch.testing.assert_close(value, before[name], equal_nan=True)


@dataclass(frozen=True, kw_only=True)
class Count(LabelOptions):
    """Count the emotions."""

    twice: Annotated[bool, typer.Option("--twice", help="Count each again.")] = False

    def run(self) -> int:
        print(len(self.read_labels()) * (2 if self.twice else 1))
        return 0


def test_a_command(monkeypatch, capsys):
    monkeypatch.setattr(app, "registered_commands", [*app.registered_commands])
    app.command("count")(as_command(Count))
    assert main(["count", "--labels", "joy,awe", "--twice"]) == 0
    assert capsys.readouterr().out == "4\n"
    assert main(["count", "--labels-file", "nowhere.json"]) == 2
