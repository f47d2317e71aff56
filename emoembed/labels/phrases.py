"""Phrases to vectors: by a table of words, or by a sentence encoder."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

from torch.nn.functional import normalize

if TYPE_CHECKING:
    from tokenizers import Tokenizer
import difflib
import re
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor, nn

from emoembed.errors import LabelError


class PhraseEncoder(Protocol):
    """Whatever turns phrases into vectors: a table of words, or a sentence encoder."""

    @property
    def dim(self) -> int: ...

    def phrase_vectors(self, phrases: Sequence[str]) -> Tensor:
        """Phrases -> `(len(phrases), dim)`, rows of length one."""


class WordTable:
    """Word vectors as a phrase encoder: a phrase is the mean of its words, each of length one.

    Args:
        words: the vocabulary, best known first.
        vectors: `(len(words), dim)`.
        name: said in errors.
        scale: bring every vector to length one; False keeps them as they are, as `evaluation.mtee` wants them.
    """

    def __init__(
        self, words: Sequence[str], vectors: np.ndarray, name: str = "the word table", *, scale: bool = True
    ) -> None:
        self.words, self.name = list(words), name
        length = np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-9) if scale else 1.0
        self.vectors = np.asarray(vectors / length, dtype=np.float32)
        self._index = {word: row for row, word in enumerate(self.words)}

    @property
    def dim(self) -> int:
        return int(self.vectors.shape[1])

    @property
    def vector_size(self) -> int:
        """As gensim's `KeyedVectors` names it, so that either serves `features.text.words`."""
        return self.dim

    def __contains__(self, word: object) -> bool:
        return word in self._index

    def __getitem__(self, words: list[str]) -> np.ndarray:
        """Vectors of known words, `(len(words), dim)`."""
        return self.vectors[[self._index[word] for word in words]]

    def phrase_vectors(self, phrases: Sequence[str]) -> Tensor:
        """Mean word vectors of phrases, scaled to length one.

        Raises:
            LabelError: a phrase of which no word is known; the message gives the nearest known spellings.
        """
        rows = [self.mean_of(phrase) for phrase in phrases]
        return nn.functional.normalize(torch.from_numpy(np.stack(rows)), dim=-1)

    def mean_of(self, phrase: str) -> np.ndarray:
        """Mean of the vectors of a phrase's words, `(dim,)`. Raises LabelError as `phrase_vectors` does."""
        known = self._known(phrase)
        if not known:
            close = difflib.get_close_matches(phrase.lower(), self.words, n=5, cutoff=0.6)
            hint = f"nearest known spellings: {', '.join(close)}" if close else "no known spelling is near it"
            raise LabelError(f"{phrase!r} has no vector in {self.name}; {hint}")
        mean: np.ndarray = self.vectors[known].mean(axis=0)
        return mean

    def _known(self, phrase: str) -> list[int]:
        """Rows of a phrase's words: each whole where the table has it, else its parts (`tut-tutting`: tut, tutting)."""
        rows: list[int | None] = []
        for whole in phrase.split():
            row = self._row(whole)
            parts = re.findall(r"[^\W_]+(?:'[^\W_]+)*", whole)
            rows += [row] if row is not None else [self._row(part) for part in parts]
        return [row for row in rows if row is not None]

    def _row(self, word: str) -> int | None:
        return self._index.get(word, self._index.get(word.lower()))

    def knows(self, phrase: str) -> bool:
        """Whether any word of a phrase has a vector."""
        return bool(self._known(phrase))


class TokenEncoder(Protocol):
    """What a sentence encoder is built on: a transformer over token ids, such as `encoders.transformer` has."""

    trunk: Any

    def hidden_mean(self, frames: Tensor, lengths: Tensor, *, adapted: bool) -> Tensor:
        """`(batch, time, 1)` token ids, `(batch,)` -> `(batch, hidden)`"""


class SentenceEncoder:
    """A text trunk without its adapters, as the phrase encoder of label names."""

    def __init__(self, encoder: TokenEncoder, tokenizer: Tokenizer) -> None:
        self.encoder, self.tokenizer = encoder, tokenizer
        self._unknown = next((i for t in ("[UNK]", "<unk>") if (i := tokenizer.token_to_id(t)) is not None), -1)

    @property
    def dim(self) -> int:
        return int(self.encoder.trunk.config.hidden_size)

    def token_ids(self, phrases: Sequence[str]) -> list[list[int] | None]:
        """Each phrase's token ids; None where none of them is a known word or piece of one."""
        whole = [phrase.encode("utf-8", "replace").decode() for phrase in phrases]  # lone surrogates are no text
        known = []
        for encoding in self.tokenizer.encode_batch(whole):
            special = zip(encoding.special_tokens_mask, encoding.ids, strict=True)
            known.append(encoding.ids if any(not mark and i != self._unknown for mark, i in special) else None)
        return known

    def pieces(self, text: str) -> tuple[list[int] | None, int]:
        """A text's token ids as `token_ids` gives them, and how many it has with those that are cut off."""
        encoding = self.tokenizer.encode(text.encode("utf-8", "replace").decode())
        special = zip(encoding.special_tokens_mask, encoding.ids, strict=True)
        known = any(not mark and i != self._unknown for mark, i in special)
        marks = sum(encoding.special_tokens_mask)
        return encoding.ids if known else None, len(encoding.ids) + sum(
            len(further.ids) - marks for further in encoding.overflowing
        )

    @torch.no_grad()
    def phrase_vectors(self, phrases: Sequence[str]) -> Tensor:
        """Phrases -> `(len(phrases), hidden)`, rows of length one. Raises LabelError for one of no known word."""
        device = next(self.encoder.trunk.parameters()).device
        ids = self.token_ids(phrases)
        for phrase, known in zip(phrases, ids, strict=True):
            if known is None:
                raise LabelError(f"nothing in {phrase!r} is known to this model, which reads English")
        whole = [known or [] for known in ids]
        order = sorted(range(len(whole)), key=lambda i: len(whole[i]))  # batches of like length waste least
        found = torch.zeros(len(whole), self.dim, device=device)
        for start in range(0, len(order), 256):
            rows = order[start : start + 256]
            lengths = torch.tensor([len(whole[i]) for i in rows], device=device)
            frames = torch.zeros(len(rows), int(lengths.max()), 1, device=device)
            for row, i in zip(frames, rows, strict=True):
                row[: len(whole[i]), 0] = torch.tensor(whole[i], dtype=torch.float32)
            found[rows] = self.encoder.hidden_mean(frames, lengths, adapted=False).float()
        return normalize(found, dim=-1)
