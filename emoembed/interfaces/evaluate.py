"""`emoembed evaluate`."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from emoembed.errors import InputError
from emoembed.interfaces.options import BatchOptions, ColumnOptions, WorkerOptions
from emoembed.interfaces.printing import print_failures
from emoembed.labels.emotion import canonical

if TYPE_CHECKING:
    from emoembed.corpora.corpus import Corpus
    from emoembed.evaluation.study import Study

TRAINING_PANEL = "Zero-shot: models trained without some emotions"


@dataclass(frozen=True, kw_only=True)
class Evaluate(BatchOptions, WorkerOptions, ColumnOptions):
    """Evaluate a model on a corpus, or train models without some emotions and test them on these emotions (zero-shot).

    Examples:

        emoembed evaluate ravdess --data DIR --split test

        emoembed evaluate clips.csv

        emoembed evaluate ravdess --data DIR --unseen fear,joy --seeds 3

        emoembed evaluate mosei --data DIR --protocol mosei-6 --unseen each --seeds 5 --output report
    """

    corpus: Annotated[str, typer.Argument(help="Name of a corpus, or path of a manifest.")]
    data: Annotated[Path | None, typer.Option(metavar="DIR", help="Folder that contains the corpora.")] = None
    split: Annotated[
        Literal["train", "valid", "test"] | None,
        typer.Option(help="Split to evaluate on; by default valid, or all rows of a table without the column split."),
    ] = None
    context: Annotated[
        bool, typer.Option("--context", help="Score turns in the context of earlier turns of their dialogue.")
    ] = False
    output: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR",
            help="Folder for metrics.json and a table; with --protocol, for the report and its plots.",
        ),
    ] = None
    unseen: Annotated[
        str | None,
        typer.Option(
            metavar="NAMES",
            help="Emotions to leave out of training, separated by commas; `each` leaves out every emotion in turn.",
            rich_help_panel=TRAINING_PANEL,
        ),
    ] = None
    protocol: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help="Protocol for training and report: mosei-6, iemocap-4, iemocap-4-5fold, iemocap-6, "
            "iemocap-9-zero-shot or default.",
            rich_help_panel=TRAINING_PANEL,
        ),
    ] = None
    seed: Annotated[
        int | None, typer.Option(metavar="S", help="Run once, with this seed.", rich_help_panel=TRAINING_PANEL)
    ] = None
    seeds: Annotated[
        int | None,
        typer.Option(min=1, metavar="N", help="Run N times, with seeds 0 to N-1.", rich_help_panel=TRAINING_PANEL),
    ] = None
    method: Annotated[
        str,
        typer.Option(help="Model to train: emoembed, or mtee (Dai et al. 2020).", rich_help_panel=TRAINING_PANEL),
    ] = "emoembed"
    words: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE", help="File of word vectors, used to embed the labels.", rich_help_panel=TRAINING_PANEL
        ),
    ] = None
    epochs: Annotated[
        int | None,
        typer.Option(
            min=1, metavar="N", help="Training epochs, instead of the recipe's number.", rich_help_panel=TRAINING_PANEL
        ),
    ] = None
    keep_emotion_columns: Annotated[
        bool,
        typer.Option(
            "--keep-emotion-columns",
            help="Also use feature columns that are emotion scores, to show their effect.",
            rich_help_panel=TRAINING_PANEL,
        ),
    ] = False

    def run(self) -> int:
        """Evaluate the model, or with --unseen or --protocol train new models and evaluate them."""
        if self.seed is not None and self.seeds is not None:
            raise InputError("--seed is one run and --seeds many; give only one of them")
        if self.unseen is None and self.protocol is None:
            return self._score_model()
        if self.device != "cpu" or self.batch_size is not None or self.processes() is not None or self.context:
            raise InputError(
                "--device, --batch-size, --workers, --engine and --context cannot be used with --unseen or --protocol, "
                "which train on the CPU and on single rows; leave them out"
            )
        if self.column:
            raise InputError("--column is for the table that a model is scored on; leave it out")
        return self._train_and_score() if self.protocol is None else self._report()

    def _score_model(self) -> int:
        from emoembed import corpora
        from emoembed.evaluation.corpus import evaluate_corpus, write_evaluation

        if self.words or self.epochs or self.keep_emotion_columns or self.method != "emoembed":
            raise InputError(
                "--words, --epochs, --method and --keep-emotion-columns need --unseen or --protocol; add one of these"
            )
        if self.seeds is not None or self.seed is not None:
            raise InputError("--seed and --seeds need --unseen or --protocol; without them no model is trained")
        rows = self.rows(Path(self.corpus))
        corpus = corpora.load(self.corpus, self.data) if isinstance(rows, str | Path) else rows
        _print_names(corpus)
        split = self.split or (splits[0] if len(splits := list(corpus.counts().columns)) == 1 else "valid")
        result = evaluate_corpus(
            self.load(),
            corpus,
            split,
            batch_size=self.batch_size or 32,
            workers=self.processes(self.device),
            context=self.context,
            progress=self.progress,
        )
        if result.trained_on:
            rows = f"rows of {corpus.name}'s {split} split"
            print(f"emoembed: {self.model} was trained on {rows}, so this is not a test", file=sys.stderr)
        elif result.chosen_on:
            print(
                f"emoembed: {self.model} was validated or calibrated on these rows, so the figures are a little too "
                "good, above all those of calibration; score test rows if the corpus has any",
                file=sys.stderr,
            )
        for name, value in result.figures.items():
            print(f"{name:<11} {_format_figure(value)}")
        print(f"\n{result.by_label.round(3).to_string()}")
        if self.output:
            figures = {**result.figures, "trained_on": result.trained_on, "chosen_on": result.chosen_on}
            figures |= {"by_label": result.by_label.to_dict("index")}
            write_evaluation(self.output, figures, predictions=result.predictions)
        return print_failures("failed", result.summary.failures)

    def _train_and_score(self) -> int:
        from emoembed.evaluation import leak_audit, zero_shot
        from emoembed.evaluation.corpus import write_evaluation

        study = self._study()
        for line in leak_audit.audit_study(study):
            print(f"audit: {line}")
        runs = zero_shot.evaluate(study)
        summary, by_label = zero_shot.summarize(runs), zero_shot.by_label(runs)
        print(f"{summary.round(3).to_string()}\n\n{by_label.round(3).to_string()}")
        if self.output:
            figures = {"summary": summary.to_dict("index"), "by_label": by_label.to_dict("index")}
            write_evaluation(self.output, figures, runs=runs)
        return 0

    def _report(self) -> int:
        from emoembed.evaluation import experiment, report

        results = experiment.run(self._study())
        print(results.markdown(), end="")
        if self.output:
            report.write(results, self.output)
        return 0

    def _study(self) -> Study:
        from emoembed.evaluation.study import Study

        return Study(
            self.corpus,
            self.data or Path(self.corpus),
            self.load().model,
            unseen=self.unseen,
            protocol=self.protocol or "default",
            seeds=range(self.seeds) if self.seeds is not None else (self.seed or 0,),
            split=self.split or "valid",
            method=self.method,
            words=self.words,
            epochs=self.epochs,
            drop_emotion_columns=not self.keep_emotion_columns,
            progress=self.progress,
        )


def _print_names(corpus: Corpus) -> None:
    """Say on stderr which labels of a corpus are read as others of the table."""
    names = {label: canonical(label) for label in corpus.labels}
    renamed = [f"{label} as {name}" for label, name in names.items() if label != name]
    if renamed:
        print(f"emoembed: labels are read by their names in the table: {', '.join(renamed)}", file=sys.stderr)


def _format_figure(value: Any) -> str:
    if isinstance(value, list):
        return ", ".join(value)
    return f"{value:.3f}" if isinstance(value, float) else str(value)
