"""Items of a call to the arrays that encoders read: the first of the three hops of `predict`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from torch import Tensor

from emoembed.errors import EmoembedError, InputError, MediaError, MissingFileError
from emoembed.model.model import EmotionModel
from emoembed.reading import media
from emoembed.reading.media import Reading
from emoembed.reading.rows import collate

NOTHING = "nothing to work on: text, audio and video are all None"


@dataclass(frozen=True)
class Item:
    """What was read of an item by modality, and why others are absent. Without readings it cannot be used."""

    readings: Mapping[str, Reading]
    absent: Mapping[str, str] = field(default_factory=dict)


def read_item(model: EmotionModel, sources: Mapping[str, Any], place: str = "") -> Item:
    """Read an item. What a file does not hold, such as a face, is absent; what the caller got wrong is an error.

    Args:
        model: whose configuration says what is read.
        sources: modality -> what `predict` takes of it, or None.
        place: the beginning of an error's message, such as `item 3: `.

    Raises:
        EmoembedError: a source cannot be used for a reason other than what it holds, or none is left.
    """
    readings, errors = _usable(model, sources)
    for name, error in errors.items():
        if name in model.modalities and not isinstance(error, MediaError):
            raise type(error)(f"{place}{error}") from error
    if readings:
        return Item(readings, {name: str(error) for name, error in errors.items()})
    if not errors:
        raise InputError(f"{place}{NOTHING}")
    first = next(iter(errors.values()))
    raise type(first)(place + "; ".join(str(error) for error in errors.values())) from first


def read_what_can_be(model: EmotionModel, sources: Mapping[str, Any]) -> Item:
    """Read an item as far as it can be used; it raises nothing."""
    readings, errors = _usable(model, sources)
    absent = {name: str(error) for name, error in errors.items()}
    return Item(readings, absent if readings or absent else dict.fromkeys(sources, NOTHING))


def batch_of(model: EmotionModel, items: Sequence[Mapping[str, Reading]]) -> dict[str, tuple[Tensor, Tensor]]:
    """What was read of items, by modality, padded to one batch on the model's device."""
    device = model.space.centre.device
    here = [name for name in model.modalities if any(name in readings for readings in items)]
    longest = {name: model.config.modalities[name].longest for name in here}
    rows = {name: [readings[name].values if name in readings else None for readings in items] for name in here}
    batch = {name: collate(arrays, longest[name]) for name, arrays in rows.items()}
    return {name: (frames.to(device), lengths.to(device)) for name, (frames, lengths) in batch.items()}


def _usable(model: EmotionModel, sources: Mapping[str, Any]) -> tuple[dict[str, Reading], dict[str, EmoembedError]]:
    """What was read of an item by modality, and the errors of what cannot be used."""
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
