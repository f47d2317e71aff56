"""The stages of text: the distilled sentence encoder, its word table, and its adapters."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import distil
import labelled_teacher
import prune
import torch
from rated_texts import rate_texts
from reduce import with_rank
from texts import TEXT_CORPORA, TEXT_ROWS, drawn, feelings, training_corpora, training_texts
from working_folder import key, trained

from emoembed import corpora
from emoembed.features.text import tokenize
from emoembed.labels.emotion import table
from emoembed.labels.phrases import PhraseEncoder, SentenceEncoder, WordTable
from emoembed.model import checkpoint
from emoembed.model.model import EmotionModel
from emoembed.reading import corpus_rows
from emoembed.reading.rows import EmotionData, join
from emoembed.training import recipes
from emoembed.training.build import start_projections
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
