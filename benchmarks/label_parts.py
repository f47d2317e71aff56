"""Compare parts of a label for sound and faces: `python benchmarks/label_parts.py --data DIR` (two minutes).

The corpus is RAVDESS. Each of eight emotions is held out in turn, in four folds by actor. Ridge regression maps the
statistics of a clip to label points made of different parts. The score is the mean AUC of the held-out emotion on
validation actors. Test rows are never scored.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from studies import voice_and_face

import emoembed
from emoembed.evaluation import baselines
from emoembed.evaluation.report import Report, write
from emoembed.labels.projections import LabelParts, LabelProjection
from emoembed.labels.space import VAD_DIM
from emoembed.model.model import EmotionModel

VOICE = (0.6, 1.0, 1.0, 0.8)
PARTS = {
    "text alone": LabelParts(),
    "valence, arousal, dominance alone": LabelParts(vad_share=1.0),
    "the same with valence at 0.6": LabelParts(vad_share=1.0, vad_weights=VOICE),
    "VAD 0.8, text 0.2": LabelParts(vad_share=0.8),
    "sounds alone": LabelParts(cue_share=1.0, cue="sounds"),
    "looks alone": LabelParts(cue_share=1.0, cue="looks"),
    "VAD 0.6, sounds 0.3, text 0.1": LabelParts(vad_share=0.6, cue_share=0.3, cue="sounds"),
    "the same, valence at 0.6": LabelParts(0.6, 0.3, "sounds", VOICE),
    "VAD 0.5, sounds 0.4, text 0.1, valence at 0.6 (speech)": LabelParts(0.5, 0.4, "sounds", VOICE),
    "VAD 0.4, sounds 0.5, text 0.1, valence at 0.6": LabelParts(0.4, 0.5, "sounds", VOICE),
    "VAD 0.5, sounds 0.5, valence at 0.6": LabelParts(0.5, 0.5, "sounds", VOICE),
    "VAD 0.6, looks 0.3, text 0.1": LabelParts(0.6, 0.3, "looks"),
    "VAD 0.5, looks 0.4, text 0.1 (faces)": LabelParts(0.5, 0.4, "looks"),
    "VAD 0.4, looks 0.5, text 0.1": LabelParts(0.4, 0.5, "looks"),
}


def label_points(model: EmotionModel, labels: tuple[str, ...], parts: LabelParts) -> np.ndarray:
    """Labels' points before any training, `(labels, dim)`."""
    projection = LabelProjection(model.config.phrase_dim, model.config.phrase_dim + VAD_DIM + parts.cue_dim, parts)
    return projection(model.embed(labels)).detach().numpy()


def main() -> None:
    """Print a line for each way to make label points, and write the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="folder of the corpora")
    parser.add_argument("--base", default="base", help="checkpoint; its phrase encoder embeds labels")
    parser.add_argument("--output", type=Path, default=Path("build/label-parts"), help="folder for the report")
    parsed = parser.parse_args()
    torch.set_num_threads(2)
    model = emoembed.load(parsed.base).model
    data, _ = voice_and_face.read_both(parsed.data)
    true, splits, inputs = (
        data.targets.argmax(axis=1),
        voice_and_face.splits_of(data, parsed.data),
        voice_and_face.statistics_of(data, model),
    )
    aucs = {}
    for name, parts in PARTS.items():
        points = label_points(model, data.labels, parts)
        aucs[name] = {way: baselines.held_out_ridge(points, one, true, splits, "valid") for way, one in inputs.items()}
        print(f"{name:56}" + "  ".join(f"{way} {one:.3f}" for way, one in aucs[name].items()), flush=True)
    facts = {"corpus": "RAVDESS, four folds of actors", "split": "validation", "measure": "mean AUC of each held out"}
    report = Report("What of a label to use, by ridge regression to it", facts)
    report.tables["Labels made of"] = pd.DataFrame(aucs).T.rename_axis("parts")
    write(report, parsed.output)


if __name__ == "__main__":
    main()
