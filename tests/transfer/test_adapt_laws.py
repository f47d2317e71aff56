"""Teaching some labels harms no others: measured with `base` on real corpora."""

import os
from functools import cache

import numpy as np
import pytest
import torch

import emoembed
from emoembed import corpora, metrics
from emoembed.reading import corpus_rows
from emoembed.training.loop import encode_rows
from emoembed.transfer import few_shot

DATA = os.environ.get("EMOEMBED_DATA")
pytestmark = pytest.mark.skipif(DATA is None, reason="EMOEMBED_DATA names no folder with the real corpora")
CORPORA = {"goemotions": ("text", "valid"), "enisear": ("text", None), "ravdess": ("audio", "valid")}
SHOTS, DRAWS = 8, 6


@cache
def rows_of(name):
    """The rows of one label: modality, points, labels and the column of each row's label."""
    modality, split = CORPORA[name]
    model = emoembed.load("base").model
    corpus = corpora.load(name, DATA)
    corpus = corpus.split(split) if split else corpus
    rows = corpus_rows.text_data(corpus, model.phrases) if modality == "text" else corpus_rows.audio_data(corpus)
    rows = rows.rows((rows.targets == 1).sum(axis=1) == 1)
    points = encode_rows(model, rows)[modality].clone()
    return model, modality, points, rows.labels, rows.targets.argmax(axis=1)


@torch.no_grad()
def scored(model, modality, points, labels):
    """Logits, and calibrated probabilities among the labels."""
    label_points = model.label_points(labels)
    trust = model.label_trust(label_points)
    raw = model.score({modality: points}, label_points, trust)
    return raw[modality].numpy(), model.calibrated(raw, trust, multi_label=False)[modality].softmax(dim=1).numpy()


def measures(model, modality, points, labels, true, taught):
    """UAR of the labels that are not taught, UAR of all, mean AUC of the taught ones, calibration error."""
    raw, shares = scored(model, modality, points, labels)
    answers = shares.argmax(axis=1)
    recall = {j: float((answers[true == j] == j).mean()) for j in np.unique(true)}
    return np.array(
        [
            np.mean([value for j, value in recall.items() if j not in taught] or [np.nan]),
            np.mean(list(recall.values())),
            np.mean([metrics.auc(raw[:, j], true == j) for j in taught]),
            metrics.expected_calibration_error(shares.max(axis=1), answers == true),
        ]
    )


def changes(name, count):
    """Mean change of `measures` by teaching `count` labels, over draws."""
    model, modality, points, labels, true = rows_of(name)
    enough = [j for j in range(len(labels)) if (true == j).sum() >= 2 * SHOTS]
    differences = []
    for seed in range(DRAWS):
        generator = np.random.default_rng(seed)
        taught = sorted(generator.permutation(enough)[:count].tolist())
        support = {j: generator.permutation(np.flatnonzero(true == j))[:SHOTS] for j in taught}
        rest = torch.from_numpy(np.setdiff1d(np.arange(len(true)), np.concatenate(list(support.values()))))
        with torch.no_grad():
            words = model.label_points([labels[j] for j in taught])[modality]
            others = [label for label in model.state.labels if label not in [labels[j] for j in taught]]
            rivals = model.label_points(others)[modality]
        adapted = few_shot.adapt(
            model,
            {labels[j]: {modality: points[torch.from_numpy(support[j])]} for j in taught},
            {labels[j]: {modality: word} for j, word in zip(taught, words, strict=True)},
            others={modality: rivals},
        )
        before, after = (
            measures(m, modality, points[rest], labels, true[rest.numpy()], taught) for m in (model, adapted)
        )
        differences.append(after - before)
    return dict(zip(("untaught", "all", "auc", "ece"), np.mean(differences, axis=0), strict=True))


@pytest.mark.parametrize(
    ("name", "count"), [("goemotions", 1), ("goemotions", 2), ("goemotions", 5), ("enisear", 2), ("ravdess", 2)]
)
def test_labels_that_are_not_taught_lose_at_most_two_points(name, count):
    change = changes(name, count)
    assert change["untaught"] >= -0.02
    assert change["auc"] >= -0.005
    assert change["ece"] <= 0.03


@pytest.mark.parametrize("name", ["enisear"])
def test_all_labels_taught_gain_on_a_corpus_that_was_not_trained_on(name):
    change = changes(name, 99)
    assert change["all"] >= 0.02
    assert change["auc"] > 0
    assert change["ece"] <= 0.03
