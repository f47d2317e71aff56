"""Measure the shipped checkpoint (`make report`), and models trained again without each emotion.

Each part is a folder of tables and plots. Features are cached once for all parts. The default split is validation, on
which all choices were made; test rows are scored only with `--split test`. All parts except `shipped` train models, for
hours; `text` takes longest. A stopped run resumes: models stay in the cache (except those of `voice-and-face`), and the
measures of each model in `each.csv`.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import pandas as pd
import torch
from studies import novelty, shipped, unseen, voice_and_face

import emoembed
from emoembed import corpora, plots
from emoembed.encoders.facial_actions import FacialActionReader
from emoembed.evaluation import baselines, few_shot, zero_shot
from emoembed.evaluation.corpus import evaluate_corpus
from emoembed.evaluation.report import Report, write
from emoembed.evaluation.study import Study
from emoembed.features.workers import Workers
from emoembed.interfaces.scale import Ray
from emoembed.labels.projections import LabelParts, LabelProjection
from emoembed.model.model import EmotionModel
from emoembed.prediction.recognizer import Recognizer
from emoembed.training.build import build

CORPORA = {"text": "goemotions", "audio": "ravdess", "video": "fer2013"}
SEEDS = {"text": 3, "audio": 3, "video": 1}
DRAWS = 5


@dataclass(frozen=True)
class Setup:
    """What is measured: a checkpoint, on the rows of a split, by models trained so many times."""

    recognizer: Recognizer
    data: Path
    split: str
    most: int | None = None
    """Trainings of each model, where that is less than its modality's."""
    workers: Workers = 1
    """Processes that train models, or an engine."""
    facial_actions: FacialActionReader | None = None
    """Networks of faces start from it."""

    @property
    def base(self) -> EmotionModel:
        return self.recognizer.model

    def seeds(self, modality: str) -> int:
        return min(SEEDS[modality], self.most or SEEDS[modality])


def untrained(base: EmotionModel) -> EmotionModel:
    """The sentence encoder that `base` started from: what training has to beat."""

    assert base.phrases is not None
    return build({"text": base.config.modalities["text"]}, base.phrases, base=base)


def supervised(recognizer: Recognizer, data: Path, split: str) -> pd.DataFrame:
    """The labels that were trained on, corpus by corpus."""
    rows = {name: evaluate_corpus(recognizer, corpora.load(name, data), split).figures for name in CORPORA.values()}
    return pd.DataFrame(rows).T.drop(columns=["corpus", "modalities"]).rename_axis("corpus")


def named(base: EmotionModel, data: Path, split: str) -> pd.DataFrame:
    """Six emotions by name, on a corpus that was not used in training."""
    corpus = "dair_emotion" if split == "test" else "semeval2018"
    systems = {"emoembed": base, "untrained": untrained(base)}
    return pd.concat([shipped.by_name(m, corpus, data, shipped.SIX, split, system=n) for n, m in systems.items()])


def joint(data: Path, split: str) -> pd.DataFrame:
    """Voice and face of one clip, by the checkpoint trained on both."""
    scores = voice_and_face.evaluate_checkpoint(emoembed.load("ravdess-av").model, data, split)
    return scores.rename("UAR").rename_axis("ravdess-av").to_frame()


def draw(base: EmotionModel, data: Path, split: str, folder: Path) -> list[str]:
    """Draw the label maps, and a reliability plot of the trained labels. Returns the names of the figures."""
    seen = {name: shipped.judged(base, name, data, split)["among labels"][:2] for name in CORPORA.values()}
    plots.save(plots.reliability(seen), folder / "reliability-seen.png")
    for modality in base.modalities:
        figure = plots.label_map(shipped.label_map(base, modality), f"emotions in {modality}")
        plots.save(figure, folder / f"labels-{modality}.png")
    return ["reliability-seen", *(f"labels-{modality}" for modality in base.modalities)]


def of_shipped(setup: Setup, folder: Path) -> Report:
    """The checkpoint as it ships."""
    base, data, split = setup.base, setup.data, setup.split
    report = Report(f"emoembed base as it ships, {split} split", {"split": split})
    sections: dict[str, Callable[[], pd.DataFrame]] = {
        "Labels trained on": lambda: supervised(setup.recognizer, data, split),
        "Six emotions by name": lambda: named(base, data, split),
        "Calibration": lambda: pd.concat([shipped.calibration(base, name, data, split) for name in CORPORA.values()]),
        "Voice and face of one clip, trained jointly": lambda: joint(data, split),
        **{
            f"Abstention, {modality}": partial(shipped.abstention, base, name, data, split)
            for modality, name in CORPORA.items()
        },
    }
    for heading, section in sections.items():
        report.tables[heading] = section()
    report.figures = draw(base, data, split, folder)
    return report


def of_each(modality: str, setup: Setup, folder: Path) -> Report:
    """Each label of a modality's corpus held out in turn, and taught with examples."""
    base, data, split, seeds = setup.base, setup.data, setup.split, setup.seeds(modality)
    facts: dict[str, object] = {"split": split, "seeds": seeds, "a few examples and calibration": "of the first seed"}
    report = Report(f"Each label held out in turn, {modality}, {split} split", facts, figures=["unseen"])
    if modality == "audio":
        folds = tuple(voice_and_face.held_out_folds(data, base))
    else:
        folds = Study(CORPORA[modality], data, base, split=split).folds
        if modality == "video" and setup.facial_actions is not None:
            facts["facial actions"] = setup.facial_actions.digest()[:16]
            folds = tuple(replace(fold, facial_actions=setup.facial_actions) for fold in folds)
    results = unseen.each(
        unseen.UnseenStudy(
            folds,
            modality,
            base,
            seeds=seeds,
            split=split,
            draws=DRAWS,
            measures_file=folder / "each.csv",
            workers=setup.workers,
            progress=True,
        )
    )
    novelty.write(results.expected, folder)
    several = modality == "text"
    measures = ("auc", "ap") if several else ("auc", "ap", "seen_uar", "unseen_uar", "harmonic", "seen_uar_closed")
    each = unseen.beside_untrained(results, folds, base, split)
    report.tables["Each label held out"] = each
    if several:
        below = each.index[each["auc"] < each["untrained"]]
        named = f": {', '.join(below)}" if len(below) else ""
        report.lines["Beside the untrained sentence encoder"] = [
            f"its mean AUC is {each['untrained'].mean():.3f}",
            f"{len(below)} of {len(each)} labels are below it{named}",
        ]
    report.tables["Mean over labels held out"] = unseen.over_labels(results.alone, measures)
    if len(folds[0].modalities) > 1:
        report.tables["Mean over labels held out, with action units"] = unseen.over_labels(results.zero, measures)
    if modality == "audio":
        report.tables["Beside them: ridge regression to valence, arousal and dominance"] = ridge(base, data, split)
    errors = results.calibration.rename_axis("probability of a label never seen")
    report.tables["Calibration of labels held out"] = errors
    summary = few_shot.summarize(results.few)
    report.tables["A few examples"] = summary
    gains = pd.DataFrame([few_shot.gain(results.few, shots) for shots in unseen.SHOTS[1:]]).set_index("shots")
    report.tables["Gain in average precision over no example"] = gains
    first = results.alone[results.alone["seed"] == 0]  # in the order of `results.expected`
    figure = plots.unseen(
        {way: pool[:2] for way, pool in results.pooled.items() if "as seen" not in way},
        ([label.nearest for label in results.expected], list(first["auc"])),
        (list(summary.index), list(summary["ap"])),
    )
    plots.save(figure, folder / "unseen.png")
    return report


def ridge(base: EmotionModel, data: Path, split: str) -> pd.DataFrame:
    """RAVDESS's emotions held out in turn, by ridge regression to the table's valence, arousal and dominance."""
    both, _ = voice_and_face.read_both(data)
    size = base.config.phrase_dim
    points = LabelProjection(size, size, LabelParts(vad_share=1.0))(base.embed(both.labels)).detach().numpy()
    true, splits = both.targets.argmax(axis=1), voice_and_face.splits_of(both, data)
    aucs = {
        way: baselines.held_out_ridge(points, inputs, true, splits, split)
        for way, inputs in voice_and_face.statistics_of(both, base).items()
    }
    return pd.Series(aucs, name="auc").rename_axis("from").to_frame()


def of_six_absent(setup: Setup, _: Path) -> Report:
    """Six emotions by models that saw neither them nor a synonym: by name on another corpus, and among all labels."""
    split, seeds = setup.split, setup.seeds("text")
    report = Report(f"Six emotions absent from training, {split} split", {"split": split, "seeds": seeds})
    corpus = "dair_emotion" if split == "test" else "semeval2018"
    named_rows = unseen.six_absent(setup.base, setup.data, corpus, seeds=seeds, split=split)
    report.tables["By name on another corpus, over seeds"] = unseen.over_seeds(named_rows, [named_rows.index.names[0]])
    report.tables["By name on another corpus"] = named_rows
    study = Study(CORPORA["text"], setup.data, setup.base, unseen=shipped.SIX, seeds=range(seeds), split=split)
    zero = zero_shot.evaluate(study)
    each = zero_shot.by_label(zero)
    untrained = zero_shot.untrained_similarity(study.folds, setup.base, list(each.index), split)
    report.tables["Among GoEmotions, each"] = each.assign(untrained=[untrained[label]["auc"] for label in each.index])
    report.tables["Among GoEmotions, over seeds"] = zero_shot.summarize(zero).rename_axis("measure")
    return report


def of_iemocap(setup: Setup, _: Path) -> Report:
    """Dialogue transcripts, two emotions held out one by one."""
    split, seeds = setup.split, setup.seeds("text")
    report = Report(f"IEMOCAP's text, one emotion held out, {split} split", {"split": split, "seeds": seeds})
    study = Study("iemocap_text", setup.data, setup.base, protocol="iemocap-6", seeds=range(seeds), split=split)
    report.tables["One emotion held out"] = unseen.together(study, ("excitement", "frustration"))
    return report


def of_voice_and_face(setup: Setup, _: Path) -> Report:
    """Sound and action units of one clip over four folds of actors, all emotions seen."""
    report = Report(f"Voice and face of one clip, {setup.split} split", {"split": setup.split, "seeds": 1})
    folds = voice_and_face.evaluate(setup.data, split=setup.split).drop(columns="seed").set_index("fold").T
    report.tables["UAR"] = folds.assign(mean=folds.mean(axis=1)).rename_axis("fold")
    return report


def of_ridge(setup: Setup, _: Path) -> Report:
    """The linear baseline of `voice-and-face`."""
    report = Report(f"Ridge classifiers of voice and face, {setup.split} split", {"split": setup.split})
    report.tables["UAR"] = voice_and_face.ridge_uar(setup.base, setup.data, setup.split)
    return report


PARTS: dict[str, Callable[[Setup, Path], Report]] = {
    "shipped": of_shipped,
    "text": partial(of_each, "text"),
    "audio": partial(of_each, "audio"),
    "video": partial(of_each, "video"),
    "six-absent": of_six_absent,
    "iemocap": of_iemocap,
    "voice-and-face": of_voice_and_face,
    "ridge": of_ridge,
}


def main() -> None:
    """Measure, print, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="folder of the corpora")
    parser.add_argument(
        "--output", type=Path, default=Path("build/report"), help="folder for the parts, one folder each"
    )
    parser.add_argument("--split", choices=("valid", "test"), default="valid", help="rows to score")
    parser.add_argument("--base", default="base", help="checkpoint to measure")
    parser.add_argument("--parts", default="shipped", help=f"parts, comma-separated: {', '.join(PARTS)}; or: all")
    parser.add_argument("--threads", type=int, default=2, help="threads of torch")
    parser.add_argument("--seeds", type=int, help="maximum number of trainings per model; default: three, faces one")
    parser.add_argument("--workers", type=int, default=1, help="processes that train the models of `each` part")
    parser.add_argument(
        "--engine", choices=("processes", "ray"), default="processes", help="ray: actors of a cluster train the models"
    )
    parser.add_argument(
        "--facial-actions", type=Path, help="reader from which faces are trained; by default that of checkpoints/build"
    )
    parser.add_argument("--address", help="address of the Ray cluster; by default this machine alone")
    parsed = parser.parse_args()
    parts = list(PARTS) if parsed.parts == "all" else [name for name in parsed.parts.split(",") if name]
    strange = [name for name in parts if name not in PARTS]
    if strange:
        parser.error(f"there is no part {', '.join(strange)}; there are {', '.join(PARTS)}")
    if parsed.seeds is not None and parsed.seeds < 1:
        parser.error(f"--seeds is 1 or more; given {parsed.seeds}")
    torch.set_num_threads(parsed.threads)
    workers: Workers = Ray(parsed.address) if parsed.engine == "ray" else parsed.workers
    reader = shipped.action_reader(parsed.facial_actions) if "video" in parts else None
    setup = Setup(emoembed.load(parsed.base), parsed.data, parsed.split, parsed.seeds, workers, reader)
    for part in parts:
        begin = time.monotonic()
        folder = parsed.output / part
        folder.mkdir(parents=True, exist_ok=True)
        report = PARTS[part](setup, folder)
        write(report, folder)
        print(f"\n{report.markdown()}\n{folder}, {(time.monotonic() - begin) / 60:.0f} minutes", flush=True)


if __name__ == "__main__":
    main()
