"""`emoembed info` and `emoembed labels`."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from emoembed.interfaces.options import Command, ModelOptions

MOST_SEEN = 40
"""Number of seen labels that are printed by name."""


@dataclass(frozen=True, kw_only=True)
class Info(ModelOptions):
    """Describe a model, a corpus or a label.

    Examples:

        emoembed info model base

        emoembed info corpus mosei --data DIR

        emoembed info label nostalgia
    """

    subject: Annotated[Literal["model", "corpus", "label"], typer.Argument(help="Kind of thing to describe.")]
    name: Annotated[str, typer.Argument(help="Its name; for a model or a corpus also its folder.")]
    data: Annotated[Path | None, typer.Option(metavar="DIR", help="Folder that contains the corpora.")] = None

    def run(self) -> int:
        """Print the description."""
        from emoembed.prediction import describe

        if self.subject == "model":
            _print_model(self.name, describe.describe_model(replace(self, model=self.name).load()))
        elif self.subject == "label":
            _print_label(self.model, describe.describe_label(self.load().model, self.name))
        else:
            print(self._describe_corpus())
        return 0

    def _describe_corpus(self) -> str:
        from emoembed import corpora
        from emoembed.prediction import describe

        folder = Path(self.name)
        if folder.is_dir() and self.name not in corpora.NAMES:
            corpus = corpora.load(corpora.recognize(folder), folder)
        else:
            corpus = corpora.load(self.name, self.data)
        return describe.describe_corpus(corpus)


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


def _print_label(model: str, label: dict[str, Any]) -> None:
    origin = "" if label["in_table"] else " (not in the emotion table; predicted from the name)"
    valence, arousal, dominance = label["vad"]
    print(f"{label['name']}: {label['definition'] or 'no definition'}")
    print(f"synonyms: {', '.join(label['synonyms']) or 'none'}")
    print(f"valence {valence:+.2f}, arousal {arousal:+.2f}, dominance {dominance:+.2f}{origin}")
    where = f"trained on it in {', '.join(label['seen_in'])}" if label["seen_in"] else "not trained on it"
    print(f"{model} was {where}")
    if label["examples"]:
        print(f"taught by examples: {', '.join(f'{count} {name}' for name, count in label['examples'].items())}")
    print("nearest labels:")
    for neighbour in label["nearest"]:
        print(f"  {neighbour['name']:<20} {neighbour['cosine']:.3f}{'  trained on' if neighbour['seen'] else ''}")
    for name, modality in label["modalities"].items():
        nearest = ", ".join(f"{item['name']} {item['cosine']:.2f}" for item in modality["nearest"])
        print(f"{name}: nearest training labels: {nearest}")
        if modality["expected_auc"] is not None:
            expected = f"{modality['expected_auc']:.2f} (+-{modality['error']:.2f})"
            print(f"  expected AUC {expected}, measured on held-out labels")
        if modality["warning"]:
            print(f"  warning: {modality['warning']}")


def _print_model(name: str, model: dict[str, Any]) -> None:
    print(f"{name}: {model['folder']}")
    for key, modality in model["modalities"].items():
        kind = f"{modality['features']} features, {modality['encoder']} encoder, {modality['embed_dim']} dimensions"
        print(f"{key + ':':<11} {kind}")
    print(f"parameters: {model['parameters']:,}\nsize:       {model['bytes'] / 2**20:.1f} MiB")
    print(f"labels:     {', '.join(model['labels']) or 'none by default'}")
    more = f" and {len(model['seen']) - MOST_SEEN} more" if len(model["seen"]) > MOST_SEEN else ""
    print(f"seen:       {', '.join(model['seen'][:MOST_SEEN]) or 'none'}{more}")
    if model["adapted"]:
        print(f"taught:     {', '.join(model['adapted'])}")
    print(f"licence:    {model['provenance'].get('licence', 'not stated')}")
    for line in model["license"]:
        print(f"            {line}")
    if model["card"]:
        print(f"\n{model['card'].rstrip()}")
