"""Emotions as objects: a name with its synonyms, definition, cues, and valence, arousal and dominance."""

from __future__ import annotations

import json
import re
import unicodedata
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from dataclasses import fields as dataclass_fields
from functools import cache
from importlib import resources
from numbers import Real
from typing import Any, cast

from emoembed.errors import LabelError

TEMPLATES = ("{}", "a feeling of {}", "this expresses {}", "the person feels {}")
"""Phrasings whose mean embeds a name: an ensemble is better than the bare word (prompt ensembles of CLIP, 2021)."""


LONGEST = {"name": 200, "definition": 5000, "sounds": 5000, "looks": 5000}
"""Characters of what a label says."""
MOST_SYNONYMS = 100


@dataclass(frozen=True)
class Label:
    """An emotion. Only the name is needed; whatever else is known makes its vector better.

    What it `sounds` and `looks` like is read for words such as loud or smile: say what is there, for "no smile" is read
    as a smile. `valence`, `arousal` and `dominance` lie in -1..1 (Russell & Mehrabian 1977), or are all None when
    unknown.

    Raises:
        LabelError: a field is not of its kind, or only some of valence, arousal and dominance are given.
    """

    name: str
    synonyms: tuple[str, ...] = ()
    definition: str = ""
    sounds: str = ""
    looks: str = ""
    valence: float | None = None
    arousal: float | None = None
    dominance: float | None = None

    def __post_init__(self) -> None:
        for field, longest in LONGEST.items():
            if not isinstance(said := getattr(self, field), str):
                raise LabelError(f"{field} of label {self.name!r:.60} is a string; given {said!r:.60}")
            fault = _text_fault(said, longest)
            if fault:
                raise LabelError(f"{field} of label {self.name!r:.60} {fault}")
        words: Any = (self.synonyms,) if isinstance(self.synonyms, str) else self.synonyms
        if not isinstance(words, Collection) or not all(isinstance(word, str) for word in words):
            raise LabelError(f"synonyms of label {self.name!r} are strings; given {self.synonyms!r:.60}")
        fault = next(filter(None, (_text_fault(word, LONGEST["name"]) for word in words)), None)
        if fault or len(words) > MOST_SYNONYMS:
            raise LabelError(f"a synonym of label {self.name!r} {fault or f'is one of more than {MOST_SYNONYMS}'}")
        object.__setattr__(self, "synonyms", tuple(words))
        vad = (self.valence, self.arousal, self.dominance)
        if vad == (None, None, None):
            return
        if not all(isinstance(v, Real) and -1.0 <= v <= 1.0 for v in vad):
            raise LabelError(
                f"valence, arousal and dominance of label {self.name!r} are three numbers from -1 to 1, or none of "
                f"them is given; given {vad}"
            )
        for field, value in zip(("valence", "arousal", "dominance"), vad, strict=True):
            object.__setattr__(self, field, float(cast(float, value)))

    @property
    def vad(self) -> tuple[float, float, float] | None:
        """Valence, arousal and dominance, or None where they are not known."""
        if self.valence is None or self.arousal is None or self.dominance is None:
            return None
        return (self.valence, self.arousal, self.dominance)

    def prompts(self) -> list[str]:
        """The phrases whose mean vector stands for this label: templates of the name, synonyms, the definition."""
        phrases = [template.format(self.name) for template in TEMPLATES]
        return phrases + list(self.synonyms) + ([f"{self.name}: {self.definition}"] if self.definition else [])


def _text_fault(text: str, longest: int) -> str | None:
    """Why a text can be no part of a label, or None."""
    if len(text) > longest:
        return f"has {len(text):,} characters; at most {longest:,} are read"
    if any("\ud800" <= letter <= "\udfff" for letter in text):
        return f"holds half a character (a lone surrogate): {text!r:.40}; read the text as UTF-8"
    return None


@cache
def table() -> dict[str, Label]:
    """The project's own table of emotions, by canonical name."""
    labels, _ = _read_table()
    return labels


def canonical(name: str) -> str:
    """The table's name for an emotion (`"angry"`, `"ang"` -> `"anger"`); any other name comes back tidied.

    However its letters with marks are put together (Unicode NFC).
    """
    _, aliases = _read_table()
    tidy = _tidied(name)
    return aliases.get(tidy, tidy)


def _tidied(name: str) -> str:
    return " ".join(re.sub(r"[_\s-]+", " ", unicodedata.normalize("NFC", name)).split()).lower()


def find(name: str) -> Label:
    """The table's label for a name or alias, or a bare `Label` for a name the table lacks."""
    known = canonical(name)
    return table().get(known, Label(known))


Description = str | Mapping[str, Any] | Label
Labels = Sequence[str | Label] | Mapping[str, Description]
"""Names or `Label` objects, or a dictionary of name to description: see `resolve`."""
"""A definition; any of `Label`'s fields but its name, such as how the emotion sounds and looks; or a whole `Label`."""


def resolve(labels: Labels) -> dict[str, Label]:
    """Check the labels of a call and look each up, keeping the caller's spelling as the key.

    Args:
        labels: names or `Label` objects, or a dictionary of name to description. A description takes the place of
            the table's definition, or is a dictionary of the fields it takes the place of, or all there is (a `Label`).

    Raises:
        LabelError: no labels, an empty one, two that name the same emotion, or a description that is none.
    """
    if isinstance(labels, str):
        names = [name.strip() for name in labels.split(",") if name.strip()] or ["joy"]
        raise LabelError(f"labels={labels!r:.60} is one string; give a list of names: labels={names!r:.80}")
    described = labels.items() if isinstance(labels, Mapping) else ((label, "") for label in labels)
    resolved: dict[str, Label] = {}
    spelled: dict[str, str] = {}
    for given, description in described:
        name = given.name if isinstance(given, Label) else given
        if not isinstance(name, str) or not name.strip():
            raise LabelError(
                f"label {len(spelled) + 1}, {name!r}, is not an emotion name; labels are non-empty strings"
            )
        several = _several(name)
        if several:
            raise LabelError(f"label {name!r:.60} names several emotions; give each by itself: {several!r:.80}")
        label = given if isinstance(given, Label) else find(name)
        if isinstance(description, Label):
            label = description
        elif description:
            label = _described(label, description)
        same = spelled.setdefault(canonical(name), name)
        if name in resolved or same != name:
            raise LabelError(f"labels {same!r} and {name!r} are the same emotion; give each emotion once")
        resolved[name] = label
    if not resolved:
        raise LabelError("no labels were given; name at least one emotion, such as labels=['joy', 'anger']")
    return resolved


def _several(name: str) -> list[str]:
    """The emotions in a name that holds several: joined by `;`, `|` or lines, or known ones joined by commas."""
    parts = [part.strip() for part in re.split(r"[;|\n\t]", name) if part.strip()]
    if len(parts) < 2:
        parts = [part.strip() for part in name.split(",") if part.strip()]
        parts = parts if all(canonical(part) in table() for part in parts) else []
    return parts if len(parts) > 1 else []


def _described(label: Label, description: Description) -> Label:
    """A label with what a caller said of it."""
    if isinstance(description, str):
        return replace(label, definition=description)
    known = [field.name for field in dataclass_fields(Label) if field.name != "name"]
    if not isinstance(description, Mapping) or not set(description) <= set(known):
        given = ", ".join(map(str, description)) if isinstance(description, Mapping) else repr(description)
        raise LabelError(
            f"{label.name!r} is described by {given:.80}; a description is a definition, or a dictionary with any of "
            f"{', '.join(known)}"
        )
    return replace(label, **description)


def synonymous(one: str, other: str) -> bool:
    """Whether two names are the same emotion, one family (anger, rage), or one is listed as a synonym of the other."""
    first, second = find(one), find(other)
    if first.name == second.name or any(first.name in f and second.name in f for f in _families()):
        return True
    return second.name in map(canonical, first.synonyms) or first.name in map(canonical, second.synonyms)


def leaks(training: Iterable[str], unseen: Iterable[str]) -> list[tuple[str, str]]:
    """Pairs of a training label and an unseen label that are synonyms: a zero-shot figure with one is worthless."""
    held_out = list(unseen)
    return [(seen, label) for seen in training for label in held_out if synonymous(seen, label)]


@cache
def _read_file() -> dict[str, list[Any]]:
    text = resources.files("emoembed.labels").joinpath("emotions.json").read_text(encoding="utf-8")
    entries: dict[str, list[Any]] = json.loads(text)
    return entries


@cache
def _families() -> list[frozenset[str]]:
    """Emotions of the table that are one feeling at different strengths: knowing one gives the other away."""
    return [frozenset(family) for family in _read_file()["families"]]


@cache
def _read_table() -> tuple[dict[str, Label], dict[str, str]]:
    labels: dict[str, Label] = {}
    aliases: dict[str, str] = {}
    for source in _read_file()["labels"]:
        entry = dict(source)
        also = entry.pop("aliases")
        label = Label(**{**entry, "synonyms": tuple(entry["synonyms"])})
        labels[label.name] = label
        aliases.update(dict.fromkeys(map(_tidied, also), label.name))
    return labels, aliases
