"""FER2013: grey faces of 48 x 48 pixels from web searches; each has one of seven emotions.

Goodfellow et al. 2013, "Challenges in Representation Learning: A report on three machine learning contests".
Licence: Kaggle's challenge data, for research.

Layout: `train|validation|test/<emotion>/*.jpg` (or `.png`). `validation` is the challenge's PublicTest,
`test` its PrivateTest. `ferplus` has other labels of the same images.
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
    """Read one row per image, in the column `video`; the id is the image's path without suffix.

    The corpus contains 1,853 duplicate images, some in different splits. `drop_duplicates` removes the training images
    that are also in validation or test, and the validation images that are also in test. It keeps duplicates within a
    split. Files are compared by SHA-256: in this corpus, images have equal pixels only if their files are equal.
    """
    files = {path: split for name, split in SPLITS.items() for path in _images(existing(folder / name))}
    if drop_duplicates:
        digests = {path: hashlib.sha256(path.read_bytes()).digest() for path in files}
        for split, later_splits in (("train", ("valid", "test")), ("valid", ("test",))):
            later_digests = {digests[path] for path, image_split in files.items() if image_split in later_splits}
            files = {
                path: image_split
                for path, image_split in files.items()
                if image_split != split or digests[path] not in later_digests
            }
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
        raise MissingFileError(f"{folder} has no images; expected <emotion>/*.jpg or <emotion>/*.png")
    return images
