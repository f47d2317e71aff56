"""IEMOCAP: five sessions of two actors each, with scripted and improvised dialogues; text, sound and face.

Busso et al. 2008, "IEMOCAP: Interactive emotional dyadic motion capture database". Licence: USC's IEMOCAP licence.
The reader accepts each form in which the corpus is distributed:

- `raw`: the release's folders `Session1` to `Session5` (`dialog/EmoEvaluation`, `dialog/transcriptions`,
  `sentences/wav`, `dialog/avi`);
- `pickle`: `iemocap_data.pkl` of the MulT line, which has only the rows with any of four emotions;
- `nine-class`: `text_train.p`, `covarep_train.p`, `facet_train.p`, `y_train.p`, and the same for the other splits;
- `merbench`: `label_4way.npz` or `label_6way.npz`, with a folder `features`.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

import pandas as pd

from emoembed.corpora import names
from emoembed.corpora.corpus import make_samples
from emoembed.corpora.feature_corpus import FeatureCorpus, FeatureTable
from emoembed.corpora.files import existing, read_text
from emoembed.corpora.forms import merbench, padded_files
from emoembed.errors import CorpusError, MissingFileError

MULT_LABELS = ("neutral", "happy", "sad", "angry")
NINE_CLASSES = ("anger", "excited", "fear", "sad", "surprised", "frustrated", "happy", "neutral", "disgust")
"""Columns of `y_*.p`, except the first (`other`) and the last (unknown); from issue 124 of the CMU SDK."""
MERBENCH_LABELS = {
    "label_4way.npz": ("hap", "sad", "neu", "ang"),
    "label_6way.npz": ("hap", "sad", "neu", "ang", "exc", "fru"),
}
"""Label file -> emotions in the order of their numbers in `emo`, as in the pickles of the conversation models."""
VALID_DIALOGUES = (
    *("Ses01M_impro01", "Ses01M_script03_1", "Ses02F_impro02", "Ses02F_impro07", "Ses02M_script01_2"),
    *("Ses03F_impro01", "Ses03M_impro02", "Ses03M_impro08a", "Ses03M_script02_2", "Ses03M_script03_2"),
    *("Ses04F_impro07", "Ses04F_script02_1"),
)
"""The twelve dialogues of Sessions 1 to 4 that are the validation split; the test split is Session 5."""
TURN = re.compile(r"\[([\d.]+) - ([\d.]+)\]\t(\S+)\t(\w+)\t\[([\d.]+), ([\d.]+), ([\d.]+)\]")
LINE = re.compile(r"(\S+) \[([\d.]+)-([\d.]+)\]: ?(.*)")


def read(folder: Path) -> FeatureCorpus:
    """Read the form that is in the folder; `notes` report what was found in its files.

    Raises:
        MissingFileError: the folder has none of the forms.
        CorpusError: the folder has several forms, or a file is damaged.
    """
    readers = {"raw": _read_raw, "pickle": _read_pickle, "nine-class": _read_nine_class, "merbench": _read_merbench}
    present_forms = forms(existing(folder))
    if not present_forms:
        raise MissingFileError(
            f"{folder} has no files of IEMOCAP; expected Session1 to Session5, iemocap_data.pkl, y_train.p, "
            "label_4way.npz or label_6way.npz"
        )
    if len(present_forms) > 1:
        raise CorpusError(
            f"{folder} has several forms of IEMOCAP: {', '.join(present_forms)}; give a folder with only one"
        )
    return readers[present_forms[0]](folder)


def forms(folder: Path) -> list[str]:
    """The forms whose files are in the folder."""
    patterns = {
        "raw": "Session[1-5]",
        "pickle": "iemocap_data*.pkl",
        "nine-class": "y_train.p",
        "merbench": "label_?way.npz",
    }
    return [form for form, pattern in patterns.items() if any(folder.glob(pattern))]


def session_of(item: str) -> int:
    """The session number of a dialogue or utterance, from its name `Ses01F_...`."""
    match = re.match(r"Ses0([1-5])[FM]", item)
    if not match:
        raise CorpusError(f"{item!r} has no session number; expected a name such as Ses01F_impro01")
    return int(match[1])


def split_of(dialogue: str) -> str:
    """The split of the conversation models: Session 5 is test, `VALID_DIALOGUES` are valid, all others train."""
    return "test" if session_of(dialogue) == 5 else "valid" if dialogue in VALID_DIALOGUES else "train"


def _read_raw(folder: Path) -> FeatureCorpus:
    """Read every annotated utterance; those with `xxx` (no agreement between annotators) or `other` have no label."""
    rows: list[dict[str, object]] = []
    unannotated_turns: list[str] = []
    for session in sorted(folder.glob("Session[1-5]")):
        for path in sorted((session / "dialog" / "EmoEvaluation").glob("Ses*.txt")):
            rows += _read_dialogue(session, path, unannotated_turns)
    if not rows:
        raise MissingFileError(
            f"{folder} has no annotations; expected files such as Session1/dialog/EmoEvaluation/Ses01F_impro01.txt"
        )
    table = pd.DataFrame(rows)
    samples = make_samples(
        table.pop("id"),
        **{name: list(table.pop(name)) for name in ("text", "audio", "video", "start", "end", "labels")},
        split=[split_of(dialogue) for dialogue in table["dialogue"]],
        **{name: list(table.pop(name)) for name in ("speaker", "dialogue", "turn")},
    )
    samples = pd.concat([samples, table], axis=1)  # adds valence, activation, dominance and the side of the picture
    notes = [
        f"{modality}: missing for {int(samples[modality].isna().sum())} utterances"
        for modality in ("text", "audio", "video")
        if samples[modality].isna().any()
    ]
    label_counts = Counter(table["native"][[not labels for labels in samples["labels"]]])
    notes += [
        f"{count} utterances are annotated as {name} and have no label" for name, count in sorted(label_counts.items())
    ]
    notes += (
        [f"{len(unannotated_turns)} transcribed turns are not annotated and are left out"] if unannotated_turns else []
    )
    return _corpus(samples, {}, "raw", notes)


def _read_dialogue(session: Path, path: Path, unannotated_turns: list[str]) -> list[dict[str, object]]:
    """Read the utterances of one dialogue, in spoken order."""
    dialogue, dialog = path.stem, session / "dialog"
    texts = _read_transcript(dialog / "transcriptions" / path.name)
    matches = [TURN.match(line) for line in _read_utf8_or_latin1(path).splitlines() if line.startswith("[")]
    if not matches or not all(matches):
        raise CorpusError(f"{path}: expected lines '[start - end]<tab>turn<tab>emotion<tab>[v, a, d]'")
    turns = sorted((match.groups() for match in matches if match), key=lambda turn: (float(turn[0]), turn[2]))
    turn_names = {turn[2] for turn in turns}
    unannotated_turns += [name for name in texts if name not in turn_names]
    recording = next(iter(sorted((dialog / "avi").rglob(f"{dialogue}.avi"))), None)
    rows = []
    for number, (start, end, name, native, *vad) in enumerate(turns):
        sound_path = session / "sentences" / "wav" / dialogue / f"{name}.wav"
        rows.append(
            {
                "id": name,
                "text": texts.get(name),
                "audio": str(sound_path) if sound_path.is_file() else None,
                "video": str(recording) if recording else None,
                "start": float(start),
                "end": float(end),
                "labels": names.to_labels("iemocap", native, path),
                "speaker": name[:5] + name.rpartition("_")[2][0],
                "dialogue": dialogue,
                "turn": number,
                # the letter in the dialogue's name is that of the actor with the markers, who sits on the left
                "side": "left" if name.rpartition("_")[2][0] == dialogue[5] else "right",
                "audio_whole": True,  # the sound file has only the utterance, the video file has the dialogue
                "native": native,
                **dict(zip(("valence", "activation", "dominance"), map(float, vad), strict=True)),
            }
        )
    return rows


def _read_transcript(path: Path) -> dict[str, str]:
    if not path.is_file():
        return {}
    matches = (LINE.match(line) for line in _read_utf8_or_latin1(path).splitlines())
    return {match[1]: match[4].strip() for match in matches if match and match[1].startswith("Ses")}


def _read_utf8_or_latin1(path: Path) -> str:
    """Read a text file as UTF-8, else as Latin-1: two files of the release contain a byte that is not UTF-8."""
    try:
        return read_text(path)
    except CorpusError:
        return path.read_bytes().decode("latin1")


def _read_pickle(folder: Path) -> FeatureCorpus:
    paths = sorted(folder.glob("iemocap_data*.pkl"))
    if len(paths) > 1:
        raise CorpusError(
            f"{folder} has several pickles: {', '.join(path.name for path in paths)}; keep only one there"
        )
    parts = padded_files.read_dictionary(paths[0])
    rows = []
    for part in parts:
        if part.labels.shape[1:] != (len(MULT_LABELS), 2):
            raise CorpusError(
                f"{part.path}, {part.split}: expected labels (items, 4, 2) for {', '.join(MULT_LABELS)}, found "
                f"{part.labels.shape}"
            )
        rows += [
            tuple(name for name, present in zip(MULT_LABELS, row.argmax(axis=1), strict=True) if present)
            for row in part.labels
        ]
    tables, notes = padded_files.to_tables(parts, aligned="noalign" not in paths[0].name)
    return _from_parts(parts, rows, tables, "pickle", notes)


def _read_nine_class(folder: Path) -> FeatureCorpus:
    parts = padded_files.read_nine_class(folder)
    rows = []
    for part in parts:
        if part.labels.ndim != 2 or part.labels.shape[1] != len(NINE_CLASSES) + 2:
            raise CorpusError(
                f"{part.path}: expected 11 columns (other, {', '.join(NINE_CLASSES)}, unknown), found "
                f"{part.labels.shape}"
            )
        rows += [
            tuple(name for name, present in zip(NINE_CLASSES, row[1:-1], strict=True) if present) for row in part.labels
        ]
    tables, notes = padded_files.to_tables(parts, aligned=True)
    return _from_parts(parts, rows, tables, "nine-class", notes)


def _from_parts(
    parts: Sequence[padded_files.Part],
    rows: Sequence[tuple[str, ...]],
    tables: Mapping[str, FeatureTable],
    form: str,
    notes: list[str],
) -> FeatureCorpus:
    labels = [
        tuple(label for native in row for label in names.to_labels("iemocap", native, parts[0].path)) for row in rows
    ]
    multiple_count = sum(len(row) > 1 for row in labels)
    notes += [f"{multiple_count} rows have more than one emotion; only the first is used"] if multiple_count else []
    notes += [f"{sum(not row for row in labels)} rows have none of the emotions"] if not all(labels) else []
    samples = make_samples(
        [i for part in parts for i in part.ids],
        split=[part.split for part in parts for _ in part.ids],
        labels=[row[:1] for row in labels],
    )
    notes.append("the files do not name the dialogues, so the bootstrap resamples rows instead of dialogues")
    return _corpus(samples, tables, form, notes)


def _read_merbench(folder: Path) -> FeatureCorpus:
    path = sorted(folder.glob("label_?way.npz"))[-1]  # the six emotions, if present, include the four
    subsets = merbench.read_labels(path)
    classes = MERBENCH_LABELS[path.name]
    entries = {clip: entry for subset in subsets.values() for clip, entry in subset.items()}
    clips = list(entries)
    dialogues = [clip.rpartition("_")[0] for clip in clips]
    texts = merbench.read_texts(folder)
    native_names = [classes[int(entries[clip]["emo"])] for clip in clips]
    samples = make_samples(
        clips,
        text=[texts.get(clip) for clip in clips],
        labels=[names.to_labels("iemocap", name, path) for name in native_names],
        split=[split_of(dialogue) for dialogue in dialogues],
        speaker=[clip[:5] + clip.rpartition("_")[2][0] for clip in clips],
        dialogue=dialogues,
        turn=pd.Series(dialogues).groupby(dialogues).cumcount(),
    )
    return _corpus(samples, merbench.read_features(folder / "features", clips), "merbench", [])


def _corpus(
    samples: pd.DataFrame, tables: Mapping[str, FeatureTable], form: str, notes: Sequence[str]
) -> FeatureCorpus:
    labels = names.corpus_labels("iemocap")
    return FeatureCorpus("iemocap", samples, labels, False, dict(tables), form, tuple(notes))
