"""Stand-ins for CMU-MOSEI and IEMOCAP, in the file forms people have: to try the machinery on any machine.

Every utterance has a point: the mean of its emotions' word vectors, with noise. Its words are those whose vectors lie
near the point, among others; its sound and its face are views of the point, through a fixed random map and a tanh,
in frames with noise. So a held-out emotion can be found where its word vector carries it, and cannot where the vectors
were dealt out anew (`shuffled`). A figure on these corpora is a check of the machinery and says nothing of accuracy.
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
SIX = ("happy", "sad", "neutral", "angry", "excited", "frustrated")  # MERBench's numbers 0 to 5


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
    """Write a MOSEI-like corpus: up to two of six emotions a segment, words without a face, -inf in COVAREP.

    Args:
        folder: where.
        vectors: word vectors that hold the six emotions' names and the vocabulary.
        vocabulary: the words that are spoken.
        form: one of `MOSEI_FORMS`.
        size: how many videos, and of how many segments each; or video -> start, end and split of its segments.
        seed: of everything.
        shuffled: deal the emotions' word vectors out anew, so that names no longer say what an emotion is like.
    """
    _check(form, MOSEI_FORMS)
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
        files.write_merbench(folder, world, utterances, "label.npz", _sentiment, files.clip)
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
    """Write an IEMOCAP-like corpus of five sessions.

    `size` is the dialogues of each and the turns of a dialogue; the other arguments are those of `write_mosei`.
    """
    _check(form, IEMOCAP_FORMS)
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    world = World(vectors, tuple(IEMOCAP_WORDS.values()), vocabulary, seed, shuffled)
    utterances = dialogues_of(world, *size)
    if form == "raw":
        files.write_raw_iemocap(folder, world, utterances)
    elif form == "pickle":
        four = [one for one in utterances if one.emotions[0] in ("neutral", "happy", "sad", "angry")]
        files.write_mult(folder / "iemocap_data.pkl", world, four, files.four_labels)
    elif form == "nine-class":
        files.write_nine_class(folder, world, utterances)
    else:
        six = [one for one in utterances if one.emotions[0] in SIX]
        files.write_merbench(folder, world, six, "label_6way.npz", _class, files.turn)
    return folder


def _sentiment(one: Utterance) -> dict[str, float]:
    return {"emo": 0, "val": files.sentiment(one)}


def _class(one: Utterance) -> dict[str, int]:
    return {"emo": SIX.index(one.emotions[0]), "val": -10}


def _check(form: str, known: Sequence[str]) -> None:
    if form not in known:
        raise InputError(f"there is no form {form!r}; the forms are {', '.join(known)}")
