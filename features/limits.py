"""How large a file's contents may be: each is checked by what the file declares, before anything is decoded.

Damaged and hostile files declare sizes that they do not have. What a file is refused for is named in the error.
"""

from __future__ import annotations

SOUND_SAMPLES = 60_000_000
"""Of all channels, that are held at once: five minutes of four channels at 48 kHz. More are brought to 16 kHz first."""
PICTURE_SIDE = 16_384
"""Pixels on the longer side of a picture or of a video's frames."""
PICTURE_PIXELS = 120_000_000
"""Of a picture or a frame: 0.4 GB in colour."""
PICTURE_PACKING = 1000
"""Pixels that a byte of a picture's file may stand for: a blank page has fewer."""
PICTURE_SHAPE = 12
"""The longer side over the shorter one: a strip has room for no face, and searching it takes long."""
ARCHIVE_GROWTH = 100
"""Times its own size that an archive may unpack to ..."""
ARCHIVE_FREE = 64 * 2**20
"""... or bytes, where that is less."""
TABLE_ROWS = 1_000_000
"""Of a Parquet file, and one more for each of its bytes."""
PICKLE_DEPTH = 64
"""Containers within containers in a pickle."""
PICKLE_GROWTH = 16
"""Times its file's size that a pickle may come to with everything written out that it refers to twice."""
PICKLE_CONTAINERS = 400_000
"""Lists, tuples, dictionaries and sets in a pickle."""
TEXT_CHARACTERS = 20_000
"""Of a text: more is cut off before it is split into word pieces, of which far fewer are read."""


def picture_fault(width: int, height: int) -> str | None:
    """Why a picture of so many pixels is refused, or None."""
    longer, shorter = max(width, height), min(width, height)
    if longer > PICTURE_SIDE or width * height > PICTURE_PIXELS:
        limit = f"{PICTURE_SIDE} on a side and {PICTURE_PIXELS:,} in all"
        return f"{width} x {height} pixels, and pictures are read up to {limit}; make it smaller"
    if longer > PICTURE_SHAPE * max(shorter, 1):
        return f"{width} x {height} pixels, a strip more than {PICTURE_SHAPE} times as long as wide; cut the face out"
    return None


def archive_allows(unpacked: int, packed: int) -> bool:
    """Whether a file of `packed` bytes may unpack to `unpacked` bytes."""
    return unpacked <= max(ARCHIVE_GROWTH * packed, ARCHIVE_FREE)


def rows_allowed(rows: int, packed: int) -> bool:
    """Whether a Parquet file of `packed` bytes may hold so many rows."""
    return rows <= TABLE_ROWS + packed
