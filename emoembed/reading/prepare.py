"""Any form of a corpus, once, into a prepared folder: `emoembed prepare mosei --data DIR --output DIR`."""

from __future__ import annotations

import hashlib
import shutil
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import pandas as pd

from emoembed.corpora import prepared
from emoembed.corpora.corpus import Corpus
from emoembed.corpora.feature_corpus import FeatureCorpus, FeatureTable
from emoembed.errors import InputError
from emoembed.features.feature_set import Features, FeatureSet
from emoembed.features.store import FeatureStore, extract
from emoembed.reading.cache import cache_folder, extract_features

CONSTANT = 1e-8  # a column whose values differ by less says nothing


@dataclass
class Findings:
    """What was found in a feature table, item by item."""

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
        """Count what is not finite and put 0 in its place, as the published preparations do."""
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
        """One sentence a kind of fault."""
        columns, said = self.feature_set.columns, []
        for name, count in (("infinite", self.infinite), ("NaN", self.missing)):
            if count:
                worst = columns[int(self._bad.argmax())]
                said.append(
                    f"{modality}: {count} of {self.values} values were {name}, in {int((self._bad > 0).sum())} "
                    f"columns, most in {worst}; 0 stands in their place"
                )
        constant = [c for c, width in zip(columns, self._high - self._low, strict=True) if abs(width) < CONSTANT]
        if constant:
            listed = ", ".join(constant[:8]) + (f" and {len(constant) - 8} more" if len(constant) > 8 else "")
            said.append(f"{modality}: {len(constant)} columns are constant: {listed}")
        return said


def prepare(corpus: Corpus, folder: str | Path, *, progress: bool = False) -> FeatureCorpus:
    """Write a corpus's features into stores and its sample table beside them; what is finished is not done again.

    Feature tables are cleaned (NaN and infinite values become 0, counted in the notes). Where a modality has no table,
    this package's own features are extracted from the media; rows that cannot be read are named in the store's
    failures and counted in the notes. A stopped run goes on where it was.

    Args:
        corpus: of any form, such as `corpora.load("mosei", folder)` gives.
        folder: where the prepared corpus shall be.

    Raises:
        InputError: the folder holds something else.
    """
    folder = Path(folder)
    if prepared.is_prepared(folder):
        there = prepared.read(folder)
        if there.name == corpus.name and set(there.samples["id"]) == set(corpus.samples["id"]):
            compared = ("labels", "split", "text", "audio", "video", "start", "end")
            changed = [name for name in compared if _cells(there, name) != _cells(corpus, name)]
            if not changed:
                return there
            raise InputError(
                f"{folder} holds {there.name} as it was; {' and '.join(changed)} are others now: give another folder, "
                "or remove it first"
            )
        raise InputError(f"{folder} holds {there.name} with other rows; give another folder, or remove it first")
    taken = [name for name in prepared.MODALITIES if not _is_store(folder / name)]
    if taken:
        raise InputError(f"{folder / taken[0]} holds files that are not a feature store's; give an empty folder")
    held = [path.name for path in folder.iterdir()] if folder.is_dir() else []
    strange = sorted(set(held) - {*prepared.MODALITIES, prepared.SAMPLES})
    if strange:
        raise InputError(f"{folder} holds {', '.join(strange[:3])}; give an empty folder, or a new one")
    folder.mkdir(parents=True, exist_ok=True)
    given = corpus if isinstance(corpus, FeatureCorpus) else FeatureCorpus(**vars(corpus), form="media")
    notes = list(given.notes)
    stores: dict[str, FeatureStore] = {}
    for modality in prepared.MODALITIES:
        if modality in given.features:
            stores[modality], found = _copy(given.features[modality], folder / modality, progress)
            notes += found.notes(modality)
        elif modality != "text" and given.samples[modality].notna().any():
            try:
                stores[modality] = extract_features(given, modality, folder / modality, progress=progress)
            except InputError as error:
                if (folder / modality / "store.json").exists():
                    raise  # a damaged store; without one not one row could be read, but the other modalities may
                notes.append(f"{modality}: no row could be read: {str(error).partition(': ')[2].partition(';')[0]}")
        if modality in stores and (failed := stores[modality].failures):
            first = next(iter(failed))
            notes.append(f"{modality}: {len(failed)} rows have no features, such as {first} ({failed[first]})")
    done = replace(given, features=stores, notes=tuple(notes))
    prepared.write_table(done, folder)
    return done


def cached(corpus: FeatureCorpus, data: Path, cache: Path | None = None, *, progress: bool = False) -> FeatureCorpus:
    """A corpus prepared into the cache, once for each state of its files; one that is prepared comes back as it is."""
    if corpus.features and all(isinstance(table, FeatureStore) for table in corpus.features.values()):
        return corpus
    rows = "\n".join(f"{i} {labels}" for i, labels in zip(corpus.samples["id"], corpus.samples["labels"], strict=True))
    times = [path.stat().st_mtime_ns for path in sorted(Path(data).rglob("*")) if path.is_file()]
    key = hashlib.sha256(repr((str(Path(data).resolve()), corpus.form, times, rows)).encode()).hexdigest()[:16]
    return prepare(corpus, (cache or cache_folder()) / "prepared" / f"{corpus.name}-{key}", progress=progress)


def _cells(corpus: Corpus, column: str) -> dict[str, object]:
    """A column by id, nothing as None."""
    values = (
        tuple(value) if column == "labels" else None if pd.isna(value) else value for value in corpus.samples[column]
    )
    return dict(zip(corpus.samples["id"], values, strict=True))


def _is_store(folder: Path) -> bool:
    """Whether a folder is not there, empty, or holds what a feature store is made of and nothing else."""
    known = ("store.json", "shard-", "failures.jsonl", ".lock")
    return not folder.exists() or (folder.is_dir() and all(p.name.startswith(known) for p in folder.iterdir()))


def _copy(table: FeatureTable, folder: Path, progress: bool) -> tuple[FeatureStore, Findings]:
    """A table into a store, from the beginning: what an earlier run counted is not known."""
    shutil.rmtree(folder, ignore_errors=True)
    found = Findings(table.feature_set)

    def read(item: str) -> Features:
        values = found.clean(table[item])
        if not len(values):
            raise InputError("nothing of this modality falls into it")
        return Features(values, table.feature_set)

    return extract(((item, item) for item in table), read, folder, progress=progress), found
