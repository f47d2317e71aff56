"""Read speech once with Whisper's layers, which are never trained, and keep the statistics of their states."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import torch
from torch import nn

from emoembed.encoders.pooled import StatisticsEncoder
from emoembed.encoders.whisper import WhisperLayers
from emoembed.model.model import EmotionModel
from emoembed.reading.rows import EmotionData, collate


def whisper_of(encoder: nn.Module) -> WhisperLayers | None:
    """Whisper's layers in an encoder; None if the encoder has none."""
    return encoder.whisper if isinstance(encoder, StatisticsEncoder) else None


@torch.no_grad()
def summarised(model: EmotionModel, rows: EmotionData) -> EmotionData:
    """The rows with statistics of Whisper's states in place of speech frames, if the model reads speech with Whisper.

    An encoder with the same layers gives the same result for both. Rows that already have these statistics do not
    change.
    """
    stores: dict[str, Mapping[str, np.ndarray]] = dict(rows.inputs)
    for name, store in rows.inputs.items():
        encoder = model.modality(name).encoder if name in model.modalities else None
        if isinstance(encoder, StatisticsEncoder) and encoder.whisper is not None:
            longest = encoder.whisper.longest
            frames = {row: store.get(row) for row in rows.ids}
            stores[name] = {
                row: encoder.summarize(*collate([array], longest)).numpy()
                for row, array in frames.items()
                if array is not None
            }
    return replace(rows, inputs=stores)
