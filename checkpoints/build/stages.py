"""The stages of building the shipped checkpoints.

Each stage saves its weights in the working folder. A stage whose weights exist is skipped, so a stopped build resumes
where it stopped. The stages: trunk -> words -> text, audio, video -> base; ravdess-av, which trains speech and facial
action units jointly; and text-permissive, which trains text on data whose licences admit commercial use.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, fields, replace
from pathlib import Path

import distil
import labelled_teacher
import numpy as np
import pandas as pd
import prune
import torch
from rated_texts import rate_texts
from reduce import with_rank
from texts import (
    PERMISSIVE,
    SITUATIONS,
    TESTED,
    TEXT_CORPORA,
    TEXT_ROWS,
    drawn,
    feelings,
    training_corpora,
    training_texts,
)
from torch import Tensor

from emoembed import corpora
from emoembed.corpora.corpus import Corpus
from emoembed.encoders.whisper import read_whisper
from emoembed.evaluation.folds import AUDIO_CORPORA, hash_of
from emoembed.features.text import tokenize
from emoembed.labels.emotion import table
from emoembed.labels.phrases import PhraseEncoder, SentenceEncoder, WordTable
from emoembed.model import checkpoint, checkpoint_files, expectation
from emoembed.model.config import ModalityConfig
from emoembed.model.model import EmotionModel
from emoembed.reading import corpus_rows
from emoembed.reading.rows import EmotionData, join
from emoembed.reading.voice_and_face import other_speech, part_of, read_both
from emoembed.training import fit, recipes
from emoembed.training.build import start_projections
from emoembed.training.calibrate import calibrate
from emoembed.training.config import Execution
from emoembed.training.fit import train
from emoembed.training.objective import Teacher
from emoembed.training.recipes import Recipe

TRAINED_RANK, SHIPPED_RANK = 64, 40
"""Ranks of the text adapters, in training and in a checkpoint. `base` may have 55 MB; with rank 40 it has 54."""
STRENGTH = 0.8
"""Strength of the text adapters. On five corpora that nothing is trained on, 0.6 and 0.8 are equal within their noise.
On the texts written for this project, 0.8 is better: `docs/report/outside-strengths`."""
TEACHER_REVISION = 1
"""Increase it when a change of the training makes the answers of a labelled teacher stale."""
VOCABULARY = 16_000  # tokens of the trunk: 12 MB at half precision
TRUNK_REVISION = 1
"""Increase it when a change of the distillation makes a finished trunk stale."""
TABLE_WORDS, TABLE_DIM = 9_000, 50  # words and columns of the word table: 1.9 MB
RATED_TEXTS = 4000  # texts of GoEmotions on which predicted valence, arousal and dominance are scaled
AV, TEXT_PERMISSIVE = "ravdess-av", "text-permissive"
SENTENCE_ENCODER = "all-MiniLM-L6-v2, vocabulary pruned, distilled from all-mpnet-base-v2 (both Apache-2.0)"
DEFAULT_LABELS = ("anger", "disgust", "fear", "joy", "love", "neutral", "sadness", "surprise")


def trunk_and_words(
    data: Path, teacher: str, work: Path, names: Sequence[str] = TEXT_CORPORA, *, rated: bool = True
) -> tuple[EmotionModel, Path]:
    """The distilled sentence encoder with untrained adapters, and the file of its word table.

    Args:
        data: folder of the corpora.
        teacher: hub id or folder of the sentence encoder to learn from.
        work: folder for the stages.
        names: corpora whose texts are read. Their labels are not.
        rated: whether texts get valence, arousal and dominance, learned from EmoBank.
    """
    texts = training_texts(data, names)
    digest = key(
        checkpoint.VERSION, TRUNK_REVISION, VOCABULARY, TABLE_WORDS, TABLE_DIM, texts, *(() if rated else ("",))
    )
    trunk, words = work / f"trunk-{digest}", work / f"words-{digest}.bin"
    if not trunk.is_dir():
        checkpoint.save(build_trunk(data, teacher, work, texts, rated=rated), trunk)
    untrained = checkpoint.load(trunk)
    if not words.is_file():
        temporary = words.with_suffix(".tmp")
        checkpoint.write_word_table(distil_words(untrained, texts), temporary)
        temporary.replace(words)
    return untrained, words


def build_trunk(data: Path, teacher: str, work: Path, texts: list[str], *, rated: bool) -> EmotionModel:
    """The pruned sentence encoder with untrained adapters, which has learned from a larger one without any label."""
    sentences = corpora.load("emobank", data).split("train") if rated else None
    model = prune.prune(prune.find_minilm(), texts, VOCABULARY, rated=rated)
    more: list[str] = [] if sentences is None else sentences.samples["text"].tolist()
    distil.distil(model, [*texts, *more], feelings(data), teacher, work / "teacher")
    start_projections(model)
    if sentences is not None:
        rate_texts(model, sentences, texts[:RATED_TEXTS])
    return model


def distil_words(model: EmotionModel, texts: list[str], count: int = TABLE_WORDS, dim: int = TABLE_DIM) -> WordTable:
    """A table of word vectors from the sentence encoder, reduced to their first `dim` principal components.

    As in Model2Vec (Tulkens & van Dongen 2024), the vector of a word is the encoder's output for the word alone.
    """
    assert isinstance(model.phrases, SentenceEncoder)
    counts = Counter(token.lower() for text in texts for token in tokenize(text) if token.isalpha() or "'" in token)
    labels = [w for label in table().values() for p in (label.name, *label.synonyms) for w in p.lower().split()]
    candidates = list(dict.fromkeys([*labels, *(word for word, _ in counts.most_common(2 * count))]))
    words = [word for word, ids in zip(candidates, model.phrases.token_ids(candidates), strict=True) if ids][:count]
    vectors = model.phrases.phrase_vectors(words)
    vectors = vectors - vectors.mean(dim=0)
    _, _, directions = torch.linalg.svd(vectors, full_matrices=False)
    return WordTable(words, (vectors @ directions[:dim].T).numpy())


def train_text(
    data: Path, untrained: EmotionModel, seed: int, work: Path, teacher: str, names: Sequence[str] = TEXT_CORPORA
) -> EmotionModel:
    """Train the adapters of the sentence encoder on text corpora. GoEmotions dev calibrates.

    The targets are the labels and the answers of a larger encoder, `teacher`, that was trained on the labels.
    """
    assert untrained.phrases is not None
    rows, valid = text_rows(data, untrained.phrases, names)
    modality = untrained.config.modalities["text"].with_settings(strength=1.0, rank=TRAINED_RANK)
    recipe = Recipe(
        {"text": modality},
        untrained.phrases,
        recipes.training("texts", seed),
        untrained,
        teacher=answers_of(data, teacher, seed, work, names, rated=bool(modality.parts.vad_share)),
        strength=STRENGTH,
    )
    return with_rank(trained("text", recipe, rows, valid, work), SHIPPED_RANK)


def answers_of(data: Path, name: str, seed: int, work: Path, names: Sequence[str], *, rated: bool) -> Teacher:
    """The answers of the larger encoder for the training rows of text corpora, once it has been trained on them."""
    config, texts = recipes.training("teacher", seed), training_texts(data, names)
    labels = labelled_teacher.different(feelings(data))[: distil.NAMES]
    settings = TEACHER_REVISION, labelled_teacher.RANK, labelled_teacher.LONGEST, distil.CHECKSUM, asdict(config), rated
    file = work / f"answers-{key(settings, labels, names, TEXT_ROWS, texts)}.safetensors"
    if not file.is_file():
        sentences = corpora.load("emobank", data).split("train") if rated else None
        model = labelled_teacher.untrained(name, sentences, texts[:RATED_TEXTS])
        assert model.phrases is not None
        rows, valid = text_rows(data, model.phrases, names)
        labelled_teacher.answers(model, rows, valid, config, labels, file)
    return labelled_teacher.read(file)


def text_rows(
    data: Path, phrases: PhraseEncoder, names: Sequence[str] = TEXT_CORPORA
) -> tuple[EmotionData, EmotionData]:
    """Training rows of text corpora, and validation rows, as a sentence encoder reads them."""
    parts = [drawn(corpus, TEXT_ROWS[corpus.name]) for corpus in training_corpora(data, names)]
    valid = corpora.load("goemotions", data).split("valid")
    return join([corpus_rows.text_data(part, phrases) for part in parts]), corpus_rows.text_data(valid, phrases)


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


def train_video(data: Path, untrained: EmotionModel, seed: int, work: Path) -> EmotionModel:
    """Train the face encoder on FER2013: each training image has a row for its own label and one for FER+'s votes.

    Validation images, with both kinds of labels, choose the best epoch.
    """
    own, votes = corpora.load("fer2013", data), corpora.load("ferplus", data)
    rows, valid = (
        join([corpus_rows.video_data(own.split(name)), corpus_rows.video_data(votes.split(name))])
        for name in ("train", "valid")
    )
    rows = with_shares(rows, votes)
    return trained("video", recipe_of("video", recipes.video_modality(), untrained, seed), rows, valid, work)


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


def key(*described: object) -> str:
    """A digest of settings and of the label table. It tells apart stages that were built from different ones."""
    return hashlib.sha256(repr((described, sorted(table().items()))).encode()).hexdigest()[:8]


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


def trained(name: str, recipe: Recipe, rows: EmotionData, valid: EmotionData, work: Path) -> EmotionModel:
    """Train one modality. An earlier run of this stage on the same rows in `work` is loaded or resumed."""
    revisions = recipes.REVISION[name], asdict(recipe.config), digest_of(recipe.teacher)
    stage = f"{name}-{key(revisions, hash_of(rows), hash_of(valid))}"
    file, run = work / f"{stage}.safetensors", work / f"run-{stage}"
    model, history = train(recipe, rows, valid, weights_file=file, execution=Execution(progress=True, resume=run))
    if history.scores:
        print(name, "validation", [round(score, 4) for score in history.scores], flush=True)
    return model


def digest_of(teacher: Teacher | None) -> str:
    """A digest of a teacher's answers; "" without one."""
    if teacher is None:
        return ""
    digest = hashlib.sha256(repr(teacher.names).encode())
    for array in (teacher.label_points.numpy(), *teacher.points.values()):
        digest.update(array.tobytes())
    return digest.hexdigest()


def base_of(parts: dict[str, EmotionModel], untrained: EmotionModel) -> EmotionModel:
    """Assemble one model of all modalities."""
    assert untrained.phrases is not None
    model = fit.assemble(parts, untrained.phrases, base=untrained)
    provenance = {
        "trained_on": {"text": list(TEXT_CORPORA), "audio": list(AUDIO_CORPORA), "video": ["fer2013", "ferplus"]},
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
    texts = [semeval, *(corpora.load(name, data) for name in TESTED[1:5])]
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
