"""TESS: "Say the word ...", spoken by two actresses in seven emotions.

Pichora-Fuller & Dupuis 2020, "Toronto emotional speech set (TESS)". Licence: CC BY-NC-ND 4.0.

Layout: `<speaker>_<word>_<emotion>` with the suffix `.ogg`, `.wav` or `.flac`, at any folder depth (such as
`wav/`). The emotion `ps` is pleasant surprise.
"""

from __future__ import annotations

from pathlib import Path

from emoembed.corpora import names
from emoembed.corpora.corpus import Corpus, make_samples
from emoembed.corpora.files import media_files
from emoembed.errors import CorpusError

PATTERN = "<speaker>_<word>_<emotion>"


def read(folder: Path) -> Corpus:
    """Read all rows as `train`: two speakers are too few for a test split."""
    files = media_files(folder, (".ogg", ".wav", ".flac"), PATTERN)
    fields = [_split_name(stem, path) for stem, path in files.items()]
    samples = make_samples(
        files,
        text=[f"Say the word {word}." for _, word, _ in fields],
        audio=map(str, files.values()),
        labels=[names.to_labels("tess", field[2], path) for field, path in zip(fields, files.values(), strict=True)],
        split="train",
        speaker=[speaker for speaker, *_ in fields],
    )
    return Corpus("tess", samples, names.corpus_labels("tess"), multi_label=False)


def _split_name(stem: str, path: Path) -> list[str]:
    fields = stem.split("_")
    if len(fields) != 3:
        raise CorpusError(f"{path}: expected a name {PATTERN}; rename or remove the file")
    return fields
