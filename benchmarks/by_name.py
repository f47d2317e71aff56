"""Compare ways to ask for emotions by name in texts of an unseen corpus: `python benchmarks/by_name.py --data DIR`.

The emotions are the six of dair_emotion. The texts are validation rows of semeval2018; no model is trained on them. The
models are the shipped checkpoint and its untrained sentence encoder, unchanged or with one change that needs no
training. Choices for dair_emotion are made on this table. Neither dair_emotion nor any test rows are scored here.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from copy import deepcopy
from dataclasses import replace
from pathlib import Path

import pandas as pd
import torch
from studies import shipped

import emoembed
from emoembed.evaluation import zero_shot
from emoembed.evaluation.report import Report, write
from emoembed.evaluation.study import Study
from emoembed.labels.emotion import Label, find
from emoembed.labels.space import VAD_DIM
from emoembed.model.model import EmotionModel
from emoembed.training.build import set_adapter_strength

MEANT: dict[str, Callable[[Label], Label]] = {
    "names in templates alone": lambda label: replace(label, synonyms=(), definition=""),
    "names and synonyms, no definition": lambda label: replace(label, definition=""),
    "names and definition, no synonyms": lambda label: replace(label, synonyms=()),
}
STRENGTHS = (0.2, 0.4, 0.6, 0.8, 1.0)


def meaning(model: EmotionModel, change: Callable[[Label], Label]) -> EmotionModel:
    """A copy to which the six names mean less than the label table says."""
    copy = deepcopy(model)
    copy.state = copy.state.with_described({name: change(find(name)) for name in shipped.SIX})
    return copy


def without_ratings(model: EmotionModel) -> EmotionModel:
    """A copy whose label points have no valence, arousal and dominance."""
    copy = deepcopy(model)
    projection = copy.modality("text").projection
    after = projection.phrase_dim + VAD_DIM
    with torch.no_grad():
        projection.weight[:, projection.phrase_dim : after] = 0.0
    return copy


def variants(name: str, model: EmotionModel) -> dict[str, EmotionModel]:
    """A model as it is, and departing in one thing each."""
    return {
        name: model,
        **{f"{name}, {said}": meaning(model, change) for said, change in MEANT.items()},
        f"{name}, no valence, arousal, dominance": without_ratings(model),
    }


def main() -> None:
    """Print a line for each way to ask, and write the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="folder of the corpora")
    parser.add_argument("--base", default="base", help="checkpoint to measure")
    parser.add_argument("--output", type=Path, default=Path("build/by-name"), help="folder for the report")
    parsed = parser.parse_args()
    torch.set_num_threads(2)
    base = emoembed.load(parsed.base).model
    untrained = zero_shot.untrained_model(Study("goemotions", parsed.data, base).folds[0], base)
    assert untrained is not None
    models = {**variants("untrained", untrained), **variants("as it ships", base)}
    for strength in STRENGTHS:
        models[f"adapters at strength {strength} (WiSE-FT)"] = set_adapter_strength(deepcopy(base), strength)
    found = {}
    for name, model in models.items():
        found[name] = shipped.by_name(model, "semeval2018", parsed.data, shipped.SIX, "valid").iloc[0]
        print(f"{name:60}" + "  ".join(f"{key} {found[name][key]:.3f}" for key in ("accuracy", "UAR")), flush=True)
    rows = pd.DataFrame(found).T.rename_axis("texts asked for six emotions by name")
    facts = {"corpus": f"semeval2018, {int(rows['rows'].iloc[0])} rows of one of the six", "split": "validation"}
    report = Report("Six emotions by name, in texts of a corpus nothing is trained on", facts)
    report.tables["Asked by name"] = rows.drop(columns="rows")
    write(report, parsed.output)


if __name__ == "__main__":
    main()
