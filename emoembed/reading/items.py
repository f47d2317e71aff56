"""Reads the items of a call into the arrays of the encoders: the first of the three steps of `predict`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from torch import Tensor

from emoembed.errors import EmoembedError, InputError, MediaError, MissingFileError
from emoembed.model.device import moved
from emoembed.model.model import EmotionModel
from emoembed.reading import media
from emoembed.reading.media import Reading
from emoembed.reading.rows import collate

NOTHING = "nothing to work on: text, audio and video are all None"


@dataclass(frozen=True)
class Item:
    """An item's readings by modality, and why other modalities are absent. An item without readings is unusable."""

    readings: Mapping[str, Reading]
    absent: Mapping[str, str] = field(default_factory=dict)


def read_item(model: EmotionModel, sources: Mapping[str, Any], prefix: str = "") -> Item:
    """Read an item.

    If a file lacks the expected content, such as a face, its modality is absent. A mistake by the caller is an error.

    Args:
        model: its configuration says what to read.
        sources: modality -> the argument of `predict`, or None.
        prefix: a prefix for error messages, such as `item 3: `.

    Raises:
        EmoembedError: a source is unusable for a reason other than its content, or no usable source remains.
    """
    readings, errors = _read_sources(model, sources)
    for name, error in errors.items():
        if name in model.modalities and not isinstance(error, MediaError):
            raise type(error)(f"{prefix}{error}") from error
    if readings:
        return Item(readings, {name: str(error) for name, error in errors.items()})
    if not errors:
        raise InputError(f"{prefix}{NOTHING}")
    first_error = next(iter(errors.values()))
    raise type(first_error)(prefix + "; ".join(str(error) for error in errors.values())) from first_error


def read_what_can_be(model: EmotionModel, sources: Mapping[str, Any]) -> Item:
    """Read the usable sources of an item; the other modalities are absent, and no error is raised."""
    readings, errors = _read_sources(model, sources)
    absent = {name: str(error) for name, error in errors.items()}
    return Item(readings, absent if readings or absent else dict.fromkeys(sources, NOTHING))


def batch_of(model: EmotionModel, items: Sequence[Mapping[str, Reading]]) -> dict[str, tuple[Tensor, Tensor]]:
    """Pad the readings of items to one batch: modality -> (frames, lengths), on the model's device."""
    device = model.space.centre.device
    modalities = [name for name in model.modalities if any(name in readings for readings in items)]
    longest = {name: model.config.modalities[name].longest for name in modalities}
    rows = {name: [readings[name].values if name in readings else None for readings in items] for name in modalities}
    batch = {name: collate(arrays, longest[name]) for name, arrays in rows.items()}
    return {name: (moved(frames, device), moved(lengths, device)) for name, (frames, lengths) in batch.items()}


def _read_sources(
    model: EmotionModel, sources: Mapping[str, Any]
) -> tuple[dict[str, Reading], dict[str, EmoembedError]]:
    """The readings of an item by modality, and the errors of its unusable sources by modality."""
    readings: dict[str, Reading] = {}
    errors: dict[str, EmoembedError] = {}
    for name, source in sources.items():
        if source is None:
            continue
        if name not in model.modalities:
            errors[name] = InputError(f"this model has no {name}; it reads {', '.join(model.modalities)}")
            continue
        try:
            readings[name] = media.read(model, name, source)
        except (MediaError, InputError, MissingFileError) as error:
            errors[name] = error
    return readings, errors
