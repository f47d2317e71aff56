"""Text to arrays: the word vectors of its tokens, with gensim's `KeyedVectors`."""

from __future__ import annotations

import re
import zlib
from functools import lru_cache
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import numpy as np

from emoembed.errors import InputError
from emoembed.features.feature_set import Features, FeatureSet
from emoembed.features.media_files import require_file
from emoembed.features.packed import open_packed

if TYPE_CHECKING:
    from gensim.models import KeyedVectors

PACKED = 30
"""Largest ratio of the unpacked size of a compressed file of vectors to its packed size."""
TOKEN = re.compile(r"[^\W_]+(?:['’][^\W_]+)*|[!?.,]")


def tokenize(text: str) -> list[str]:
    """Split a text into words (with inner apostrophes) and the punctuation marks ! ? . , in order. Case is kept."""
    return [token.replace("’", "'") for token in TOKEN.findall(text)]


def read_word_vectors(path: str | Path, limit: int | None = None) -> KeyedVectors:
    """Read word vectors in a common format: word2vec or fastText (text or binary) or GloVe (text), also gzipped.

    Args:
        path: the file. `.bin` and `.bin.gz` are read as word2vec binary, any other file as text.
        limit: read at most this many words, from the beginning.

    Raises:
        MissingFileError: the file does not exist.
        InputError: the file has none of these formats.
    """
    from gensim.models import KeyedVectors

    path = Path(path)
    require_file(path, "word vector")
    binary = ".bin" in path.suffixes[-2:]
    try:
        header = _first_line(path)
        if not binary and len(header.split()) != 2:
            return _read_glove(path, limit)
        is_packed = path.suffix in (".gz", ".bz2")
        require_declared_size(header, path.stat().st_size * (PACKED if is_packed else 1), binary=binary, path=path)
        return KeyedVectors.load_word2vec_format(str(path), binary=binary, limit=limit, unicode_errors="replace")
    except InputError:
        raise
    except (ValueError, EOFError, OSError, IndexError, zlib.error) as error:
        raise InputError(
            f"{path} is neither word2vec binary (.bin) nor text with one word and its numbers per line: {error}"
        ) from error


def _read_glove(path: Path, limit: int | None) -> KeyedVectors:
    """Read text without a header. Numbers are counted from the end of the line: words of GloVe 840B may have spaces."""
    from gensim.models import KeyedVectors

    vector_of: dict[str, np.ndarray] = {}
    dim = 0
    with open_packed(path) as lines:
        for number, line in enumerate(islice(lines, limit)):
            cells = line.decode("utf-8", "replace").rstrip().split(" ")
            dim = len(cells) - 1 if number == 0 else dim
            if len(cells) <= dim or not dim:
                raise ValueError(f"line {number + 1} has {len(cells) - 1} numbers, but the first line has {dim}")
            vector_of.setdefault(" ".join(cells[:-dim]), np.array(cells[-dim:], np.float32))
    if not vector_of:
        raise ValueError("the file is empty")
    vectors = KeyedVectors(dim)
    vectors.add_vectors(list(vector_of), np.stack(list(vector_of.values())))
    return vectors


class WordVectors(Protocol):
    """The table of word vectors that `words` requires, such as gensim's `KeyedVectors`."""

    @property
    def vector_size(self) -> int: ...

    def __contains__(self, word: object) -> bool: ...

    def __getitem__(self, words: list[str]) -> np.ndarray: ...


def words(text: str, vectors: WordVectors) -> Features:
    """Look up the word vectors of a text's tokens, `(tokens, dim)`. Tokens without a vector are left out.

    Each token is looked up as written, and then in lower case.

    Raises:
        InputError: the text is empty, or none of its tokens has a vector.

    Examples:
        >>> import numpy as np
        >>> from gensim.models import KeyedVectors
        >>> from emoembed.features.text import words
        >>> vectors = KeyedVectors(vector_size=2)
        >>> vectors.add_vectors(["we", "made", "it"], np.eye(3, 2, dtype=np.float32))
        >>> words("We made it!", vectors).values.shape
        (3, 2)
    """
    tokens = tokenize(text)
    keys = [key for key in (_key(token, vectors) for token in tokens) if key is not None]
    if not keys:
        raise InputError(f"no word of {text!r} has a vector" if tokens else f"text {text!r} has no words")
    return Features(np.asarray(vectors[keys], dtype=np.float32), word_feature_set(vectors.vector_size))


@lru_cache
def word_feature_set(dim: int) -> FeatureSet:
    """The feature set of word vectors of dimension `dim`, with the columns `word_000`, `word_001`, ..."""
    return FeatureSet("words", tuple(f"word_{i:03d}" for i in range(dim)))


def _key(token: str, vectors: WordVectors) -> str | None:
    for spelling in (token, token.lower()):
        if spelling in vectors:
            return spelling
    return None


def require_declared_size(header: bytes, size: int, *, binary: bool, path: str | Path) -> None:
    """Check `count dim`, the first line of a file of vectors, against the file size, before memory is allocated.

    Args:
        header: the first line.
        size: bytes of the file; for a compressed file, the most bytes that it may unpack to.
        binary: whether the vectors are binary.
        path: the file, for error messages.

    Raises:
        InputError: the line does not have this form, or the file is too small for the vectors that it declares.
    """
    cells = header.split()
    if len(cells) != 2 or not all(cell.isdigit() and len(cell) < 20 for cell in cells) or not int(cells[1]):
        raise InputError(f"{path} does not begin with the number of words and of dimensions, but with {header!r:.60}")
    count, dim = map(int, cells)
    vector_bytes = 4 * dim if binary else 2 * dim  # in text at least a digit and a space per number
    if count * vector_bytes > size:
        raise InputError(f"{path} says it holds {count} vectors of {dim} numbers, too many for a file of its size")


def _first_line(path: Path) -> bytes:
    """The first line: `count dim` (word2vec, fastText), or already a vector (GloVe)."""
    with open_packed(path) as lines:
        return lines.readline(2**20)
