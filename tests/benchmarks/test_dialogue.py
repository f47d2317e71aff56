"""The report of pre-training: gains over random starts and over placebos, with intervals over dialogues."""

from types import SimpleNamespace

import dialogue as study
import numpy as np
import pandas as pd
import pytest
from studies import dialogue
from studies.dialogue_measures import Answers


def answers(good, seed):
    true = np.random.default_rng(0).integers(3, size=60)
    logits = good * np.eye(3)[true] + np.random.default_rng(seed).standard_normal((60, 3))
    return Answers(logits, true, np.arange(60) // 10, np.full((60, 3), 1 / 3))


@pytest.fixture
def setup():
    turns = SimpleNamespace(talks=SimpleNamespace(part=lambda split: split))
    return SimpleNamespace(split="valid", context_seeds=2, untrained_turns=lambda *_: turns)


def test_pretraining_is_compared_with_random_starts_and_placebos(setup, monkeypatch, tmp_path):
    quality = {"random": 1.0, "contrast": 4.0, "contrast, shuffled turns": 1.0}
    quality |= {decoder: 1.0 for decoder in study.DECODERS if decoder not in quality}
    costs = pd.DataFrame({"seconds": [1.0]}, index=["contrast"])
    monkeypatch.setattr(study, "pretrained_starts", lambda _: (dict.fromkeys(quality), costs))
    monkeypatch.setattr(dialogue, "train_contexts", lambda _, seeds, name, **__: [(name, seed) for seed in seeds])
    monkeypatch.setattr(dialogue, "best_epochs", lambda _, seeds, name: [3 for _ in seeds])
    monkeypatch.setattr(
        dialogue,
        "in_context",
        lambda model, _: answers(quality[model[0].replace(",-", ", ").replace("-", " ")], model[1]),
    )
    report = study.pretraining(setup, tmp_path)
    scores = report.tables["weighted F1 by share of the dialogues"]
    assert (scores.loc["contrast"] > scores.loc["random"] + 10).all()
    for rival in ("random", "shuffled turns"):
        gain, interval = report.tables[f"above {rival}"].loc["contrast", 1.0].split(" (")
        assert float(interval.split(" to ")[0]) > 10
        assert float(gain) > float(interval.split(" to ")[0])
    assert list(report.tables["above shuffled turns"].index) == ["contrast"]
    assert (report.tables["epoch with the best validation score"] == 3).all(axis=None)
    assert (tmp_path / "weighted-f1.png").stat().st_size > 10_000
