"""The stages of building the shipped checkpoints, but those of text (`text_stages`).

Each stage saves its weights in the working folder. A stage whose weights exist is skipped, so a stopped build resumes
where it stopped. The stages here: audio; video, which starts from a reader of facial actions; base; ravdess-av, which
trains speech and facial action units jointly; and text-permissive, from data whose licences admit commercial use.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import fields, replace
from pathlib import Path

import facial_actions
import numpy as np
import pandas as pd
from facial_actions import read_blendshapes, train_reader
from text_stages import train_text, trunk_and_words
from texts import CHOICES, PERMISSIVE, SITUATIONS, TEXT_CORPORA
from torch import Tensor
from working_folder import key, trained

from emoembed import corpora
from emoembed.corpora.corpus import Corpus
from emoembed.encoders.facial_actions import FacialActionReader
from emoembed.encoders.whisper import read_whisper
from emoembed.errors import InputError
from emoembed.evaluation.folds import AUDIO_CORPORA, hash_of
from emoembed.labels.descriptions import FACE
from emoembed.labels.phrases import SentenceEncoder, WordTable
from emoembed.model import checkpoint, checkpoint_files, expectation
from emoembed.model.config import ModalityConfig
from emoembed.model.model import EmotionModel
from emoembed.reading import corpus_rows
from emoembed.reading.rows import EmotionData, join
from emoembed.reading.voice_and_face import other_speech, part_of, read_both
from emoembed.training import fit, recipes
from emoembed.training.calibrate import calibrate
from emoembed.training.config import Execution
from emoembed.training.fit import train
from emoembed.training.recipes import Recipe

AV, TEXT_PERMISSIVE = "ravdess-av", "text-permissive"
SENTENCE_ENCODER = "all-MiniLM-L6-v2, vocabulary pruned, distilled from all-mpnet-base-v2 (both Apache-2.0)"
DEFAULT_LABELS = ("anger", "disgust", "fear", "joy", "love", "neutral", "sadness", "surprise")


def train_audio(data: Path, untrained: EmotionModel, seed: int, work: Path, whisper: str) -> EmotionModel:
    """Train what follows Whisper's first layers on RAVDESS actors 1-16, TESS and EMO-DB, also through other channels.

    RAVDESS actors 17-20 choose the best epoch.
    """
    ravdess = corpora.load("ravdess", data)
    parts = [ravdess.split("train"), *(corpora.load(name, data) for name in AUDIO_CORPORA if name != "ravdess")]
    rows = join([corpus_rows.audio_data(part, copies=corpus_rows.COPIES) for part in parts])
    valid = corpus_rows.audio_data(ravdess.split("valid"))
    layers, weights = read_whisper(whisper)
    modality = recipes.audio_modality(layers)
    return trained("audio", recipe_of("audio", modality, untrained, seed, {"audio": weights}), rows, valid, work)


def action_reader(data: Path, blendshapes: Path, work: Path) -> FacialActionReader:
    """The reader of facial actions, trained on the training images of FER2013 without their labels.

    Args:
        data: folder of the corpora.
        blendshapes: what `blendshapes.py` wrote.
        work: folder for the stages.
    """
    rows = corpus_rows.video_data(corpora.load("fer2013", data).split("train"))
    paths, values, names = read_blendshapes(blendshapes)
    position_of = {path: i for i, path in enumerate(paths)}
    images = [row.partition("/")[2] for row in rows.ids]
    unasked = [image for image in images if image not in position_of]
    if unasked:
        raise InputError(
            f"{blendshapes} lacks {len(unasked)} of {len(images)} training images, such as {unasked[0]}; make it anew "
            "with: make blendshapes DATA=DIR"
        )
    values = values[[position_of[image] for image in images]]
    settings = facial_actions.REVISION, recipes.REVISION["video"], facial_actions.MUSCLES, tuple(FACE)
    file = work / f"actions-{key(settings, rows.ids, names, hashlib.sha256(values.tobytes()).hexdigest())}.safetensors"
    if not file.is_file():
        faces = np.stack([np.asarray(rows.inputs["video"][row][0], np.float32) for row in rows.ids])
        train_reader(faces, values, names, work / f"run-{file.stem}").save(file)
    return FacialActionReader.load(file)


def train_video(data: Path, untrained: EmotionModel, seed: int, work: Path, blendshapes: Path) -> EmotionModel:
    """Train the face encoder on FER2013: each training image has a row for its own label and one for FER+'s votes.

    Training starts from the reader of facial actions. Validation images, with both kinds of labels, choose the best
    epoch.
    """
    own, votes = corpora.load("fer2013", data), corpora.load("ferplus", data)
    rows, valid = (
        join([corpus_rows.video_data(own.split(name)), corpus_rows.video_data(votes.split(name))])
        for name in ("train", "valid")
    )
    rows = with_shares(rows, votes)
    recipe = recipe_of("video", recipes.video_modality(), untrained, seed)
    recipe = replace(recipe, facial_actions=action_reader(data, blendshapes, work))
    return trained("video", recipe, rows, valid, work)


def with_shares(rows: EmotionData, votes: Corpus) -> EmotionData:
    """Rows whose targets are the shares of the taggers' votes, if they are rows of `votes`."""
    columns = [rows.labels.index(label) for label in votes.labels]
    position_of = {row: i for i, row in enumerate(rows.ids)}
    targets = rows.targets.copy()
    for row, shares in zip(votes.samples["id"], votes.samples["shares"], strict=True):
        position = position_of.get(f"{votes.name}/{row}")
        if position is not None:
            targets[position, columns] = shares
    return replace(rows, targets=targets)


def recipe_of(
    name: str,
    modality: ModalityConfig,
    untrained: EmotionModel,
    seed: int,
    weights: Mapping[str, Mapping[str, Tensor]] | None = None,
) -> Recipe:
    """The recipe of one modality of `base`, with pretrained weights of its encoder if they are given."""
    assert untrained.phrases is not None
    config = recipes.training(name, seed)
    return Recipe({name: modality}, untrained.phrases, config, untrained, weights or {})


def base_of(parts: dict[str, EmotionModel], untrained: EmotionModel) -> EmotionModel:
    """Assemble one model of all modalities."""
    assert untrained.phrases is not None
    model = fit.assemble(parts, untrained.phrases, base=untrained)
    provenance = {
        "trained_on": {"text": list(TEXT_CORPORA), "audio": list(AUDIO_CORPORA), "video": ["fer2013", "ferplus"]},
        "calibrated_on": {"text": list(CHOICES), "audio": ["emovo"]},
        "sentence_encoder": SENTENCE_ENCODER,
        "label_space": "valence, arousal and dominance of EmoBank (CC BY-SA 4.0)",
        "licence": "CC BY-NC-SA 4.0 and research use only; see LICENSE",
    }
    return model.with_state(replace(model.state, labels=DEFAULT_LABELS, provenance=provenance))


def expecting(model: EmotionModel, reports: Path) -> EmotionModel:
    """The model with reliability estimates for unseen labels, for each modality that has a report."""
    for name in model.modalities:
        held_out = read_held_out(reports / name)
        if held_out:
            expectation.apply(model, name, held_out)
        else:
            print(
                f"no {expectation.FILE} in {reports / name}: {name} gets no reliability estimates for unseen labels",
                flush=True,
            )
    return model


def calibrated(data: Path, model: EmotionModel, reports: Path) -> EmotionModel:
    """The model with calibration on validation rows and on corpora that nothing is trained on.

    It also gets reliability estimates for unseen labels from the reports.
    """
    others = other_rows(data, model)
    for name, valid in validation_rows(data, model).items():
        calibrate(model, name, valid, others=others.get(name, ()))
    return expecting(model, reports)


def other_rows(data: Path, model: EmotionModel) -> dict[str, list[EmotionData]]:
    """Rows of corpora that nothing is trained on, for calibration: the corpora on which choices are made."""
    assert isinstance(model.phrases, SentenceEncoder)
    semeval = corpora.load("semeval2018", data).split("valid")
    texts = [semeval, *(corpora.load(name, data) for name in CHOICES[1:])]
    texts += [corpora.load("situations", SITUATIONS).split("valid")]
    return {
        "text": [corpus_rows.text_data(corpus.canonical(), model.phrases) for corpus in texts],
        "audio": [corpus_rows.audio_data(corpora.load("emovo", data).split("valid"))],
    }


def build_permissive(data: Path, teacher: str, seed: int, work: Path, reports: Path) -> tuple[EmotionModel, Path]:
    """A text model from data whose licences admit commercial use, and the file of its word table.

    It has no valence, arousal and dominance of texts. It is calibrated on validation texts of GoEmotions and of this
    project.
    """
    untrained, words = trunk_and_words(data, teacher, work, PERMISSIVE, rated=False)
    model = train_text(data, untrained, seed, work, teacher, PERMISSIVE)
    assert isinstance(model.phrases, SentenceEncoder)
    valid = corpora.load("goemotions", data).split("valid")
    written = corpora.load("situations", SITUATIONS).split("valid").canonical()
    rows, others = (corpus_rows.text_data(corpus, model.phrases) for corpus in (valid, written))
    calibrate(model, "text", rows, others=[others])
    provenance = {
        "trained_on": {"text": list(PERMISSIVE)},
        "sentence_encoder": SENTENCE_ENCODER,
        "licence": "Apache-2.0; its training data is under CC BY 4.0, MIT and Apache-2.0, see LICENSE",
    }
    model = model.with_state(replace(model.state, labels=DEFAULT_LABELS, provenance=provenance))
    return expecting(model, reports), words


def build_av(data: Path, words: WordTable, seed: int, work: Path, whisper: str) -> EmotionModel:
    """Train speech and facial action units jointly on RAVDESS actors 1-16, with early stopping on actors 17-20.

    The ridge map of speech is fitted on TESS and EMO-DB as well.
    """
    clips, columns = read_both(data)
    ridge_rows = other_speech(data)
    corpus = corpora.load("ravdess", data)
    rows, valid = (part_of(clips, corpus, name) for name in ("train", "valid"))
    layers, weights = read_whisper(whisper)
    modalities = recipes.voice_and_face_modalities(columns, layers)
    revisions = [recipes.REVISION[name] for name in modalities]
    run = work / f"run-{AV}-{key(revisions, hash_of(rows), hash_of(valid), hash_of(ridge_rows))}"
    recipe = replace(recipes.voice_and_face(modalities, words, seed), weights={"audio": weights})
    model, _ = train(recipe, rows, valid, ridge_rows=ridge_rows, execution=Execution(progress=True, resume=run))
    provenance = {
        "trained_on": {"audio": list(AUDIO_CORPORA), "video": ["ravdess"]},
        "licence": "CC BY-NC-SA 4.0 and research use only; see LICENSE",
    }
    return model.with_state(replace(model.state, labels=rows.labels, provenance=provenance))


def write(model: EmotionModel, folder: Path, words: WordTable | None = None) -> None:
    """Save a checkpoint. The card and the licence in its folder are kept."""
    paths = {name: folder / name for name in (checkpoint_files.CARD, checkpoint_files.LICENSE)}
    texts = {name: path.read_text(encoding="utf-8") if path.is_file() else "" for name, path in paths.items()}
    checkpoint.save(
        model, folder, words=words, card=texts[checkpoint_files.CARD], license_text=texts[checkpoint_files.LICENSE]
    )


def validation_rows(data: Path, untrained: EmotionModel) -> dict[str, EmotionData]:
    """The validation rows of each modality. Early stopping and calibration use them."""
    assert untrained.phrases is not None
    return {
        "text": corpus_rows.text_data(corpora.load("goemotions", data).split("valid"), untrained.phrases),
        "audio": corpus_rows.audio_data(corpora.load("ravdess", data).split("valid")),
        "video": corpus_rows.video_data(corpora.load("fer2013", data).split("valid")),
    }


def read_held_out(folder: Path) -> list[expectation.HeldOut]:
    """The results of held-out labels in a report folder; an empty list if the folder has none."""
    path = folder / expectation.FILE
    if not path.is_file():
        return []
    table = pd.read_csv(path)
    names = [field.name for field in fields(expectation.HeldOut)[1:]]
    numbers = table[names].to_numpy(np.float64).tolist()
    return [expectation.HeldOut(str(label), *row) for label, row in zip(table["label"], numbers, strict=True)]
