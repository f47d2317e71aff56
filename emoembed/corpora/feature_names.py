"""The columns of feature sets that are published without a header, and which of them give an emotion away."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from emoembed.labels.emotion import canonical, table

COVAREP = (
    *("F0", "VUV", "NAQ", "QOQ", "H1H2", "PSP", "MDQ", "peakSlope", "Rd", "Rd_conf", "creak"),
    *(f"MCEP_{i}" for i in range(25)),
    *(f"HMPDM_{i}" for i in range(25)),
    *(f"HMPDD_{i}" for i in range(13)),
)
"""COVAREP 1.4.2 as the CMU SDK distributes it, 74 columns at 100 frames a second (Degottex et al. 2014)."""

FACET = (
    *("Anger", "Contempt", "Disgust", "Joy", "Fear", "Baseline", "Sadness", "Surprise", "Confusion", "Frustration"),
    *(f"AU{i}" for i in (1, 2, 4, 5, 6, 7, 9, 10, 12, 14, 15, 17, 18, 20, 23, 24, 25, 26, 28, 43)),
    *("Has_Glasses", "Is_Male", "Pitch", "Yaw", "Roll"),
)
"""iMotions FACET 4.2 as the CMU SDK distributes it, 35 columns at 30 frames a second (SDK issues 93 and 239).

The first ten are another system's emotion scores: see `emotion_columns`.
"""

BY_SIZE = {74: COVAREP, 35: FACET}


def named(feature_dim: int, modality: str) -> tuple[str, ...] | None:
    """The columns of a feature set that came without names, by its size; None where the size is not known.

    Text of any size is word vectors, whose columns have no meaning of their own.
    """
    if modality == "text":
        return tuple(f"word_{i:03d}" for i in range(feature_dim))
    return BY_SIZE.get(feature_dim)


def emotion_columns(columns: Iterable[str]) -> tuple[str, ...]:
    """The columns that are emotion scores themselves: those named like an emotion, and FACET's `Baseline`.

    A model that reads them has been told about the emotions it is asked for (Modality-Transferable-MER issue 6).
    """
    return tuple(column for column in columns if column == "Baseline" or canonical(column) in table())


def positions(columns: Sequence[str], unwanted: Iterable[str]) -> list[int]:
    """Where the columns stand that are not unwanted."""
    dropped = set(unwanted)
    return [i for i, column in enumerate(columns) if column not in dropped]
