"""Modality-transferable emotion embeddings as their authors published them (Dai et al. 2020), to be compared with.

A two-layer BiLSTM a modality (300, 200 and 100 units for text, audio, video), directions summed, read at the last
step; frozen word vectors as labels, mapped linearly into the acoustic and the visual space; raw dot products; one
linear layer over the modalities, started at equal weights.

This project's own model departs where that is at fault: every step is read by attention (the last one holds a backward
state that has seen one frame), padding is masked, features are standardised, label projections start from an isometry
(with few seen labels a free linear map lands unseen ones anywhere), similarity is a scaled cosine, and fusion passes
over modalities that an item lacks.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import torch
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
from emoembed.training.loop import fit

REVISION = 2
"""Raised when a change makes models kept in the cache stale."""
UNITS = {"audio": 200, "video": 100}


class LastStepEncoder(nn.Module):
    """A BiLSTM whose two directions are summed and read at an item's last step, features as they are (section 3.1).

    Departs from the authors' code in that padding is never read: the last step is the item's own.
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
    """The model: what `training.loop.fit` trains and `evaluation` scores like an `EmotionModel`.

    Args:
        modalities: what it reads: ready features, with word vectors of the labels' own table as text.
        words: the table that embeds labels, its vectors as they are (`WordTable(scale=False)`).
        units: modality -> size of its space, for sound and faces; text has the words' own.

    Raises:
        InputError: raw texts or media, or text that is not of the size of the labels' vectors.
    """

    def __init__(
        self,
        modalities: Mapping[str, ModalityConfig],
        words: PhraseEncoder,
        units: Mapping[str, int] | None = None,
    ) -> None:
        super().__init__()
        columns = {name: one.columns for name, one in modalities.items()}
        if not isinstance(words, WordTable):
            raise InputError("mtee embeds labels by word vectors; this corpus is read as raw texts")
        if any(not there or modalities[name].encoder == "transformer" for name, there in columns.items()):
            raise InputError("mtee reads ready features with word vectors as text, not raw texts or media")
        if "text" in columns and len(columns["text"]) != words.dim:
            raise InputError(
                f"mtee compares words with labels in one space: text has {len(columns['text'])} columns, the labels' "
                f"word vectors {words.dim}; give the vectors the text was made with (--words FILE)"
            )
        self.sizes = sizes = {"text": words.dim, **UNITS, **(units or {})}
        self.config = SimpleNamespace(modalities=dict(modalities))
        self.modalities = tuple(modalities)
        self.phrases = words
        self.encoders = nn.ModuleDict({n: LastStepEncoder(len(there), sizes[n]) for n, there in columns.items()})
        self.projections = nn.ModuleDict({n: nn.Linear(words.dim, sizes[n]) for n in columns if n != "text"})
        share = torch.tensor(1.0 / len(columns))
        self.share = nn.ParameterDict({name: nn.Parameter(share.clone()) for name in columns})

    def embed(self, labels: Labels) -> Tensor:
        """The bare word vectors of labels `(labels, dim)`: of the name as it is spelled, else of the table's name.

        Raises:
            LabelError: of an emotion of which no word has a vector.
        """
        rows = []
        for spelled, label in resolve(labels).items():
            known = next((word for word in (spelled, spelled.lower(), label.name) if word in self.phrases), None)
            rows.append(self.phrases[[known]][0] if known else self.phrases.mean_of(label.name))
        return torch.from_numpy(np.stack(rows))

    def encode(self, batch: Batch) -> dict[str, Tensor]:
        """Each modality's points `(batch, units)`; NaN where an item lacks it."""
        points = {}
        for name, (frames, lengths) in batch.items():
            present = lengths > 0
            read = self.encoders[name](frames[present], lengths[present]).float() if bool(present.any()) else None
            points[name] = frames.new_full((len(frames), self.sizes[name]), torch.nan)
            if read is not None:
                points[name][present] = read
        return points

    def project(self, features: Tensor) -> dict[str, Tensor]:
        """Word vectors `(labels, dim)` -> each modality's label points `(labels, units)`."""
        return {n: self.projections[n](features) if n in self.projections else features for n in self.encoders}

    def score(self, points: Mapping[str, Tensor], label_points: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Raw dot products `(batch, labels)`."""
        return {name: items @ label_points[name].T for name, items in points.items()}

    def fuse(self, logits: Mapping[str, Tensor]) -> Tensor:
        """The learned sum over the modalities that an item has, `(batch, labels)`."""
        return torch.stack([self.share[name] * matrix.nan_to_num(0.0) for name, matrix in logits.items()]).sum(dim=0)


def train(
    modalities: Mapping[str, ModalityConfig],
    words: PhraseEncoder,
    train_rows: EmotionData,
    valid_rows: EmotionData,
    config: TrainConfig,
    *,
    kept: Path,
    execution: Execution = Execution(),
) -> MTEE:
    """A trained model; `kept` is the file that keeps its weights, from which they are read where it stands."""
    torch.manual_seed(config.seed)
    model = MTEE(modalities, words)
    if not kept.is_file():
        fit(model, train_rows, valid_rows, config, execution=execution)
        kept.parent.mkdir(parents=True, exist_ok=True)
        temporary = kept.with_suffix(".tmp")
        save_file(model.state_dict(), temporary)
        temporary.replace(kept)
    model.load_state_dict(load_file(kept))
    return model.eval()
