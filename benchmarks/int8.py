"""Measure what 8-bit integers and bfloat16 cost and gain for texts: `python benchmarks/int8.py --data DIR`.

It compares `backend="onnx-int8"` and `precision="bf16"` with torch in fp32, on the five corpora on which choices are
made. No test rows are read.
"""

from __future__ import annotations

import argparse
import statistics
import time
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from studies import outside
from studies.outside import CHOOSING

import emoembed
from emoembed import corpora
from emoembed.evaluation.report import Report, write
from emoembed.prediction.recognizer import Recognizer

TEXTS = 1000
LABELS = ["anger", "disgust", "fear", "joy", "sadness", "surprise"]


def accuracy(models: dict[str, Recognizer], data: Path) -> pd.DataFrame:
    """The measure of each corpus, and the mean, for each backend."""
    rows = {
        name: {
            question.corpus: outside.value(one.model, outside.encode_question(one.model, question, data))
            for question in CHOOSING
        }
        for name, one in models.items()
    }
    table = pd.DataFrame(rows).T
    return table.assign(mean=table.mean(axis=1)).rename_axis("backend")


def answers(models: dict[str, Recognizer], texts: list[str]) -> pd.DataFrame:
    """How far the answers differ from torch's, and those of a text alone from those in a batch."""
    usual = models["torch"].predict(texts, labels=LABELS)
    rows = {}
    for name, recognizer in models.items():
        batched = recognizer.predict(texts, labels=LABELS)
        alone = [recognizer.predict(text, labels=LABELS) for text in texts[:100]]
        rows[name] = {
            "same label as torch": float(np.mean([a.label == b.label for a, b in zip(batched, usual, strict=True)])),
            "mean difference of a probability": _differences(batched, usual).mean(),
            "greatest": _differences(batched, usual).max(),
            "greatest, alone against in a batch": _differences(alone, batched[:100]).max(),
        }
    return pd.DataFrame(rows).T.rename_axis("backend")


def _differences(some: list[emoembed.Result], others: list[emoembed.Result]) -> np.ndarray:
    return np.array([[abs(a.scores[x] - b.scores[x]) for x in LABELS] for a, b in zip(some, others, strict=True)])


def seconds(models: dict[str, Recognizer], texts: list[str]) -> pd.DataFrame:
    """Median milliseconds of a single text, and of a text among many, by backend; and both beside torch."""
    rows = {}
    for name, recognizer in models.items():
        single = [_time(recognizer, text) for text in texts[:40]]
        many = [_time(recognizer, texts) / len(texts) for _ in range(3)]
        rows[name] = {
            "a single text, ms": 1e3 * statistics.median(single),
            "of many, ms": 1e3 * statistics.median(many),
        }
    table = pd.DataFrame(rows).T
    shares = (table / table.loc["torch"]).rename(columns=lambda name: f"{name.partition(',')[0]}, share of torch")
    table = pd.concat([table, shares], axis=1)
    return table.rename_axis(f"backend, {torch.get_num_threads()} threads")


def _time(model: Recognizer, texts: str | list[str]) -> float:
    begin = time.perf_counter()
    model.predict(texts, labels=LABELS)
    return time.perf_counter() - begin


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="folder of the corpora")
    parser.add_argument("--model", default="base", help="name or folder of the checkpoint")
    parser.add_argument("--threads", type=int, default=1, help="threads of torch and of ONNX Runtime")
    parser.add_argument("--output", type=Path, help="folder for the report, such as docs/int8")
    parsed = parser.parse_args()
    torch.set_num_threads(parsed.threads)
    models = {
        "torch": emoembed.load(parsed.model),
        "onnx": emoembed.load(parsed.model, backend="onnx"),
        "onnx-int8": emoembed.load(parsed.model, backend="onnx-int8"),
        "torch, bf16": emoembed.load(parsed.model, precision="bf16"),
    }
    texts = corpora.load("semeval2018", parsed.data).split("valid").samples["text"].tolist()[:TEXTS]
    print(seconds(models, texts).round(3).to_string(), flush=True)
    tables = {
        "The corpora on which choices are made": accuracy(models, parsed.data),
        f"Answers for {len(texts):,} tweets (semeval2018, valid)": answers(models, texts),
    }
    report = Report("Texts with 8-bit integers", {"printed by": "python benchmarks/int8.py --data DIR"}, tables)
    print(report.markdown())
    if parsed.output:
        write(report, parsed.output)


if __name__ == "__main__":
    main()
