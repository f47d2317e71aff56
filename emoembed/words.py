"""Label vectors: what an emotion's name means, as numbers shared by every modality.

A label's features are its text vector (the mean of its prompts' vectors, centred on the table's mean and scaled to
length one) followed by four numbers for valence, arousal and dominance. The word part carries what names mean; the
second part carries what little of that a voice or a face shows when only a handful of emotions were ever seen.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Protocol

import numpy as np
import torch
from torch import Tensor, nn

from emoembed.errors import LabelError
from emoembed.labels import Label, resolve, table

VAD_DIM = 4
NEUTRAL_POLE = 0.5
"""Fourth coordinate beside valence, arousal and dominance: without it neutral, at zero, would have no direction."""


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
        scale: bring every vector to length one; False keeps them as they are, as `ModelConfig.mtee` wants them.
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
        return self.vectors[known].mean(axis=0)

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


class WordSpace(nn.Module):
    """Labels as their bare word vectors, neither centred nor scaled: the labels of Dai et al. 2020 (section 3.2).

    The vector is that of the name as the caller spells it, else of the table's name for it. The last four features,
    valence, arousal and dominance in `LabelSpace`, are zero.
    """

    centre: Tensor

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.dim = dim
        self.register_buffer("centre", torch.zeros(dim))

    def fit(self, phrases: PhraseEncoder) -> None:
        """Nothing is fitted."""

    def embed(self, labels: Sequence[str | Label] | Mapping[str, str], phrases: PhraseEncoder) -> Tensor:
        """Features of labels, `(labels, dim + 4)`. Raises LabelError as `LabelSpace.embed` does."""
        if not isinstance(phrases, WordTable):
            raise LabelError("bare word vectors need a word table; this model has a sentence encoder")
        rows = []
        for spelled, label in resolve(labels if isinstance(labels, Mapping) else list(labels)).items():
            known = next((word for word in (spelled, spelled.lower(), label.name) if word in phrases), None)
            rows.append(phrases[[known]][0] if known else phrases.mean_of(label.name))
        words = torch.from_numpy(np.stack(rows)).to(self.centre)
        return torch.cat([words, words.new_zeros(len(words), VAD_DIM)], dim=-1)

    def vad(self, label: Label, phrases: PhraseEncoder) -> tuple[float, float, float]:
        """The table's valence, arousal and dominance of a label, which this space does not use; zeros without one."""
        return label.vad or (0.0, 0.0, 0.0)


class LabelSpace(nn.Module):
    """Labels -> their features `(labels, dim + 4)`; the part of a model that knows what names mean.

    Nothing here is learned from examples of emotions: the centre and the map to valence, arousal and dominance are
    fitted on the project's own label table.

    Args:
        dim: size of the phrase vectors.
    """

    centre: Tensor
    vad_map: Tensor

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.dim = dim
        self.register_buffer("centre", torch.zeros(dim))
        self.register_buffer("vad_map", torch.zeros(dim + 1, 3))
        self._cache: dict[Label, Tensor] = {}

    @property
    def label_dim(self) -> int:
        return self.dim + VAD_DIM

    def fit(self, phrases: PhraseEncoder) -> None:
        """Set the centre, and the ridge map from text vectors to valence, arousal, dominance, from the table."""
        known = list(table().values())
        raw = _label_vectors(known, phrases)
        self.centre.copy_(raw.mean(dim=0))
        inputs = self._with_one(self._centred(raw)).double()
        targets = torch.tensor([label.vad for label in known], dtype=torch.float64)
        gram = inputs.T @ inputs + 1.0 * torch.eye(self.dim + 1, dtype=torch.float64)
        self.vad_map.copy_(torch.linalg.solve(gram, inputs.T @ targets))
        self._cache.clear()

    def embed(
        self, labels: Sequence[str | Label] | Mapping[str, str] | Iterable[Label], phrases: PhraseEncoder
    ) -> Tensor:
        """Features of labels, `(labels, dim + 4)`, kept for the next call.

        Raises:
            LabelError: from `labels.resolve`, or from a word table that lacks a name.
        """
        wanted = list(resolve(labels if isinstance(labels, Mapping) else list(labels)).values())
        missing = [label for label in wanted if label not in self._cache]
        if missing:
            text = self._centred(_label_vectors(missing, phrases))
            predicted = self._with_one(text) @ self.vad_map
            known = [label.vad or tuple(guess.tolist()) for label, guess in zip(missing, predicted, strict=True)]
            features = torch.cat([text, vad_vectors(torch.tensor(known))], dim=-1)
            self._cache.update(zip(missing, features, strict=True))
        return torch.stack([self._cache[label] for label in wanted]).to(self.centre.device)

    def vad(self, label: Label, phrases: PhraseEncoder) -> tuple[float, float, float]:
        """Valence, arousal and dominance of a label: the table's, or predicted from its vector."""
        if label.vad is not None:
            return label.vad
        predicted = self._with_one(self._centred(_label_vectors([label], phrases))) @ self.vad_map
        valence, arousal, dominance = predicted[0].clamp(-1, 1).tolist()
        return (valence, arousal, dominance)

    def _centred(self, raw: Tensor) -> Tensor:
        return nn.functional.normalize(raw.to(self.centre) - self.centre, dim=-1)

    @staticmethod
    def _with_one(vectors: Tensor) -> Tensor:
        return torch.cat([vectors, torch.ones(len(vectors), 1, device=vectors.device)], dim=-1)


def vad_vectors(vad: Tensor) -> Tensor:
    """Valence, arousal, dominance `(labels, 3)` -> directions `(labels, 4)` of length one."""
    pole = torch.full((len(vad), 1), NEUTRAL_POLE)
    return nn.functional.normalize(torch.cat([vad.clamp(-1, 1), pole], dim=-1), dim=-1)


def _label_vectors(labels: Sequence[Label], phrases: PhraseEncoder) -> Tensor:
    """Mean of each label's prompt vectors, `(labels, dim)`; all prompts are encoded in one call."""
    if isinstance(phrases, WordTable):  # a bag of words gains nothing from templates, and lacks rare phrases
        return torch.cat([_table_vector(label, phrases) for label in labels])
    prompts = [label.prompts() for label in labels]
    vectors = phrases.phrase_vectors([phrase for group in prompts for phrase in group])
    return torch.stack([part.mean(dim=0) for part in vectors.split([len(group) for group in prompts])])


def _table_vector(label: Label, words: WordTable) -> Tensor:
    """The name and whichever synonyms the table has; the definition speaks only for a name it lacks."""
    known = [phrase for phrase in (label.name, *label.synonyms) if words.knows(phrase)]
    if not known and label.definition:
        known = [label.definition]
    return words.phrase_vectors(known or [label.name]).mean(dim=0, keepdim=True)
