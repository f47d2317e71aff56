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

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from emoembed.corpora import names
from emoembed.corpora.corpus import make_samples
from emoembed.corpora.feature_corpus import FeatureCorpus, FeatureTable
from emoembed.corpora.files import existing, read_text
from emoembed.corpora.forms import csd, merbench, padded_files
from emoembed.corpora.forms.word_aligned import WordAligned
from emoembed.corpora.readers.mosei_labels import (
    SAME_TIME,
    emotions_of,
    label_sequence,
    present_emotions,
    read_folds,
    segments_of,
    texts_of,
)
from emoembed.errors import CorpusError, MissingFileError

SEQ20_LABELS = ("anger", "disgust", "fear", "happy", "sad", "surprise")
"""Columns of `ey_*.h5` (SDK issue 124): another order than the SDK's own labels."""
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
    labels = label_sequence(sequences, folder)
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
    samples, emotions, left_out = segments_of(labels, read_folds(folder))
    notes += left_out
    if "words" in sequences:
        samples["text"] = texts_of(sequences["words"], samples)
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
    emotions = [present_emotions(row, SEQ20_LABELS) for part in parts for row in part.labels]
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
    emotions, unmatched = emotions_of(ids, list(samples["sentiment"]), label_sequence(beside, folder))
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
    labels = label_sequence(csd.open_folder(folder), folder)
    transcripts = _transcripts(folder)
    samples, emotions, notes = segments_of(labels, read_folds(folder))
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
