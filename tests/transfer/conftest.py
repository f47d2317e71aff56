"""Synthetic corpora for transfer."""

import numpy as np
import pytest

from emoembed.encoders.modular import ModularSettings
from emoembed.labels.projections import LabelParts
from emoembed.model.config import ModalityConfig
from emoembed.reading.rows import EmotionData
from emoembed.training.config import TrainConfig
from emoembed.training.recipes import Recipe
from emoembed.transfer.domain import Domain

COLUMNS = tuple("abcdefgh")
LABELS = ("joy", "anger", "sadness")


@pytest.fixture
def modular_recipe(word_table):
    """Modules on eight columns, in a space of word vectors."""
    settings = ModularSettings(modules=6, active=2, width=12, dropout=0.0)
    modality = ModalityConfig("units", "modular", 24, COLUMNS, settings, LabelParts(vad_share=0.5))
    return Recipe({"video": modality}, word_table, TrainConfig(bf16=False))


@pytest.fixture
def domain():
    """`domain(name, rows, seed, kind)`: the label is a function of eight columns; another kind is another function."""

    def make(name, rows=120, seed=0, kind=0, noise=0.5):
        generator = np.random.default_rng(seed)
        centres = np.random.default_rng(100 + kind).standard_normal((len(LABELS), 2, len(COLUMNS))) * 1.5
        true, side = generator.integers(len(LABELS), size=rows), generator.integers(2, size=rows)
        values = centres[true, side] + noise * generator.standard_normal((rows, len(COLUMNS)))
        store = {f"{name}-{i}": values[i : i + 1].astype(np.float32) for i in range(rows)}
        targets = np.eye(3, dtype=np.float32)[true]
        data = EmotionData(tuple(store), {"video": store}, LABELS, targets, np.zeros(rows, bool))
        part = rows * 2 // 3
        speakers = {row: f"{name}-s{i % 6}" for i, row in enumerate(store)}
        return Domain(name, data.rows(np.arange(part)), data.rows(np.arange(part, rows)), speakers)

    return make
