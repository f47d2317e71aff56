"""Compare strategies of transfer between corpora (`make report-transfer`).

The parts: speech between RAVDESS, TESS and EMO-DB; action units between actors of RAVDESS; the AUC of boredom and calm,
which are never trained on; and the strategy that the package chooses for speech, beside the results of the first part.
Speakers are either for training, for validation or for test. Each strategy is run with several learning rates, and the
validation rows choose one. Each result is written at once to `transfers.csv` of the report's folder, so a stopped run
goes on. Name another `--output` to run all transfers anew.

    python benchmarks/transfer.py --data DIR --parts speech faces zero-shot
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import pandas as pd
import torch
from studies import transfer
from studies.transfer import FACES, NEVER_TRAINED, SPEECH, WAYS, Pair, Rows

from emoembed.evaluation.report import Report, write
from emoembed.training import recipes
from emoembed.training.recipes import Recipe
from emoembed.transfer.strategies import STRATEGIES, train_sources
from emoembed.transfer.task import Budget, Task

SHARES = (0.05, 0.1, 0.25, 1.0)
RATES = (3e-4, 1e-3, 3e-3)
PARTS = ("speech", "faces", "zero-shot", "choice")
COMPLETE = tuple(pair for pair in SPEECH if pair.ways == WAYS)
"""Pairs for which all strategies are compared."""
BASELINES = ("scratch", "no-source", "random-path")


class Results:
    """The table of all transfers, written to a file row by row. Numbers have six significant digits."""

    def __init__(self, file: Path) -> None:
        self.file = file
        self.table = pd.read_csv(file) if file.is_file() else pd.DataFrame(columns=["pair"])
        keys = ["pair", "share", "seed", "strategy", "rate"]
        self.done = set(self.table.reindex(columns=keys).itertuples(index=False, name=None))

    def add(self, key: tuple[str, float, int, str, float], facts: Mapping[str, float | str]) -> None:
        """Add one transfer."""
        rounded = {name: value if isinstance(value, str) else float(f"{value:.6g}") for name, value in facts.items()}
        row = dict(zip(("pair", "share", "seed", "strategy", "rate"), key, strict=True)) | rounded
        new = pd.DataFrame([row])
        self.table = pd.concat([self.table, new], ignore_index=True) if len(self.table) else new
        self.done.add(key)
        self.file.parent.mkdir(parents=True, exist_ok=True)
        temporary = self.file.with_suffix(".tmp")
        self.table.to_csv(temporary, index=False)
        temporary.replace(self.file)


def run(
    results: Results,
    pair: Pair,
    rows: dict[str, Rows],
    recipe: Recipe,
    seed: int,
    shares: tuple[float, ...],
    unseen: tuple[str, ...] = (),
) -> None:
    """All strategies and learning rates of one pair and one seed."""
    name = pair.name + "".join(f", {label} unseen" for label in unseen)
    keys = [(name, share, seed, way, rate) for share in shares for way in pair.ways for rate in RATES]
    if results.done.issuperset(keys):
        return
    sources = [transfer.source_of(rows[source].without(unseen)) for source in pair.sources]
    whole = rows[pair.target]
    domain, test = transfer.target_of(whole, seed, 1.0, unseen)
    task = Task(recipe, tuple(sources), domain, Budget(seed=seed))
    task = replace(task, trained=train_sources(task))
    for key in keys:
        if key not in results.done:
            _, share, _, way, rate = key
            target = domain.share_of(share)
            results.add(key, transfer.measure(replace(task, target=target), way, rate, test, unseen))


def run_choices(results: Results, pair: Pair, rows: dict[str, Rows], recipe: Recipe, seed: int) -> None:
    """The package's choice of a strategy for each share of the target."""
    budget = Budget(seed=seed)
    keys = [(pair.name, share, seed, "chosen by the package", budget.learning_rate) for share in SHARES]
    if results.done.issuperset(keys):
        return
    domain, test = transfer.target_of(rows[pair.target], seed, 1.0)
    task = Task(recipe, tuple(transfer.source_of(rows[source]) for source in pair.sources), domain, budget)
    task = replace(task, trained=train_sources(task))
    for key in keys:
        if key not in results.done:
            results.add(key, transfer.measure_choice(replace(task, target=domain.share_of(key[1])), test))


def report_of_choices(choices: pd.DataFrame, table: pd.DataFrame) -> Report:
    """The package's choices beside fixed strategies, at the package's learning rate."""
    report = Report("Transfer between corpora, the choice of a strategy", {"seeds": choices["seed"].nunique()})
    for measure in ("UAR", "macro F1"):
        report.tables[f"mean over pairs, {measure} in per cent"] = transfer.choices_beside(choices, table, measure)
    chosen = choices.groupby(["chosen", "share"]).size().unstack("share", fill_value=0)
    report.tables["how often a strategy was chosen"] = chosen
    report.tables["seconds of a choice"] = choices.groupby("share")["seconds"].mean().to_frame()
    return report


def report_of(part: str, table: pd.DataFrame) -> Report:
    """The tables of a part."""
    table = transfer.chosen_rates(table)
    facts = {"seeds": table["seed"].nunique(), "learning rates": ", ".join(f"{rate:g}" for rate in RATES)}
    report = Report(f"Transfer between corpora, {part}", facts)
    measures = ["AUC", "AP"] if part == "zero-shot" else ["UAR", "macro F1"]
    for pair, pair_rows in table.groupby("pair", sort=False):
        for measure in measures:
            wide = pair_rows.pivot_table(index="strategy", columns="share", values=measure, sort=False)
            report.tables[f"{pair}, {measure} in per cent"] = 100 * wide
            for other in BASELINES:
                if pair_rows["seed"].nunique() > 1 and other in set(pair_rows["strategy"]):
                    report.tables[f"{pair}, {measure} above {other}"] = _gains(pair_rows, other, measure)
        if set(pair_rows["strategy"]) >= set(STRATEGIES):
            choice = transfer.chosen_strategies(pair_rows, measures[0]).loc[pair]
            choice = choice.assign(chosen=100 * choice["chosen"], best=100 * choice["best"])
            report.tables[f"{pair}, the strategy chosen on validation and the best on test, {measures[0]}"] = choice
    if table["pair"].nunique() > 1:
        for measure in measures:
            report.tables[f"mean over pairs, {measure} in per cent"] = 100 * transfer.means_over_pairs(table, measure)
    used = table.groupby("strategy", sort=False)[["reused", "seconds"]].mean()
    report.tables["share of places that use modules of sources, and seconds of a transfer"] = used
    return report


def _gains(found: pd.DataFrame, other: str, measure: str) -> pd.DataFrame:
    gains = transfer.differences(found, other, measure)
    numbers = 100 * gains[["mean", "low", "high"]]
    cells = ["{:+.1f} ({:+.1f} to {:+.1f})".format(*row) for row in numbers.itertuples(index=False, name=None)]
    return gains.assign(cell=cells).pivot(index="strategy", columns="share", values="cell")


def main() -> None:
    """Run the parts and write their reports."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="folder of the corpora")
    parser.add_argument("--parts", nargs="+", default=list(PARTS), choices=PARTS)
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--shares", nargs="+", type=float, default=list(SHARES), help="shares of the target's rows")
    parser.add_argument("--output", type=Path, default=Path("docs/report"), help="folder of the reports and results")
    parser.add_argument("--threads", type=int, default=2)
    parsed = parser.parse_args()
    torch.set_num_threads(parsed.threads)
    shares = tuple(parsed.shares)
    recipe, speech = transfer.recipe_of("audio", recipes.audio_modality()), {}
    if {"speech", "zero-shot", "choice"} & set(parsed.parts):
        speech = {name: transfer.read(name, parsed.data, recipe) for name in ("ravdess", "tess", "emodb")}
    for part in parsed.parts:
        results = Results(parsed.output / f"transfer-{part}" / "transfers.csv")
        for seed in range(parsed.seeds):
            if part == "faces":
                halves, columns = transfer.read_faces(parsed.data)
                rows = {half.name: half for half in halves}
                units = transfer.recipe_of("video", recipes.action_unit_modality(columns))
                run(results, FACES, rows, units, seed, shares)
            for pair in SPEECH if part == "speech" else ():
                run(results, pair, speech, recipe, seed, shares)
            for pair in (SPEECH[2], SPEECH[-1]) if part == "zero-shot" else ():
                unseen = tuple(label for label in NEVER_TRAINED if label in speech[pair.target].data.labels)
                run(results, pair, speech, recipe, seed, (shares[-1],), unseen)
            for pair in COMPLETE if part == "choice" else ():
                run_choices(results, pair, speech, recipe, seed)
            table = results.table[results.table["seed"].le(seed)]
            if part == "choice":
                report = report_of_choices(table, Results(parsed.output / "transfer-speech" / "transfers.csv").table)
            else:
                report = report_of(part, table[table["share"].isin(shares)])
            write(report, parsed.output / f"transfer-{part}")
        print(report.markdown())


if __name__ == "__main__":
    main()
