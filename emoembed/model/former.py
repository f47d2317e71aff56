"""Convert checkpoints of version 3: their configuration contained the state, and their weights had other names."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from torch import Tensor

from emoembed.errors import CheckpointError

VERSION = 3
ONE_VALUE = {"similarity": "cosine", "fusion": "mean", "label_space": "meaning"}
"""Former options with their only value now. Other values gave the model of Dai et al. 2020 (`evaluation.mtee`)."""
MOVED = (
    (r"(encoder|projection)s\.(\w+)\.(.*)", r"modalities.\2.\1.\3"),
    (r"(log_scale|bias|log_weight)\.(\w+)", r"modalities.\2.\1"),
    (r"reliability\.(\w+)\.(.*)", r"modalities.\1.calibration.\2"),
    (r"details\.(\w+)\.(.*)", r"modalities.\1.residual.\2"),
    (r"(background|shift|anchors|examples)_(\w+)", r"modalities.\2.\1"),
)


def values_of(values: Mapping[str, Any]) -> dict[str, Any]:
    """Convert the values of a version 3 `config.json` to `config` and `state`.

    Raises:
        CheckpointError: an option has a value that is no longer supported.
    """
    unsupported_options = [name for name, value in ONE_VALUE.items() if values.get(name, value) != value]
    unsupported_options += [
        name for name, modality in values["modalities"].items() if modality.get("projection", "isometry") != "isometry"
    ]
    if unsupported_options:
        raise CheckpointError(
            f"{unsupported_options[0]} has a setting that this release no longer supports; train the model again"
        )
    moved_keys = ("seen", "projection", "detail")
    modalities = {
        name: {
            **{key: value for key, value in modality.items() if key not in moved_keys},
            "residual": modality["detail"],
        }
        for name, modality in values["modalities"].items()
    }
    provenance = dict(values["provenance"])
    state = {
        "labels": values["labels"],
        "seen": {name: modality["seen"] for name, modality in values["modalities"].items()},
        "taught": provenance.pop("few_shot", {}),
        "described": provenance.pop("described", {}),
        "attuned": provenance.pop("attuned", {}),
        "provenance": provenance,
    }
    config = {"modalities": modalities, "phrase_dim": values["phrase_dim"], "phrases": values["phrases"]}
    return {"config": config, "state": state}


def weights_of(weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Weights under their current names."""
    return {_rename(name): value for name, value in weights.items()}


def _rename(name: str) -> str:
    for pattern, replacement in MOVED:
        if re.fullmatch(pattern, name):
            return re.sub(pattern, replacement, name)
    return name
