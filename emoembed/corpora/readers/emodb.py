"""EMO-DB: ten German sentences spoken by ten actors in seven emotions.

Burkhardt et al. 2005, "A Database of German Emotional Speech". Licence: free for research.

Layout: `wav/SSTTTEV` with suffix `.wav` or `.flac`: SS speaker, TTT sentence, E emotion (the first letter of its German
name), V version.
"""

from __future__ import annotations

import re
from pathlib import Path

from emoembed.corpora import names
from emoembed.corpora.corpus import Corpus, make_samples
from emoembed.corpora.files import media_files
from emoembed.errors import CorpusError

PATTERN = "SSTTTEV"


def read(folder: Path) -> Corpus:
    """All rows are `train`: the corpus has no split of its own, see `leave_one_speaker_out`. There is no text."""
    files = media_files(folder, (".wav", ".flac"), PATTERN)
    for stem, path in files.items():
        if not re.fullmatch(r"\d\d[ab]\d\d[A-Z][a-z]?", stem):
            raise CorpusError(f"{path}: expected a name {PATTERN}, such as 03a01Fa")
    samples = make_samples(
        files,
        audio=map(str, files.values()),
        labels=[names.to_labels("emodb", stem[5], path) for stem, path in files.items()],
        split="train",
        speaker=[stem[:2] for stem in files],
    )
    return Corpus("emodb", samples, names.corpus_labels("emodb"), multi_label=False)


def leave_one_speaker_out(corpus: Corpus) -> list[Corpus]:
    """One division a speaker, in the order of their names: that speaker is test, all others are train."""
    speakers = corpus.samples["speaker"]
    return [
        corpus.with_splits("test" if speaker == left_out else "train" for speaker in speakers)
        for left_out in sorted(set(speakers))
    ]
