"""Measure what each choice in training is worth for unseen emotions: `python benchmarks/ablation.py --data DIR`.

Each row changes one thing in the training with held-out emotions (`evaluation.held_out`):

- Text: six emotions are held out of GoEmotions together, then answered by name on the validation rows of semeval2018.
- Speech: two emotions are held out of each of the four folds of RAVDESS. TESS and EMO-DB are in the ridge map.
- Faces: two emotions are held out of FER2013 together; in two rows, each of the seven emotions alone.

`--trained-out` compares fewer mechanisms, but with models that train longer (`studies.variants.LONG`). It adds
calibration errors and the average precision after eight examples. Test rows are never scored. Models stay in the cache
and the report is written row by row, so a stopped run resumes.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import pandas as pd
import torch
from studies import shipped, voice_and_face
from studies.variants import LONG, TRAINED_OUT, VARIANTS, Variant, correct_hubs

import emoembed
from emoembed import corpora, metrics
from emoembed.evaluation import few_shot, held_out, zero_shot
from emoembed.evaluation.folds import Fold
from emoembed.evaluation.report import Report, write
from emoembed.evaluation.study import Study
from emoembed.model.model import EmotionModel
from emoembed.reading import corpus_rows
from emoembed.reading.rows import join
from emoembed.training.loop import predict_logits

COLUMNS = (
    *("auc", "ap", "harmonic", "by name", "by name, UAR", "seen_uar_closed", "macro_f1_seen"),
    *("ECE, by itself", "ECE, among labels", "ap after 8", "auc after 8", "harmonic after 8"),
)
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
    """The fold with the modality settings of a variant."""
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
    return replace(fold, train=join(parts), ridge_rows=None)


def measure(
    base: EmotionModel, data: Path, modality: str, variant: Variant, seeds: Sequence[int], *, more: bool
) -> Iterator[dict[str, object]]:
    """A row per held-out label and seed; with `more` measures of calibration and of eight examples."""
    ridge_rows = voice_and_face.other_speech(data) if modality == "audio" and not variant.alone else None
    for position, whole in enumerate(Study(CORPORA[modality], data, base).folds):
        fold = replace(whole, ridge_rows=ridge_rows)
        changed_fold = changed(fold, variant)
        changed_fold = with_others(changed_fold, variant.beside, data) if variant.beside else changed_fold
        settings = {**(LONG[modality] if more else {}), **dict(variant.training)}
        training = replace(held_out.training_of(changed_fold), **settings)  # type: ignore[arg-type]
        together = groups(modality, fold, position)
        for unseen in [(label,) for label in fold.train.labels] if variant.singly else together:
            for seed in seeds:
                recipe = held_out.recipe_of(
                    changed_fold,
                    unseen,
                    seed,
                    base=base,
                    training=training,
                    augmented=variant.augmented,
                    strength=variant.strength,
                )
                model = held_out.train_without(changed_fold, unseen, recipe)
                if variant.hubness:
                    correct_hubs(model, variant.hubness)
                if variant.after:
                    variant.after(model)
                rows = zero_shot.measure(model, fold, unseen, "valid", {"seed": seed})
                added = (
                    by_name(shipped.by_name(model, "semeval2018", data, unseen, "valid")) if modality == "text" else {}
                )
                if more:
                    added |= measure_more(model, fold, unseen, seed)
                for row in rows:
                    yield row | added


def measure_more(model: EmotionModel, fold: Fold, unseen: Sequence[str], seed: int) -> dict[str, float]:
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
    taught = few_shot.curve(model, fold, unseen, "valid", few_shot.Teaching((8,), seed=seed))
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
    base: EmotionModel, data: Path, modality: str, variants: Mapping[str, Variant], seeds: Sequence[int], *, more: bool
) -> Iterator[pd.DataFrame]:
    """The table so far, after each variant; its row is printed too."""
    rows: dict[str, pd.Series] = {}
    first: pd.DataFrame | None = None
    if modality == "text":
        rows["untrained"] = untrained(base, data)
        print(rows["untrained"].to_string())
    for name, variant in variants.items():
        each = pd.DataFrame(list(measure(base, data, modality, variant, seeds, more=more)))
        kept = [column for column in COLUMNS if column in each]
        by_seed = each.groupby("seed")[kept].mean()
        means = by_seed.mean()
        first = by_seed if first is None else first
        if len(seeds) > 1:  # of the gain over the first row, seed by seed: what seeds share is no noise
            gains = by_seed if first is by_seed else by_seed - first
            means = pd.concat([means, gains.std(ddof=1).add_suffix(" sd")])
        rows[name] = means
        print(f"{name:62}" + "  ".join(f"{key} {value:.4f}" for key, value in means.items()), flush=True)
        yield pd.DataFrame(rows).T.rename_axis(f"{modality}: trained without")


def main() -> None:
    """Print and write a table for each modality asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="folder of the corpora")
    parser.add_argument("--modality", default="text,audio,video", help="modalities to measure, comma-separated")
    parser.add_argument("--output", type=Path, default=Path("build/ablation"), help="folder for the report")
    parser.add_argument("--base", default="base", help="checkpoint; models start from its sentence encoder")
    parser.add_argument("--threads", type=int, default=2, help="threads of torch")
    parser.add_argument("--seeds", type=int, default=1, help="trainings per row (sd: of the gain over the first row)")
    parser.add_argument("--trained-out", action="store_true", help="compare mechanisms with models that train longer")
    parser.add_argument("--rows", nargs="+", help="names of the rows to measure; by default all")
    parsed = parser.parse_args()
    modalities = [name for name in parsed.modality.split(",") if name]
    strange = [name for name in modalities if name not in VARIANTS]
    if strange:
        parser.error(f"there is no modality {', '.join(strange)}; there are {', '.join(VARIANTS)}")
    torch.set_num_threads(parsed.threads)
    base, seeds = emoembed.load(parsed.base).model, range(parsed.seeds)
    report = Report("What each choice is worth to emotions never seen", {"split": "validation", "seeds": len(seeds)})
    for modality in modalities:
        variants = (TRAINED_OUT if parsed.trained_out else VARIANTS)[modality]
        unknown = [name for name in parsed.rows or () if name not in variants]
        if unknown:
            parser.error(f"{modality} has no row {', '.join(unknown)}; it has {', '.join(variants)}")
        chosen = {name: variant for name, variant in variants.items() if name in (parsed.rows or variants)}
        for measured in tables(base, parsed.data, modality, chosen, seeds, more=parsed.trained_out):
            report.tables[modality] = measured
            write(report, parsed.output)


if __name__ == "__main__":
    main()
