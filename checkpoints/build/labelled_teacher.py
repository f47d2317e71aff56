"""A larger sentence encoder, trained on emotion labels, from whose answers the text encoder learns.

The teacher is the one of `distil`, all-mpnet-base-v2, now with adapters trained on the rows that the student trains on.
The student copies where the teacher places each text among many names of feelings. So it also learns what the
teacher knows of names that no row has.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import torch
from distil import read_published
from rated_texts import rate_texts
from safetensors import safe_open
from safetensors.torch import save_file

from emoembed.corpora.corpus import Corpus
from emoembed.errors import LabelError
from emoembed.labels.emotion import resolve
from emoembed.model.model import EmotionModel
from emoembed.reading.rows import EmotionData
from emoembed.training import recipes
from emoembed.training.build import build
from emoembed.training.config import Execution, TrainConfig
from emoembed.training.loop import encode_rows, optimise
from emoembed.training.objective import Teacher

LONGEST = 64  # tokens of a text that the teacher reads
RANK = 16  # of its adapters


def untrained(name: str | Path, rated: Corpus | None, texts: Sequence[str]) -> EmotionModel:
    """A text model of the larger encoder, with untrained adapters.

    Args:
        name: hub id or folder of the larger encoder.
        rated: sentences with ratings, from which valence, arousal and dominance are fitted; None leaves them out.
        texts: training texts, on which the predicted ratings are scaled.
    """
    published = read_published(name, rank=RANK)
    assert published.tokenizer is not None
    published.tokenizer.enable_truncation(LONGEST)
    modality = published.modality
    if rated is None:
        modality = recipes.text_modality(modality.settings.trunk_config, RANK, rated=False)
    model = build({"text": modality}, published.sentence_encoder())
    if rated is not None:
        rate_texts(model, rated, texts)
    return model


def answers(
    model: EmotionModel, rows: EmotionData, valid: EmotionData, config: TrainConfig, names: Sequence[str], file: Path
) -> None:
    """Train the larger encoder on the rows in place, and write its answers for them to `file`.

    Args:
        model: as `untrained` returns it.
        rows, valid: as the model reads them.
        config: the training settings. A run that was stopped resumes after its last complete epoch.
        names: names of feelings that can be labels together.
        file: a safetensors file.
    """
    optimise(model, rows, valid, config, execution=Execution(progress=True, resume=file.with_suffix("")))
    dim = model.config.modalities["text"].embed_dim  # the columns after these are residual features
    with torch.autocast("cpu", torch.bfloat16):
        points = encode_rows(model, rows)["text"][:, :dim]
    labels = model.label_points(list(names))["text"][:, :dim]
    tensors = {"points": points.half().contiguous(), "labels": labels.detach().contiguous()}
    temporary = file.with_suffix(".tmp")
    save_file(tensors, temporary, {"ids": json.dumps(rows.ids), "names": json.dumps(list(names))})
    temporary.replace(file)


def read(file: Path) -> Teacher:
    """The answers that `answers` wrote."""
    with safe_open(file, "np") as tensors:
        ids, names = (json.loads(tensors.metadata()[key]) for key in ("ids", "names"))
        points, labels = tensors.get_tensor("points"), tensors.get_tensor("labels")
    return Teacher("text", dict(zip(ids, points, strict=True)), tuple(names), torch.from_numpy(labels))


def different(names: Sequence[str]) -> list[str]:
    """Names that can be labels together: one for each emotion."""
    name_of: dict[str, str] = {}
    for name in names:
        try:
            (label,) = resolve([name]).values()
        except LabelError:
            continue  # several emotions in one name
        name_of.setdefault(label.name, name)
    return list(name_of.values())
