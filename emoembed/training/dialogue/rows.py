"""The turns of dialogues as training rows: their own points, and those of the earlier turns."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import torch
from torch import Tensor

from emoembed.encoders.context import speaker_changes
from emoembed.errors import InputError
from emoembed.model.model import EmotionModel
from emoembed.reading.rows import EmotionData

TURNS = "turns"
"""Name of the input that has the earlier turns of a row."""
SAME_SPEAKER = "same speaker"
"""Name of the input that says which of the earlier turns of a row are by its own speaker."""
LONGEST_HISTORY = 200
"""Training reads at most this many earlier turns of a row."""


@dataclass(frozen=True)
class DialoguePoints:
    """The encoded turns of dialogues.

    Attributes:
        points: modality -> the turns' own points `(turns, point_dim)`; NaN where a turn lacks the modality.
        data: the labels of the turns, without inputs. A turn without a label informs later turns only.
        dialogues: positions of the turns of each dialogue, in order.
        speakers: speaker of each turn.
        silent: modality -> positions of turns that do not inform later turns, such as texts that are not understood.
    """

    points: Mapping[str, Tensor]
    data: EmotionData
    dialogues: Sequence[Sequence[int]]
    speakers: Sequence[str | None]
    silent: Mapping[str, Collection[int]] = field(default_factory=dict)


def turn_rows(model: EmotionModel, dialogues: DialoguePoints) -> EmotionData:
    """The labelled turns as rows. Their inputs are their own points and the earlier turns.

    Under `TURNS`, an earlier turn has its differences from the background, NaN where it lacks a modality, and whether
    the speaker changed, `(earlier turns, sum of embed_dim + 1)`. Under `SAME_SPEAKER`, it has 1 if it is by the speaker
    of the row, else 0, `(earlier turns, 1)`.

    Raises:
        InputError: no turn has a label.
    """
    data = dialogues.data
    turns = _differences(model, dialogues).numpy()
    histories: dict[str, np.ndarray] = {}
    same_speaker: dict[str, np.ndarray] = {}
    for positions in dialogues.dialogues:
        heard = {i: None for i in positions if not np.isnan(turns[i]).all()}
        speakers = [dialogues.speakers[i] for i in heard]
        changed = speaker_changes(speakers)
        history = np.column_stack([turns[np.array(list(heard), dtype=int)], changed]).astype(np.float32)
        earlier = 0
        for position in positions:
            row, first = data.ids[position], max(0, earlier - LONGEST_HISTORY)
            speaker = dialogues.speakers[position]
            is_same = [float(speaker is not None and speaker == other) for other in speakers[first:earlier]]
            histories[row] = history[first:earlier]
            same_speaker[row] = np.array(is_same, dtype=np.float32).reshape(-1, 1)
            earlier += position in heard
    has_label = (data.targets == 1).any(axis=1) | (data.multi_label & ~np.isnan(data.targets).all(axis=1))
    inputs: dict[str, Mapping[str, np.ndarray]] = {
        name: {data.ids[i]: matrix[i : i + 1].numpy() for i in np.flatnonzero(~matrix.isnan().any(dim=1).numpy())}
        for name, matrix in dialogues.points.items()
    }
    in_dialogue = np.zeros(len(data), bool)
    in_dialogue[[position for positions in dialogues.dialogues for position in positions]] = True
    has_input = np.array([any(row in store for store in inputs.values()) for row in data.ids])
    rows = replace(data, inputs={**inputs, TURNS: histories, SAME_SPEAKER: same_speaker}).rows(
        has_label & has_input & in_dialogue
    )
    if not len(rows):
        raise InputError("no turn of the dialogues has a label; give labelled dialogues")
    return rows


def _differences(model: EmotionModel, dialogues: DialoguePoints) -> Tensor:
    """The turns' points minus the background, all modalities side by side; NaN where a modality says nothing."""
    columns = []
    for name, dim in model.config.embed_dims.items():
        differences = torch.full((len(dialogues.data), dim), torch.nan)
        if name in dialogues.points:
            differences = dialogues.points[name][:, :dim] - model.modality(name).background[:dim]
            differences[list(dialogues.silent.get(name, ()))] = torch.nan
        columns.append(differences)
    return torch.cat(columns, dim=1)
