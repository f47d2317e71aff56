"""A thread-safe cache of limited size, and functions that detect a change of the tensors behind its values."""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from collections.abc import Hashable, Iterable
from threading import Lock
from typing import Any, Generic, TypeVar

from torch import Tensor, nn

Key = TypeVar("Key", bound=Hashable)
Value = TypeVar("Value")


class Cache(Generic[Key, Value]):
    """A least-recently-used cache of at most `size` values. Cached values must not be modified.

    A deep copy starts with the same values and is independent afterwards. A pickled copy is empty.
    """

    def __init__(self, size: int) -> None:
        self.size = size
        self._values: OrderedDict[Key, Value] = OrderedDict()
        self._lock = Lock()

    def get(self, key: Key) -> Value | None:
        """Return the value of a key, or None."""
        with self._lock:
            if key not in self._values:
                return None
            self._values.move_to_end(key)
            return self._values[key]

    def put(self, key: Key, value: Value) -> Value:
        """Store a value, remove the least recently used values beyond `size`, and return the value."""
        with self._lock:
            self._values[key] = value
            self._values.move_to_end(key)
            while len(self._values) > self.size:
                self._values.popitem(last=False)
        return value

    def __len__(self) -> int:
        return len(self._values)

    def __reduce__(self) -> tuple[type[Cache[Key, Value]], tuple[int]]:
        return type(self), (self.size,)

    def __deepcopy__(self, _: Any) -> Cache[Key, Value]:
        copy: Cache[Key, Value] = Cache(self.size)
        with self._lock:
            copy._values = OrderedDict(self._values)
        return copy


def tensors_of(*modules: nn.Module) -> tuple[Tensor, ...]:
    """All parameters and buffers of modules."""
    return tuple(tensor for module in modules for tensor in (*module.parameters(), *module.buffers()))


def versions(tensors: Iterable[Tensor]) -> tuple[tuple[int, int], ...]:
    """The memory address and write counter of each tensor. Fast to compare; a copy has other values."""
    return tuple((tensor.data_ptr(), -1 if tensor.is_inference() else tensor._version) for tensor in tensors)


def content_of(tensors: Iterable[Tensor]) -> str:
    """SHA-256 of the numbers in all tensors. A copy has the same hash."""
    digest = hashlib.sha256()
    for tensor in tensors:
        digest.update(tensor.detach().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()
