"""A corpus as a table of utterances, and functions with which a corpus reader makes one."""

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


@dataclass(frozen=True, eq=False)  # comparing two tables gives a table, not one truth value
class Corpus:
    """A named table of utterances with their emotions.

    `samples` has one row per utterance and the columns `COLUMNS` (a manifest may add more):

    - `id`: str, unique in the corpus;
    - `text`, `audio`, `video`: str (a path for audio and video), or None if the row lacks the modality;
    - `start`, `end`: the utterance's times in the media file, in seconds; NaN means the whole file;
    - `labels`: tuple of canonical names; () means that the row has none of the corpus's labels;
    - `split`: train, valid or test;
    - `speaker`, `dialogue`: str or None; `turn`: position in the dialogue, or <NA>.

    Examples:
        >>> from emoembed.corpora.corpus import Corpus, make_samples
        >>> texts, labels = ["We won!", "Get out.", "So happy."], [("joy",), ("anger",), ("joy",)]
        >>> samples = make_samples(["a", "b", "c"], text=texts, labels=labels, split=["train", "train", "test"])
        >>> corpus = Corpus("mine", samples, labels=("joy", "anger"), multi_label=False)
        >>> corpus.counts().loc["joy"].to_dict()
        {'train': 1, 'test': 1}
        >>> corpus.without(["anger"]).split("train").samples["text"].to_list()
        ['We won!']
    """

    name: str
    samples: pd.DataFrame
    labels: tuple[str, ...]
    """The labels that this corpus annotates, including labels that no row has."""
    multi_label: bool

    def __post_init__(self) -> None:
        missing_columns = [column for column in COLUMNS if column not in self.samples.columns]
        if missing_columns:
            raise CorpusError(
                f"{self.name}: the samples lack the columns {', '.join(missing_columns)}; "
                f"a corpus has {', '.join(COLUMNS)}"
            )
        repeated_ids = self.samples["id"][self.samples["id"].duplicated()]
        if len(repeated_ids):
            raise CorpusError(f"{self.name}: id {repeated_ids.iloc[0]!r} occurs more than once; ids must be unique")
        for column, allowed_values in (("labels", self.labels), ("split", SPLITS)):
            values = self.samples[column]
            unknown = set(chain.from_iterable(values) if column == "labels" else values) - set(allowed_values)
            if unknown:
                listed = ", ".join(sorted(map(repr, unknown)))
                raise CorpusError(f"{self.name}: {column} holds {listed}; expected only {', '.join(allowed_values)}")
        if not self.multi_label and any(len(row) > 1 for row in self.samples["labels"]):
            raise CorpusError(f"{self.name}: a row has several labels, but multi_label is False; set it to True")

    def split(self, name: str) -> Corpus:
        """Return the rows of one split. Raises CorpusError if the corpus has no row in it."""
        splits = self._splits()
        if name not in splits:
            raise CorpusError(
                f"{self.name} has no split {name!r}; its splits are {', '.join(splits)}: choose one of them, on the "
                f"command line with --split {splits[0]}"
            )
        return self.where(self.samples["split"] == name)

    def where(self, mask: Sequence[bool] | np.ndarray | pd.Series) -> Corpus:
        """Return the rows where `mask`, one bool per row, is True; the corpus's labels stay the same."""
        return replace(self, samples=self.samples.loc[np.asarray(mask, dtype=bool)].reset_index(drop=True))

    def without(self, labels: Iterable[str]) -> Corpus:
        """Remove these labels, and every row that has any of them.

        This is the zero-shot protocol: a model must not see an example of an unseen emotion, not even one that
        also has a seen label. A name that the corpus does not annotate changes nothing.
        """
        removed_labels = {labels} if isinstance(labels, str) else set(labels)
        remaining = self.where([removed_labels.isdisjoint(row) for row in self.samples["labels"]])
        return replace(remaining, labels=tuple(name for name in self.labels if name not in removed_labels))

    def canonical(self) -> Corpus:
        """Replace each label by its canonical name in the label table: `angry` and `anger` become one label."""
        rows = [tuple(dict.fromkeys(map(canonical, row))) for row in self.samples["labels"]]
        samples = self.samples.assign(labels=pd.Series(rows, self.samples.index, dtype=object))
        return replace(self, samples=samples, labels=tuple(dict.fromkeys(map(canonical, self.labels))))

    def with_splits(self, splits: Iterable[str]) -> Corpus:
        """Return the same rows with new splits, one split name per row."""
        return replace(
            self, samples=self.samples.assign(split=pd.Series(list(splits), self.samples.index, dtype=object))
        )

    def counts(self) -> pd.DataFrame:
        """Count the rows per label (index) and split (columns); a row with several labels counts once for each."""
        rows = {
            split: Counter(chain.from_iterable(self.samples["labels"][self.samples["split"] == split]))
            for split in self._splits()
        }
        return pd.DataFrame(
            {split: [count[label] for label in self.labels] for split, count in rows.items()}, index=list(self.labels)
        )

    def groups(self) -> np.ndarray:
        """Return each row's cluster for the bootstrap, `(rows,)`: its dialogue, else its speaker, else its id."""
        rows = self.samples
        return rows["dialogue"].fillna(rows["speaker"]).fillna(rows["id"]).to_numpy()

    def _splits(self) -> list[str]:
        occurring = set(self.samples["split"])
        return [split for split in SPLITS if split in occurring]


def make_samples(ids: Iterable[str], **columns: Iterable[object] | str | None) -> pd.DataFrame:
    """Make a table with exactly `COLUMNS`. A str is repeated for every row; a column that is not given is empty."""
    samples = pd.DataFrame({"id": pd.Series(list(ids), dtype=object)})
    for column in COLUMNS[1:]:
        cells = columns.pop(column, None)
        values = [cells] * len(samples) if cells is None or isinstance(cells, str) else list(cells)
        # dtype object, because pandas' str dtype would turn None into NaN
        samples[column] = pd.Series(values, index=samples.index, dtype=_DTYPES.get(column, object))
    if columns:
        raise TypeError(f"no such column: {', '.join(columns)}; the columns of a corpus are {', '.join(COLUMNS)}")
    return samples


def gather(
    name: str,
    folder: Path,
    files: Mapping[str, str],
    read_split: Callable[[Path, str], pd.DataFrame],
    *,
    multi_label: bool = False,
) -> Corpus:
    """Read a corpus that has one file per split; `read_split(path, split)` returns the samples of one file."""
    parts = [read_split(existing(folder / file), split) for split, file in files.items()]
    return Corpus(name, pd.concat(parts, ignore_index=True), names.corpus_labels(name), multi_label)


def to_labels(corpus: str, table: pd.DataFrame, column: str, path: Path) -> list[tuple[str, ...]]:
    """Convert a column of the corpus's native emotion names, one per row, into the `labels` of each row."""
    return [
        names.to_labels(corpus, native, f"{path}, row {row}, column {column}")
        for row, native in enumerate(table[column], start=1)
    ]


def to_splits(table: pd.DataFrame, column: str, split_of: Mapping[str, str], path: Path) -> list[str]:
    """Convert a column of native split names into the split of each row; `split_of` maps native names to `SPLITS`."""
    for row, native in enumerate(table[column], start=1):
        if native not in split_of:
            raise CorpusError(
                f"{path}, row {row}, column {column}: {native!r} is not a split; expected {', '.join(split_of)}"
            )
    return [split_of[native] for native in table[column]]
