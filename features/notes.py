"""What should be known of an answer beside the answer: what was cut, not understood or not seen."""

from __future__ import annotations

from dataclasses import dataclass

CODES = {
    "cut": "only the beginning of an item was read; the text says how much of how much",
    "not-understood": "too few words of a text are English words that the model knows; its confidence is set to 0",
    "clipped": "a recording is louder than its form holds, so that its loudest parts are cut off",
    "band-limited": "a recording has nothing above 4 kHz, as over a telephone",
    "channels-cancel": "the channels of a recording cancel each other; the louder one alone was read",
    "faces": "how many of the frames that were looked at show a face",
    "few-faces": "fewer than a quarter of the frames show a face, so that it may be none",
    "face-whole": "no face was found in a small picture, and the whole of it was taken as one",
    "label-unknown": "the name of a label is in no English word that is known: its place is a guess",
    "label-far": "nothing like the answer was trained on in a modality, or it was told little better than by chance",
}
"""Every code, and what it says."""


@dataclass(frozen=True)
class Note:
    """One thing to know: a `code` of `CODES` for programs, and a sentence for people.

    `modality` is text, audio or video, or `labels` where it is about a label in all of them.
    """

    code: str
    modality: str
    text: str

    def __str__(self) -> str:
        return f"{self.modality}: {self.text}"
