"""Corpora read in their public releases' own layouts, with canonical emotion names."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path

from emoembed.corpora import manifest, prepared
from emoembed.corpora.corpus import Corpus
from emoembed.corpora.manifest import SUFFIXES
from emoembed.errors import CorpusError, InputError, MissingFileError

__all__ = ["NAMES", "Corpus", "load", "recognize"]

NAMES = (
    "goemotions",
    "dair_emotion",
    "emocontext",
    "meld",
    "emorynlp",
    "semeval2018",
    "dailydialog",
    "iemocap_text",
    "ravdess",
    "tess",
    "emodb",
    "fer2013",
    "mosei",
    "iemocap",
    "emobank",
)


def load(name: str, folder: str | Path | None = None) -> Corpus:
    """Read a corpus, or the user's own data from a manifest.

    Args:
        name: one of `NAMES`; or `"manifest"`; or the path of a manifest itself (`.csv`, `.jsonl`, `.parquet`).
        folder: the corpus's own folder, or the one that holds a folder named like the corpus; for `"manifest"` the
            manifest's path; not needed where `name` is a path.

    Raises:
        CorpusError: the name is unknown, or the files have another layout.
        MissingFileError: the folder or a file of it is not there.
    """
    if Path(name).suffix.lower() in SUFFIXES:
        name, folder = "manifest", name
    if name not in (*NAMES, "manifest"):
        raise CorpusError(
            f"there is no corpus {name!r}; known are {', '.join(NAMES)}, and manifests ({', '.join(SUFFIXES)})"
        )
    if folder is None:
        raise InputError(
            f"where is {name}? give the folder it lies in: load({name!r}, folder), on the command line --data"
        )
    place = Path(folder)
    if not place.exists():
        raise MissingFileError(f"there is no {place}, where {name} should lie")
    if (place / name).is_dir():
        place = place / name
    if prepared.is_prepared(place):
        return _prepared(name, place)
    if name == "manifest":
        return manifest.read(place)
    corpus: Corpus = import_module(f"emoembed.corpora.readers.{name}").read(place)
    return corpus


def recognize(folder: str | Path) -> str:
    """Whose corpus a folder holds, by its files: a prepared one, CMU-MOSEI or IEMOCAP in any form.

    Raises:
        CorpusError: neither.
    """
    place = Path(folder)
    if prepared.is_prepared(place):
        return prepared.read(place).name
    found = [name for name in ("mosei", "iemocap") if import_module(f"emoembed.corpora.readers.{name}").forms(place)]
    if len(found) != 1:
        holds = " and ".join(found) if found else "no corpus that its files would name"
        raise CorpusError(f"{folder} holds {holds}; give the corpus's name, and the folder with --data")
    return found[0]


def _prepared(name: str, folder: Path) -> Corpus:
    corpus = prepared.read(folder)
    if corpus.name != name:
        raise CorpusError(f"{folder} holds {corpus.name}, not {name}")
    return corpus
