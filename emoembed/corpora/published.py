"""What others have printed about CMU-MOSEI and IEMOCAP: rows by label, to hold one's own files against.

Sources: the release's own evaluation files (IEMOCAP, 10,039 utterances); comments in the code of Dai et al. 2020
(`src/data.py`) for the pickles; the CMU SDK's standard folds for CMU-MOSEI.
"""

from __future__ import annotations

from collections.abc import Mapping

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
"""(corpus, form) -> split (or `all`) -> label -> rows."""

ROWS: Mapping[tuple[str, str], Mapping[str, int]] = {
    ("mosei", "csd"): {"train": 16_327, "valid": 1_871, "test": 4_662},
    ("mosei", "raw"): {"train": 16_327, "valid": 1_871, "test": 4_662},
    ("iemocap", "raw"): {"all": 10_039},
}
"""(corpus, form) -> split (or `all`) -> rows."""
