"""Hold rows of a corpus out for validation."""

from __future__ import annotations

import warnings
from collections import Counter
from itertools import chain

import numpy as np
import pandas as pd

from emoembed.corpora import manifest
from emoembed.corpora.corpus import Corpus
from emoembed.errors import InputError

HELD_OUT_FOLDS = 5  # one fold, 20 %, is held out if a manifest has no valid rows
MOST_OF_A_GROUP = 0.8
FEWEST_ROWS = 10  # fewest labelled train rows from which valid rows are held out


def is_labelled(corpus: Corpus) -> pd.Series:
    """Whether each row has annotations. A row of a multi-label corpus may have none of the labels."""
    return corpus.samples["labels"].map(len).gt(0) | corpus.multi_label


def hold_out(corpus: Corpus, seed: int = 0) -> Corpus:
    """Return the corpus with a valid split: its own, or about 20 % of its train rows, stratified by label.

    Speakers and dialogues are not split if there are several groups of them that share none. Otherwise dialogues are
    not split, or else speakers. The same seed gives the same split.

    Raises:
        InputError: there are no valid rows and fewer than ten labelled train rows.
    """
    train = corpus.samples["split"] == "train"
    labelled = train & is_labelled(corpus)
    if not train.any() or (corpus.samples["split"] == "valid").any():
        corpus.split("train")  # raises an error that names the existing splits if there are no train rows
        return corpus
    if labelled.sum() < FEWEST_ROWS:
        raise InputError(
            f"{corpus.name} has no valid rows and {labelled.sum()} labelled train rows; mark rows as valid in the "
            f"column 'split', or give at least {FEWEST_ROWS} labelled train rows, of which 20 % are held out"
        )
    from sklearn.model_selection import StratifiedGroupKFold

    rows = corpus.samples[labelled]
    all_groups = _groups(corpus.samples[train], labelled[train])
    groups = all_groups[rows.index]
    count = max(2, min(HELD_OUT_FOLDS, groups.nunique()))
    kinds = _kinds(rows["labels"], count)
    folds = StratifiedGroupKFold(count, shuffle=True, random_state=seed)
    with warnings.catch_warnings():  # a label may have fewer rows than there are folds
        warnings.simplefilter("ignore", UserWarning)
        parts = [positions for _, positions in folds.split(np.zeros(len(rows)), kinds, groups)]
    chosen = min(parts, key=lambda part: abs(len(part) - len(rows) / HELD_OUT_FOLDS))  # one speaker may have most rows
    splits = corpus.samples["split"].copy()
    splits[all_groups.index[all_groups.isin(groups.iloc[chosen])]] = "valid"  # also the unlabelled rows of a group
    return corpus.with_splits(splits)


def _kinds(labels: pd.Series, folds: int) -> pd.Series:
    """The class of each row for stratified folds: its labels, its rarest label, or nothing if all labels are rare."""
    joined = labels.map(manifest.SEPARATOR.join)
    rows = Counter(chain.from_iterable(labels))
    rarest = labels.map(lambda names: min(names, key=lambda name: (rows[name], name), default=""))
    return next((kinds for kinds in (joined, rarest) if kinds.value_counts().max() >= folds), joined.map(lambda _: ""))


def _groups(rows: pd.DataFrame, labelled: pd.Series) -> pd.Series:
    """Assign each row to a group that is kept in one split.

    Rows that share a speaker or a dialogue are in one group. So are rows that are linked through other rows. If the
    largest of these groups has more than `MOST_OF_A_GROUP` of the labelled rows, each dialogue is a group. Without
    dialogues, each speaker is a group.
    """
    by_dialogue, by_speaker = rows["dialogue"].fillna(rows["id"]), rows["speaker"].fillna(rows["id"])
    if rows["dialogue"].isna().all():
        return by_speaker if by_speaker[labelled].nunique() > 1 else rows["id"]
    joined = rows["speaker"].fillna(by_dialogue)
    while True:  # merge the groups that share a speaker or a dialogue, until none do
        merged = joined
        for column in (rows["speaker"], rows["dialogue"]):
            merged = merged.where(column.isna(), merged.groupby(column).transform("min"))
        if merged.equals(joined):
            break
        joined = merged
    if joined[labelled].value_counts(normalize=True).max() <= MOST_OF_A_GROUP:
        return joined
    return next((groups for groups in (by_dialogue, by_speaker) if groups[labelled].nunique() > 1), rows["id"])
