"""What a description of an emotion says of voice and face, as numbers: loud or soft, brows up or down.

A sentence's vector mixes what is said of the voice with everything else; these say it outright, and so place an
emotion beside others that sound or look like it however it is described.
"""

from __future__ import annotations

import re

import torch
from torch import Tensor

VOICE = {
    "loudness": (
        "loud full strong firm hard ringing shouting shout booming forceful",
        "soft quiet hushed faint weak whisper murmured little",
    ),
    "pitch": ("high raised rising rise thin bright shrill squeals", "low deep throaty falling growl groans dull"),
    "melody": (
        "lively wide melody bouncy sharp sudden exclamations ringing stresses playful laughter",
        "even flat monotone steady ordinary smooth level",
    ),
    "pace": (
        "fast quick brisk clipped rapid short hurried breathless",
        "slow drawn long pauses dragging lingering drawling halting moderate",
    ),
    "tension": (
        "tense tight strained hard sharp choked clipped edge forced trembling",
        "relaxed gentle warm easy smooth soft loose calm",
    ),
    "breath": (
        "breathy trembling wavering sighs breath hushed breathless broken quivering gasps yawns",
        "clear firm full ringing steady hard",
    ),
}
"""Words for more and for less of each (as in Juslin & Laukka 2003, table 11, which lists such cues by emotion)."""

FACE = {
    "brows up": ("brow", "raised|lifted|high|arched"),
    "brows down": ("brow", "lowered|drawn|furrow|knit|together|frown|tense|contracted"),
    "eyes wide": ("eye", "wide|open|bulg|staring|bright|shining"),
    "eyes narrow": ("eye|lid", "narrow|half|closed|droop|squint|lidded|crinkl"),
    "smile": ("", "smile|grin|laugh|beam|smirk"),
    "cheeks": ("", "cheek|crinkl"),
    "mouth down": ("mouth|lip|corner|face", "down|pout|trembl|frown|crumpl|quiver"),
    "mouth open": ("jaw|mouth|lip", "open|drop|parted|agape|slack"),
    "mouth tight": ("jaw|mouth|lip|teeth", "press|tight|clench|purs|bit(ten|ing)?\\b|stretch|set\\b"),
    "nose": ("nose|upper lip", "wrinkl|raised|curl"),
    "gaze away": ("gaze|head|chin|eyes|look", "lower|down|bow|avert|away|distant|faraway|turn"),
    "soft": ("", "relax|soft|smooth|loose|rest(s|ed|ing)?\\b|gentle|ordinary|still|calm|easy"),
}
"""What moves, and how, within one clause: the facial actions that observers name (Ekman & Friesen 1978).

How it moves is the beginning of a word; what moves may stand within one (`eyebrows`)."""

POLES = {"sounds": 0.5, "looks": 0.3}
"""A constant beside the numbers, so that a description that names none of them has a direction too."""


def attributes(cue: str, description: str) -> Tensor:
    """What a description of how an emotion `sounds` or `looks` says, `(attributes + 1,)` of length one."""
    said = _voice(description) if cue == "sounds" else _face(description)
    return torch.nn.functional.normalize(torch.tensor([*said, POLES[cue]]), dim=0)


def count(cue: str) -> int:
    """How many numbers `attributes` gives."""
    return len(VOICE if cue == "sounds" else FACE) + 1


def _voice(description: str) -> list[float]:
    """Each attribute from -1 to 1: words for more less words for less, two of either being all there is."""
    words = [_stems(word) for word in re.findall(r"[a-z]+", description.lower())]
    found = []
    for more, less in VOICE.values():
        balance = sum(bool(word & {*more.split()}) - bool(word & {*less.split()}) for word in words)
        found.append(max(-1.0, min(1.0, balance / 2)))
    return found


def _stems(word: str) -> set[str]:
    """A word, and the adjectives an adverb may come from: `loudly`, `gently`, `steadily`."""
    return {word, word[:-2], word[:-1] + "e", word[:-3] + "y"} if word.endswith("ly") else {word}


def _face(description: str) -> list[float]:
    """Which actions are named, 0 or 1."""
    clauses = re.split(r",|;| and ", description.lower())
    return [
        float(any(re.search(part, clause) and re.search(rf"\b({way})", clause) for clause in clauses))
        for part, way in FACE.values()
    ]
