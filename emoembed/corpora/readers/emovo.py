"""EMOVO: fourteen Italian sentences, spoken by six actors in seven emotions.

Costantini et al. 2014, "EMOVO Corpus: an Italian Emotional Speech Database". Licence: free for research.

Layout: `EMOVO/ACTOR/EEE-ACTOR-SENTENCE` with the suffix `.wav`, `.flac` or `.ogg`. EEE is the emotion (the first
letters of its Italian name) and ACTOR is f1 to f3 or m1 to m3.
"""

from __future__ import annotations

import re
from pathlib import Path

from emoembed.corpora import names
from emoembed.corpora.corpus import Corpus, make_samples
from emoembed.corpora.files import media_files
from emoembed.errors import CorpusError

PATTERN = "EEE-ACTOR-SENTENCE"
CHOICE_ACTORS = ("f1", "m1", "m2")
"""Actors on whom this project makes choices; the other three are for tests. No actor is trained on."""


def read(folder: Path) -> Corpus:
    """Read all rows. The corpus defines no splits: the rows of `CHOICE_ACTORS` are `valid`, the others `test`."""
    files = media_files(folder, (".wav", ".flac", ".ogg"), PATTERN)
    for stem, path in files.items():
        if not re.fullmatch(r"[a-z]{3}-[fm]\d-\w+", stem):
            raise CorpusError(f"{path}: expected a name {PATTERN}, such as gio-f1-b1; rename or remove the file")
    actors = [stem.split("-")[1] for stem in files]
    samples = make_samples(
        files,
        audio=map(str, files.values()),
        labels=[names.to_labels("emovo", stem[:3], path) for stem, path in files.items()],
        split=["valid" if actor in CHOICE_ACTORS else "test" for actor in actors],
        speaker=actors,
    )
    return Corpus("emovo", samples, names.corpus_labels("emovo"), multi_label=False)
