"""Corpora passed on as padded arrays: the pickles of the MulT and MMSA line, the seq-20 HDF5 files, nine-class `.p`.

Each reader gives `Part`s, one a split; `to_tables` undoes the padding and makes feature tables of them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from emoembed.corpora import feature_names
from emoembed.corpora.feature_corpus import Arrays
from emoembed.corpora.forms import hdf5, padded
from emoembed.corpora.forms.pickles import read_pickle
from emoembed.errors import CorpusError, CorpusFileError
from emoembed.features.feature_set import FeatureSet

SPLITS = {"train": "train", "valid": "valid", "test": "test"}
MODALITY = {"text": "text", "audio": "audio", "vision": "video"}


@dataclass(frozen=True)
class Part:
    """One split of a padded corpus.

    Args:
        split: train, valid or test.
        path: the file, for errors.
        arrays: modality -> `(items, steps, dim)`.
        labels: the split's labels as the file has them, one row an item.
        ids: one an item; the split and a number where the file has none.
        lengths: modality -> `(items,)`, for those whose lengths the file tells.
        texts: the raw texts, where the file has them.
    """

    split: str
    path: Path
    arrays: Mapping[str, np.ndarray]
    labels: np.ndarray
    ids: Sequence[str]
    lengths: Mapping[str, np.ndarray] = field(default_factory=dict)
    texts: Sequence[str] | None = None

    def __post_init__(self) -> None:
        counts = {name: len(array) for name, array in self.arrays.items()}
        counts |= {"labels": len(self.labels), "ids": len(self.ids)}
        if len(set(counts.values())) != 1:
            listed = ", ".join(f"{name} {count}" for name, count in counts.items())
            raise CorpusError(f"{self.path}, {self.split}: numbers of items differ: {listed}; fetch the file again")
        for name, array in self.arrays.items():
            if array.ndim != 3:
                raise CorpusError(
                    f"{self.path}, {self.split}, {name}: expected an array (items, steps, dim), found {array.shape}"
                )


def read_dictionary(path: Path) -> list[Part]:
    """A pickle `{train, valid, test}` of MulT (`vision, audio, text, labels, id`) or MMSA (`regression_labels`, ...).

    Raises:
        CorpusError: the pickle is refused, or is no such dictionary.
    """
    content = read_pickle(path)
    if not isinstance(content, Mapping) or not set(SPLITS) <= set(content):
        found = ", ".join(map(str, content))[:200] if isinstance(content, Mapping) else type(content).__name__
        raise CorpusError(f"{path}: expected a dictionary of train, valid and test; found {found}")
    return [_dictionary_part(path, split, content[split]) for split in SPLITS]


def read_seq20(folder: Path) -> list[Part]:
    """MOSEI's seq-20 files: `text_train_emb.h5`, `audio_train.h5`, `video_train.h5`, `ey_train.h5`, and so on."""
    names = {"text": "text_{}_emb.h5", "audio": "audio_{}.h5", "video": "video_{}.h5"}
    parts = []
    for split in SPLITS:
        arrays = {modality: read_array(folder / name.format(split)) for modality, name in names.items()}
        path = folder / f"ey_{split}.h5"
        labels = read_array(path)
        parts.append(Part(split, path, arrays, labels, [f"{split}-{i:05d}" for i in range(len(labels))]))
    return parts


def read_nine_class(folder: Path) -> list[Part]:
    """IEMOCAP's nine-class files: `text_train.p`, `covarep_train.p`, `facet_train.p`, `y_train.p`, and so on."""
    names = {"text": "text_{}.p", "audio": "covarep_{}.p", "video": "facet_{}.p"}
    parts = []
    for split in SPLITS:
        arrays = {modality: np.asarray(read_pickle(folder / n.format(split))) for modality, n in names.items()}
        path = folder / f"y_{split}.p"
        labels = np.asarray(read_pickle(path))
        parts.append(Part(split, path, arrays, labels, [f"{split}-{i:05d}" for i in range(len(labels))]))
    return parts


def read_array(path: Path) -> np.ndarray:
    """The one array of an HDF5 file, whatever it is called (`d1` in the published ones)."""
    with hdf5.open_file(path) as held:
        try:
            names = list(held)
            if len(names) != 1:
                raise CorpusError(f"{path}: expected one array, found {', '.join(names) or 'none'}")
            dataset = held[names[0]]
        except CorpusError:
            raise
        except hdf5.DAMAGED as error:
            raise CorpusFileError(f"{path} is damaged ({error}); fetch it again") from error
        return hdf5.read_values(dataset, Path(path), names[0])


def to_tables(parts: Sequence[Part], *, aligned: bool) -> tuple[dict[str, Arrays], list[str]]:
    """Feature tables by modality, padding undone, and notes on what was found.

    Args:
        parts: of one corpus.
        aligned: the steps of the modalities are the same words, so that they share their lengths.
    """
    tables, notes = {}, []
    modalities = list(parts[0].arrays)
    shared = {part.split: padded.filled_steps(*part.arrays.values()) for part in parts if aligned and not part.lengths}
    for name in modalities:
        columns = _columns(parts[0], name)
        filled = {part.split: shared.get(part.split, padded.filled_steps(part.arrays[name])) for part in parts}
        side = padded.padding_side(np.concatenate([filled[part.split] for part in parts]))
        arrays: dict[str, np.ndarray] = {}
        for part in parts:
            given = part.lengths.get(name)
            lengths = padded.lengths_of(filled[part.split], side) if given is None else np.asarray(given)
            items = padded.unpad(part.arrays[name], lengths, side)
            arrays |= {i: item for i, item in zip(part.ids, items, strict=True) if len(item)}
        tables[name] = Arrays(FeatureSet(name, columns), arrays)
        empty = sum(len(part.ids) for part in parts) - len(arrays)
        steps = sum(part.arrays[name].shape[1] * len(part.ids) for part in parts)
        share = 1 - sum(map(len, arrays.values())) / max(steps, 1)
        notes.append(
            f"{name}: padded on the {side}, {share:.0%} of the steps, now left out"
            if side != "none"
            else f"{name}: not padded"
        )
        if empty:
            notes.append(f"{name}: {empty} items hold nothing but zeros and count as absent")
    return tables, notes


def _dictionary_part(path: Path, split: str, held: Mapping[str, Any]) -> Part:
    labels = next((held[key] for key in ("labels", "regression_labels") if key in held), None)
    lacking = [key for key in ("text", "audio", "vision") if key not in held] + (["labels"] if labels is None else [])
    if lacking:
        raise CorpusError(f"{path}, {split}: lacks {', '.join(lacking)}; it has {', '.join(map(str, held))}")
    arrays = {MODALITY[key]: np.asarray(held[key]) for key in MODALITY}
    labels = np.asarray(labels)
    lengths = {
        MODALITY[key]: np.asarray(held[f"{key}_lengths"]) for key in ("audio", "vision") if f"{key}_lengths" in held
    }
    if "text_bert" in held and lengths:  # MMSA's second row is BERT's mask; its word vectors stand in the same places
        lengths["text"] = np.asarray(held["text_bert"])[:, 1, :].sum(axis=1).astype(int)
    raw = held.get("raw_text")
    ids = _ids(held["id"], split) if "id" in held else [f"{split}-{i:05d}" for i in range(len(labels))]
    return Part(split, path, arrays, labels, ids, lengths, None if raw is None else [_text(one) for one in raw])


def _ids(given: Any, split: str) -> list[str]:
    """MulT's ids are rows of video, start and end; MMSA's are `video$_$segment`; IEMOCAP's may be plain numbers."""
    rows = [[_text(value) for value in np.atleast_1d(row)] for row in given]
    joined = ["/".join(row) for row in rows]
    if len(set(joined)) != len(joined) or all(one.isdigit() for one in joined):
        return [f"{split}-{i:05d}" for i in range(len(joined))]
    return joined


def _text(value: Any) -> str:
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)


def _columns(part: Part, modality: str) -> tuple[str, ...]:
    """Names by size; a set of unknown size gets numbers (a pickle has no place for names)."""
    dim = part.arrays[modality].shape[2]
    beside = part.path.parent / f"{modality}.columns.txt"
    if beside.is_file():
        listed = tuple(beside.read_text(encoding="utf-8").split())
        if len(listed) != dim or len(set(listed)) != dim:
            raise CorpusError(f"{beside} names {len(listed)} columns; {part.path.name} has {dim}, all different")
        return listed
    known = feature_names.named(dim, modality)
    if known is None:
        raise CorpusError(
            f"{part.path}: the {dim} columns of {modality} have no names, so that nothing tells which of them are "
            f"emotion scores; write them into {beside.name} beside it, one a line"
        )
    return known
