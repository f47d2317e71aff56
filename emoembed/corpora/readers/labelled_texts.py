"""English text corpora in one table layout: the columns split, text, labels (joined by `|`) and extra.

| corpus | texts | labels | source |
|---|---|---|---|
| brighter_eng | posts and narrative sentences | 5 and neutral | BRIGHTER, SemEval-2025 task 11 |
| covidet | long Reddit posts | 7 | Zhan et al. 2022 |
| eltea17 | film and book lines, tweets | 6 | ELTEA17 |
| emobench_eu | short stories with a question | six choices each, 84 names in all | Sabour et al. 2024 |
| emoevent_en | tweets on events | 6 | EmoEvent |
| emolit_gold | sentences of fiction | 38 | EmoLit |
| emotionpush | private chats | 7 | EmotionLines (Hsu et al. 2018) |
| enisear | events that people told, the emotion's word blanked | 7 | Troiano et al. 2019 |
| event2mind | events of "PersonX" | free text: some 13,000 feelings | Rashkin et al. 2018 |
| goodnewseveryone | headlines | 15 | Bostan et al. 2020 |
| plutchik_wheel | sentences with idioms | 17 | CrowdFlower |
| po_emo_en | stanzas of poems | 9 | Haider et al. 2020 |
| stockemotions | posts about stocks | 11 | Lee et al. 2023 |
| tec | tweets, labelled by their hashtag | 6 | Mohammad 2012 |
| wassa_essays | essays on news | 6 and neutral | WASSA 2021 |
| xed | film subtitles | 8 and neutral | Öhman et al. 2020 |

Layout: `NAME.tsv` or `NAME.tsv.gz`. A corpus that was published without splits is all `train`.
"""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from emoembed.corpora import names
from emoembed.corpora.corpus import Corpus, make_samples, to_splits
from emoembed.corpora.files import existing, read_csv

NAMES = (
    *("brighter_eng", "covidet", "eltea17", "emobench_eu", "emoevent_en", "emolit_gold", "emotionpush", "enisear"),
    *("event2mind", "goodnewseveryone", "plutchik_wheel", "po_emo_en", "stockemotions", "tec", "wassa_essays", "xed"),
)
MULTI_LABEL = ("brighter_eng", "covidet", "emolit_gold", "event2mind", "po_emo_en", "xed")
FREE_NAMES = ("emobench_eu", "event2mind")
"""Corpora whose labels are free text. Every phrase is a separate label."""
NO_FEELING = ("", "nan", "none")
"""Phrases of a corpus with free-text labels that mean "no feeling"."""
SPLITS = {"all": "train", "train": "train", "dev": "valid", "val": "valid", "test": "test"}


def read(folder: Path, name: str) -> Corpus:
    """Read one of `NAMES`.

    The corpus `emobench_eu` has one more column in its samples, `choices`: the names that the question offers.
    """
    path = folder / f"{name}.tsv"
    path = path if path.is_file() else existing(folder / f"{name}.tsv.gz")
    table = read_csv(path, ("split", "text", "labels", "extra"), sep="\t")
    splits = to_splits(table, "split", SPLITS, path)
    labels = [_labels(name, cell, f"{path}, row {row}, column labels") for row, cell in enumerate(table["labels"], 1)]
    samples = make_samples(
        [f"{name}_{row}" for row in range(len(table))], text=table["text"], labels=labels, split=splits
    )
    if name == "emobench_eu":
        choices = [tuple(choice.strip() for choice in cell.lower().split("|")) for cell in table["extra"]]
        samples["choices"] = pd.Series(choices, index=samples.index, dtype=object)
    known = dict.fromkeys(label for row in labels for label in row)
    return Corpus(name, samples, tuple(known) if name in FREE_NAMES else names.corpus_labels(name), name in MULTI_LABEL)


def _labels(corpus: str, cell: str, where: str) -> tuple[str, ...]:
    natives = cell.split("|")
    if corpus in FREE_NAMES:
        phrases = (native.strip().lower() for native in natives)
        return tuple(dict.fromkeys(phrase for phrase in phrases if phrase not in NO_FEELING))
    mapped = (label for native in natives if native for label in names.to_labels(corpus, native, where))
    return tuple(dict.fromkeys(mapped))
