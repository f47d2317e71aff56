"""What of a label to use in sound and in faces: `python benchmarks/label_parts.py --data DIR` (two minutes).

RAVDESS, each of eight emotions held out in turn of four actor folds: ridge regression from a clip's statistics to label
points made of different parts, mean AUC of the held-out emotion on validation actors. Never scores test.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch

import emoembed
from emoembed import corpora, metrics
from emoembed.corpora import ravdess
from emoembed.data import EmotionData
from emoembed.evaluation import fusion
from emoembed.model import EmotionModel
from emoembed.projections import LabelParts, LabelProjection
from emoembed.statistics import statistics

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
PENALTY, SCALE = 1000.0, 10.0


def label_points(model: EmotionModel, labels: tuple[str, ...], parts: LabelParts) -> np.ndarray:
    """Labels' points before any training, `(labels, dim)`."""
    projection = LabelProjection(model.config.phrase_dim, model.config.phrase_dim + 36, parts)
    return projection(model.embed(labels)).detach().numpy()


def inputs_of(data: EmotionData) -> dict[str, np.ndarray]:
    """Statistics of each clip's sound, and its action units."""
    sound = [torch.from_numpy(np.asarray(data.inputs["audio"][i], np.float32)) for i in data.ids]
    described = [statistics(frames[None, :400], torch.tensor([min(len(frames), 400)]))[0].numpy() for frames in sound]
    units = [np.asarray(data.inputs["video"][i], np.float64).mean(axis=0) for i in data.ids]
    found = {"sound": np.stack(described), "action units": np.stack(units)}
    return {**found, "both": np.concatenate(list(found.values()), axis=1)}


def mean_auc(points: np.ndarray, inputs: np.ndarray, true: np.ndarray, splits: list[np.ndarray]) -> float:
    """Mean over held-out labels and folds of the AUC of the held-out label among all."""
    from sklearn.linear_model import Ridge

    found = []
    for split in splits:
        train, valid = split == "train", split == "valid"
        scaled = (inputs - inputs[train].mean(axis=0)) / (inputs[train].std(axis=0) + 1e-6)
        for label in range(len(points)):
            rows = train & (true != label)
            said = Ridge(alpha=PENALTY).fit(scaled[rows], points[true[rows]]).predict(scaled[valid])
            cosine = (said / np.linalg.norm(said, axis=1, keepdims=True)) @ points.T
            ranks = torch.from_numpy(SCALE * cosine).log_softmax(dim=1)[:, label].numpy()
            found.append(metrics.auc(ranks, true[valid] == label))
    return float(np.mean(found))


def splits_of(data: EmotionData, folder: Path) -> list[np.ndarray]:
    """Each fold's split of every row."""
    named: list[Mapping[str, str]] = [
        dict(zip(fold.samples["id"], fold.samples["split"], strict=True))
        for fold in ravdess.folds(corpora.load("ravdess", folder))
    ]
    return [np.array([fold[i.partition("/")[2]] for i in data.ids]) for fold in named]


def main() -> None:
    """Print a line for each way to make label points."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--base", default="base", help="the checkpoint whose phrase encoder embeds labels")
    parsed = parser.parse_args()
    folder = parsed.data
    torch.set_num_threads(2)
    model = emoembed.load(parsed.base).model
    data, _ = fusion.read_both(folder)
    true, splits, inputs = data.targets.argmax(axis=1), splits_of(data, folder), inputs_of(data)
    print(f"{'':56}" + "".join(f"{name:>14}" for name in inputs))
    for name, parts in PARTS.items():
        points = label_points(model, data.labels, parts)
        found = [mean_auc(points, one, true, splits) for one in inputs.values()]
        print(f"{name:56}" + "".join(f"{one:14.3f}" for one in found), flush=True)


if __name__ == "__main__":
    main()
