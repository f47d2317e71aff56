"""Every figure of the shipped checkpoint: `make report`; with `--full`, models trained anew without each emotion.

Writes tables, plots and `report.json` into a folder, from features cached once. Test rows are scored only with
`--split test`; the default is validation, on which everything was chosen. `--full` takes many hours on two cores and
goes on where it was stopped, for every model stays in the cache.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import torch

import emoembed
from emoembed import assess, corpora
from emoembed.evaluation import few_shot, held_out, novelty, plots, shipped, zero_shot
from emoembed.evaluation.report import Report, write
from emoembed.extraction import cache_folder
from emoembed.model import EmotionModel
from emoembed.recognizer import Recognizer

CORPORA = {"text": "goemotions", "audio": "ravdess", "video": "fer2013"}
SEEDS = {"text": 3, "audio": 3, "video": 1}
SHOTS = (0, 1, 2, 4, 8, 16)


def untrained(base: EmotionModel) -> EmotionModel:
    """The sentence encoder that `base` started from: what training has to beat."""
    from emoembed import recipes

    assert base.phrases is not None
    return recipes.build({"text": base.config.modalities["text"]}, base.phrases, like=base)


def supervised(recognizer: Recognizer, data: Path, split: str) -> pd.DataFrame:
    """The labels that were trained on, corpus by corpus."""
    rows = {
        name: assess.evaluate_corpus(recognizer, corpora.load(name, data), split).figures for name in CORPORA.values()
    }
    return pd.DataFrame(rows).T.drop(columns=["corpus", "modalities"]).rename_axis("corpus")


def named(base: EmotionModel, data: Path, split: str) -> pd.DataFrame:
    """Six emotions by name on a corpus no text of which was ever trained on."""
    corpus = "dair_emotion" if split == "test" else "semeval2018"
    systems = {"emoembed": base, "untrained": untrained(base)}
    return pd.concat([shipped.by_name(m, corpus, data, shipped.SIX, split, system=n) for n, m in systems.items()])


def held_out_labels(base: EmotionModel, data: Path, split: str, modality: str) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Each label of a modality's corpus held out in turn, and taught with examples: zero-shot and few-shot rows."""
    found, taught, expected = [], [], []
    for fold in held_out.load_folds(CORPORA[modality], data, base):
        labels = [label for label in fold.train.labels if modality != "text" or label != "neutral"]
        for label in labels:
            for seed in range(SEEDS[modality]):
                model = held_out.train_without(fold, (label,), seed, base=base)
                found += zero_shot.measure(model, fold, (label,), split, {"seed": seed, "fold": fold.name})
                if seed == 0:
                    taught.append(few_shot.curve(model, fold, (label,), split, SHOTS, draws=5))
                    expected.append(novelty.measure(model, fold, label))
                print(f"{fold.name} without {label}, seed {seed}: AUC {found[-1]['auc']:.3f}", flush=True)
    novelty.write(expected, cache_folder(), modality)
    return pd.DataFrame(found), pd.concat(taught, ignore_index=True)


def draw(base: EmotionModel, folder: Path) -> None:
    """The label maps."""
    for modality in base.modalities:
        plots.label_map(shipped.label_map(base, modality), folder / f"labels-{modality}.png", f"emotions in {modality}")


def main() -> None:
    """Measure, print, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="the folder that holds the corpora")
    parser.add_argument("--output", type=Path, default=Path("build/report"))
    parser.add_argument("--split", choices=("valid", "test"), default="valid")
    parser.add_argument("--full", default="", metavar="MODALITIES", help="also train anew: text,audio,video")
    parsed = parser.parse_args()
    torch.set_num_threads(2)
    begin = time.monotonic()
    recognizer = emoembed.load("base")
    base, data, split = recognizer.model, parsed.data, parsed.split
    report = Report(f"emoembed base, {split} split", {"split": split})
    sections: dict[str, Callable[[], pd.DataFrame]] = {
        "Labels trained on": lambda: supervised(recognizer, data, split),
        "Six emotions by name": lambda: named(base, data, split),
        "Calibration": lambda: pd.concat([shipped.calibration(base, name, data, split) for name in CORPORA.values()]),
        **{
            f"Abstention, {modality}": lambda name=name: shipped.abstention(base, name, data, split)
            for modality, name in CORPORA.items()
        },
    }
    for heading, section in sections.items():
        report.tables[heading] = section()
        print(f"\n{heading}\n{report.tables[heading].to_string()}", flush=True)
    parsed.output.mkdir(parents=True, exist_ok=True)
    draw(base, parsed.output)
    curves = {}
    for modality in [name for name in parsed.full.split(",") if name]:
        zero, few = held_out_labels(base, data, split, modality)
        report.tables[f"{modality}: each held out"] = zero_shot.by_label(zero)
        report.tables[f"{modality}: mean of those"] = zero_shot.summarize(zero)
        summary = few_shot.summarize(few)
        report.tables[f"{modality}: a few examples"] = summary
        curves[modality] = list(summary.index), list(summary["ap"])
    if curves:
        plots.shots(curves, parsed.output / "shots.png")
        known = {name: novelty.read(cache_folder(), name) for name in curves}
        points = {name: ([one.nearest for one in each], [one.auc for one in each]) for name, each in known.items()}
        plots.nearness(points, parsed.output / "nearness.png")
    write(report, parsed.output)
    print(f"\n{parsed.output}/report.md, {(time.monotonic() - begin) / 60:.0f} minutes")


if __name__ == "__main__":
    main()
