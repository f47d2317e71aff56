"""Build the checkpoints that ship: `python checkpoints/build --data DIR --output checkpoints`.

Each stage leaves its weights in the working folder and is skipped when they stand, so a stopped build goes on where
it was: trunk -> words -> text, audio, video -> base; and ravdess-av, sound and action units trained jointly.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import torch
from stages import (
    AV,
    TABLE_DIM,
    TABLE_WORDS,
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

from emoembed.model import checkpoint
from emoembed.reading.cache import cache_folder
from emoembed.training import recipes


def main() -> None:
    """Build every stage that is not there yet."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="the folder that holds the corpora")
    parser.add_argument("--output", type=Path, required=True, help="the folder of checkpoints")
    parser.add_argument("--work", type=Path, default=cache_folder() / "build", help="where stages are kept")
    parser.add_argument("--reports", type=Path, default=Path("docs/report"), help="what benchmarks/report.py wrote")
    parser.add_argument(
        "--stages",
        default=f"text,audio,video,base,{AV}",
        help="those to run, comma-separated; calibration alone does that of the base that stands there anew",
    )
    parser.add_argument("--seed", type=int, default=0)
    parsed = parser.parse_args()
    torch.set_num_threads(2)
    if parsed.stages == "calibration":
        base = parsed.output / "base"
        model = calibrated(parsed.data, checkpoint.load(base), parsed.reports)
        write(model, base, checkpoint.read_word_table(base / checkpoint.WORDS))
        return
    wanted = parsed.stages.split(",")
    if AV in wanted:
        write(build_av(parsed.data, parsed.seed, parsed.work), parsed.output / AV)
    if not set(wanted) - {AV}:
        return
    texts = training_texts(parsed.data)
    kind = key(recipes.REVISION["text"], VOCABULARY, TABLE_WORDS, TABLE_DIM, texts)
    start, words = parsed.work / f"trunk-{kind}", parsed.work / f"words-{kind}.bin"
    if not start.is_dir():
        checkpoint.save(build_trunk(parsed.data), start)
    untrained = checkpoint.load(start)
    if not words.is_file():
        written = words.with_suffix(".tmp")
        checkpoint.write_word_table(distil_words(untrained, texts), written)
        written.replace(words)
    stages = {"text": train_text, "audio": train_audio, "video": train_video}
    parts = {
        name: train(parsed.data, untrained, parsed.seed, parsed.work)
        for name, train in stages.items()
        if name in wanted or "base" in wanted
    }
    if "base" in wanted:
        model = base_of(parts, untrained, parsed.reports)
        write(model, parsed.output / "base", checkpoint.read_word_table(words))


if __name__ == "__main__":
    main()
