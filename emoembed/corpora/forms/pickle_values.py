"""The values that a pickle may contain, and limits on their amount: NumPy arrays, strings, numbers, containers."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from typing import Any

import numpy as np

from emoembed.errors import CorpusFileError
from emoembed.features.limits import PICKLE_CONTAINERS, PICKLE_GROWTH

CORE = ("numpy.core", "numpy._core")  # renamed in NumPy 2
BUILTINS = ("builtins", "__builtin__")
ADMITTED = {
    ("numpy", "ndarray"),
    ("numpy", "dtype"),
    ("_codecs", "encode"),
    ("collections", "OrderedDict"),
    *((f"{core}.multiarray", name) for core in CORE for name in ("_reconstruct", "scalar")),
    *((f"{core}.numeric", "_frombuffer") for core in CORE),
    *((module, name) for module in BUILTINS for name in ("set", "frozenset", "complex", "bytearray", "bytes", "list")),
}
"""Global names that a pickle may use. None of them is imported: `call` implements each name."""
KIND = re.compile(r"[<>|=]?[?bBhHiIlLqQuefdcFDSUO]\d{0,9}")
"""Allowed types of array elements: no structured types and no dates."""
KEY_INTEGER = 2**60
"""Integer keys must be smaller: larger keys can all have the same hash, and building their dictionary takes hours."""


@dataclass(frozen=True)
class Name:
    """An allowed global name in the pickle."""

    module: str
    name: str

    def __str__(self) -> str:
        return f"{self.module}.{self.name}"


class DataType:
    """A NumPy type. A later opcode (BUILD) sets its byte order and length."""

    def __init__(self, spelled: Any) -> None:
        text = spelled.decode("latin1") if isinstance(spelled, bytes) else spelled
        if not isinstance(text, str) or not KIND.fullmatch(text):
            raise CorpusFileError(f"asks for an array of type {spelled!r:.40}")
        self.dtype = np.dtype(text)

    def build(self, state: Any, _: Budget) -> None:
        """Set the byte order and length; structured types are refused.

        `state` is (version, byte order, subarray, names, fields, length, alignment, flags).
        """
        plain = isinstance(state, tuple) and len(state) >= 8 and state[2] is state[3] is state[4] is None
        if not plain or as_text(state[1]) not in ("<", ">", "|", "=") or not isinstance(state[5], int):
            raise CorpusFileError("asks for an array of a structured type")
        if self.dtype.kind in "SU" and self.dtype.itemsize == 0 and state[5] > 0:
            self.dtype = np.dtype(f"{self.dtype.kind}{state[5] // (4 if self.dtype.kind == 'U' else 1)}")
        if as_text(state[1]) in ("<", ">"):
            self.dtype = self.dtype.newbyteorder(as_text(state[1]))


class Budget:
    """What the pickle may still use: copied bytes, in proportion to the file's size, and containers."""

    def __init__(self, size: int) -> None:
        self.left, self.containers = PICKLE_GROWTH * max(size, 1024), PICKLE_CONTAINERS

    def copies(self, values: Any) -> Any:
        """Charge for copying or hashing the values: 16 bytes per item of a list or tuple, else 1 byte per item."""
        self.left -= len(values) * (16 if isinstance(values, list | tuple) else 1)
        if self.left < 0:
            raise CorpusFileError(f"copies the same parts repeatedly, more than {PICKLE_GROWTH} times the file's size")
        return values

    def another_container(self, called: bool) -> None:
        self.containers -= 2 if called else 1  # an array costs more than a list
        if self.containers < 0:
            raise CorpusFileError(f"holds more than {PICKLE_CONTAINERS:,} containers")


class PendingArray:
    """An array whose values are set by a later opcode (BUILD)."""

    def __init__(self) -> None:
        self.values = np.zeros(0, np.int8)

    def build(self, state: Any, budget: Budget) -> None:
        """Set the values. `state` is (version, shape, type, whether in Fortran order, bytes or list of objects)."""
        if not isinstance(state, tuple) or len(state) not in (4, 5):
            raise ValueError("an array without its shape and type")
        shape, kind, fortran, content = state[-4:]
        self.values = make_array(shape, kind, content, "F" if fortran else "C", budget)


def admitted(module: Any, name: Any) -> Name:
    if (module, name) not in ADMITTED:
        raise CorpusFileError(f"asks for {module}.{name}"[:200])
    return Name(module, name)


def call(name: Any, arguments: tuple[Any, ...], budget: Budget) -> Any:
    """Return the value of an allowed name called with the arguments `arguments` (REDUCE)."""
    if not isinstance(name, Name):
        raise CorpusFileError(f"calls a {type(name).__name__}")
    kind, first = name.name, arguments[0] if arguments else None
    if kind == "_reconstruct":
        return PendingArray()
    if kind == "dtype":
        return DataType(first)
    if kind == "scalar" and isinstance(first, DataType) and not first.dtype.hasobject:
        return make_array((), first, arguments[1], "C", budget)[()]
    if kind == "_frombuffer":
        content, dtype, shape, order = arguments
        return make_array(shape, dtype, content, order, budget)
    if kind == "OrderedDict":
        pairs = [expected(pair, (list, tuple)) for pair in budget.copies(expected(first or [], list))]
        return {key_of(key, budget): value for key, value in pairs}
    if kind in ("set", "frozenset"):
        members = {key_of(member, budget) for member in budget.copies(expected(first or [], list))}
        return members if kind == "set" else frozenset(members)
    if kind == "list" and not arguments:
        return []
    if kind == "complex":
        real, imaginary = arguments
        return complex(expected(real, (int, float)), expected(imaginary, (int, float)))
    if kind == "encode" and isinstance(first, str):
        if len(arguments) > 1 and arguments[1] not in ("latin1", "latin-1"):
            raise CorpusFileError(f"asks for the codec {arguments[1]!r:.40}")
        return budget.copies(first).encode("latin1")
    if kind in ("bytearray", "bytes") and (first is None or isinstance(first, bytes | bytearray | str)):
        budget.copies(first or b"")
        content = first.encode("latin1") if isinstance(first, str) else first or b""
        return bytearray(content) if kind == "bytearray" else bytes(content)
    raise CorpusFileError(f"calls {name} with {arguments!r:.60}")


def make_array(shape: Any, kind: Any, raw: Any, order: Any, budget: Budget) -> np.ndarray:
    """Make an array. `raw` must contain exactly the bytes or objects of its shape, so no other memory is read."""
    shape = (shape,) if isinstance(shape, int) else expected(shape, tuple)
    sizes = len(shape) <= 32 and all(isinstance(n, int) and 0 <= n < 2**48 for n in shape)
    if not isinstance(kind, DataType) or not sizes or order not in ("C", "F"):
        raise ValueError("an array with an invalid shape or type")
    count = math.prod(shape)
    if kind.dtype.hasobject:
        if count != len(budget.copies(expected(raw, list))):
            raise ValueError(f"an array of shape {shape} with {len(raw)} objects")
        return object_array(raw).reshape(shape, order=order)
    content = budget.copies(raw).encode("latin1") if isinstance(raw, str) else expected(raw, (bytes, bytearray))
    if count * kind.dtype.itemsize != len(content):
        raise ValueError(f"an array of shape {shape} and type {kind.dtype} in {len(content)} bytes")
    if kind.dtype.kind == "U":
        budget.copies(content)  # array_over reads all characters
    return array_over(content, kind.dtype).reshape(shape, order=order)


def array_over(content: bytes | bytearray, dtype: np.dtype) -> np.ndarray:
    """Make a read-only array over bytes. Raises ValueError for invalid characters, which would crash NumPy later."""
    flat = np.frombuffer(content, dtype) if content else np.empty(0, dtype)
    if dtype.kind == "U" and len(content) and int(np.frombuffer(content, dtype.byteorder + "u4").max()) > 0x10FFFF:
        raise ValueError("text with characters that are not Unicode")
    flat.flags.writeable = False
    return flat


def object_array(items: list[Any]) -> np.ndarray:
    """Make an object array `(items,)`; an item that is a list stays a list."""
    array = np.empty(len(items), object)
    for index, item in enumerate(items):
        array[index] = item
    return array


def key_of(value: Any, budget: Budget) -> Any:
    """Return `value` if it may be a key or set member: a string, a number or a short tuple.

    Other values are refused, because a file could choose them to have equal hashes.
    """
    if isinstance(value, str | bytes | float | bool | type(None) | np.str_ | np.bytes_ | np.floating):
        return value
    if isinstance(value, int | np.integer) and abs(int(value)) < KEY_INTEGER:
        return value
    if isinstance(value, tuple) and len(value) <= 8:
        small = (isinstance(part, str | bytes) or (isinstance(part, int) and abs(part) < 2**31) for part in value)
        if all(small):
            return budget.copies(value)
    raise CorpusFileError(f"has a dictionary key or set member of type {type(value).__name__} that is not allowed")


def expected(value: Any, kind: Any) -> Any:
    if not isinstance(value, kind):
        raise TypeError(f"a {type(value).__name__} in the wrong place")
    return value


def as_text(value: Any) -> Any:
    return value.decode("latin1") if isinstance(value, bytes) else value
