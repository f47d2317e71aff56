"""Column names of feature sets that are published without a header, and the columns that leak an emotion."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from emoembed.labels.emotion import canonical, table

COVAREP = (
    *("F0", "VUV", "NAQ", "QOQ", "H1H2", "PSP", "MDQ", "peakSlope", "Rd", "Rd_conf", "creak"),
    *(f"MCEP_{i}" for i in range(25)),
    *(f"HMPDM_{i}" for i in range(25)),
    *(f"HMPDD_{i}" for i in range(13)),
)
"""COVAREP 1.4.2 as the CMU SDK distributes it: 74 columns, 100 frames per second (Degottex et al. 2014)."""

FACET = (
    *("Anger", "Contempt", "Disgust", "Joy", "Fear", "Baseline", "Sadness", "Surprise", "Confusion", "Frustration"),
    *(f"AU{i}" for i in (1, 2, 4, 5, 6, 7, 9, 10, 12, 14, 15, 17, 18, 20, 23, 24, 25, 26, 28, 43)),
    *("Has_Glasses", "Is_Male", "Pitch", "Yaw", "Roll"),
)
"""iMotions FACET 4.2 as the CMU SDK distributes it: 35 columns, 30 frames per second (SDK issues 93 and 239).

The first ten columns are the emotion scores of FACET itself: see `emotion_columns`.
"""

BY_SIZE = {74: COVAREP, 35: FACET}


def named(feature_dim: int, modality: str) -> tuple[str, ...] | None:
    """Return the column names of an unnamed feature set of this size, or None if the size is unknown.

    Text features of any size are taken as word vectors, so their columns are only numbered.
    """
    if modality == "text":
        return tuple(f"word_{i:03d}" for i in range(feature_dim))
    return BY_SIZE.get(feature_dim)


def emotion_columns(columns: Iterable[str]) -> tuple[str, ...]:
    """Return the columns that are emotion scores: those with the name of an emotion, and FACET's `Baseline`.

    A model that reads them gets the emotions that it must predict: a label leak (Modality-Transferable-MER issue 6).
    """
    return tuple(column for column in columns if column == "Baseline" or canonical(column) in table())


def positions(columns: Sequence[str], unwanted: Iterable[str]) -> list[int]:
    """Return the indices of the columns that are not in `unwanted`."""
    dropped = set(unwanted)
    return [i for i, column in enumerate(columns) if column not in dropped]
