"""Modality-transferable emotion embeddings (MTEE) as Dai et al. 2020 published them, for comparison.

Each modality has a two-layer BiLSTM (300, 200 and 100 units for text, audio, video). Its directions are summed and
read at the last step. Labels are frozen word vectors, mapped linearly into the acoustic and the visual space. Scores
are raw dot products. One linear layer fuses the modalities and starts at equal weights.

This project's own model differs from MTEE in six points, to correct weaknesses of MTEE. Attention reads every step,
because at the last step the backward state has seen only one frame. Padding is masked. Features are standardised. Label
projections start from an isometry, because few seen labels do not determine a free linear map: the points of unseen
labels would be arbitrary. Similarity is a scaled cosine. Fusion skips missing modalities.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from emoembed.encoders.layers import run_recurrent
from emoembed.errors import InputError
from emoembed.labels.emotion import Labels, resolve
from emoembed.labels.phrases import PhraseEncoder, WordTable
from emoembed.model.config import ModalityConfig
from emoembed.model.scorer import Batch, Scorer
from emoembed.reading.rows import EmotionData
from emoembed.training.config import Execution, TrainConfig
from emoembed.training.loop import optimise

REVISION = 2
"""Increase it when a change makes cached models stale."""
UNITS = {"audio": 200, "video": 100}


class LastStepEncoder(nn.Module):
    """A BiLSTM over raw features. Its two directions are summed and read at the last step (section 3.1).

    Departs from the authors' code: it reads the last step of the item, never padding.
    """

    def __init__(self, feature_dim: int, embed_dim: int, layers: int = 2, dropout: float = 0.15) -> None:
        super().__init__()
        self.recurrent = nn.LSTM(
            feature_dim, embed_dim, layers, batch_first=True, bidirectional=True, dropout=dropout if layers > 1 else 0.0
        )

    def forward(self, frames: Tensor, lengths: Tensor) -> Tensor:
        """`(batch, time, feature_dim)`, `(batch,)` -> `(batch, embed_dim)`"""
        steps = run_recurrent(self.recurrent, frames, lengths)
        last = steps[torch.arange(len(steps), device=steps.device), lengths - 1]
        return last.unflatten(-1, (2, -1)).sum(dim=1)


class MTEE(Scorer):
    """The model. `training.loop.optimise` trains it and `evaluation` scores it like an `EmotionModel`.

    Args:
        modalities: ready features. Text has to be word vectors from the same table as the labels.
        words: the table that embeds labels, with unscaled vectors (`WordTable(scale=False)`).
        units: modality -> size of its space, for audio and video. The size for text is that of the word vectors.

    Raises:
        InputError: the modalities have raw texts or media, or text and label vectors differ in size.
    """

    def __init__(
        self,
        modalities: Mapping[str, ModalityConfig],
        words: PhraseEncoder,
        units: Mapping[str, int] | None = None,
    ) -> None:
        super().__init__()
        columns = {name: config.columns for name, config in modalities.items()}
        if not isinstance(words, WordTable):
            raise InputError(
                "mtee embeds labels by word vectors, but this corpus has raw texts; use a corpus with word vectors, or "
                "method emoembed"
            )
        if any(not names or modalities[name].encoder == "transformer" for name, names in columns.items()):
            raise InputError(
                "mtee reads only ready features, with word vectors as text; for raw texts or media use method emoembed"
            )
        if "text" in columns and len(columns["text"]) != words.dim:
            raise InputError(
                f"mtee needs text and labels in one space: text has {len(columns['text'])} columns, the labels' "
                f"word vectors {words.dim}; give the word vectors of the text features (--words FILE)"
            )
        self.sizes = sizes = {"text": words.dim, **UNITS, **(units or {})}
        self.config = SimpleNamespace(modalities=dict(modalities))
        self.modalities = tuple(modalities)
        self.phrases = words
        self.encoders = nn.ModuleDict({n: LastStepEncoder(len(names), sizes[n]) for n, names in columns.items()})
        self.projections = nn.ModuleDict({n: nn.Linear(words.dim, sizes[n]) for n in columns if n != "text"})
        share = torch.tensor(1.0 / len(columns))
        self.share = nn.ParameterDict({name: nn.Parameter(share.clone()) for name in columns})

    def embed(self, labels: Labels) -> Tensor:
        """The word vectors of labels `(labels, dim)`: of the name as the caller spells it, else of its canonical name.

        Raises:
            LabelError: no word of the emotion's name has a vector.
        """
        rows = []
        for spelled, label in resolve(labels).items():
            spelling = next((word for word in (spelled, spelled.lower(), label.name) if word in self.phrases), None)
            rows.append(self.phrases[[spelling]][0] if spelling else self.phrases.mean_of(label.name))
        return torch.from_numpy(np.stack(rows))

    def encode(self, batch: Batch) -> dict[str, Tensor]:
        """The points of each modality `(batch, units)`; NaN where an item has no such modality."""
        points = {}
        for name, (frames, lengths) in batch.items():
            present = lengths > 0
            encoded = self.encoders[name](frames[present], lengths[present]).float() if bool(present.any()) else None
            points[name] = frames.new_full((len(frames), self.sizes[name]), torch.nan)
            if encoded is not None:
                points[name][present] = encoded
        return points

    def project(self, features: Tensor) -> dict[str, Tensor]:
        """Word vectors `(labels, dim)` -> label points `(labels, units)` of each modality."""
        return {n: self.projections[n](features) if n in self.projections else features for n in self.encoders}

    def score(self, points: Mapping[str, Tensor], label_points: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Raw dot products `(batch, labels)`."""
        return {name: items @ label_points[name].T for name, items in points.items()}

    def fuse(self, logits: Mapping[str, Tensor]) -> Tensor:
        """The weighted sum over the modalities of an item, with learned weights: `(batch, labels)`."""
        return torch.stack([self.share[name] * matrix.nan_to_num(0.0) for name, matrix in logits.items()]).sum(dim=0)


def train(
    modalities: Mapping[str, ModalityConfig],
    words: PhraseEncoder,
    train_rows: EmotionData,
    valid_rows: EmotionData,
    config: TrainConfig,
    *,
    weights_file: Path,
    execution: Execution = Execution(),
) -> MTEE:
    """Train a model and save its weights to `weights_file`. If the file exists, load the weights instead.

    Raises:
        InputError: the existing file is damaged, or has the weights of another model.
    """
    torch.manual_seed(config.seed)
    model = MTEE(modalities, words)
    if not weights_file.is_file():
        optimise(model, train_rows, valid_rows, config, execution=execution)
        weights_file.parent.mkdir(parents=True, exist_ok=True)
        temporary = weights_file.with_suffix(".tmp")
        save_file(model.state_dict(), temporary)
        temporary.replace(weights_file)
    try:
        model.load_state_dict(load_file(weights_file))
    except (OSError, ValueError, RuntimeError, SafetensorError) as error:
        raise InputError(
            f"{weights_file} cannot be read as trained weights ({error!s:.200}); delete it to train again"
        ) from error
    return model.eval()
