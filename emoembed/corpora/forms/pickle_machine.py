"""A restricted stack machine that runs pickle programs, based on the opcode table of the standard library."""

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
    """A stream that checks each declared length before reading. A plain `read(n)` would first allocate `n` bytes."""

    def __init__(self, stream: BinaryIO, size: int) -> None:
        self._stream, self.left = stream, size

    def readline(self) -> bytes:
        line = self._stream.readline()
        self.left -= len(line)
        return line

    def read(self, count: int) -> bytes:
        if count > self.left:
            raise EOFError(f"the file declares {count} more bytes but has {self.left}")
        content = self._stream.read(count)
        self.left -= len(content)
        return content


class Machine:
    """Executes the allowed opcodes. Arrays in the result are `PendingArray` objects."""

    def __init__(self, stream: BoundedFile, budget: Budget) -> None:
        self.stream, self.budget = stream, budget
        self.stack: list[Any] = []
        self.marks: list[int] = []
        self.memo: dict[int, Any] = {}

    def run(self) -> Any:
        """Run the program and return its value."""
        while True:
            name, argument = self._next()
            if name == "STOP":
                (result,) = self.stack
                return result
            if name in CONSTANTS:
                self.stack.append(CONSTANTS[name](argument))
            elif name in STEPS:
                STEPS[name](self, name, argument)
            else:  # classes, extension registry, persistent ids, out-of-band buffers
                raise CorpusFileError(f"uses the opcode {name}")

    def _next(self) -> tuple[str, Any]:
        """Read the next opcode; return its name and argument."""
        code = self.stream.read(1).decode("latin1")
        if code not in OPCODES:
            raise ValueError(f"{code!r} is not an opcode" if code else "it ends before the opcode STOP")
        opcode = OPCODES[code]
        if opcode.name in CONTAINERS:
            self.budget.another_container(opcode.name == "REDUCE")
        if opcode.arg is None:
            return opcode.name, None
        reader: Callable[[Any], Any] = READERS.get(opcode.name, opcode.arg.reader)
        return opcode.name, reader(self.stream)

    def _pop_to_mark(self) -> list[Any]:
        items = self.stack[self.marks[-1] :]
        del self.stack[self.marks.pop() :]
        return items

    def skip(self, *_: Any) -> None:
        """Ignore the opcode: PROTO and FRAME are not needed."""

    def mark(self, *_: Any) -> None:
        self.marks.append(len(self.stack))

    def pop(self, *_: Any) -> None:
        """Remove the top of the stack: a mark, or a value."""
        if self.marks and self.marks[-1] == len(self.stack):
            self.marks.pop()
        else:
            self.stack.pop()

    def pop_mark(self, *_: Any) -> None:
        self._pop_to_mark()

    def duplicate(self, *_: Any) -> None:
        self.stack.append(self.stack[-1])

    def put(self, name: str, argument: Any) -> None:
        self.memo[len(self.memo) if name == "MEMOIZE" else argument] = self.stack[-1]

    def get(self, _: str, argument: Any) -> None:
        self.stack.append(self.memo[argument])

    def make_sequence(self, name: str, _: Any) -> None:
        items = self._pop_to_mark()
        self.stack.append(tuple(items) if name == "TUPLE" else items)

    def make_short_tuple(self, name: str, _: Any) -> None:
        count = int(name[-1])
        if len(self.stack) < count:
            raise IndexError("a tuple with more items than the stack")
        self.stack[-count:] = [tuple(self.stack[-count:])]

    def append(self, name: str, _: Any) -> None:
        items = [self.stack.pop()] if name == "APPEND" else self._pop_to_mark()
        expected(self.stack[-1], list).extend(items)

    def set_items(self, name: str, _: Any) -> None:
        items = [self.stack.pop(-2), self.stack.pop()] if name == "SETITEM" else self._pop_to_mark()
        if name == "DICT":
            self.stack.append({})
        dictionary = expected(self.stack[-1], dict)
        for key, value in zip(items[::2], items[1::2], strict=True):
            dictionary[key_of(key, self.budget)] = value

    def add_members(self, name: str, _: Any) -> None:
        members = {key_of(member, self.budget) for member in self._pop_to_mark()}
        if name == "FROZENSET":
            self.stack.append(frozenset(members))
        else:
            expected(self.stack[-1], set).update(members)

    def say_name(self, name: str, argument: Any) -> None:
        module_and_name = argument if name == "GLOBAL" else (self.stack.pop(-2), self.stack.pop())
        self.stack.append(admitted(*module_and_name))

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
"""Opcodes that do more than push a constant."""
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
"""Opcodes that make a container or an array."""
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
"""Opcodes that push a constant."""


def _read_byte_string(stream: BoundedFile) -> str:
    """Read a line with escapes, decoded as Latin-1."""
    line = _read_line(stream)
    if len(line) < 2 or line[:1] != line[-1:] or line[:1] not in b"'\"" or not ESCAPED.fullmatch(line):
        raise ValueError("a string without quotation marks, or with unknown escapes")
    return codecs.escape_decode(line[1:-1])[0].decode("latin1")


def _read_line(stream: BoundedFile) -> bytes:
    line = stream.readline()
    if not line.endswith(b"\n"):
        raise EOFError("it ends in the middle of a line")
    return line[:-1]


READERS: dict[str, Callable[[BoundedFile], Any]] = {
    "STRING": _read_byte_string,
    "PERSID": _read_line,
    **dict.fromkeys(("GLOBAL", "INST"), lambda stream: (as_text(_read_line(stream)), as_text(_read_line(stream)))),
}
"""Replacements for readers of `pickletools`, which decode these as ASCII and warn about unknown escapes."""
