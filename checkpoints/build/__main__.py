"""Build the shipped checkpoints: `python checkpoints/build --data DIR --output checkpoints`.

Each stage saves its weights in the working folder. A stage whose weights exist is skipped, so a stopped build resumes
where it stopped. The stages: trunk -> words -> text, audio, video -> base; ravdess-av, which trains speech and facial
action units jointly; and text-permissive, which trains text on data whose licences admit commercial use.
"""

from __future__ import annotations

import argparse
from copy import deepcopy
from functools import partial
from pathlib import Path

import torch
from distil import TEACHER
from facial_actions import BLENDSHAPES, read_blendshapes
from keep import agreement, kept
from stages import (
    AV,
    TEXT_PERMISSIVE,
    base_of,
    build_av,
    build_permissive,
    calibrated,
    train_audio,
    train_video,
    write,
)
from text_stages import train_text, trunk_and_words
from texts import feelings

from emoembed.model import checkpoint, checkpoint_files
from emoembed.model.config import MODALITIES
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
        default=f"text,audio,video,base,{AV},{TEXT_PERMISSIVE}",
        help="stages to build, comma-separated; or: calibration, which only calibrates the existing base again",
    )
    parser.add_argument(
        "--whisper", default="openai/whisper-tiny.en", help="hub id or folder of the Whisper model that reads speech"
    )
    parser.add_argument("--teacher", default=TEACHER, help="hub id or folder of the sentence encoder to learn from")
    parser.add_argument("--blendshapes", type=Path, default=BLENDSHAPES, help="what `make blendshapes` wrote")
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
    others = {AV, TEXT_PERMISSIVE}
    words = build_base(parsed, stage_names) if set(stage_names) - others else None  # None: the shipped word table
    if AV in stage_names:
        table = checkpoint.read_word_table(words)
        write(build_av(parsed.data, table, parsed.seed, parsed.work, parsed.whisper), parsed.output / AV)
    if TEXT_PERMISSIVE in stage_names:
        model, own_words = build_permissive(parsed.data, parsed.teacher, parsed.seed, parsed.work, parsed.reports)
        write(model, parsed.output / TEXT_PERMISSIVE, checkpoint.read_word_table(own_words))


def build_base(parsed: argparse.Namespace, stage_names: list[str]) -> Path:
    """Build the stages of `base` that are asked for. Returns the file of its word table."""
    keep = parsed.keep.split(",")
    if "video" not in keep and {"video", "base"} & set(stage_names):
        read_blendshapes(parsed.blendshapes)  # before hours of other training
    old = checkpoint.load(parsed.output / "base") if parsed.keep else None
    if old is not None and "trunk" in keep:
        untrained, words = set_adapter_strength(deepcopy(old), 0.0), parsed.output / "base" / checkpoint_files.WORDS
    else:
        untrained, words = trunk_and_words(parsed.data, parsed.teacher, parsed.work)
    stages = {
        "text": partial(train_text, teacher=parsed.teacher),
        "audio": partial(train_audio, whisper=parsed.whisper),
        "video": partial(train_video, blendshapes=parsed.blendshapes),
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


if __name__ == "__main__":
    main()
