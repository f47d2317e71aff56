"""Notes that come with an answer: input that was cut, not understood or unlike the training data."""

from __future__ import annotations

from dataclasses import dataclass

CODES = {
    "cut": "only the first part of an item was read; the text of the note says how much",
    "not-understood": "the model knows too few words of the text, which should be English; its confidence is set to 0",
    "clipped": "the loudest samples of a recording are cut off at the maximum level (clipping)",
    "band-limited": "a recording has no sound above 4 kHz, like a telephone call",
    "damaged": "parts of a file are damaged and were left out",
    "channels-cancel": "the channels of a recording cancel each other; only the loudest channel was read",
    "faces": "how many of the frames show a face",
    "few-faces": "fewer than a quarter of the frames show a face, so the detection may be wrong",
    "face-whole": "no face was found in a small picture, so the full picture was used as the face",
    "label-unknown": "the name of a label has no English word that the model knows, so its scores are a guess",
    "cues-unknown": "a description of how a label sounds or looks names no known cue, so its cues are estimated",
    "label-far": "a label is too unlike the training labels of a modality for reliable scores",
}
"""Every code and its meaning."""


@dataclass(frozen=True)
class Note:
    """A note about an answer: a `code` of `CODES` for programs and a `text` for people.

    `modality` is text, audio or video; or `labels` if the note concerns a label in every modality.

    Examples:
        >>> import emoembed
        >>> result = emoembed.predict("Das ist wirklich nicht in Ordnung.", labels=["joy", "anger"])
        >>> [(note.modality, note.code) for note in result.notes], result.confidence
        ([('text', 'not-understood')], 0.0)
    """

    code: str
    modality: str
    text: str

    def __str__(self) -> str:
        return f"{self.modality}: {self.text}"
