"""The file form of MERBench: labels in an `.npz`, features in one `.npy` per clip (github.com/zeroQiaoba/MERTools).

Layout: `label*.npz` with `whole_corpus`, or `train_corpus`, `val_corpus` and `test_corpus`, each clip -> `{emo, val}`;
`features/<name>/<clip>.npy`, `(dim,)` or `(frames, dim)`; `transcription*.csv` with the columns `name` and `english`.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from emoembed.corpora.feature_corpus import Arrays
from emoembed.corpora.files import existing, read_csv
from emoembed.corpora.forms.npz import read_npy, read_npz
from emoembed.errors import CorpusError, MissingFileError
from emoembed.features.feature_set import FeatureSet

SUBSETS = {"train_corpus": "train", "val_corpus": "valid", "valid_corpus": "valid", "test_corpus": "test"}
KINDS = {
    "audio": ("hubert", "wav2vec", "wavlm", "whisper", "vggish", "egemaps", "is09", "opensmile", "audio"),
    "video": ("clip", "vit", "resnet", "manet", "dinov2", "videomae", "eva", "senet", "face", "video", "visual"),
}
"""Parts of the names of the published feature folders, per modality. All other folders are text features."""


def read_labels(path: Path) -> dict[str, dict[str, dict[str, Any]]]:
    """Read the labels: subset -> clip -> `{emo, val}`."""
    arrays = read_npz(path)
    subsets = {name: labels for name, labels in arrays.items() if isinstance(labels, Mapping)}
    if not subsets or not set(subsets) & {*SUBSETS, "whole_corpus"}:
        raise CorpusError(
            f"{path}: expected whole_corpus, or {', '.join(SUBSETS)}, each clip -> emo; found {', '.join(arrays)}"
        )
    return {name: dict(labels) for name, labels in subsets.items()}


def read_features(folder: Path, clips: list[str]) -> dict[str, Arrays]:
    """Read one feature folder per modality from the subfolders of `folder`.

    Raises:
        CorpusError: two folders have the same modality, or the files of a folder differ in their number of columns.
        MissingFileError: there is no feature folder, or a feature folder has no file of these clips.
    """
    folders: dict[str, Path] = {}
    for subfolder in sorted(path for path in existing(folder).iterdir() if path.is_dir()):
        modality = modality_of(subfolder.name)
        if modality in folders:
            raise CorpusError(f"{folders[modality]} and {subfolder} both hold {modality} features; keep one of them")
        folders[modality] = subfolder
    if not folders:
        raise MissingFileError(f"{folder} holds no feature folder; expected subfolders with one .npy per clip")
    return {modality: _read_folder(subfolder, clips) for modality, subfolder in folders.items()}


def modality_of(name: str) -> str:
    """Return the modality of a feature folder, by its name."""
    lower = name.lower()
    for modality, name_parts in KINDS.items():
        if any(part in lower for part in name_parts):
            return modality
    return "text"


def read_texts(folder: Path) -> dict[str, str]:
    """Read the English transcripts, clip -> text; an empty dict if there is no `transcription*.csv`."""
    for path in sorted(folder.glob("transcription*.csv")):
        table = read_csv(path, ("name", "english"))
        return dict(zip(table["name"], table["english"], strict=True))
    return {}


def _read_folder(folder: Path, clips: list[str]) -> Arrays:
    arrays: dict[str, np.ndarray] = {}
    for clip in clips:
        path = folder / f"{clip}.npy"
        if not path.is_file():
            continue
        arrays[clip] = np.atleast_2d(read_npy(path)).astype(np.float32)
    if not arrays:
        raise MissingFileError(f"{folder} holds no .npy file of the labelled clips, such as {clips[0]}.npy")
    sizes = {array.shape[1] for array in arrays.values()}
    if len(sizes) != 1:
        raise CorpusError(
            f"{folder}: clips have {', '.join(map(str, sorted(sizes)))} columns; all need the same number: extract "
            "them again"
        )
    dim = sizes.pop()
    return Arrays(FeatureSet(folder.name, tuple(f"{folder.name}_{i:04d}" for i in range(dim))), arrays)
