"""EMO-DB: ten German sentences, spoken by ten actors in seven emotions.

Burkhardt et al. 2005, "A Database of German Emotional Speech". Licence: free for research.

Layout: `wav/SSTTTEV` with the suffix `.wav`, `.flac` or `.ogg`. SS is the speaker, TTT the sentence, E the emotion (the
first letter of its German name) and V the version.
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
    """Read all rows as `train`: the corpus defines no splits (see `leave_one_speaker_out`). The rows have no text."""
    files = media_files(folder, (".wav", ".flac", ".ogg"), PATTERN)
    for stem, path in files.items():
        if not re.fullmatch(r"\d\d[ab]\d\d[A-Z][a-z]?", stem):
            raise CorpusError(f"{path}: expected a name {PATTERN}, such as 03a01Fa; rename or remove the file")
    samples = make_samples(
        files,
        audio=map(str, files.values()),
        labels=[names.to_labels("emodb", stem[5], path) for stem, path in files.items()],
        split="train",
        speaker=[stem[:2] for stem in files],
    )
    return Corpus("emodb", samples, names.corpus_labels("emodb"), multi_label=False)


def leave_one_speaker_out(corpus: Corpus) -> list[Corpus]:
    """One fold per speaker, sorted by speaker: this speaker is test, all others are train."""
    speakers = corpus.samples["speaker"]
    return [
        corpus.with_splits("test" if speaker == left_out else "train" for speaker in speakers)
        for left_out in sorted(set(speakers))
    ]
