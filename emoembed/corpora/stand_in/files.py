"""Writes stand-in utterances in the file forms of CMU-MOSEI and IEMOCAP."""

from __future__ import annotations

import json
import pickle
import wave
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from emoembed.corpora import feature_names
from emoembed.corpora.names import to_labels
from emoembed.corpora.readers.iemocap import MULT_LABELS, NINE_CLASSES
from emoembed.corpora.readers.mosei import SEQ20_LABELS
from emoembed.corpora.readers.mosei_labels import ALL_LABELS
from emoembed.corpora.stand_in.world import IEMOCAP_WORDS, Utterance, World

if TYPE_CHECKING:
    import h5py

AUDIO_RATE, VIDEO_RATE = 100, 30


def write_csd(folder: Path, world: World, utterances: Sequence[Utterance]) -> None:
    """Write the SDK's sequences (words, word vectors, COVAREP, FACET) by video, and the labels and folds."""
    import h5py

    roots = {
        "words": "CMU_MOSEI_TimestampedWords.csd",
        "glove_vectors": "CMU_MOSEI_TimestampedWordVectors.csd",
        "COVAREP": "CMU_MOSEI_COVAREP.csd",
        "FACET 4.2": "CMU_MOSEI_VisualFacet42.csd",
    }
    files = {root: h5py.File(folder / name, "w") for root, name in roots.items()}
    groups = {root: file.create_group(f"{root}/data") for root, file in files.items()}
    for video, parts in _by_video(utterances).items():
        sequences = _video_sequences(world, parts)
        for root, group in groups.items():
            values, intervals = sequences[root]
            entry = group.create_group(video)
            entry.create_dataset("features", data=values)
            entry.create_dataset("intervals", data=intervals)
    for root, file in files.items():
        columns = {"COVAREP": feature_names.COVAREP, "FACET 4.2": feature_names.FACET}.get(root, ())
        _write_metadata(file[root], root, columns)
        file.close()
    write_labels_csd(folder, utterances)
    _write_folds(folder, utterances)


def _video_sequences(world: World, parts: Sequence[Utterance]) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """The four sequences of one video: values and intervals."""
    words = [(w, t) for utterance in parts for w, t in zip(utterance.words, _word_times(utterance), strict=True)]
    length = max(utterance.end for utterance in parts)
    views: dict[str, np.ndarray] = {}
    for modality, rate in (("audio", AUDIO_RATE), ("video", VIDEO_RATE)):
        frames = world.view(modality, np.zeros(world.matrix.shape[1]), int(length * rate) + 1)
        for utterance in parts:
            begin, end = int(utterance.start * rate), int(utterance.end * rate)
            frames[begin:end] = world.view(modality, utterance.point, end - begin)
        views[modality] = frames
    views["audio"][::997, 1] = -np.inf  # the published COVAREP files contain such values
    if len(words) % 5 == 0:  # as if no face had been detected in the first second
        views["video"] = views["video"][VIDEO_RATE:]
    first_frames = {"audio": 0, "video": int(length * VIDEO_RATE) + 1 - len(views["video"])}
    intervals = {
        name: (np.arange(first_frames[name], first_frames[name] + len(views[name]))[:, None] + np.array([0, 1])) / rate
        for name, rate in (("audio", AUDIO_RATE), ("video", VIDEO_RATE))
    }
    times = np.array([t for _, t in words])
    word_bytes = np.array([[word.encode()] for word, _ in words], dtype="S32")
    vectors = np.asarray(world.vectors[[word for word, _ in words]], dtype=np.float32)
    return {
        "words": (word_bytes, times),
        "glove_vectors": (vectors, times),
        "COVAREP": (views["audio"], intervals["audio"]),
        "FACET 4.2": (views["video"], intervals["video"]),
    }


def _word_times(utterance: Utterance) -> list[tuple[float, float]]:
    edges = np.linspace(utterance.start, utterance.end, len(utterance.words) + 1)
    return list(zip(edges[:-1].tolist(), edges[1:].tolist(), strict=True))


def write_labels_csd(folder: Path, utterances: Sequence[Utterance]) -> None:
    """Write the SDK's `All Labels`."""
    import h5py

    with h5py.File(folder / "CMU_MOSEI_Labels.csd", "w") as file:
        group = file.create_group("All Labels/data")
        for video, parts in _by_video(utterances).items():
            rows = [
                [sentiment(utterance), *(float(name in utterance.emotions) for name in ALL_LABELS[1:])]
                for utterance in parts
            ]
            entry = group.create_group(video)
            entry.create_dataset("features", data=np.array(rows, dtype=np.float32))
            entry.create_dataset("intervals", data=np.array([[utterance.start, utterance.end] for utterance in parts]))
        _write_metadata(file["All Labels"], "All Labels", ALL_LABELS)


def _write_metadata(group: h5py.Group, root: str, columns: Sequence[str]) -> None:
    import h5py

    metadata = group.create_group("metadata")
    values: dict[str, object] = {"root name": root, "dataset name": "synthetic"}
    if columns:
        values["dimension names"] = list(columns)
    for key, value in values.items():
        metadata.create_dataset(key, (1,), dtype=h5py.string_dtype())[0] = json.dumps(value)


def _write_folds(folder: Path, utterances: Sequence[Utterance]) -> None:
    folds: dict[str, list[str]] = {"train": [], "validation": [], "test": []}
    for utterance in utterances:
        name = "validation" if utterance.split == "valid" else utterance.split
        folds[name] += [utterance.video] if utterance.video not in folds[name] else []
    (folder / "standard_folds.json").write_text(json.dumps(folds))


def _pad_word_aligned(world: World, utterances: Sequence[Utterance], steps: int, *, side: str) -> dict[str, np.ndarray]:
    """Word-aligned arrays `(items, steps, dim)` by modality, with zero padding on the left or right `side`."""
    arrays: dict[str, list[np.ndarray]] = {"text": [], "audio": [], "video": []}
    for utterance in utterances:
        words = utterance.words[:steps]
        views = {
            "text": np.asarray(world.vectors[list(words)], dtype=np.float32),
            "audio": world.view("audio", utterance.point, len(words)),
            "video": world.view("video", utterance.point, len(words)),
        }
        views["audio"][0, 1] = -np.inf
        for name, rows in views.items():
            padding = np.zeros((steps - len(words), rows.shape[1]), np.float32)
            arrays[name].append(np.concatenate([padding, rows] if side == "left" else [rows, padding]))
    return {name: np.stack(rows) for name, rows in arrays.items()}


def write_seq20(folder: Path, world: World, utterances: Sequence[Utterance]) -> None:
    """Write MOSEI's seq-20 HDF5 files, padded on the left."""
    import h5py

    for split, parts in _by_split(utterances).items():
        arrays = _pad_word_aligned(world, parts, 20, side="left")
        labels = np.array([[float(name in utterance.emotions) for name in SEQ20_LABELS] for utterance in parts])
        named_arrays = {f"text_{split}_emb": arrays["text"], f"audio_{split}": arrays["audio"]}
        named_arrays |= {f"video_{split}": arrays["video"], f"ey_{split}": labels}
        for name, values in named_arrays.items():
            with h5py.File(folder / f"{name}.h5", "w") as file:
                file.create_dataset("d1", data=values)


def write_mult(
    path: Path,
    world: World,
    utterances: Sequence[Utterance],
    labels: Callable[[Sequence[Utterance]], np.ndarray],
) -> None:
    """Write a pickle of the MulT line in Python 2's protocol, padded on the left; `labels` makes its label array."""
    content = {}
    for split, parts in _by_split(utterances).items():
        arrays = _pad_word_aligned(world, parts, 50, side="left")
        content[split] = {
            "text": arrays["text"],
            "audio": arrays["audio"],
            "vision": arrays["video"],
            "labels": labels(parts),
            "id": np.array(
                [
                    [utterance.video.encode(), str(utterance.start).encode(), str(utterance.end).encode()]
                    for utterance in parts
                ]
            ),
        }
    path.write_bytes(pickle.dumps(content, protocol=2))


def write_nine_class(folder: Path, world: World, utterances: Sequence[Utterance]) -> None:
    """Write IEMOCAP's nine-class pickles."""
    canonical = [to_labels("iemocap", name, "")[0] for name in NINE_CLASSES]
    for split, parts in _by_split(utterances).items():
        arrays = _pad_word_aligned(world, parts, 21, side="left")
        rows = np.zeros((len(parts), len(NINE_CLASSES) + 2))
        for row, utterance in enumerate(parts):
            rows[row, 1 + canonical.index(to_labels("iemocap", utterance.emotions[0], "")[0])] = 1
        named_arrays = {"text": arrays["text"], "covarep": arrays["audio"], "facet": arrays["video"], "y": rows}
        for name, values in named_arrays.items():
            (folder / f"{name}_{split}.p").write_bytes(pickle.dumps(values, protocol=2))


def write_merbench(
    folder: Path,
    world: World,
    utterances: Sequence[Utterance],
    name: str,
    label: Callable[[Utterance], Mapping[str, float]],
    clip: Callable[[Utterance], str],
) -> None:
    """Write MERBench's labels, features and transcripts; `label` and `clip` return an utterance's entry and name."""
    by_split = {
        split: {clip(utterance): label(utterance) for utterance in parts}
        for split, parts in _by_split(utterances).items()
    }
    if name == "label.npz":
        subsets = {
            {"train": "train_corpus", "valid": "val_corpus", "test": "test_corpus"}[s]: c for s, c in by_split.items()
        }
    else:
        subsets = {"whole_corpus": {k: v for entries in by_split.values() for k, v in entries.items()}}
    arrays = {key: np.array(entries, dtype=object) for key, entries in subsets.items()}
    np.savez_compressed(folder / name, allow_pickle=True, **arrays)
    for kind, modality in (("chinese-hubert-base-UTT", "audio"), ("clip-vit-base-patch32-UTT", "video")):
        (folder / "features" / kind).mkdir(parents=True, exist_ok=True)
        for utterance in utterances:
            np.save(folder / "features" / kind / f"{clip(utterance)}.npy", world.view(modality, utterance.point, 1)[0])
    lines = [f'{clip(utterance)},"{" ".join(utterance.words)}"' for utterance in utterances]
    (folder / "transcription.csv").write_text("\n".join(["name,english", *lines]) + "\n")


def write_raw_mosei(folder: Path, world: World, utterances: Sequence[Utterance]) -> None:
    """Write the release's folders of transcripts, sound and video, with the label sequence and the folds."""
    transcripts, sounds = folder / "Raw/Transcript/Segmented/Combined", folder / "Raw/Audio/Full/WAV_16000"
    videos = folder / "Raw/Videos/Full/Combined"
    for subfolder in (transcripts, sounds, videos):
        subfolder.mkdir(parents=True, exist_ok=True)
    for video, parts in _by_video(utterances).items():
        lines = [
            f"{video}___{utterance.number}___{utterance.start}___{utterance.end}___{' '.join(utterance.words)}"
            for utterance in parts
        ]
        (transcripts / f"{video}.txt").write_text("\n".join(lines) + "\n")
        _write_wav(sounds / f"{video}.wav", world, max(utterance.end for utterance in parts), parts)
        _write_video(videos / f"{video}.mp4", max(utterance.end for utterance in parts))
    write_labels_csd(folder, utterances)
    _write_folds(folder, utterances)


def write_raw_iemocap(folder: Path, world: World, utterances: Sequence[Utterance]) -> None:
    """Write the release's folders: evaluations, transcripts, a sound per utterance and a video per dialogue."""
    codes = {word: code for code, word in IEMOCAP_WORDS.items()}
    for dialogue, parts in _by_video(utterances).items():
        session = folder / f"Session{dialogue[4]}"
        dialog, wavs = session / "dialog", session / "sentences" / "wav" / dialogue
        for subfolder in (dialog / "EmoEvaluation", dialog / "transcriptions", dialog / "avi" / "DivX", wavs):
            subfolder.mkdir(parents=True, exist_ok=True)
        evaluations, transcripts = ["% [START_TIME - END_TIME] TURN_NAME EMOTION [V, A, D]", ""], []
        for utterance in parts:
            name, start, end = turn(utterance), utterance.start, utterance.end
            code = codes[utterance.emotions[0]] if utterance.number else "xxx"  # the annotators disagree on first turns
            evaluations += [f"[{start:.4f} - {end:.4f}]\t{name}\t{code}\t[2.5000, 2.5000, 2.5000]"]
            evaluations += ["C-E2:\tNeutral;\t()", ""]
            transcripts.append(f"{name} [{start:08.4f}-{end:08.4f}]: {' '.join(utterance.words)}")
            _write_wav(wavs / f"{name}.wav", world, end - start, [utterance])
        (dialog / "EmoEvaluation" / f"{dialogue}.txt").write_text("\n".join(evaluations) + "\n")
        (dialog / "transcriptions" / f"{dialogue}.txt").write_text("\n".join(transcripts) + "\n")
        _write_video(dialog / "avi" / "DivX" / f"{dialogue}.avi", max(utterance.end for utterance in parts))


def _write_wav(path: Path, world: World, seconds: float, parts: Sequence[Utterance]) -> None:
    """Write a buzz like a voice; its pitch and loudness depend on the points of the utterances."""
    rate = 16_000
    time = np.arange(int(seconds * rate)) / rate
    sound = np.zeros_like(time)
    for utterance in parts:
        begin = 0 if len(parts) == 1 else int(utterance.start * rate)
        end = len(time) if len(parts) == 1 else int(utterance.end * rate)
        pitch, loudness = 160 + 60 * np.tanh(3 * utterance.point[0]), 0.3 + 0.2 * np.tanh(3 * utterance.point[1])
        waves = sum(np.sin(2 * np.pi * pitch * k * time[begin:end]) / k for k in range(1, 6))
        sound[begin:end] = loudness * waves / 2 * (0.6 + 0.4 * np.sin(2 * np.pi * 3 * time[begin:end]))
    sound += 0.002 * world.random.standard_normal(len(sound))
    with wave.open(str(path), "wb") as out:
        out.setnchannels(1)
        out.setsampwidth(2)
        out.setframerate(rate)
        out.writeframes((np.clip(sound, -1, 1) * 32767).astype("<i2").tobytes())


def _write_video(path: Path, seconds: float) -> None:
    """Write moving stripes without a face, so that tests cover videos without faces."""
    import av

    with av.open(str(path), "w") as out:
        stream = out.add_stream("mpeg4", rate=5)
        stream.width, stream.height, stream.pix_fmt = 160, 64, "yuv420p"
        columns = np.arange(160)
        for number in range(max(int(seconds * 5), 1)):
            row = (127 + 100 * np.sin((columns + 4 * number) / 9)).astype(np.uint8)
            frame = av.VideoFrame.from_ndarray(np.repeat(np.tile(row, (64, 1))[:, :, None], 3, axis=2), format="rgb24")
            out.mux(stream.encode(frame))
        out.mux(stream.encode())


def clip(utterance: Utterance) -> str:
    """The name of a MOSEI segment in MERBench."""
    return f"{utterance.video}_{utterance.number}"


def turn(utterance: Utterance) -> str:
    """The name of a turn in IEMOCAP."""
    return f"{utterance.video}_{'FM'[utterance.number % 2]}{utterance.number:03d}"


def sentiment(utterance: Utterance) -> float:
    """The sentiment of an utterance, -3 to 3, computed from its emotions."""
    positive_count = sum(name == "happy" for name in utterance.emotions)
    negative_count = sum(name in ("anger", "sad", "disgust", "fear") for name in utterance.emotions)
    return float(np.clip(2 * positive_count - negative_count, -3, 3))


def sentiment_labels(parts: Sequence[Utterance]) -> np.ndarray:
    """Sentiment `(items, 1, 1)`, as in MulT's pickle of MOSEI."""
    return np.array([[[sentiment(utterance)]] for utterance in parts], dtype=np.float32)


def four_labels(parts: Sequence[Utterance]) -> np.ndarray:
    """Emotions `(items, 4, 2)`, each as (absent, present), as in MulT's pickle of IEMOCAP."""
    present = np.array([[name == utterance.emotions[0] for name in MULT_LABELS] for utterance in parts])
    return np.stack([~present, present], axis=2).astype(np.float32)


def _by_video(utterances: Sequence[Utterance]) -> dict[str, list[Utterance]]:
    groups: dict[str, list[Utterance]] = {}
    for utterance in utterances:
        groups.setdefault(utterance.video, []).append(utterance)
    return groups


def _by_split(utterances: Sequence[Utterance]) -> dict[str, list[Utterance]]:
    return {
        split: [utterance for utterance in utterances if utterance.split == split]
        for split in ("train", "valid", "test")
    }
