"""The texts that text encoders train on: many corpora of many kinds, and many names of feelings."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd

from emoembed import corpora
from emoembed.corpora.corpus import Corpus
from emoembed.corpora.readers.situations import read_pairs
from emoembed.labels.emotion import table

TEXT_ROWS = {
    **{"goemotions": 16_000, "xed": 6000, "event2mind": 8000, "tec": 4000, "meld": 6000, "emorynlp": 6000},
    **{"brighter_eng": 5600, "emocontext": 4000, "emoevent_en": 4000, "stockemotions": 4000, "plutchik_wheel": 2500},
    **{"emotionpush": 3000, "eltea17": 2000, "wassa_essays": 1800, "situations": 14_000, "situations_pairs": 5200},
}
"""Text corpus -> number of its rows that are trained on, drawn at random."""
WHOLE = ("brighter_eng", "eltea17", "plutchik_wheel", "tec", "wassa_essays", "xed")
"""Text corpora of which all splits are trained on: none is tested on."""
TEXT_CORPORA = tuple(TEXT_ROWS)
PERMISSIVE = (
    *("goemotions", "xed", "event2mind", "emorynlp", "brighter_eng", "eltea17"),
    *("situations", "situations_pairs"),
)
"""Text corpora whose licences admit commercial use (CC BY 4.0, MIT, Apache-2.0), and the texts of this project."""
SITUATIONS = Path(__file__).parent / "situations"
CHOICES = ("semeval2018", "enisear", "emolit_gold", "goodnewseveryone", "covidet")
"""Text corpora on which choices are made and `base` is calibrated. Nothing is trained on them."""
TESTED = (
    *CHOICES,
    "dair_emotion",
    "emobench_eu",
    "po_emo_en",
)
"""Text corpora that nothing is trained on: choices are made on the first five, results are measured on the others."""
COMMON = 5
"""Number of texts from which a free name of event2mind is a label."""


def training_corpora(data: Path, names: Sequence[str] = TEXT_CORPORA) -> list[Corpus]:
    """The training rows of text corpora, without texts that also stand in a corpus that is tested on.

    The texts and pairs that were written for this project are read from `checkpoints/build/situations`.
    """
    parts = []
    for name in names:
        if name == "situations_pairs":
            corpus = read_pairs(SITUATIONS)
        else:
            corpus = corpora.load(name, SITUATIONS if name == "situations" else data)
        parts.append((corpus if name in WHOLE else corpus.split("train")).canonical())
    parts = [_in_first_person(of_common_names(part, COMMON)) if part.name == "event2mind" else part for part in parts]
    tested = {_letters(text) for corpus in tested_corpora(data) for text in corpus.samples["text"]}
    tested.discard("")
    return [part.where([_letters(text) not in tested for text in part.samples["text"]]) for part in parts]


def tested_corpora(data: Path) -> list[Corpus]:
    """The text corpora and splits on which choices are made or results are measured."""
    whole = [corpora.load(name, data) for name in TESTED]
    return [
        *whole,
        *(
            corpora.load(name, SITUATIONS if name == "situations" else data).split(split)
            for name in ("goemotions", "situations")
            for split in ("valid", "test")
        ),
    ]


def _letters(text: str) -> str:
    """A text by its letters; "" for a short one, such as "thank you", which people write everywhere."""
    letters = re.sub(r"@\w+|http\S+|[^a-z]", "", text.lower())
    return letters if len(letters) >= 12 else ""


def of_common_names(corpus: Corpus, least: int) -> Corpus:
    """A corpus of free names with only those that at least `least` rows have and that name one feeling."""
    counts = Counter(label for row in corpus.samples["labels"] for label in row)
    common = [
        name for name, count in counts.items() if count >= least and name.isascii() and not set(",;/&|") & set(name)
    ]
    names = frozenset(common)
    rows = [tuple(label for label in row if label in names) for row in corpus.samples["labels"]]
    samples = corpus.samples.assign(labels=pd.Series(rows, corpus.samples.index, dtype=object))
    return replace(corpus, samples=samples, labels=tuple(common)).where([bool(row) for row in rows])


VERBS = {"is": "am", "was": "was", "has": "have", "does": "do", "goes": "go", "always": "always", "tries": "try"}
"""Third person -> first person, where it is not a matter of dropping an s."""


def _in_first_person(corpus: Corpus) -> Corpus:
    """A corpus of events of "PersonX" as that person would tell them: "I wash my car"."""
    texts = [first_person(text) for text in corpus.samples["text"]]
    return replace(corpus, samples=corpus.samples.assign(text=pd.Series(texts, corpus.samples.index, dtype=object)))


def first_person(event: str) -> str:
    """An event of "PersonX" in the first person."""
    event = re.sub(r"PersonX ?'s", "my", event).replace("___", "something").replace("PersonY", "someone")
    event = re.sub(r"^PersonX (\w+)", lambda match: f"I {_first_person_verb(match[1])}", event)
    return event.replace("PersonX", "me").replace("someone 's", "someone's").replace(" 's", "'s")


def _first_person_verb(verb: str) -> str:
    if verb in VERBS:
        return VERBS[verb]
    if verb.endswith("ies"):
        return f"{verb[:-3]}y"
    if verb.endswith(("ches", "shes", "sses", "xes", "zzes")):
        return verb[:-2]
    return verb[:-1] if verb.endswith("s") and not verb.endswith("ss") else verb


def drawn(corpus: Corpus, count: int) -> Corpus:
    """At most `count` labelled rows of a corpus, the same ones in every call."""
    labelled = np.flatnonzero([bool(row) for row in corpus.samples["labels"]])
    if len(labelled) <= count:
        return corpus.where(np.isin(np.arange(len(corpus.samples)), labelled))
    chosen = np.random.default_rng(0).permutation(labelled)[:count]
    return corpus.where(np.isin(np.arange(len(corpus.samples)), chosen))


def training_texts(data: Path, names: Sequence[str] = TEXT_CORPORA) -> list[str]:
    """All training texts of text corpora."""
    return [text for corpus in training_corpora(data, names) for text in corpus.samples["text"]]


def feelings(data: Path) -> list[str]:
    """Names of feelings: those of the label table with their synonyms, then the free names of event2mind."""
    labels = [name for label in table().values() for name in (label.name, *label.synonyms)]
    free = corpora.load("event2mind", data).split("train").labels
    return list(dict.fromkeys([*labels, *free]))
