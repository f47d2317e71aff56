"""`emoembed labels`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import typer

from emoembed.interfaces.options import Command


@dataclass(frozen=True, kw_only=True)
class Labels(Command):
    """List the emotions that the package describes, or those that are like a name of yours.

    Any other name works too; a described emotion has a definition, and cues of voice and face.

    Examples:

        emoembed labels

        emoembed labels --like awe --count 5
    """

    like: Annotated[str | None, typer.Option(metavar="NAME", help="Any emotion name; the nearest ones are listed.")] = (
        None
    )
    count: Annotated[int, typer.Option(min=1, metavar="N", help="With --like: how many.")] = 10
    model: Annotated[str, typer.Option(help="With --like: the model whose text vectors are compared.")] = "base"

    def run(self) -> int:
        """Print one emotion per line, with its definition."""
        from emoembed.labels.emotion import find, table

        if self.like is None:
            rows = [(label.name, None) for label in table().values()]
        else:
            from emoembed.prediction.describe import describe_label
            from emoembed.prediction.public import load

            nearest = describe_label(load(self.model).model, self.like, self.count)["nearest"]
            rows = [(item["name"], item["cosine"]) for item in nearest]
        for name, cosine in rows:
            print(f"{name:<20} " + (f"{cosine:.2f}  " if cosine is not None else "") + find(name).definition)
        return 0
