"""How far facial actions carry to emotions that were held out: `python benchmarks/action_weights.py --data DIR`.

Each emotion of FER2013 is held out in turn. A ridge map from a face network to the points of the other emotions is
fitted on training faces, and validation faces are scored by the name of the held-out one. The network is that of the
reader of facial actions, which has seen no emotion label; so nothing but the ridge map is trained here. The rows of the
table differ in how much a facial action counts in the goal of a face; without, a face has the actions of its label.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from studies import shipped
from torch import Tensor

import emoembed
from emoembed import corpora, metrics
from emoembed.encoders.faces import FaceEncoder
from emoembed.encoders.facial_actions import FacialActionReader
from emoembed.evaluation.report import Report, write
from emoembed.model.model import EmotionModel
from emoembed.reading import corpus_rows
from emoembed.reading.rows import EmotionData
from emoembed.training import recipes
from emoembed.training.background import some_rows
from emoembed.training.build import build
from emoembed.training.ridge_maps import fit_face_map

ROWS = 8000
WEIGHTS = (0.0, 0.05, 0.1, 0.15, 0.2, 0.3)


def with_network(base: EmotionModel, reader: FacialActionReader) -> EmotionModel:
    """A model of faces with the network of the reader, which answers by its ridge map alone."""
    assert base.phrases is not None
    model = build({"video": recipes.video_modality()}, base.phrases, base=base)
    encoder = model.modality("video").encoder
    assert isinstance(encoder, FaceEncoder)
    encoder.load_state_dict(reader.network(), strict=False)
    encoder.overview_share = 1.0
    return model


@dataclass(frozen=True)
class Faces:
    """What the network and the reader find in faces, and the labels of the faces."""

    features: Tensor
    actions: Tensor
    labels: Tensor

    @classmethod
    @torch.no_grad()
    def of(cls, encoder: FaceEncoder, reader: FacialActionReader, rows: EmotionData) -> Faces:
        """Read all faces."""
        batches = [np.arange(start, min(start + 256, len(rows))) for start in range(0, len(rows), 256)]
        read = [rows.batch(batch)["video"] for batch in batches]
        features, actions = (torch.cat([one(*faces) for faces in read]) for one in (encoder.read, reader))
        return cls(features, actions, torch.from_numpy(rows.has).float())


@torch.no_grad()
def held_out_auc(model: EmotionModel, labels: Sequence[str], train: Faces, valid: Faces, weight: float) -> pd.Series:
    """AUC of each emotion, held out from the ridge map; with weight 0, a face has the actions of its label as goal."""
    modality, aucs = model.modality("video"), {}
    encoder, columns = modality.encoder, model.config.modalities["video"].parts.action_columns if weight else ()
    assert isinstance(encoder, FaceEncoder)
    assert encoder.overview is not None
    points = model.label_points(labels)["video"]
    for column, label in enumerate(labels):
        others = [i for i in range(len(labels)) if i != column]
        rows = train.labels[:, column] == 0
        goals = train.labels[rows][:, others], points[others]
        fit_face_map(encoder.overview, train.features[rows], *goals, train.actions[rows], columns, weight)
        placed = torch.nn.functional.normalize(encoder.embed(valid.features), dim=-1)
        scores = placed @ points[column, : placed.shape[1]]
        aucs[label] = metrics.auc(scores.numpy(), valid.labels[:, column].numpy() == 1)
    return pd.Series(aucs)


def main() -> None:
    """Print the table and write it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="folder of the corpora")
    parser.add_argument(
        "--reader", type=Path, help="the reader of facial actions; by default that of checkpoints/build"
    )
    parser.add_argument("--output", type=Path, default=Path("build/facial-actions"), help="folder for the table")
    parsed = parser.parse_args()
    torch.set_num_threads(2)
    corpus = corpora.load("fer2013", parsed.data).canonical()
    train, valid = (corpus_rows.video_data(corpus.split(name)) for name in ("train", "valid"))
    reader = shipped.action_reader(parsed.reader)
    model = with_network(emoembed.load("base").model, reader)
    encoder = model.modality("video").encoder
    assert isinstance(encoder, FaceEncoder)
    learned, scored = (Faces.of(encoder, reader, rows) for rows in (some_rows(train, "video", ROWS), valid))
    rows = {}
    for weight in WEIGHTS:
        goal = f"the actions of the face, {weight}" if weight else "the actions of the label"
        rows[goal] = held_out_auc(model, train.labels, learned, scored, weight)
    table = pd.DataFrame(rows).T.rename_axis("goal of a face")
    report = Report("Facial actions: AUC of FER2013's emotions, each held out", {"split": "valid"})
    report.tables["AUC"] = table.assign(mean=table.mean(axis=1))
    parsed.output.mkdir(parents=True, exist_ok=True)
    write(report, parsed.output)
    print(report.markdown())


if __name__ == "__main__":
    main()
