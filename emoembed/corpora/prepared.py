"""A prepared corpus: one sample table and one feature store per modality, the same for every file form.

Layout: `corpus.json` (name, form, labels, notes), `samples.jsonl` (a manifest), and the feature stores `text/`,
`audio/` and `video/`. `corpus.json` is written last: a folder without it is incomplete.
"""

from __future__ import annotations

import json
from pathlib import Path

from emoembed.corpora import manifest
from emoembed.corpora.feature_corpus import FeatureCorpus
from emoembed.corpora.files import existing
from emoembed.errors import CorpusError, CorpusFileError
from emoembed.features.atomic import write_file
from emoembed.features.store import FeatureStore

HEADER, SAMPLES = "corpus.json", "samples.jsonl"
VERSION = 1
MODALITIES = ("text", "audio", "video")


def is_prepared(folder: Path) -> bool:
    """Return whether a folder is a complete prepared corpus."""
    return (folder / HEADER).is_file() and (folder / SAMPLES).is_file()


def read(folder: Path) -> FeatureCorpus:
    """Read a prepared corpus; features are read from disk only when they are needed.

    Raises:
        MissingFileError: the folder has no `corpus.json`.
        CorpusError: the corpus was written by another version, or is damaged.
    """
    header_file = existing(folder / HEADER)
    try:
        header = json.loads(header_file.read_bytes().decode("utf-8"))
        version = header["version"]
        if version == VERSION:
            labels, notes = tuple(map(str, header["labels"])), tuple(map(str, header["notes"]))
            name, form, multi_label = str(header["name"]), str(header["form"]), bool(header["multi_label"])
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        raise CorpusFileError(f"{header_file} is damaged ({error!r}); prepare the corpus again") from error
    if version != VERSION:
        raise CorpusError(f"{folder} was prepared in version {version}; this release reads {VERSION}: prepare it again")
    samples = manifest.read(folder / SAMPLES, known_labels=set(labels)).samples
    stores = {name: FeatureStore(folder / name) for name in MODALITIES if (folder / name / "store.json").is_file()}
    return FeatureCorpus(name, samples, labels, multi_label, stores, form, notes)


def write_table(corpus: FeatureCorpus, folder: Path) -> None:
    """Complete a prepared corpus whose feature stores exist: write the sample table, then the header."""
    manifest.write_samples(corpus, folder / SAMPLES)
    header = {
        "version": VERSION,
        "name": corpus.name,
        "form": corpus.form,
        "labels": corpus.labels,
        "multi_label": corpus.multi_label,
        "notes": corpus.notes,
    }
    write_file(folder / HEADER, json.dumps(header, indent=1, ensure_ascii=False).encode())
