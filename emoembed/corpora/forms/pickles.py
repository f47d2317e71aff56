"""Read the pickles of published corpora without running any code in them.

A pickle is a program for a stack machine. `pickle.Unpickler` imports and calls any function that the program names.
Even NumPy's constructors can read memory outside the array if a file chooses their arguments. So this module does not
use the unpickler. It reads the opcodes with the opcode table of the standard library (`pickletools`). `pickle_machine`
executes the opcodes for numbers, strings, plain containers and arrays of these, and refuses all other opcodes.
`pickle_values` refuses all other global names. Python 2 pickles load as well.
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
    """Read a pickle file of arrays and plain containers. The arrays are read-only.

    Raises:
        MissingFileError: the file does not exist.
        CorpusFileError: the file is truncated, is not a pickle, or contains anything but arrays and plain containers.
    """
    path = existing(Path(path))
    try:
        with path.open("rb") as stream:
            return read_stream(stream, str(path), path.stat().st_size)
    except OSError as error:
        raise CorpusFileError(f"{path} cannot be read: {error}") from error


def read_stream(stream: BinaryIO, where: str, size: int) -> Any:
    """Read a pickle from an open file of `size` bytes; `where` names the file in error messages."""
    try:
        return _resolve_arrays(Machine(BoundedFile(stream, size), Budget(size)).run(), size)
    except CorpusError as error:
        raise CorpusFileError(
            f"{where}: this pickle {error}; only arrays and plain containers are read. The file was refused and none "
            "of its code was run. Fetch the file from its publisher, or save it again as arrays"
        ) from None
    except (EOFError, IndexError, KeyError, TypeError, ValueError, OverflowError) as error:
        raise CorpusFileError(
            f"{where} is not a complete pickle ({error}); fetch it again and compare its size"
        ) from error
    except MemoryError as error:
        raise CorpusFileError(f"{where}: this pickle needs more memory than is available") from error


def read_bytes(content: bytes, where: str) -> Any:
    """Read a pickle from bytes; `where` names the source in error messages."""
    return read_stream(io.BytesIO(content), where, len(content))


def _resolve_arrays(value: Any, size: int) -> Any:
    """Replace each `PendingArray` by its array.

    Refuses containers that contain themselves, containers nested deeper than `PICKLE_DEPTH`, and values whose expanded
    size exceeds `PICKLE_GROWTH` times the file. The expanded size counts a shared part once per reference.
    """
    # id -> resolved value, height, expanded size, and the original node, kept alive so that its id stays unique
    resolved: dict[int, tuple[Any, int, int, Any]] = {}
    open_ids: set[int] = set()

    def resolve(node: Any, depth: int) -> tuple[Any, int, int]:
        if isinstance(node, str | bytes | bytearray):
            return node, 0, 1 + len(node)
        if node is None or isinstance(node, bool | int | float | complex | np.generic):
            return node, 0, 1
        if id(node) in resolved:
            return resolved[id(node)][:3]
        if id(node) in open_ids or depth > PICKLE_DEPTH:
            raise CorpusFileError(f"nests containers deeper than {PICKLE_DEPTH}, or a container in itself")
        open_ids.add(id(node))
        result, height, extent = node, 0, 1
        if isinstance(node, PendingArray):
            result, height, extent = resolve(node.values, depth)
        elif isinstance(node, np.ndarray) and node.dtype.hasobject:
            parts = [resolve(item, depth + 1) for item in node.ravel()]
            result = object_array([part[0] for part in parts]).reshape(node.shape)
            height, extent = _measure_container(parts)
        elif isinstance(node, np.ndarray):
            extent = 1 + node.nbytes
        elif isinstance(node, list | tuple):
            parts = [resolve(item, depth + 1) for item in node]
            height, extent = _measure_container(parts)
            items = [part[0] for part in parts]
            if isinstance(node, list):
                node[:] = items
            else:
                result = tuple(items)
        elif isinstance(node, dict):
            parts = [resolve(item, depth + 1) for item in node.values()]
            height, extent = _measure_container(parts)
            for key, part in zip(node, parts, strict=True):
                node[key] = part[0]
        elif isinstance(node, set | frozenset):
            extent = 1 + len(node)
        else:
            raise CorpusFileError(f"ends with {node}")
        open_ids.discard(id(node))
        if depth + height > PICKLE_DEPTH:
            raise CorpusFileError(f"nests containers deeper than {PICKLE_DEPTH}")
        resolved[id(node)] = result, height, extent, node
        return result, height, extent

    result, _, extent = resolve(value, 0)
    if extent > PICKLE_GROWTH * max(size, 1024):
        raise CorpusFileError(
            f"refers to the same parts repeatedly: expanded, they exceed {PICKLE_GROWTH} times the file's size"
        )
    return result


def _measure_container(parts: list[tuple[Any, int, int]]) -> tuple[int, int]:
    return 1 + max((height for _, height, _ in parts), default=0), 1 + sum(extent for _, _, extent in parts)
