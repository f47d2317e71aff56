"""Checkpoints of version 3, read as those of today: their configuration held the state, their weights other names."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from torch import Tensor

from emoembed.errors import CheckpointError

VERSION = 3
ONE_VALUE = {"similarity": "cosine", "fusion": "mean", "label_space": "meaning"}
"""Choices that have one value by now; others were the model of Dai et al. 2020 (`evaluation.mtee`)."""
MOVED = (
    (r"(encoder|projection)s\.(\w+)\.(.*)", r"modalities.\2.\1.\3"),
    (r"(log_scale|bias|log_weight)\.(\w+)", r"modalities.\2.\1"),
    (r"reliability\.(\w+)\.(.*)", r"modalities.\1.calibration.\2"),
    (r"details\.(\w+)\.(.*)", r"modalities.\1.residual.\2"),
    (r"(background|shift|anchors|examples)_(\w+)", r"modalities.\2.\1"),
)


def values_of(values: Mapping[str, Any]) -> dict[str, Any]:
    """What `config.json` held -> `config` and `state`.

    Raises:
        CheckpointError: a choice that there is no more.
    """
    strange = [name for name, value in ONE_VALUE.items() if values.get(name, value) != value]
    strange += [n for n, one in values["modalities"].items() if one.get("projection", "isometry") != "isometry"]
    if strange:
        raise CheckpointError(f"{strange[0]} is of a kind that there is no more; train the model anew")
    left_out = ("seen", "projection", "detail")
    modalities = {
        name: {**{key: value for key, value in one.items() if key not in left_out}, "residual": one["detail"]}
        for name, one in values["modalities"].items()
    }
    provenance = dict(values["provenance"])
    state = {
        "labels": values["labels"],
        "seen": {name: one["seen"] for name, one in values["modalities"].items()},
        "taught": provenance.pop("few_shot", {}),
        "described": provenance.pop("described", {}),
        "attuned": provenance.pop("attuned", {}),
        "provenance": provenance,
    }
    config = {"modalities": modalities, "phrase_dim": values["phrase_dim"], "phrases": values["phrases"]}
    return {"config": config, "state": state}


def weights_of(weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Weights under the names of today."""
    return {_moved(name): value for name, value in weights.items()}


def _moved(name: str) -> str:
    for pattern, place in MOVED:
        if re.fullmatch(pattern, name):
            return re.sub(pattern, place, name)
    return name
