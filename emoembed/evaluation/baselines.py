"""Baselines: trivial answers that learn nothing, ridge regression, and closed-set networks over the same features.

The networks are those of Dai et al. 2020 (section 4.2): EF-LSTM and LF-LSTM (early and late fusion), and a cross-modal
transformer (MulT, Tsai et al. 2019). Each encodes the whole item and ends in a linear head with one output per label.
No network can predict a label that it was not trained on.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from types import SimpleNamespace

import numpy as np
import torch
from torch import Tensor, nn

from emoembed import metrics
from emoembed.encoders.layers import Standardize, padding_mask
from emoembed.encoders.recurrent import RecurrentEncoder, RecurrentSettings
from emoembed.errors import LabelError
from emoembed.labels.emotion import Labels, resolve
from emoembed.model.config import ModalityConfig
from emoembed.model.scorer import Batch, Scorer
from emoembed.reading.rows import EmotionData

WIDTH = 64
RIDGE_PENALTY, RIDGE_SCALE = 1000.0, 10.0


class ClosedSet(Scorer):
    """An encoder of the whole item with a linear head. `training.loop.optimise` trains it like an `EmotionModel`.

    Args:
        labels: the labels of the head. It can predict no other labels.
        modalities: the modalities it reads.
        make: the class of the encoder: `EarlyFusion`, `LateFusion` or `CrossModal`.
    """

    def __init__(
        self,
        labels: Sequence[str],
        modalities: Mapping[str, ModalityConfig],
        make: Callable[[Mapping[str, int]], Fusion],
    ) -> None:
        super().__init__()
        self.labels = tuple(labels)
        self.config = SimpleNamespace(modalities=dict(modalities))
        self.encoder = make({name: len(config.columns) for name, config in modalities.items()})
        self.head = nn.Linear(WIDTH, len(labels))
        self.projections = self.encoders = nn.ModuleDict()

    def fit_inputs(self, data: EmotionData) -> None:
        """Fit the mean and deviation of each feature column on training rows."""
        for name, standardize in self.encoder.columns.items():
            store = data.inputs[name]
            frames = [np.asarray(store[i], np.float32) for i in data.ids[:2000] if i in store]
            standardize.fit(torch.from_numpy(np.concatenate(frames)))

    def embed(self, labels: Labels) -> Tensor:
        """Labels as rows of the identity matrix. Raises LabelError for a label it was not trained on."""
        names = list(resolve(labels))
        unknown_labels = [label for label in names if label not in self.labels]
        if unknown_labels:
            raise LabelError(
                f"a closed-set network cannot predict {', '.join(unknown_labels)}: it was trained on "
                f"{', '.join(self.labels)}; give these labels, or train a network on the new labels"
            )
        return torch.eye(len(self.labels))[[self.labels.index(label) for label in names]]

    def encode(self, batch: Batch) -> dict[str, Tensor]:
        """One point per item, with a constant 1 that multiplies the head's bias: `(batch, WIDTH + 1)`."""
        points = self.encoder(batch).float()
        return {"joint": torch.cat([points, points.new_ones(len(points), 1)], dim=1)}

    def project(self, features: Tensor) -> dict[str, Tensor]:
        """The head's weights and biases of the labels, `(labels, WIDTH + 1)`."""
        return {"joint": features @ torch.cat([self.head.weight, self.head.bias[:, None]], dim=1)}

    def score(self, points: Mapping[str, Tensor], label_points: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Logits `(batch, labels)`."""
        return {"joint": points["joint"] @ label_points["joint"].T}

    def fuse(self, logits: Mapping[str, Tensor]) -> Tensor:
        """The only matrix of logits, `(batch, labels)`."""
        return logits["joint"]


class Fusion(nn.Module):
    """Encodes the modalities of an item into one point."""

    columns: dict[str, Standardize]  # by modality


class EarlyFusion(Fusion):
    """EF-LSTM: one BiLSTM over the concatenated frames of all modalities. A missing modality is zero."""

    def __init__(self, dims: Mapping[str, int]) -> None:
        super().__init__()
        self.dims = dict(dims)
        self.columns = {name: Standardize(dim) for name, dim in dims.items()}
        self.standardize = nn.ModuleDict(self.columns)
        self.encoder = RecurrentEncoder(sum(dims.values()), WIDTH, RecurrentSettings(cell="lstm"))

    def forward(self, batch: Batch) -> Tensor:
        """-> `(batch, WIDTH)`"""
        longest = torch.stack([lengths for _, lengths in batch.values()]).amax(dim=0).clamp(min=1)
        time = int(longest.max())
        parts = []
        for name in self.dims:
            frames, lengths = batch[name]
            rows = self.standardize[name](frames, lengths)[:, :time]
            parts.append(nn.functional.pad(rows, (0, 0, 0, time - rows.shape[1])))
        return self.encoder(torch.cat(parts, dim=-1), longest)


class LateFusion(Fusion):
    """LF-LSTM: one BiLSTM per modality, and a linear layer over their concatenated points."""

    def __init__(self, dims: Mapping[str, int]) -> None:
        super().__init__()
        encoders = {name: RecurrentEncoder(dim, WIDTH, RecurrentSettings(cell="lstm")) for name, dim in dims.items()}
        self.encoders = nn.ModuleDict(encoders)
        self.columns = {name: encoder.standardize for name, encoder in encoders.items()}
        self.standardize = nn.ModuleDict(self.columns)
        self.out = nn.Linear(WIDTH * len(dims), WIDTH)

    def forward(self, batch: Batch) -> Tensor:
        """-> `(batch, WIDTH)`"""
        points = []
        for name, encoder in self.encoders.items():
            frames, lengths = batch[name]
            point = encoder(frames, lengths.clamp(min=1))
            points.append(point.masked_fill((lengths == 0)[:, None], 0.0))
        return self.out(torch.cat(points, dim=-1).relu())


class CrossModal(Fusion):
    """MulT: each modality attends to every other, then to itself. The means over time are concatenated."""

    def __init__(self, dims: Mapping[str, int], width: int = 40, heads: int = 4) -> None:
        super().__init__()
        self.columns = {name: Standardize(dim) for name, dim in dims.items()}
        self.standardize = nn.ModuleDict(self.columns)
        self.narrow = nn.ModuleDict({name: nn.Conv1d(dim, width, 3, padding=1) for name, dim in dims.items()})
        pairs = [(target, source) for target in dims for source in dims if target != source] or [(n, n) for n in dims]
        self.pairs = pairs
        self.cross = nn.ModuleDict({f"{target}_{source}": _Attention(width, heads) for target, source in pairs})
        self.self_attention = nn.ModuleDict({name: _Attention(width * max(len(dims) - 1, 1), heads) for name in dims})
        self.out = nn.Linear(width * len(pairs), WIDTH)

    def forward(self, batch: Batch) -> Tensor:
        """-> `(batch, WIDTH)`"""
        steps, masks = {}, {}
        for name, standardize in self.standardize.items():
            frames, lengths = batch[name]
            masks[name] = padding_mask(lengths.clamp(min=1), frames.shape[1])
            steps[name] = self.narrow[name](standardize(frames, lengths).transpose(1, 2)).transpose(1, 2)
        pooled = []
        for name, self_attention in self.self_attention.items():
            attended = [
                self.cross[f"{target}_{source}"](steps[target], steps[source], masks[source])
                for target, source in self.pairs
                if target == name
            ]
            joined = torch.cat(attended, dim=-1)
            mask = masks[name][..., None]
            pooled.append((self_attention(joined, joined, masks[name]) * mask).sum(dim=1) / mask.sum(dim=1))
        return self.out(torch.cat(pooled, dim=-1))


class _Attention(nn.Module):
    """A transformer layer. Its queries come from one sequence, its keys and values from another."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.attend = nn.MultiheadAttention(width, heads, dropout=0.1, batch_first=True)
        self.feed_forward = nn.Sequential(
            nn.Linear(width, 2 * width), nn.GELU(), nn.Dropout(0.1), nn.Linear(2 * width, width)
        )
        self.norms = nn.ModuleList(nn.LayerNorm(width) for _ in range(3))

    def forward(self, queries: Tensor, values: Tensor, mask: Tensor) -> Tensor:
        keys = self.norms[1](values)
        attended, _ = self.attend(self.norms[0](queries), keys, keys, key_padding_mask=~mask, need_weights=False)
        steps = queries + attended
        return steps + self.feed_forward(self.norms[2](steps))


CLOSED_SET: dict[str, Callable[[Mapping[str, int]], Fusion]] = {
    "EF-LSTM": EarlyFusion,
    "LF-LSTM": LateFusion,
    "MulT": CrossModal,
}


def trivial(train_bears: np.ndarray, bears: np.ndarray, *, multi_label: bool) -> dict[str, np.ndarray]:
    """Boolean answers `(rows, labels)` of three baselines that read no input, by name.

    `always negative` predicts no label. `majority` predicts the most frequent training label; with `multi_label`, every
    label that more than half of the training rows have. `prior` draws labels at random with their training frequency.
    """
    generator = np.random.default_rng(0)
    frequency = train_bears.mean(axis=0)
    if multi_label:
        drawn = generator.random(bears.shape) < frequency
        return {
            "always negative": np.zeros_like(bears),
            "majority": np.broadcast_to(frequency > 0.5, bears.shape),
            "prior": drawn,
        }
    identity = np.eye(bears.shape[1], dtype=bool)
    drawn = generator.choice(bears.shape[1], size=len(bears), p=frequency / frequency.sum())
    return {
        "always negative": np.zeros_like(bears),
        "majority": np.broadcast_to(identity[int(frequency.argmax())], bears.shape),
        "prior": identity[drawn],
    }


def by_label(answered: np.ndarray, bears: np.ndarray, labels: Sequence[str]) -> dict[str, dict[str, float]]:
    """WAcc and F1 of each label. `answered` and `bears` (the rows that have the label) are `(rows, labels)`."""
    return {
        label: {
            "wacc": metrics.balanced_accuracy(answered[:, i], bears[:, i]),
            "f1": metrics.f1(answered[:, i], bears[:, i]),
        }
        for i, label in enumerate(labels)
    }


def held_out_ridge(
    points: np.ndarray, inputs: np.ndarray, true: np.ndarray, splits: Sequence[np.ndarray], split: str
) -> float:
    """Zero-shot AUC of ridge regression from items to label points. Mean over folds and held-out labels.

    Each label is held out in turn.

    Args:
        points: the label points, of length one, `(labels, dim)`.
        inputs: `(rows, columns)`.
        true: `(rows,)`, the index of each row's label.
        splits: one array per fold, `(rows,)`, with the split of each row.
        split: the split that is scored.
    """
    from sklearn.linear_model import Ridge

    areas = []
    for split_of_row in splits:
        train, scored = split_of_row == "train", split_of_row == split
        scaled = (inputs - inputs[train].mean(axis=0)) / (inputs[train].std(axis=0) + 1e-6)
        for label in range(len(points)):
            rows = train & (true != label)
            predicted = Ridge(alpha=RIDGE_PENALTY).fit(scaled[rows], points[true[rows]]).predict(scaled[scored])
            cosine = (predicted / np.linalg.norm(predicted, axis=1, keepdims=True)) @ points.T
            ranks = torch.from_numpy(RIDGE_SCALE * cosine).log_softmax(dim=1)[:, label].numpy()
            areas.append(metrics.auc(ranks, true[scored] == label))
    return float(np.mean(areas))
