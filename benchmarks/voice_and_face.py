"""Train sound and face together on RAVDESS speech and facial action units, then score with one of them missing.

    python benchmarks/voice_and_face.py --data DIR                       # trains on four folds by actor
    python benchmarks/voice_and_face.py --data DIR --model ravdess-av    # scores the shipped joint checkpoint
    python benchmarks/voice_and_face.py --data DIR --label-weights       # fusion with and without weights by label

By default validation rows are scored; `--split test` scores test rows.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import torch
from studies import voice_and_face

import emoembed


def main() -> None:
    """Run and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--data",
        type=Path,
        required=True,
        help="folder of ravdess and ravdess_openface; to train models, also of tess and emodb",
    )
    parser.add_argument("--model", help="score this joint checkpoint; train no model")
    parser.add_argument(
        "--label-weights", action="store_true", help="compare weights of each label with one weight for all labels"
    )
    parser.add_argument("--seeds", type=int, default=1, help="run seeds 0 to N-1")
    parser.add_argument("--split", choices=("valid", "test"), default="valid", help="rows to score")
    parser.add_argument("--fold", type=int, help="one of the four folds (0 to 3); default: all")
    parser.add_argument("--cache", type=Path, help="folder for extracted features")
    parser.add_argument("--output", type=Path, help="CSV file for all rows of the result")
    parsed = parser.parse_args()
    torch.set_num_threads(2)
    if parsed.model:
        scores = voice_and_face.evaluate_checkpoint(
            emoembed.load(parsed.model).model, parsed.data, parsed.split, parsed.cache
        )
        print(f"{parsed.model}, {parsed.split} split, UAR of 8 emotions\n{scores.round(3).to_string()}")
        return
    if parsed.label_weights:
        table = voice_and_face.compare_label_weights(parsed.data, seeds=range(parsed.seeds), cache=parsed.cache)
        by_seed = table.drop(columns="fold").groupby("seed").mean()
        print(by_seed.mean().round(4).to_string())
        for name in ("UAR", "AP", "AUC"):
            gain = by_seed[f"{name}, by label"] - by_seed[f"{name}, one weight"]
            print(f"gain in {name} by seed: {', '.join(f'{value:+.4f}' for value in gain)}")
        return
    table = voice_and_face.evaluate(
        parsed.data,
        seeds=tuple(range(parsed.seeds)),
        split=parsed.split,
        fold=parsed.fold,
        cache=parsed.cache,
        progress=True,
    )
    if parsed.output:
        table.to_csv(parsed.output, index=False)
    figures = table.drop(columns="seed").groupby("fold").mean()
    print(f"\nRAVDESS, {parsed.split} split, {parsed.seeds} seed(s), UAR of 8 emotions, by fold")
    print(figures.T.assign(mean=figures.mean()).round(3).to_string())


if __name__ == "__main__":
    main()
