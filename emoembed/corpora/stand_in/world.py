"""What stand-in corpora are made of: utterances whose emotions are places among word vectors."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from emoembed.corpora import feature_names
from emoembed.corpora.readers.iemocap import VALID_DIALOGUES, split_of
from emoembed.corpora.readers.mosei import SEQ20_LABELS
from emoembed.errors import InputError
from emoembed.labels.emotion import canonical

WORD_SECONDS = 0.3
Spans = Mapping[str, Sequence[tuple[float, float, str]]]
"""Video -> start, end and split of its segments."""
FILLERS = ("the", "a", "it", "to", "of", "and", "this", "there", "then", "thing")
IEMOCAP_WORDS = {
    "neu": "neutral",
    "hap": "happy",
    "sad": "sad",
    "ang": "angry",
    "exc": "excited",
    "fru": "frustrated",
    "sur": "surprised",
    "fea": "fear",
    "dis": "disgust",
}


class Vectors(Protocol):
    """Word vectors: `labels.phrases.WordTable` and gensim's `KeyedVectors` have these."""

    @property
    def vector_size(self) -> int: ...

    def __contains__(self, word: object) -> bool: ...

    def __getitem__(self, words: list[str]) -> np.ndarray: ...


@dataclass(frozen=True)
class Utterance:
    """One utterance: where it lies, what it expresses, and its words."""

    video: str
    number: int
    start: float
    end: float
    split: str
    emotions: tuple[str, ...]
    words: tuple[str, ...]
    point: np.ndarray


class World:
    """Emotions, words and the views of a modality, all from one seed."""

    def __init__(
        self, vectors: Vectors, emotions: Sequence[str], vocabulary: Sequence[str], seed: int, shuffled: bool
    ) -> None:
        self.random = np.random.default_rng(seed)
        self.vectors = vectors
        known = [word for word in dict.fromkeys((*vocabulary, *FILLERS)) if word in vectors]
        names = [canonical(word) for word in emotions]
        lacking = [word for word in names if word not in vectors]
        if lacking or len(known) < 20:
            raise InputError(f"the word vectors lack {', '.join(lacking) or 'most of the vocabulary'}")
        self.vocabulary = known
        self.matrix = _unit(np.asarray(vectors[known], dtype=np.float64))
        centre = self.matrix.mean(axis=0)
        places = _unit(_unit(np.asarray(vectors[names], dtype=np.float64)) - centre)
        if shuffled:
            places = places[_derangement(len(places), self.random)]
        self.emotions = dict(zip(emotions, places, strict=True))
        self.matrix = _unit(self.matrix - centre)
        dim = vectors.vector_size
        # many times the word vectors' size would only repeat them: each column sees a few directions at random
        self.maps = {
            "audio": self.random.standard_normal((dim, len(feature_names.COVAREP))) / np.sqrt(dim) * 4,
            "video": self.random.standard_normal((dim, len(feature_names.FACET))) / np.sqrt(dim) * 4,
        }

    def point(self, emotions: Sequence[str]) -> np.ndarray:
        """Where an utterance of these emotions lies, with noise."""
        noise = 0.6 * _unit(self.random.standard_normal(self.matrix.shape[1]))
        return _unit(np.mean([self.emotions[one] for one in emotions], axis=0) + noise if emotions else noise)

    def words(self, point: np.ndarray, count: int) -> tuple[str, ...]:
        """Words near a point, one in three of them a word that says nothing."""
        weights = np.exp(9.0 * (self.matrix @ point))
        chosen = self.random.choice(len(weights), size=count, p=weights / weights.sum())
        said = [self.vocabulary[i] for i in chosen]
        fillers = [word for word in FILLERS if word in self.vectors] or said
        return tuple(self.random.choice(fillers) if self.random.random() < 1 / 3 else word for word in said)

    def view(self, modality: str, point: np.ndarray, frames: int) -> np.ndarray:
        """What a modality shows of a point: `(frames, dim)`."""
        clean = np.tanh(point @ self.maps[modality])
        return (clean + 0.5 * self.random.standard_normal((frames, len(clean)))).astype(np.float32)


def monologues(world: World, size: tuple[int, int] | Spans) -> list[Utterance]:
    """MOSEI-like: videos of one speaker, up to two of six emotions a segment. `size` is that of `write_mosei`."""
    if isinstance(size, tuple):
        videos, segments = size
        splits = ["train", "valid", "train", "test", "train", "train"]
        lengths = world.random.uniform(2.0, 5.0, size=(videos, segments))
        size = {
            f"video{v:04d}": [
                (float(end - length), float(end), splits[v % len(splits)])
                for end, length in zip(np.cumsum(lengths[v] + 0.4), lengths[v], strict=True)
            ]
            for v in range(videos)
        }
    found = []
    for video, parts in size.items():
        for number, (start, end, split) in enumerate(parts):
            count = world.random.choice([0, 1, 1, 2])
            emotions = tuple(world.random.choice(SEQ20_LABELS, size=count, replace=False).tolist())
            point = world.point(emotions)
            words = world.words(point, max(int((end - start) / WORD_SECONDS), 1))
            found.append(Utterance(video, number, start, end, split, emotions, words, point))
    return found


def dialogues_of(world: World, dialogues: int, turns: int) -> list[Utterance]:
    """IEMOCAP-like: five sessions of dialogues, one of nine emotions a turn."""
    found = []
    weights = np.array([4, 3, 3, 3, 3, 3, 1, 1, 1], dtype=float)
    for session in range(1, 6):
        listed = [name for name in VALID_DIALOGUES if name.startswith(f"Ses0{session}")]
        names = [f"Ses0{session}{'FM'[i % 2]}_impro9{i}" for i in range(dialogues)]
        names[1:] = [*listed[:1], *names[1:]][: dialogues - 1]
        for name in names:
            moment = 0.5
            for number in range(turns):
                emotion = str(world.random.choice(list(IEMOCAP_WORDS.values()), p=weights / weights.sum()))
                point = world.point((emotion,))
                length = float(world.random.uniform(1.2, 3.0))
                words = world.words(point, max(int(length / WORD_SECONDS), 3))
                found.append(Utterance(name, number, moment, moment + length, split_of(name), (emotion,), words, point))
                moment += length + 0.3
    return found


def _derangement(count: int, random: np.random.Generator) -> np.ndarray:
    """A permutation that leaves nothing in its place."""
    while True:
        order = random.permutation(count)
        if (order != np.arange(count)).all():
            return order


def _unit(vectors: Any) -> Any:
    return vectors / np.maximum(np.linalg.norm(vectors, axis=-1, keepdims=True), 1e-9)
