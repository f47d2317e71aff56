"""What each choice in training is worth to emotions never seen: `python benchmarks/ablation.py --data DIR`.

Every row departs in one thing from how models with emotions held out are trained (`evaluation.held_out`). Text: six
emotions held out of GoEmotions together, and answered for by name on semeval2018's validation rows. Speech: RAVDESS,
two emotions held out of each of four folds, TESS and EMO-DB in the ridge map. Faces: FER2013, two held out together,
and in two rows each of seven alone. `--trained-out` asks a shorter list of mechanisms against models trained until
more epochs no longer help, and adds the calibration error and the average precision after eight examples.
Test rows are never scored. Models stay in the cache and the report is written row by row, so that a stopped run
continues.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator, Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass, field, replace
from pathlib import Path

import pandas as pd
import torch
from studies import shipped, voice_and_face
from torch import Tensor

import emoembed
from emoembed import corpora, metrics
from emoembed.evaluation import few_shot, held_out, zero_shot
from emoembed.evaluation.folds import Fold
from emoembed.evaluation.report import Report, write
from emoembed.evaluation.study import Study
from emoembed.labels.emotion import table
from emoembed.labels.projections import LabelParts
from emoembed.labels.space import _ridge as ridge
from emoembed.model.calibration import Reliability, newness
from emoembed.model.config import ModalityConfig
from emoembed.model.model import EmotionModel
from emoembed.reading import corpus_rows
from emoembed.reading.cache import cache_folder
from emoembed.reading.rows import join
from emoembed.training import calibrate, recipes
from emoembed.training.loop import predict_logits


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
    base: Callable[[EmotionModel], EmotionModel] | None = None
    """Changes the label space that models start from."""
    after: Callable[[EmotionModel, Fold], None] | None = None
    """Changes a trained model before it is measured."""
    steps: int = 0
    """Of the fine-tune after eight examples."""


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


def attributes_only(base: EmotionModel) -> EmotionModel:
    """How a label sounds and looks by the attributes its description names, without the description's vector."""
    changed_base = deepcopy(base)
    space, phrases, labels = changed_base.space, base.phrases, list(table().values())
    assert phrases is not None
    meanings = space.embed(labels, phrases)[:, : space.dim]
    for cue in ("sounds", "looks"):
        space.get_buffer(f"{cue}_directions").zero_()
        described = space._along(cue, [getattr(label, cue) for label in labels], phrases)
        space.get_buffer(f"{cue}_map").copy_(ridge(meanings, described, 3.0))
    return changed_base


def level_curves(model: EmotionModel, fold: Fold) -> None:
    """One slope and one offset for all labels, in place of smooth curves by label."""
    smoothness = calibrate.SMOOTHNESS
    calibrate.SMOOTHNESS = (calibrate.ALIKE,)
    try:
        for name in model.modalities:
            calibrate.calibrate(model, name, fold.valid.without(unseen_of(model, fold)))
    finally:
        calibrate.SMOOTHNESS = smoothness


def unseen_of(model: EmotionModel, fold: Fold) -> tuple[str, ...]:
    """The labels of a fold that a model never saw."""
    return tuple(label for label in fold.train.labels if label not in model.state.all_seen)


def without_spread(model: EmotionModel, _: Fold) -> None:
    """Examples count alike, however much they differ among themselves."""
    for _, modality in model.each_modality():
        modality.calibration.spread.zero_()


def without_residual(model: EmotionModel, _: Fold) -> None:
    """Examples teach nothing but where labels lie among words."""
    for _, modality in model.each_modality():
        if modality.residual is not None:
            for value in (*modality.residual.parameters(), *modality.residual.buffers()):
                value.detach().zero_()


LONG: dict[str, dict[str, object]] = {
    "text": {},
    "audio": {"epochs": 50, "patience": 50},
    "video": {"epochs": 8, "patience": 8},
}
TRAINED_OUT = {
    "text": {
        "as it is": Variant(),
        "label side locked": Variant({"lock_labels": True}),
        "adapters not held": Variant({"stay_close_text": 0.0}),
        "hubs left": Variant(hubness="none"),
        "one slope and offset for all labels": Variant(after=level_curves),
        "examples count alike": Variant(after=without_spread),
        "no residual features": Variant(after=without_residual),
        "50 steps on examples": Variant(steps=50),
    },
    "audio": {
        "as it is": Variant(),
        "twice as many epochs": Variant({"epochs": 100, "patience": 100}),
        "label side locked": Variant({"lock_labels": True}),
        "attributes without the vectors of descriptions": Variant(base=attributes_only),
        "no ridge map": Variant(settings={"overview": 0.0}),
        "hubs left": Variant(hubness="none"),
        "one slope and offset for all labels": Variant(after=level_curves),
        "examples count alike": Variant(after=without_spread),
        "no residual features": Variant(after=without_residual),
        "50 steps on examples": Variant(steps=50),
    },
    "video": {
        "as it is": Variant(),
        "label side locked": Variant({"lock_labels": True}),
        "one slope and offset for all labels": Variant(after=level_curves),
        "examples count alike": Variant(after=without_spread),
        "no residual features": Variant(after=without_residual),
        "50 steps on examples": Variant(steps=50),
        "no ridge map": Variant(settings={"overview": 0.0}),
        "attributes without the vectors of descriptions": Variant(base=attributes_only),
        "twice as many epochs": Variant({"epochs": 16, "patience": 16}),
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


def measure(
    base: EmotionModel, data: Path, modality: str, variant: Variant, seeds: Sequence[int], *, more: bool
) -> Iterator[dict[str, object]]:
    """A row per held-out label and seed; with `more` measures of calibration and of eight examples."""
    beside = voice_and_face.other_speech(data) if modality == "audio" and not variant.alone else None
    start, kept_in = (variant.base(base), cache_folder() / "ablation") if variant.base else (base, None)
    for position, whole in enumerate(Study(CORPORA[modality], data, base).folds):
        fold = replace(whole, beside=beside)
        one = changed(fold, variant)
        one = with_others(one, variant.beside, data) if variant.beside else one
        settings = {**(LONG[modality] if more else {}), **dict(variant.training)}
        training = replace(held_out.training_of(one), **settings)  # type: ignore[arg-type]
        together = groups(modality, fold, position)
        for unseen in [(label,) for label in fold.train.labels] if variant.singly else together:
            for seed in seeds:
                recipe = held_out.recipe_of(
                    one,
                    unseen,
                    seed,
                    base=start,
                    training=training,
                    augmentation=variant.augmentation,
                    strength=variant.strength,
                )
                model = held_out.train_without(one, unseen, recipe, cache=kept_in)
                if variant.hubness:
                    correct_hubs(model, variant.hubness)
                if variant.after:
                    variant.after(model, fold)
                rows = zero_shot.measure(model, fold, unseen, "valid", {"seed": seed})
                added = by_name(shipped.by_name(model, "semeval2018", data, unseen, "valid")) if is_text(fold) else {}
                if more:
                    added |= measure_more(model, fold, unseen, seed, variant.steps)
                for row in rows:
                    yield row | added


def is_text(fold: Fold) -> bool:
    """Whether a fold's rows are texts."""
    return fold.kind == "text"


def measure_more(model: EmotionModel, fold: Fold, unseen: Sequence[str], seed: int, steps: int) -> dict[str, float]:
    """Calibration errors on validation rows over all labels, and average precision after eight examples of each."""
    rows = fold.valid
    logits = {name: matrix for name, matrix in predict_logits(model, rows).items() if name != "fused"}
    trust = model.label_trust(model.label_points(rows.labels))
    tensors = {name: torch.from_numpy(matrix) for name, matrix in logits.items()}
    alone = next(iter(model.calibrated(tensors, trust, multi_label=True).values())).sigmoid().detach().numpy()
    errors = {"ECE, by itself": metrics.expected_calibration_error(alone.ravel(), (rows.targets == 1).ravel())}
    if not rows.multi_label.all():
        among = next(iter(model.calibrated(tensors, trust, multi_label=False).values())).softmax(dim=1).detach().numpy()
        right = among.argmax(axis=1) == rows.targets.argmax(axis=1)
        errors["ECE, among labels"] = metrics.expected_calibration_error(among.max(axis=1), right)
    taught = few_shot.curve(model, fold, unseen, "valid", (8,), draws=5, seed=seed, steps=steps)
    return errors | {
        f"{name} after 8": float(taught[name].mean()) for name in ("ap", "auc", "harmonic") if name in taught
    }


def untrained(base: EmotionModel, data: Path) -> pd.Series:
    """The sentence encoder as it was: the same measures of the same emotions."""
    fold = Study("goemotions", data, base).folds[0]
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


def tables(
    base: EmotionModel, data: Path, modality: str, seeds: Sequence[int], *, more: bool
) -> Iterator[pd.DataFrame]:
    """The rows so far, whenever another variant was measured; each is printed as soon as it is measured."""
    found: dict[str, pd.Series] = {}
    if modality == "text":
        found["untrained"] = untrained(base, data)
        print(found["untrained"].to_string())
    for name, variant in (TRAINED_OUT if more else VARIANTS)[modality].items():
        each = pd.DataFrame(list(measure(base, data, modality, variant, seeds, more=more)))
        kept = [column for column in COLUMNS if column in each]
        by_seed = each.groupby("seed")[kept].mean()
        means = by_seed.mean()
        if len(seeds) > 1:
            means = pd.concat([means, by_seed.std(ddof=1).add_suffix(" sd")])
        found[name] = means
        print(f"{name:62}" + "  ".join(f"{key} {value:.4f}" for key, value in means.items()), flush=True)
        yield pd.DataFrame(found).T.rename_axis(f"{modality}: trained without")


COLUMNS = (
    *("auc", "ap", "harmonic", "by name", "by name, UAR", "seen_uar_closed", "macro_f1_seen"),
    *("ECE, by itself", "ECE, among labels", "ap after 8", "auc after 8", "harmonic after 8"),
)


def main() -> None:
    """Print and write a table for each modality asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="the folder that holds the corpora")
    parser.add_argument("--modality", default="text,audio,video", help="comma-separated")
    parser.add_argument("--output", type=Path, default=Path("build/ablation"))
    parser.add_argument("--base", default="base", help="the checkpoint whose sentence encoder models start from")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--seeds", type=int, default=1, help="trainings of each row; mean and deviation are reported")
    parser.add_argument("--trained-out", action="store_true", help="mechanisms against models trained to the end")
    parsed = parser.parse_args()
    modalities = [name for name in parsed.modality.split(",") if name]
    strange = [name for name in modalities if name not in VARIANTS]
    if strange:
        parser.error(f"there is no modality {', '.join(strange)}; there are {', '.join(VARIANTS)}")
    torch.set_num_threads(parsed.threads)
    base, seeds = emoembed.load(parsed.base).model, range(parsed.seeds)
    report = Report("What each choice is worth to emotions never seen", {"split": "validation", "seeds": len(seeds)})
    for modality in modalities:
        for measured in tables(base, parsed.data, modality, seeds, more=parsed.trained_out):
            report.tables[modality] = measured
            write(report, parsed.output)


if __name__ == "__main__":
    main()
