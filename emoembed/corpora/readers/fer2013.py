"""FER2013: grey faces of 48 x 48 pixels from web searches, one of seven emotions each.

Goodfellow et al. 2013, "Challenges in Representation Learning: A report on three machine learning contests".
Licence: Kaggle's challenge data, for research.

Layout: `train|validation|test/<emotion>/*.jpg` (or `.png`); validation is the challenge's PublicTest, test its
PrivateTest.
"""

from __future__ import annotations

import hashlib
from pathlib import Path

from emoembed.corpora import names
from emoembed.corpora.corpus import Corpus, make_samples
from emoembed.corpora.files import existing
from emoembed.errors import MissingFileError

SPLITS = {"train": "train", "validation": "valid", "test": "test"}


def read(folder: Path, drop_duplicates: bool = True) -> Corpus:
    """One row an image, in the column `video`; the id is its path without suffix.

    The corpus repeats 1,853 of its images, some across splits. With `drop_duplicates`, training images whose file
    (SHA-256; equal files and equal pixels are the same here) also stands in validation or test are left out, and
    validation images that stand in test. Repetitions within a split stay.
    """
    files = {path: split for native, split in SPLITS.items() for path in _images(existing(folder / native))}
    if drop_duplicates:
        digests = {path: hashlib.sha256(path.read_bytes()).digest() for path in files}
        for split, later in (("train", ("valid", "test")), ("valid", ("test",))):
            elsewhere = {digests[path] for path, one in files.items() if one in later}
            files = {path: one for path, one in files.items() if one != split or digests[path] not in elsewhere}
    samples = make_samples(
        [path.relative_to(folder).with_suffix("").as_posix() for path in files],
        video=map(str, files),
        labels=[names.to_labels("fer2013", path.parent.name, path) for path in files],
        split=files.values(),
    )
    return Corpus("fer2013", samples, names.corpus_labels("fer2013"), multi_label=False)


def _images(folder: Path) -> list[Path]:
    images = sorted(path for path in folder.glob("*/*") if path.suffix.lower() in (".jpg", ".png"))
    if not images:
        raise MissingFileError(f"{folder} holds no <emotion>/*.jpg")
    return images
