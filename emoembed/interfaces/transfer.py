"""`emoembed transfer`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from emoembed.interfaces.options import Command

if TYPE_CHECKING:
    from emoembed.corpora.corpus import Corpus


@dataclass(frozen=True, kw_only=True)
class Transfer(Command):
    """Carry what source corpora of speech teach to a target corpus.

    Examples:

        emoembed transfer --source ravdess --source tess --target emodb --data DIR --output my-model

        emoembed transfer --source ravdess --data DIR --target mine.csv --strategy fine-tune --output my-model
    """

    target: Annotated[str, typer.Option(help="Name of a corpus, or path of a manifest.")]
    output: Annotated[Path, typer.Option(metavar="DIR", help="Folder for the new checkpoint.")]
    source: Annotated[
        list[str] | None, typer.Option(help="Name of a corpus, or path of a manifest. Can be repeated.")
    ] = None
    data: Annotated[Path | None, typer.Option(metavar="DIR", help="Folder that contains the corpora.")] = None
    strategy: Annotated[
        str | None,
        typer.Option(
            help="scratch, linear-probe, fine-tune, lp-ft, lora, soup or pathnet; or a control, random-path or no-source. By "
            "default all are compared on validation rows, and the best that is not a control is used."
        ),
    ] = None
    plot: Annotated[
        Path | None, typer.Option(metavar="FILE", help="A picture of the paths, if the strategy has paths.")
    ] = None
    steps: Annotated[int, typer.Option(min=1, metavar="N", help="Training steps of each strategy.")] = 700
    seed: Annotated[int, typer.Option(help="Random seed.")] = 0

    def run(self) -> int:
        """Transfer, save a checkpoint, and print the scores."""
        from emoembed.encoders.modular import ModularSettings
        from emoembed.transfer.manifest import transfer_corpora
        from emoembed.transfer.plot_paths import plot_paths
        from emoembed.transfer.strategies import Budget

        choice = transfer_corpora(
            [self._corpus(name) for name in self.source or ()],
            self._corpus(self.target),
            self.output,
            strategy=self.strategy,
            budget=Budget(steps=self.steps, seed=self.seed),
        )
        print(choice.scores.round(3).to_string())
        report = choice.chosen.report
        if report is not None:
            print(f"{report.share:.0%} of the weights come from the source")
        settings = next(iter(choice.chosen.model.config.modalities.values())).settings
        if self.plot is not None and choice.chosen.paths and isinstance(settings, ModularSettings):
            plot_paths(choice.chosen.paths, settings, self.plot)
        print(f"strategy: {choice.chosen.strategy}\nsaved -> {self.output}")
        return 0

    def _corpus(self, name: str) -> Corpus:
        from emoembed import corpora

        return corpora.load(name, self.data)
