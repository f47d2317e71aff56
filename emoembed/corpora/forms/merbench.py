"""MERBench's file form: labels as `.npz`, features as one `.npy` a clip (github.com/zeroQiaoba/MERTools).

Layout: `label*.npz` holding `whole_corpus`, or `train_corpus`, `val_corpus` and `test_corpus`: clip -> `{emo, val}`;
`features/<name>/<clip>.npy`, `(dim,)` or `(frames, dim)`; and `transcription*.csv` with `name` and `english`.
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
"""What the published feature folders' names begin with or hold; any other is a text encoder's."""


def read_labels(path: Path) -> dict[str, dict[str, dict[str, Any]]]:
    """Subset -> clip -> `{emo, val}`."""
    held = read_npz(path)
    found = {name: one for name, one in held.items() if isinstance(one, Mapping)}
    if not found or not set(found) & {*SUBSETS, "whole_corpus"}:
        raise CorpusError(
            f"{path}: expected whole_corpus, or {', '.join(SUBSETS)}, each clip -> emo; found {', '.join(held)}"
        )
    return {name: dict(one) for name, one in found.items()}


def read_features(folder: Path, clips: list[str]) -> dict[str, Arrays]:
    """One feature folder a modality: the only one of its kind below `folder`.

    Raises:
        CorpusError: two folders are of one modality, or a file has another size than the others.
    """
    found: dict[str, Path] = {}
    for place in sorted(path for path in existing(folder).iterdir() if path.is_dir()):
        modality = modality_of(place.name)
        if modality in found:
            raise CorpusError(f"{found[modality]} and {place} are both {modality} features; keep one of them there")
        found[modality] = place
    if not found:
        raise MissingFileError(f"{folder} holds no folder of features, one .npy a clip")
    return {modality: _read_folder(place, clips) for modality, place in found.items()}


def modality_of(name: str) -> str:
    """Which modality a feature folder is of, by its name."""
    lower = name.lower()
    for modality, marks in KINDS.items():
        if any(mark in lower for mark in marks):
            return modality
    return "text"


def read_texts(folder: Path) -> dict[str, str]:
    """The English transcripts by clip, where there is a `transcription*.csv`."""
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
        raise MissingFileError(f"{folder} holds no .npy file of the clips that are labelled, such as {clips[0]}.npy")
    sizes = {array.shape[1] for array in arrays.values()}
    if len(sizes) != 1:
        raise CorpusError(f"{folder}: clips have {', '.join(map(str, sorted(sizes)))} columns; extract them anew")
    dim = sizes.pop()
    return Arrays(FeatureSet(folder.name, tuple(f"{folder.name}_{i:04d}" for i in range(dim))), arrays)
