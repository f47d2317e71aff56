"""The content of the stand-in corpora: utterances whose emotions are points in the space of word vectors."""

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
"""Video -> (start, end, split) of its segments; times in seconds."""
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
    """Word vectors, such as `labels.phrases.WordTable` and gensim's `KeyedVectors`."""

    @property
    def vector_size(self) -> int: ...

    def __contains__(self, word: object) -> bool: ...

    def __getitem__(self, words: list[str]) -> np.ndarray: ...


@dataclass(frozen=True)
class Utterance:
    """One utterance: its video and times in seconds, its split, its emotions, its words and its point."""

    video: str
    number: int
    start: float
    end: float
    split: str
    emotions: tuple[str, ...]
    words: tuple[str, ...]
    point: np.ndarray


class World:
    """The emotions, words and frames of a stand-in corpus, all from one seed."""

    def __init__(
        self, vectors: Vectors, emotions: Sequence[str], vocabulary: Sequence[str], seed: int, shuffled: bool
    ) -> None:
        self.random = np.random.default_rng(seed)
        self.vectors = vectors
        words = [word for word in dict.fromkeys((*vocabulary, *FILLERS)) if word in vectors]
        names = [canonical(word) for word in emotions]
        missing_names = [word for word in names if word not in vectors]
        if missing_names or len(words) < 20:
            raise InputError(
                f"the word vectors lack {', '.join(missing_names) or 'most of the vocabulary'}; they need the names of "
                "all emotions and at least 20 words of the vocabulary"
            )
        self.vocabulary = words
        self.matrix = _unit(np.asarray(vectors[words], dtype=np.float64))
        centre = self.matrix.mean(axis=0)
        points = _unit(_unit(np.asarray(vectors[names], dtype=np.float64)) - centre)
        if shuffled:
            points = points[_derangement(len(points), self.random)]
        self.emotions = dict(zip(emotions, points, strict=True))
        self.matrix = _unit(self.matrix - centre)
        dim = vectors.vector_size
        # each column is a random projection; many more columns than the word vectors have would only repeat them
        self.maps = {
            "audio": self.random.standard_normal((dim, len(feature_names.COVAREP))) / np.sqrt(dim) * 4,
            "video": self.random.standard_normal((dim, len(feature_names.FACET))) / np.sqrt(dim) * 4,
        }

    def point(self, emotions: Sequence[str]) -> np.ndarray:
        """The point of an utterance with these emotions, with noise."""
        noise = 0.6 * _unit(self.random.standard_normal(self.matrix.shape[1]))
        return _unit(np.mean([self.emotions[emotion] for emotion in emotions], axis=0) + noise if emotions else noise)

    def words(self, point: np.ndarray, count: int) -> tuple[str, ...]:
        """Words near a point; about one in three is replaced by a filler word."""
        weights = np.exp(9.0 * (self.matrix @ point))
        positions = self.random.choice(len(weights), size=count, p=weights / weights.sum())
        words = [self.vocabulary[i] for i in positions]
        fillers = [word for word in FILLERS if word in self.vectors] or words
        return tuple(self.random.choice(fillers) if self.random.random() < 1 / 3 else word for word in words)

    def view(self, modality: str, point: np.ndarray, frames: int) -> np.ndarray:
        """The frames of a point in one modality, with noise: `(frames, dim)`."""
        mean = np.tanh(point @ self.maps[modality])
        return (mean + 0.5 * self.random.standard_normal((frames, len(mean)))).astype(np.float32)


def monologues(world: World, size: tuple[int, int] | Spans) -> list[Utterance]:
    """Utterances like MOSEI's: videos of one speaker, up to two of six emotions per segment.

    `size` is that of `write_mosei`.
    """
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
    utterances = []
    for video, parts in size.items():
        for number, (start, end, split) in enumerate(parts):
            count = world.random.choice([0, 1, 1, 2])
            emotions = tuple(world.random.choice(SEQ20_LABELS, size=count, replace=False).tolist())
            point = world.point(emotions)
            words = world.words(point, max(int((end - start) / WORD_SECONDS), 1))
            utterances.append(Utterance(video, number, start, end, split, emotions, words, point))
    return utterances


def dialogues_of(world: World, dialogues: int, turns: int) -> list[Utterance]:
    """Utterances like IEMOCAP's: five sessions of dialogues, one of nine emotions per turn."""
    utterances = []
    weights = np.array([4, 3, 3, 3, 3, 3, 1, 1, 1], dtype=float)
    for session in range(1, 6):
        valid_names = [name for name in VALID_DIALOGUES if name.startswith(f"Ses0{session}")]
        names = [f"Ses0{session}{'FM'[i % 2]}_impro9{i}" for i in range(dialogues)]
        names[1:] = [*valid_names[:1], *names[1:]][: dialogues - 1]
        for name in names:
            start = 0.5
            for number in range(turns):
                emotion = str(world.random.choice(list(IEMOCAP_WORDS.values()), p=weights / weights.sum()))
                point = world.point((emotion,))
                length = float(world.random.uniform(1.2, 3.0))
                words = world.words(point, max(int(length / WORD_SECONDS), 3))
                utterances.append(
                    Utterance(name, number, start, start + length, split_of(name), (emotion,), words, point)
                )
                start += length + 0.3
    return utterances


def _derangement(count: int, random: np.random.Generator) -> np.ndarray:
    """A random permutation without fixed points."""
    while True:
        order = random.permutation(count)
        if (order != np.arange(count)).all():
            return order


def _unit(vectors: Any) -> Any:
    return vectors / np.maximum(np.linalg.norm(vectors, axis=-1, keepdims=True), 1e-9)
