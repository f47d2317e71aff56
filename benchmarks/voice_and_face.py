"""Sound and face together: train on RAVDESS speech and action units, and take either away.

    python benchmarks/voice_and_face.py --data DIR                       # four actor folds, trained anew
    python benchmarks/voice_and_face.py --data DIR --model ravdess-av    # the joint checkpoint that ships

Validation rows are scored unless `--split test` is given.
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
        help="the folder of ravdess and ravdess_openface; of tess and emodb where models are trained",
    )
    parser.add_argument("--model", help="score this joint checkpoint, and train nothing")
    parser.add_argument("--seeds", type=int, default=1, help="run seeds 0 to N-1")
    parser.add_argument("--split", choices=("valid", "test"), default="valid")
    parser.add_argument("--fold", type=int, help="one of the four folds (0 to 3); all by default")
    parser.add_argument("--cache", type=Path, help="where features are kept")
    parser.add_argument("--output", type=Path, help="also write every row there as CSV")
    parsed = parser.parse_args()
    torch.set_num_threads(2)
    if parsed.model:
        scores = voice_and_face.evaluate_checkpoint(
            emoembed.load(parsed.model).model, parsed.data, parsed.split, parsed.cache
        )
        print(f"{parsed.model}, {parsed.split} split, UAR of 8 emotions\n{scores.round(3).to_string()}")
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
