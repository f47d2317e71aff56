"""What each choice in training is worth to emotions never seen: `python benchmarks/ablation.py --data DIR`.

Every row departs in one thing from how models with emotions held out are trained (`evaluation.held_out`). Text: six
emotions held out of GoEmotions together, and answered for by name on semeval2018's validation rows. Speech: RAVDESS,
two emotions held out of each of four folds, TESS and EMO-DB in the map in closed form. Faces: FER2013, two held out
together, and in two rows each of seven alone. Never scores test. Models stay in the cache and the report is written
row by row, so that a run goes on where it was stopped.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import pandas as pd
import torch
from studies import shipped, voice_and_face
from torch import Tensor

import emoembed
from emoembed import corpora
from emoembed.evaluation import held_out, zero_shot
from emoembed.evaluation.folds import Fold, load_folds
from emoembed.evaluation.report import Report, write
from emoembed.labels.projections import LabelParts
from emoembed.model.calibration import Reliability, newness
from emoembed.model.config import ModalityConfig
from emoembed.model.model import EmotionModel
from emoembed.reading import corpus_rows
from emoembed.reading.rows import join
from emoembed.training import recipes


@dataclass(frozen=True)
class Variant:
    """A departure: from the training settings, from what of a label counts, from the encoder's settings."""

    training: Mapping[str, object] = field(default_factory=dict)
    parts: LabelParts | None = None
    settings: Mapping[str, object] = field(default_factory=dict)
    strength: float | None = None
    beside: tuple[str, ...] = ()
    """Other corpora whose rows are trained on as well, without the labels held out."""
    alone: bool = False
    """No rows of other corpora anywhere."""
    hubness: str = ""
    modality: ModalityConfig | None = None
    augmentation: str = "usual"
    singly: bool = False
    """Each label held out by itself, in place of some together."""


COMMON = {
    "as it is": Variant(),
    "hubs taken off by inverted softmax": Variant(hubness="inverted softmax"),
    "hubs taken off by CSLS, 10 neighbours": Variant(hubness="CSLS"),
    "label side locked": Variant({"lock_labels": True}),
    "label side free": Variant({"stay_close": 0.0}),
}
MEDIA = {
    **COMMON,
    "softmax alone, no pull to label points": Variant({"pull": 0.0}),
    "labels by their text alone": Variant(parts=LabelParts()),
}
VARIANTS = {
    "text": {
        **COMMON,
        "hubs left": Variant(hubness="none"),
        "adapters at full strength": Variant(strength=1.0),
        "adapters at strength 0.8 (WiSE-FT)": Variant(strength=0.8),
        "adapters at strength 0.4 (WiSE-FT)": Variant(strength=0.4),
        "two epochs, adapters at strength 0.4": Variant({"epochs": 2}, strength=0.4),
        "adapters not held": Variant({"stay_close_text": 0.0}),
        "adapters held at 100": Variant({"stay_close_text": 100.0}),
        "adapters held at 1000": Variant({"stay_close_text": 1000.0}),
        "two epochs": Variant({"epochs": 2}),
        "no valence, arousal, dominance": Variant(parts=LabelParts(), settings={"vad_share": 0.0}),
        "EmoContext, MELD and EmoryNLP beside": Variant(beside=("emocontext", "meld", "emorynlp")),
    },
    "audio": {
        **MEDIA,
        "hubs left": Variant(hubness="none"),
        "no TESS and EMO-DB in the map in closed form": Variant(alone=True),
        "TESS and EMO-DB beside throughout": Variant(beside=("tess", "emodb")),
        "twice as many epochs": Variant({"epochs": 50, "patience": 50}),
        "no augmentation": Variant(augmentation="none"),
        "augmented with noise too": Variant(augmentation="with noise"),
        "augmented with tempo too": Variant(augmentation="with tempo"),
        "augmented without vocal tract length": Variant(augmentation="no throat"),
        "perceptron alone, no map in closed form": Variant(settings={"overview": 0.0}),
        "map in closed form alone": Variant(settings={"overview": 1.0}),
        "a network over frames in the perceptron's place": Variant(modality=recipes.audio_modality()),
    },
    "video": {
        **MEDIA,
        "hubs taken off by the mean over items": Variant(hubness="mean"),
        "twice as many epochs": Variant({"epochs": 8, "patience": 8}),
        "no augmentation": Variant(augmentation="none"),
        "as it is, each of seven held out alone": Variant(singly=True),
        "labels by their text alone, each of seven held out alone": Variant(parts=LabelParts(), singly=True),
    },
}
CORPORA = {"text": "goemotions", "audio": "ravdess", "video": "fer2013"}


def groups(modality: str, fold: Fold, position: int) -> list[tuple[str, ...]]:
    """Which labels of a fold are held out together."""
    labels = fold.train.labels
    if modality == "text":
        return [shipped.SIX]
    if modality == "audio":
        return [(labels[2 * position], labels[2 * position + 1])]
    return [("fear", "joy")]


def changed(fold: Fold, variant: Variant) -> Fold:
    """A fold whose modality departs as a variant has it."""
    modalities = {
        name: replace(one, parts=variant.parts or one.parts).with_settings(**variant.settings)
        for name, one in {name: variant.modality or one for name, one in fold.modalities.items()}.items()
    }
    if variant.settings.get("vad_share") == 0.0:
        modalities = {name: replace(one, embed_dim=one.embed_dim - 4) for name, one in modalities.items()}
    return replace(fold, modalities=modalities)


def with_others(fold: Fold, names: Sequence[str], data: Path) -> Fold:
    """A fold beside the training rows of other corpora."""
    phrases, parts = fold.phrases, [fold.train]
    assert phrases is not None
    for name in names:
        corpus = corpora.load(name, data).split("train").canonical()
        parts.append(corpus_rows.text_data(corpus, phrases) if fold.kind == "text" else corpus_rows.audio_data(corpus))
    return replace(fold, train=join(parts), beside=None)


def correct_hubs(model: EmotionModel, method: str) -> None:
    """Take off each new label's logit, by a method or `none`, how near it is to the 256 items kept from training rows.

    Inverted softmax: Smith et al. 2017, section 2.2. CSLS, whose share of the label alone moves an answer: Conneau et
    al. 2018, section 2.3. The mean over items: `Reliability.hubness`, which the others follow in all but what nearness
    is: labels count as far as they are new, and less the mean of those seen.
    """
    for name in model.modalities:
        trust = model.modality(name).calibration
        trust.hub_share.fill_(float(method == "mean"))
        if method in ("mean", "none"):
            continue

        def level(label_points: Tensor, scale: Tensor, trust: Reliability = trust) -> Tensor:
            cosines = label_points @ trust.reference.T
            if method == "inverted softmax":
                return torch.logsumexp(scale * cosines, dim=1)
            return scale * cosines.topk(10, dim=1).values.mean(dim=1) / 2

        def hubness(label_points: Tensor, nearest: Tensor, scale: Tensor, trust: Reliability = trust) -> Tensor:
            if not bool(trust.familiar.any()):
                return level(label_points, scale, trust)
            return newness(nearest) * (level(label_points, scale, trust) - level(trust.familiar, scale, trust).mean())

        trust.hubness = hubness  # type: ignore[method-assign, assignment]


def measure(base: EmotionModel, data: Path, modality: str, variant: Variant) -> Iterator[dict[str, object]]:
    """A row per held-out label."""
    beside = voice_and_face.other_speech(data) if modality == "audio" and not variant.alone else None
    for position, whole in enumerate(load_folds(CORPORA[modality], data, base)):
        fold = replace(whole, beside=beside)
        one = changed(fold, variant)
        one = with_others(one, variant.beside, data) if variant.beside else one
        training = replace(held_out.training_of(one), **dict(variant.training))  # type: ignore[arg-type]
        together = groups(modality, fold, position)
        for unseen in [(label,) for label in fold.train.labels] if variant.singly else together:
            model = held_out.train_without(
                one,
                unseen,
                0,
                base=base,
                training=training,
                augmentation=variant.augmentation,
                strength=variant.strength,
            )
            if variant.hubness:
                correct_hubs(model, variant.hubness)
            rows = zero_shot.measure(model, fold, unseen, "valid", {})
            named = shipped.by_name(model, "semeval2018", data, unseen, "valid") if modality == "text" else None
            for row in rows:
                yield row if named is None else {**row, **by_name(named)}


def untrained(base: EmotionModel, data: Path) -> pd.Series:
    """The sentence encoder as it was: the same measures of the same emotions."""
    fold = next(load_folds("goemotions", data, base))
    model = zero_shot.untrained_model(fold, base)
    assert model is not None
    means = pd.DataFrame(zero_shot.measure(model, fold, shipped.SIX, "valid", {}))[
        ["auc", "ap", "macro_f1_seen"]
    ].mean()
    named = shipped.by_name(model, "semeval2018", data, shipped.SIX, "valid")
    return pd.concat([means, pd.Series(by_name(named))])


def by_name(table: pd.DataFrame) -> dict[str, float]:
    """Accuracy and UAR of a table of `shipped.by_name`."""
    return {"by name": table["accuracy"].iloc[0], "by name, UAR": table["UAR"].iloc[0]}


def tables(base: EmotionModel, data: Path, modality: str) -> Iterator[pd.DataFrame]:
    """The rows so far, whenever another variant was measured; each is printed as it is found."""
    seen, rest = (
        ("macro_f1_seen", ["by name", "by name, UAR"]) if modality == "text" else ("seen_uar_closed", ["harmonic"])
    )
    found = {}
    if modality == "text":
        found["untrained"] = untrained(base, data)
        print(found["untrained"].to_string())
    for name, variant in VARIANTS[modality].items():
        means = pd.DataFrame(measure(base, data, modality, variant))[["auc", "ap", *rest, seen]].mean()
        found[name] = means
        print(f"{name:62}" + "  ".join(f"{key} {value:.4f}" for key, value in means.items()), flush=True)
        yield pd.DataFrame(found).T.rename_axis(f"{modality}: trained without")


def main() -> None:
    """Print and write a table for each modality asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="the folder that holds the corpora")
    parser.add_argument("--modality", default="text,audio,video", help="comma-separated")
    parser.add_argument("--output", type=Path, default=Path("build/ablation"))
    parser.add_argument("--base", default="base", help="the checkpoint whose sentence encoder models start from")
    parser.add_argument("--threads", type=int, default=2)
    parsed = parser.parse_args()
    modalities = [name for name in parsed.modality.split(",") if name]
    strange = [name for name in modalities if name not in VARIANTS]
    if strange:
        parser.error(f"there is no modality {', '.join(strange)}; there are {', '.join(VARIANTS)}")
    torch.set_num_threads(parsed.threads)
    base = emoembed.load(parsed.base).model
    report = Report("What each choice is worth to emotions never seen", {"split": "validation", "seed": 0})
    for modality in modalities:
        for table in tables(base, parsed.data, modality):
            report.tables[modality] = table
            write(report, parsed.output)


if __name__ == "__main__":
    main()
