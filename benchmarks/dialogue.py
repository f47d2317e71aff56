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

import pandas as pd
import torch

sys.path.insert(0, str(Path(__file__).parents[1] / "checkpoints/build"))

from studies import dialogue
from studies.dialogue import Answers, Measure, TurnModel

import emoembed
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
REVISION = 1
"""Results of another revision are not used. Raise it when a change of the package changes results."""
F1_AND_AUC: dict[str, Measure] = {"weighted F1": dialogue.weighted_f1, "AUC": dialogue.mean_auc}


@dataclass(frozen=True)
class Asked:
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
        corpus = dialogue.corpora.load(name, self.data)
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
        return {"micro F1 without neutral": dialogue.micro_f1_without(list(labels).index(dialogue.NEUTRAL))}
    return F1_AND_AUC if name == HOME else {"weighted F1": dialogue.weighted_f1}


def zero_shot(asked: Asked) -> Report:
    """A model that saw no label of the corpus."""
    report = Report(f"Dialogues, no label of the corpus seen, {asked.split} split", {"split": asked.split})
    for name in asked.corpora:
        talks = asked.talks(name)
        report.tables[name] = dialogue.zero_shot(
            asked.model_for(name), talks, asked.split, measures_of(name, talks.labels)
        )
    return report


def trained(asked: Asked) -> Report:
    """Contexts trained on the training dialogues, on models of single turns."""
    facts = {"split": asked.split, "models of single turns": asked.turn_seeds, "contexts of each": asked.context_seeds}
    report = Report(
        f"Dialogues, trained, {asked.split} split", {**facts, "models of MELD's and DailyDialog's turns": 1}
    )
    for name in asked.corpora:
        found: dict[str, list[Answers]] = {ALONE: [], MEAN: [], GRU: []}
        for seed in range(asked.turn_seeds if name == HOME else 1):
            turns = asked.turns(name, seed)
            test = turns.talks.part(asked.split)
            means = dialogue.train_contexts(turns, (0,), settings=ContextSettings(hidden_dim=0), name="mean")
            contexts = dialogue.train_contexts(turns, range(asked.context_seeds), settings=ContextSettings())
            for system, models in ((ALONE, [turns.model]), (MEAN, means), (GRU, contexts)):
                found[system] += [dialogue.in_context(model, test) for model in models]
        measures = measures_of(name, turns.talks.labels)
        rows = []
        for system, answers in found.items():
            for each in answers:
                values = {key: measure(each.logits, each.true) for key, measure in measures.items()}
                rows.append({"system": system, **values, "calibration error": dialogue.calibration_error(each)})
        by_system = pd.DataFrame(rows).groupby("system", sort=False)
        report.tables[f"{name}, mean"] = by_system.mean()
        report.tables[f"{name}, deviation over models and contexts"] = by_system.std()
        gains = {}
        for other in (ALONE, MEAN):
            above = {key: dialogue.mean_gain(found[GRU], found[other], measure) for key, measure in measures.items()}
            gains[f"above {other}"] = {
                key: "{:+.1f} ({:+.1f} to {:+.1f})".format(*value) for key, value in above.items()
            }
        report.tables[f"{name}, {GRU}"] = pd.DataFrame(gains).T.rename_axis("difference")
    return report


def held_out(asked: Asked) -> Report:
    """Emotions that neither the turns nor the context were trained on: their AUC and AP without and with context."""
    facts = {"split": asked.split, "seeds of contexts": asked.context_seeds}
    report = Report(f"Dialogues, emotions held out, {asked.split} split", facts)
    rows = []
    for label in HELD_OUT:
        turns = asked.turns(HOME, 0, (label,))
        seen = [name for name in turns.talks.labels if name != label]
        test = turns.talks.part(asked.split)
        column = list(turns.talks.labels).index(label)
        (mean,) = dialogue.train_contexts(turns, (0,), seen, ContextSettings(hidden_dim=0), name="mean")
        contexts = dialogue.train_contexts(turns, range(asked.context_seeds), seen)
        systems = {ALONE: [turns.model], MEAN: [mean], GRU: contexts}
        for system, models in systems.items():
            for seed, model in enumerate(models):
                each = dialogue.in_context(model, test)
                scores, bears = each.logits[:, column], each.true == column
                auc, precision = (
                    100 * dialogue.metrics.auc(scores, bears),
                    100 * dialogue.metrics.average_precision(scores, bears),
                )
                rows.append({"label": label, "system": system, "seed": seed, "AUC": auc, "AP": precision})
    table = pd.DataFrame(rows)
    grouped = table.groupby(["label", "system"], sort=False)[["AUC", "AP"]]
    report.tables["mean over contexts"] = grouped.mean()
    report.tables["deviation"] = grouped.std()
    return report


def pretraining(asked: Asked) -> Report:
    """Contexts that start from pre-trained ones, beside random and shuffled starts, on shares of the dialogues."""
    facts = {"split": asked.split, "seeds of contexts": asked.context_seeds, "pre-trained on": ", ".join(UNLABELLED)}
    report = Report(f"Dialogues, pre-training, {asked.split} split", facts)
    starts: dict[str, PretrainedStart | None] = {"random": None}
    costs = []
    sequences = {name: text_sequences(asked.base, asked.unlabelled(name)) for name in UNLABELLED}
    for decoder in DECODERS:
        for shuffle in (False, True):
            name = f"{decoder}, shuffled turns" if shuffle else decoder
            begin = time.perf_counter()
            found = dialogue.pretrain_on(list(sequences.values()), PretrainConfig(decoder=decoder, shuffle=shuffle))
            seconds = time.perf_counter() - begin
            divergence = found.divergences[found.best_epoch] if found.divergences else float("nan")
            costs.append(
                {
                    "start": name,
                    "perplexity": found.perplexity,
                    "KL": divergence,
                    "collapsed": found.has_collapsed,
                    "epochs": len(found.losses),
                    "seconds": seconds,
                }
            )
            starts[name] = PretrainedStart(found.encoder)
    starts["contrast, permuted weights"] = PretrainedStart(starts["contrast"].source, SPECS["shuffled"])  # type: ignore[union-attr]
    rows = []
    for share in SHARES:
        turns = asked.untrained_turns(HOME, share)
        test = turns.talks.part(asked.split)
        for name, start in starts.items():
            contexts = dialogue.train_contexts(
                turns, range(asked.context_seeds), settings=ContextSettings(), start=start, name=name.replace(" ", "-")
            )
            for seed, model in enumerate(contexts):
                answers = dialogue.in_context(model, test)
                score = dialogue.weighted_f1(answers.logits, answers.true)
                rows.append({"share": share, "start": name, "seed": seed, "weighted F1": score})
    table = pd.DataFrame(rows)
    wide = table.pivot_table(index="start", columns="share", values="weighted F1", sort=False)
    report.tables["weighted F1 by share of the dialogues"] = wide
    paired = table.pivot(index=["share", "seed"], columns="start", values="weighted F1")
    gains = paired.drop(columns="random").sub(paired["random"], axis=0).groupby("share")
    deviation = gains.std() / asked.context_seeds**0.5
    report.tables["above random, paired by seed"] = gains.mean().T.rename_axis("start")
    report.tables["standard error of this difference"] = deviation.T.rename_axis("start")
    report.tables["pre-training"] = pd.DataFrame(costs).set_index("start")
    return report


def speed(asked: Asked) -> Report:
    """Seconds of a dialogue beyond its encoders, and of one more turn."""
    texts = ["I have been waiting for an hour.", "I am sorry about that.", "It does not help me.", "Let me see."] * 13
    turns, labels = texts[:50], ["frustration", "relief", "joy", "neutral"]
    model = asked.recognizer
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


PARTS: dict[str, Callable[[Asked], Report]] = {
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
    parser.add_argument("--output", type=Path, default=Path("docs/report"), help="folder for the reports")
    parser.add_argument("--cache", type=Path, help="folder for points and models of single turns")
    parsed = parser.parse_args()
    torch.set_num_threads(2)
    recognizer = emoembed.load(parsed.model)
    asked = Asked(
        recognizer,
        parsed.data,
        parsed.split,
        parsed.turn_seeds,
        parsed.context_seeds,
        (parsed.cache or cache_folder() / "dialogue") / f"{content_of(tensors_of(recognizer.model))[:12]}-{REVISION}",
        parsed.corpora,
    )
    for name in PARTS if "all" in parsed.parts else parsed.parts:
        report = PARTS[name](asked)
        write(report, parsed.output / f"dialogue-{name}")
        print(report.markdown())


if __name__ == "__main__":
    main()
