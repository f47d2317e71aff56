"""Whole manifests: extract their features, attune or adapt to them; `prediction.manifest` predicts their rows."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from emoembed.corpora.corpus import Corpus
from emoembed.corpora.tables import read_support
from emoembed.errors import EmoembedError, InputError
from emoembed.features.store import FeatureStore
from emoembed.labels.emotion import Labels
from emoembed.model import checkpoint
from emoembed.model.scorer import Batch
from emoembed.prediction.recognizer import Recognizer
from emoembed.reading import cache, media
from emoembed.reading.items import batch_of
from emoembed.reading.sources import as_corpus, input_of, present_modalities, sources_of, usable_modalities
from emoembed.transfer import attune


def extract_features(
    source: Corpus | str | Path, modality: str, folder: str | Path, *, dtype: str = "float32", progress: bool = False
) -> FeatureStore:
    """The features of a manifest's `audio` or `video` as a store; `start` and `end` cut out a part of a file.

    Raises:
        InputError: no row has the modality, or no row of it can be read.
    """
    corpus = as_corpus(source)
    if modality not in ("audio", "video"):
        raise InputError(f"features are extracted of audio or video; given {modality!r}")
    if modality not in present_modalities(corpus):
        raise InputError(
            f"{corpus.name} has no {modality}; it has {', '.join(present_modalities(corpus)) or 'nothing'}"
        )
    return cache.extract_features(corpus, modality, folder, dtype=dtype, progress=progress)


def adapt_table(
    recognizer: Recognizer, support: str | Path, output: str | Path, labels: Labels | None = None, **settings: Any
) -> Recognizer:
    """`Recognizer.adapt` to the rows of a CSV, JSONL or Parquet file, and the result saved as a checkpoint.

    `settings` are its `steps` and `max_harm`.
    """
    checkpoint.require_own_folder(output)
    adapted = recognizer.adapt(read_support(support), labels, **settings)
    adapted.save_pretrained(output)
    return adapted


def attune_manifest(
    recognizer: Recognizer, source: Corpus | str | Path, output: str | Path
) -> tuple[Recognizer, dict[str, str]]:
    """`Recognizer.attune` to a manifest's sound and faces, no label read, and the result saved as a checkpoint.

    Returns:
        The new recognizer, and why rows were left out, by id.
    """
    checkpoint.require_own_folder(output)
    corpus = as_corpus(source)
    present = present_modalities(corpus)
    offered = [name for name in present if name in attune.MODALITIES]
    if present and not offered:
        raise InputError(
            f"attuning needs {' or '.join(attune.MODALITIES)}; {corpus.name} has {', '.join(present)} alone"
        )
    usable = usable_modalities(recognizer.model, corpus, offered)
    failures: dict[str, str] = {}

    def batches() -> Iterator[Batch]:
        for item, sources in sources_of(corpus, usable):
            for name, given in sources.items():
                try:
                    if given is not None:
                        reading = media.read(recognizer.model, name, input_of(name, given))
                        yield batch_of(recognizer.model, [{name: reading}])
                except EmoembedError as error:
                    failures[item] = str(error)

    try:
        attuned = Recognizer(attune.attune(recognizer.model, batches()), recognizer.folder)
    except InputError as error:
        if not failures:
            raise
        item, why = next(iter(failures.items()))
        raise InputError(f"{error}; {item}: {why}") from error
    attuned.save_pretrained(output)
    return attuned, failures
