"""Published facts about CMU-MOSEI and IEMOCAP: row counts per label, to check your files, and results of others.

Sources of the counts: the evaluation files of the release (IEMOCAP, 10,039 utterances); comments in the code of Dai et
al. 2020 (`src/data.py`) for the pickles; the standard folds of the CMU SDK for CMU-MOSEI.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

FOUR = ("neutral", "joy", "sadness", "anger")
NINE = ("anger", "excitement", "fear", "sadness", "surprise", "frustration", "joy", "neutral", "disgust")


def _by_label(labels: tuple[str, ...], **splits: tuple[int, ...]) -> dict[str, dict[str, int]]:
    return {split: dict(zip(labels, counts, strict=True)) for split, counts in splits.items()}


LABELS: Mapping[tuple[str, str], Mapping[str, Mapping[str, int]]] = {
    ("iemocap", "pickle"): _by_label(
        FOUR, train=(954, 338, 690, 735), valid=(358, 116, 188, 136), test=(383, 135, 193, 227)
    ),
    ("iemocap", "nine-class"): _by_label(
        NINE,
        train=(735, 686, 19, 690, 65, 1235, 338, 954, 1),
        valid=(136, 206, 9, 188, 17, 319, 116, 358, 0),
        test=(227, 141, 12, 193, 25, 278, 135, 383, 1),
    ),
    ("iemocap", "raw"): _by_label(NINE, all=(1103, 1041, 40, 1084, 107, 1849, 595, 1708, 2)),
}
"""(corpus, form) -> split (or `all`) -> label -> number of rows."""

ROWS: Mapping[tuple[str, str], Mapping[str, int]] = {
    ("mosei", "csd"): {"train": 16_327, "valid": 1_871, "test": 4_662},
    ("mosei", "raw"): {"train": 16_327, "valid": 1_871, "test": 4_662},
    ("iemocap", "raw"): {"all": 10_039},
}
"""(corpus, form) -> split (or `all`) -> number of rows."""


@dataclass(frozen=True)
class Figure:
    """A published result: the protocol, the system, the inputs it reads, the scores, the source, and a caution."""

    protocol: str
    system: str
    reads: str
    figures: Mapping[str, float]
    source: str
    caution: str = ""


_RERUN = "arXiv 2103.09666, a later re-run of the first author"
_RESPLIT = "its own re-split: other rows than the standard folds"
_PAPERS = "printed in its repository or in later papers; baselines copied between papers drift by 2 to 5 points"

FIGURES: tuple[Figure, ...] = (
    *(
        Figure("mosei-6", system, "text, audio, video", {"WAcc": wacc, "F1": f1}, _RERUN, _RESPLIT)
        for system, wacc, f1 in (
            ("LF-LSTM", 63.1, 43.3),
            ("LF-Transformer", 64.1, 44.4),
            ("EmoEmbs (Dai et al. 2020)", 64.2, 44.2),
            ("MulT", 65.4, 45.2),
            ("FE2E", 67.6, 47.4),
        )
    ),
    *(
        Figure("iemocap-6", system, reads, {"weighted F1": f1}, _PAPERS)
        for system, reads, f1 in (
            ("GloVe without context", "text", 52.0),
            ("past-only LSTM", "text, the turns before", 55.1),
            ("TL-ERC", "text, the dialogue", 59.56),
            ("DialogueGCN", "text, the dialogue", 64.4),
            ("COSMIC", "text, the dialogue", 65.3),
            ("DAG-ERC", "text, the turns before", 68.0),
            ("EmoBERTa", "text, the dialogue", 68.6),
            ("EACL", "text, the dialogue", 70.4),
            ("TelME", "text, audio, video", 70.5),
            ("InstructERC", "text, the dialogue", 71.4),
        )
    ),
    *(
        Figure(
            "iemocap-9-zero-shot", f"always negative, {label}", "nothing", {"Acc": acc, "weighted F1": f1}, "counted"
        )
        for label, acc, f1 in (("excited", 86.9, 80.9), ("surprised", 97.4, 96.1), ("frustrated", 77.1, 67.2))
    ),
)
"""Scores in per cent, as printed."""
