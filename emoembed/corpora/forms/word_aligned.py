"""Computational sequences averaged within words and cut into segments, one video in memory at a time."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from emoembed.corpora.forms import alignment
from emoembed.corpora.forms.csd import ComputationalSequence
from emoembed.features.feature_set import FeatureSet


class WordAligned:
    """Segments of a corpus as rows of words: every modality has one row a word, zeros where it has nothing to say.

    Departs from the SDK's example, which cuts each modality by the times it covers itself, so that the modalities of
    a segment may differ in length: here a word belongs to a segment, with all its modalities, if the word overlaps it.

    Args:
        words: the sequence whose intervals are the words.
        others: modality -> sequence; `words` itself may be among them.
        segments: segment id -> its video and `(start, end)` in seconds.
    """

    def __init__(
        self,
        words: ComputationalSequence,
        others: Mapping[str, ComputationalSequence],
        segments: Mapping[str, tuple[str, tuple[float, float]]],
    ) -> None:
        self.words, self.others, self.segments = words, dict(others), dict(segments)
        self._by_video: dict[str, list[str]] = {}
        for segment, (video, _) in self.segments.items():
            self._by_video.setdefault(video, []).append(segment)
        self._held: tuple[str, dict[str, dict[str, np.ndarray]]] = ("", {})
        self.tables = {name: _Table(self, name, _feature_set(name, other)) for name, other in self.others.items()}

    def segment(self, modality: str, segment: str) -> np.ndarray:
        """`(words, feature_dim)`; no rows where the segment has no word, or its video lacks the modality."""
        video = self.segments[segment][0]
        if self._held[0] != video:
            self._held = (video, self._align(video))
        return self._held[1][modality][segment]

    def _align(self, video: str) -> dict[str, dict[str, np.ndarray]]:
        """One video: modality -> segment -> rows."""
        wanted = self._by_video[video]
        times = self.words[video].intervals if video in self.words else np.zeros((0, 2))
        times = times[times[:, 1] - times[:, 0] >= alignment.EPSILON]
        spans = np.array([self.segments[segment][1] for segment in wanted])
        chosen = alignment.within(spans, times)
        return {name: dict(zip(wanted, self._rows(name, video, times, chosen), strict=True)) for name in self.others}

    def _rows(self, name: str, video: str, times: np.ndarray, chosen: Sequence[np.ndarray]) -> list[np.ndarray]:
        sequence, dim = self.others[name], self.tables[name].feature_set.feature_dim
        if video not in sequence:
            return [np.zeros((0, dim), np.float32) for _ in chosen]
        whole = np.zeros((len(times), dim), np.float32)
        if sequence is self.words:
            timed = sequence[video]
            kept = timed.intervals[:, 1] - timed.intervals[:, 0] >= alignment.EPSILON
            whole[:] = timed.values[kept]
        else:
            timed = sequence[video]
            found = alignment.average(times, timed.intervals, timed.values)
            whole[found.rows] = found.values
        return [whole[rows] for rows in chosen]


class _Table(Mapping[str, np.ndarray]):
    """One modality of word-aligned segments, as a feature table."""

    def __init__(self, source: WordAligned, modality: str, feature_set: FeatureSet) -> None:
        self._source, self._modality, self.feature_set = source, modality, feature_set

    def __getitem__(self, segment: str) -> np.ndarray:
        return self._source.segment(self._modality, segment)

    def __contains__(self, segment: object) -> bool:
        return segment in self._source.segments

    def __iter__(self) -> Iterator[str]:
        return iter(self._source.segments)

    def __len__(self) -> int:
        return len(self._source.segments)


def _feature_set(modality: str, sequence: ComputationalSequence) -> FeatureSet:
    return FeatureSet(sequence.name, sequence.columns(modality))
