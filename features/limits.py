"""Size limits for the contents of files. The size that a file declares is checked before anything is decoded.

Damaged and hostile files declare false sizes. The error names the limit that a file exceeds.
"""

from __future__ import annotations

SOUND_SAMPLES = 60_000_000
"""Most samples in memory, over all channels: 5 min of 4 channels at 48 kHz. Longer sound is decoded at 16 kHz."""
PICTURE_SIDE = 16_384
"""Most pixels on the longer side of a picture or a video frame."""
PICTURE_PIXELS = 120_000_000
"""Most pixels of a picture or a video frame: 0.4 GB in colour."""
PICTURE_BYTES = 8 * PICTURE_PIXELS
"""Most bytes of a picture file. A picture within the limits has at most four channels of 16 bits per pixel."""
FILE_BYTES = 4 * 2**30
"""Most bytes of an open file that is read into memory. Larger files are given as paths."""
PICTURE_PACKING = 1000
"""Most pixels per byte of a picture file. Even a blank page has fewer."""
PICTURE_SHAPE = 12
"""Largest ratio of the longer side to the shorter side. A strip has no room for a face, and its search is slow."""
ARCHIVE_GROWTH = 100
"""Largest ratio of the unpacked size of an archive to its packed size. It applies above `ARCHIVE_FREE` bytes."""
ARCHIVE_FREE = 64 * 2**20
"""Any archive may unpack to this many bytes."""
TABLE_ROWS = 1_000_000
"""Most rows of a Parquet file, plus one row per byte of the file."""
TABLE_CELLS = 20_000_000
"""Most cells of a Parquet file or an Excel sheet (rows times the widest row), plus one cell per byte of the file."""
TEXT_FILE = 2 * 2**30
"""Most bytes of a table, a list or another text file. Such a file is read whole."""
CHECKPOINT_FILE = 16 * 2**30
"""Most bytes of a file of a checkpoint. It is read whole."""
PICKLE_DEPTH = 64
"""Most levels of nested containers in a pickle."""
PICKLE_GROWTH = 16
"""Largest ratio of the expanded size of a pickle to its file size. Repeated references count each time."""
PICKLE_CONTAINERS = 400_000
"""Most lists, tuples, dictionaries and sets in a pickle."""
TEXT_CHARACTERS = 20_000
"""Most characters of a text. Longer text is cut before it is split into word pieces; models read far fewer of these."""


def picture_fault(width: int, height: int) -> str | None:
    """The reason to refuse a picture of this size in pixels, or None."""
    longer_side, shorter_side = max(width, height), min(width, height)
    if longer_side > PICTURE_SIDE or width * height > PICTURE_PIXELS:
        limit = f"{PICTURE_SIDE} per side and {PICTURE_PIXELS:,} in total"
        return f"{width} x {height} pixels exceed the limit of {limit}; make it smaller"
    if longer_side > PICTURE_SHAPE * max(shorter_side, 1):
        return (
            f"{width} x {height} pixels, a strip more than {PICTURE_SHAPE} times as long as wide; crop it to the face"
        )
    return None


def archive_allows(unpacked: int, packed: int) -> bool:
    """Whether a file of `packed` bytes may unpack to `unpacked` bytes."""
    return unpacked <= max(ARCHIVE_GROWTH * packed, ARCHIVE_FREE)


def rows_allowed(rows: int, packed: int) -> bool:
    """Whether a Parquet file of `packed` bytes may have this many rows."""
    return rows <= TABLE_ROWS + packed


def cells_allowed(cells: int, packed: int) -> bool:
    """Whether a table in a file of `packed` bytes may have this many cells."""
    return cells <= TABLE_CELLS + packed


def file_fault(size: int, limit: int) -> str | None:
    """The reason not to read a file of `size` bytes whole, or None."""
    return f"{size:,} bytes exceed the limit of {limit:,}; check that it is the right file" if size > limit else None
