"""Models trained with emotions held out: what every zero-shot and few-shot figure rests on.

Every trained part is trained here, on the corpus at hand, without one example of a held-out emotion. The only thing
taken ready is the sentence encoder, which never saw an emotion label, and the word table distilled from it.
"""

from __future__ import annotations

import hashlib
import json
import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import load_file, save_file

from emoembed import checkpoint, closed_form, corpora, corpus_data, preparation, recipes
from emoembed.corpora.corpus import Corpus
from emoembed.corpora.feature_corpus import FeatureCorpus
from emoembed.data import EmotionData
from emoembed.errors import InputError, LabelError
from emoembed.evaluation import protocols
from emoembed.extraction import cache_folder
from emoembed.labels import canonical, leaks
from emoembed.model import EmotionModel
from emoembed.model_config import ModalityConfig
from emoembed.train import TrainConfig, fit
from emoembed.transformer import SentenceEncoder
from emoembed.words import PhraseEncoder, WordTable

AUDIO_CORPORA, VIDEO_CORPORA = ("ravdess", "tess", "emodb"), ("fer2013",)

HELD_OUT_TRAINING = {
    "text": recipes.training("text", epochs=1, stay_close_text=300.0),
    "audio": recipes.training("audio"),
    "functionals": recipes.training("functionals"),
    "video": recipes.training("video", epochs=4, patience=4),
    "sequence": recipes.training("sequence", epochs=12, patience=12),
}
"""In text and faces fewer epochs than the shipped checkpoint's: unseen emotions suffer when seen ones are learned to
the end."""

UNSEEN_STRENGTH = 0.6
"""Of trained text adapters where emotions are held out, between untouched (0) and trained (1): `recipes.temper`."""
METHODS = ("emoembed", "mtee")
TRAINED = ("encoders", "projections", "log_scale", "bias", "log_weight", "share")
TEXT_ROWS, MOST_EPOCHS = 40_000, 8
"""Rows one epoch of the text recipe was chosen on: a smaller corpus gets as many steps in more epochs, to a limit."""


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


def load_folds(
    name: str,
    data: Path,
    base: EmotionModel,
    *,
    cache: Path | None = None,
    only: int | None = None,
    protocol: str = "default",
    drop: bool = True,
    words: WordTable | None = None,
    method: str = "emoembed",
) -> Iterator[Fold]:
    """A corpus as the folds of a protocol: by default RAVDESS in four by actor, any other corpus in its own split.

    Args:
        name: a corpus, or the path of a manifest.
        data: the folder that holds it.
        base: a model whose untouched sentence encoder text models start from, and whose tokenizer makes text rows.
        cache: where features are kept; CMU-MOSEI and IEMOCAP are prepared into it once.
        only: one fold alone, by position.
        protocol: a key of `protocols.PROTOCOLS`.
        drop: leave out feature columns that are emotion scores themselves.
        words: the table that embeds labels for models of ready features, by default the shipped one; text given as
            vectors of the same table is then read in the labels' own space.
        method: `emoembed`, or `mtee` for the model of Dai et al. 2020.
    """
    if method not in METHODS:
        raise InputError(f"there is no method {method!r}; known are {', '.join(METHODS)}")
    corpus = corpora.load(name, data)
    if isinstance(corpus, FeatureCorpus):
        corpus = preparation.cached(corpus, data, cache)
    if not corpus.samples["labels"].map(len).any():
        said = f" ({'; '.join(corpus.notes)})" if isinstance(corpus, FeatureCorpus) else ""
        raise InputError(f"no row of {corpus.name} bears an emotion{said}")
    divided = protocols.get(protocol).apply(corpus.canonical())
    if only is not None and not 0 <= only < len(divided):
        raise InputError(f"{corpus.name} has {len(divided)} fold(s), counted from 0; given {only}")
    kind = kind_of(divided[0])
    reads_texts = kind == "text" or _reads_texts(divided[0])
    phrases = phrases_for("text", base) if reads_texts else words or phrases_for(kind, base)
    for position, fold in enumerate(divided):
        if only is not None and position != only:
            continue
        if isinstance(fold, FeatureCorpus):
            text = modality_config("text", base, 0) if _reads_texts(fold) else None
            rows, modalities = recipes.feature_data(fold, phrases, text, drop=drop)
        else:
            make = {"audio": corpus_data.audio_data, "video": corpus_data.video_data}
            rows = corpus_data.text_data(fold, phrases) if kind == "text" else make[kind](fold, cache)
            modalities = {kind: modality_config(kind, base, int((fold.samples["split"] == "train").sum()))}
        made = as_fold(f"{fold.name}-{position}", kind, fold, rows, modalities)
        yield replace(made, phrases=phrases, method=method)


def kind_of(corpus: Corpus) -> str:
    """The recipe a corpus is evaluated with: `sequence` where it has features, else that of its modality."""
    return "sequence" if isinstance(corpus, FeatureCorpus) and corpus.features else modality_of(corpus)


def _reads_texts(corpus: Corpus) -> bool:
    """Whether a corpus with features has its text as raw texts."""
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
    raise InputError(f"{corpus.name} has neither text, sound nor video")


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


def train_without(
    fold: Fold,
    unseen: Sequence[str],
    seed: int,
    *,
    base: EmotionModel,
    cache: Path | None = None,
    training: TrainConfig | None = None,
    augmented: bool = True,
    strength: float | None = None,
    progress: bool = False,
) -> EmotionModel:
    """A model of one fold trained, and stopped, without the unseen emotions; kept in the cache.

    Args:
        fold: of a corpus.
        unseen: labels held out together.
        seed: of the training.
        base: whose untouched sentence encoder text models start from.
        cache: the folder in which the model is kept.
        training: other settings than the recipe's.
        augmented: whether training batches are changed as `recipes.AUGMENT` has it.
        strength: of text adapters; `UNSEEN_STRENGTH` where emotions are held out, by default.
        progress: show a bar.

    Raises:
        LabelError: a training label is a synonym of an unseen one.
    """
    train, valid = fold.train.without(unseen), fold.valid.without(unseen)
    leaking = leaks(train.labels, unseen)
    if leaking:
        listed = ", ".join(f"{seen} is a synonym of {label}" for seen, label in leaking)
        raise LabelError(f"{listed}: such a pair makes the zero-shot figure worthless; hold both out")
    config = replace(training or training_of(fold), seed=seed)
    phrases = fold.phrases or phrases_for(fold.kind, base)
    name = name_of(fold, unseen, seed, base=base, training=training, augmented=augmented)
    if fold.method == "mtee":
        if not isinstance(phrases, WordTable):
            raise InputError("mtee embeds labels by word vectors; this corpus is read as raw texts")
        model = recipes.build_mtee(fold.modalities, phrases, seed)
    else:
        like = base if phrases is base.phrases else None
        model = recipes.build(fold.modalities, phrases, seed, like)
    folder = (cache or cache_folder()) / "held_out"
    place = folder / f"{name}.safetensors"
    if not place.is_file():
        closed_form.prepare(model, train)
        augment = recipes.augment_of(fold.modalities) if augmented else {}
        fit(model, train, valid, config, augment=augment, progress=progress)
        closed_form.finish_faces(model, train)
        folder.mkdir(parents=True, exist_ok=True)
        temporary = place.with_suffix(".tmp")
        save_file(_trained(model), temporary)
        temporary.replace(place)
    missing, unexpected = model.load_state_dict(load_file(place), strict=False)
    if unexpected or any(_is_trained(name) for name in missing) or not closed_form.finished(model):
        raise InputError(f"{place} was written by another release; remove it")
    if fold.kind == "text":
        usual = UNSEEN_STRENGTH if unseen else 1.0
        recipes.temper(model, usual if strength is None else strength)
    closed_form.fit_background(model, train)
    closed_form.note_seen(model, train.labels)
    return model.eval()


def name_of(
    fold: Fold,
    unseen: Sequence[str],
    seed: int,
    *,
    base: EmotionModel,
    training: TrainConfig | None = None,
    augmented: bool = True,
) -> str:
    """What a model of `train_without` is called: its fold, and a fingerprint of all that makes it what it is."""
    config = replace(training or training_of(fold), seed=seed)
    phrases = fold.phrases or phrases_for(fold.kind, base)
    return f"{fold.name}-{_fingerprint(fold, unseen, config, phrases, augmented)}"


def training_of(fold: Fold, *, seen: bool = False) -> TrainConfig:
    """How a fold's models are trained: with emotions held out, or with all of them `seen`."""
    if fold.method == "mtee":
        return recipes.training("mtee")
    kind = recipes.kind_of("audio", fold.modalities["audio"]) if fold.kind == "audio" else fold.kind
    config = recipes.training(kind) if seen else HELD_OUT_TRAINING[kind]
    if len(fold.modalities) > 1 and fold.kind == "audio":
        config = replace(config, modality_dropout=recipes.MODALITY_DROPOUT)
    if fold.kind != "text":
        return config
    return replace(config, epochs=min(max(round(config.epochs * TEXT_ROWS / len(fold.train)), 1), MOST_EPOCHS))


def modality_config(modality: str, base: EmotionModel, rows: int) -> ModalityConfig:
    """The recipe of one modality for so many training rows; text takes the trunk of the given model."""
    if modality == "text":
        return recipes.text_modality(base.config.modalities["text"].settings["trunk_config"])
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
    groups = corpus.samples["dialogue"].fillna(corpus.samples["speaker"]).fillna(corpus.samples["id"])
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
    named = {prefix + i: str(group) for i, group in zip(corpus.samples["id"], groups, strict=True)}
    return Fold(name, kind, parts["train"], parts["valid"], parts["test"], named, modalities, corpus)


def alone(fold: Fold, modality: str) -> Fold:
    """The same rows with one modality alone, to score or teach a model of several by it."""
    train, valid, test = (
        replace(rows, inputs={modality: rows.inputs[modality]}) for rows in (fold.train, fold.valid, fold.test)
    )
    return replace(fold, train=train, valid=valid, test=test)


def _fingerprint(
    fold: Fold, unseen: Sequence[str], config: TrainConfig, phrases: PhraseEncoder, augmented: bool = True
) -> str:
    # a setting that is younger than models in the cache is named where it is used, so that they are found
    settings = {name: value for name, value in asdict(config).items() if name != "soften" or value}
    described = [sorted(unseen), settings, hash_of(fold.train), hash_of(fold.valid), recipes.REVISION]
    described += [_sum_of(fold.train), _sum_of(fold.valid), _sum_of_start(phrases)]
    described += [{name: asdict(one) for name, one in fold.modalities.items()}]
    described += [] if augmented else ["not augmented"]
    described += [fold.method] if fold.method != "emoembed" else []
    return hashlib.sha256(json.dumps(described).encode()).hexdigest()[:16]


def hash_of(data: EmotionData) -> str:
    """A fingerprint of which rows bear which labels."""
    digest = hashlib.sha256(data.targets.tobytes())
    digest.update("\n".join((*data.ids, *data.labels)).encode())
    return digest.hexdigest()[:16]


def _sum_of(data: EmotionData) -> int:
    """A checksum of what rows hold: the same recordings read in another way are other rows."""
    total = 0
    for name, store in sorted(data.inputs.items()):
        total = zlib.crc32(name.encode(), total)
        for row in data.ids:
            total = zlib.crc32(np.ascontiguousarray(store[row]).tobytes() if row in store else b"-", total)
    return total


def _sum_of_start(phrases: PhraseEncoder) -> int:
    """A checksum of what embeds labels, from which text models start."""
    if isinstance(phrases, SentenceEncoder):
        arrays = [value.cpu().numpy() for _, value in sorted(phrases.encoder.trunk.state_dict().items())]
    else:
        arrays = [phrases.vectors] if isinstance(phrases, WordTable) else []
    total = 0
    for array in arrays:
        total = zlib.crc32(np.ascontiguousarray(array).tobytes(), total)
    return total


def _trained(model: EmotionModel) -> dict[str, torch.Tensor]:
    return {name: value.contiguous() for name, value in model.state_dict().items() if _is_trained(name)}


def _is_trained(name: str) -> bool:
    """Whether a weight is kept with a model in the cache: not the trunk, nor what is fitted after training."""
    part = name.partition(".")[0]
    return part in ("space", *TRAINED) and not name.startswith("encoders.text.trunk.")
