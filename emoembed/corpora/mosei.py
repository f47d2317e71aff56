"""CMU-MOSEI: 23,000 segments of monologue videos, six emotions that may occur together; text, sound and face.

Zadeh et al. 2018, "Multimodal Language Analysis in the Wild: CMU-MOSEI Dataset and Interpretable Dynamic Fusion
Graph". An emotion is present where its intensity is above 0. In any of the forms it is passed on as:

- `csd`: the CMU SDK's computational sequences (All Labels; words or word vectors; COVAREP, FACET 4.2 or OpenFace 2)
  beside `standard_folds.json` or the SDK's own `cmu_mosei_std_folds.py`;
- `seq-20`: `text_train_emb.h5`, `audio_train.h5`, `video_train.h5`, `ey_train.h5`, and so on;
- `pickle`: `mosei_senti_data.pkl` of the MulT line, or MMSA's `aligned_50.pkl` or `unaligned_50.pkl`; they hold
  sentiment only: beside `CMU_MOSEI_Labels.csd` their rows get emotions;
- `merbench`: `label.npz` and a folder `features`; sentiment only;
- `raw`: `Raw/Videos`, `Raw/Audio` and `Raw/Transcript` of the release beside the labels' `.csd`.
"""

from __future__ import annotations

import ast
import json
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from emoembed.corpora import csd, merbench, names, padded_files
from emoembed.corpora.corpus import make_samples
from emoembed.corpora.csd import ComputationalSequence
from emoembed.corpora.feature_corpus import FeatureCorpus, FeatureTable
from emoembed.corpora.files import existing, read_text
from emoembed.corpora.word_aligned import WordAligned
from emoembed.errors import CorpusError, MissingFileError

ALL_LABELS = ("sentiment", "happy", "sad", "anger", "surprise", "disgust", "fear")
"""Columns of the SDK's `All Labels` (SDK issue 191)."""
SEQ20_LABELS = ("anger", "disgust", "fear", "happy", "sad", "surprise")
"""Columns of `ey_*.h5` (SDK issue 124): another order than the SDK's own labels."""
FOLDS = {"train": "train", "valid": "valid", "validation": "valid", "test": "test"}
SAME_TIME = 0.5  # seconds by which a transcript's and a label's times of the same segment may differ
REFERENCES = ("glove_vectors", "words")  # sequences whose intervals are words, the better first
MODALITIES = {"video": ("FACET 4.2", "FACET_4.2", "OpenFace_2", "OpenFace 2"), "audio": ("COVAREP",)}


def read(folder: Path) -> FeatureCorpus:
    """Whichever form lies in the folder; `notes` say what was found.

    Raises:
        MissingFileError: none of the forms is there.
        CorpusError: files of two forms are, or a file is broken or has another order of columns.
    """
    readers = {
        "csd": _read_csd,
        "seq-20": _read_seq20,
        "pickle": _read_pickles,
        "merbench": _read_merbench,
        "raw": _read_raw,
    }
    present = forms(existing(folder))
    if not present:
        raise MissingFileError(
            f"{folder} holds CMU-MOSEI in no known form; expected .csd files, ey_train.h5, mosei_senti_data.pkl, "
            "aligned_50.pkl, label.npz, or Raw/Transcript"
        )
    if len(present) > 1:
        raise CorpusError(f"{folder} holds CMU-MOSEI as {' and as '.join(present)}; give the folder of one of them")
    return readers[present[0]](folder)


def read_folds(folder: Path) -> dict[str, str]:
    """Video -> split, from `standard_folds.json` or the SDK's `cmu_mosei_std_folds.py` (which is not run)."""
    for path in sorted(folder.rglob("standard_folds.json")):
        try:
            return _by_video(json.loads(read_text(path)), path)
        except ValueError as error:
            raise CorpusError(f"{path}: expected JSON of train, validation and test: {error}") from error
    for path in sorted(folder.rglob("*std_folds.py")):
        named = {
            node.targets[0].id.split("_")[1]: ast.literal_eval(node.value)
            for node in ast.parse(read_text(path)).body
            if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name)
        }
        return _by_video(named, path)
    raise MissingFileError(
        f"{folder} has no folds; put the CMU SDK's file cmu_mosei_std_folds.py there (in its folder "
        "mmsdk/mmdatasdk/dataset/standard_datasets/CMU_MOSEI), or a standard_folds.json of train, validation and test"
    )


def _by_video(folds: object, path: Path) -> dict[str, str]:
    if not isinstance(folds, Mapping) or not {"train", "test"} <= set(folds) <= set(FOLDS):
        raise CorpusError(f"{path}: expected lists of videos named train, validation (or valid) and test")
    return {video: FOLDS[name] for name, videos in folds.items() for video in videos}


def forms(folder: Path) -> list[str]:
    """The forms whose files are there; a labels' `.csd` alone belongs to the pickles or the raw release beside it."""
    found = []
    sequences = [path for path in folder.rglob("*.csd") if "abels" not in path.name]
    if sequences:
        found.append("csd")
    if (folder / "ey_train.h5").is_file():
        found.append("seq-20")
    if any("iemocap" not in path.name.lower() for path in folder.glob("*.pkl")):
        found.append("pickle")
    if (folder / "label.npz").is_file():
        found.append("merbench")
    if any(folder.rglob("Transcript")) and not sequences:
        found.append("raw")
    return found


def _read_csd(folder: Path) -> FeatureCorpus:
    sequences = csd.open_folder(folder)
    labels = _label_sequence(sequences, folder)
    reference = next((sequences[name] for name in REFERENCES if name in sequences), None)
    if reference is None:
        raise MissingFileError(
            f"{folder} lacks the words' sequence ({' or '.join(REFERENCES)}), to which the others are aligned; it has "
            f"{', '.join(sequences)}"
        )
    others = {"text": reference} if reference.name == "glove_vectors" else {}
    notes = []
    for modality, known in MODALITIES.items():
        there = [name for name in known if name in sequences]
        if there:
            others[modality] = sequences[there[0]]
        notes += [f"{modality}: {there[0]} is read, {', '.join(there[1:])} is not"] if there[1:] else []
        notes += [] if there else [f"{modality}: none of {', '.join(known)} is there"]
    samples, emotions, left_out = _segments(labels, read_folds(folder))
    notes += left_out
    if "words" in sequences:
        samples["text"] = _texts(sequences["words"], samples)
    for modality, sequence in others.items():
        lacking = samples[[video not in sequence for video in samples["dialogue"]]]
        if len(lacking):
            videos = lacking["dialogue"].nunique()
            notes.append(f"{modality}: {videos} videos ({len(lacking)} segments) are not in {sequence.path.name}")
    spans = zip(samples["dialogue"], zip(samples["start"], samples["end"], strict=True), strict=True)
    aligned = WordAligned(reference, others, dict(zip(samples["id"], spans, strict=True)))
    return _corpus(samples, emotions, dict(aligned.tables), "csd", notes)


def _read_seq20(folder: Path) -> FeatureCorpus:
    parts = padded_files.read_seq20(folder)
    for part in parts:
        if part.labels.shape[1:] != (len(SEQ20_LABELS),):
            raise CorpusError(
                f"{part.path}: expected columns {', '.join(SEQ20_LABELS)}, found an array {part.labels.shape}"
            )
    tables, notes = padded_files.to_tables(parts, aligned=True)
    emotions = [_present_emotions(row, SEQ20_LABELS) for part in parts for row in part.labels]
    samples = make_samples(_ids(parts), split=_splits(parts))
    notes.append("the files name no videos, so that intervals cannot redraw whole videos")
    return _corpus(samples, emotions, tables, "seq-20", notes)


def _read_pickles(folder: Path) -> FeatureCorpus:
    paths = sorted(folder.glob("*.pkl"))
    if len(paths) > 1:
        raise CorpusError(f"{folder} holds {', '.join(path.name for path in paths)}; keep one of them there")
    parts = padded_files.read_dictionary(paths[0])
    tables, notes = padded_files.to_tables(
        parts, aligned="unaligned" not in paths[0].name and "noalign" not in paths[0].name
    )
    ids = _ids(parts)
    texts = [text for part in parts for text in (part.texts if part.texts is not None else [None] * len(part.ids))]
    videos = [i.split("$_$")[0] if "$_$" in i else i.split("/")[0] if "/" in i else None for i in ids]
    samples = make_samples(ids, text=texts, split=_splits(parts), speaker=videos, dialogue=videos)
    samples["sentiment"] = np.concatenate([np.ravel(part.labels) for part in parts]).astype(float)
    beside = csd.open_folder(folder)
    if not beside:
        notes.append("the pickle holds sentiment only: put CMU_MOSEI_Labels.csd beside it for the emotions")
        return _corpus(samples, [()] * len(ids), tables, "pickle", notes)
    emotions, unmatched = _emotions_of(ids, _label_sequence(beside, folder))
    if unmatched:
        notes.append(f"{unmatched} of {len(ids)} rows are not in the labels' sequence and are left out")
        kept = np.array([found is not None for found in emotions])
        samples = samples[kept].reset_index(drop=True)
    return _corpus(samples, [found for found in emotions if found is not None], tables, "pickle", notes)


def _read_merbench(folder: Path) -> FeatureCorpus:
    subsets = merbench.read_labels(folder / "label.npz")
    rows = [(clip, merbench.SUBSETS[name], one) for name, held in subsets.items() for clip, one in held.items()]
    clips = [clip for clip, _, _ in rows]
    texts = merbench.read_texts(folder)
    videos = [clip.rpartition("_")[0] or clip for clip in clips]
    samples = make_samples(
        clips,
        text=[texts.get(clip) for clip in clips],
        split=[split for _, split, _ in rows],
        speaker=videos,
        dialogue=videos,
    )
    samples["sentiment"] = [float(one.get("val", np.nan)) for _, _, one in rows]
    notes = ["MERBench labels CMU-MOSEI with sentiment only; no row has an emotion"]
    tables = merbench.read_features(folder / "features", clips)
    return _corpus(samples, [()] * len(clips), dict(tables), "merbench", notes)


def _read_raw(folder: Path) -> FeatureCorpus:
    labels = _label_sequence(csd.open_folder(folder), folder)
    transcripts = _transcripts(folder)
    samples, emotions, notes = _segments(labels, read_folds(folder))
    media = {
        "audio": _media(folder, (".wav", ".flac", ".mp3")),
        "video": _media(folder, (".mp4", ".avi", ".mkv")),
    }
    for modality, paths in media.items():
        samples[modality] = pd.Series([paths.get(video) for video in samples["dialogue"]], dtype=object)
        lacking = samples["dialogue"][samples[modality].isna()].nunique()
        notes += [f"{modality}: {lacking} videos have no file"] if lacking else []
    samples["audio"] = samples["audio"].where(samples["audio"].notna(), samples["video"])
    texts = [
        _transcript_at(transcripts.get(video, []), start)
        for video, start in zip(samples["dialogue"], samples["start"], strict=True)
    ]
    samples["text"] = pd.Series(texts, dtype=object)
    lacking = sum(text is None for text in texts)
    notes += [f"text: {lacking} labelled segments have no transcript"] if lacking else []
    unlabelled = sum(map(len, transcripts.values())) - (len(texts) - lacking)
    notes += [f"{unlabelled} transcribed segments have no label and are left out"] if unlabelled > 0 else []
    return _corpus(samples, emotions, {}, "raw", notes)


def _corpus(
    samples: pd.DataFrame,
    emotions: Sequence[tuple[str, ...]],
    tables: Mapping[str, FeatureTable],
    form: str,
    notes: Sequence[str],
) -> FeatureCorpus:
    samples["labels"] = pd.Series(list(emotions), index=samples.index, dtype=object)
    return FeatureCorpus("mosei", samples, names.corpus_labels("mosei"), True, dict(tables), form, tuple(notes))


def _label_sequence(sequences: Mapping[str, ComputationalSequence], folder: Path) -> ComputationalSequence:
    """The labels, whose columns are checked against their names where the file has them."""
    found = [one for name, one in sequences.items() if "label" in name.lower()]
    if len(found) != 1:
        raise MissingFileError(
            f"{folder} lacks the labels' sequence (CMU_MOSEI_Labels.csd, named All Labels); it has "
            f"{', '.join(sequences) or 'none'}"
        )
    given = found[0].metadata.get("dimension names")
    if isinstance(given, list) and tuple(map(str.lower, map(str, given))) not in (ALL_LABELS, _long_names()):
        raise CorpusError(
            f"{found[0].path} names its columns {', '.join(map(str, given))}; expected {', '.join(ALL_LABELS)}: "
            "another order would give every row a wrong emotion"
        )
    return found[0]


def _long_names() -> tuple[str, ...]:
    return ("sentiment", "happiness", "sadness", "anger", "surprise", "disgust", "fear")


def _segments(
    labels: ComputationalSequence, folds: Mapping[str, str]
) -> tuple[pd.DataFrame, list[tuple[str, ...]], list[str]]:
    """All labelled segments of the folds, their emotions, and what was left out."""
    rows: list[tuple[str, str, float, float, str, float, int]] = []
    emotions = []
    outside = 0
    for video in labels:
        timed = labels[video]
        if timed.values.shape[1] != len(ALL_LABELS):
            raise CorpusError(
                f"{labels.path}, {video}: expected {len(ALL_LABELS)} columns ({', '.join(ALL_LABELS)}), found "
                f"{timed.values.shape[1]}"
            )
        if video not in folds:
            outside += len(timed.values)
            continue
        for number, (values, (start, end)) in enumerate(zip(timed.values, timed.intervals, strict=True)):
            rows.append((f"{video}[{number}]", video, start, end, folds[video], float(values[0]), number))
            emotions.append(_present_emotions(values, ALL_LABELS))
    if not rows:
        raise CorpusError(f"{labels.path}: none of its {len(labels)} videos is in the folds")
    ids, videos, starts, ends, splits, sentiment, turns = zip(*rows, strict=True)
    samples = make_samples(ids, start=starts, end=ends, split=splits, speaker=videos, dialogue=videos, turn=turns)
    samples["sentiment"] = sentiment
    return samples, emotions, [f"{outside} labelled segments are of videos in no fold and are left out"] * bool(outside)


def _present_emotions(values: np.ndarray, columns: Sequence[str]) -> tuple[str, ...]:
    """Canonical names of those above 0."""
    native = [name for name, value in zip(columns, values, strict=True) if name != "sentiment" and value > 0]
    return tuple(label for name in native for label in names.to_labels("mosei", name, "CMU-MOSEI"))


def _texts(words: ComputationalSequence, samples: pd.DataFrame) -> pd.Series:
    """The words of each segment, without the SDK's mark of a pause."""
    texts: list[str | None] = [None] * len(samples)
    spans = samples[["start", "end"]].to_numpy()
    for video, rows in samples.groupby("dialogue").indices.items():
        if str(video) not in words:
            continue
        spoken, times = words.words(str(video)), words[str(video)].intervals
        for row in rows:
            start, end = spans[row]
            said = [w for w, (a, b) in zip(spoken, times, strict=True) if a < end and b > start and w != "sp"]
            texts[row] = " ".join(said) or None
    return pd.Series(texts, index=samples.index, dtype=object)


def _emotions_of(ids: Sequence[str], labels: ComputationalSequence) -> tuple[list[tuple[str, ...] | None], int]:
    """Emotions of `video/start/end` or `video$_$segment` rows; None for a row the labels lack."""
    found: list[tuple[str, ...] | None] = []
    for one in ids:
        video, _, rest = one.partition("$_$") if "$_$" in one else one.partition("/")
        values = None
        if video in labels:
            timed = labels[video]
            if "$_$" in one and rest.isdigit() and int(rest) < len(timed.values):
                values = timed.values[int(rest)]
            elif "$_$" not in one and rest:
                start = float(rest.split("/")[0])
                nearest = int(np.abs(timed.intervals[:, 0] - start).argmin())
                if abs(timed.intervals[nearest, 0] - start) < SAME_TIME:
                    values = timed.values[nearest]
        found.append(None if values is None else _present_emotions(values, ALL_LABELS))
    return found, sum(one is None for one in found)


def _transcripts(folder: Path) -> dict[str, list[tuple[float, str]]]:
    """Video -> starts and texts, of lines `video___segment___start___end___text`."""
    found: dict[str, list[tuple[float, str]]] = {}
    places = [place for place in folder.rglob("Transcript") if place.is_dir()]
    for path in sorted(path for place in places for path in place.rglob("*.txt")):
        for number, line in enumerate(read_text(path).splitlines(), start=1):
            cells = line.split("___", 4)
            if not line.strip():
                continue
            try:
                found.setdefault(cells[0], []).append((float(cells[2]), cells[4]))
            except (IndexError, ValueError) as error:
                raise CorpusError(
                    f"{path}, line {number}: expected video___segment___start___end___text, found {line[:60]!r}"
                ) from error
    return found


def _transcript_at(lines: Sequence[tuple[float, str]], start: float) -> str | None:
    near = [(abs(begin - start), text) for begin, text in lines if abs(begin - start) < SAME_TIME]
    return min(near)[1] if near else None


def _media(folder: Path, suffixes: Sequence[str]) -> dict[str, str]:
    """Video -> its whole recording, not one cut to a segment."""
    paths = (path for path in sorted(folder.rglob("*")) if path.suffix.lower() in suffixes)
    return {path.stem: str(path) for path in paths if "Segmented" not in path.parts}


def _ids(parts: Sequence[padded_files.Part]) -> list[str]:
    return [i for part in parts for i in part.ids]


def _splits(parts: Sequence[padded_files.Part]) -> list[str]:
    return [part.split for part in parts for _ in part.ids]
