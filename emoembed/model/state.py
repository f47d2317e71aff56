"""What a model has learned beside its weights, after its architecture was fixed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from emoembed.labels.emotion import Label, canonical
from emoembed.model.typed import typed


@dataclass(frozen=True)
class State:
    """The labels a model knows, and where it comes from. Changes make a new one.

    Calibration, examples and shifts are tensors, and lie in the modalities (`model.modality`).
    """

    labels: tuple[str, ...] = ()
    """What `predict` scores when the caller names none."""
    seen: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """Modality -> the labels its training saw examples of."""
    taught: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    """Each label moved by examples -> modality -> how many there were."""
    described: Mapping[str, Label] = field(default_factory=dict)
    """Labels taught with a description, which holds wherever their name alone is given."""
    attuned: Mapping[str, int] = field(default_factory=dict)
    """Modality -> items without labels that the model was attuned to."""
    provenance: Mapping[str, Any] = field(default_factory=dict)
    """Corpora, seeds, licence: for the card."""

    @property
    def all_seen(self) -> tuple[str, ...]:
        """The labels that training saw, in any modality."""
        return tuple(dict.fromkeys(label for labels in self.seen.values() for label in labels))

    @property
    def known(self) -> tuple[str, ...]:
        """The labels that training saw, and those taught since, each once."""
        return tuple({canonical(label): label for label in (*self.all_seen, *self.taught)}.values())

    def seen_in(self, modality: str) -> tuple[str, ...]:
        """The labels that one modality's training saw."""
        return tuple(self.seen.get(modality, ()))

    def with_seen(self, seen: Mapping[str, Sequence[str]]) -> State:
        """The same with other labels seen, in the modalities that are named."""
        return replace(self, seen={**self.seen, **{name: tuple(labels) for name, labels in seen.items()}})

    def with_described(self, labels: Mapping[str, Label]) -> State:
        """The same with descriptions of further labels."""
        return replace(self, described={**self.described, **{canonical(n): label for n, label in labels.items()}})

    def with_taught(self, counts: Mapping[str, Mapping[str, int]]) -> State:
        """The same with labels taught, in this order; `predict` scores them too where it has labels of its own."""
        labels = tuple(dict.fromkeys((*self.labels, *counts))) if self.labels else ()
        return replace(self, labels=labels, taught={label: dict(each) for label, each in counts.items()})

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> State:
        """The state that `to_dict` wrote."""
        return typed(cls, values)
