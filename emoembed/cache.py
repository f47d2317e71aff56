"""A bounded cache that threads may share, and how to tell that what its values come from has changed."""

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
    """The last values that were asked for, at most `size` of them; what it holds is never changed.

    A copy begins with the same values and goes its own way.
    """

    def __init__(self, size: int) -> None:
        self.size = size
        self._values: OrderedDict[Key, Value] = OrderedDict()
        self._lock = Lock()

    def get(self, key: Key) -> Value | None:
        """The value of a key, or None."""
        with self._lock:
            if key not in self._values:
                return None
            self._values.move_to_end(key)
            return self._values[key]

    def put(self, key: Key, value: Value) -> Value:
        """Keep a value, and let go of what was not asked for longest; the value comes back."""
        with self._lock:
            self._values[key] = value
            self._values.move_to_end(key)
            while len(self._values) > self.size:
                self._values.popitem(last=False)
        return value

    def __len__(self) -> int:
        return len(self._values)

    def __deepcopy__(self, _: Any) -> Cache[Key, Value]:
        copy: Cache[Key, Value] = Cache(self.size)
        with self._lock:
            copy._values = OrderedDict(self._values)
        return copy


def tensors_of(*modules: nn.Module) -> tuple[Tensor, ...]:
    """All parameters and buffers of modules."""
    return tuple(tensor for module in modules for tensor in (*module.parameters(), *module.buffers()))


def versions(tensors: Iterable[Tensor]) -> tuple[tuple[int, int], ...]:
    """Where each tensor lies and how often it was written to: quick to compare, other in a copy."""
    return tuple((tensor.data_ptr(), -1 if tensor.is_inference() else tensor._version) for tensor in tensors)


def content_of(tensors: Iterable[Tensor]) -> str:
    """A hash of all numbers of tensors: the same in a copy."""
    found = hashlib.sha256()
    for tensor in tensors:
        found.update(tensor.detach().cpu().contiguous().numpy().tobytes())
    return found.hexdigest()
