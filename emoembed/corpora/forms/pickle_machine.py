"""The stack machine that a pickle is a program for, over the standard library's table of opcodes."""

from __future__ import annotations

import codecs
import pickletools
import re
from collections.abc import Callable
from typing import Any, BinaryIO

from emoembed.corpora.forms.pickle_values import (
    Budget,
    DataType,
    PendingArray,
    admitted,
    as_text,
    call,
    expected,
    key_of,
)
from emoembed.errors import CorpusFileError

OPCODES = {opcode.code: opcode for opcode in pickletools.opcodes}
ESCAPED = re.compile(rb"(?:[^\\]|\\(?:[\\'\"abfnrtv]|x[0-9a-fA-F]{2}|[0-7]{1,3}))*")


class BoundedFile:
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


class Machine:
    """Does what opcodes say. Arrays stay `PendingArray`s."""

    def __init__(self, stream: BoundedFile, budget: Budget) -> None:
        self.stream, self.budget = stream, budget
        self.stack: list[Any] = []
        self.marks: list[int] = []
        self.memo: dict[int, Any] = {}

    def run(self) -> Any:
        """The value that the program ends with."""
        while True:
            name, argument = self._next()
            if name == "STOP":
                (result,) = self.stack
                return result
            if name in CONSTANTS:
                self.stack.append(CONSTANTS[name](argument))
            elif name in STEPS:
                STEPS[name](self, name, argument)
            else:  # classes, extension registry, persistent ids, buffers kept elsewhere
                raise CorpusFileError(f"holds the opcode {name}")

    def _next(self) -> tuple[str, Any]:
        """An opcode's name and argument."""
        code = self.stream.read(1).decode("latin1")
        if code not in OPCODES:
            raise ValueError(f"{code!r} is no opcode" if code else "it ends before its end")
        opcode = OPCODES[code]
        if opcode.name in CONTAINERS:
            self.budget.another_container(opcode.name == "REDUCE")
        if opcode.arg is None:
            return opcode.name, None
        reader: Callable[[Any], Any] = READERS.get(opcode.name, opcode.arg.reader)
        return opcode.name, reader(self.stream)

    def _since_mark(self) -> list[Any]:
        items = self.stack[self.marks[-1] :]
        del self.stack[self.marks.pop() :]
        return items

    def skip(self, *_: Any) -> None:
        """PROTO and FRAME say nothing that is needed."""

    def mark(self, *_: Any) -> None:
        self.marks.append(len(self.stack))

    def pop(self, *_: Any) -> None:
        """The last value goes, or a mark where one is on top."""
        if self.marks and self.marks[-1] == len(self.stack):
            self.marks.pop()
        else:
            self.stack.pop()

    def pop_mark(self, *_: Any) -> None:
        self._since_mark()

    def duplicate(self, *_: Any) -> None:
        self.stack.append(self.stack[-1])

    def put(self, name: str, argument: Any) -> None:
        self.memo[len(self.memo) if name == "MEMOIZE" else argument] = self.stack[-1]

    def get(self, _: str, argument: Any) -> None:
        self.stack.append(self.memo[argument])

    def make_sequence(self, name: str, _: Any) -> None:
        items = self._since_mark()
        self.stack.append(tuple(items) if name == "TUPLE" else items)

    def make_short_tuple(self, name: str, _: Any) -> None:
        count = int(name[-1])
        if len(self.stack) < count:
            raise IndexError("a tuple of more than there is")
        self.stack[-count:] = [tuple(self.stack[-count:])]

    def append(self, name: str, _: Any) -> None:
        items = [self.stack.pop()] if name == "APPEND" else self._since_mark()
        expected(self.stack[-1], list).extend(items)

    def set_items(self, name: str, _: Any) -> None:
        items = [self.stack.pop(-2), self.stack.pop()] if name == "SETITEM" else self._since_mark()
        if name == "DICT":
            self.stack.append({})
        held = expected(self.stack[-1], dict)
        for key, value in zip(items[::2], items[1::2], strict=True):
            held[key_of(key, self.budget)] = value

    def add_members(self, name: str, _: Any) -> None:
        members = {key_of(member, self.budget) for member in self._since_mark()}
        if name == "FROZENSET":
            self.stack.append(frozenset(members))
        else:
            expected(self.stack[-1], set).update(members)

    def say_name(self, name: str, argument: Any) -> None:
        said = argument if name == "GLOBAL" else (self.stack.pop(-2), self.stack.pop())
        self.stack.append(admitted(*said))

    def reduce(self, *_: Any) -> None:
        arguments = expected(self.stack.pop(), tuple)
        self.stack.append(call(self.stack.pop(), arguments, self.budget))

    def build(self, *_: Any) -> None:
        state = self.stack.pop()
        if not isinstance(self.stack[-1], DataType | PendingArray):
            raise CorpusFileError(f"sets the state of a {type(self.stack[-1]).__name__}")
        self.stack[-1].build(state, self.budget)

    def make_instance(self, _: str, argument: Any) -> None:
        admitted(*argument)
        raise CorpusFileError("makes an instance")


STEPS: dict[str, Callable[[Machine, str, Any], None]] = {
    **dict.fromkeys(("PROTO", "FRAME"), Machine.skip),
    "MARK": Machine.mark,
    "POP": Machine.pop,
    "POP_MARK": Machine.pop_mark,
    "DUP": Machine.duplicate,
    **dict.fromkeys(("PUT", "BINPUT", "LONG_BINPUT", "MEMOIZE"), Machine.put),
    **dict.fromkeys(("GET", "BINGET", "LONG_BINGET"), Machine.get),
    **dict.fromkeys(("TUPLE", "LIST"), Machine.make_sequence),
    **dict.fromkeys(("TUPLE1", "TUPLE2", "TUPLE3"), Machine.make_short_tuple),
    **dict.fromkeys(("APPEND", "APPENDS"), Machine.append),
    **dict.fromkeys(("DICT", "SETITEM", "SETITEMS"), Machine.set_items),
    **dict.fromkeys(("ADDITEMS", "FROZENSET"), Machine.add_members),
    **dict.fromkeys(("GLOBAL", "STACK_GLOBAL"), Machine.say_name),
    "REDUCE": Machine.reduce,
    "BUILD": Machine.build,
    "INST": Machine.make_instance,
}
"""What opcodes do that change more than the top of the stack."""
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


def _byte_string(stream: BoundedFile) -> str:
    """A quoted line with escapes, as Latin-1."""
    quoted = _line(stream)
    if len(quoted) < 2 or quoted[:1] != quoted[-1:] or quoted[:1] not in b"'\"" or not ESCAPED.fullmatch(quoted):
        raise ValueError("a string without quotation marks, or with strange escapes")
    return codecs.escape_decode(quoted[1:-1])[0].decode("latin1")


def _line(stream: BoundedFile) -> bytes:
    line = stream.readline()
    if not line.endswith(b"\n"):
        raise EOFError("it ends within a line")
    return line[:-1]


READERS: dict[str, Callable[[BoundedFile], Any]] = {
    "STRING": _byte_string,
    "PERSID": _line,
    **dict.fromkeys(("GLOBAL", "INST"), lambda stream: (as_text(_line(stream)), as_text(_line(stream)))),
}
"""In place of the library's own, which read these as ASCII, and warn of strange escapes."""
