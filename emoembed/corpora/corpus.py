"""A corpus as a table of utterances, and how a corpus reader makes one."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import chain
from pathlib import Path

import numpy as np
import pandas as pd

from emoembed.corpora import names
from emoembed.corpora.files import existing
from emoembed.errors import CorpusError
from emoembed.labels.emotion import canonical

COLUMNS = ("id", "text", "audio", "video", "start", "end", "labels", "split", "speaker", "dialogue", "turn")
SPLITS = ("train", "valid", "test")
_DTYPES = {"start": "float64", "end": "float64", "turn": "Int64"}


@dataclass(frozen=True, eq=False)  # two tables have no single truth value to compare by
class Corpus:
    """A named table of utterances with their emotions.

    `samples` has the columns `COLUMNS` (a manifest may add more), one row an utterance:

    - `id`: str, unique in the corpus;
    - `text`, `audio`, `video`: str (a path for the media), or None where the row has none;
    - `start`, `end`: the part of the row's media in seconds, NaN for the whole file;
    - `labels`: tuple of canonical names, () for none of the corpus's labels;
    - `split`: train, valid or test;
    - `speaker`, `dialogue`: str or None; `turn`: place in the dialogue, or <NA>.
    """

    name: str
    samples: pd.DataFrame
    labels: tuple[str, ...]
    """The names this corpus annotates, whether or not a row bears them."""
    multi_label: bool

    def __post_init__(self) -> None:
        missing = [column for column in COLUMNS if column not in self.samples.columns]
        if missing:
            raise CorpusError(f"{self.name}: the samples lack {', '.join(missing)}; a corpus has {', '.join(COLUMNS)}")
        repeated = self.samples["id"][self.samples["id"].duplicated()]
        if len(repeated):
            raise CorpusError(f"{self.name}: id {repeated.iloc[0]!r} stands more than once; ids must be unique")
        for column, known in (("labels", self.labels), ("split", SPLITS)):
            values = self.samples[column]
            unknown = set(chain.from_iterable(values) if column == "labels" else values) - set(known)
            if unknown:
                listed = ", ".join(sorted(map(repr, unknown)))
                raise CorpusError(f"{self.name}: {column} holds {listed}; expected only {', '.join(known)}")
        if not self.multi_label and any(len(row) > 1 for row in self.samples["labels"]):
            raise CorpusError(f"{self.name}: rows bear several labels, yet the corpus is not said to be multi-label")

    def split(self, name: str) -> Corpus:
        """The rows of one split. Raises CorpusError where the corpus has no such rows."""
        there = self._splits()
        if name not in there:
            raise CorpusError(
                f"{self.name} has no split {name!r}; its splits are {', '.join(there)}: give one, on the command "
                f"line --split {there[0]}"
            )
        return self.where(self.samples["split"] == name)

    def where(self, mask: Sequence[bool] | np.ndarray | pd.Series) -> Corpus:
        """The rows for which `mask`, one truth value a row, holds; the labels stay."""
        return replace(self, samples=self.samples.loc[np.asarray(mask, dtype=bool)].reset_index(drop=True))

    def without(self, labels: Iterable[str]) -> Corpus:
        """The corpus as if these emotions were unknown: rows bearing any of them go, and so do the names.

        This is the zero-shot reading, where a model must not see an example of an unseen emotion, not even one that
        also bears a seen label. A name that the corpus does not annotate changes nothing.
        """
        unwanted = {labels} if isinstance(labels, str) else set(labels)
        kept = self.where([unwanted.isdisjoint(row) for row in self.samples["labels"]])
        return replace(kept, labels=tuple(name for name in self.labels if name not in unwanted))

    def canonical(self) -> Corpus:
        """The corpus under the label table's names: `angry` and `anger` become one label."""
        rows = [tuple(dict.fromkeys(map(canonical, row))) for row in self.samples["labels"]]
        samples = self.samples.assign(labels=pd.Series(rows, self.samples.index, dtype=object))
        return replace(self, samples=samples, labels=tuple(dict.fromkeys(map(canonical, self.labels))))

    def with_splits(self, splits: Iterable[str]) -> Corpus:
        """The same rows, newly divided: one split name a row."""
        return replace(
            self, samples=self.samples.assign(split=pd.Series(list(splits), self.samples.index, dtype=object))
        )

    def counts(self) -> pd.DataFrame:
        """Rows per label (index) and split (columns); a row of several labels counts for each."""
        rows = {
            split: Counter(chain.from_iterable(self.samples["labels"][self.samples["split"] == split]))
            for split in self._splits()
        }
        return pd.DataFrame(
            {split: [count[label] for label in self.labels] for split, count in rows.items()}, index=list(self.labels)
        )

    def groups(self) -> np.ndarray:
        """What each row is redrawn with for an interval, `(rows,)`: its dialogue, else its speaker, else itself."""
        rows = self.samples
        return rows["dialogue"].fillna(rows["speaker"]).fillna(rows["id"]).to_numpy()

    def _splits(self) -> list[str]:
        there = set(self.samples["split"])
        return [split for split in SPLITS if split in there]


def make_samples(ids: Iterable[str], **columns: Iterable[object] | str | None) -> pd.DataFrame:
    """A table with exactly `COLUMNS`: a str is repeated for every row, what is not given is missing everywhere."""
    samples = pd.DataFrame({"id": pd.Series(list(ids), dtype=object)})
    for column in COLUMNS[1:]:
        given = columns.pop(column, None)
        values = [given] * len(samples) if given is None or isinstance(given, str) else list(given)
        # object, because pandas' own str would turn None into NaN
        samples[column] = pd.Series(values, index=samples.index, dtype=_DTYPES.get(column, object))
    if columns:
        raise TypeError(f"no such column: {', '.join(columns)}; a corpus has {', '.join(COLUMNS)}")
    return samples


def gather(
    name: str,
    folder: Path,
    files: Mapping[str, str],
    read_split: Callable[[Path, str], pd.DataFrame],
    *,
    multi_label: bool = False,
) -> Corpus:
    """A corpus kept as one file per split: `read_split(path, split)` gives the samples of each file."""
    parts = [read_split(existing(folder / file), split) for split, file in files.items()]
    return Corpus(name, pd.concat(parts, ignore_index=True), names.corpus_labels(name), multi_label)


def to_labels(corpus: str, table: pd.DataFrame, column: str, path: Path) -> list[tuple[str, ...]]:
    """The `labels` of each row from a column of a corpus's native names, one a row."""
    return [
        names.to_labels(corpus, native, f"{path}, row {row}, column {column}")
        for row, native in enumerate(table[column], start=1)
    ]


def to_splits(table: pd.DataFrame, column: str, known: Mapping[str, str], path: Path) -> list[str]:
    """The split of each row from a column of a corpus's own names of them."""
    for row, native in enumerate(table[column], start=1):
        if native not in known:
            raise CorpusError(
                f"{path}, row {row}, column {column}: {native!r} is no split; expected {', '.join(known)}"
            )
    return [known[native] for native in table[column]]
