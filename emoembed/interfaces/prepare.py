"""`emoembed prepare`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

from emoembed.interfaces.options import TABLES, WorkerOptions


@dataclass(frozen=True, kw_only=True)
class Prepare(WorkerOptions):
    """Save a corpus as a manifest, or as a folder with its features.

    Examples:

        emoembed prepare ravdess --data DIR --output ravdess.csv

        emoembed prepare mosei --data DIR --output prepared
    """

    corpus: Annotated[str, typer.Argument(help="Name of a corpus, such as mosei.")]
    output: Annotated[Path, typer.Option(metavar="PATH", help=f"A {TABLES} file for a manifest; or a folder.")]
    data: Annotated[Path | None, typer.Option(metavar="DIR", help="Folder that contains the corpora.")] = None

    def run(self) -> int:
        """Save the corpus and print its description."""
        from emoembed import corpora
        from emoembed.corpora import manifest, table_files
        from emoembed.prediction import describe
        from emoembed.reading import prepare

        is_manifest = self.output.suffix.lower() in table_files.SUFFIXES
        if is_manifest:
            self.require_no_workers("a manifest is written by one process")
        corpus = corpora.load(self.corpus, self.data)
        if is_manifest:
            manifest.write(corpus, self.output)
        else:
            corpus = prepare.prepare(corpus, self.output, progress=self.progress, workers=self.processes())
        print(f"{describe.describe_corpus(corpus)}\n{len(corpus.samples)} rows -> {self.output}")
        return 0
