"""Corpora published as padded arrays: pickles of MulT and MMSA, seq-20 HDF5 files, nine-class `.p` files.

Each reader returns one `Part` per split. `to_tables` removes the padding and makes feature tables.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from emoembed.corpora import feature_names
from emoembed.corpora.feature_corpus import Arrays
from emoembed.corpora.files import read_text
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
        path: the file, for error messages.
        arrays: modality -> `(items, steps, dim)`.
        labels: the labels in the file's format, one row per item.
        ids: one per item; made from the split and a number if the file has none.
        lengths: modality -> `(items,)`, for the modalities whose lengths are in the file.
        texts: the raw texts, if the file has them.
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
    """Read a pickle `{train, valid, test}` of MulT (`vision, audio, text, labels, id`) or MMSA (`regression_labels`).

    Raises:
        CorpusError: the pickle reader refuses the file, or the file is not such a dictionary.
    """
    content = read_pickle(path)
    if not isinstance(content, Mapping) or not set(SPLITS) <= set(content):
        summary = ", ".join(map(str, content))[:200] if isinstance(content, Mapping) else type(content).__name__
        raise CorpusError(f"{path}: expected a dictionary of train, valid and test; found {summary}")
    return [_read_part(path, split, content[split]) for split in SPLITS]


def read_seq20(folder: Path) -> list[Part]:
    """Read the seq-20 files of MOSEI: `text_train_emb.h5`, `audio_train.h5`, `video_train.h5`, `ey_train.h5`, etc."""
    names = {"text": "text_{}_emb.h5", "audio": "audio_{}.h5", "video": "video_{}.h5"}
    parts = []
    for split in SPLITS:
        arrays = {modality: read_array(folder / name.format(split)) for modality, name in names.items()}
        path = folder / f"ey_{split}.h5"
        labels = read_array(path)
        parts.append(Part(split, path, arrays, labels, [f"{split}-{i:05d}" for i in range(len(labels))]))
    return parts


def read_nine_class(folder: Path) -> list[Part]:
    """Read the nine-class files of IEMOCAP: `text_train.p`, `covarep_train.p`, `facet_train.p`, `y_train.p`, etc."""
    names = {"text": "text_{}.p", "audio": "covarep_{}.p", "video": "facet_{}.p"}
    parts = []
    for split in SPLITS:
        arrays = {modality: np.asarray(read_pickle(folder / n.format(split))) for modality, n in names.items()}
        path = folder / f"y_{split}.p"
        labels = np.asarray(read_pickle(path))
        parts.append(Part(split, path, arrays, labels, [f"{split}-{i:05d}" for i in range(len(labels))]))
    return parts


def read_array(path: Path) -> np.ndarray:
    """Read an HDF5 file that holds one array under any name (`d1` in the published files)."""
    with hdf5.open_file(path) as file:
        try:
            names = list(file)
            if len(names) != 1:
                raise CorpusError(f"{path}: expected one array, found {', '.join(names) or 'none'}")
            dataset = file[names[0]]
        except CorpusError:
            raise
        except hdf5.DAMAGED as error:
            raise CorpusFileError(f"{path} is damaged ({error}); fetch it again") from error
        return hdf5.read_values(dataset, Path(path), names[0])


def to_tables(parts: Sequence[Part], *, aligned: bool) -> tuple[dict[str, Arrays], list[str]]:
    """Make unpadded feature tables, one per modality, and notes about the padding for the user.

    Args:
        parts: the parts of one corpus.
        aligned: whether a step is the same word in all modalities; they then share their lengths.
    """
    tables, notes = {}, []
    modalities = list(parts[0].arrays)
    shared_masks = {
        part.split: padded.filled_steps(*part.arrays.values()) for part in parts if aligned and not part.lengths
    }
    for name in modalities:
        columns = _column_names(parts[0], name)
        filled = {part.split: shared_masks.get(part.split, padded.filled_steps(part.arrays[name])) for part in parts}
        side = padded.padding_side(np.concatenate([filled[part.split] for part in parts]))
        arrays: dict[str, np.ndarray] = {}
        for part in parts:
            file_lengths = part.lengths.get(name)
            lengths = padded.lengths_of(filled[part.split], side) if file_lengths is None else np.asarray(file_lengths)
            items = padded.unpad(part.arrays[name], lengths, side)
            arrays |= {i: item for i, item in zip(part.ids, items, strict=True) if len(item)}
        tables[name] = Arrays(FeatureSet(name, columns), arrays)
        empty_count = sum(len(part.ids) for part in parts) - len(arrays)
        steps = sum(part.arrays[name].shape[1] * len(part.ids) for part in parts)
        share = 1 - sum(map(len, arrays.values())) / max(steps, 1)
        notes.append(
            f"{name}: padded on the {side}; {share:.0%} of the steps were padding and were removed"
            if side != "none"
            else f"{name}: not padded"
        )
        if empty_count:
            notes.append(f"{name}: {empty_count} items are all zeros and count as absent")
    return tables, notes


def _read_part(path: Path, split: str, entries: Mapping[str, Any]) -> Part:
    labels = next((entries[key] for key in ("labels", "regression_labels") if key in entries), None)
    missing = [key for key in ("text", "audio", "vision") if key not in entries]
    missing += ["labels"] if labels is None else []
    if missing:
        raise CorpusError(f"{path}, {split}: lacks {', '.join(missing)}; it has {', '.join(map(str, entries))}")
    arrays = {MODALITY[key]: np.asarray(entries[key]) for key in MODALITY}
    labels = np.asarray(labels)
    lengths = {
        MODALITY[key]: np.asarray(entries[f"{key}_lengths"])
        for key in ("audio", "vision")
        if f"{key}_lengths" in entries
    }
    if "text_bert" in entries and lengths:  # row 1 of MMSA's text_bert is BERT's mask, which also fits the word vectors
        lengths["text"] = np.asarray(entries["text_bert"])[:, 1, :].sum(axis=1).astype(int)
    texts = entries.get("raw_text")
    ids = _to_ids(entries["id"], split) if "id" in entries else [f"{split}-{i:05d}" for i in range(len(labels))]
    return Part(
        split, path, arrays, labels, ids, lengths, None if texts is None else [_to_text(text) for text in texts]
    )


def _to_ids(values: Any, split: str) -> list[str]:
    """Convert the ids of a file to unique strings; if they repeat or are plain numbers, number the items instead.

    Ids of MulT are rows of video, start and end. Ids of MMSA are `video$_$segment`. IEMOCAP may have plain numbers.
    """
    rows = [[_to_text(value) for value in np.atleast_1d(row)] for row in values]
    ids = ["/".join(row) for row in rows]
    if len(set(ids)) != len(ids) or all(item.isdigit() for item in ids):
        return [f"{split}-{i:05d}" for i in range(len(ids))]
    return ids


def _to_text(value: Any) -> str:
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)


def _column_names(part: Part, modality: str) -> tuple[str, ...]:
    """Return the column names, from a `.columns.txt` file beside the corpus or a known feature set of this size."""
    dim = part.arrays[modality].shape[2]
    names_file = part.path.parent / f"{modality}.columns.txt"
    if names_file.is_file():
        file_names = tuple(read_text(names_file).split())
        if len(file_names) != dim or len(set(file_names)) != dim:
            raise CorpusError(f"{names_file} has {len(file_names)} names; {part.path.name} needs {dim} different names")
        return file_names
    known_names = feature_names.named(dim, modality)
    if known_names is None:
        raise CorpusError(
            f"{part.path}: the {dim} columns of {modality} have no names, so columns of emotion scores cannot be "
            f"found; write the names into {names_file.name} in the same folder, one per line"
        )
    return known_names
