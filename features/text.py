"""Text to arrays: tokens as word vectors, through gensim's `KeyedVectors`."""

from __future__ import annotations

import re
import zlib
from functools import lru_cache
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import numpy as np

from emoembed.errors import InputError, MissingFileError
from emoembed.features.feature_set import Features, FeatureSet
from emoembed.features.packed import open_packed

if TYPE_CHECKING:
    from gensim.models import KeyedVectors

PACKED = 30
"""Times its own size that a compressed file of vectors may hold."""
TOKEN = re.compile(r"[^\W_]+(?:['’][^\W_]+)*|[!?.,]")


def tokenize(text: str) -> list[str]:
    """Words (with inner apostrophes) and the marks ! ? . , in order of appearance; case is kept."""
    return [token.replace("’", "'") for token in TOKEN.findall(text)]


def read_word_vectors(path: str | Path, limit: int | None = None) -> KeyedVectors:
    """Word vectors of any common form: word2vec or fastText text or binary, GloVe text, each gzipped or not.

    Args:
        path: the file; `.bin` (also `.bin.gz`) is read as word2vec binary, anything else as text.
        limit: read only the first so many words.

    Raises:
        MissingFileError: no such file.
        InputError: the file is not of one of these forms.
    """
    from gensim.models import KeyedVectors

    path = Path(path)
    if not path.is_file():
        raise MissingFileError(f"no word vectors at {path}")
    binary = ".bin" in path.suffixes[-2:]
    try:
        first = _first_line(path)
        if not binary and len(first.split()) != 2:
            return _read_glove(path, limit)
        packed = path.suffix in (".gz", ".bz2")
        require_declared_size(first, path.stat().st_size * (PACKED if packed else 1), binary=binary, path=path)
        return KeyedVectors.load_word2vec_format(str(path), binary=binary, limit=limit, unicode_errors="replace")
    except InputError:
        raise
    except (ValueError, EOFError, OSError, IndexError, zlib.error) as error:
        raise InputError(
            f"{path} is not word2vec binary (.bin) nor text with a word and its numbers a line: {error}"
        ) from error


def _read_glove(path: Path, limit: int | None) -> KeyedVectors:
    """Text without a header; numbers are counted from a line's end, for words of GloVe's 840B may hold spaces."""
    from gensim.models import KeyedVectors

    found: dict[str, np.ndarray] = {}
    dim = 0
    with open_packed(path) as lines:
        for number, line in enumerate(islice(lines, limit)):
            cells = line.decode("utf-8", "replace").rstrip().split(" ")
            dim = len(cells) - 1 if number == 0 else dim
            if len(cells) <= dim or not dim:
                raise ValueError(f"line {number + 1} holds {len(cells) - 1} numbers, the first line {dim}")
            found.setdefault(" ".join(cells[:-dim]), np.array(cells[-dim:], np.float32))
    if not found:
        raise ValueError("it is empty")
    vectors = KeyedVectors(dim)
    vectors.add_vectors(list(found), np.stack(list(found.values())))
    return vectors


class WordVectors(Protocol):
    """What `words` needs of a table of vectors; gensim's `KeyedVectors` has it."""

    @property
    def vector_size(self) -> int: ...

    def __contains__(self, word: object) -> bool: ...

    def __getitem__(self, words: list[str]) -> np.ndarray: ...


def words(text: str, vectors: WordVectors) -> Features:
    """The word vectors of a text's tokens, `(tokens, dim)`; tokens without a vector are left out.

    Each token is looked up as written, then in lower case.

    Raises:
        InputError: the text is empty, or none of its tokens has a vector.
    """
    tokens = tokenize(text)
    found = [key for key in (_key(token, vectors) for token in tokens) if key is not None]
    if not found:
        raise InputError(f"no word of {text!r} has a vector" if tokens else f"text {text!r} holds no words")
    return Features(np.asarray(vectors[found], dtype=np.float32), word_feature_set(vectors.vector_size))


@lru_cache
def word_feature_set(dim: int) -> FeatureSet:
    """The feature set of word vectors of a size: columns `word_000`, `word_001`, ..."""
    return FeatureSet("words", tuple(f"word_{i:03d}" for i in range(dim)))


def _key(token: str, vectors: WordVectors) -> str | None:
    for spelling in (token, token.lower()):
        if spelling in vectors:
            return spelling
    return None


def require_declared_size(header: bytes, size: int, *, binary: bool, path: str | Path) -> None:
    """Hold `count dim`, the first line of a file of vectors, to the size of the file, before room is made for them.

    Raises:
        InputError: the line is no such pair, or the file is too small for what it declares.
    """
    cells = header.split()
    if len(cells) != 2 or not all(cell.isdigit() and len(cell) < 20 for cell in cells) or not int(cells[1]):
        raise InputError(f"{path} does not begin with the number of its words and of their dimensions: {header!r:.60}")
    count, dim = map(int, cells)
    fewest = 4 * dim if binary else 2 * dim  # bytes of a vector: a letter and a blank a number in text
    if count * fewest > size:
        raise InputError(f"{path} says it holds {count} vectors of {dim} numbers, too many for a file of its size")


def _first_line(path: Path) -> bytes:
    """The first line: `count dim` (word2vec, fastText), or already a vector (GloVe)."""
    with open_packed(path) as lines:
        return lines.readline(2**20)
