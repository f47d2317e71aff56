"""Reading the pickles that corpora are passed on as, without running anything they say.

A pickle is a program for a stack machine. `pickle.Unpickler` imports and calls what the program names, and even NumPy's
own constructors, called with a file's arguments, read memory that is not theirs. So nothing is unpickled here. The
opcodes are read with the standard library's table of them (`pickletools`). `pickle_machine` does what each means for
numbers, texts, plain containers and arrays of numbers, texts or these, and refuses every other opcode. `pickle_values`
refuses every other name. Python 2 pickles load as well.
"""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from emoembed.corpora.files import existing
from emoembed.corpora.forms.pickle_machine import BoundedFile, Machine
from emoembed.corpora.forms.pickle_values import Budget, PendingArray, object_array
from emoembed.errors import CorpusError, CorpusFileError
from emoembed.features.limits import PICKLE_DEPTH, PICKLE_GROWTH


def read_pickle(path: str | Path) -> Any:
    """The arrays and plain containers a pickle file holds; arrays are read-only.

    Raises:
        MissingFileError: there is no such file.
        CorpusFileError: the file is cut short or no pickle, or asks for anything but arrays and plain containers.
    """
    path = existing(Path(path))
    try:
        with path.open("rb") as stream:
            return read_stream(stream, str(path), path.stat().st_size)
    except OSError as error:
        raise CorpusFileError(f"{path} cannot be read: {error}") from error


def read_stream(stream: BinaryIO, where: str, size: int) -> Any:
    """The same of an open file of `size` bytes; `where` names it in errors."""
    try:
        return _finished(Machine(BoundedFile(stream, size), Budget(size)).run(), size)
    except CorpusError as error:
        raise CorpusFileError(
            f"{where}: this pickle {error}, which is neither an array nor a plain container; it was refused and "
            "nothing of it was run. Take the file from its publisher, or re-save it as arrays"
        ) from None
    except (EOFError, IndexError, KeyError, TypeError, ValueError, OverflowError) as error:
        raise CorpusFileError(f"{where} is no whole pickle ({error}); fetch it again and compare its size") from error
    except MemoryError as error:
        raise CorpusFileError(f"{where}: this pickle asks for more memory than there is") from error


def read_bytes(content: bytes, where: str) -> Any:
    """The same of bytes."""
    return read_stream(io.BytesIO(content), where, len(content))


def _finished(value: Any, size: int) -> Any:
    """The value with arrays in place of `PendingArray`.

    Refused: what holds itself, what lies deeper than `PICKLE_DEPTH`, and what would, with everything written out that
    the pickle refers to more than once, be larger than `PICKLE_GROWTH` times the file.
    """
    done: dict[
        int, tuple[Any, int, int, Any]
    ] = {}  # id -> finished, height, size written out, and the value kept alive
    within: set[int] = set()

    def finish(one: Any, depth: int) -> tuple[Any, int, int]:
        if isinstance(one, str | bytes | bytearray):
            return one, 0, 1 + len(one)
        if one is None or isinstance(one, bool | int | float | complex | np.generic):
            return one, 0, 1
        if id(one) in done:
            return done[id(one)][:3]
        if id(one) in within or depth > PICKLE_DEPTH:
            raise CorpusFileError(f"nests containers deeper than {PICKLE_DEPTH}, or within themselves")
        within.add(id(one))
        made, height, extent = one, 0, 1
        if isinstance(one, PendingArray):
            made, height, extent = finish(one.values, depth)
        elif isinstance(one, np.ndarray) and one.dtype.hasobject:
            parts = [finish(item, depth + 1) for item in one.ravel()]
            made = object_array([part[0] for part in parts]).reshape(one.shape)
            height, extent = _extent(parts)
        elif isinstance(one, np.ndarray):
            extent = 1 + one.nbytes
        elif isinstance(one, list | tuple):
            parts = [finish(item, depth + 1) for item in one]
            height, extent = _extent(parts)
            finished = [part[0] for part in parts]
            if isinstance(one, list):
                one[:] = finished
            else:
                made = tuple(finished)
        elif isinstance(one, dict):
            parts = [finish(item, depth + 1) for item in one.values()]
            height, extent = _extent(parts)
            for key, part in zip(one, parts, strict=True):
                one[key] = part[0]
        elif isinstance(one, set | frozenset):
            extent = 1 + len(one)
        else:
            raise CorpusFileError(f"ends with {one}")
        within.discard(id(one))
        if depth + height > PICKLE_DEPTH:
            raise CorpusFileError(f"nests containers deeper than {PICKLE_DEPTH}")
        done[id(one)] = made, height, extent, one
        return made, height, extent

    made, _, extent = finish(value, 0)
    if extent > PICKLE_GROWTH * max(size, 1024):
        raise CorpusFileError(f"refers to the same parts again and again, {PICKLE_GROWTH} times the file's size")
    return made


def _extent(parts: list[tuple[Any, int, int]]) -> tuple[int, int]:
    return 1 + max((height for _, height, _ in parts), default=0), 1 + sum(extent for _, _, extent in parts)
