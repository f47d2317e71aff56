"""Reading the pickles that corpora are passed on as, without running anything they say.

A pickle is a program for a stack machine. `pickle.Unpickler` imports and calls what the program names, and even NumPy's
own constructors, called with a file's arguments, read memory that is not theirs. So nothing is unpickled here. The
opcodes are read with the standard library's table of them (`pickletools`), and this module does what each means for
numbers, texts, plain containers and arrays of numbers, texts or these. It refuses every other opcode and name. Python 2
pickles load as well.
"""

from __future__ import annotations

import codecs
import io
import math
import pickletools
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from emoembed.corpora.files import existing
from emoembed.errors import CorpusError, CorpusFileError
from emoembed.features.limits import PICKLE_CONTAINERS, PICKLE_DEPTH, PICKLE_GROWTH

OPCODES = {opcode.code: opcode for opcode in pickletools.opcodes}
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
"""Names that a pickle may say. None of them is imported: `_call` knows what each means."""
KIND = re.compile(r"[<>|=]?[?bBhHiIlLqQuefdcFDSUO]\d{0,9}")
"""Of arrays: a type that is neither structured nor a date."""
KEY_INTEGER = 2**60
"""Integers as keys are smaller: of larger ones any number have the same hash, and a table of them takes hours."""

ESCAPED = re.compile(rb"(?:[^\\]|\\(?:[\\'\"abfnrtv]|x[0-9a-fA-F]{2}|[0-7]{1,3}))*")


@dataclass(frozen=True)
class _Name:
    """A name that the pickle said."""

    module: str
    name: str

    def __str__(self) -> str:
        return f"{self.module}.{self.name}"


class _Type:
    """A NumPy type; its byte order and length come with a later opcode (BUILD)."""

    def __init__(self, spelled: Any) -> None:
        text = spelled.decode("latin1") if isinstance(spelled, bytes) else spelled
        if not isinstance(text, str) or not KIND.fullmatch(text):
            raise CorpusFileError(f"asks for an array of type {spelled!r:.40}")
        self.dtype = np.dtype(text)

    def build(self, state: Any, _: _Budget) -> None:
        """(version, byte order, subarray, names, fields, length, alignment, flags): no structure is admitted."""
        plain = isinstance(state, tuple) and len(state) >= 8 and state[2] is state[3] is state[4] is None
        if not plain or _text(state[1]) not in ("<", ">", "|", "=") or not isinstance(state[5], int):
            raise CorpusFileError("asks for an array of a structured type")
        if self.dtype.kind in "SU" and self.dtype.itemsize == 0 and state[5] > 0:
            self.dtype = np.dtype(f"{self.dtype.kind}{state[5] // (4 if self.dtype.kind == 'U' else 1)}")
        if _text(state[1]) in ("<", ">"):
            self.dtype = self.dtype.newbyteorder(_text(state[1]))


class _Budget:
    """What a pickle may still ask for: things that it copies, in proportion to its size, and containers."""

    def __init__(self, size: int) -> None:
        self.left, self.containers = PICKLE_GROWTH * max(size, 1024), PICKLE_CONTAINERS

    def copies(self, values: Any) -> Any:
        """Values that are copied or hashed once more: a byte each, or a reference."""
        self.left -= len(values) * (16 if isinstance(values, list | tuple) else 1)
        if self.left < 0:
            raise CorpusFileError(f"copies the same parts again and again, {PICKLE_GROWTH} times the file's size")
        return values

    def another_container(self, called: bool) -> None:
        self.containers -= 2 if called else 1  # an array takes more than a list
        if self.containers < 0:
            raise CorpusFileError(f"holds more than {PICKLE_CONTAINERS:,} containers")


class _Array:
    """An array whose numbers come with a later opcode (BUILD)."""

    def __init__(self) -> None:
        self.values = np.zeros(0, np.int8)

    def build(self, state: Any, budget: _Budget) -> None:
        """(version, shape, type, whether Fortran's order, bytes or list of objects)."""
        if not isinstance(state, tuple) or len(state) not in (4, 5):
            raise ValueError("an array without its shape and type")
        shape, kind, fortran, raw = state[-4:]
        self.values = _array(shape, kind, raw, "F" if fortran else "C", budget)


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
        return _finished(_run(_Bounded(stream, size), _Budget(size)), size)
    except CorpusError as error:
        raise CorpusFileError(
            f"{where}: this pickle {error}, which is neither an array nor a plain container; it was refused and "
            "nothing of it was run. Take the file from its publisher, or re-save it as arrays"
        ) from None
    except (EOFError, IndexError, KeyError, TypeError, ValueError, OverflowError) as error:
        raise CorpusFileError(f"{where} is no whole pickle ({error}); fetch it again and compare its size") from error
    except MemoryError as error:
        raise CorpusFileError(f"{where}: this pickle asks for more memory than there is") from error


class _Bounded:
    """A file that gives no more than it holds: reading a declared length first makes room for all of it."""

    def __init__(self, stream: BinaryIO, size: int) -> None:
        self._stream, self.left = stream, size

    def readline(self) -> bytes:
        line = self._stream.readline()
        self.left -= len(line)
        return line

    def read(self, count: int) -> bytes:
        if count > self.left:
            raise EOFError(f"{count} bytes are said to follow and {self.left} are there")
        content = self._stream.read(count)
        self.left -= len(content)
        return content


def _run(stream: _Bounded, budget: _Budget) -> Any:
    """Do what the opcodes say; the value they end with, arrays still as `_Array`."""
    stack: list[Any] = []
    marks: list[int] = []
    memo: dict[int, Any] = {}

    def since_mark() -> list[Any]:
        items = stack[marks[-1] :]
        del stack[marks.pop() :]
        return items

    while True:
        code = stream.read(1).decode("latin1")
        if code not in OPCODES:
            raise ValueError(f"{code!r} is no opcode" if code else "it ends before its end")
        opcode = OPCODES[code]
        name = opcode.name
        if name in CONTAINERS:
            budget.another_container(name == "REDUCE")
        argument: Any = None
        if opcode.arg is not None:
            reader: Callable[[Any], Any] = READERS.get(name, opcode.arg.reader)
            argument = reader(stream)
        if name in CONSTANTS:
            stack.append(CONSTANTS[name](argument))
        elif name == "MARK":
            marks.append(len(stack))
        elif name == "STOP":
            (result,) = stack
            return result
        elif name in ("PUT", "BINPUT", "LONG_BINPUT", "MEMOIZE"):
            memo[len(memo) if name == "MEMOIZE" else argument] = stack[-1]
        elif name in ("GET", "BINGET", "LONG_BINGET"):
            stack.append(memo[argument])
        elif name in ("PROTO", "FRAME"):
            continue
        elif name == "POP":  # of a mark, where one is on top
            if marks and marks[-1] == len(stack):
                marks.pop()
            else:
                stack.pop()
        elif name == "POP_MARK":
            since_mark()
        elif name == "DUP":
            stack.append(stack[-1])
        elif name in ("TUPLE", "LIST"):
            items = since_mark()
            stack.append(tuple(items) if name == "TUPLE" else items)
        elif name in ("TUPLE1", "TUPLE2", "TUPLE3"):
            count = int(name[-1])
            if len(stack) < count:
                raise IndexError("a tuple of more than there is")
            stack[-count:] = [tuple(stack[-count:])]
        elif name in ("APPEND", "APPENDS"):
            items = [stack.pop()] if name == "APPEND" else since_mark()
            _expected(stack[-1], list).extend(items)
        elif name in ("DICT", "SETITEM", "SETITEMS"):
            items = [stack.pop(-2), stack.pop()] if name == "SETITEM" else since_mark()
            if name == "DICT":
                stack.append({})
            held = _expected(stack[-1], dict)
            for key, value in zip(items[::2], items[1::2], strict=True):
                held[_key(key, budget)] = value
        elif name in ("ADDITEMS", "FROZENSET"):
            members = {_key(member, budget) for member in since_mark()}
            if name == "FROZENSET":
                stack.append(frozenset(members))
            else:
                _expected(stack[-1], set).update(members)
        elif name in ("GLOBAL", "STACK_GLOBAL"):
            said = argument if name == "GLOBAL" else (stack.pop(-2), stack.pop())
            stack.append(_admitted(*said))
        elif name == "REDUCE":
            arguments = _expected(stack.pop(), tuple)
            stack.append(_call(stack.pop(), arguments, budget))
        elif name == "BUILD":
            state = stack.pop()
            if not isinstance(stack[-1], _Type | _Array):
                raise CorpusFileError(f"sets the state of a {type(stack[-1]).__name__}")
            stack[-1].build(state, budget)
        elif name == "INST":
            _admitted(*argument)
            raise CorpusFileError("makes an instance")
        else:  # classes, extension registry, persistent ids, buffers kept elsewhere
            raise CorpusFileError(f"holds the opcode {name}")


CONTAINERS = frozenset(
    (
        "EMPTY_LIST",
        "LIST",
        "EMPTY_DICT",
        "DICT",
        "EMPTY_SET",
        "FROZENSET",
        "TUPLE",
        "TUPLE1",
        "TUPLE2",
        "TUPLE3",
        "REDUCE",
    )
)
"""Opcodes that make a container, or an array."""
CONSTANTS: dict[str, Callable[[Any], Any]] = {
    **dict.fromkeys(("INT", "BININT", "BININT1", "BININT2", "LONG", "LONG1", "LONG4"), lambda value: value),
    **dict.fromkeys(("STRING", "BINSTRING", "SHORT_BINSTRING"), lambda value: value),
    **dict.fromkeys(("BINBYTES", "SHORT_BINBYTES", "BINBYTES8", "BYTEARRAY8"), lambda value: value),
    **dict.fromkeys(("UNICODE", "SHORT_BINUNICODE", "BINUNICODE", "BINUNICODE8"), lambda value: value),
    **dict.fromkeys(("FLOAT", "BINFLOAT"), lambda value: value),
    "NONE": lambda _: None,
    "NEWTRUE": lambda _: True,
    "NEWFALSE": lambda _: False,
    "EMPTY_LIST": lambda _: [],
    "EMPTY_TUPLE": lambda _: (),
    "EMPTY_DICT": lambda _: {},
    "EMPTY_SET": lambda _: set(),
}
"""Opcodes that put a value on the stack."""


def _admitted(module: Any, name: Any) -> _Name:
    if (module, name) not in ADMITTED:
        raise CorpusFileError(f"asks for {module}.{name}"[:200])
    return _Name(module, name)


def _call(name: Any, given: tuple[Any, ...], budget: _Budget) -> Any:
    """What an admitted name makes of its arguments (REDUCE)."""
    if not isinstance(name, _Name):
        raise CorpusFileError(f"calls a {type(name).__name__}")
    kind, first = name.name, given[0] if given else None
    if kind == "_reconstruct":
        return _Array()
    if kind == "dtype":
        return _Type(first)
    if kind == "scalar" and isinstance(first, _Type) and not first.dtype.hasobject:
        return _array((), first, given[1], "C", budget)[()]
    if kind == "_frombuffer":
        raw, dtype, shape, order = given
        return _array(shape, dtype, raw, order, budget)
    if kind == "OrderedDict":
        pairs = [_expected(pair, (list, tuple)) for pair in budget.copies(_expected(first or [], list))]
        return {_key(key, budget): value for key, value in pairs}
    if kind in ("set", "frozenset"):
        members = {_key(member, budget) for member in budget.copies(_expected(first or [], list))}
        return members if kind == "set" else frozenset(members)
    if kind == "list" and not given:
        return []
    if kind == "complex":
        real, imaginary = given
        return complex(_expected(real, (int, float)), _expected(imaginary, (int, float)))
    if kind == "encode" and isinstance(first, str):
        if len(given) > 1 and given[1] not in ("latin1", "latin-1"):
            raise CorpusFileError(f"asks for the codec {given[1]!r:.40}")
        return budget.copies(first).encode("latin1")
    if kind in ("bytearray", "bytes") and (first is None or isinstance(first, bytes | bytearray | str)):
        budget.copies(first or b"")
        made = first.encode("latin1") if isinstance(first, str) else first or b""
        return bytearray(made) if kind == "bytearray" else bytes(made)
    raise CorpusFileError(f"calls {name} with {given!r:.60}")


def _array(shape: Any, kind: Any, raw: Any, order: Any, budget: _Budget) -> np.ndarray:
    """An array over bytes of exactly its size, or of as many objects. Nothing of it lies elsewhere."""
    shape = (shape,) if isinstance(shape, int) else _expected(shape, tuple)
    sizes = len(shape) <= 32 and all(isinstance(n, int) and 0 <= n < 2**48 for n in shape)
    if not isinstance(kind, _Type) or not sizes or order not in ("C", "F"):
        raise ValueError("an array of a shape or type that there is not")
    count = math.prod(shape)
    if kind.dtype.hasobject:
        if count != len(budget.copies(_expected(raw, list))):
            raise ValueError(f"an array of shape {shape} with {len(raw)} objects")
        return _objects(raw).reshape(shape, order=order)
    content = budget.copies(raw).encode("latin1") if isinstance(raw, str) else _expected(raw, (bytes, bytearray))
    if count * kind.dtype.itemsize != len(content):
        raise ValueError(f"an array of shape {shape} and type {kind.dtype} in {len(content)} bytes")
    if kind.dtype.kind == "U":
        budget.copies(content)  # its characters are looked at
    return array_over(content, kind.dtype).reshape(shape, order=order)


def array_over(content: bytes | bytearray, dtype: np.dtype) -> np.ndarray:
    """A read-only array over bytes. Raises ValueError where characters of a text are none (NumPy would crash later)."""
    flat = np.frombuffer(content, dtype) if content else np.empty(0, dtype)
    if dtype.kind == "U" and len(content) and int(np.frombuffer(content, dtype.byteorder + "u4").max()) > 0x10FFFF:
        raise ValueError("texts of characters that there are not")
    flat.flags.writeable = False
    return flat


def _finished(value: Any, size: int) -> Any:
    """The value with arrays in place of `_Array`.

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
        if isinstance(one, _Array):
            made, height, extent = finish(one.values, depth)
        elif isinstance(one, np.ndarray) and one.dtype.hasobject:
            parts = [finish(item, depth + 1) for item in one.ravel()]
            made = _objects([part[0] for part in parts]).reshape(one.shape)
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


def _objects(items: list[Any]) -> np.ndarray:
    """An array of objects `(items,)`, lists among them as they are."""
    held = np.empty(len(items), object)
    for place, item in enumerate(items):
        held[place] = item
    return held


def _extent(parts: list[tuple[Any, int, int]]) -> tuple[int, int]:
    return 1 + max((height for _, height, _ in parts), default=0), 1 + sum(extent for _, _, extent in parts)


def _key(value: Any, budget: _Budget) -> Any:
    """What may be a key or a member of a set: a text, a number, or a few of them. No two are made to hash alike."""
    if isinstance(value, str | bytes | float | bool | type(None) | np.str_ | np.bytes_ | np.floating):
        return value
    if isinstance(value, int | np.integer) and abs(int(value)) < KEY_INTEGER:
        return value
    if isinstance(value, tuple) and len(value) <= 8:
        small = (isinstance(part, str | bytes) or (isinstance(part, int) and abs(part) < 2**31) for part in value)
        if all(small):
            return budget.copies(value)
    raise CorpusFileError(f"has a key that no table of a corpus has, a {type(value).__name__}")


def _expected(value: Any, kind: Any) -> Any:
    if not isinstance(value, kind):
        raise TypeError(f"a {type(value).__name__} in a place where none can be")
    return value


def _byte_string(stream: _Bounded) -> str:
    """A quoted line with escapes, as Latin-1."""
    quoted = _line(stream)
    if len(quoted) < 2 or quoted[:1] != quoted[-1:] or quoted[:1] not in b"'\"" or not ESCAPED.fullmatch(quoted):
        raise ValueError("a string without quotation marks, or with strange escapes")
    return codecs.escape_decode(quoted[1:-1])[0].decode("latin1")


def _line(stream: _Bounded) -> bytes:
    line = stream.readline()
    if not line.endswith(b"\n"):
        raise EOFError("it ends within a line")
    return line[:-1]


READERS: dict[str, Callable[[_Bounded], Any]] = {
    "STRING": _byte_string,
    "PERSID": _line,
    **dict.fromkeys(("GLOBAL", "INST"), lambda stream: (_text(_line(stream)), _text(_line(stream)))),
}
"""In place of the library's own, which read these as ASCII, and warn of strange escapes."""


def _text(value: Any) -> Any:
    return value.decode("latin1") if isinstance(value, bytes) else value


def read_bytes(content: bytes, where: str) -> Any:
    """The same of bytes."""
    return read_stream(io.BytesIO(content), where, len(content))
