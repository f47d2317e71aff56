"""Training on a manifest's own labels: rows held out, each modality fitted, one calibrated model of all."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypedDict, Unpack

import numpy as np
from torch import Tensor

from emoembed.corpora import manifest
from emoembed.corpora.corpus import Corpus
from emoembed.errors import InputError, MediaError, MissingFileError
from emoembed.features.text import word_feature_set
from emoembed.labels.phrases import PhraseEncoder, WordTable
from emoembed.labels.projections import LabelParts
from emoembed.model import checkpoint
from emoembed.model.card import card_of
from emoembed.model.config import ModalityConfig
from emoembed.model.device import check_device
from emoembed.model.model import EmotionModel
from emoembed.reading import cache, corpus_rows, media
from emoembed.reading.rows import EmotionData
from emoembed.reading.sources import as_corpus, input_of, present_modalities
from emoembed.training import pretrained, recipes
from emoembed.training.config import Execution
from emoembed.training.fit import assemble, train, untrained
from emoembed.training.pretrained import Pretrained
from emoembed.training.recipes import Recipe

HELD_OUT_FOLDS = 5  # one of which is held out where a manifest brings no valid rows: 20 %
LONGEST_SOUND = 128_000  # samples of a clip that are trained on: 8 s
FEWEST_ROWS = 10  # that a valid part can be taken from


@dataclass(frozen=True)
class Trained:
    """A model fresh from training, with what it was made of."""

    model: EmotionModel
    rows: dict[str, tuple[int, int]]  # modality -> training and validation rows
    scores: dict[str, float]  # modality -> best validation score, see `loop.validation_score`
    held_out: int  # rows taken from training for validation, 0 where the manifest brought its own
    failures: dict[str, str]


class Changes(TypedDict, total=False):
    """Settings of the recipes that `train_manifest` takes in place of their own."""

    seed: int
    epochs: int
    batch_size: int


def train_manifest(
    source: Corpus | str | Path,
    output: str | Path | None = None,
    modalities: Sequence[str] | None = None,
    *,
    base: EmotionModel | WordTable | None = None,
    encoders: Mapping[str, str | Path] | None = None,
    execution: Execution = Execution(),
    **changes: Unpack[Changes],
) -> Trained:
    """Train each modality on a manifest's own labels, calibrate it, and put the modalities together.

    Training reads the first 64 word pieces of a text; of a recording as much as `predict` where it is read by its
    statistics, the first 4 s by a network over its frames (8 s of raw samples); of a clip eight faces from all over
    it, or two where an image transformer reads them, others in each epoch. Calibration reads items as `predict` does.

    Args:
        source: a manifest's path, or a corpus, with train rows and valid rows; where it has no valid rows, 20 % of
            the train rows are held out, alike in labels, whole speakers or dialogues where these are given.
        output: where the checkpoint is saved; nowhere by default.
        modalities: some of text, audio, video; by default those the rows have.
        base: a model whose untouched sentence encoder, or whose word table, embeds labels and reads text; or a word
            table, by which text is then read word by word.
        encoders: modality -> hub id or folder of a transformer to start from, see `pretrained`.
        execution: the device, and a progress bar.
        changes: `epochs` and `batch_size` in place of the recipes'; and `seed`, 0 by default. The same seed gives the
            same weights.

    Raises:
        InputError: too few rows or labels, or a modality that the rows lack.
    """
    if output is not None:
        checkpoint.require_own_folder(output)  # before the work, not after it
    check_device(execution.device)
    seed = changes.get("seed", 0)
    if seed < 0:
        raise InputError(f"seed is at least 0; given {seed}")
    corpus = as_corpus(source).canonical()
    wanted = _wanted(corpus, modalities, encoders or {})
    divided = hold_out(corpus, seed)
    transformers = {name: pretrained.read(name, place) for name, place in (encoders or {}).items()}
    like = base if isinstance(base, EmotionModel) else None
    phrases = transformers["text"].sentence_encoder() if "text" in transformers else _phrases(wanted, base)
    parts: dict[str, EmotionModel] = {}
    counts: dict[str, tuple[int, int]] = {}
    scores: dict[str, float] = {}
    failures: dict[str, str] = {}
    for name in wanted:
        modality, weights = _start(name, phrases, like, divided, transformers.get(name))
        recipe = replace(_recipe(name, modality, phrases, like, changes), weights=weights)
        train_rows, valid_rows, unread = _rows(untrained(recipe), divided, name, execution.progress)
        parts[name], history = train(recipe, train_rows, valid_rows, execution=execution)
        counts[name], scores[name] = (len(train_rows), len(valid_rows)), max(history.scores)
        failures |= unread
    provenance = {"trained_on": {name: [corpus.name] for name in parts}, "seed": seed} | _terms(like, phrases, corpus)
    model = assemble(parts, phrases, seed=seed)
    model = model.with_state(replace(model.state, labels=model.state.all_seen, provenance=provenance))
    if output is not None:
        checkpoint.save(model, output, card=card_of(model, None))
    return Trained(model, counts, scores, int((divided.samples["split"] != corpus.samples["split"]).sum()), failures)


def _wanted(corpus: Corpus, modalities: Sequence[str] | None, encoders: Mapping[str, object]) -> tuple[str, ...]:
    """The modalities to train: those asked for, or all that the rows have."""
    if not corpus.labels:
        hint = "; its column 'label' has to be named 'labels'" if "label" in corpus.samples else ""
        raise InputError(f"no row of {corpus.name} bears a label; a manifest's column labels holds them{hint}")
    there = present_modalities(corpus)
    wanted = tuple(dict.fromkeys(modalities or there))
    lacking = [name for name in wanted if name not in there]
    if lacking:
        raise InputError(f"{corpus.name} has no {', '.join(lacking)}; it has {', '.join(there)}")
    strange = [name for name in encoders if name not in wanted]
    if strange:
        raise InputError(f"an encoder was given for {', '.join(strange)}, which is not trained: {', '.join(wanted)}")
    return wanted


def hold_out(corpus: Corpus, seed: int = 0) -> Corpus:
    """The corpus with a valid split: its own, or 20 % of its train rows, seeded, alike in labels.

    Speakers, or else dialogues, stay whole where there are several: as near to 20 % as they allow.

    Raises:
        InputError: no valid rows, and fewer than ten train rows to take them from.
    """
    train = corpus.samples["split"] == "train"
    labelled = train & (corpus.multi_label | (corpus.samples["labels"].map(len) > 0))
    if not train.any() or (corpus.samples["split"] == "valid").any():
        corpus.split("train")  # raises, naming the splits there are, where there is no such row
        return corpus
    if labelled.sum() < FEWEST_ROWS:
        raise InputError(
            f"{corpus.name} has no valid rows and {labelled.sum()} labelled train rows; mark rows valid in the column "
            f"split, or give at least {FEWEST_ROWS} train rows, of which 20 % are then held out"
        )
    from sklearn.model_selection import StratifiedGroupKFold

    rows = corpus.samples[labelled]
    groups = rows["speaker"].fillna(rows["dialogue"]).fillna(rows["id"])
    groups = rows["id"] if groups.nunique() < 2 else groups
    kinds = rows["labels"].map(manifest.SEPARATOR.join)
    count = max(2, min(HELD_OUT_FOLDS, groups.nunique(), kinds.value_counts().max()))
    folds = StratifiedGroupKFold(count, shuffle=True, random_state=seed)
    with warnings.catch_warnings():  # labels of fewer rows than folds are no mistake
        warnings.simplefilter("ignore", UserWarning)
        parts = [held for _, held in folds.split(np.zeros(len(rows)), kinds, groups)]
    chosen = min(parts, key=lambda held: abs(len(held) - len(rows) / HELD_OUT_FOLDS))  # one speaker may have most rows
    splits = corpus.samples["split"].copy()
    splits[rows.index[chosen]] = "valid"
    return corpus.with_splits(splits)


def _phrases(wanted: Sequence[str], base: EmotionModel | WordTable | None) -> PhraseEncoder:
    """The base's word table; else its sentence encoder where there is text, and the table that ships where not."""
    if isinstance(base, WordTable):
        return base
    if base is not None and isinstance(base.phrases, WordTable):
        return base.phrases
    if "text" not in wanted:
        return checkpoint.read_word_table()
    if base is None or base.phrases is None:
        raise InputError("training on text needs a base model, whose sentence encoder reads it, or a word table")
    return base.phrases


def _start(
    name: str, phrases: PhraseEncoder, base: EmotionModel | None, corpus: Corpus, transformer: Pretrained | None
) -> tuple[ModalityConfig, dict[str, dict[str, Tensor]]]:
    """How a modality is read, and the weights that its encoder starts from."""
    if transformer is not None:
        return transformer.modality, {name: transformer.weights}
    if name == "text" and isinstance(phrases, WordTable):
        columns = word_feature_set(phrases.dim).columns
        return ModalityConfig("words", "recurrent", 68, columns, parts=LabelParts(vad_share=0.5)), {}
    if name == "text":
        if base is None:
            raise InputError("training on text needs a base model, whose sentence encoder reads it, or a word table")
        return base.config.modalities["text"].with_settings(strength=1.0), {}  # its adapters start anew
    if name == "audio":
        rows = corpus.samples["audio"].notna() & (corpus.samples["split"] == "train")
        return recipes.speech_modality(int(rows.sum())), {}
    return recipes.video_modality(), {}


def _recipe(
    name: str, modality: ModalityConfig, phrases: PhraseEncoder, base: EmotionModel | None, changes: Changes
) -> Recipe:
    config = recipes.training(recipes.kind_of(name, modality), **changes)
    if modality.features == "waveform":
        config = replace(config, max_frames=LONGEST_SOUND)
    elif modality.features == "speech" and modality.encoder == "pooled":  # to read them whole costs nothing there
        config = replace(config, max_frames=modality.longest)
    like = base if base is not None and phrases is base.phrases else None
    return Recipe({name: modality}, phrases, config, like)


def _rows(
    model: EmotionModel, corpus: Corpus, modality: str, progress: bool
) -> tuple[EmotionData, EmotionData, dict[str, str]]:
    """Training and validation rows of one modality, and the rows that could not be read."""
    used = corpus.where(corpus.samples[modality].notna() & corpus.samples["split"].isin(("train", "valid")))
    inputs, failures = _inputs(model, used, modality, progress)
    parts = []
    for split, fewest in (("train", 2), ("valid", 1)):
        rows = used.where((used.samples["split"] == split) & used.samples["id"].isin(set(inputs)))
        if not corpus.multi_label:
            rows = rows.where(rows.samples["labels"].map(len) > 0)
        if len(rows.samples) < fewest:
            first = f"; {next(iter(failures.values()))}" if failures else ""
            raise InputError(f"{corpus.name} has {len(rows.samples)} usable {split} rows with {modality}{first}")
        data = corpus_rows.annotate(rows, {modality: inputs})
        read = model.config.modalities[modality]
        shown = {modality: media.Pixels(data.inputs[modality], read)} if read.features == "pixels" else data.inputs
        parts.append(replace(data, inputs=shown))
    taught = int((parts[0].targets == 1).any(axis=0).sum())
    if taught < 2:
        raise InputError(f"the train rows of {corpus.name} with {modality} bear {taught} label; at least 2 are needed")
    if not (parts[1].targets == 1).any():
        raise InputError(f"no valid row of {corpus.name} with {modality} bears a label: nothing says when to stop")
    return parts[0], parts[1], failures


def _inputs(
    model: EmotionModel, corpus: Corpus, modality: str, progress: bool
) -> tuple[Mapping[str, np.ndarray], dict[str, str]]:
    """Arrays by id, features of sound and faces from the cache; and why others are missing."""
    if modality != "text" and model.config.modalities[modality].features != "waveform":
        return cache.cached_features(corpus, modality, progress=progress)
    texts = zip(corpus.samples["id"], corpus.samples["text"], strict=True)
    inputs: dict[str, np.ndarray] = {}
    failures: dict[str, str] = {}
    for item, given in texts if modality == "text" else cache.spans(corpus, modality):
        try:
            inputs[item] = media.read(model, modality, input_of(modality, given), any_sound=True).values
        except (MediaError, MissingFileError, InputError) as error:
            failures[item] = str(error)
    return inputs, failures


def _terms(base: EmotionModel | None, phrases: PhraseEncoder, corpus: Corpus) -> dict[str, str]:
    """Whose terms a model carries beside those of its own training data: what it took from its base."""
    if base is None or phrases is not base.phrases:
        return {}
    known = base.state.provenance
    taken = {name: str(known[name]) for name in checkpoint.TAKEN if name in known}
    return {**taken, "licence": "; ".join([f"that of {corpus.name}", *taken.values()])}
