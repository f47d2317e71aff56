"""Situations: texts that were written for this project, some for every emotion of the label table, and minimal pairs.

The texts are synthetic: they were written from imagination, not collected from people. See `read` and `read_pairs`.

Layout: `situations.tsv` (or `.tsv.gz`) with the columns split, emotion, also (further emotions, joined by `|`), form,
round and text; `pairs.tsv` (or `.tsv.gz`) with the columns split, kind, emotion_a, text_a, emotion_b and text_b.
"""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from emoembed.corpora.corpus import Corpus, make_samples, to_splits
from emoembed.corpora.files import existing, read_csv
from emoembed.labels.emotion import canonical

SPLITS = {"train": "train", "valid": "valid", "test": "test"}


def read(folder: Path) -> Corpus:
    """Read the texts, with canonical names.

    The first label of a text is its emotion; the others are the emotions that it also shows.
    """
    path, table = _table(folder, "situations", ("split", "emotion", "also", "form", "text"))
    labels = [
        tuple(dict.fromkeys(canonical(name) for name in [emotion, *filter(None, also.split("|"))]))
        for emotion, also in zip(table["emotion"], table["also"], strict=True)
    ]
    splits = to_splits(table, "split", SPLITS, path)
    samples = make_samples([f"{row}" for row in range(len(table))], text=table["text"], labels=labels, split=splits)
    return Corpus("situations", samples, tuple(dict.fromkeys(x for row in labels for x in row)), multi_label=True)


def read_pairs(folder: Path) -> Corpus:
    """Read the minimal pairs: two texts that differ in few words, and in their emotion.

    The samples have two more columns: `kind`, such as negation, and `rival`, the emotion of the other text of the
    pair. The texts of a pair follow one another, and share a `dialogue`.
    """
    path, table = _table(folder, "pairs", ("split", "kind", "emotion_a", "text_a", "emotion_b", "text_b"))
    named = {column: table[column].map(canonical) for column in ("emotion_a", "emotion_b")}
    table = table.assign(split=to_splits(table, "split", SPLITS, path), **named)
    table = table[table["emotion_a"] != table["emotion_b"]]
    halves = [
        pd.DataFrame(
            {
                "id": [f"{row}_{own}" for row in table.index],
                "dialogue": [str(row) for row in table.index],
                "text": table[f"text_{own}"],
                "labels": [(emotion,) for emotion in table[f"emotion_{own}"]],
                "split": table["split"],
                "kind": table["kind"],
                "rival": table[f"emotion_{other}"],
            }
        )
        for own, other in (("a", "b"), ("b", "a"))
    ]
    rows = pd.concat(halves).sort_index(kind="stable").reset_index(drop=True)
    columns = {name: rows[name] for name in ("text", "labels", "split", "dialogue")}
    samples = make_samples(rows["id"], **columns).assign(kind=rows["kind"], rival=rows["rival"])
    return Corpus("situations_pairs", samples, tuple(dict.fromkeys(x for row in rows["labels"] for x in row)), False)


def _table(folder: Path, name: str, columns: tuple[str, ...]) -> tuple[Path, pd.DataFrame]:
    path = folder / f"{name}.tsv"
    path = path if path.is_file() else existing(folder / f"{name}.tsv.gz")
    return path, read_csv(path, columns, sep="\t", quoted=False)
