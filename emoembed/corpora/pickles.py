"""Reading the pickles that corpora are passed on as, without running anything they say.

A pickle is a program. This reader knows the few constructors that NumPy arrays and plain containers need, and refuses
every other by name before anything of it runs. Python 2 pickles load as well.
"""

from __future__ import annotations

import codecs
import io
import pickle
import zipfile
from collections import OrderedDict
from pathlib import Path
from typing import Any

import numpy as np

from emoembed.corpora.files import existing
from emoembed.errors import CorpusError


def _encode(text: str, encoding: str = "latin1") -> bytes:
    """What Python 2 byte strings within a pickle ask for; no other codec is looked up."""
    if encoding != "latin1":
        raise CorpusError(f"asks for the codec {encoding!r}")
    return codecs.latin_1_encode(text)[0]


_CORE = np._core if hasattr(np, "_core") else np.core  # renamed in NumPy 2
_ADMITTED: dict[tuple[str, str], Any] = {
    ("numpy", "ndarray"): np.ndarray,
    ("numpy", "dtype"): np.dtype,
    ("_codecs", "encode"): _encode,
    ("collections", "OrderedDict"): OrderedDict,
    **{
        (f"numpy.{core}.multiarray", name): getattr(_CORE.multiarray, name)
        for core in ("core", "_core")
        for name in ("_reconstruct", "scalar")
    },
    **{(f"numpy.{core}.numeric", "_frombuffer"): _CORE.numeric._frombuffer for core in ("core", "_core")},
    **{
        (module, name): kind
        for module in ("builtins", "__builtin__")
        for name, kind in {"set": set, "frozenset": frozenset, "complex": complex, "bytearray": bytearray}.items()
    },
}


class _Restricted(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        if (module, name) not in _ADMITTED:
            raise CorpusError(f"asks for {module}.{name}")
        return _ADMITTED[module, name]


def read_pickle(path: str | Path) -> Any:
    """The arrays and plain containers a pickle file holds.

    Raises:
        MissingFileError: there is no such file.
        CorpusError: the file is cut short or no pickle, or asks for anything but arrays and plain containers.
    """
    path = existing(Path(path))
    return _load(path.read_bytes(), str(path))


def read_npz(path: str | Path) -> dict[str, Any]:
    """The arrays of an `.npz` file by name; an array of objects is read as pickles are.

    An array of one object comes back as that object. Raises as `read_pickle`.
    """
    path = existing(Path(path))
    held: dict[str, Any] = {}
    try:
        with zipfile.ZipFile(path) as archive:
            for member in archive.namelist():
                held[member.removesuffix(".npy")] = _read_member(archive.read(member), f"{path}, {member}")
    except (zipfile.BadZipFile, EOFError, OSError) as error:
        raise CorpusError(f"{path} is no whole .npz file ({error}); fetch it again") from error
    return held


def _read_member(content: bytes, where: str) -> Any:
    stream = io.BytesIO(content)
    try:
        version = np.lib.format.read_magic(stream)
        read_header = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
        shape, _, kind = read_header(stream)
        if not kind.hasobject:
            return np.load(io.BytesIO(content), allow_pickle=False)
    except (ValueError, EOFError) as error:
        raise CorpusError(f"{where}: no NumPy array ({error})") from error
    held = _load(content[stream.tell() :], where)
    return held.item() if shape == () else held


def _load(content: bytes, where: str) -> Any:
    try:
        return _Restricted(io.BytesIO(content), encoding="latin1").load()
    except CorpusError as error:
        raise CorpusError(
            f"{where}: this pickle {error}, which is neither an array nor a plain container; it was refused and "
            "nothing of it was run. Take the file from its publisher, or re-save it as arrays"
        ) from None
    except (pickle.UnpicklingError, EOFError, IndexError, KeyError, TypeError, ValueError, AttributeError) as error:
        raise CorpusError(f"{where} is no whole pickle ({error}); fetch it again and compare its size") from error
    except (MemoryError, OverflowError) as error:
        raise CorpusError(f"{where}: this pickle asks for more memory than there is ({error})") from error
