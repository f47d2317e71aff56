"""The stages in which the checkpoints that ship are built.

Each stage leaves its weights in the working folder and is skipped when they stand, so a stopped build goes on where
it was: trunk -> words -> text, audio, video -> base; and ravdess-av, sound and action units trained jointly.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from dataclasses import asdict, fields, replace
from pathlib import Path

import numpy as np
import pandas as pd
import prune
import torch
from rated_texts import rate_texts

from emoembed import corpora
from emoembed.evaluation.folds import AUDIO_CORPORA, hash_of
from emoembed.features.text import tokenize
from emoembed.labels.emotion import table
from emoembed.labels.phrases import SentenceEncoder, WordTable
from emoembed.model import checkpoint, expectation
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

VOCABULARY = 12_000  # tokens of the trunk: 9 MB at half precision
TABLE_WORDS, TABLE_DIM = 9_000, 50  # of the word table: 1.9 MB
RATED_TEXTS = 4000  # of GoEmotions, that say how far valence, arousal and dominance of texts spread
TEXT_CORPORA = ("goemotions", "emocontext", "meld", "emorynlp")
AV = "ravdess-av"
DEFAULT_LABELS = ("anger", "disgust", "fear", "joy", "love", "neutral", "sadness", "surprise")


def training_texts(data: Path) -> list[str]:
    """Every training text of the text corpora."""
    loaded = [corpora.load(name, data).split("train").samples["text"] for name in TEXT_CORPORA]
    return [text for column in loaded for text in column]


def build_trunk(data: Path) -> EmotionModel:
    """The pruned sentence encoder, with adapters that do nothing yet; EmoBank says what valence of texts is."""
    texts = training_texts(data)
    model = prune.prune(prune.find_minilm(), texts, VOCABULARY)
    rate_texts(model, corpora.load("emobank", data).split("train"), texts[:RATED_TEXTS])
    return model


def distil_words(model: EmotionModel, texts: list[str], count: int = TABLE_WORDS, dim: int = TABLE_DIM) -> WordTable:
    """Vectors of single words from the sentence encoder, reduced to their leading directions.

    The idea of Model2Vec (Tulkens & van Dongen 2024): a word's vector is the encoder's answer to the word alone.
    """
    assert isinstance(model.phrases, SentenceEncoder)
    counts = Counter(token.lower() for text in texts for token in tokenize(text) if token.isalpha() or "'" in token)
    labels = [w for label in table().values() for p in (label.name, *label.synonyms) for w in p.lower().split()]
    listed = list(dict.fromkeys([*labels, *(word for word, _ in counts.most_common(2 * count))]))
    words = [word for word, ids in zip(listed, model.phrases.token_ids(listed), strict=True) if ids][:count]
    vectors = model.phrases.phrase_vectors(words)
    vectors = vectors - vectors.mean(dim=0)
    _, _, directions = torch.linalg.svd(vectors, full_matrices=False)
    return WordTable(words, (vectors @ directions[:dim].T).numpy())


def train_text(data: Path, untrained: EmotionModel, seed: int, work: Path) -> EmotionModel:
    """Adapters of the sentence encoder, on all text corpora; stops on GoEmotions dev."""
    phrases = untrained.phrases
    assert phrases is not None
    rows = join([corpus_rows.text_data(corpora.load(name, data).split("train"), phrases) for name in TEXT_CORPORA])
    valid = corpus_rows.text_data(corpora.load("goemotions", data).split("valid"), phrases)
    modality = untrained.config.modalities["text"]
    return trained("text", modality, rows, valid, untrained, seed, work, strength=recipes.TEXT_STRENGTH)


def train_audio(data: Path, untrained: EmotionModel, seed: int, work: Path) -> EmotionModel:
    """The speech encoder, on RAVDESS actors 1-16, TESS and EMO-DB; stops on RAVDESS actors 17-20."""
    ravdess = corpora.load("ravdess", data)
    parts = [ravdess.split("train"), *(corpora.load(name, data) for name in AUDIO_CORPORA if name != "ravdess")]
    rows = join([corpus_rows.audio_data(part) for part in parts])
    valid = corpus_rows.audio_data(ravdess.split("valid"))
    return trained("audio", recipes.audio_modality(), rows, valid, untrained, seed, work)


def train_video(data: Path, untrained: EmotionModel, seed: int, work: Path) -> EmotionModel:
    """The face encoder, on FER2013's training images; stops on its validation images."""
    faces = corpora.load("fer2013", data)
    rows, valid = (corpus_rows.video_data(faces.split(name)) for name in ("train", "valid"))
    return trained("video", recipes.video_modality(), rows, valid, untrained, seed, work)


def key(*described: object) -> str:
    """What tells stages apart that were built by other settings, or of labels described in another way."""
    return hashlib.sha256(repr((described, sorted(table().items()))).encode()).hexdigest()[:8]


def trained(
    name: str,
    modality: ModalityConfig,
    rows: EmotionData,
    valid: EmotionData,
    untrained: EmotionModel,
    seed: int,
    work: Path,
    strength: float | None = None,
) -> EmotionModel:
    """Train one modality, or take up what an earlier run of this stage, on the same rows, left in `work`."""
    config = recipes.training(name, seed)
    stage = f"{name}-{key(asdict(config), recipes.REVISION[name], hash_of(rows), hash_of(valid))}"
    assert untrained.phrases is not None
    recipe = Recipe({name: modality}, untrained.phrases, config, untrained, strength=strength)
    kept, run = work / f"{stage}.safetensors", work / f"run-{stage}"
    model, history = train(recipe, rows, valid, kept=kept, execution=Execution(progress=True, resume=run))
    if history.scores:
        print(name, "validation", [round(score, 4) for score in history.scores], flush=True)
    return model


def base_of(parts: dict[str, EmotionModel], untrained: EmotionModel, reports: Path) -> EmotionModel:
    """One model of all modalities, which expects of labels never seen what the reports found of labels held out."""
    assert untrained.phrases is not None
    model = fit.assemble(parts, untrained.phrases, like=untrained)
    provenance = {
        "trained_on": {"text": list(TEXT_CORPORA), "audio": list(AUDIO_CORPORA), "video": ["fer2013"]},
        "sentence_encoder": "sentence encoder all-MiniLM-L6-v2 (Apache-2.0), vocabulary pruned",
        "label_space": "valence, arousal and dominance of EmoBank (CC BY-SA 4.0)",
        "licence": "CC BY-NC-SA 4.0 and research use only; see LICENSE",
    }
    model = model.with_state(replace(model.state, labels=DEFAULT_LABELS, provenance=provenance))
    return expecting(model, reports)


def expecting(model: EmotionModel, reports: Path) -> EmotionModel:
    """A model with what to expect of labels never seen, where a report says it."""
    for name in model.modalities:
        held_out = read_held_out(reports / name)
        if held_out:
            expectation.apply(model, name, held_out)
        else:
            print(
                f"no {expectation.FILE} in {reports / name}: nothing is expected of labels {name} never saw", flush=True
            )
    return model


def calibrated(data: Path, model: EmotionModel, reports: Path) -> EmotionModel:
    """A model of all modalities, calibrated anew on the rows each of them stopped on, as they are read now."""
    for name, valid in validation_rows(data, model).items():
        calibrate(model, name, valid)
    return expecting(model, reports)


def build_av(data: Path, seed: int, work: Path) -> EmotionModel:
    """RAVDESS speech and action units of actors 1-16, trained jointly; stops on actors 17-20.

    Speech's ridge map is of TESS and EMO-DB as well.
    """
    both, columns = read_both(data)
    beside = other_speech(data)
    corpus = corpora.load("ravdess", data)
    rows, valid = (part_of(both, corpus, name) for name in ("train", "valid"))
    modalities = recipes.voice_and_face_modalities(columns)
    revisions = [recipes.REVISION[name] for name in modalities]
    run = work / f"run-{AV}-{key(revisions, hash_of(rows), hash_of(valid), hash_of(beside))}"
    recipe = recipes.voice_and_face(modalities, checkpoint.read_word_table(), seed)
    model, _ = train(recipe, rows, valid, beside=beside, execution=Execution(progress=True, resume=run))
    provenance = {
        "trained_on": {"audio": list(AUDIO_CORPORA), "video": ["ravdess"]},
        "licence": "CC BY-NC-SA 4.0 and research use only; see LICENSE",
    }
    return model.with_state(replace(model.state, labels=rows.labels, provenance=provenance))


def write(model: EmotionModel, folder: Path, words: WordTable | None = None) -> None:
    """Save a checkpoint, keeping the card and the licence that stand in its folder."""
    kept = {name: folder / name for name in (checkpoint.CARD, checkpoint.LICENSE)}
    texts = {name: path.read_text(encoding="utf-8") if path.is_file() else "" for name, path in kept.items()}
    checkpoint.save(model, folder, words=words, card=texts[checkpoint.CARD], license_text=texts[checkpoint.LICENSE])


def validation_rows(data: Path, untrained: EmotionModel) -> dict[str, EmotionData]:
    """The rows each modality stopped on, which its calibration is fitted on as well."""
    assert untrained.phrases is not None
    return {
        "text": corpus_rows.text_data(corpora.load("goemotions", data).split("valid"), untrained.phrases),
        "audio": corpus_rows.audio_data(corpora.load("ravdess", data).split("valid")),
        "video": corpus_rows.video_data(corpora.load("fer2013", data).split("valid")),
    }


def read_held_out(folder: Path) -> list[expectation.HeldOut]:
    """What a report kept of labels held out; nothing where there is nothing."""
    path = folder / expectation.FILE
    if not path.is_file():
        return []
    table = pd.read_csv(path)
    names = [one.name for one in fields(expectation.HeldOut)[1:]]
    numbers = table[names].to_numpy(np.float64).tolist()
    return [expectation.HeldOut(str(label), *row) for label, row in zip(table["label"], numbers, strict=True)]
