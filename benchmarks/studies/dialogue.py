"""Models of emotion in dialogues, with and without earlier turns: trained, pre-trained, and answering."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd
import safetensors.torch
import torch
from texts import TEXT_ROWS, drawn, training_corpora
from torch import Tensor

from emoembed import corpora
from emoembed.corpora.corpus import Corpus, make_samples
from emoembed.encoders.context import ContextSettings
from emoembed.model import checkpoint
from emoembed.model.model import EmotionModel
from emoembed.reading import corpus_rows
from emoembed.reading.rows import EmotionData, join
from emoembed.reading.turns import dialogue_rows
from emoembed.training import recipes
from emoembed.training.config import TrainConfig
from emoembed.training.dialogue.context import (
    CONTEXT,
    ContextScorer,
    ContextStart,
    train_context,
    with_context,
)
from emoembed.training.dialogue.cross_fit import cross_fit
from emoembed.training.dialogue.rows import DialoguePoints, turn_rows
from emoembed.training.fit import train
from emoembed.training.loop import encode_rows
from emoembed.training.recipes import Recipe
from emoembed.transfer.dialogue.pretrain import PretrainConfig, Pretrained, TurnSequences, pretrain
from studies.dialogue_measures import Answers, Measure, row_of

BEST_EPOCH = "best epoch"
"""Key in the metadata of a kept context."""


@dataclass(frozen=True)
class Talks:
    """A corpus of dialogues with the points of its texts, `(rows, point_dim)`."""

    corpus: Corpus
    points: Tensor

    @property
    def labels(self) -> tuple[str, ...]:
        return self.corpus.labels

    @property
    def targets(self) -> np.ndarray:
        rows = self.corpus.samples["labels"]
        return np.array([[label in row for label in self.labels] for row in rows], dtype=np.float32)

    def part(self, split: str, labels: Sequence[str] | None = None) -> DialoguePoints:
        """The dialogues of a split. Turns without one of `labels` only inform later turns."""
        samples = self.corpus.samples
        in_split = (samples["split"] == split).to_numpy()
        groups = dialogue_rows(self.corpus.where(in_split))
        positions = np.flatnonzero(in_split)
        names = self.labels if labels is None else tuple(labels)
        targets = self.targets[positions][:, [self.labels.index(name) for name in names]]
        data = EmotionData(
            tuple(samples["id"].iloc[positions]), {}, names, targets, np.zeros(len(positions), dtype=bool)
        )
        return DialoguePoints({"text": self.points[positions]}, data, groups, list(samples["speaker"].iloc[positions]))


def read(model: EmotionModel, name: str, data: Path, cache: Path | None = None) -> Talks:
    """A corpus with the points of its texts. They are kept in `cache`, a file, if it is given."""
    corpus = load(name, data)
    if cache is not None and cache.is_file():
        return Talks(corpus, torch.from_numpy(np.load(cache)))
    talks = Talks(corpus, encode(model, corpus))
    if cache is not None:
        cache.parent.mkdir(parents=True, exist_ok=True)
        np.save(cache, talks.points.numpy())
    return talks


def load(name: str, data: Path) -> Corpus:
    """A corpus with train, valid and test dialogues. DailyDialog's validation set is divided, as it has no other."""
    corpus = corpora.load(name, data).canonical()
    samples = corpus.samples.copy()
    if not (samples["split"] == "train").any():
        names = np.sort(samples["dialogue"][samples["split"] == "valid"].unique())
        chosen = np.random.default_rng(0).permutation(names)[: round(0.85 * len(names))]
        samples.loc[samples["dialogue"].isin(chosen) & (samples["split"] == "valid"), "split"] = "train"
    return replace(corpus, samples=samples)


def encode(model: EmotionModel, corpus: Corpus) -> Tensor:
    """Points of all texts of a corpus, `(rows, point_dim)`."""
    data = text_rows(model, corpus)
    points = torch.full((len(corpus.samples), model.config.modalities["text"].point_dim), torch.nan)
    position_of = {row: i for i, row in enumerate(corpus.samples["id"])}
    points[[position_of[row] for row in data.ids]] = encode_rows(model, data)["text"].clone()
    return points


def text_rows(model: EmotionModel, corpus: Corpus) -> EmotionData:
    """All rows with a text, with or without a label."""
    pieces = corpus_rows.tokens(corpus, model.phrases)  # type: ignore[arg-type]
    samples = corpus.samples[corpus.samples["id"].isin(set(pieces))]
    targets = np.array([[label in row for label in corpus.labels] for row in samples["labels"]], dtype=np.float32)
    return EmotionData(tuple(samples["id"]), {"text": pieces}, corpus.labels, targets, np.zeros(len(samples), bool))


def in_context(model: EmotionModel, dialogues: DialoguePoints) -> Answers:
    """Answers to the turns of dialogues in their context; without one for a model that has none."""
    rows = turn_rows(model, dialogues)
    position_of = {row: i for i, row in enumerate(dialogues.data.ids)}
    positions = [position_of[row] for row in rows.ids]
    if model.context is None:
        points = {"text": dialogues.points["text"][positions].clone()}
    else:
        points = {name: matrix.clone() for name, matrix in encode_rows(ContextScorer(model), rows).items()}
    calibrations = model.calibrations(context=True)
    with torch.no_grad():
        label_points = model.label_points(rows.labels)
        trust = {name: model.modality(name).trust(label_points[name], calibrations[name]) for name in points}
        raw = model.score(points, label_points, trust)
        logits = model.calibrated(raw, trust, multi_label=False)["text"].numpy()
        softmax = torch.from_numpy(logits).softmax(dim=1)
    group_of = {position: number for number, group in enumerate(dialogues.dialogues) for position in group}
    groups = np.array([group_of[position] for position in positions])
    return Answers(logits, rows.targets.argmax(axis=1), groups, softmax.numpy())


def with_strength(model: EmotionModel, strength: float) -> EmotionModel:
    """The model with the mean of earlier turns as its context, in this weight."""
    copy = with_context(model, ContextSettings(hidden_dim=0))
    if copy.context is not None:
        for name, calibration in copy.context.calibration.items():
            calibration.copy_from(model.modality(name).calibration)  # type: ignore[operator]
        with torch.no_grad():
            for parameter in copy.context.encoder.strength.values():
                parameter.fill_(strength)
    return copy.eval()


def centred(model: EmotionModel, talks: Talks) -> Talks:
    """The corpus with the points of the model attuned to its unlabelled training turns."""
    size = model.config.modalities["text"].embed_dim
    modality = model.modality("text")
    train_rows = np.flatnonzero(talks.corpus.samples["split"] == "train")
    shift = (talks.points[train_rows].mean(dim=0) - modality.background)[:size]
    points = talks.points.clone()
    points[:, :size] = torch.nn.functional.normalize(points[:, :size] - shift, dim=1)
    return Talks(talks.corpus, points)


def zero_shot(model: EmotionModel, talks: Talks, split: str, measures: Mapping[str, Measure]) -> pd.DataFrame:
    """A model that saw none of the corpus's labels: alone, and moved by the mean of earlier turns.

    The strengths are that of the package and one fitted on labelled training dialogues; each also with the texts
    centred on the unlabelled training dialogues.
    """
    rows = {}
    for centring in (False, True):
        used = centred(model, talks) if centring else talks
        dialogues, name = used.part(split), ", centred" if centring else ""
        alone = in_context(model, dialogues)
        rows[f"alone{name}"] = row_of(alone, alone, measures)
        rows[f"mean of earlier turns, 0.5{name}"] = row_of(
            in_context(with_strength(model, 0.5), dialogues), alone, measures
        )
        fitted, _ = train_context(model, used.part("train"), used.part("valid"), ContextSettings(hidden_dim=0))
        assert fitted.context is not None
        strength = float(fitted.context.encoder.strength["text"].detach())
        rows[f"mean of earlier turns, fitted: {strength:g}{name}"] = row_of(
            in_context(with_strength(model, strength), dialogues), alone, measures
        )
    return pd.DataFrame(rows).T.rename_axis("system")


@dataclass(frozen=True)
class TurnModel:
    """A model trained on single turns, and the corpus as the context reads it: training turns cross-fitted.

    Its contexts are kept in `folder`.
    """

    model: EmotionModel
    talks: Talks
    folder: Path


def share_of(corpus: Corpus, share: float) -> Corpus:
    """A share of the training and of the validation dialogues. A smaller share is a part of a larger one."""
    samples = corpus.samples
    kept = samples["split"].eq("test").to_numpy().copy()
    for split in ("train", "valid"):
        names = sorted(samples["dialogue"][samples["split"] == split].unique())
        order = np.random.default_rng(0).permutation(len(names))
        chosen = {names[i] for i in order[: max(2 if split == "train" else 1, round(share * len(names)))]}
        kept |= (samples["split"].eq(split) & samples["dialogue"].isin(chosen)).to_numpy()
    return corpus.where(kept)


def chats(corpus: Corpus) -> Corpus:
    """EmoContext's chats as dialogues: its rows have three turns in one text."""
    rows = corpus.samples
    turns = [
        (f"{row}-{i}", text, row, i, "AB"[i % 2], split)
        for row, texts, split in zip(rows["id"], rows["text"], rows["split"], strict=True)
        for i, text in enumerate(texts.split("\n"))
    ]
    ids, texts, names, numbers, speakers, splits = zip(*turns, strict=True)
    samples = make_samples(ids, text=texts, dialogue=names, turn=numbers, speaker=speakers, split=splits)
    samples["labels"] = pd.Series([()] * len(samples), dtype=object)
    return Corpus("emocontext_turns", samples, (), False)


def train_turns(
    base: EmotionModel, corpus: Corpus, seed: int, folder: Path, without: Sequence[str] = (), folds: int = 3
) -> TurnModel:
    """Train text adapters on the single turns of a corpus, without the rows of some labels.

    The model is kept in `folder`, and read from there the next time.
    """
    saved, saved_points = folder / "model", folder / "points.npy"
    if saved_points.is_file():
        return TurnModel(checkpoint.load(saved), Talks(corpus, torch.from_numpy(np.load(saved_points))), folder)
    rows = text_rows(base, corpus)
    split = dict(zip(corpus.samples["id"], corpus.samples["split"], strict=True))
    parts = {
        part: rows.rows(np.array([split[row] == part for row in rows.ids])).without(without)
        for part in ("train", "valid")
    }
    recipe = text_recipe(base, seed)
    model, _ = train(recipe, parts["train"], parts["valid"])
    points = encode(model, corpus)
    groups = {
        corpus.samples["id"].iloc[position]: str(group[0]) for group in dialogue_rows(corpus) for position in group
    }
    position_of = {row: i for i, row in enumerate(corpus.samples["id"])}
    for row, point in cross_fit(recipe, parts["train"], parts["valid"], groups, model, folds=folds).items():
        points[position_of[row]] = point
    checkpoint.save(model, saved, card="", license_text="")
    np.save(saved_points, points.numpy())
    return TurnModel(model, Talks(corpus, points), folder)


def text_recipe(base: EmotionModel, seed: int, strength: float = 1.0) -> Recipe:
    """Text adapters that start untrained."""
    modality = base.config.modalities["text"].with_settings(strength=strength)
    assert base.phrases is not None
    return Recipe({"text": modality}, base.phrases, recipes.training("text", seed), base)


def train_without(names: Sequence[str], base: EmotionModel, data: Path, folder: Path) -> EmotionModel:
    """The text model of a checkpoint, trained without some of its corpora. It is kept in `folder`."""
    if not folder.is_dir():
        assert base.phrases is not None
        parts = [drawn(part, TEXT_ROWS[part.name]) for part in training_corpora(data) if part.name not in names]
        rows = join([corpus_rows.text_data(part, base.phrases) for part in parts])
        valid = corpus_rows.text_data(corpora.load("goemotions", data).split("valid"), base.phrases)
        config = recipes.training("texts", epochs=2, imitate=0.0)  # from the labels alone
        recipe = replace(text_recipe(base, 0, recipes.TEXT_STRENGTH), config=config)
        model, _ = train(recipe, rows, valid)
        checkpoint.save(model, folder, card="", license_text="")
    return checkpoint.load(folder)


def train_contexts(
    turns: TurnModel,
    seeds: Sequence[int],
    labels: Sequence[str] | None = None,
    settings: ContextSettings | None = None,
    start: ContextStart | None = None,
    name: str = "context",
    config: TrainConfig = CONTEXT,
) -> list[EmotionModel]:
    """Contexts of several seeds on the points of one model of single turns, from a pre-trained one if it is given.

    They are kept in the folder of the model under `name`, and read from there the next time.
    """
    contexts = []
    for seed in seeds:
        file = turns.folder / f"{name}-{seed}.safetensors"
        if file.is_file():
            weights = safetensors.torch.load_file(file)
            hidden = weights.get("context.encoder.gru.weight_hh_l0")
            model = with_context(turns.model, ContextSettings(0 if hidden is None else hidden.shape[1]))
            model.load_state_dict({**model.state_dict(), **weights})
        else:
            train_part, valid_part = turns.talks.part("train", labels), turns.talks.part("valid", labels)
            seeded = replace(config, seed=seed)
            model, history = train_context(turns.model, train_part, valid_part, settings, start=start, config=seeded)
            weights = {key: value for key, value in model.state_dict().items() if key.startswith("context.")}
            best = str(1 + int(np.argmax(history.scores)))
            safetensors.torch.save_file(weights, file, {BEST_EPOCH: best})
        contexts.append(model.eval())
    return contexts


def best_epochs(turns: TurnModel, seeds: Sequence[int], name: str) -> list[int]:
    """The epoch with the best validation score, from 1, of the contexts that `train_contexts` kept under `name`."""
    epochs = []
    for seed in seeds:
        with safetensors.safe_open(turns.folder / f"{name}-{seed}.safetensors", "pt") as file:
            epochs.append(int(file.metadata()[BEST_EPOCH]))
    return epochs


def pretrain_on(sequences: Sequence[TurnSequences], config: PretrainConfig) -> Pretrained:
    """Pre-train a context on the dialogues of several corpora; a twentieth of each is for validation."""
    words: list[Sequence[int]] = []
    speakers: list[str | None] = []
    train: list[list[int]] = []
    valid: list[list[int]] = []
    for part in sequences:
        shifted = [[len(words) + i for i in group] for group in part.dialogues]
        held_out = set(np.random.default_rng(config.seed).permutation(len(shifted))[: len(shifted) // 20].tolist())
        train += [group for i, group in enumerate(shifted) if i not in held_out]
        valid += [group for i, group in enumerate(shifted) if i in held_out]
        words += part.words
        speakers += part.speakers
    differences = {"text": torch.cat([part.differences["text"] for part in sequences])}
    both = TurnSequences(differences, words, train, speakers)
    return pretrain(both, replace(both, dialogues=valid), config)
