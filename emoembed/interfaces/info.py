"""`emoembed info` and `emoembed labels`."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Any

import typer

from emoembed.errors import InputError
from emoembed.interfaces.options import Command, ModelOptions

KINDS = ("model", "corpus", "label")
MOST_SEEN = 40
"""Number of seen labels that are printed by name."""


@dataclass(frozen=True, kw_only=True)
class Info(ModelOptions):
    """Describe a model, a corpus or a label.

    Examples:

        emoembed info base

        emoembed info corpus mosei --data DIR

        emoembed info nostalgia
    """

    words: Annotated[
        list[str],
        typer.Argument(
            metavar="[KIND] NAME",
            help="Kind and name of what to describe. The kind is model, corpus or label. It may be left out if the "
            "package knows the name. A model or a corpus may also be a folder.",
        ),
    ]
    data: Annotated[Path | None, typer.Option(metavar="DIR", help="Folder that contains the corpora.")] = None

    def run(self) -> int:
        """Print the description."""
        from emoembed.prediction import describe

        kind, name = self._kind_and_name()
        if kind == "model":
            _print_model(name, describe.describe_model(replace(self, model=name).load()))
        elif kind == "label":
            _print_label(self.model, describe.describe_label(self.load().model, name))
        else:
            print(self._describe_corpus(name))
        return 0

    def _kind_and_name(self) -> tuple[str, str]:
        """Model, corpus or label, and the name.

        Raises:
            InputError: there is no kind, and the package does not know the name.
        """
        from emoembed import corpora
        from emoembed.labels.emotion import canonical, table
        from emoembed.model import checkpoint_files

        if self.words[0] in KINDS and len(self.words) > 1:
            return self.words[0], " ".join(self.words[1:])
        name = " ".join(self.words)
        folder = Path(name)
        if name in [path.name for path in checkpoint_files.shipped()] or (folder / checkpoint_files.CONFIG).is_file():
            return "model", name
        if name in corpora.NAMES or folder.exists():
            return "corpus", name
        if canonical(name) in table():
            return "label", name
        raise InputError(
            f"the package knows no {name!r}; say what it is: emoembed info model NAME, info corpus NAME or "
            "info label NAME"
        )

    def _describe_corpus(self, name: str) -> str:
        from emoembed import corpora
        from emoembed.prediction import describe

        folder = Path(name)
        if folder.is_dir() and name not in corpora.NAMES:
            corpus = corpora.load(corpora.recognize(folder), folder)
        else:
            corpus = corpora.load(name, self.data)
        return describe.describe_corpus(corpus)


@dataclass(frozen=True, kw_only=True)
class Models(Command):
    """List the models that ship with the package: size, modalities and licence of the weights.

    A model of your own is named by its folder, or by its id on the Hugging Face hub.

    Example:

        emoembed models
    """

    def run(self) -> int:
        """Print one model per line."""
        from emoembed.prediction.describe import list_models

        for model in list_models():
            size, reads = f"{model['bytes'] / 1e6:.0f} MB", ", ".join(model["modalities"])
            print(f"{model['name']:<16} {size:>6}  {reads:<18}  {model['licence']}")
        return 0


@dataclass(frozen=True, kw_only=True)
class Labels(Command):
    """List the emotions of the package's table, or those that are most similar to a name.

    You can score any other name too. An emotion of the table has a definition, and cues of voice and face.

    Examples:

        emoembed labels

        emoembed labels --like awe --count 5
    """

    like: Annotated[str | None, typer.Option(metavar="NAME", help="An emotion name; lists the nearest emotions.")] = (
        None
    )
    count: Annotated[int, typer.Option(min=1, metavar="N", help="With --like: number of emotions to list.")] = 10
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
