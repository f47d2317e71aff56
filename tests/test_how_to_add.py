"""CONTRIBUTING's "How to add ...", done: each touches one room, and nothing else has to know."""

import sys
from dataclasses import dataclass, replace
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
from emoembed.encoders.pooled import PooledSettings
from emoembed.interfaces.cli import app, main
from emoembed.interfaces.options import LabelOptions, as_command
from emoembed.labels.projections import LabelParts
from emoembed.model import checkpoint
from emoembed.model.config import ENCODERS, ModalityConfig
from emoembed.prediction.recognizer import Recognizer
from emoembed.reading.media import KINDS, FeatureKind, Reading
from emoembed.training.build import build
from emoembed.training.config import TrainConfig
from emoembed.training.fit import train
from emoembed.training.recipes import Recipe, Stage
from emoembed.transfer.manifest import transfer_corpora
from emoembed.transfer.spec import TransferSpec
from emoembed.transfer.strategies import STRATEGIES, source_model
from emoembed.transfer.task import Budget, Transferred


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


def test_a_transfer_strategy(monkeypatch, speech):
    """Only the biases of the source's encoder are trained on the target."""
    sources = []

    def biases(task):
        sources.append(source_model(task).state_dict())
        encoder = f"modalities.{task.modality}.encoder"
        start = TransferSpec("biases", (f"{encoder}.layers.*", f"{encoder}.last.*")).choose(sources[0])
        stages = (Stage((f"{encoder}.*.bias",), task.config()),)
        recipe = replace(task.recipe, start=start, stages=stages)
        model, history = train(recipe, task.target.train, task.target.valid, execution=task.execution)
        return Transferred("biases", model, max(history.scores))

    monkeypatch.setitem(STRATEGIES, "biases", biases)
    choice = transfer_corpora([speech("radio")], speech("mine", 50), strategy="biases", budget=Budget(steps=20))
    assert list(choice.scores.index) == [choice.chosen.strategy] == ["biases"]
    weights = choice.chosen.model.state_dict()
    moved = {
        name for name, value in sources[0].items() if ".encoder.l" in name and not torch.equal(value, weights[name])
    }
    assert moved
    assert all(name.endswith(".bias") for name in moved)


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


def test_a_kind_of_features(monkeypatch, word_table):
    """The loudness of each tenth of a second, read from a waveform."""

    def loudness(model, config, source, any_sound):
        samples, rate = source
        parts = samples[: len(samples) // (rate // 10) * (rate // 10)].reshape(-1, rate // 10)
        return Reading(parts.std(axis=1, keepdims=True).astype(np.float32))

    monkeypatch.setitem(KINDS, "loudness", FeatureKind(loudness))
    modality = ModalityConfig("loudness", "pooled", 8, ("rms",), PooledSettings())
    model = Recognizer(build({"audio": modality}, word_table).eval())
    quiet, loud = (level * np.ones(1600) * np.tile([1, -1], 800) for level in (0.01, 0.5))
    (point, other) = model.encode(audio=[(quiet, 16_000), (loud, 16_000)])["audio"]
    assert not np.allclose(point, other)
    assert set(model.predict(audio=(loud, 16_000), labels=["joy", "anger"]).scores) == {"joy", "anger"}
