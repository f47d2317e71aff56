"""The rows of a corpus in the form that training and evaluation read."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np

from emoembed.corpora.corpus import Corpus
from emoembed.errors import InputError
from emoembed.features.readable import readable
from emoembed.labels.phrases import PhraseEncoder, SentenceEncoder
from emoembed.reading.cache import cached_features
from emoembed.reading.rows import EmotionData, join


def annotate(corpus: Corpus, inputs: Mapping[str, Mapping[str, np.ndarray]]) -> EmotionData:
    """Combine a corpus's rows with their features (modality -> row id -> `(time, feature_dim)`).

    Rows without features are left out. If the corpus is not multi-label, rows without a label are left out too. Ids
    become `corpus/id`, so that corpora can be joined. If the samples have a column `rival`, a row annotates only its
    own label and its rival.

    Raises:
        InputError: no row remains.
    """
    samples = corpus.samples
    has_features = np.array([any(i in store for store in inputs.values()) for i in samples["id"]], dtype=bool)
    samples = samples[has_features & (corpus.multi_label | (samples["labels"].map(len) > 0).to_numpy())]
    if samples.empty:
        raise InputError(
            f"{corpus.name} has no usable row; a row needs features and, unless the corpus is multi-label, a label"
        )
    targets = np.zeros((len(samples), len(corpus.labels)), dtype=np.float32)
    for row, labels in enumerate(samples["labels"]):
        targets[row, [corpus.labels.index(label) for label in labels]] = 1.0
    if "rival" in samples:  # a row of a minimal pair distinguishes its emotion only from its rival
        own = targets == 1
        targets[:] = np.nan
        targets[own] = 1.0
        targets[np.arange(len(samples)), [corpus.labels.index(label) for label in samples["rival"]]] = 0.0
    ids = tuple(f"{corpus.name}/{i}" for i in samples["id"])
    renamed_inputs = {
        name: {new_id: store[old_id] for new_id, old_id in zip(ids, samples["id"], strict=True) if old_id in store}
        for name, store in inputs.items()
    }
    return EmotionData(ids, renamed_inputs, corpus.labels, targets, np.full(len(ids), corpus.multi_label))


def text_data(corpus: Corpus, phrases: PhraseEncoder) -> EmotionData:
    """Rows with token ids, for a sentence encoder.

    Raises:
        InputError: the phrase encoder is a word table, which has no tokens.
    """
    if not isinstance(phrases, SentenceEncoder):
        raise InputError(
            "this model has a word table; to read text rows, give a model with a sentence encoder, such as 'base'"
        )
    return annotate(corpus, {"text": tokens(corpus, phrases)})


def tokens(corpus: Corpus, phrases: SentenceEncoder) -> dict[str, np.ndarray]:
    """Token ids `(tokens, 1)` of the rows with text, by row id."""
    text_rows = corpus.where(corpus.samples["text"].notna())
    encoded = phrases.tokenizer.encode_batch([readable(text) for text in text_rows.samples["text"]])
    return {
        i: np.array(e.ids, dtype=np.float32)[:, None] for i, e in zip(text_rows.samples["id"], encoded, strict=True)
    }


COPIES = 2
"""Copies of each training recording through other channels."""


def audio_data(corpus: Corpus, cache: Path | None = None, copies: int = 0) -> EmotionData:
    """Rows with speech features. Rows whose recording cannot be read are left out.

    Each recording is followed by `copies` of it through other channels. Their ids end in `@` and a number.
    """
    parts = [annotate(corpus, {"audio": cached_features(corpus, "audio", cache, copy=n)[0]}) for n in range(copies + 1)]
    return join([parts[0], *(_renamed(part, f"@{number}") for number, part in enumerate(parts[1:], start=1))])


def original(row: str) -> str:
    """The id of a row without the `@` and number that mark a copy through another channel."""
    return re.sub(r"@\d+$", "", row)


def _renamed(rows: EmotionData, suffix: str) -> EmotionData:
    """The rows with a suffix at their ids."""
    inputs = {name: {f"{row}{suffix}": values for row, values in store.items()} for name, store in rows.inputs.items()}
    return replace(rows, ids=tuple(f"{row}{suffix}" for row in rows.ids), inputs=inputs)


def video_data(corpus: Corpus, cache: Path | None = None) -> EmotionData:
    """Rows with faces, which are extracted once and cached."""
    return annotate(corpus, {"video": cached_features(corpus, "video", cache, progress=True)[0]})
