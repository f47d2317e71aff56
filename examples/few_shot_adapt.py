"""Adapt models to held-out emotions with 0, 1, 2, 4, 8 and 16 examples of each, and measure each time.

    python examples/few_shot_adapt.py --corpus ravdess --data DIR --unseen disgust,surprise

It takes the options of `zero_shot_eval.py` and uses the same held-out models. It scores validation rows; `--split test`
scores test rows.
"""

from __future__ import annotations

import torch
from zero_shot_eval import arguments, study_of

from emoembed.evaluation import few_shot, leak_audit


def main() -> None:
    """Run the evaluation and print the results."""
    parser = arguments(__doc__ or "")
    parser.add_argument("--shots", default="0,1,2,4,8,16", help="numbers of examples, or shares such as 1%%")
    parser.add_argument("--draws", type=int, default=5, help="number of random draws of examples")
    parsed = parser.parse_args()
    torch.set_num_threads(2)
    study = study_of(parsed)
    for line in leak_audit.audit_study(study):
        print(f"audit: {line}")
    shots = [count if count.endswith("%") else int(count) for count in parsed.shots.split(",")]
    table = few_shot.evaluate(study, shots=shots, draws=parsed.draws)
    if parsed.output:
        table.to_csv(parsed.output, index=False)
    print(
        f"\n{parsed.corpus}, {parsed.split} split, unseen {parsed.unseen}, {parsed.draws} draws, {parsed.seeds} seed(s)"
    )
    print(few_shot.summarize(table).round(3).to_string())


if __name__ == "__main__":
    main()
