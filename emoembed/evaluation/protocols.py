"""Protocols by name. A protocol defines the rows, the emotions, the folds and the held-out emotions.

Two results are comparable only under the same protocol. `Protocol.warning` names protocols that look alike but are not
comparable.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace

import pandas as pd

from emoembed.corpora.corpus import Corpus
from emoembed.corpora.readers import iemocap, ravdess
from emoembed.errors import CorpusError, InputError


@dataclass(frozen=True)
class Protocol:
    """How a corpus is divided, which labels it has, and which are held out."""

    name: str
    corpora: tuple[str, ...]
    """The corpora it applies to; empty: any corpus."""
    about: str
    labels: tuple[str, ...] = ()
    """Canonical names, in the order of the published tables. Rows of other labels are left out. Empty: all labels."""
    merge: Mapping[str, str] = field(default_factory=dict)
    """Emotion -> the emotion it is counted as."""
    unseen: tuple[str, ...] = ()
    """Emotions that the published zero-shot tables hold out, each in turn. The others are trained on."""
    together: bool = False
    """Whether all `unseen` emotions are held out of one model."""
    divide: Callable[[Corpus], list[Corpus]] = lambda corpus: [corpus]
    rows: Mapping[str, int] = field(default_factory=dict)
    """The published number of rows, by split or as `all`."""
    warning: str = ""
    forms: tuple[str, ...] = ()
    """The file forms that contain the split of this protocol; empty: any form."""

    def apply(self, corpus: Corpus) -> list[Corpus]:
        """The folds of a corpus under this protocol.

        Raises:
            CorpusError: the protocol does not apply to this corpus or to its file form.
        """
        if self.corpora and corpus.name not in self.corpora:
            raise CorpusError(f"protocol {self.name!r} divides {' or '.join(self.corpora)}, not {corpus.name}")
        form = getattr(corpus, "form", "")
        if self.forms and form not in self.forms:
            raise CorpusError(
                f"protocol {self.name!r} is the split of the {' or '.join(self.forms)} files; "
                f"files of the {form or 'given'} form do not have it. Protocols for it: {', '.join(names_for(corpus))}"
            )
        return self.divide(self._chosen(corpus))

    def _chosen(self, corpus: Corpus) -> Corpus:
        """The rows and labels of this protocol, with labels merged. A multi-label corpus keeps all rows."""
        if not self.labels:
            return corpus
        merged = [
            tuple(dict.fromkeys(self.merge.get(label, label) for label in row)) for row in corpus.samples["labels"]
        ]
        samples = corpus.samples.assign(labels=pd.Series(merged, corpus.samples.index, dtype=object))
        all_labels = tuple(dict.fromkeys((*self.labels, *corpus.labels)))
        merged_corpus = replace(corpus, samples=samples, labels=all_labels)
        subset = merged_corpus.where(
            [corpus.multi_label or (bool(row) and set(row) <= set(self.labels)) for row in merged]
        )
        if subset.samples.empty:
            raise CorpusError(
                f"{corpus.name} has no row with a label of protocol {self.name!r}: {', '.join(self.labels)}"
            )
        return replace(subset, labels=self.labels)


def get(name: str) -> Protocol:
    """A protocol by its name. Raises InputError for an unknown name."""
    if name not in PROTOCOLS:
        raise InputError(f"there is no protocol {name!r}; known are {', '.join(PROTOCOLS)}")
    return PROTOCOLS[name]


def names_for(corpus: Corpus) -> list[str]:
    """The names of the protocols that apply to a corpus and its file form."""
    form = getattr(corpus, "form", "")
    return [
        name
        for name, protocol in PROTOCOLS.items()
        if (not protocol.corpora or corpus.name in protocol.corpora) and (not protocol.forms or form in protocol.forms)
    ]


def _default(corpus: Corpus) -> list[Corpus]:
    return ravdess.folds(corpus) if corpus.name == "ravdess" else [corpus]


def _conversation(corpus: Corpus) -> list[Corpus]:
    """Session 5 is test; twelve dialogues of the other sessions are valid. The text release has this split already."""
    if corpus.name == "iemocap_text":
        return [corpus]
    return [corpus.with_splits(iemocap.split_of(dialogue) for dialogue in _dialogues(corpus))]


def _sessions(corpus: Corpus) -> list[Corpus]:
    """Five folds. Each session is test once; every eighth dialogue of the other sessions is valid."""
    dialogues = _dialogues(corpus)
    folds = []
    for session in range(1, 6):
        others = sorted({name for name in dialogues if iemocap.session_of(name) != session})
        valid = set(others[::8])
        splits = [
            "test" if iemocap.session_of(name) == session else "valid" if name in valid else "train"
            for name in dialogues
        ]
        folds.append(corpus.with_splits(splits))
    return folds


def _dialogues(corpus: Corpus) -> list[str]:
    dialogues = corpus.samples["dialogue"]
    if dialogues.isna().any():
        raise CorpusError(
            f"{corpus.name} in this form has no dialogue names, so it cannot be divided by session; use the raw "
            "release or the files of MERBench"
        )
    return [str(name) for name in dialogues]


PROTOCOLS: dict[str, Protocol] = {
    protocol.name: protocol
    for protocol in (
        Protocol("default", (), "the corpus's own split and labels; RAVDESS in its four actor folds", divide=_default),
        Protocol(
            "mosei-6",
            ("mosei",),
            "present where the intensity is above 0, several emotions a segment, the SDK's standard folds",
            labels=("anger", "disgust", "fear", "joy", "sadness", "surprise"),
            unseen=("anger", "disgust", "fear", "joy", "sadness", "surprise"),
            rows={"train": 16_327, "valid": 1_871, "test": 4_662},
        ),
        Protocol(
            "iemocap-4",
            ("iemocap",),
            "four emotions on the MulT line's own split",
            labels=("neutral", "joy", "sadness", "anger"),
            rows={"train": 2_717, "valid": 798, "test": 938},
            forms=("pickle", "nine-class"),
            warning="happy without excited: not comparable with the 5,531 utterances of iemocap-4-5fold",
        ),
        Protocol(
            "iemocap-4-5fold",
            ("iemocap",),
            "happy and excited merged, leave one session out",
            labels=("neutral", "joy", "sadness", "anger"),
            merge={"excitement": "joy"},
            divide=_sessions,
            rows={"all": 5_531},
            forms=("raw", "merbench"),
        ),
        Protocol(
            "iemocap-6",
            ("iemocap", "iemocap_text"),
            "six emotions on the conversation split: Session 5 tests",
            labels=("joy", "sadness", "neutral", "anger", "excitement", "frustration"),
            unseen=("excitement", "frustration"),
            divide=_conversation,
            rows={"all": 7_433, "test": 1_623},
            forms=("", "raw", "merbench"),
            warning="not comparable with the re-split of arXiv 2103.09666, whose six-emotion figures are on other rows",
        ),
        Protocol(
            "iemocap-9-zero-shot",
            ("iemocap",),
            "four emotions are trained on; excited, surprised and frustrated are held out",
            labels=("neutral", "joy", "sadness", "anger", "excitement", "surprise", "frustration"),
            unseen=("excitement", "surprise", "frustration"),
            together=True,
            forms=("nine-class", "raw"),
            warning="the published code reads the unseen items from another file, cut by one step, so that "
            "preprocessing alone distinguishes them; here all rows come from one file",
        ),
    )
}
