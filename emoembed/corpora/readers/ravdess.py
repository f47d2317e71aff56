"""RAVDESS: English sentences, spoken by 24 actors in eight emotions; sound, and in the full release also video.

Livingstone & Russo 2018, "The Ryerson Audio-Visual Database of Emotional Speech and Song". Licence: CC BY-NC-SA 4.0.

Layout: `Actor_NN/MM-CC-EE-II-SS-RR-AA` with the suffix `.flac`, `.wav` or `.mp4`, at any folder depth. MM: 01 sound
and video, 02 video only, 03 sound only; CC: 01 speech, 02 song; EE: emotion; II: intensity; SS: sentence; RR:
repetition; AA: actor (men have odd numbers). Files with the same last six fields show the same performance. Songs are
left out.
"""

from __future__ import annotations

import re
from pathlib import Path

import pandas as pd

from emoembed.corpora import names
from emoembed.corpora.corpus import Corpus, make_samples
from emoembed.corpora.files import existing, media_files
from emoembed.errors import CorpusError
from emoembed.features.feature_set import Features

EMOTIONS = dict(enumerate(("neutral", "calm", "happy", "sad", "angry", "fearful", "disgust", "surprised"), start=1))
SENTENCES = {1: "Kids are talking by the door.", 2: "Dogs are sitting by the door."}
ACTORS = 24
PATTERN = "MM-CC-EE-II-SS-RR-AA"
FRAME_RATE = 30000 / 1001
"""Frames per second of the videos."""


def read(folder: Path) -> Corpus:
    """Read one row per spoken performance: its sound and, if present, its video.

    The id is the name of the sound-only file, even if only the video exists. Without a sound-only file, the sound comes
    from the `.mp4`. Actors 1-16 are train, 17-20 valid and 21-24 test; see also `folds`.
    """
    takes: dict[str, dict[str, str]] = {}
    for stem, path in media_files(folder, (".flac", ".wav", ".mp4"), PATTERN).items():
        _parse_name(stem, path)
        modality, performance = stem[:2], stem[3:]
        if performance.startswith("01"):
            takes.setdefault(performance, {})[modality] = str(path)
    performances = sorted(takes, key=lambda performance: (performance[-2:], performance))
    fields = [_parse_name(f"03-{performance}", folder) for performance in performances]
    samples = make_samples(
        [f"03-{performance}" for performance in performances],
        text=[SENTENCES[field[4]] for field in fields],
        audio=[takes[performance].get("03") or takes[performance].get("01") for performance in performances],
        video=[takes[performance].get("01") or takes[performance].get("02") for performance in performances],
        labels=[names.to_labels("ravdess", EMOTIONS[field[2]], folder) for field in fields],
        split=[_split(field[6], valid=range(17, 21), test=range(21, 25)) for field in fields],
        speaker=[performance[-2:] for performance in performances],
    )
    return Corpus("ravdess", samples, names.corpus_labels("ravdess"), multi_label=False)


def folds(corpus: Corpus) -> list[Corpus]:
    """Four cross-validation folds over the actors: the test actors are 1-6, 7-12, 13-18 and 19-24.

    The valid actors are the next four, two men and two women; the train actors are the other fourteen.
    """
    actors = corpus.samples["speaker"].astype(int)
    divisions = []
    for first in range(1, ACTORS + 1, 6):
        test = range(first, first + 6)
        valid = [(actor - 1) % ACTORS + 1 for actor in range(first + 6, first + 10)]
        divisions.append(corpus.with_splits(_split(actor, valid, test) for actor in actors))
    return divisions


def read_action_units(path: str | Path, *, frames: bool = False) -> dict[str, Features]:
    """Read OpenFace 2 action units of the performances, by row id: intensities `AU.._r` and presences `AU.._c`.

    The two files come from different people and agree only in AU04, 06, 07, 10, 12 and 14: do not mix them.

    Args:
        path: `ravdess_openface_au.csv.gz`, with one row per clip, gives arrays (1, feature_dim). With `frames=True`,
            `ravdess_openface_au_frames_actors01-05.csv.gz`, with one row per video frame, gives arrays
            (time, feature_dim).
        frames: whether the file has one row per video frame.
    """
    from emoembed.features.tables import read_table

    path = existing(Path(path))
    columns = [column for column in pd.read_csv(path, nrows=0).columns if re.fullmatch(r"AU\d\d_[rc]", column)]
    if not columns:
        raise CorpusError(f"{path}: no action units; expected columns such as AU12_r and AU12_c")
    if not frames:
        return read_table(path, key="wav", columns=columns, name="ravdess_action_units")
    by_clip = read_table(path, key="clip", columns=columns, name="ravdess_action_unit_frames", rate=FRAME_RATE)
    # the frame file names the clips by their audio-visual file, 01-...; row ids are names of sound-only files, 03-...
    return {f"03{clip[2:]}": features for clip, features in by_clip.items()}


def _parse_name(stem: str, path: Path) -> list[int]:
    if not re.fullmatch(r"\d\d(-\d\d){6}", stem):
        raise CorpusError(f"{path}: expected a name {PATTERN} of two digits each; rename or remove the file")
    fields = [int(field) for field in stem.split("-")]
    if fields[2] not in EMOTIONS or fields[4] not in SENTENCES or fields[6] not in range(1, ACTORS + 1):
        raise CorpusError(f"{path}: expected {PATTERN} with EE 01-08, SS 01-02 and AA 01-24")
    return fields


def _split(actor: int, valid: range | list[int], test: range) -> str:
    return "test" if actor in test else "valid" if actor in valid else "train"
