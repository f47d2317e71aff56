"""A corpus's rows as what training and evaluation read."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from emoembed.corpora.corpus import Corpus
from emoembed.errors import InputError
from emoembed.features.readable import readable
from emoembed.labels.phrases import PhraseEncoder, SentenceEncoder
from emoembed.reading.cache import cached_features
from emoembed.reading.rows import EmotionData


def annotate(corpus: Corpus, inputs: Mapping[str, Mapping[str, np.ndarray]]) -> EmotionData:
    """A corpus's rows with features; rows without features, or without a label where there must be one, are left out.

    Ids become `corpus/id`, so that corpora can be joined.
    """
    samples = corpus.samples
    here = np.array([any(i in store for store in inputs.values()) for i in samples["id"]], dtype=bool)
    samples = samples[here & (corpus.multi_label | (samples["labels"].map(len) > 0).to_numpy())]
    if samples.empty:
        raise InputError(f"no row of {corpus.name} has features")
    targets = np.zeros((len(samples), len(corpus.labels)), dtype=np.float32)
    for row, labels in enumerate(samples["labels"]):
        targets[row, [corpus.labels.index(label) for label in labels]] = 1.0
    ids = tuple(f"{corpus.name}/{i}" for i in samples["id"])
    named = {
        name: {new: store[old] for new, old in zip(ids, samples["id"], strict=True) if old in store}
        for name, store in inputs.items()
    }
    return EmotionData(ids, named, corpus.labels, targets, np.full(len(ids), corpus.multi_label))


def text_data(corpus: Corpus, phrases: PhraseEncoder) -> EmotionData:
    """Rows with token ids, for a sentence encoder.

    Raises:
        InputError: the phrase encoder is a word table, which has no tokens.
    """
    if not isinstance(phrases, SentenceEncoder):
        raise InputError("text rows need a model with a sentence encoder, such as 'base'; this one has a word table")
    return annotate(corpus, {"text": tokens(corpus, phrases)})


def tokens(corpus: Corpus, phrases: SentenceEncoder) -> dict[str, np.ndarray]:
    """Token ids `(tokens, 1)` of the rows that have a text."""
    there = corpus.where(corpus.samples["text"].notna())
    encoded = phrases.tokenizer.encode_batch([readable(text) for text in there.samples["text"]])
    return {i: np.array(e.ids, dtype=np.float32)[:, None] for i, e in zip(there.samples["id"], encoded, strict=True)}


def audio_data(corpus: Corpus, cache: Path | None = None) -> EmotionData:
    """Rows with speech features, extracted once into the cache."""
    return annotate(corpus, {"audio": cached_features(corpus, "audio", cache, progress=True)[0]})


def video_data(corpus: Corpus, cache: Path | None = None) -> EmotionData:
    """Rows with faces, extracted once into the cache."""
    return annotate(corpus, {"video": cached_features(corpus, "video", cache, progress=True)[0]})
