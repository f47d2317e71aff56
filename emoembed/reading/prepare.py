"""Converts a corpus of any form, once, to a prepared folder: `emoembed prepare mosei --data DIR --output DIR`."""

from __future__ import annotations

import hashlib
import os
import shutil
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from emoembed.corpora import prepared, table_files
from emoembed.corpora.corpus import Corpus
from emoembed.corpora.feature_corpus import FeatureCorpus, FeatureTable
from emoembed.errors import InputError
from emoembed.features.atomic import is_temporary
from emoembed.features.feature_set import Features, FeatureSet
from emoembed.features.store import FeatureStore, extract
from emoembed.features.workers import Workers, require_workers
from emoembed.reading.cache import cache_folder, extract_features

CONSTANT = 1e-8  # a column is constant if its values differ by less than this


@dataclass
class Findings:
    """The faults of a feature table, counted item by item."""

    feature_set: FeatureSet
    infinite: int = 0
    missing: int = 0
    values: int = 0
    _bad: np.ndarray = field(init=False)
    _low: np.ndarray = field(init=False)
    _high: np.ndarray = field(init=False)

    def __post_init__(self) -> None:
        dim = self.feature_set.feature_dim
        self._bad, self._low, self._high = np.zeros(dim, int), np.full(dim, np.inf), np.full(dim, -np.inf)

    def clean(self, values: np.ndarray) -> np.ndarray:
        """Count the values that are not finite and replace them by 0, as the published preparations do."""
        values = np.asarray(values, dtype=np.float32)
        bad = ~np.isfinite(values)
        self.values += values.size
        if bad.any():
            self.missing += int(np.isnan(values).sum())
            self.infinite += int(np.isinf(values).sum())
            self._bad += bad.sum(axis=0)
            values = np.where(bad, np.float32(0), values)
        if len(values):
            self._low, self._high = np.minimum(self._low, values.min(0)), np.maximum(self._high, values.max(0))
        return values

    def notes(self, modality: str) -> list[str]:
        """One sentence per kind of fault."""
        columns, sentences = self.feature_set.columns, []
        for name, count in (("infinite", self.infinite), ("NaN", self.missing)):
            if count:
                worst = columns[int(self._bad.argmax())]
                sentences.append(
                    f"{modality}: {count} of {self.values} values were {name}, in {int((self._bad > 0).sum())} "
                    f"columns, most in {worst}; they were replaced by 0"
                )
        constant = [c for c, width in zip(columns, self._high - self._low, strict=True) if abs(width) < CONSTANT]
        if constant:
            listed = ", ".join(constant[:8]) + (f" and {len(constant) - 8} more" if len(constant) > 8 else "")
            sentences.append(f"{modality}: {len(constant)} columns are constant: {listed}")
        return sentences


def prepare(
    corpus: Corpus, folder: str | Path, *, progress: bool = False, workers: Workers | None = 1
) -> FeatureCorpus:
    """Write a corpus's features to feature stores, with its sample table beside them; finished work is not repeated.

    Feature tables are cleaned: NaN and infinite values become 0 and are counted in the notes. For a modality without a
    table, this package's own features are extracted from the media. Rows that cannot be read are listed in the store's
    failures and counted in the notes. A stopped run resumes where it stopped.

    Args:
        corpus: a corpus of any form, such as `corpora.load("mosei", folder)` returns.
        folder: the output folder.
        progress: show progress on stderr.
        workers: number of processes that extract features from media, or an engine such as `interfaces.scale.Ray`;
            None chooses the number by the rows and the machine.

    Raises:
        InputError: the folder contains another corpus or other files.
    """
    folder, workers = Path(folder), require_workers(workers, media=len(corpus.samples))
    if prepared.is_prepared(folder):
        return _prepared_before(corpus, folder)
    _require_no_other_files(folder)
    folder.mkdir(parents=True, exist_ok=True)
    source = corpus if isinstance(corpus, FeatureCorpus) else FeatureCorpus(**vars(corpus), form="media")
    notes = list(source.notes)
    stores: dict[str, FeatureStore] = {}
    for modality in prepared.MODALITIES:
        if modality in source.features:
            stores[modality], findings = _copy_table(source.features[modality], folder / modality, progress)
            notes += findings.notes(modality)
        elif modality != "text" and source.samples[modality].notna().any():
            try:
                stores[modality] = extract_features(
                    source,
                    modality,
                    folder / modality,
                    progress=progress,
                    workers=workers,
                )
            except InputError as error:
                if (folder / modality / "store.json").exists():
                    raise  # a damaged store; without a store, no row was readable, but other modalities may be
                notes.append(f"{modality}: no row could be read: {str(error).partition(': ')[2].partition(';')[0]}")
        if modality in stores and (failures := stores[modality].failures):
            first_row = next(iter(failures))
            notes.append(
                f"{modality}: {len(failures)} rows have no features, such as {first_row} ({failures[first_row]})"
            )
    result = replace(source, features=stores, notes=tuple(notes))
    prepared.write_table(result, folder)
    return result


def _prepared_before(corpus: Corpus, folder: Path) -> FeatureCorpus:
    """The prepared corpus of a folder. Raises InputError if it is not this corpus."""
    earlier_corpus = prepared.read(folder)
    if earlier_corpus.name != corpus.name or set(earlier_corpus.samples["id"]) != set(corpus.samples["id"]):
        raise InputError(
            f"{folder} contains {earlier_corpus.name} with other rows; give another folder, or remove this folder first"
        )
    columns = ("labels", "split", "text", "audio", "video", "start", "end")
    changed_columns = [name for name in columns if _cells(earlier_corpus, name) != _cells(corpus, name)]
    if changed_columns:
        raise InputError(
            f"{folder} contains {earlier_corpus.name} with other values of {' and '.join(changed_columns)}; give "
            "another folder, or remove this folder first"
        )
    return earlier_corpus


def _require_no_other_files(folder: Path) -> None:
    """Raise InputError if a folder contains anything but feature stores and the sample table."""
    blocked_folders = [name for name in prepared.MODALITIES if not _may_become_store(folder / name)]
    if blocked_folders:
        raise InputError(
            f"{folder / blocked_folders[0]} contains files that are not part of a feature store; give an empty folder"
        )
    file_names = [path.name for path in folder.iterdir() if not is_temporary(path)] if folder.is_dir() else []
    other_files = sorted(set(file_names) - {*prepared.MODALITIES, prepared.SAMPLES})
    if other_files:
        raise InputError(f"{folder} contains {', '.join(other_files[:3])}; give an empty or a new folder")


def cached(corpus: FeatureCorpus, data: Path, cache: Path | None = None, *, progress: bool = False) -> FeatureCorpus:
    """Prepare a corpus in the cache, once per state of its files; a prepared corpus is returned unchanged."""
    if corpus.features and all(isinstance(table, FeatureStore) for table in corpus.features.values()):
        return corpus
    rows = "\n".join(f"{i} {labels}" for i, labels in zip(corpus.samples["id"], corpus.samples["labels"], strict=True))
    times = [path.stat().st_mtime_ns for path in sorted(Path(data).rglob("*")) if path.is_file()]
    key = hashlib.sha256(repr((str(Path(data).resolve()), corpus.form, times, rows)).encode()).hexdigest()[:16]
    return prepare(corpus, (cache or cache_folder()) / "prepared" / f"{corpus.name}-{key}", progress=progress)


def _cells(corpus: Corpus, column: str) -> dict[str, object]:
    """The values of a column by row id, as a manifest stores them: absolute paths, and None for a missing value."""

    def stored(value: Any) -> object:
        if column == "labels":
            return tuple(value)
        if table_files.is_missing(value):
            return None
        return os.path.abspath(value) if column in ("audio", "video") else value

    return dict(zip(corpus.samples["id"], map(stored, corpus.samples[column]), strict=True))


def _may_become_store(folder: Path) -> bool:
    """Whether a folder is missing, empty, or contains only files of a feature store and what a killed run left."""
    prefixes = ("store.json", "shard-", "failures.jsonl", ".lock")
    return not folder.exists() or (
        folder.is_dir() and all(path.name.startswith(prefixes) or is_temporary(path) for path in folder.iterdir())
    )


def _copy_table(table: FeatureTable, folder: Path, progress: bool) -> tuple[FeatureStore, Findings]:
    """Copy a table to a store, always from the beginning, because the counts of an earlier run are lost."""
    shutil.rmtree(folder, ignore_errors=True)
    findings = Findings(table.feature_set)

    def read(item: str) -> Features:
        values = findings.clean(table[item])
        if not len(values):
            raise InputError("the item has no frames of this modality")
        return Features(values, table.feature_set)

    return extract(((item, item) for item in table), read, folder, progress=progress), findings
