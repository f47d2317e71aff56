"""The figures of a checkpoint as it ships: corpora it was taught, one it never saw, calibration, and abstention.

What takes models trained anew, emotions held out, is in `zero_shot`, `few_shot` and `novelty`.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from emoembed import corpora, corpus_data, metrics
from emoembed.corpora.corpus import Corpus
from emoembed.data import EmotionData
from emoembed.errors import InputError
from emoembed.evaluation.abstention import halves, lists
from emoembed.labels import table
from emoembed.model import EmotionModel
from emoembed.reliability import RISKS, confidence
from emoembed.train import encode_rows

SIX = ("anger", "fear", "joy", "love", "sadness", "surprise")
"""The emotions of dair_emotion, and of the rows of semeval2018 that choices for it are made on."""


def rows_of(model: EmotionModel, corpus: Corpus, cache: Path | None = None) -> tuple[str, EmotionData]:
    """A corpus's modality and its rows as this model reads them."""
    from emoembed.evaluation.folds import modality_of

    modality = modality_of(corpus)
    if modality == "text":
        assert model.phrases is not None
        return modality, corpus_data.text_data(corpus, model.phrases)
    return modality, {"audio": corpus_data.audio_data, "video": corpus_data.video_data}[modality](corpus, cache)


def by_name(
    model: EmotionModel,
    name: str,
    data: Path,
    labels: Sequence[str],
    split: str | None,
    *,
    cache: Path | None = None,
    system: str = "emoembed",
) -> pd.DataFrame:
    """One label of a list, by name alone: accuracy and UAR with their intervals, calibration error, one row.

    Args:
        model: whatever it was trained on.
        name: of the corpus.
        data: the folder that holds it.
        labels: asked for; the rows that bear exactly one of them are scored.
        split: of the corpus; None for all of its rows.
        cache: where features are kept.
        system: what the row is called.
    """
    corpus = corpora.load(name, data).canonical()
    corpus = corpus.split(split) if split else corpus
    borne = [[label for label in row if label in labels] for row in corpus.samples["labels"]]
    corpus = corpus.where([len(row) == 1 for row in borne])
    if corpus.samples.empty:
        raise InputError(f"no row of {name} bears exactly one of {', '.join(labels)}")
    modality, rows = rows_of(model, corpus, cache)
    shares, _ = probabilities(model, modality, rows, tuple(labels))
    kept = {i.partition("/")[2] for i in rows.ids}
    chosen = [
        row[0] for i, row in zip(corpus.samples["id"], (r for r in borne if len(r) == 1), strict=True) if i in kept
    ]
    true = np.array([list(labels).index(label) for label in chosen])
    groups = corpus.samples["dialogue"].fillna(corpus.samples["speaker"]).fillna(corpus.samples["id"])
    drawn = groups[corpus.samples["id"].isin(kept)].to_numpy()
    return pd.DataFrame([answers(shares, true, drawn)], index=pd.Index([system], name=f"{name}, {split or 'all'}"))


def answers(shares: np.ndarray, true: np.ndarray, drawn: np.ndarray) -> dict[str, float]:
    """Accuracy and UAR of the likeliest labels with their 95 % intervals, and calibration error.

    Args:
        shares: probabilities `(rows, labels)`.
        true: column of each row's label.
        drawn: what rows are redrawn by: speakers, dialogues, or the rows themselves.
    """
    answered = shares.argmax(axis=1)
    right = answered == true
    low, high = metrics.bootstrap(lambda at: float(right[at].mean()), drawn)
    uar_low, uar_high = metrics.bootstrap(lambda at: metrics.uar(answered[at], true[at]), drawn)
    return {
        "rows": len(true),
        "accuracy": float(right.mean()),
        "accuracy low": low,
        "accuracy high": high,
        "UAR": metrics.uar(answered, true),
        "UAR low": uar_low,
        "UAR high": uar_high,
        "ECE": metrics.expected_calibration_error(shares.max(axis=1), right),
    }


@torch.no_grad()
def probabilities(
    model: EmotionModel, modality: str, rows: EmotionData, labels: tuple[str, ...]
) -> tuple[np.ndarray, np.ndarray]:
    """Calibrated probabilities among the labels, and of each by itself, `(rows, labels)` both, of one modality."""
    softmax, sigmoid = _calibrated(model, modality, rows, labels)
    return softmax.softmax(dim=1).numpy(), sigmoid.sigmoid().numpy()


def _calibrated(
    model: EmotionModel, modality: str, rows: EmotionData, labels: tuple[str, ...]
) -> tuple[Tensor, Tensor]:
    """Logits `(rows, labels)` whose softmax, and whose sigmoid, is a probability; no label's depend on the others."""
    points = model.label_points(labels)
    known = model.label_trust(points)
    raw = model.score({modality: encode_rows(model, rows)[modality].clone()}, points, known)
    softmax, sigmoid = (model.calibrated(raw, known, multi_label=several)[modality] for several in (False, True))
    return softmax, sigmoid


@torch.no_grad()
def fused(model: EmotionModel, rows: EmotionData) -> np.ndarray:
    """Logits `(rows, labels)` of all modalities a row has, calibrated and weighed as `predict` has them."""
    points = {name: matrix.clone() for name, matrix in encode_rows(model, rows).items()}
    label_points = model.label_points(rows.labels)
    known = model.label_trust(label_points)
    raw = model.score(points, label_points, known)
    return model.fuse(model.calibrated(raw, known, multi_label=False), known, among=True).numpy()


def judged(
    model: EmotionModel, name: str, data: Path, split: str, cache: Path | None = None
) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Probabilities and whether they came true: of the best answer to rows of one label, and of each label by itself.

    Returns:
        `among labels` and `each label` -> probabilities `(n,)` and booleans `(n,)`.
    """
    corpus = corpora.load(name, data).canonical().split(split)
    modality, rows = rows_of(model, corpus, cache)
    shares, each = probabilities(model, modality, rows, rows.labels)
    one = (rows.targets == 1).sum(axis=1) == 1
    right = shares[one].argmax(axis=1) == rows.targets[one].argmax(axis=1)
    return {"among labels": (shares[one].max(axis=1), right), "each label": (each.ravel(), (rows.targets == 1).ravel())}


def calibration(model: EmotionModel, name: str, data: Path, split: str, cache: Path | None = None) -> pd.DataFrame:
    """Expected calibration error of the labels of a corpus: among them, over rows of one label, and each by itself."""
    found = judged(model, name, data, split, cache)
    errors = {f"ECE, {way}": metrics.expected_calibration_error(*one) for way, one in found.items()}
    figures = {"rows of one label": len(found["among labels"][0]), **errors}
    return pd.DataFrame([figures], index=pd.Index([name], name=f"corpus, {split}"))


@torch.no_grad()
def abstention(
    model: EmotionModel, name: str, data: Path, split: str, *, seed: int = 1, cache: Path | None = None
) -> pd.DataFrame:
    """For each risk asked for: the share answered, and the share of those that is wrong.

    Rows are asked with random lists of labels, which lack the right one half of the time, as when the thresholds were
    fitted.
    """
    corpus = corpora.load(name, data).canonical().split(split)
    modality, rows = rows_of(model, corpus, cache)
    softmax, sigmoid = _calibrated(model, modality, rows, rows.labels)
    sure: list[Tensor] = []
    wrong: list[np.ndarray] = []
    there: list[np.ndarray] = []
    for asked in lists(len(rows.labels), seed):
        shares = softmax[:, asked].softmax(dim=1)
        sure.append(confidence(shares, sigmoid[:, asked].sigmoid()))
        best = shares.argmax(dim=1).numpy()
        wrong.append(rows.targets[np.arange(len(rows)), asked[best]] != 1)
        there.append((rows.targets[:, asked] == 1).any(axis=1))
    confidences, mistaken = torch.cat(sure).numpy(), np.concatenate(wrong)
    counts = halves(torch.from_numpy(np.concatenate(there))).numpy()
    found = {}
    for risk in RISKS:
        answered = confidences >= model.trust(modality).threshold(risk)
        share = float(np.average(mistaken[answered], weights=counts[answered])) if answered.any() else float("nan")
        found[risk] = {"answered": float(np.average(answered, weights=counts)), "wrong of those": share}
    return pd.DataFrame(found).T.rename_axis(f"risk asked for ({name}, {split})")


@torch.no_grad()
def label_map(model: EmotionModel, modality: str) -> pd.DataFrame:
    """The table's labels in two dimensions: leading directions of a modality's label points, and which were seen."""
    names = list(table())
    points = model.label_points(names)[modality]
    centred = points - points.mean(dim=0)
    _, _, directions = torch.linalg.svd(centred, full_matrices=False)
    flat = (centred @ directions[:2].T).numpy()
    seen = set(model.config.modalities[modality].seen)
    return pd.DataFrame({"x": flat[:, 0], "y": flat[:, 1], "seen": [name in seen for name in names]}, index=names)
