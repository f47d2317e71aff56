"""Measure emotion in conversation (`make report-dialogue`): what earlier turns add, on IEMOCAP, MELD and DailyDialog.

Each part writes one folder. The default split is validation, on which all choices were made; test rows are scored only
with `--split test`. Models of single turns stay in the cache, so a stopped run goes on.

    python benchmarks/dialogue.py --data DIR --parts zero-shot speed
    python benchmarks/dialogue.py --data DIR --split test --parts all
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import torch

sys.path.insert(0, str(Path(__file__).parents[1] / "checkpoints/build"))

from studies import dialogue
from studies.dialogue import TurnModel
from studies.dialogue_measures import (
    NEUTRAL,
    Answers,
    Measure,
    calibration_error,
    mean_auc,
    mean_gain,
    micro_f1_without,
    of_label,
    weighted_f1,
)

import emoembed
from emoembed import corpora, metrics, plots
from emoembed.cache import content_of, tensors_of
from emoembed.corpora.corpus import Corpus
from emoembed.encoders.context import ContextSettings
from emoembed.evaluation.report import Report, write
from emoembed.model.model import EmotionModel
from emoembed.prediction.recognizer import Recognizer
from emoembed.reading.cache import cache_folder
from emoembed.transfer.dialogue.files import PretrainedStart
from emoembed.transfer.dialogue.manifest import text_sequences
from emoembed.transfer.dialogue.pretrain import DECODERS, PretrainConfig
from emoembed.transfer.spec import SPECS

HOME = "iemocap_text"
OTHERS = ("meld", "dailydialog")
HELD_OUT = ("excitement", "frustration")
UNLABELLED = ("dailydialog", "emocontext", "meld")
SHARES = (0.05, 0.1, 0.25, 0.5, 1.0)
ALONE, MEAN, GRU = "no context", "mean of earlier turns", "GRU over earlier turns"
RANDOM, PLACEBO = "random", "shuffled turns"
REVISION = 1
"""Results of another revision are not used. Raise it when a change of the package changes results."""
F1_AND_AUC: dict[str, Measure] = {"weighted F1": weighted_f1, "AUC": mean_auc}


@dataclass(frozen=True)
class Setup:
    """What is measured: a checkpoint, on the rows of a split, with so many seeds of turns and of contexts."""

    recognizer: Recognizer
    data: Path
    split: str
    turn_seeds: int
    context_seeds: int
    cache: Path
    corpora: Sequence[str] = (HOME, *OTHERS)

    @property
    def base(self) -> EmotionModel:
        return self.recognizer.model

    def talks(self, name: str) -> dialogue.Talks:
        """A corpus with the points of the checkpoint, or of the model for this corpus."""
        return dialogue.read(self.model_for(name), name, self.data, self.cache / f"{name}.npy")

    def model_for(self, name: str) -> EmotionModel:
        """The checkpoint; for MELD a text model trained without MELD and EmoryNLP, which are of one TV series."""
        if name != "meld":
            return self.base
        return dialogue.train_without(("emorynlp", "meld"), self.base, self.data, self.cache / "without-meld")

    def unlabelled(self, name: str) -> Corpus:
        """The dialogues of a corpus for pre-training, without its test split."""
        corpus = corpora.load(name, self.data)
        corpus = dialogue.chats(corpus) if name == "emocontext" else corpus
        return corpus.where(corpus.samples["split"] != "test")

    def turns(self, name: str, seed: int, without: Sequence[str] = ()) -> TurnModel:
        """A model of single turns, trained once and kept in the cache."""
        folder = self.cache / "-".join((name, str(seed), *without))
        return dialogue.train_turns(self.base, dialogue.load(name, self.data), seed, folder, without)

    def untrained_turns(self, name: str, share: float) -> TurnModel:
        """The checkpoint, which has seen no label of the corpus, with a share of the dialogues to train contexts on."""
        talks = self.talks(name)
        kept = dialogue.share_of(talks.corpus, share)
        points = talks.points[talks.corpus.samples["id"].isin(kept.samples["id"]).to_numpy()]
        folder = self.cache / f"{name}-untrained-{share:g}"
        folder.mkdir(parents=True, exist_ok=True)
        return TurnModel(self.base, dialogue.Talks(kept, points), folder)


def measures_of(name: str, labels: Sequence[str]) -> dict[str, Measure]:
    """The measures that are usual for a corpus."""
    if name == "dailydialog":
        return {"micro F1 without neutral": micro_f1_without(list(labels).index(NEUTRAL))}
    return F1_AND_AUC if name == HOME else {"weighted F1": weighted_f1}


def zero_shot(setup: Setup, _: Path) -> Report:
    """A model that saw no label of the corpus."""
    report = Report(f"Dialogues, no label of the corpus seen, {setup.split} split", {"split": setup.split})
    for name in setup.corpora:
        talks = setup.talks(name)
        report.tables[name] = dialogue.zero_shot(
            setup.model_for(name), talks, setup.split, measures_of(name, talks.labels)
        )
    return report


def trained(setup: Setup, _: Path) -> Report:
    """Contexts trained on the training dialogues, on models of single turns."""
    facts = {"split": setup.split, "models of single turns": setup.turn_seeds, "contexts of each": setup.context_seeds}
    report = Report(
        f"Dialogues, trained, {setup.split} split", {**facts, "models of MELD's and DailyDialog's turns": 1}
    )
    for name in setup.corpora:
        answers_of: dict[str, list[Answers]] = {ALONE: [], MEAN: [], GRU: []}
        for seed in range(setup.turn_seeds if name == HOME else 1):
            turns = setup.turns(name, seed)
            test = turns.talks.part(setup.split)
            means = dialogue.train_contexts(turns, (0,), settings=ContextSettings(hidden_dim=0), name="mean")
            contexts = dialogue.train_contexts(turns, range(setup.context_seeds), settings=ContextSettings())
            for system, models in ((ALONE, [turns.model]), (MEAN, means), (GRU, contexts)):
                answers_of[system] += [dialogue.in_context(model, test) for model in models]
        measures = measures_of(name, turns.talks.labels)
        rows = []
        for system, answers in answers_of.items():
            for each in answers:
                values = {key: measure(each.logits, each.true) for key, measure in measures.items()}
                rows.append({"system": system, **values, "calibration error": calibration_error(each)})
        by_system = pd.DataFrame(rows).groupby("system", sort=False)
        report.tables[f"{name}, mean"] = by_system.mean()
        report.tables[f"{name}, deviation over models and contexts"] = by_system.std()
        gains = {}
        for other in (ALONE, MEAN):
            above = {key: mean_gain(answers_of[GRU], answers_of[other], measure) for key, measure in measures.items()}
            gains[f"above {other}"] = {
                key: "{:+.1f} ({:+.1f} to {:+.1f})".format(*value) for key, value in above.items()
            }
        report.tables[f"{name}, {GRU}"] = pd.DataFrame(gains).T.rename_axis("difference")
    return report


def held_out(setup: Setup, _: Path) -> Report:
    """Emotions that neither the turns nor the context were trained on: their AUC and AP without and with context."""
    facts = {"split": setup.split, "seeds of contexts": setup.context_seeds}
    report = Report(f"Dialogues, emotions held out, {setup.split} split", facts)
    rows, gains = [], {}
    for label in HELD_OUT:
        turns = setup.turns(HOME, 0, (label,))
        seen = [name for name in turns.talks.labels if name != label]
        test = turns.talks.part(setup.split)
        column = list(turns.talks.labels).index(label)
        (mean,) = dialogue.train_contexts(turns, (0,), seen, ContextSettings(hidden_dim=0), name="mean")
        contexts = dialogue.train_contexts(turns, range(setup.context_seeds), seen)
        measures = {"AUC": of_label(metrics.auc, column), "AP": of_label(metrics.average_precision, column)}
        answers_of = {}
        for system, models in {ALONE: [turns.model], MEAN: [mean], GRU: contexts}.items():
            answers_of[system] = [dialogue.in_context(model, test) for model in models]
            for each in answers_of[system]:
                values = {name: measure(each.logits, each.true) for name, measure in measures.items()}
                rows.append({"label": label, "system": system, **values})
        above = {name: mean_gain(answers_of[GRU], answers_of[ALONE], measure) for name, measure in measures.items()}
        gains[label] = {name: "{:+.1f} ({:+.1f} to {:+.1f})".format(*gain) for name, gain in above.items()}
    grouped = pd.DataFrame(rows).groupby(["label", "system"], sort=False)[["AUC", "AP"]]
    report.tables["mean over contexts"] = grouped.mean()
    report.tables["deviation"] = grouped.std()
    report.tables[f"{GRU}, above no context"] = pd.DataFrame(gains).T.rename_axis("label")
    return report


def pretraining(setup: Setup, folder: Path) -> Report:
    """Contexts that start from pre-trained ones, beside random starts and their placebos, on shares of the dialogues.

    A placebo is pre-trained on dialogues whose turns were shuffled.
    """
    facts = {"split": setup.split, "seeds of contexts": setup.context_seeds, "pre-trained on": ", ".join(UNLABELLED)}
    report = Report(f"Dialogues, pre-training, {setup.split} split", facts, figures=["weighted-f1"])
    starts, costs = pretrained_starts(setup)
    names, seeds = list(starts), range(setup.context_seeds)
    scores = pd.DataFrame(index=pd.Index(names, name="start"), columns=list(SHARES), dtype=float)
    epochs = scores.copy()
    gains = {f"above {RANDOM}": scores.astype(object), f"above {PLACEBO}": scores.astype(object)}
    for share in SHARES:
        turns = setup.untrained_turns(HOME, share)
        test, answers_of = turns.talks.part(setup.split), {}
        for name, start in starts.items():
            file_name = name.replace(" ", "-")
            contexts = dialogue.train_contexts(turns, seeds, settings=ContextSettings(), start=start, name=file_name)
            answers_of[name] = [dialogue.in_context(model, test) for model in contexts]
            scores.loc[name, share] = np.mean([weighted_f1(each.logits, each.true) for each in answers_of[name]])
            epochs.loc[name, share] = np.mean(dialogue.best_epochs(turns, seeds, file_name))
        for name in names[1:]:
            for rival in (RANDOM, f"{name}, {PLACEBO}"):
                if rival in starts:
                    gain = mean_gain(answers_of[name], answers_of[rival], weighted_f1)
                    table = gains[f"above {RANDOM if rival == RANDOM else PLACEBO}"]
                    table.loc[name, share] = "{:+.1f} ({:+.1f} to {:+.1f})".format(*gain)
    report.tables["weighted F1 by share of the dialogues"] = scores
    report.tables |= {name: table.dropna() for name, table in gains.items()}
    report.tables["epoch with the best validation score"] = epochs
    report.tables["pre-training"] = costs
    curves = {name: dict(scores.loc[name]) for name in (RANDOM, *DECODERS)}
    figure = plots.by_share(curves, "weighted F1")
    plots.save(figure, folder / "weighted-f1.png")
    return report


def pretrained_starts(setup: Setup) -> tuple[dict[str, PretrainedStart | None], pd.DataFrame]:
    """The starts of contexts by name, and what pre-training took."""
    starts: dict[str, PretrainedStart | None] = {RANDOM: None}
    rows = {}
    sequences = [text_sequences(setup.base, setup.unlabelled(name)) for name in UNLABELLED]
    for decoder in DECODERS:
        for shuffle in (False, True):
            name = f"{decoder}, {PLACEBO}" if shuffle else decoder
            begin = time.perf_counter()
            pretrained = dialogue.pretrain_on(sequences, PretrainConfig(decoder=decoder, shuffle=shuffle))
            rows[name] = {
                "perplexity": pretrained.perplexity,
                "KL": pretrained.divergences[pretrained.best_epoch] if pretrained.divergences else float("nan"),
                "collapsed": pretrained.has_collapsed,
                "epochs": len(pretrained.losses),
                "seconds": time.perf_counter() - begin,
            }
            starts[name] = PretrainedStart(pretrained.encoder)
    starts["contrast, permuted weights"] = PretrainedStart(starts["contrast"].source, SPECS["shuffled"])  # type: ignore[union-attr]
    return starts, pd.DataFrame(rows).T.rename_axis("start")


def speed(setup: Setup, _: Path) -> Report:
    """Seconds of a dialogue beyond its encoders, and of one more turn."""
    texts = ["I have been waiting for an hour.", "I am sorry about that.", "It does not help me.", "Let me see."] * 13
    turns, labels = texts[:50], ["frustration", "relief", "joy", "neutral"]
    model = setup.recognizer
    model.predict_dialogue(turns, labels)

    def median(call: Callable[[], object], runs: int = 15) -> float:
        times = []
        for _ in range(runs):
            begin = time.perf_counter()
            call()
            times.append(time.perf_counter() - begin)
        return 1000 * statistics.median(times)

    whole = median(lambda: model.predict_dialogue(turns, labels))
    single = median(lambda: model.predict(turns, labels=labels))
    live = model.dialogue(labels)
    turn = median(lambda: live.add(texts[0]), 50) - median(lambda: model.predict(texts[0], labels=labels), 50)
    table = pd.DataFrame(
        {
            "milliseconds": {
                "50 turns in context": whole,
                "50 single texts": single,
                "one more turn, beyond predict": turn,
            }
        }
    )
    return Report("Dialogues, speed", {"threads": torch.get_num_threads()}, {"median": table.rename_axis("what")})


PARTS: dict[str, Callable[[Setup, Path], Report]] = {
    "zero-shot": zero_shot,
    "trained": trained,
    "held-out": held_out,
    "pretraining": pretraining,
    "speed": speed,
}


def main() -> None:
    """Run the parts and write their reports."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="folder of iemocap_text, meld and dailydialog")
    parser.add_argument("--model", default="base", help="checkpoint that training starts from")
    parser.add_argument("--split", choices=("valid", "test"), default="valid", help="rows to score")
    parser.add_argument("--parts", nargs="+", default=["zero-shot"], choices=(*PARTS, "all"))
    parser.add_argument("--corpora", nargs="+", default=[HOME, *OTHERS], help="of the parts zero-shot and trained")
    parser.add_argument("--turn-seeds", type=int, default=3, help="models of single turns")
    parser.add_argument("--context-seeds", type=int, default=10, help="contexts of each of them")
    parser.add_argument("--threads", type=int, default=2, help="threads of torch")
    parser.add_argument("--output", type=Path, default=Path("docs/report"), help="folder for the reports")
    parser.add_argument("--cache", type=Path, help="folder for points and models of single turns")
    parsed = parser.parse_args()
    torch.set_num_threads(parsed.threads)
    recognizer = emoembed.load(parsed.model)
    setup = Setup(
        recognizer,
        parsed.data,
        parsed.split,
        parsed.turn_seeds,
        parsed.context_seeds,
        (parsed.cache or cache_folder() / "dialogue") / f"{content_of(tensors_of(recognizer.model))[:12]}-{REVISION}",
        parsed.corpora,
    )
    for name in PARTS if "all" in parsed.parts else parsed.parts:
        folder = parsed.output / f"dialogue-{name}"
        report = PARTS[name](setup, folder)
        write(report, folder)
        print(report.markdown())


if __name__ == "__main__":
    main()
