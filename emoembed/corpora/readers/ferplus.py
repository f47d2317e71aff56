"""FER+: the images of FER2013, each labelled by ten taggers with one of eight emotions; contempt is among them.

Barsoum et al. 2016, "Training deep networks for facial expression recognition with crowd-sourced label distribution".
Licence: MIT (the votes).

Layout: the folder of FER2013, and in it `ferplus.csv` (or `.csv.gz`) with one row per image: its `path` in the folder
(`train/angry/1.jpg`), and the number of votes for each of the eight emotions, `unknown` and `NF` (no face).
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

from emoembed.corpora import names
from emoembed.corpora.corpus import Corpus
from emoembed.corpora.files import existing, read_csv
from emoembed.corpora.readers import fer2013


def read(folder: Path) -> Corpus:
    """Read the images with the emotion that most taggers of FER+ saw; contempt is the eighth.

    Images are left out if the most frequent answer is a tie, `unknown` or no face, and if they have no votes. The
    samples have one more column: `shares`, the share of the votes of each label, a tuple in the order of the labels.
    """
    images = fer2013.read(folder)
    path = next((path for path in (folder / "ferplus.csv", folder / "ferplus.csv.gz") if path.is_file()), None)
    answers = list(names.CANONICAL["ferplus"])
    table = read_csv(existing(path or folder / "ferplus.csv"), ("path", *answers))
    votes = table[answers].apply(pd.to_numeric, errors="coerce").to_numpy(np.float64)
    row_of = {Path(name).with_suffix("").as_posix(): row for row, name in enumerate(table["path"])}
    rows = np.array([row_of.get(image, -1) for image in images.samples["id"]])
    votes = np.where(rows[:, None] >= 0, votes[rows], np.nan)
    most = np.sort(votes, axis=1)
    emotions = [names.CANONICAL["ferplus"][answer] is not None for answer in answers]
    agreed = (most[:, -1] > most[:, -2]) & np.array(emotions)[np.nan_to_num(votes).argmax(axis=1)]
    kept = images.where(agreed).samples
    counts = votes[agreed]
    shares = counts[:, emotions] / counts[:, emotions].sum(axis=1, keepdims=True)
    labels = [names.to_labels("ferplus", answers[column], path or folder) for column in counts.argmax(axis=1)]
    samples = kept.assign(
        labels=pd.Series(labels, kept.index, dtype=object),
        shares=pd.Series([tuple(row) for row in shares.tolist()], kept.index, dtype=object),
    )
    return Corpus("ferplus", samples, names.corpus_labels("ferplus"), multi_label=False)
