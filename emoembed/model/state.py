"""The state of a model: everything it has learned besides its weights."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from emoembed.labels.emotion import Label, canonical
from emoembed.model.typed import typed


@dataclass(frozen=True)
class State:
    """The labels a model knows, and its provenance. The state is immutable; each change returns a new one.

    Calibration, examples and shifts are tensors, so the modalities contain them (`model.modality`).
    """

    labels: tuple[str, ...] = ()
    """Labels that `predict` scores if the caller gives none."""
    seen: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """Modality -> labels with examples in its training."""
    taught: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    """Few-shot label -> modality -> number of examples."""
    described: Mapping[str, Label] = field(default_factory=dict)
    """Few-shot labels with a description. It applies if a caller gives only the name."""
    attuned: Mapping[str, int] = field(default_factory=dict)
    """Modality -> number of unlabelled items that the model was attuned to."""
    provenance: Mapping[str, Any] = field(default_factory=dict)
    """Corpora, seeds and licence, for the card."""

    @property
    def all_seen(self) -> tuple[str, ...]:
        """The labels that training saw, in any modality."""
        return tuple(dict.fromkeys(label for labels in self.seen.values() for label in labels))

    @property
    def known(self) -> tuple[str, ...]:
        """The labels that training saw and the few-shot labels, each once."""
        return tuple({canonical(label): label for label in (*self.all_seen, *self.taught)}.values())

    def seen_in(self, modality: str) -> tuple[str, ...]:
        """The labels that the training of one modality saw."""
        return tuple(self.seen.get(modality, ()))

    def with_seen(self, seen: Mapping[str, Sequence[str]]) -> State:
        """A copy with other seen labels in the given modalities."""
        return replace(self, seen={**self.seen, **{name: tuple(labels) for name, labels in seen.items()}})

    def with_described(self, labels: Mapping[str, Label]) -> State:
        """A copy with descriptions of more labels."""
        return replace(self, described={**self.described, **{canonical(name): label for name, label in labels.items()}})

    def with_taught(self, counts: Mapping[str, Mapping[str, int]]) -> State:
        """A copy with these few-shot labels, in this order. If `labels` is not empty, `predict` scores them too."""
        labels = tuple(dict.fromkeys((*self.labels, *counts))) if self.labels else ()
        return replace(self, labels=labels, taught={label: dict(each) for label, each in counts.items()})

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> State:
        """The state from the values of `to_dict`."""
        return typed(cls, values)
