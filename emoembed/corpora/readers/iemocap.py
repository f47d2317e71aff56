"""IEMOCAP: five sessions of two actors each, played and improvised dialogues; text, sound and face.

Busso et al. 2008, "IEMOCAP: Interactive emotional dyadic motion capture database". Licence: USC's IEMOCAP licence.
In any of the forms it is passed on as:

- `raw`: the release's folders `Session1` to `Session5` (`dialog/EmoEvaluation`, `dialog/transcriptions`,
  `sentences/wav`, `dialog/avi`);
- `pickle`: `iemocap_data.pkl` of the MulT line, four emotions and the rows without any of them left out;
- `nine-class`: `text_train.p`, `covarep_train.p`, `facet_train.p`, `y_train.p`, and so on;
- `merbench`: `label_4way.npz` or `label_6way.npz` and a folder `features`.
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
"""Columns of `y_*.p` between the first (`other`) and the last (unknown): SDK issue 124."""
MERBENCH_LABELS = {
    "label_4way.npz": ("hap", "sad", "neu", "ang"),
    "label_6way.npz": ("hap", "sad", "neu", "ang", "exc", "fru"),
}
"""What the numbers of `emo` stand for in the label files, which keep the order of the conversation line's pickles."""
VALID_DIALOGUES = (
    *("Ses01M_impro01", "Ses01M_script03_1", "Ses02F_impro02", "Ses02F_impro07", "Ses02M_script01_2"),
    *("Ses03F_impro01", "Ses03M_impro02", "Ses03M_impro08a", "Ses03M_script02_2", "Ses03M_script03_2"),
    *("Ses04F_impro07", "Ses04F_script02_1"),
)
"""The twelve training dialogues that validate; test is Session 5."""
TURN = re.compile(r"\[([\d.]+) - ([\d.]+)\]\t(\S+)\t(\w+)\t\[([\d.]+), ([\d.]+), ([\d.]+)\]")
LINE = re.compile(r"(\S+) \[([\d.]+)-([\d.]+)\]: ?(.*)")


def read(folder: Path) -> FeatureCorpus:
    """Whichever form lies in the folder; `notes` say what was found.

    Raises:
        MissingFileError: none of the forms is there.
        CorpusError: files of two forms are, or a file is broken.
    """
    readers = {"raw": _read_raw, "pickle": _read_pickle, "nine-class": _read_nine_class, "merbench": _read_merbench}
    present = forms(existing(folder))
    if not present:
        raise MissingFileError(
            f"{folder} holds IEMOCAP in no known form; expected Session1 to Session5, iemocap_data.pkl, y_train.p or "
            "label_4way.npz"
        )
    if len(present) > 1:
        raise CorpusError(f"{folder} holds IEMOCAP as {' and as '.join(present)}; give the folder of one of them")
    return readers[present[0]](folder)


def forms(folder: Path) -> list[str]:
    """The forms whose files are there."""
    marks = {
        "raw": "Session[1-5]",
        "pickle": "iemocap_data*.pkl",
        "nine-class": "y_train.p",
        "merbench": "label_?way.npz",
    }
    return [form for form, mark in marks.items() if any(folder.glob(mark))]


def session_of(item: str) -> int:
    """The session of a dialogue or utterance, from its name `Ses01F_...`."""
    found = re.match(r"Ses0([1-5])[FM]", item)
    if not found:
        raise CorpusError(f"{item!r} names no session; expected names such as Ses01F_impro01")
    return int(found[1])


def split_of(dialogue: str) -> str:
    """The conversation split: test is Session 5, valid twelve dialogues of the others."""
    return "test" if session_of(dialogue) == 5 else "valid" if dialogue in VALID_DIALOGUES else "train"


def _read_raw(folder: Path) -> FeatureCorpus:
    """Every evaluated utterance; one whose annotators did not agree (`xxx`) or that is `other` bears no label."""
    rows: list[dict[str, object]] = []
    unspoken: list[str] = []
    for session in sorted(folder.glob("Session[1-5]")):
        for path in sorted((session / "dialog" / "EmoEvaluation").glob("Ses*.txt")):
            rows += _dialogue(session, path, unspoken)
    if not rows:
        raise MissingFileError(f"{folder}: no evaluation such as Session1/dialog/EmoEvaluation/Ses01F_impro01.txt")
    table = pd.DataFrame(rows)
    samples = make_samples(
        table.pop("id"),
        **{name: list(table.pop(name)) for name in ("text", "audio", "video", "start", "end", "labels")},
        split=[split_of(dialogue) for dialogue in table["dialogue"]],
        **{name: list(table.pop(name)) for name in ("speaker", "dialogue", "turn")},
    )
    samples = pd.concat([samples, table], axis=1)  # valence, activation, dominance, and the video's side
    notes = [
        f"{modality}: {int(samples[modality].isna().sum())} utterances have none"
        for modality in ("text", "audio", "video")
        if samples[modality].isna().any()
    ]
    without = Counter(table["native"][[not labels for labels in samples["labels"]]])
    notes += [f"{count} utterances are {name} and bear no label" for name, count in sorted(without.items())]
    notes += [f"{len(unspoken)} transcribed turns are not evaluated and have no row"] if unspoken else []
    return _corpus(samples, {}, "raw", notes)


def _dialogue(session: Path, path: Path, unspoken: list[str]) -> list[dict[str, object]]:
    """The utterances of one dialogue, in the order they are spoken."""
    dialogue, dialog = path.stem, session / "dialog"
    texts = _transcript(dialog / "transcriptions" / path.name)
    found = [TURN.match(line) for line in _latin(path).splitlines() if line.startswith("[")]
    if not found or not all(found):
        raise CorpusError(f"{path}: expected lines '[start - end]<tab>turn<tab>emotion<tab>[v, a, d]'")
    turns = sorted((match.groups() for match in found if match), key=lambda turn: (float(turn[0]), turn[2]))
    known = {turn[2] for turn in turns}
    unspoken += [name for name in texts if name not in known]
    recording = next(iter(sorted((dialog / "avi").rglob(f"{dialogue}.avi"))), None)
    rows = []
    for number, (start, end, name, native, *vad) in enumerate(turns):
        sound = session / "sentences" / "wav" / dialogue / f"{name}.wav"
        rows.append(
            {
                "id": name,
                "text": texts.get(name),
                "audio": str(sound) if sound.is_file() else None,
                "video": str(recording) if recording else None,
                "start": float(start),
                "end": float(end),
                "labels": names.to_labels("iemocap", native, path),
                "speaker": name[:5] + name.rpartition("_")[2][0],
                "dialogue": dialogue,
                "turn": number,
                # the actor who wears the markers gives the dialogue its letter and sits on the left
                "side": "left" if name.rpartition("_")[2][0] == dialogue[5] else "right",
                "audio_whole": True,  # the sound is the utterance's own file, the video the dialogue's
                "native": native,
                **dict(zip(("valence", "activation", "dominance"), map(float, vad), strict=True)),
            }
        )
    return rows


def _transcript(path: Path) -> dict[str, str]:
    if not path.is_file():
        return {}
    matches = (LINE.match(line) for line in _latin(path).splitlines())
    return {match[1]: match[4].strip() for match in matches if match and match[1].startswith("Ses")}


def _latin(path: Path) -> str:
    """Two of the release's files hold a byte that is not UTF-8."""
    try:
        return read_text(path)
    except CorpusError:
        return path.read_bytes().decode("latin1")


def _read_pickle(folder: Path) -> FeatureCorpus:
    paths = sorted(folder.glob("iemocap_data*.pkl"))
    if len(paths) > 1:
        raise CorpusError(f"{folder} holds {', '.join(path.name for path in paths)}; keep one of them there")
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
    labels = [tuple(x for native in row for x in names.to_labels("iemocap", native, parts[0].path)) for row in rows]
    several = sum(len(row) > 1 for row in labels)
    notes += [f"{several} rows bear more than one emotion; the first is taken"] if several else []
    notes += [f"{sum(not row for row in labels)} rows bear none of the emotions"] if not all(labels) else []
    samples = make_samples(
        [i for part in parts for i in part.ids],
        split=[part.split for part in parts for _ in part.ids],
        labels=[row[:1] for row in labels],
    )
    notes.append("the files name no dialogues, so that intervals cannot redraw whole dialogues")
    return _corpus(samples, tables, form, notes)


def _read_merbench(folder: Path) -> FeatureCorpus:
    path = sorted(folder.glob("label_?way.npz"))[-1]  # six emotions hold the four
    subsets = merbench.read_labels(path)
    classes = MERBENCH_LABELS[path.name]
    held = {clip: one for subset in subsets.values() for clip, one in subset.items()}
    clips = list(held)
    dialogues = [clip.rpartition("_")[0] for clip in clips]
    texts = merbench.read_texts(folder)
    native = [classes[int(held[clip]["emo"])] for clip in clips]
    samples = make_samples(
        clips,
        text=[texts.get(clip) for clip in clips],
        labels=[names.to_labels("iemocap", name, path) for name in native],
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
