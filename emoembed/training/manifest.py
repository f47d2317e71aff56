"""Train on the labels of a manifest: train each modality, and combine them in a calibrated model."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Unpack

import numpy as np
from torch import Tensor

from emoembed.corpora.corpus import Corpus
from emoembed.corpora.splits import hold_out, is_labelled
from emoembed.errors import InputError, MediaError, MissingFileError
from emoembed.features.text import word_feature_set
from emoembed.labels.phrases import PhraseEncoder, WordTable
from emoembed.labels.projections import LabelParts
from emoembed.model import checkpoint, checkpoint_files
from emoembed.model.card import card_of
from emoembed.model.config import ModalityConfig
from emoembed.model.device import check_device
from emoembed.model.model import EmotionModel
from emoembed.reading import cache, corpus_rows, media
from emoembed.reading.rows import EmotionData
from emoembed.reading.sources import as_corpus, input_of, present_modalities
from emoembed.training import pretrained, recipes
from emoembed.training.config import Execution
from emoembed.training.dialogue.context import ContextStart
from emoembed.training.dialogue.manifest import Changes, Dialogues
from emoembed.training.fit import assemble, train, untrained
from emoembed.training.pretrained import Pretrained
from emoembed.training.recipes import Recipe

LONGEST_SOUND = 128_000  # training uses this many samples of a recording: 8 s


@dataclass(frozen=True)
class Trained:
    """A newly trained model, with its numbers of rows, validation scores and failures."""

    model: EmotionModel
    rows: dict[str, tuple[int, int]]  # modality -> numbers of training and validation rows
    scores: dict[str, float]  # modality, or `context` -> best validation score, see `loop.validation_score`
    held_out: int  # number of train rows held out for validation; 0 if the manifest has valid rows
    failures: dict[str, str]  # row id -> why the row could not be read


def train_manifest(
    source: Corpus | str | Path,
    output: str | Path | None = None,
    modalities: Sequence[str] | None = None,
    *,
    base: EmotionModel | WordTable | None = None,
    encoders: Mapping[str, str | Path] | None = None,
    context: bool | ContextStart = False,
    execution: Execution = Execution(),
    **changes: Unpack[Changes],
) -> Trained:
    """Train and calibrate each modality on the labels of a manifest, and combine the modalities in one model.

    Training reads a part of each item; calibration reads items as `predict` does:
        text: the first 64 word pieces.
        audio: as much as `predict` if the recipe uses speech statistics; the first 4 s if it uses a network over
            frames; the first 8 s if it uses raw samples.
        video: eight faces from the whole clip, or two for an image transformer, newly sampled in each epoch.

    Args:
        source: a manifest's path, or a corpus, with train rows and valid rows. Without valid rows, 20 % of the train
            rows are held out, stratified by label. Speakers or dialogues, if given, are not split.
        output: folder for the checkpoint; by default it is not saved.
        modalities: some of text, audio, video; by default all that the rows have.
        base: a model or a word table. The model's sentence encoder (without adapters), or its word table, embeds
            labels and reads text. With a word table, text is read word by word.
        encoders: modality -> hub id or folder of a pretrained transformer, see `pretrained`.
        context: True, or a pre-trained context to start from, also trains the context of the rows with a `dialogue`.
        execution: the device, a progress bar, and more. Of several processes, the leading one saves the checkpoint.
        changes: `epochs`, `batch_size` and `bf16` override the modalities' recipes. The same `seed`, the same weights.

    Raises:
        InputError: there are too few rows or labels, the rows lack a modality, or `context` finds no dialogues.
    """
    seed = _check_before_training(output, execution, changes, context)
    corpus = as_corpus(source).canonical()
    names = _choose_modalities(corpus, modalities, encoders or {})
    split_corpus = hold_out(corpus, seed)
    transformers = {name: pretrained.read(name, folder) for name, folder in (encoders or {}).items()}
    source_model = base if isinstance(base, EmotionModel) else None
    phrases = transformers["text"].sentence_encoder() if "text" in transformers else _choose_phrases(names, base)
    dialogues = Dialogues(split_corpus, execution) if context is not False else None
    parts: dict[str, EmotionModel] = {}
    counts: dict[str, tuple[int, int]] = {}
    scores: dict[str, float] = {}
    failures: dict[str, str] = {}
    for name in names:
        modality, weights = _start(name, phrases, source_model, transformers.get(name))
        recipe = replace(_recipe(name, modality, phrases, source_model, changes), weights=weights)
        parts[name], scores[name], counts[name], messages = _train_modality(recipe, split_corpus, dialogues, execution)
        failures |= messages
    model = assemble(parts, phrases, seed=seed)
    trained_on = {name: [corpus.name] for name in parts}
    provenance = {"trained_on": trained_on, "seed": seed, **_licence(source_model, phrases, corpus)}
    model = model.with_state(replace(model.state, labels=model.state.all_seen, provenance=provenance))
    if dialogues is not None:
        model, scores["context"] = dialogues.train(model, context, seed)
    if output is not None and execution.group.leads:
        checkpoint.save(model, output, card=card_of(model, None))
    return Trained(model, counts, scores, _count_held_out(corpus, split_corpus), failures)


def _train_modality(
    recipe: Recipe, corpus: Corpus, dialogues: Dialogues | None, execution: Execution
) -> tuple[EmotionModel, float, tuple[int, int], dict[str, str]]:
    """Train one modality: its model, best validation score, numbers of rows, and the messages of unreadable rows."""
    ((name, modality),) = recipe.modalities.items()
    inputs, failures = _read_inputs(untrained(recipe), corpus, name, execution.progress)
    train_rows, valid_rows = _labelled_rows(inputs, failures, corpus, modality, name)
    resume = None if execution.resume is None else execution.resume / name
    model, history = train(recipe, train_rows, valid_rows, execution=replace(execution, resume=resume))
    if dialogues is not None:
        dialogues.add(name, recipe, model, inputs, (train_rows, valid_rows))
    return model, max(history.scores), (len(train_rows), len(valid_rows)), failures


def _count_held_out(corpus: Corpus, split_corpus: Corpus) -> int:
    return int(((split_corpus.samples["split"] != corpus.samples["split"]) & is_labelled(corpus)).sum())


def _choose_modalities(
    corpus: Corpus, modalities: Sequence[str] | None, encoders: Mapping[str, object]
) -> tuple[str, ...]:
    """Return the modalities to train: the requested ones, or all that the rows have."""
    if not corpus.labels:
        hint = "; rename its column 'label' to 'labels'" if "label" in corpus.samples else ""
        raise InputError(f"no row of {corpus.name} has a label; give labels in the manifest's column 'labels'{hint}")
    present = present_modalities(corpus)
    names = tuple(dict.fromkeys(modalities or present))
    missing = [name for name in names if name not in present]
    if missing:
        raise InputError(f"{corpus.name} has no {', '.join(missing)}; it has {', '.join(present)}")
    unused = [name for name in encoders if name not in names]
    if unused:
        raise InputError(
            f"an encoder was given for {', '.join(unused)}, but the trained modalities are {', '.join(names)}; add the "
            "modality or leave the encoder out"
        )
    return names


def _check_before_training(
    output: str | Path | None, execution: Execution, changes: Changes, context: bool | ContextStart
) -> int:
    """Check everything that would fail only after training. Returns the seed."""
    if context is not False and execution.group.size > 1:
        raise InputError("the context of dialogues is trained in one process; leave out the context, or use one")
    if output is not None:
        checkpoint_files.require_own_folder(output)
    check_device(execution.device)
    seed = changes.get("seed", 0)
    if seed < 0:
        raise InputError(f"seed must be at least 0; given {seed}")
    return seed


def _choose_phrases(names: Sequence[str], base: EmotionModel | WordTable | None) -> PhraseEncoder:
    """Return the base's word table if it has one. Else return its sentence encoder for text, or the shipped table."""
    if isinstance(base, WordTable):
        return base
    if base is not None and isinstance(base.phrases, WordTable):
        return base.phrases
    if "text" not in names:
        return checkpoint.read_word_table()
    if base is None or base.phrases is None:
        raise InputError("training on text needs a base model with a sentence encoder, or a word table; give base")
    return base.phrases


def _start(
    name: str, phrases: PhraseEncoder, base: EmotionModel | None, transformer: Pretrained | None
) -> tuple[ModalityConfig, dict[str, dict[str, Tensor]]]:
    """Return the configuration of a modality, and the pretrained weights of its encoder."""
    if transformer is not None:
        return transformer.modality, {name: transformer.weights}
    if name == "text" and isinstance(phrases, WordTable):
        columns = word_feature_set(phrases.dim).columns
        return ModalityConfig("words", "recurrent", recipes.SEQUENCE_DIM, columns, parts=LabelParts(vad_share=0.5)), {}
    if name == "text":
        if base is None:
            raise InputError("training on text needs a base model with a sentence encoder, or a word table; give base")
        return base.config.modalities["text"].with_settings(strength=1.0), {}  # new adapters are trained
    if name == "audio":
        return recipes.audio_modality(), {}
    return recipes.video_modality(), {}


def _recipe(
    name: str, modality: ModalityConfig, phrases: PhraseEncoder, base: EmotionModel | None, changes: Changes
) -> Recipe:
    """The recipe of one modality, with the changes of the caller."""
    config = recipes.training(recipes.kind_of(name, modality), **changes)
    if modality.features == "waveform":
        config = replace(config, max_frames=LONGEST_SOUND)
    source_model = base if base is not None and phrases is base.phrases else None
    return Recipe({name: modality}, phrases, config, source_model)


def _labelled_rows(
    inputs: Mapping[str, np.ndarray],
    failures: Mapping[str, str],
    corpus: Corpus,
    config: ModalityConfig,
    modality: str,
) -> tuple[EmotionData, EmotionData]:
    """Training and validation rows of one modality."""
    parts = []
    for split, fewest in (("train", 2), ("valid", 1)):
        rows = corpus.where((corpus.samples["split"] == split) & corpus.samples["id"].isin(set(inputs)))
        if not corpus.multi_label:
            rows = rows.where(rows.samples["labels"].map(len) > 0)
        if len(rows.samples) < fewest:
            failure = f"; the first unreadable row: {next(iter(failures.values()))}" if failures else ""
            raise InputError(
                f"{corpus.name} has {len(rows.samples)} usable {split} rows with {modality}; give at least "
                f"{fewest}{failure}"
            )
        data = corpus_rows.annotate(rows, {modality: inputs})
        parts.append(replace(data, inputs={modality: media.prepared(data.inputs[modality], config)}))
    labels = int((parts[0].targets == 1).any(axis=0).sum())
    if labels < 2:
        raise InputError(f"the train rows of {corpus.name} with {modality} have {labels} label; give at least 2 labels")
    if not (parts[1].targets == 1).any():
        raise InputError(
            f"no valid row of {corpus.name} with {modality} has a label; give labelled valid rows, on which the best "
            "epoch is chosen"
        )
    return parts[0], parts[1]


def _read_inputs(
    model: EmotionModel, corpus: Corpus, modality: str, progress: bool
) -> tuple[Mapping[str, np.ndarray], dict[str, str]]:
    """Inputs of the train and valid rows by id, and the messages of unreadable rows by id.

    Features of sound and faces come from the cache.
    """
    corpus = corpus.where(corpus.samples[modality].notna() & corpus.samples["split"].isin(("train", "valid")))
    if modality != "text" and model.config.modalities[modality].features != "waveform":
        return cache.cached_features(corpus, modality, progress=progress)
    texts = zip(corpus.samples["id"], corpus.samples["text"], strict=True)
    inputs: dict[str, np.ndarray] = {}
    failures: dict[str, str] = {}
    for item, source in texts if modality == "text" else cache.spans(corpus, modality):
        try:
            inputs[item] = media.read(model, modality, input_of(modality, source), any_sound=True).values
        except (MediaError, MissingFileError, InputError) as error:
            failures[item] = str(error)
    return inputs, failures


def _licence(base: EmotionModel | None, phrases: PhraseEncoder, corpus: Corpus) -> dict[str, str]:
    """Provenance of the parts copied from the base, with the combined licence; empty if nothing was copied."""
    if base is None or phrases is not base.phrases:
        return {}
    provenance = base.state.provenance
    terms = {name: str(provenance[name]) for name in checkpoint.TAKEN if name in provenance}
    return {**terms, "licence": terms_of([corpus.name], terms)}


def terms_of(corpora: Iterable[str], taken: Mapping[str, str] | None = None) -> str:
    """The licence of a model that was trained on these corpora, with the terms of parts taken from elsewhere."""
    return "; ".join([*(f"that of {name}" for name in corpora), *(taken or {}).values()])
