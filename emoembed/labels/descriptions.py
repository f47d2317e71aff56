"""Cues of voice and face in a description of an emotion, as numbers: loud or soft, brows up or down.

The vector of a sentence mixes these cues with everything else in the sentence. The numbers contain only the cues, so
emotions that sound or look alike get similar numbers, however they are worded.
"""

from __future__ import annotations

import re

import torch
from torch import Tensor

VOICE = {
    "loudness": (
        "loud full strong firm hard ringing shouting shout booming forceful roaring screaming",
        "soft quiet hushed faint weak whisper murmured little",
    ),
    "pitch": ("high raised rising rise thin bright shrill squeals", "low deep throaty falling growl groans dull"),
    "melody": (
        "lively wide melody bouncy sharp sudden exclamations ringing stresses playful laughter uneven bursts",
        "even flat monotone steady ordinary smooth level",
    ),
    "pace": (
        "fast quick brisk clipped rapid short hurried breathless",
        "slow drawn long pauses dragging lingering drawling halting moderate trailing late",
    ),
    "tension": (
        "tense tight strained hard sharp choked clipped edge forced trembling",
        "relaxed gentle warm easy smooth soft loose calm",
    ),
    "breath": (
        "breathy trembling wavering sighs breath hushed breathless broken quivering gasps yawns sobbing gasped "
        "groaning cracking hoarse",
        "clear firm full ringing steady hard",
    ),
}
"""Voice cue -> words for more of it, words for less. Juslin & Laukka (2003, table 11) list such cues by emotion."""

FACE = {
    "brows up": ("brow", "raised|lifted|high|arched"),
    "brows down": ("brow|slight frown", "lowered|drawn|furrow|knit|knotted|tight|together|frown|tense|contracted"),
    "eyes wide": ("eye|stare|glare", "wild|wide|open|bulg|star(e|ing)|glare|blaz|bright|shining"),
    "eyes narrow": ("eye|lid", "narrow|half|closed|droop|squint|lidded|crinkl"),
    "smile": ("", "smile|grin|laugh|beam|smirk"),
    "cheeks": ("", "cheek|crinkl"),
    "mouth down": ("mouth|lip|corner|face|chin", "down|pout|trembl|frown|crumpl|quiver|flat|crooked|twisted|contorted"),
    "mouth open": ("jaw|mouth|lip|teeth", "open|drop|parted|agape|gaping|slack|bared|licked"),
    "mouth tight": ("jaw|mouth|lip|teeth", "press|tight|clench|purs|bit(ten|ing)?\\b|stretch|set\\b"),
    "nose": ("nose|nostril|upper lip", "wrinkl|raised|curl|flared"),
    "gaze away": ("gaze|head|chin|eyes|look", "lower|down|bow|avert|away|distant|faraway|turn"),
    "soft": (
        "",
        "relax|soft|smooth|loose|rest(s|ed|ing)?\\b|gentle|ordinary|still|calm|easy|composed|slack|blank|limp",
    ),
}
"""Facial action -> pattern of the face part, pattern of its movement. Both must match within one clause.

The actions are those that observers name (Ekman & Friesen 1978). A movement pattern matches only at the beginning of
a word. A part pattern also matches inside a word (`eyebrows`)."""

POLES = {"sounds": 0.5, "looks": 0.3}
"""A constant that is appended to the numbers, so that a weak attribute differs from a strong attribute after
scaling."""


def attributes(cue: str, description: str) -> Tensor | None:
    """Attributes of how an emotion `sounds` or `looks`: `(attributes + 1,)`, scaled to norm 1.

    Returns:
        The numbers, or None if the description names no attribute.
    """
    values = _voice(description) if cue == "sounds" else _face(description)
    return torch.nn.functional.normalize(torch.tensor([*values, POLES[cue]]), dim=0) if any(values) else None


def count(cue: str) -> int:
    """Size of the vector that `attributes` returns for a cue."""
    return len(VOICE if cue == "sounds" else FACE) + 1


def _voice(description: str) -> list[float]:
    """One value from -1 to 1 per voice cue: (words for more - words for less) / 2, clipped."""
    words = [_stems(word) for word in re.findall(r"[a-z]+", description.lower())]
    values = []
    for more, less in VOICE.values():
        balance = sum(bool(word & {*more.split()}) - bool(word & {*less.split()}) for word in words)
        values.append(max(-1.0, min(1.0, balance / 2)))
    return values


def _stems(word: str) -> set[str]:
    """The word and, for an adverb, the adjectives it may come from: `loudly`, `gently`, `steadily`."""
    return {word, word[:-2], word[:-1] + "e", word[:-3] + "y"} if word.endswith("ly") else {word}


def _face(description: str) -> list[float]:
    """One value per facial action: 1 if the description names it, else 0."""
    clauses = re.split(r",|;| and ", description.lower())
    return [
        float(any(re.search(part, clause) and re.search(rf"\b({movement})", clause) for clause in clauses))
        for part, movement in FACE.values()
    ]
