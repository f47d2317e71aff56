"""Emotions as objects: name, synonyms, definition, sound and look, and valence, arousal and dominance."""

from __future__ import annotations

import difflib
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
"""Prompt templates. The vector of a name is the mean over them, which is better than the bare word (CLIP, 2021)."""

LONGEST = {"name": 200, "definition": 5000, "sounds": 5000, "looks": 5000}
"""Maximum number of characters in each text of a label."""
MOST_SYNONYMS = 100
ALIKE = 0.8
"""Least similarity (`difflib`, 0 to 1) of two spellings that may be one name."""


@dataclass(frozen=True)
class Label:
    """An emotion. Only the name is required. Every other field improves its vector.

    `sounds` and `looks` describe the voice and the face. They are searched for words such as "loud" or "smile".
    Describe what is present: "no smile" counts as a smile. `valence`, `arousal` and `dominance` are numbers from -1 to
    1 (Russell & Mehrabian 1977), or all None if unknown.

    Raises:
        LabelError: a field has the wrong type or is too long, or only some of valence, arousal and dominance are given.

    Examples:
        >>> import emoembed
        >>> saudade = emoembed.Label("saudade", definition="longing for someone who is gone")
        >>> emoembed.predict("I still keep your chair by the window.", labels=[saudade, "joy", "fear"]).label
        'saudade'
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
            if not isinstance(text := getattr(self, field), str):
                raise LabelError(f"{field} of label {self.name!r:.60} must be a string; given {text!r:.60}")
            fault = _find_text_fault(text, longest)
            if fault:
                raise LabelError(f"{field} of label {self.name!r:.60} {fault}")
        words: Any = (self.synonyms,) if isinstance(self.synonyms, str) else self.synonyms
        if not isinstance(words, Collection) or not all(isinstance(word, str) for word in words):
            raise LabelError(f"synonyms of label {self.name!r} must be strings; given {self.synonyms!r:.60}")
        fault = next(filter(None, (_find_text_fault(word, LONGEST["name"]) for word in words)), None)
        if fault or len(words) > MOST_SYNONYMS:
            too_many = f"label {self.name!r} has {len(words)} synonyms; give at most {MOST_SYNONYMS}"
            raise LabelError(f"a synonym of label {self.name!r} {fault}" if fault else too_many)
        object.__setattr__(self, "synonyms", tuple(words))
        vad = (self.valence, self.arousal, self.dominance)
        if vad == (None, None, None):
            return
        if not all(isinstance(v, Real) and -1.0 <= v <= 1.0 for v in vad):
            raise LabelError(
                f"valence, arousal and dominance of label {self.name!r} must be three numbers from -1 to 1, or all "
                f"None; given {vad}"
            )
        for field, value in zip(("valence", "arousal", "dominance"), vad, strict=True):
            object.__setattr__(self, field, float(cast(float, value)))

    @property
    def vad(self) -> tuple[float, float, float] | None:
        """Valence, arousal and dominance, or None if they are unknown."""
        if self.valence is None or self.arousal is None or self.dominance is None:
            return None
        return (self.valence, self.arousal, self.dominance)

    def prompts(self) -> list[str]:
        """Phrases whose mean vector is the vector of this label: templates with the name, synonyms, definition."""
        phrases = [template.format(self.name) for template in TEMPLATES]
        return phrases + list(self.synonyms) + ([f"{self.name}: {self.definition}"] if self.definition else [])


def _find_text_fault(text: str, longest: int) -> str | None:
    """Why a text is not allowed in a label, or None if it is allowed."""
    if len(text) > longest:
        return f"has {len(text):,} characters; give at most {longest:,}"
    if any("\ud800" <= letter <= "\udfff" for letter in text):
        return f"contains a lone surrogate (half a character): {text!r:.40}; decode the text as UTF-8"
    return None


@cache
def table() -> dict[str, Label]:
    """The emotion table of this package, by canonical name."""
    labels, _ = _read_table()
    return labels


def canonical(name: str) -> str:
    """The table's name for an emotion (`"angry"`, `"ang"` -> `"anger"`), or the normalised name if the table lacks it.

    Unicode NFC makes composed and decomposed accents equal.
    """
    _, aliases = _read_table()
    normalised_name = _normalise(name)
    return aliases.get(normalised_name, normalised_name)


def _normalise(name: str) -> str:
    return " ".join(re.sub(r"[_\s-]+", " ", unicodedata.normalize("NFC", name)).split()).lower()


def find(name: str) -> Label:
    """The table's label for a name or alias, or a `Label` with only a name if the table lacks it."""
    canonical_name = canonical(name)
    return table().get(canonical_name, Label(canonical_name))


def similar_spelling(name: str) -> str | None:
    """The emotion of the table whose name or alias is spelled most like a name; None if no spelling is similar."""
    emotions, aliases = _read_table()
    spellings = {**aliases, **{label: label for label in emotions}}
    matches = difflib.get_close_matches(name.strip().lower(), spellings, n=1, cutoff=ALIKE)
    return spellings[matches[0]] if matches else None


Description = str | Mapping[str, Any] | Label
"""A definition, a dictionary with any fields of `Label` except the name, or a whole `Label`."""
Labels = Sequence[str | Label] | Mapping[str, Description]
"""Names or `Label` objects, or a dictionary of name -> description: see `resolve`."""


def resolve(labels: Labels) -> dict[str, Label]:
    """Check the labels of a call and look up each label. The keys of the result keep the caller's spelling.

    Args:
        labels: names or `Label` objects, or a dictionary of name -> description. A string replaces the table's
            definition, a dictionary replaces the fields it contains, and a `Label` replaces the whole entry.

    Raises:
        LabelError: no labels, an empty name, a number, a name that lists several emotions, two names of one emotion, or
            an invalid description.
    """
    if isinstance(labels, str):
        names = names_in(labels) or ["joy"]
        raise LabelError(f"labels={labels!r:.60} is one string; give a list of names: labels={names!r:.80}")
    entries = labels.items() if isinstance(labels, Mapping) else ((label, "") for label in labels)
    resolved: dict[str, Label] = {}
    spellings: dict[str, str] = {}  # canonical name -> the caller's spelling
    for entry, description in entries:
        name = entry.name if isinstance(entry, Label) else entry
        if not isinstance(name, str) or not name.strip():
            raise LabelError(
                f"label {len(spellings) + 1}, {name!r}, is not an emotion name; labels must be non-empty strings"
            )
        if is_number(name):
            raise LabelError(f"label {name!r:.60} is a number; give the emotion's name, such as joy")
        parts = _split_name(name)
        if parts:
            raise LabelError(f"label {name!r:.60} names several emotions; give each as its own label: {parts!r:.80}")
        label = entry if isinstance(entry, Label) else find(name)
        if isinstance(description, Label):
            label = description
        elif description:
            label = _apply_description(label, description)
        first_spelling = spellings.setdefault(canonical(name), name)
        if name in resolved or first_spelling != name:
            raise LabelError(f"labels {first_spelling!r} and {name!r} are the same emotion; give each emotion once")
        resolved[name] = label
    if not resolved:
        raise LabelError("no labels were given; name at least one emotion, such as labels=['joy', 'anger']")
    return resolved


def names_in(text: str) -> list[str]:
    """The names in a text that are separated by commas."""
    return [name.strip() for name in text.split(",") if name.strip()]


def _split_name(name: str) -> list[str]:
    """The emotions in a name that lists several, else an empty list.

    The separators are `;`, `|`, tabs and line breaks. A comma separates only if the table has every part.
    """
    parts = [part.strip() for part in re.split(r"[;|\n\t]", name) if part.strip()]
    if len(parts) < 2:
        parts = names_in(name)
        parts = parts if all(canonical(part) in table() for part in parts) else []
    return parts if len(parts) > 1 else []


def _apply_description(label: Label, description: Description) -> Label:
    """A copy of the label with the fields of the caller's description."""
    if isinstance(description, str):
        return replace(label, definition=description)
    field_names = [field.name for field in dataclass_fields(Label) if field.name != "name"]
    if not isinstance(description, Mapping) or not set(description) <= set(field_names):
        content = ", ".join(map(str, description)) if isinstance(description, Mapping) else repr(description)
        raise LabelError(
            f"{label.name!r} is described by {content:.80}; a description must be a definition, or a dictionary with "
            f"any of {', '.join(field_names)}"
        )
    return replace(label, **description)


def is_number(name: str) -> bool:
    """Whether a name is only a number, such as that of a class."""
    return re.fullmatch(r"\W*\d[\d.]*\W*", name) is not None


def synonymous(name: str, other: str) -> bool:
    """Whether two names have the same table entry or family (anger, rage), or one is a listed synonym of the other."""
    first, second = find(name), find(other)
    if first.name == second.name or any(first.name in family and second.name in family for family in _families()):
        return True
    return second.name in map(canonical, first.synonyms) or first.name in map(canonical, second.synonyms)


def leaks(training: Iterable[str], unseen: Iterable[str]) -> list[tuple[str, str]]:
    """Pairs (training label, unseen label) that are synonyms. A zero-shot score with such a pair is worthless."""
    unseen_labels = list(unseen)
    return [(seen, label) for seen in training for label in unseen_labels if synonymous(seen, label)]


@cache
def _read_file() -> dict[str, list[Any]]:
    text = resources.files("emoembed.labels").joinpath("emotions.json").read_text(encoding="utf-8")
    entries: dict[str, list[Any]] = json.loads(text)
    return entries


@cache
def _families() -> list[frozenset[str]]:
    """Sets of table emotions that are one feeling at different strengths: training on one leaks the others."""
    return [frozenset(family) for family in _read_file()["families"]]


@cache
def _read_table() -> tuple[dict[str, Label], dict[str, str]]:
    labels: dict[str, Label] = {}
    aliases: dict[str, str] = {}
    for source in _read_file()["labels"]:
        entry = dict(source)
        names = entry.pop("aliases")
        label = Label(**{**entry, "synonyms": tuple(entry["synonyms"])})
        labels[label.name] = label
        aliases.update(dict.fromkeys(map(_normalise, names), label.name))
    return labels, aliases
