"""Measure a shipped checkpoint: corpora it was trained on, one unseen corpus, calibration, and abstention.

`zero_shot`, `few_shot` and `novelty` measure models that are trained again with held-out emotions.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from emoembed import corpora, metrics
from emoembed.corpora.corpus import Corpus
from emoembed.encoders.facial_actions import FacialActionReader
from emoembed.errors import InputError
from emoembed.labels.emotion import table
from emoembed.model.calibration import RISKS, confidence
from emoembed.model.model import EmotionModel
from emoembed.reading import corpus_rows
from emoembed.reading.cache import cache_folder
from emoembed.reading.rows import EmotionData
from emoembed.training.abstention import halves, lists
from emoembed.training.loop import encode_rows

SIX = ("anger", "fear", "joy", "love", "sadness", "surprise")
"""The emotions of dair_emotion, and of the rows of semeval2018 that choices for it are made on."""


def action_reader(file: Path | None) -> FacialActionReader:
    """The reader of facial actions in a file; by default the newest that checkpoints/build has made."""
    made = sorted((cache_folder() / "build").glob("actions-*.safetensors"), key=lambda path: path.stat().st_mtime)
    if file is None and not made:
        raise InputError("there is no reader of facial actions; make it: make blendshapes checkpoint DATA=DIR")
    return FacialActionReader.load(file or made[-1])


def rows_of(model: EmotionModel, corpus: Corpus, cache: Path | None = None) -> tuple[str, EmotionData]:
    """A corpus's modality and its rows as this model reads them."""
    from emoembed.evaluation.folds import modality_of

    modality = modality_of(corpus)
    if modality == "text":
        assert model.phrases is not None
        return modality, corpus_rows.text_data(corpus, model.phrases)
    return modality, {"audio": corpus_rows.audio_data, "video": corpus_rows.video_data}[modality](corpus, cache)


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
    drawn = corpus.groups()[corpus.samples["id"].isin(kept).to_numpy()]
    return pd.DataFrame([answers(shares, true, drawn)], index=pd.Index([system], name=f"{name}, {split or 'all'}"))


def answers(shares: np.ndarray, true: np.ndarray, drawn: np.ndarray) -> dict[str, float]:
    """Accuracy, UAR and calibration error of the likeliest labels, with their 95 % intervals.

    Args:
        shares: probabilities `(rows, labels)`.
        true: column of each row's label.
        drawn: what rows are redrawn by: speakers, dialogues, or the rows themselves.
    """
    answered = shares.argmax(axis=1)
    right = answered == true
    low, high = metrics.bootstrap(lambda at: float(right[at].mean()), drawn)
    uar_low, uar_high = metrics.bootstrap(lambda at: metrics.uar(answered[at], true[at]), drawn)
    sure = shares.max(axis=1)
    return {
        "rows": len(true),
        "accuracy": float(right.mean()),
        "accuracy low": low,
        "accuracy high": high,
        "UAR": metrics.uar(answered, true),
        "UAR low": uar_low,
        "UAR high": uar_high,
        **error_of("ECE", sure, right, drawn),
    }


def error_of(name: str, probabilities: np.ndarray, right: np.ndarray, drawn: np.ndarray) -> dict[str, float]:
    """Expected calibration error of probabilities `(n,)` that came true or not, with its 95 % interval.

    The bootstrap inflates calibration errors, so the interval is biased upwards: its upper end is the useful one.
    """
    low, high = metrics.bootstrap(
        lambda at: metrics.expected_calibration_error(probabilities[at], right[at]), drawn, samples=300
    )
    error = metrics.expected_calibration_error(probabilities, right)
    return {name: error, f"{name} low": low, f"{name} high": high}


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
    trust = model.label_trust(points)
    raw = model.score({modality: encode_rows(model, rows)[modality].clone()}, points, trust)
    softmax, sigmoid = (model.calibrated(raw, trust, multi_label=several)[modality] for several in (False, True))
    return softmax, sigmoid


@torch.no_grad()
def fused(model: EmotionModel, rows: EmotionData) -> np.ndarray:
    """Logits `(rows, labels)` of all modalities a row has, calibrated and weighed as `predict` has them."""
    points = {name: matrix.clone() for name, matrix in encode_rows(model, rows).items()}
    label_points = model.label_points(rows.labels)
    trust = model.label_trust(label_points)
    raw = model.score(points, label_points, trust)
    return model.fuse(model.calibrated(raw, trust, multi_label=False), trust, among=True).numpy()


def judged(
    model: EmotionModel, name: str, data: Path, split: str, cache: Path | None = None
) -> dict[str, tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """Probabilities and whether they came true: of the best answer to rows of one label, and of each label by itself.

    Returns:
        `among labels` and `each label` -> probabilities `(n,)`, booleans `(n,)`, and what each is redrawn with `(n,)`.
    """
    corpus = corpora.load(name, data).canonical().split(split)
    modality, rows = rows_of(model, corpus, cache)
    shares, each = probabilities(model, modality, rows, rows.labels)
    has_one_label = (rows.targets == 1).sum(axis=1) == 1
    right = shares[has_one_label].argmax(axis=1) == rows.targets[has_one_label].argmax(axis=1)
    drawn = groups_of(corpus, rows)
    return {
        "among labels": (shares[has_one_label].max(axis=1), right, drawn[has_one_label]),
        "each label": (each.ravel(), (rows.targets == 1).ravel(), drawn.repeat(len(rows.labels))),
    }


def groups_of(corpus: Corpus, rows: EmotionData) -> np.ndarray:
    """What rows of a corpus are redrawn with, `(rows,)`."""
    known = dict(zip(corpus.samples["id"], corpus.groups(), strict=True))
    return np.array([known[i.partition("/")[2]] for i in rows.ids])


def calibration(model: EmotionModel, name: str, data: Path, split: str, cache: Path | None = None) -> pd.DataFrame:
    """Expected calibration error of the labels of a corpus: among them, over rows of one label, and each by itself.

    The second column is the error that a perfectly calibrated model would have on as many rows.
    """
    judgements = judged(model, name, data, split, cache)
    figures: dict[str, float] = {"rows of one label": len(judgements["among labels"][0])}
    for way, judgement in judgements.items():
        figures |= error_of(f"ECE, {way}", *judgement)
        figures[f"ECE, {way}, by chance"] = metrics.chance_calibration_error(judgement[0])
    return pd.DataFrame([figures], index=pd.Index([name], name=f"corpus, {split}"))


@torch.no_grad()
def abstention(
    model: EmotionModel, name: str, data: Path, split: str, *, seed: int = 1, cache: Path | None = None
) -> pd.DataFrame:
    """For each risk asked for: the share answered, and the share of those that is wrong, with their 95 % intervals.

    Rows are asked with random lists of labels, which lack the right one half of the time, as when the thresholds were
    fitted.
    """
    corpus = corpora.load(name, data).canonical().split(split)
    modality, rows = rows_of(model, corpus, cache)
    softmax, sigmoid = _calibrated(model, modality, rows, rows.labels)
    sure: list[Tensor] = []
    wrong: list[np.ndarray] = []
    answerable: list[np.ndarray] = []
    for columns in lists(len(rows.labels), seed):
        shares = softmax[:, columns].softmax(dim=1)
        sure.append(confidence(shares, sigmoid[:, columns].sigmoid()))
        best = shares.argmax(dim=1).numpy()
        wrong.append(rows.targets[np.arange(len(rows)), columns[best]] != 1)
        answerable.append((rows.targets[:, columns] == 1).any(axis=1))
    confidences = torch.stack(sure, dim=1).numpy()
    counts = halves(torch.from_numpy(np.stack(answerable, axis=1))).numpy()
    groups = groups_of(corpus, rows)
    by_risk: dict[float, dict[str, float]] = {}
    for risk in RISKS:
        answered = counts * (confidences >= model.modality(modality).calibration.threshold(risk))
        by_row = {"answered": (answered, counts), "wrong of those": (answered * np.stack(wrong, axis=1), answered)}
        by_risk[risk] = {}
        for what, (part, whole) in by_row.items():
            share = partial(_share_of, part.sum(axis=1), whole.sum(axis=1))
            low, high = metrics.bootstrap(share, groups, samples=300)
            by_risk[risk] |= {what: share(np.arange(len(rows))), f"{what} low": low, f"{what} high": high}
    return pd.DataFrame(by_risk).T.rename_axis(f"risk asked for ({name}, {split})")


def _share_of(part: np.ndarray, whole: np.ndarray, at: np.ndarray) -> float:
    """The share that sums over rows `at` are of others; NaN of nothing."""
    total = float(whole[at].sum())
    return float(part[at].sum()) / total if total else float("nan")


@torch.no_grad()
def label_map(model: EmotionModel, modality: str) -> pd.DataFrame:
    """The table's labels in two dimensions: leading directions of a modality's label points, and which were seen."""
    names = list(table())
    points = model.label_points(names)[modality]
    centred = points - points.mean(dim=0)
    _, _, directions = torch.linalg.svd(centred, full_matrices=False)
    flat = (centred @ directions[:2].T).numpy()
    seen = set(model.state.seen_in(modality))
    return pd.DataFrame({"x": flat[:, 0], "y": flat[:, 1], "seen": [name in seen for name in names]}, index=names)
