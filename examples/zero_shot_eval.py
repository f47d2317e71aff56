"""Train with held-out emotions, then measure how well the model recognises them by name.

    python examples/zero_shot_eval.py --corpus ravdess --data DIR --unseen disgust,surprise --seeds 3
    python examples/zero_shot_eval.py --corpus goemotions --data DIR --unseen anger,fear,joy,love,sadness,surprise
    python examples/zero_shot_eval.py --corpus fer2013 --data DIR --unseen each

By default validation rows are scored. Use `--split test` only for a final result.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import torch

import emoembed
from emoembed.evaluation import leak_audit, zero_shot
from emoembed.evaluation.study import Study


def arguments(description: str) -> argparse.ArgumentParser:
    """The command-line options of both evaluation scripts."""
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--corpus", required=True, help="ravdess, goemotions, fer2013, ... or a manifest's path")
    parser.add_argument("--data", type=Path, required=True, help="folder of the corpus")
    parser.add_argument("--unseen", required=True, help="emotions to hold out together, comma-separated; or: each")
    parser.add_argument("--seeds", type=int, default=1, help="run seeds 0 to N-1")
    parser.add_argument("--split", choices=("valid", "test"), default="valid", help="rows to score")
    parser.add_argument("--fold", type=int, help="one of the four folds of RAVDESS (0 to 3); default: all")
    parser.add_argument("--cache", type=Path, help="folder for features and trained models")
    parser.add_argument("--output", type=Path, help="CSV file for all rows of the result")
    return parser


def study_of(parsed: argparse.Namespace) -> Study:
    """The study that both evaluation scripts measure."""
    return Study(
        parsed.corpus,
        parsed.data,
        emoembed.load("base").model,
        unseen=parsed.unseen,
        seeds=range(parsed.seeds),
        split=parsed.split,
        fold=parsed.fold,
        cache=parsed.cache,
        progress=True,
    )


def main() -> None:
    """Run the evaluation and print the results."""
    parsed = arguments(__doc__ or "").parse_args()
    torch.set_num_threads(2)
    study = study_of(parsed)
    for line in leak_audit.audit_study(study):
        print(f"audit: {line}")
    table = zero_shot.evaluate(study)
    if parsed.output:
        table.to_csv(parsed.output, index=False)
    print(f"\n{parsed.corpus}, {parsed.split} split, unseen {parsed.unseen}, {parsed.seeds} seed(s)")
    print(zero_shot.summarize(table).round(3).to_string())
    print("\nper unseen label (chance: AUC 0.5, AP the share of rows with the label)")
    labels = zero_shot.by_label(table)
    untrained = zero_shot.untrained_similarity(study.folds, study.base, list(labels.index), study.split)
    labels["untrained auc"] = [untrained[label]["auc"] for label in labels.index]
    print(labels.round(3).to_string())
    print(f"mean AUC {labels['auc'].mean():.3f}")


if __name__ == "__main__":
    main()
