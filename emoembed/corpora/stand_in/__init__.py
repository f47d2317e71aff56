"""Synthetic stand-ins for CMU-MOSEI and IEMOCAP in their file forms, to test the software on any machine.

Each utterance has a point: the mean of its emotions' word vectors, plus noise. Its words have vectors near the point,
apart from some filler words. Its sound and face are frames: the point through a fixed random map and a tanh, plus
noise. A model can therefore recognise a held-out emotion from its word vector, but not if the vectors are permuted
among the emotions (`shuffled`). Results on these corpora test the software; they say nothing about accuracy.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from emoembed.corpora.readers.mosei import SEQ20_LABELS
from emoembed.corpora.stand_in import files
from emoembed.corpora.stand_in.world import IEMOCAP_WORDS, Spans, Utterance, Vectors, World, dialogues_of, monologues
from emoembed.errors import InputError

MOSEI_FORMS = ("csd", "seq-20", "pickle", "merbench", "raw")
IEMOCAP_FORMS = ("raw", "pickle", "nine-class", "merbench")
SIX = ("happy", "sad", "neutral", "angry", "excited", "frustrated")  # in the order of MERBench's numbers 0 to 5


def write_mosei(
    folder: str | Path,
    vectors: Vectors,
    vocabulary: Sequence[str],
    *,
    form: str = "csd",
    size: tuple[int, int] | Spans = (24, 6),
    seed: int = 0,
    shuffled: bool = False,
) -> Path:
    """Write a corpus like CMU-MOSEI: up to two of six emotions per segment, some words without a face, -inf in COVAREP.

    Args:
        folder: the output folder.
        vectors: word vectors, with the names of the six emotions and the vocabulary.
        vocabulary: the words that the utterances are made of.
        form: one of `MOSEI_FORMS`.
        size: the number of videos and of segments per video; or video -> (start, end, split) of its segments.
        seed: the random seed of the corpus.
        shuffled: permute the word vectors of the emotions, so that a name says nothing about its emotion.

    Raises:
        InputError: the form is unknown, or the word vectors lack an emotion or most of the vocabulary.
    """
    _require_form(form, MOSEI_FORMS)
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    world = World(vectors, SEQ20_LABELS, vocabulary, seed, shuffled)
    utterances = monologues(world, size)
    if form == "csd":
        files.write_csd(folder, world, utterances)
    elif form == "seq-20":
        files.write_seq20(folder, world, utterances)
    elif form == "pickle":
        files.write_labels_csd(folder, utterances)
        files.write_mult(folder / "mosei_senti_data.pkl", world, utterances, files.sentiment_labels)
    elif form == "merbench":
        files.write_merbench(folder, world, utterances, "label.npz", _sentiment_entry, files.clip)
    else:
        files.write_raw_mosei(folder, world, utterances)
    return folder


def write_iemocap(
    folder: str | Path,
    vectors: Vectors,
    vocabulary: Sequence[str],
    *,
    form: str = "raw",
    size: tuple[int, int] = (2, 18),
    seed: int = 0,
    shuffled: bool = False,
) -> Path:
    """Write a corpus like IEMOCAP, with five sessions.

    `size` is the number of dialogues per session and of turns per dialogue. The other arguments, and the errors, are
    those of `write_mosei`.
    """
    _require_form(form, IEMOCAP_FORMS)
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    world = World(vectors, tuple(IEMOCAP_WORDS.values()), vocabulary, seed, shuffled)
    utterances = dialogues_of(world, *size)
    if form == "raw":
        files.write_raw_iemocap(folder, world, utterances)
    elif form == "pickle":
        four_class = [
            utterance for utterance in utterances if utterance.emotions[0] in ("neutral", "happy", "sad", "angry")
        ]
        files.write_mult(folder / "iemocap_data.pkl", world, four_class, files.four_labels)
    elif form == "nine-class":
        files.write_nine_class(folder, world, utterances)
    else:
        six_class = [utterance for utterance in utterances if utterance.emotions[0] in SIX]
        files.write_merbench(folder, world, six_class, "label_6way.npz", _class_entry, files.turn)
    return folder


def _sentiment_entry(utterance: Utterance) -> dict[str, float]:
    return {"emo": 0, "val": files.sentiment(utterance)}


def _class_entry(utterance: Utterance) -> dict[str, int]:
    return {"emo": SIX.index(utterance.emotions[0]), "val": -10}


def _require_form(form: str, forms: Sequence[str]) -> None:
    if form not in forms:
        raise InputError(f"unknown form {form!r}; give one of {', '.join(forms)}")
