"""`emoembed transfer`."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from emoembed.interfaces.options import Command

if TYPE_CHECKING:
    from emoembed.corpora.corpus import Corpus


@dataclass(frozen=True, kw_only=True)
class Transfer(Command):
    """Transfer a model from source corpora of speech to a target corpus.

    Examples:

        emoembed transfer --source ravdess tess --target emodb --data DIR --output my-model

        emoembed transfer --source ravdess --data DIR --target mine.csv --strategy fine-tune --output my-model

        emoembed transfer --compare --source ravdess tess --target emodb --data DIR --output table.csv
    """

    target: Annotated[str, typer.Option(help="Name of a corpus, or path of a manifest.")]
    output: Annotated[
        Path, typer.Option(metavar="PATH", help="Folder for the new checkpoint; with --compare, a file for the table.")
    ]
    source: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME...", help="Name of a corpus, or path of a manifest; or several."),
    ] = None
    data: Annotated[Path | None, typer.Option(metavar="DIR", help="Folder that contains the corpora.")] = None
    strategy: Annotated[
        str | None,
        typer.Option(
            help="scratch, linear-probe, fine-tune, lp-ft, lora, soup or pathnet; or a control, random-path or "
            "no-source. By default all are compared on validation rows, and the best that is not a control is used."
        ),
    ] = None
    compare: Annotated[
        bool,
        typer.Option(
            "--compare",
            help="Show which corpus helps which: each named corpus is the source and the target in turn. The strategy "
            "is fine-tune if none is named.",
        ),
    ] = False
    plot: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE", help="A picture of the paths, if the strategy has paths; with --compare, of the table."
        ),
    ] = None
    steps: Annotated[int, typer.Option(min=1, metavar="N", help="Training steps of each strategy.")] = 700
    seed: Annotated[int, typer.Option(help="Random seed.")] = 0

    def run(self) -> int:
        """Transfer, save a checkpoint, and print the scores."""
        from emoembed import plots
        from emoembed.encoders.modular import ModularSettings
        from emoembed.transfer.manifest import transfer_corpora
        from emoembed.transfer.task import Budget

        if self.plot is not None:
            plots.require_picture(self.plot)
        if self.compare:
            return self._compare()
        choice = transfer_corpora(
            [self._corpus(name) for name in self.source or ()],
            self._corpus(self.target),
            self.output,
            strategy=self.strategy,
            budget=Budget(steps=self.steps, seed=self.seed),
            progress=self.progress,
        )
        print(choice.scores.round(3).to_string())
        report = choice.chosen.report
        if report is not None:
            print(f"{report.share:.0%} of the weights come from the source")
        settings = next(iter(choice.chosen.model.config.modalities.values())).settings
        if self.plot is not None and choice.chosen.paths and isinstance(settings, ModularSettings):
            plots.save(plots.paths(choice.chosen.paths, settings.modules), self.plot)
        elif self.plot is not None:
            print(f"no picture: {choice.chosen.strategy} has no paths", file=sys.stderr)
        print(f"strategy: {choice.chosen.strategy}\nsaved -> {self.output}")
        return 0

    def _compare(self) -> int:
        """Print and save the table of sources by targets."""
        from emoembed import plots
        from emoembed.corpora import tables
        from emoembed.transfer.compare import compare_corpora
        from emoembed.transfer.task import Budget

        tables.require_output(self.output)
        table = compare_corpora(
            [self._corpus(name) for name in (*(self.source or ()), self.target)],
            strategy=self.strategy or "fine-tune",
            budget=Budget(steps=self.steps, seed=self.seed),
            progress=self.progress,
        )
        print(table.round(3).to_string())
        tables.write_table(table.reset_index(), self.output)
        if self.plot is not None:
            plots.save(plots.sources_by_targets(table), self.plot)
        print(f"saved -> {self.output}")
        return 0

    def _corpus(self, name: str) -> Corpus:
        from emoembed import corpora

        return corpora.load(name, self.data)
