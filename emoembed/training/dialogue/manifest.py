"""Train the context on the dialogues of a manifest, after each of its modalities."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import replace
from typing import TypedDict

import numpy as np
import torch
from torch import Tensor

from emoembed.corpora.corpus import Corpus
from emoembed.errors import InputError
from emoembed.model.model import EmotionModel
from emoembed.reading import media
from emoembed.reading.media import prepared
from emoembed.reading.rows import EmotionData
from emoembed.reading.turns import dialogue_rows
from emoembed.training.config import Execution
from emoembed.training.dialogue.context import CONTEXT, ContextStart, train_context
from emoembed.training.dialogue.cross_fit import cross_fit
from emoembed.training.dialogue.rows import DialoguePoints
from emoembed.training.loop import encode_rows
from emoembed.training.recipes import Recipe


class Changes(TypedDict, total=False):
    """Settings of the recipes that the caller can override."""

    seed: int
    epochs: int
    batch_size: int
    bf16: bool


class Dialogues:
    """The dialogues of a manifest. They collect the points of their turns, one modality after the other.

    Args:
        corpus: the manifest, with train and valid rows.
        execution: the device and a progress bar.

    Raises:
        InputError: there are fewer than two training dialogues, no validation dialogue, or the order of the turns is
            not clear (`dialogue_rows`).
    """

    def __init__(self, corpus: Corpus, execution: Execution) -> None:
        self.corpus, self.execution = corpus, execution
        self.groups = dialogue_rows(corpus)
        self.points: dict[str, dict[str, Tensor]] = {}
        self.silent: dict[str, frozenset[int]] = {}
        counts = {split: sum(len(group) > 1 for group in self._groups(split)) for split in ("train", "valid")}
        if counts["train"] < 2 or not counts["valid"]:
            raise InputError(
                f"training a context needs at least two training dialogues and one validation dialogue of several "
                f"turns; {corpus.name} has {counts['train']} and {counts['valid']}"
            )

    def add(
        self,
        modality: str,
        recipe: Recipe,
        model: EmotionModel,
        inputs: Mapping[str, np.ndarray],
        labelled: tuple[EmotionData, EmotionData],
    ) -> None:
        """Add the points of one modality.

        Args:
            modality: its name.
            recipe: its recipe.
            model: the trained model of this modality.
            inputs: row id -> input of all train and valid rows. A row without a label informs later turns.
            labelled: the labelled train rows, on which the model was trained, and the labelled valid rows.
        """
        train_rows, valid_rows = labelled
        ids = list(self.corpus.samples["id"])
        prefix = f"{self.corpus.name}/"  # the ids of labelled rows have it
        group_of = {f"{prefix}{ids[i]}": str(group[0]) for group in self.groups for i in group}
        store = {f"{prefix}{row}": array for row, array in inputs.items()}
        trained_on = set(train_rows.ids)
        others = tuple(row for row in store if row not in trained_on)
        no_labels = np.zeros((len(others), 0), np.float32), np.zeros(len(others), bool)
        config = recipe.modalities[modality]
        unseen = EmotionData(others, {modality: prepared(store, config)}, (), *no_labels)
        points = cross_fit(recipe, train_rows, valid_rows, group_of, model, execution=self.execution)
        if others:
            points |= dict(zip(others, encode_rows(model, unseen)[modality].clone(), strict=True))
        self.points[modality] = {row.removeprefix(prefix): point for row, point in points.items()}
        if modality == "text":
            self.silent[modality] = self._not_understood(model)

    def train(self, model: EmotionModel, start: bool | ContextStart, seed: int) -> tuple[EmotionModel, float]:
        """Train the context of a model on these dialogues, from a pre-trained one if it is given.

        Returns the new model and its validation score.
        """
        with_context, history = train_context(
            model,
            self._part(model, "train"),
            self._part(model, "valid"),
            start=None if isinstance(start, bool) else start,
            config=replace(CONTEXT, seed=seed),
            execution=replace(self.execution, resume=None),
        )
        return with_context, history.scores[history.kept_epoch]

    def _groups(self, split: str) -> list[list[int]]:
        """The turns of each dialogue that are in a split; a dialogue may have turns in several."""
        in_split = (self.corpus.samples["split"] == split).to_numpy()
        groups = [[i for i in group if in_split[i]] for group in self.groups]
        return [group for group in groups if group]

    def _not_understood(self, model: EmotionModel) -> frozenset[int]:
        """Positions of the texts that are not understood. As in predictions, they do not inform later turns."""
        positions = set()
        for i, text in enumerate(self.corpus.samples["text"]):
            with suppress(InputError):  # a text that cannot be read has no point
                if isinstance(text, str) and not media.read(model, "text", text).understood:
                    positions.add(i)
        return frozenset(positions)

    def _part(self, model: EmotionModel, split: str) -> DialoguePoints:
        """The dialogues of a split."""
        samples = self.corpus.samples
        points = {}
        for name, by_row in self.points.items():
            missing = torch.full((model.config.modalities[name].point_dim,), torch.nan)
            points[name] = torch.stack([by_row.get(row, missing) for row in samples["id"]])
        labels = self.corpus.labels
        targets = np.array([[label in row for label in labels] for row in samples["labels"]], dtype=np.float32)
        multi_label = np.full(len(samples), self.corpus.multi_label)
        data = EmotionData(tuple(samples["id"]), {}, labels, targets.reshape(len(samples), len(labels)), multi_label)
        return DialoguePoints(points, data, self._groups(split), list(samples["speaker"]), self.silent)
