"""Average computational sequences within words and cut them into segments, with one video in memory at a time."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from emoembed.corpora.forms import alignment
from emoembed.corpora.forms.csd import ComputationalSequence
from emoembed.features.feature_set import FeatureSet


class WordAligned:
    """Segments as arrays with one row per word in every modality; a row is zero if the modality has no data there.

    This departs from the SDK's example. The SDK cuts each modality by its own times, so the modalities of a segment
    may differ in length. Here, a word that overlaps a segment belongs to it in all modalities.

    Args:
        words: the sequence whose intervals are the words.
        others: modality -> sequence; may include `words`.
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
        self._cached_video: tuple[str, dict[str, dict[str, np.ndarray]]] = ("", {})
        self.tables = {name: _Table(self, name, _feature_set(name, other)) for name, other in self.others.items()}

    def segment(self, modality: str, segment: str) -> np.ndarray:
        """Return `(words, feature_dim)`; no rows if the segment has no word, or its video lacks the modality."""
        video = self.segments[segment][0]
        if self._cached_video[0] != video:
            self._cached_video = (video, self._align(video))
        return self._cached_video[1][modality][segment]

    def _align(self, video: str) -> dict[str, dict[str, np.ndarray]]:
        """Align one video: modality -> segment -> rows."""
        segment_ids = self._by_video[video]
        times = self.words[video].intervals if video in self.words else np.zeros((0, 2))
        times = times[times[:, 1] - times[:, 0] >= alignment.EPSILON]
        spans = np.array([self.segments[segment][1] for segment in segment_ids])
        words_of_segments = alignment.within(spans, times)
        return {
            name: dict(zip(segment_ids, self._cut(name, video, times, words_of_segments), strict=True))
            for name in self.others
        }

    def _cut(
        self, name: str, video: str, times: np.ndarray, words_of_segments: Sequence[np.ndarray]
    ) -> list[np.ndarray]:
        """Return the rows `(words, feature_dim)` of each segment of a video, for one modality."""
        sequence, dim = self.others[name], self.tables[name].feature_set.feature_dim
        if video not in sequence:
            return [np.zeros((0, dim), np.float32) for _ in words_of_segments]
        video_rows = np.zeros((len(times), dim), np.float32)
        if sequence is self.words:
            timed = sequence[video]
            long_enough = timed.intervals[:, 1] - timed.intervals[:, 0] >= alignment.EPSILON
            video_rows[:] = timed.values[long_enough]
        else:
            timed = sequence[video]
            means = alignment.average(times, timed.intervals, timed.values)
            video_rows[means.rows] = means.values
        return [video_rows[rows] for rows in words_of_segments]


class _Table(Mapping[str, np.ndarray]):
    """The feature table of one modality of word-aligned segments."""

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
