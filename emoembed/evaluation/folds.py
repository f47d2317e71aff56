"""Corpora divided into folds: rows with features, and what reads them."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import torch

from emoembed.corpora import feature_names
from emoembed.corpora.corpus import Corpus
from emoembed.corpora.feature_corpus import FeatureCorpus
from emoembed.errors import InputError, LabelError
from emoembed.labels.emotion import canonical
from emoembed.labels.phrases import PhraseEncoder, SentenceEncoder, WordTable
from emoembed.model import checkpoint
from emoembed.model.config import ModalityConfig
from emoembed.model.model import EmotionModel
from emoembed.reading import corpus_rows
from emoembed.reading.rows import EmotionData
from emoembed.training import recipes

AUDIO_CORPORA, VIDEO_CORPORA = ("ravdess", "tess", "emodb"), ("fer2013",)
METHODS = ("emoembed", "mtee")


@dataclass(frozen=True)
class Fold:
    """One division of a corpus, as rows with features."""

    name: str
    kind: str
    """Which recipe trains it: text, audio, video, or sequence for ready features."""
    train: EmotionData
    valid: EmotionData
    test: EmotionData
    groups: dict[str, str]
    """Row id -> what may not be torn apart when rows are redrawn: its speaker or dialogue, else itself."""
    modalities: Mapping[str, ModalityConfig] = field(default_factory=dict)
    corpus: Corpus | None = None
    phrases: PhraseEncoder | None = None
    """What embeds labels; by default what fits the kind."""
    method: str = "emoembed"
    """Which model is trained: this project's own, or `mtee`, that of Dai et al. 2020."""
    beside: EmotionData | None = None
    """Rows of other corpora, for the maps in closed form alone."""

    def part(self, split: str) -> EmotionData:
        """The rows of `train`, `valid` or `test`. Raises InputError where there are none."""
        rows: EmotionData = getattr(self, split)
        if not len(rows):
            there = ", ".join(name for name in ("train", "valid", "test") if len(getattr(self, name)))
            raise InputError(
                f"{self.name} has no {split} rows with features; it has {there}: mark some in column split"
            )
        return rows


def make_fold(
    corpus: Corpus,
    name: str,
    phrases: PhraseEncoder,
    base: EmotionModel,
    cache: Path | None = None,
    *,
    drop: bool = True,
) -> Fold:
    """One division of a corpus as rows with features.

    Args:
        corpus: its rows with their splits.
        name: of the fold.
        phrases: what embeds labels.
        base: whose tokenizer makes text rows.
        cache: where features are kept.
        drop: leave out feature columns that are emotion scores themselves.
    """
    kind = kind_of(corpus)
    if isinstance(corpus, FeatureCorpus):
        text = modality_config("text", base, 0) if reads_texts(corpus) else None
        rows, modalities = feature_data(corpus, phrases, text, drop=drop)
    else:
        make = {"audio": corpus_rows.audio_data, "video": corpus_rows.video_data}
        rows = corpus_rows.text_data(corpus, phrases) if kind == "text" else make[kind](corpus, cache)
        modalities = {kind: modality_config(kind, base, int((corpus.samples["split"] == "train").sum()))}
    return replace(as_fold(name, kind, corpus, rows, modalities), phrases=phrases)


def kind_of(corpus: Corpus) -> str:
    """The recipe a corpus is evaluated with: `sequence` where it has features, else that of its modality."""
    return "sequence" if isinstance(corpus, FeatureCorpus) and corpus.features else modality_of(corpus)


def reads_texts(corpus: Corpus) -> bool:
    """Whether a corpus of ready features has its text as raw texts."""
    return (
        isinstance(corpus, FeatureCorpus)
        and "text" not in corpus.features
        and bool(corpus.samples["text"].notna().any())
    )


def modality_of(corpus: Corpus) -> str:
    """The modality a corpus is evaluated in: a known one's own; a manifest's text, else its sound, else its faces."""
    if corpus.name in AUDIO_CORPORA:
        return "audio"
    if corpus.name in VIDEO_CORPORA:
        return "video"
    for modality in ("text", "audio", "video"):
        if corpus.samples[modality].notna().any():
            return modality
    remedy = ""
    if isinstance(corpus, FeatureCorpus) and corpus.features:
        remedy = f"; it has ready features of {', '.join(corpus.features)}: --protocol trains a model on them"
    raise InputError(f"{corpus.name} has neither text, sound nor video{remedy}")


def parse_unseen(unseen: str | Sequence[str], labels: Sequence[str]) -> list[tuple[str, ...]]:
    """Which emotions are held out together: `"each"` is one at a time; names go together.

    Raises:
        LabelError: a name the corpus does not annotate, or fewer than two labels left to train on.
    """
    given = [name for name in (unseen.split(",") if isinstance(unseen, str) else unseen) if name.strip()]
    names = tuple(dict.fromkeys(canonical(name) for name in given))
    if names == ("each",):
        if len(labels) < 3:
            raise LabelError(f"holding out each of {', '.join(labels)} in turn leaves too few to train on")
        return [(label,) for label in labels]
    if not names:
        raise LabelError(f"no emotion to hold out was named; the corpus annotates {', '.join(labels)}")
    strange = [name for name in names if name not in labels]
    if strange:
        raise LabelError(f"{', '.join(strange)} cannot be held out: the corpus annotates {', '.join(labels)}")
    if len(labels) - len(names) < 2:
        raise LabelError(f"holding out {len(names)} of {len(labels)} labels leaves too few to train on")
    return [names]


def modality_config(modality: str, base: EmotionModel, rows: int) -> ModalityConfig:
    """The recipe of one modality for so many training rows; text takes the trunk of the given model."""
    if modality == "text":
        return recipes.text_modality(base.config.modalities["text"].trunk_config)
    return recipes.speech_modality(rows) if modality == "audio" else recipes.video_modality()


def phrases_for(modality: str, base: EmotionModel) -> PhraseEncoder:
    """What embeds labels: the sentence encoder's untouched trunk, the word table for ready features."""
    if modality in ("text", "audio", "video") and isinstance(base.phrases, SentenceEncoder):
        return base.phrases
    if modality == "text":
        raise InputError("text models start from a sentence encoder, such as that of 'base'; this has a word table")
    return checkpoint.read_word_table()


def as_fold(name: str, kind: str, corpus: Corpus, rows: EmotionData, modalities: Mapping[str, ModalityConfig]) -> Fold:
    """A divided corpus's rows with features, by split.

    Raises:
        InputError: no train or no valid rows.
    """
    prefix = f"{corpus.name}/"
    splits = {prefix + i: split for i, split in zip(corpus.samples["id"], corpus.samples["split"], strict=True)}
    parts = {
        split: rows.rows(torch.tensor([splits[i] == split for i in rows.ids]).numpy())
        for split in ("train", "valid", "test")
    }
    empty = [split for split in ("train", "valid") if not len(parts[split])]
    if empty:
        raise InputError(
            f"{corpus.name} has no {empty[0]} rows with features; to train on it and choose, its column split has to "
            "name train and valid rows, and test rows where --split test is asked for"
        )
    named = {prefix + i: str(group) for i, group in zip(corpus.samples["id"], corpus.groups(), strict=True)}
    return Fold(name, kind, parts["train"], parts["valid"], parts["test"], named, modalities, corpus)


def of_one_modality(fold: Fold, modality: str) -> Fold:
    """The same rows with one modality alone, to score or teach a model of several by it."""
    train, valid, test = (
        replace(rows, inputs={modality: rows.inputs[modality]}) for rows in (fold.train, fold.valid, fold.test)
    )
    return replace(fold, train=train, valid=valid, test=test)


def hash_of(data: EmotionData) -> str:
    """A fingerprint of which rows bear which labels."""
    digest = hashlib.sha256(data.targets.tobytes())
    digest.update("\n".join((*data.ids, *data.labels)).encode())
    return digest.hexdigest()[:16]


def feature_data(
    corpus: FeatureCorpus, phrases: PhraseEncoder, text: ModalityConfig | None = None, *, drop: bool = True
) -> tuple[EmotionData, dict[str, ModalityConfig]]:
    """Rows with a corpus's own features, and the modalities that read them.

    Args:
        corpus: with feature tables; raw texts are read where text has no table.
        phrases: whose tokenizer makes rows of raw texts.
        text: what reads raw texts, where they shall be read.
        drop: leave out the columns that are emotion scores themselves (`corpora.feature_names.emotion_columns`).
    """
    own = {"speech": recipes.audio_modality, "faces": recipes.video_modality}
    inputs: dict[str, Mapping[str, np.ndarray]] = {}
    modalities: dict[str, ModalityConfig] = {}
    for name, table in corpus.features.items():
        columns = table.feature_set.columns
        if table.feature_set.name in own:
            inputs[name], modalities[name] = {i: table[i] for i in table}, own[table.feature_set.name]()
            continue
        keep = feature_names.positions(columns, feature_names.emotion_columns(columns) if drop else ())
        inputs[name] = {i: np.asarray(table[i])[:, keep] for i in table if len(table[i])}
        same_space = name == "text" and isinstance(phrases, WordTable) and phrases.dim == len(keep)
        modalities[name] = (recipes.word_modality if same_space else recipes.sequence_modality)(
            [columns[i] for i in keep]
        )
    if text is not None and isinstance(phrases, SentenceEncoder) and corpus.samples["text"].notna().any():
        inputs["text"], modalities["text"] = corpus_rows.tokens(corpus, phrases), text
    return corpus_rows.annotate(corpus, inputs), modalities
