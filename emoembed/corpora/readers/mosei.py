"""CMU-MOSEI: 23,000 segments of monologue videos; each has any number of six emotions; text, sound and face.

Zadeh et al. 2018, "Multimodal Language Analysis in the Wild: CMU-MOSEI Dataset and Interpretable Dynamic Fusion
Graph". An emotion is present if its intensity is above 0. The reader accepts each form in which the corpus is
distributed:

- `csd`: the CMU SDK's computational sequences (All Labels; words or word vectors; COVAREP, FACET 4.2 or OpenFace 2)
  with `standard_folds.json` or the SDK's `cmu_mosei_std_folds.py`;
- `seq-20`: `text_train_emb.h5`, `audio_train.h5`, `video_train.h5`, `ey_train.h5`, and the same for the other splits;
- `pickle`: `mosei_senti_data.pkl` of the MulT line, or MMSA's `aligned_50.pkl` or `unaligned_50.pkl`. They have
  sentiment only; the emotions are added from `CMU_MOSEI_Labels.csd` if it is in the same folder;
- `merbench`: `label.npz` and a folder `features`; sentiment only;
- `raw`: the release's `Raw/Videos`, `Raw/Audio` and `Raw/Transcript`, with the labels' `.csd`.
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
"""Columns of `ey_*.h5` (issue 124 of the CMU SDK). Their order differs from that of the SDK's own labels."""
REFERENCES = ("glove_vectors", "words")  # sequences with one interval per word, in order of preference
MODALITIES = {"video": ("FACET 4.2", "FACET_4.2", "OpenFace_2", "OpenFace 2"), "audio": ("COVAREP",)}


def read(folder: Path) -> FeatureCorpus:
    """Read the form that is in the folder; `notes` report what was found in its files.

    Raises:
        MissingFileError: the folder has none of the forms.
        CorpusError: the folder has several forms, or a file is damaged or has its columns in another order.
    """
    readers = {
        "csd": _read_csd,
        "seq-20": _read_seq20,
        "pickle": _read_pickles,
        "merbench": _read_merbench,
        "raw": _read_raw,
    }
    present_forms = forms(existing(folder))
    if not present_forms:
        raise MissingFileError(
            f"{folder} has no files of CMU-MOSEI; expected .csd files, ey_train.h5, mosei_senti_data.pkl, "
            "aligned_50.pkl, label.npz or Raw/Transcript"
        )
    if len(present_forms) > 1:
        raise CorpusError(
            f"{folder} has several forms of CMU-MOSEI: {', '.join(present_forms)}; give a folder with only one"
        )
    return readers[present_forms[0]](folder)


def forms(folder: Path) -> list[str]:
    """The forms whose files are in the folder.

    The labels' `.csd` alone does not count as `csd`, because the pickles and the raw release use it too.
    """
    present_forms = []
    sequences = [path for path in folder.rglob("*.csd") if "abels" not in path.name]
    if sequences:
        present_forms.append("csd")
    if (folder / "ey_train.h5").is_file():
        present_forms.append("seq-20")
    if any("iemocap" not in path.name.lower() for path in folder.glob("*.pkl")):
        present_forms.append("pickle")
    if (folder / "label.npz").is_file():
        present_forms.append("merbench")
    if any(folder.rglob("Transcript")) and not sequences:
        present_forms.append("raw")
    return present_forms


def _read_csd(folder: Path) -> FeatureCorpus:
    sequences = csd.open_folder(folder)
    labels = label_sequence(sequences, folder)
    reference = next((sequences[name] for name in REFERENCES if name in sequences), None)
    if reference is None:
        raise MissingFileError(
            f"{folder} has no word sequence ({' or '.join(REFERENCES)}), to which the others are aligned; it has "
            f"{', '.join(sequences)}; add the missing .csd file"
        )
    modality_sequences = {"text": reference} if reference.name == "glove_vectors" else {}
    notes = []
    for modality, accepted_names in MODALITIES.items():
        names_present = [name for name in accepted_names if name in sequences]
        if names_present:
            modality_sequences[modality] = sequences[names_present[0]]
        notes += (
            [f"{modality}: uses {names_present[0]}, not {', '.join(names_present[1:])}"] if names_present[1:] else []
        )
        notes += [] if names_present else [f"{modality}: missing; expected one of {', '.join(accepted_names)}"]
    samples, emotions, segment_notes = segments_of(labels, read_folds(folder))
    notes += segment_notes
    if "words" in sequences:
        samples["text"] = texts_of(sequences["words"], samples)
    for modality, sequence in modality_sequences.items():
        missing_rows = samples[[video not in sequence for video in samples["dialogue"]]]
        if len(missing_rows):
            videos = missing_rows["dialogue"].nunique()
            notes.append(f"{modality}: {videos} videos ({len(missing_rows)} segments) are not in {sequence.path.name}")
    spans = zip(samples["dialogue"], zip(samples["start"], samples["end"], strict=True), strict=True)
    word_aligned = WordAligned(reference, modality_sequences, dict(zip(samples["id"], spans, strict=True)))
    return _corpus(samples, emotions, dict(word_aligned.tables), "csd", notes)


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
    notes.append("the files do not name the videos, so the bootstrap resamples segments instead of videos")
    return _corpus(samples, emotions, tables, "seq-20", notes)


def _read_pickles(folder: Path) -> FeatureCorpus:
    paths = sorted(folder.glob("*.pkl"))
    if len(paths) > 1:
        raise CorpusError(
            f"{folder} has several pickles: {', '.join(path.name for path in paths)}; keep only one there"
        )
    parts = padded_files.read_dictionary(paths[0])
    tables, notes = padded_files.to_tables(
        parts, aligned="unaligned" not in paths[0].name and "noalign" not in paths[0].name
    )
    ids = _ids(parts)
    texts = [text for part in parts for text in (part.texts if part.texts is not None else [None] * len(part.ids))]
    videos = [i.split("$_$")[0] if "$_$" in i else i.split("/")[0] if "/" in i else None for i in ids]
    samples = make_samples(ids, text=texts, split=_splits(parts), speaker=videos, dialogue=videos)
    samples["sentiment"] = np.concatenate([np.ravel(part.labels) for part in parts]).astype(float)
    label_sequences = csd.open_folder(folder)
    if not label_sequences:
        notes.append("the pickle has sentiment only; put CMU_MOSEI_Labels.csd beside it to add the emotions")
        return _corpus(samples, [()] * len(ids), tables, "pickle", notes)
    emotions, unmatched_count = emotions_of(ids, list(samples["sentiment"]), label_sequence(label_sequences, folder))
    if unmatched_count:
        notes.append(f"{unmatched_count} of {len(ids)} rows have no match in the label file and are left out")
        has_emotions = np.array([row_emotions is not None for row_emotions in emotions])
        samples = samples[has_emotions].reset_index(drop=True)
    emotions_found = [row_emotions for row_emotions in emotions if row_emotions is not None]
    return _corpus(samples, emotions_found, tables, "pickle", notes)


def _read_merbench(folder: Path) -> FeatureCorpus:
    subsets = merbench.read_labels(folder / "label.npz")
    rows = [
        (clip, merbench.SUBSETS[name], entry) for name, entries in subsets.items() for clip, entry in entries.items()
    ]
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
    samples["sentiment"] = [float(entry.get("val", np.nan)) for _, _, entry in rows]
    notes = ["MERBench has only the sentiment of CMU-MOSEI; no row has an emotion"]
    tables = merbench.read_features(folder / "features", clips)
    return _corpus(samples, [()] * len(clips), dict(tables), "merbench", notes)


def _read_raw(folder: Path) -> FeatureCorpus:
    labels = label_sequence(csd.open_folder(folder), folder)
    transcripts = _read_transcripts(folder)
    samples, emotions, notes = segments_of(labels, read_folds(folder))
    media = {
        "audio": _recordings(folder, (".wav", ".flac", ".mp3")),
        "video": _recordings(folder, (".mp4", ".avi", ".mkv")),
    }
    for modality, paths in media.items():
        samples[modality] = pd.Series([paths.get(video) for video in samples["dialogue"]], dtype=object)
        missing_videos = samples["dialogue"][samples[modality].isna()].nunique()
        notes += [f"{modality}: {missing_videos} videos have no file"] if missing_videos else []
    samples["audio"] = samples["audio"].where(samples["audio"].notna(), samples["video"])
    texts = [
        _transcript_at(transcripts.get(video, []), start)
        for video, start in zip(samples["dialogue"], samples["start"], strict=True)
    ]
    samples["text"] = pd.Series(texts, dtype=object)
    missing_texts = sum(text is None for text in texts)
    notes += [f"text: {missing_texts} labelled segments have no transcript"] if missing_texts else []
    unlabelled_count = sum(map(len, transcripts.values())) - (len(texts) - missing_texts)
    notes += [f"{unlabelled_count} transcribed segments have no label and are left out"] if unlabelled_count > 0 else []
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


def _read_transcripts(folder: Path) -> dict[str, list[tuple[float, str]]]:
    """Video -> (start, text) of its segments, from lines `video___segment___start___end___text`."""
    transcripts: dict[str, list[tuple[float, str]]] = {}
    subfolders = [subfolder for subfolder in folder.rglob("Transcript") if subfolder.is_dir()]
    for path in sorted(path for subfolder in subfolders for path in subfolder.rglob("*.txt")):
        for number, line in enumerate(read_text(path).splitlines(), start=1):
            cells = line.split("___", 4)
            if not line.strip():
                continue
            try:
                transcripts.setdefault(cells[0], []).append((float(cells[2]), cells[4]))
            except (IndexError, ValueError) as error:
                raise CorpusError(
                    f"{path}, line {number}: expected video___segment___start___end___text, found {line[:60]!r}"
                ) from error
    return transcripts


def _transcript_at(lines: Sequence[tuple[float, str]], start: float) -> str | None:
    candidates = [(abs(begin - start), text) for begin, text in lines if abs(begin - start) < SAME_TIME]
    return min(candidates)[1] if candidates else None


def _recordings(folder: Path, suffixes: Sequence[str]) -> dict[str, str]:
    """Video -> path of its complete recording; recordings of single segments are ignored."""
    paths = (path for path in sorted(folder.rglob("*")) if path.suffix.lower() in suffixes)
    return {path.stem: str(path) for path in paths if "Segmented" not in path.parts}


def _ids(parts: Sequence[padded_files.Part]) -> list[str]:
    return [i for part in parts for i in part.ids]


def _splits(parts: Sequence[padded_files.Part]) -> list[str]:
    return [part.split for part in parts for _ in part.ids]
