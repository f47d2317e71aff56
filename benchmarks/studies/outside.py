"""Measure a model on corpora that it was not trained on: by name, after attuning, and after a few examples."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import torch
from torch import Tensor

from emoembed import corpora, metrics
from emoembed.corpora.corpus import Corpus
from emoembed.corpora.readers.situations import read_pairs
from emoembed.encoders.transformer import TransformerSettings
from emoembed.features import picture_files, video
from emoembed.labels.emotion import canonical
from emoembed.labels.projections import LabelParts
from emoembed.model.calibration import confidence
from emoembed.model.model import EmotionModel
from emoembed.reading import corpus_rows
from emoembed.reading.rows import EmotionData
from emoembed.training import pretrained
from emoembed.training.build import build
from emoembed.training.loop import encode_rows
from emoembed.transfer import few_shot
from studies import shipped

RISK = 0.2
SHOTS, DRAWS = 8, 3


@dataclass(frozen=True)
class Question:
    """A corpus, the rows that are scored, and the measure: accuracy, UAR or AUC (mean over labels)."""

    corpus: str
    measure: str
    split: str | None = None
    """The split that is scored; None for all rows."""
    labels: tuple[str, ...] = ()
    """The labels that are asked for; by default all of the corpus. Rows with exactly one of them are scored, unless the
    measure is AUC."""


CHOOSING = (
    Question("semeval2018", "accuracy", "valid", shipped.SIX),
    Question("enisear", "UAR"),
    Question("goodnewseveryone", "UAR"),
    Question("emolit_gold", "AUC"),
    Question("covidet", "AUC"),
)
"""The corpora on which choices in text are made, by the mean of their measures."""
TESTED = (Question("dair_emotion", "accuracy", "test", shipped.SIX), Question("po_emo_en", "UAR"))


@dataclass(frozen=True)
class EncodedQuestion:
    """The rows of a question as a model reads them."""

    question: Question
    modality: str
    rows: EmotionData
    points: Tensor
    groups: np.ndarray

    @property
    def true(self) -> np.ndarray:
        """Column of each row's label `(rows,)`; for rows with one label."""
        return self.rows.targets.argmax(axis=1)


def encode_question(model: EmotionModel, question: Question, data: Path) -> EncodedQuestion:
    """Read and encode the rows of a question."""
    corpus = corpora.load(question.corpus, data).canonical()
    corpus = corpus.split(question.split) if question.split else corpus
    return encode_corpus(model, corpus, question.measure, question.labels)


def encode_corpus(model: EmotionModel, corpus: Corpus, measure: str, labels: Sequence[str] = ()) -> EncodedQuestion:
    """Encode the rows of a corpus that a measure is taken of, with these labels; by default all of the corpus."""
    question = Question(corpus.name, measure, labels=tuple(labels))
    labels = tuple(label for label in labels or corpus.labels if measure != "AUC" or label != "neutral")
    kept = [tuple(label for label in row if label in labels) for row in corpus.samples["labels"]]
    samples = corpus.samples.assign(labels=pd.Series(kept, corpus.samples.index, dtype=object))
    corpus = Corpus(corpus.name, samples, labels, corpus.multi_label)
    if measure != "AUC":
        corpus = corpus.where([len(row) == 1 for row in kept])
    modality, rows = shipped.rows_of(model, corpus)
    points = encode_rows(model, rows)[modality].clone()
    return EncodedQuestion(question, modality, rows, points, shipped.groups_of(corpus, rows))


@torch.no_grad()
def logits_of(model: EmotionModel, modality: str, points: Tensor, labels: Sequence[str]) -> tuple[Tensor, Tensor]:
    """Calibrated logits `(rows, labels)` for a softmax, and for a sigmoid."""
    label_points = model.label_points(labels)
    trust = model.label_trust(label_points)
    raw = model.score({modality: points}, label_points, trust)
    softmax, sigmoid = (model.calibrated(raw, trust, multi_label=several)[modality] for several in (False, True))
    return softmax, sigmoid


def measure(model: EmotionModel, encoded: EncodedQuestion) -> dict[str, float]:
    """The question's measure with its 95 % interval; for rows with one label also calibration and abstention."""
    softmax, sigmoid = logits_of(model, encoded.modality, encoded.points, encoded.rows.labels)
    if encoded.question.measure == "AUC":
        return _with_interval("", lambda at: mean_auc(sigmoid.numpy()[at], encoded.rows.targets[at]), encoded.groups)
    figures = shipped.answers(softmax.softmax(dim=1).numpy(), encoded.true, encoded.groups)
    name = encoded.question.measure
    sure = confidence(softmax.softmax(dim=1), sigmoid.sigmoid()).numpy()
    answered = sure >= model.modality(encoded.modality).calibration.threshold(RISK)
    right = softmax.argmax(dim=1).numpy() == encoded.true
    return {
        "": figures[name],
        "low": figures[f"{name} low"],
        "high": figures[f"{name} high"],
        "ECE": figures["ECE"],
        "answered": float(answered.mean()),
        "wrong of those": float(1 - right[answered].mean()) if answered.any() else float("nan"),
    }


def value(model: EmotionModel, encoded: EncodedQuestion, keep: np.ndarray | None = None) -> float:
    """The question's measure alone, of all rows or of those at the positions `keep`."""
    rows = np.arange(len(encoded.rows)) if keep is None else keep
    softmax, sigmoid = logits_of(model, encoded.modality, encoded.points[torch.from_numpy(rows)], encoded.rows.labels)
    if encoded.question.measure == "AUC":
        return mean_auc(sigmoid.numpy(), encoded.rows.targets[rows])
    answers, true = softmax.argmax(dim=1).numpy(), encoded.true[rows]
    return metrics.uar(answers, true) if encoded.question.measure == "UAR" else float((answers == true).mean())


def adapted(
    model: EmotionModel, encoded: EncodedQuestion, shots: int = SHOTS, draws: int = DRAWS
) -> tuple[float, float]:
    """The measure before and after teaching every label from examples, on the other rows; means over draws.

    A label with fewer than twice as many rows as examples is not taught.
    """
    before, after = [], []
    for seed in range(draws):
        generator = np.random.default_rng(seed)
        support = {
            label: generator.permutation(np.flatnonzero(column == 1))[:shots]
            for label, column in zip(encoded.rows.labels, encoded.rows.targets.T, strict=True)
            if (column == 1).sum() >= 2 * shots
        }
        rest = np.setdiff1d(np.arange(len(encoded.rows)), np.concatenate(list(support.values())))
        before.append(value(model, encoded, rest))
        after.append(value(teach(model, encoded, support), encoded, rest))
    return float(np.mean(before)), float(np.mean(after))


def teach(model: EmotionModel, encoded: EncodedQuestion, support: dict[str, np.ndarray]) -> EmotionModel:
    """The model after learning labels from the rows at these positions."""
    name = encoded.modality
    with torch.no_grad():
        words = model.label_points(list(support))[name]
        known = [label for label in model.state.labels if canonical(label) not in support]
        others = {name: model.label_points(known)[name]} if known else {}
    return few_shot.adapt(
        model,
        {label: {name: encoded.points[torch.from_numpy(rows)]} for label, rows in support.items()},
        {label: {name: word} for label, word in zip(support, words, strict=True)},
        others=others,
    )


def mean_auc(scores: np.ndarray, targets: np.ndarray) -> float:
    """Mean over labels of the AUC of `(rows, labels)` scores, over labels that some rows have and others lack."""
    aucs = [
        metrics.auc(scores[:, column], targets[:, column] == 1)
        for column in range(targets.shape[1])
        if 0 < (targets[:, column] == 1).sum() < len(targets)
    ]
    return float(np.mean(aucs))


def _with_interval(name: str, measured: Callable[[np.ndarray], float], groups: np.ndarray) -> dict[str, float]:
    low, high = metrics.bootstrap(measured, groups, samples=200)
    return {name: measured(np.arange(len(groups))), "low": low, "high": high}


def situations(model: EmotionModel, folder: Path, split: str) -> dict[str, float]:
    """Texts written for this project: the share for which the right emotion of all is first, and among the first five.

    And minimal pairs: the share of which both texts are nearer to their own emotion than to the other's.
    """
    assert model.phrases is not None
    corpus = corpora.load("situations", folder).split(split)
    rows = corpus_rows.text_data(corpus, model.phrases)
    names = [label for label in corpora.load("situations", folder).split("test").labels if label in _table()]
    points = encode_rows(model, rows)["text"].clone()
    order = logits_of(model, "text", points, names)[0].argsort(dim=1, descending=True)
    own = torch.tensor([names.index(row[0]) for row in corpus.samples["labels"]])
    shares = {f"right among {k}": float((order[:, :k] == own[:, None]).any(dim=1).float().mean()) for k in (1, 5)}
    pairs = read_pairs(folder).split(split)
    points = encode_rows(model, corpus_rows.text_data(pairs, model.phrases))["text"].clone()
    labels = list(pairs.labels)
    scores = logits_of(model, "text", points, labels)[0]
    at = torch.arange(len(scores))
    own = torch.tensor([labels.index(row[0]) for row in pairs.samples["labels"]])
    rival = torch.tensor([labels.index(name) for name in pairs.samples["rival"]])
    right = (scores[at, own] > scores[at, rival]).view(-1, 2)
    return shares | {"both of a pair": float(right.all(dim=1).float().mean())}


def _table() -> set[str]:
    from emoembed.labels.emotion import table

    return set(table())


def of_choices(model: EmotionModel, data: Path) -> dict[str, float]:
    """Short stories with six choices each (EmoBench): accuracy, with its interval."""
    assert model.phrases is not None
    corpus = corpora.load("emobench_eu", data)
    rows = corpus_rows.text_data(corpus, model.phrases)
    names = list(dict.fromkeys(name for row in corpus.samples["choices"] for name in row))
    simple = {name: name.replace(" & ", " and ") for name in names}
    scores = logits_of(model, "text", encode_rows(model, rows)["text"].clone(), list(simple.values()))[0].numpy()
    right = np.array(
        [
            row[np.argmax(scores[i, [names.index(name) for name in row]])] == true[0]
            for i, (row, true) in enumerate(zip(corpus.samples["choices"], corpus.samples["labels"], strict=True))
        ]
    )
    return _with_interval("", lambda at: float(right[at].mean()), corpus.groups())


def _small(grey: np.ndarray) -> np.ndarray:
    return cv2.resize(grey, (24, 24), interpolation=cv2.INTER_AREA)


def _turned(grey: np.ndarray) -> np.ndarray:
    side = grey.shape[0]
    turn = cv2.getRotationMatrix2D(((side - 1) / 2, (side - 1) / 2), 12, 1.0)
    return cv2.warpAffine(grey, turn, (side, side), borderMode=cv2.BORDER_REPLICATE)


def _covered(grey: np.ndarray) -> np.ndarray:
    covered = grey.copy()
    covered[:, : grey.shape[1] // 4] = 128
    return covered


def _noisy(grey: np.ndarray) -> np.ndarray:
    return np.clip(grey + np.random.default_rng(0).normal(0, 12, grey.shape), 0, 255)


CHANGES_OF_FACES: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "unchanged": lambda grey: grey,
    "24 pixels": _small,
    "224 pixels": lambda grey: cv2.resize(grey, (224, 224), interpolation=cv2.INTER_CUBIC),
    "blurred": lambda grey: cv2.GaussianBlur(grey, (0, 0), 1.2),
    "noisy": _noisy,
    "dark": lambda grey: grey * 0.35,
    "low contrast": lambda grey: 128 + (grey.astype(np.float32) - 128) * 0.4,
    "light from the left": lambda grey: grey * np.linspace(1.0, 0.35, grey.shape[1])[None],
    "turned by 12 degrees": _turned,
    "a quarter covered": _covered,
}
"""What cameras and people do to a grey face `(side, side)`, 0 to 255."""


def of_changed_faces(model: EmotionModel, corpus: Corpus, change: Callable[[np.ndarray], np.ndarray]) -> Tensor:
    """Points `(rows, point_dim)` of the pictures of a corpus after a change, read as cropped faces."""
    pixels = {
        row: video.read_faces(change(picture_files.read(path)).astype(np.uint8), detector="none")
        for row, path in zip(corpus.samples["id"], corpus.samples["video"], strict=True)
    }
    rows = corpus_rows.annotate(corpus, {"video": {row: track.features.values for row, track in pixels.items()}})
    return encode_rows(model, rows)["video"].clone()


def untrained(name: str | Path) -> EmotionModel:
    """A sentence encoder as it was published, by hub id or folder: cosines of texts and label prompts."""
    read = pretrained.read("text", name, rank=0)
    settings = read.modality.settings
    assert isinstance(settings, TransformerSettings)
    plain = TransformerSettings(settings.trunk_config)
    size = int(settings.trunk_config["hidden_size"])
    config = replace(read.modality, embed_dim=size, settings=plain, parts=LabelParts(), residual=0)
    return build({"text": config}, read.sentence_encoder())
