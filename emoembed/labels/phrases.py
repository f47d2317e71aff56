"""Phrases to vectors, with a word table or with a sentence encoder."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

from torch.nn.functional import normalize

if TYPE_CHECKING:
    from tokenizers import Encoding, Tokenizer
import difflib
import re
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor, nn

from emoembed.errors import LabelError
from emoembed.labels.emotion import Label


class PhraseEncoder(Protocol):
    """Maps phrases to vectors: a word table or a sentence encoder."""

    @property
    def dim(self) -> int: ...

    def phrase_vectors(self, phrases: Sequence[str]) -> Tensor:
        """Phrases -> `(len(phrases), dim)`, rows of norm 1."""

    def prompts(self, label: Label) -> list[str]:
        """The phrases whose mean vector is the text vector of a label."""


class WordTable:
    """Word vectors as a phrase encoder. A phrase vector is the mean of its words' vectors, each scaled to norm 1.

    Args:
        words: the vocabulary, most common words first.
        vectors: `(len(words), dim)`.
        name: name of the table in error messages.
        scale: scale every vector to norm 1. False keeps the vectors unchanged, which `evaluation.mtee` needs.
    """

    def __init__(
        self, words: Sequence[str], vectors: np.ndarray, name: str = "the word table", *, scale: bool = True
    ) -> None:
        self.words, self.name = list(words), name
        norm = np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-9) if scale else 1.0
        self.vectors = np.asarray(vectors / norm, dtype=np.float32)
        self._index = {word: row for row, word in enumerate(self.words)}

    @property
    def dim(self) -> int:
        return int(self.vectors.shape[1])

    @property
    def vector_size(self) -> int:
        """`dim` under the name in gensim's `KeyedVectors`, so that `features.text.words` accepts both classes."""
        return self.dim

    def __contains__(self, word: object) -> bool:
        return word in self._index

    def __getitem__(self, words: list[str]) -> np.ndarray:
        """Vectors of words that are in the table, `(len(words), dim)`."""
        return self.vectors[[self._index[word] for word in words]]

    def phrase_vectors(self, phrases: Sequence[str]) -> Tensor:
        """Mean word vectors of phrases, scaled to norm 1.

        Raises:
            LabelError: the table has no word of a phrase; the message lists the nearest spellings in the table.
        """
        rows = [self.mean_of(phrase) for phrase in phrases]
        return nn.functional.normalize(torch.from_numpy(np.stack(rows)), dim=-1)

    def prompts(self, label: Label) -> list[str]:
        """The name and synonyms of a label that the table has; else its definition; else its name.

        No templates are added: they do not help a mean of word vectors.
        """
        known_phrases = [phrase for phrase in (label.name, *label.synonyms) if self.knows(phrase)]
        return known_phrases or [label.definition or label.name]

    def mean_of(self, phrase: str) -> np.ndarray:
        """Mean of the vectors of a phrase's words, `(dim,)`. Raises LabelError as `phrase_vectors` does."""
        rows = self._find_rows(phrase)
        if not rows:
            close = difflib.get_close_matches(phrase.lower(), self.words, n=5, cutoff=0.6)
            hint = f"nearest known spellings: {', '.join(close)}" if close else "no known spelling is similar"
            raise LabelError(f"{phrase!r} has no vector in {self.name}; {hint}")
        mean: np.ndarray = self.vectors[rows].mean(axis=0)
        return mean

    def _find_rows(self, phrase: str) -> list[int]:
        """Table rows of a phrase's words. A word the table lacks is split into parts (`tut-tutting`: tut, tutting)."""
        rows: list[int | None] = []
        for word in phrase.split():
            row = self._row(word)
            parts = re.findall(r"[^\W_]+(?:'[^\W_]+)*", word)
            rows += [row] if row is not None else [self._row(part) for part in parts]
        return [row for row in rows if row is not None]

    def _row(self, word: str) -> int | None:
        return self._index.get(word, self._index.get(word.lower()))

    def knows(self, phrase: str) -> bool:
        """Whether the table has a vector for any word of a phrase."""
        return bool(self._find_rows(phrase))


def _valid(text: str) -> str:
    """The text with a question mark for each lone surrogate, which no tokenizer reads."""
    return text.encode("utf-8", "replace").decode()


def tokens_of(encoding: Encoding) -> int:
    """The number of tokens of a text before it was truncated."""
    marks = sum(encoding.special_tokens_mask)
    return len(encoding.ids) + sum(len(overflow.ids) - marks for overflow in encoding.overflowing)


class TokenEncoder(Protocol):
    """A transformer over token ids that a `SentenceEncoder` uses, such as the one in `encoders.transformer`."""

    trunk: Any

    def hidden_mean(self, frames: Tensor, lengths: Tensor, *, adapted: bool) -> Tensor:
        """`(batch, time, 1)` token ids, `(batch,)` -> `(batch, hidden)`"""


class SentenceEncoder:
    """Embeds label names with a text transformer, without its adapters."""

    def __init__(self, encoder: TokenEncoder, tokenizer: Tokenizer) -> None:
        self.encoder, self.tokenizer = encoder, tokenizer
        self._unknown_id = next((i for t in ("[UNK]", "<unk>") if (i := tokenizer.token_to_id(t)) is not None), -1)

    @property
    def dim(self) -> int:
        return int(self.encoder.trunk.config.hidden_size)

    def prompts(self, label: Label) -> list[str]:
        """The name of a label in templates, its synonyms, and its definition."""
        return label.prompts()

    def token_ids(self, phrases: Sequence[str]) -> list[list[int] | None]:
        """Token ids of each phrase, or None if the phrase has only special and unknown tokens."""
        return [self.ids_of(encoding) for encoding in self.tokenizer.encode_batch([_valid(text) for text in phrases])]

    def encode(self, text: str) -> Encoding:
        """The output of the tokenizer for a text."""
        return self.tokenizer.encode(_valid(text))

    def ids_of(self, encoding: Encoding) -> list[int] | None:
        """The token ids of an encoded text, or None if it has only special and unknown tokens."""
        ids: list[int] = encoding.ids
        special = encoding.special_tokens_mask
        return ids if any(i != self._unknown_id and not mark for mark, i in zip(special, ids, strict=True)) else None

    @torch.no_grad()
    def phrase_vectors(self, phrases: Sequence[str]) -> Tensor:
        """Phrases -> `(len(phrases), hidden)`, rows of norm 1. Raises LabelError for a phrase without a known token."""
        device = next(self.encoder.trunk.parameters()).device
        encoded = self.token_ids(phrases)
        for phrase, ids in zip(phrases, encoded, strict=True):
            if ids is None:
                raise LabelError(f"nothing in {phrase!r} is known to this model, which reads English")
        sequences = [ids or [] for ids in encoded]
        order = sorted(range(len(sequences)), key=lambda i: len(sequences[i]))  # similar lengths need little padding
        vectors = torch.zeros(len(sequences), self.dim, device=device)
        for start in range(0, len(order), 256):
            rows = order[start : start + 256]
            lengths = torch.tensor([len(sequences[i]) for i in rows], device=device)
            frames = torch.zeros(len(rows), int(lengths.max()), 1, device=device)
            for row, i in zip(frames, rows, strict=True):
                row[: len(sequences[i]), 0] = torch.tensor(sequences[i], dtype=torch.float32)
            vectors[rows] = self.encoder.hidden_mean(frames, lengths, adapted=False).float()
        return normalize(vectors, dim=-1)
