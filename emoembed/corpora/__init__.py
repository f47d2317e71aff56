"""Read corpora in the layout of their public releases, with canonical emotion names."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path

from emoembed.corpora import manifest, prepared
from emoembed.corpora.corpus import Corpus
from emoembed.corpora.readers import labelled_texts
from emoembed.corpora.table_files import SUFFIXES
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
    "emovo",
    "fer2013",
    "ferplus",
    "mosei",
    "iemocap",
    "emobank",
    "situations",
    *labelled_texts.NAMES,
)


FOLDERS = {"ferplus": "fer2013"}
"""Corpus -> the corpus whose folder has its files."""


def load(name: str, folder: str | Path | None = None) -> Corpus:
    """Read a public corpus, or your own data from a manifest.

    Args:
        name: one of `NAMES`, or `"manifest"`, or the path of a manifest (`.csv`, `.jsonl`, `.parquet`).
        folder: the corpus's folder, or its parent if the corpus's folder has the corpus's name. The text corpora
            of `readers.labelled_texts` may also lie in a subfolder `text` of it. For `"manifest"`, the
            manifest's path. If `name` is a path, `folder` is not needed.

    Raises:
        CorpusError: the name is unknown, or the files have another layout.
        MissingFileError: the folder does not exist, or a file is missing from it.

    Examples:
        >>> from pathlib import Path
        >>> from tempfile import mkdtemp
        >>> import pandas as pd
        >>> from emoembed import corpora
        >>> path = Path(mkdtemp()) / "mine.csv"
        >>> table = pd.DataFrame({"text": ["We won!", "Get out."], "labels": ["joy", "anger|disgust"]})
        >>> table.to_csv(path, index=False)
        >>> corpus = corpora.load(str(path))
        >>> corpus.name, corpus.labels, corpus.multi_label
        ('mine', ('anger', 'disgust', 'joy'), True)
    """
    if Path(name).suffix.lower() in SUFFIXES:
        name, folder = "manifest", name
    if name not in (*NAMES, "manifest"):
        raise CorpusError(
            f"there is no corpus {name!r}; give one of {', '.join(NAMES)}, or a manifest ({', '.join(SUFFIXES)})"
        )
    if folder is None:
        raise InputError(
            f"where is {name}? give its folder: load({name!r}, folder), or --data FOLDER on the command line"
        )
    path = Path(folder)
    if not path.exists():
        raise MissingFileError(f"there is no {path}; give the folder that holds {name}")
    folder_name = FOLDERS.get(name, name)
    path = next((place for place in (path / folder_name, path / "text" / name) if place.is_dir()), path)
    if prepared.is_prepared(path):
        return _read_prepared(name, path)
    if name == "manifest":
        return manifest.read(path)
    if name in labelled_texts.NAMES:
        return labelled_texts.read(path, name)
    corpus: Corpus = import_module(f"emoembed.corpora.readers.{name}").read(path)
    return corpus


def recognize(folder: str | Path) -> str:
    """Return the name of the corpus in a folder. It must be a prepared corpus, CMU-MOSEI or IEMOCAP (any file form).

    Raises:
        CorpusError: the folder holds none of these, or both CMU-MOSEI and IEMOCAP.

    Examples:
        A synthetic stand-in has the same files as CMU-MOSEI.

        >>> from tempfile import mkdtemp
        >>> from emoembed.corpora import recognize
        >>> from emoembed.corpora.stand_in import write_mosei
        >>> from emoembed.model.checkpoint import read_word_table
        >>> words = read_word_table()
        >>> recognize(write_mosei(mkdtemp(), words, words.words, size=(4, 1)))
        'mosei'
    """
    path = Path(folder)
    if prepared.is_prepared(path):
        return prepared.read(path).name
    names = [name for name in ("mosei", "iemocap") if import_module(f"emoembed.corpora.readers.{name}").forms(path)]
    if len(names) != 1:
        holds = " and ".join(names) if names else "no corpus that can be recognised by its files"
        raise CorpusError(f"{folder} holds {holds}; give the corpus's name, and the folder with --data")
    return names[0]


def _read_prepared(name: str, folder: Path) -> Corpus:
    corpus = prepared.read(folder)
    if corpus.name != name:
        raise CorpusError(f"{folder} holds the corpus {corpus.name}, not {name}; load it as {corpus.name!r}")
    return corpus
