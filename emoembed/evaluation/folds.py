"""Divide corpora into folds: rows with features, and the configuration of each modality."""

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
from emoembed.encoders.facial_actions import FacialActionReader
from emoembed.errors import InputError, LabelError
from emoembed.labels.emotion import canonical, names_in
from emoembed.labels.phrases import PhraseEncoder, SentenceEncoder, WordTable
from emoembed.model import checkpoint
from emoembed.model.config import ModalityConfig
from emoembed.model.model import EmotionModel
from emoembed.reading import corpus_rows
from emoembed.reading.rows import EmotionData
from emoembed.reading.summaries import summarised
from emoembed.training import recipes

AUDIO_CORPORA, VIDEO_CORPORA = ("ravdess", "tess", "emodb"), ("fer2013",)
METHODS = ("emoembed", "mtee")


@dataclass(frozen=True)
class Fold:
    """One division of a corpus into train, valid and test rows with features."""

    name: str
    kind: str
    """The training recipe: `text`, `audio` or `video`, or `sequence` for ready features."""
    train: EmotionData
    valid: EmotionData
    test: EmotionData
    groups: dict[str, str]
    """Row id -> its bootstrap group: its speaker or dialogue, else the row alone."""
    modalities: Mapping[str, ModalityConfig] = field(default_factory=dict)
    corpus: Corpus | None = None
    phrases: PhraseEncoder | None = None
    """Embeds the labels. None: `phrases_for` chooses by `kind`."""
    method: str = "emoembed"
    """The model: `emoembed`, or `mtee` for the model of Dai et al. 2020."""
    ridge_rows: EmotionData | None = None
    """Rows of other corpora. Only the ridge maps are fitted on them."""
    facial_actions: FacialActionReader | None = None
    """Face networks start from its weights, which were learned from faces of all emotions, without any label."""

    def part(self, split: str) -> EmotionData:
        """The rows of `train`, `valid` or `test`. Raises InputError where the split is empty."""
        rows: EmotionData = getattr(self, split)
        if not len(rows):
            filled = ", ".join(name for name in ("train", "valid", "test") if len(getattr(self, name)))
            raise InputError(
                f"{self.name} has no {split} rows with features; it has {filled} rows. "
                f"Mark some rows as {split} in column split"
            )
        return rows


def make_fold(
    corpus: Corpus,
    name: str,
    phrases: PhraseEncoder,
    base: EmotionModel,
    cache: Path | None = None,
    *,
    drop_emotion_columns: bool = True,
) -> Fold:
    """Read the features of a corpus and divide its rows by split.

    Args:
        corpus: the rows with their splits.
        name: the name of the fold.
        phrases: embeds the labels and tokenizes raw texts.
        base: gives text models the architecture of their sentence encoder.
        cache: the folder for extracted features.
        drop_emotion_columns: leave out feature columns that are themselves emotion scores.
    """
    kind = kind_of(corpus)
    if isinstance(corpus, FeatureCorpus):
        text = modality_config("text", base) if reads_texts(corpus) else None
        rows, modalities = feature_data(corpus, phrases, text, drop_emotion_columns=drop_emotion_columns)
    else:
        make = {"audio": corpus_rows.audio_data, "video": corpus_rows.video_data}
        rows = corpus_rows.text_data(corpus, phrases) if kind == "text" else make[kind](corpus, cache)
        modalities = {kind: modality_config(kind, base)}
    fold = replace(as_fold(name, kind, corpus, rows, modalities), phrases=phrases)
    if kind == "audio":
        fold = replace(fold, train=corpus_rows.audio_data(corpus.split("train"), cache, copies=corpus_rows.COPIES))
        train, valid, test = (summarised(base, rows) for rows in (fold.train, fold.valid, fold.test))
        groups = {row: fold.groups[corpus_rows.original(row)] for row in train.ids if row not in fold.groups}
        fold = replace(
            fold, train=train, valid=valid, test=test, groups=fold.groups | groups
        )  # once for all models of this fold
    return fold


def kind_of(corpus: Corpus) -> str:
    """The training recipe of a corpus: `sequence` where it has ready features, else its modality."""
    return "sequence" if isinstance(corpus, FeatureCorpus) and corpus.features else modality_of(corpus)


def reads_texts(corpus: Corpus) -> bool:
    """Whether a corpus of ready features has raw texts in place of text features."""
    return (
        isinstance(corpus, FeatureCorpus)
        and "text" not in corpus.features
        and bool(corpus.samples["text"].notna().any())
    )


def modality_of(corpus: Corpus) -> str:
    """The modality in which a corpus is evaluated. For a manifest: text, else audio, else video."""
    if corpus.name in AUDIO_CORPORA:
        return "audio"
    if corpus.name in VIDEO_CORPORA:
        return "video"
    for modality in ("text", "audio", "video"):
        if corpus.samples[modality].notna().any():
            return modality
    remedy = ""
    if isinstance(corpus, FeatureCorpus) and corpus.features:
        remedy = f"; it has ready features of {', '.join(corpus.features)}; use --protocol to train a model on them"
    raise InputError(f"{corpus.name} has no text, audio or video{remedy}")


def parse_unseen(unseen: str | Sequence[str], labels: Sequence[str]) -> list[tuple[str, ...]]:
    """The groups of held-out emotions. `"each"` makes one group per label; names form one group.

    Raises:
        LabelError: no name, a name that the corpus does not annotate, or fewer than two labels left to train on.
    """
    parts = names_in(unseen) if isinstance(unseen, str) else [name for name in unseen if name.strip()]
    names = tuple(dict.fromkeys(map(canonical, parts)))
    if names == ("each",):
        if len(labels) < 3:
            raise LabelError(f"holding out each of {', '.join(labels)} in turn leaves fewer than two to train on")
        return [(label,) for label in labels]
    if not names:
        raise LabelError(f"no emotion to hold out was named; name some of {', '.join(labels)}, or 'each'")
    unknown_names = [name for name in names if name not in labels]
    if unknown_names:
        raise LabelError(f"{', '.join(unknown_names)} cannot be held out: the corpus annotates {', '.join(labels)}")
    if len(labels) - len(names) < 2:
        raise LabelError(
            f"holding out {len(names)} of {len(labels)} labels leaves fewer than two to train on; hold out fewer"
        )
    return [names]


def modality_config(modality: str, base: EmotionModel) -> ModalityConfig:
    """The configuration of one modality. Text uses the trunk of `base`."""
    if modality == "text":
        return recipes.text_modality(base.config.modalities["text"].trunk_config)
    return recipes.audio_modality() if modality == "audio" else recipes.video_modality()


def phrases_for(modality: str, base: EmotionModel) -> PhraseEncoder:
    """The encoder of label phrases: the sentence encoder of `base` for raw media, the word table for ready features."""
    if modality in ("text", "audio", "video") and isinstance(base.phrases, SentenceEncoder):
        return base.phrases
    if modality == "text":
        raise InputError("text models start from a sentence encoder, but this model has a word table; use 'base'")
    return checkpoint.read_word_table()


def as_fold(name: str, kind: str, corpus: Corpus, rows: EmotionData, modalities: Mapping[str, ModalityConfig]) -> Fold:
    """Divide rows with features by the splits of their corpus.

    Raises:
        InputError: there are no train or no valid rows.
    """
    prefix = f"{corpus.name}/"
    splits = {prefix + i: split for i, split in zip(corpus.samples["id"], corpus.samples["split"], strict=True)}
    parts = {
        split: rows.rows(torch.tensor([splits[i] == split for i in rows.ids]).numpy())
        for split in ("train", "valid", "test")
    }
    empty_splits = [split for split in ("train", "valid") if not len(parts[split])]
    if empty_splits:
        raise InputError(
            f"{corpus.name} has no {empty_splits[0]} rows with features; its column split has to name train and "
            "valid rows, and test rows for --split test"
        )
    groups = {prefix + i: str(group) for i, group in zip(corpus.samples["id"], corpus.groups(), strict=True)}
    return Fold(name, kind, parts["train"], parts["valid"], parts["test"], groups, modalities, corpus)


def of_one_modality(fold: Fold, modality: str) -> Fold:
    """The same rows with only one modality, to score or adapt a multimodal model on it."""
    train, valid, test = (
        replace(rows, inputs={modality: rows.inputs[modality]}) for rows in (fold.train, fold.valid, fold.test)
    )
    return replace(fold, train=train, valid=valid, test=test)


def hash_of(data: EmotionData) -> str:
    """A fingerprint of the row ids and their labels, 16 hexadecimal digits."""
    digest = hashlib.sha256(data.targets.tobytes())
    digest.update("\n".join((*data.ids, *data.labels)).encode())
    return digest.hexdigest()[:16]


def feature_data(
    corpus: FeatureCorpus,
    phrases: PhraseEncoder,
    text: ModalityConfig | None = None,
    *,
    drop_emotion_columns: bool = True,
) -> tuple[EmotionData, dict[str, ModalityConfig]]:
    """Rows with the ready features of a corpus, and the configuration of each modality.

    Args:
        corpus: a corpus with feature tables.
        phrases: tokenizes raw texts.
        text: the configuration that reads raw texts. None: raw texts are not read.
        drop_emotion_columns: leave out the columns that are themselves emotion scores
            (`corpora.feature_names.emotion_columns`).
    """
    recipe_of = {"speech": recipes.audio_modality, "faces": recipes.video_modality}
    inputs: dict[str, Mapping[str, np.ndarray]] = {}
    modalities: dict[str, ModalityConfig] = {}
    for name, table in corpus.features.items():
        columns = table.feature_set.columns
        if table.feature_set.name in recipe_of:
            inputs[name], modalities[name] = {i: table[i] for i in table}, recipe_of[table.feature_set.name]()
            continue
        keep = feature_names.positions(columns, feature_names.emotion_columns(columns) if drop_emotion_columns else ())
        inputs[name] = {i: np.asarray(table[i])[:, keep] for i in table if len(table[i])}
        same_space = name == "text" and isinstance(phrases, WordTable) and phrases.dim == len(keep)
        modalities[name] = (recipes.word_modality if same_space else recipes.sequence_modality)(
            [columns[i] for i in keep]
        )
    if text is not None and isinstance(phrases, SentenceEncoder) and corpus.samples["text"].notna().any():
        inputs["text"], modalities["text"] = corpus_rows.tokens(corpus, phrases), text
    return corpus_rows.annotate(corpus, inputs), modalities
