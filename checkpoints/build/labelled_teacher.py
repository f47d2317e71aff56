"""A larger sentence encoder, trained on emotion labels, from whose answers the text encoder learns.

The teacher is the one of `distil`, all-mpnet-base-v2, now with adapters trained on the rows that the student trains on.
The student copies where the teacher places each text among `NAMES` names of feelings. So it also learns what the
teacher knows of names that no row has.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch
from distil import NAMES, read_published
from rated_texts import rate_texts
from safetensors.torch import load_file, save_file
from torch import Tensor

from emoembed.corpora.corpus import Corpus
from emoembed.errors import LabelError
from emoembed.labels.emotion import resolve
from emoembed.model.model import EmotionModel
from emoembed.reading.rows import EmotionData
from emoembed.training import recipes
from emoembed.training.build import build
from emoembed.training.config import Execution, TrainConfig
from emoembed.training.loop import encode_rows, fit
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
) -> Teacher:
    """Train the larger encoder on the rows in place, and keep its answers for them in `file`.

    An existing file is read instead. Training that was stopped resumes.
    """
    chosen = different(names)[:NAMES]
    if not file.is_file():
        fit(model, rows, valid, config, execution=Execution(progress=True, resume=file.with_suffix("")))
        dim = model.config.modalities["text"].embed_dim  # the columns after these are residual features
        with torch.autocast("cpu", torch.bfloat16):
            points = encode_rows(model, rows)["text"][:, :dim]
        save(points, model.label_points(chosen)["text"][:, :dim], file)
    tensors = load_file(file)
    points = dict(zip(rows.ids, tensors["points"].numpy(), strict=True))
    return Teacher("text", points, tuple(chosen), tensors["labels"])


def save(points: Tensor, labels: Tensor, file: Path) -> None:
    """Write the points of rows and names to a temporary file, then rename it, so that `file` is never incomplete."""
    temporary = file.with_suffix(".tmp")
    save_file({"points": points.half().contiguous(), "labels": labels.detach().contiguous()}, temporary)
    temporary.replace(file)


def different(names: Sequence[str]) -> list[str]:
    """Names that can be labels together: one for each emotion."""
    found: dict[str, str] = {}
    for name in names:
        try:
            (label,) = resolve([name]).values()
        except LabelError:
            continue  # several emotions in one name
        found.setdefault(label.name, name)
    return list(found.values())
