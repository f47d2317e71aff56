"""Measure training on texts: `python benchmarks/training.py`. It prints steps a second beside a plain loop.

The plain loop has the same encoder, batches and optimiser, and cross-entropy of cosines with the label points. It has
no other term of the loss, no check for NaN, no clipping and no schedule.
"""

from __future__ import annotations

import argparse
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from torch.nn.functional import cross_entropy, normalize

import emoembed
from emoembed import corpora
from emoembed.model.model import EmotionModel
from emoembed.reading import corpus_rows
from emoembed.reading.rows import EmotionData, buckets
from emoembed.training import recipes
from emoembed.training.build import build
from emoembed.training.config import TrainConfig
from emoembed.training.loop import optimise

SITUATIONS = Path(__file__).parents[1] / "checkpoints" / "build" / "situations"


def fresh(base: EmotionModel) -> EmotionModel:
    """A model of texts with new adapters, as `emoembed train` starts it."""
    modality = base.config.modalities["text"].with_settings(strength=1.0)
    if base.phrases is None:
        raise TypeError("base embeds labels with a sentence encoder")
    return build({"text": modality}, base.phrases, 0, base)


def ours(model: EmotionModel, rows: EmotionData, valid: EmotionData, config: TrainConfig) -> float:
    """Seconds of an epoch of the training loop, with all that stands around it and 8 rows of validation."""
    begin = time.perf_counter()
    optimise(model, rows, valid, config)
    return time.perf_counter() - begin


def plain(model: EmotionModel, rows: EmotionData, config: TrainConfig) -> float:
    """Seconds of an epoch of a plain loop."""
    label_points = model.label_points(rows.labels)["text"].detach()
    labels = torch.from_numpy(rows.targets.argmax(axis=1))
    parameters = [parameter for parameter in model.modality("text").encoder.parameters() if parameter.requires_grad]
    optimizer = torch.optim.AdamW(parameters, lr=config.learning_rate, fused=True)
    model.train()
    begin = time.perf_counter()
    for positions in buckets(rows.lengths(), config.batch_size, np.random.default_rng(0)):
        with torch.autocast("cpu", torch.bfloat16, enabled=config.bf16):
            points = model.encode(rows.batch(positions, config.max_frames))["text"]
        cosines = normalize(points.float(), dim=-1) @ normalize(label_points[:, : points.shape[1]], dim=-1).T
        loss = cross_entropy(20.0 * cosines, labels[positions])
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()
    return time.perf_counter() - begin


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=3000, help="number of texts")
    parser.add_argument("--threads", type=int, default=2, help="threads of torch")
    parsed = parser.parse_args()
    torch.set_num_threads(parsed.threads)
    base = emoembed.load("base").model
    corpus = corpora.load("situations", SITUATIONS).canonical()
    if base.phrases is None:
        raise TypeError("base embeds labels with a sentence encoder")
    rows = corpus_rows.text_data(corpus, base.phrases)
    rows, valid = rows.rows(np.arange(parsed.rows)), rows.rows(np.arange(parsed.rows, parsed.rows + 8))
    for bf16 in (True, False):
        config = replace(recipes.training("text"), epochs=1, bf16=bf16)
        steps = -(-len(rows) // config.batch_size)
        plain(fresh(base), rows.rows(np.arange(200)), config)  # warm
        seconds = {"emoembed train": ours(fresh(base), rows, valid, config), "plain": plain(fresh(base), rows, config)}
        text = ", ".join(f"{name} {steps / taken:.2f} steps a second" for name, taken in seconds.items())
        print(
            f"{'bf16' if bf16 else 'fp32'}: {text}, ratio {seconds['emoembed train'] / seconds['plain']:.2f}",
            flush=True,
        )
    print(f"(batches of {config.batch_size} texts of {rows.lengths().mean():.0f} tokens, {parsed.threads} threads)")


if __name__ == "__main__":
    main()
