"""Every figure of the shipped checkpoint: `make report`; and of models trained anew without each emotion.

Each part is a folder of tables and plots, from features cached once: `shipped`, and by modality what is found of
emotions never seen. Test rows are scored only with `--split test`; the default is validation, on which everything was
chosen. The parts but `shipped` take hours on two cores and go on where they were stopped: every model stays in the
cache, and the measures of each in `each.csv`.
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
from emoembed.evaluation import few_shot, fusion, held_out, novelty, plots, shipped, unseen
from emoembed.evaluation.report import Report, write
from emoembed.model import EmotionModel
from emoembed.recognizer import Recognizer

CORPORA = {"text": "goemotions", "audio": "ravdess", "video": "fer2013"}
SEEDS = {"text": 3, "audio": 3, "video": 1}


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


def held_out_labels(base: EmotionModel, data: Path, split: str, modality: str, folder: Path, report: Report) -> None:
    """Each label of a modality's corpus held out in turn, and taught with examples."""
    if modality == "audio":
        folds = list(fusion.held_out_folds(data, base))
    else:
        folds = list(held_out.load_folds(CORPORA[modality], data, base))
    kept = folder / modality / "each.csv"
    found = unseen.each(folds, modality, base, seeds=SEEDS[modality], split=split, kept=kept, progress=True)
    novelty.write(found.expected, folder, modality)
    named = {"text": "text", "audio": "sound", "video": "faces"}[modality]
    several = modality == "text"
    measures = ("auc", "ap") if several else ("auc", "ap", "seen_uar", "unseen_uar", "harmonic", "seen_uar_closed")
    report.tables["Each label held out"] = unseen.beside_untrained(found, folds, base, split)
    report.tables[f"Mean over labels held out, {named}"] = unseen.over_labels(found.alone, measures)
    if len(folds[0].modalities) > 1:
        report.tables["Mean over labels held out, sound and action units"] = unseen.over_labels(found.zero, measures)
    errors = pd.Series(found.calibration, name="ECE").rename_axis("probability of a label never seen").to_frame()
    report.tables["Calibration of labels held out"] = errors
    summary = few_shot.summarize(found.few)
    report.tables["A few examples"] = summary
    gains = pd.DataFrame([few_shot.gain(found.few, shots) for shots in unseen.SHOTS[1:]]).set_index("shots")
    report.tables["Gain in average precision over no example"] = gains
    plots.unseen(
        {way: one for way, one in found.pooled.items() if "as seen" not in way},
        ([one.nearest for one in found.expected], [one.auc for one in found.expected]),
        (list(summary.index), list(summary["ap"])),
        folder / modality / "unseen.png",
    )
    report.figures.append("unseen")


def joint(data: Path, split: str) -> pd.DataFrame:
    """Voice and face of one clip, by the checkpoint trained on both."""
    scores = fusion.evaluate_checkpoint(emoembed.load("ravdess-av").model, data, split)
    return scores.rename("UAR").rename_axis("ravdess-av").to_frame()


def more(base: EmotionModel, data: Path, split: str, modality: str) -> dict[str, pd.DataFrame]:
    """What else is asked of models trained anew."""
    if modality == "text":
        corpus = "dair_emotion" if split == "test" else "semeval2018"
        pair = ("excitement", "frustration")
        iemocap = unseen.together("iemocap_text", data, pair, base, protocol="iemocap-6", seeds=3, split=split)
        absent = unseen.six_absent(base, data, corpus, seeds=3, split=split)
        return {"Six emotions absent from training": absent, "IEMOCAP's text, one emotion held out": iemocap}
    if modality == "audio":
        folds = fusion.evaluate(data, split=split).drop(columns="seed").set_index("fold").T
        tables = {"Voice and face of one clip, four folds, UAR": folds.assign(mean=folds.mean(axis=1))}
        if split == "test":  # no other corpus of speech has rows to choose on
            tables["emodb by models of other speech"] = unseen.other_corpus(base, data, "emodb", seeds=3)
        return tables
    return {}


def draw(base: EmotionModel, data: Path, split: str, folder: Path) -> list[str]:
    """The label maps, and how often probabilities of labels trained on come true; what the figures are called."""
    seen = {name: shipped.judged(base, name, data, split)["among labels"] for name in CORPORA.values()}
    plots.reliability(seen, folder / "reliability-seen.png")
    for modality in base.modalities:
        plots.label_map(shipped.label_map(base, modality), folder / f"labels-{modality}.png", f"emotions in {modality}")
    return ["reliability-seen", *(f"labels-{modality}" for modality in base.modalities)]


def of_shipped(recognizer: Recognizer, data: Path, split: str, folder: Path) -> Report:
    """The checkpoint as it ships."""
    base = recognizer.model
    report = Report(f"emoembed base as it ships, {split} split", {"split": split})
    sections: dict[str, Callable[[], pd.DataFrame]] = {
        "Labels trained on": lambda: supervised(recognizer, data, split),
        "Six emotions by name": lambda: named(base, data, split),
        "Calibration": lambda: pd.concat([shipped.calibration(base, name, data, split) for name in CORPORA.values()]),
        "Voice and face of one clip, trained jointly": lambda: joint(data, split),
        **{
            f"Abstention, {modality}": lambda name=name: shipped.abstention(base, name, data, split)
            for modality, name in CORPORA.items()
        },
    }
    for heading, section in sections.items():
        report.tables[heading] = section()
        print(f"\n{heading}\n{report.tables[heading].to_string()}", flush=True)
    report.figures = draw(base, data, split, folder / "shipped")
    return report


def of_unseen(base: EmotionModel, data: Path, split: str, modality: str, folder: Path) -> Report:
    """Emotions never seen, by models trained anew."""
    facts = {"split": split, "seeds": SEEDS[modality], "a few examples, calibration": "of the first seed"}
    report = Report(f"Emotions never seen, {modality}, {split} split", facts)
    report.tables |= more(base, data, split, modality)
    write(report, folder / modality)
    held_out_labels(base, data, split, modality, folder, report)
    return report


def main() -> None:
    """Measure, print, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="the folder that holds the corpora")
    parser.add_argument("--output", type=Path, default=Path("build/report"), help="a folder, one inside it a part")
    parser.add_argument("--split", choices=("valid", "test"), default="valid")
    parser.add_argument("--base", default="base", help="the checkpoint that is measured")
    parser.add_argument("--parts", default="shipped", help="shipped,text,audio,video")
    parsed = parser.parse_args()
    torch.set_num_threads(2)
    begin = time.monotonic()
    recognizer = emoembed.load(parsed.base)
    for part in [name for name in parsed.parts.split(",") if name]:
        (parsed.output / part).mkdir(parents=True, exist_ok=True)
        if part == "shipped":
            report = of_shipped(recognizer, parsed.data, parsed.split, parsed.output)
        else:
            report = of_unseen(recognizer.model, parsed.data, parsed.split, part, parsed.output)
        write(report, parsed.output / part)
        print(f"\n{parsed.output / part}/report.md, {(time.monotonic() - begin) / 60:.0f} minutes", flush=True)


if __name__ == "__main__":
    main()
