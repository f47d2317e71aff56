"""Build the shipped checkpoints: `python checkpoints/build --data DIR --output checkpoints`.

Each stage saves its weights in the working folder. A stage whose weights exist is skipped, so a stopped build resumes
where it stopped. The stages: trunk -> words -> text, audio, video -> base; and ravdess-av, which trains speech and
facial action units jointly.
"""

from __future__ import annotations

import argparse
from copy import deepcopy
from functools import partial
from pathlib import Path

import torch
from distil import TEACHER
from keep import agreement, kept
from stages import (
    AV,
    TABLE_DIM,
    TABLE_WORDS,
    TRUNK_REVISION,
    VOCABULARY,
    base_of,
    build_av,
    build_trunk,
    calibrated,
    distil_words,
    key,
    train_audio,
    train_text,
    train_video,
    training_texts,
    write,
)
from texts import feelings

from emoembed.model import checkpoint, checkpoint_files
from emoembed.model.config import MODALITIES
from emoembed.model.model import EmotionModel
from emoembed.reading.cache import cache_folder
from emoembed.training.build import set_adapter_strength


def main() -> None:
    """Build every stage that does not exist yet."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="folder of the corpora")
    parser.add_argument("--output", type=Path, required=True, help="folder for the checkpoints")
    parser.add_argument("--work", type=Path, default=cache_folder() / "build", help="folder for the stages")
    parser.add_argument(
        "--reports", type=Path, default=Path("docs/report"), help="folder of the reports of benchmarks/report.py"
    )
    parser.add_argument(
        "--stages",
        default=f"text,audio,video,base,{AV}",
        help="stages to build, comma-separated; or: calibration, which only calibrates the existing base again",
    )
    parser.add_argument(
        "--whisper", default="openai/whisper-tiny.en", help="hub id or folder of the Whisper model that reads speech"
    )
    parser.add_argument("--teacher", default=TEACHER, help="hub id or folder of the sentence encoder to learn from")
    parser.add_argument(
        "--keep",
        default="",
        help="parts to keep from the existing base, comma-separated: trunk (the sentence encoder and the word table), "
        "audio, video",
    )
    parser.add_argument("--seed", type=int, default=0, help="seed of the training")
    parsed = parser.parse_args()
    torch.set_num_threads(2)
    if parsed.stages == "calibration":
        base = parsed.output / "base"
        model = calibrated(parsed.data, checkpoint.load(base), parsed.reports)
        write(model, base, checkpoint.read_word_table(base / checkpoint_files.WORDS))
        return
    stage_names = parsed.stages.split(",")
    words = build_base(parsed, stage_names) if set(stage_names) - {AV} else None  # None: the shipped word table
    if AV in stage_names:
        table = checkpoint.read_word_table(words)
        write(build_av(parsed.data, table, parsed.seed, parsed.work, parsed.whisper), parsed.output / AV)


def build_base(parsed: argparse.Namespace, stage_names: list[str]) -> Path:
    """Build the stages of `base` that are asked for. Returns the file of its word table."""
    keep = parsed.keep.split(",")
    old = checkpoint.load(parsed.output / "base") if parsed.keep else None
    if old is not None and "trunk" in keep:
        untrained, words = set_adapter_strength(deepcopy(old), 0.0), parsed.output / "base" / checkpoint_files.WORDS
    else:
        untrained, words = build_trunk_and_words(parsed)
    stages = {
        "text": train_text,
        "audio": partial(train_audio, whisper=parsed.whisper),
        "video": train_video,
    }
    parts = {
        name: train(parsed.data, untrained, parsed.seed, parsed.work)
        for name, train in stages.items()
        if (name in stage_names or "base" in stage_names) and name not in keep
    }
    for name in old.modalities if old is not None else ():
        if name not in keep:
            continue
        parts[name] = kept(old, name, untrained, feelings(parsed.data))
        print(f"{name}: points of labels agree, mean cosine {agreement(old, parts[name], name):.3f}", flush=True)
    parts = {name: parts[name] for name in MODALITIES if name in parts}
    if "base" in stage_names:
        model = calibrated(parsed.data, base_of(parts, untrained), parsed.reports)
        write(model, parsed.output / "base", checkpoint.read_word_table(words))
    return words


def build_trunk_and_words(parsed: argparse.Namespace) -> tuple[EmotionModel, Path]:
    """The distilled sentence encoder with untrained adapters, and the file of its word table."""
    texts = training_texts(parsed.data)
    digest = key(checkpoint.VERSION, TRUNK_REVISION, VOCABULARY, TABLE_WORDS, TABLE_DIM, texts)
    trunk, words = parsed.work / f"trunk-{digest}", parsed.work / f"words-{digest}.bin"
    if not trunk.is_dir():
        checkpoint.save(build_trunk(parsed.data, parsed.teacher, parsed.work), trunk)
    untrained = checkpoint.load(trunk)
    if not words.is_file():
        temporary = words.with_suffix(".tmp")
        checkpoint.write_word_table(distil_words(untrained, texts), temporary)
        temporary.replace(words)
    return untrained, words


if __name__ == "__main__":
    main()
