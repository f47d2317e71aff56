"""Measure an epoch of the model of Dai et al. 2020 at CMU-MOSEI's size, beside the authors' code.

    git clone https://github.com/wenliangdai/Modality-Transferable-MER
    python benchmarks/mtee.py --official Modality-Transferable-MER --data DIR

It prints seconds of an epoch of both, in turns, and how far their logits are apart with the same weights. The authors'
code reads all rows padded to 50 steps (its default); emoembed reads rows of similar length together, without padding.
Without `--official`, a plain loop over the same model, padded alike, takes the place of the authors' code.

The rows have random features of the corpus's sizes. With `--data`, their lengths come from the times of the corpus's
training segments, at 2.6 words a second; otherwise they are drawn with the same mean.
"""

from __future__ import annotations

import argparse
import importlib
import statistics
import sys
import time
from pathlib import Path
from typing import cast

import numpy as np
import pandas as pd
import torch
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits

from emoembed.evaluation.mtee import MTEE, UNITS
from emoembed.labels.phrases import WordTable
from emoembed.model.config import ModalityConfig
from emoembed.reading.rows import EmotionData
from emoembed.training.loop import optimise
from emoembed.training.recipes import TRAINING

NAMES = ("anger", "disgust", "fear", "happy", "sad", "surprise")
SIZES = {"text": 300, "audio": 74, "video": 35}
ROWS, STEPS, WORDS_PER_SECOND, MEAN_SECONDS = 16_327, 50, 2.6, 7.3


def lengths_of(data: Path | None, rows: int) -> np.ndarray:
    """Number of words of each row, at most `STEPS`."""
    if data is None:
        seconds = np.random.default_rng(0).gamma(2.0, MEAN_SECONDS / 2, rows)
    else:
        table = pd.read_csv(data / "mosei" / "segments.csv")
        table = table[table["split"] == "train"]
        seconds = np.resize((table["end"] - table["start"]).to_numpy(), rows)
    return np.asarray(np.clip(np.rint(seconds * WORDS_PER_SECOND), 1, STEPS), dtype=int)


def rows_of(lengths: np.ndarray) -> EmotionData:
    """Rows with random features, and one to three random emotions."""
    draw = np.random.default_rng(0)
    ids = tuple(map(str, range(len(lengths))))
    inputs = {
        name: {
            i: draw.standard_normal((length, size), dtype=np.float32) for i, length in zip(ids, lengths, strict=True)
        }
        for name, size in SIZES.items()
    }
    targets = (draw.random((len(ids), len(NAMES))) < 0.25).astype(np.float32)
    return EmotionData(ids, inputs, NAMES, targets, np.ones(len(ids), bool))


def fresh() -> MTEE:
    """The model of this package, at the published sizes."""
    torch.manual_seed(0)
    modalities = {
        name: ModalityConfig("sequence", "recurrent", STEPS, tuple(f"{name}_{i}" for i in range(size)))
        for name, size in SIZES.items()
    }
    vectors = np.random.default_rng(1).standard_normal((len(NAMES), SIZES["text"]))
    return MTEE(modalities, WordTable(NAMES, vectors, scale=False))


class Padded(nn.Module):
    """The same model over padded rows, as the authors' code computes it: in place of that code."""

    def __init__(self, model: MTEE) -> None:
        super().__init__()
        self.model, self.labels = model, model.embed(NAMES)

    def forward(self, *frames: Tensor) -> Tensor:
        """Frames `(batch, steps, size)` of text, audio and video -> logits `(batch, labels)`"""
        points = {}
        for name, padded in zip(SIZES, frames, strict=True):
            recurrent = cast(nn.Module, self.model.encoders[name].recurrent)
            steps, _ = recurrent(padded)
            points[name] = steps[:, -1].unflatten(-1, (2, -1)).sum(dim=1)
        return self.model.fuse(self.model.score(points, self.model.project(self.labels)))


def official_model(folder: Path, model: MTEE) -> nn.Module:
    """The authors' model, from a folder with their code, with the weights of ours."""
    sys.path.insert(0, str(folder))
    made: nn.Module = importlib.import_module("src.models.eea").EmotionEmbAttnModel(
        num_classes=len(NAMES),
        input_sizes=list(SIZES.values()),
        hidden_size=300,
        hidden_sizes=[300, UNITS["audio"], UNITS["video"]],
        num_layers=2,
        dropout=0.15,
        emo_weight=model.embed(NAMES).numpy(),
        device=torch.device("cpu"),
        bidirectional=True,
    )
    ours, weights = model.state_dict(), made.state_dict()
    for i, name in enumerate(SIZES):
        prefix = f"encoders.{name}.recurrent."
        weights |= {f"RNNs.{i}.{key.removeprefix(prefix)}": ours[key] for key in ours if key.startswith(prefix)}
        weights["modality_weights.weight"][i] = ours[f"share.{name}"]
    for name, map_name in (("audio", "affineAudio"), ("video", "affineVisual")):
        weights |= {f"{map_name}.{part}": ours[f"projections.{name}.{part}"] for part in ("weight", "bias")}
    made.load_state_dict(weights)
    return made


def padded_epoch(model: nn.Module, rows: EmotionData) -> float:
    """Seconds of an epoch over padded rows in shuffled batches, as the authors train."""
    config = TRAINING["mtee"]
    frames = [torch.zeros(len(rows), STEPS, size) for size in SIZES.values()]
    for whole, store in zip(frames, rows.inputs.values(), strict=True):
        for i, values in enumerate(store.values()):
            whole[i, : len(values)] = torch.from_numpy(values)
    data = torch.utils.data.TensorDataset(*frames, torch.from_numpy(rows.targets))
    loader = torch.utils.data.DataLoader(data, batch_size=config.batch_size, shuffle=True)
    positives = torch.from_numpy((rows.targets == 0).sum(axis=0) / (rows.targets == 1).sum(axis=0)).float()
    optimizer = torch.optim.Adam(model.parameters(), lr=config.learning_rate)
    model.train()
    begin = time.perf_counter()
    for *batch, targets in loader:
        optimizer.zero_grad()
        loss = binary_cross_entropy_with_logits(model(*batch), targets, pos_weight=positives)
        loss.backward()
        loss.item()
        optimizer.step()
    return time.perf_counter() - begin


def epoch(rows: EmotionData) -> float:
    """Seconds of an epoch of this package's training loop, with the validation of 8 rows."""
    from dataclasses import replace

    model, valid = fresh(), rows.rows(np.arange(8))
    begin = time.perf_counter()
    optimise(model, rows, valid, replace(TRAINING["mtee"], epochs=1))
    return time.perf_counter() - begin


@torch.inference_mode()
def distance(other: nn.Module, model: MTEE) -> float:
    """Greatest difference of a logit on rows of full length, which have no padding."""
    rows = rows_of(np.full(32, STEPS))
    batch = rows.batch(np.arange(32))
    ours = model.eval()(batch, model.embed(NAMES))
    theirs = other.eval()(*(frames for frames, _ in batch.values()))
    return float((ours - theirs).abs().max())


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--official", type=Path, help="folder with the authors' code")
    parser.add_argument("--data", type=Path, help="folder of the corpora, for the lengths")
    parser.add_argument("--rows", type=int, default=ROWS, help="number of training rows")
    parser.add_argument("--runs", type=int, default=1, help="pairs of epochs; the median is printed")
    parser.add_argument("--threads", type=int, default=2, help="threads of torch")
    parsed = parser.parse_args()
    torch.set_num_threads(parsed.threads)
    lengths = lengths_of(parsed.data, parsed.rows)
    rows, ours, theirs = rows_of(lengths), [], []
    name = "the authors' code" if parsed.official else "a padded loop, in place of the authors' code"
    for run in range(parsed.runs):
        model = fresh()
        other = official_model(parsed.official, model) if parsed.official else Padded(model)
        if run == 0:
            print(f"logits differ by at most {distance(other, model):.1e} on rows of {STEPS} words", flush=True)
        theirs.append(padded_epoch(other, rows))
        ours.append(epoch(rows))
    print(f"{len(rows):,} rows of {lengths.mean():.1f} words on average, {parsed.threads} threads")
    print(f"{name}: {statistics.median(theirs):.1f} s an epoch; emoembed: {statistics.median(ours):.1f} s")
    ratios = [mine / other for mine, other in zip(ours, theirs, strict=True)]
    print(f"ratio {statistics.median(ratios):.2f}")


if __name__ == "__main__":
    main()
