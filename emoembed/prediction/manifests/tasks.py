"""Work on whole manifests: extract features, adapt, attune. `scoring` scores their rows."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from emoembed.corpora.corpus import Corpus
from emoembed.corpora.tables import read_support
from emoembed.errors import EmoembedError, InputError
from emoembed.features.store import FeatureStore
from emoembed.features.workers import Workers, require_workers
from emoembed.labels.emotion import Labels
from emoembed.model import checkpoint_files
from emoembed.model.scorer import Batch
from emoembed.prediction.recognizer import Recognizer
from emoembed.reading import cache, media
from emoembed.reading.items import batch_of
from emoembed.reading.sources import as_corpus, input_of, present_modalities, sources_of, usable_modalities
from emoembed.transfer import attune


def extract_features(
    source: Corpus | str | Path,
    modality: str,
    folder: str | Path,
    *,
    dtype: str = "float32",
    progress: bool = False,
    workers: Workers | None = 1,
) -> FeatureStore:
    """Extract the features of a manifest's `audio` or `video` column into a feature store, in `workers` processes.

    Rows with `start` and `end` use only that part of their file.

    Raises:
        InputError: the modality is neither audio nor video, no row has it, or no row with it can be read.
    """
    corpus = as_corpus(source, annotated=False)
    if modality not in ("audio", "video"):
        raise InputError(f"features can be extracted from audio or video; given {modality!r}")
    if modality not in present_modalities(corpus):
        raise InputError(
            f"{corpus.name} has no {modality}; it has {', '.join(present_modalities(corpus)) or 'nothing'}"
        )
    workers = require_workers(workers, media=len(corpus.samples))
    return cache.extract_features(corpus, modality, folder, dtype=dtype, progress=progress, workers=workers)


def adapt_table(
    recognizer: Recognizer,
    support: str | Path,
    output: str | Path,
    labels: Labels | None = None,
    *,
    columns: Mapping[str, str] | None = None,
) -> Recognizer:
    """Adapt a recognizer to the rows of a table, and save the result as a checkpoint.

    `columns` names the columns that have other names in the table, such as `{"label": "emotion"}`.
    """
    checkpoint_files.require_own_folder(output)
    adapted_recognizer = recognizer.adapt(read_support(support, columns), labels)
    adapted_recognizer.save_pretrained(output)
    return adapted_recognizer


def attune_manifest(
    recognizer: Recognizer,
    source: Corpus | str | Path,
    output: str | Path,
    modalities: Sequence[str] = attune.MODALITIES,
) -> tuple[Recognizer, dict[str, str]]:
    """Attune a recognizer to the sound and faces of a manifest, and save the result as a checkpoint.

    Labels are not read. `modalities` are those to attune; name `text` for the texts of dialogues only.

    Returns:
        The new recognizer, and for each skipped row: id -> reason.

    Raises:
        InputError: the manifest has neither sound nor faces, or none that can be read.
    """
    checkpoint_files.require_own_folder(output)
    corpus = as_corpus(source, annotated=False)
    present = present_modalities(corpus)
    attunable = [name for name in present if name in modalities]
    if present and not attunable:
        hint = "; name text to attune to the texts of dialogues" if "text" in present else ""
        raise InputError(
            f"attuning needs {' or '.join(modalities)}; {corpus.name} has {', '.join(present)} alone{hint}"
        )
    usable = usable_modalities(recognizer.model, corpus, attunable)
    failures: dict[str, str] = {}

    def batches() -> Iterator[Batch]:
        for item, sources in sources_of(corpus, usable):
            for name, source_part in sources.items():
                try:
                    if source_part is not None:
                        reading = media.read(recognizer.model, name, input_of(name, source_part))
                        yield batch_of(recognizer.model, [{name: reading}])
                except EmoembedError as error:
                    failures[item] = str(error)

    try:
        attuned_recognizer = Recognizer(attune.attune(recognizer.model, batches()), recognizer.folder)
    except InputError as error:
        if not failures:
            raise
        item, reason = next(iter(failures.items()))
        raise InputError(f"{error}; {item}: {reason}") from error
    attuned_recognizer.save_pretrained(output)
    return attuned_recognizer, failures
