"""What a figure has to beat: answers that learn nothing, and closed-set networks over the same features.

EF-LSTM and LF-LSTM (early and late fusion) and a cross-modal transformer (MulT, Tsai et al. 2019), the baselines of
Dai et al. 2020 (section 4.2). Each is an encoder of the whole item under a linear head with one output a label, so that
none can answer for a label it was not trained on.
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
    """An encoder of the whole item under a linear head: what `training.loop.fit` trains like an `EmotionModel`.

    Args:
        labels: the only labels it can ever answer.
        modalities: what it reads.
        make: the encoder: `EarlyFusion`, `LateFusion` or `CrossModal`.
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
        self.encoder = make({name: len(one.columns) for name, one in modalities.items()})
        self.head = nn.Linear(WIDTH, len(labels))
        self.projections = self.encoders = nn.ModuleDict()

    def fit_inputs(self, data: EmotionData) -> None:
        """Fit the columns' statistics on training rows."""
        for name, standardize in self.encoder.columns.items():
            store = data.inputs[name]
            frames = [np.asarray(store[i], np.float32) for i in data.ids[:2000] if i in store]
            standardize.fit(torch.from_numpy(np.concatenate(frames)))

    def embed(self, labels: Labels) -> Tensor:
        """Labels as rows of the identity. Raises LabelError for one it was not trained on."""
        names = list(resolve(labels))
        strange = [label for label in names if label not in self.labels]
        if strange:
            raise LabelError(f"a closed set of {', '.join(self.labels)} can never answer {', '.join(strange)}")
        return torch.eye(len(self.labels))[[self.labels.index(label) for label in names]]

    def encode(self, batch: Batch) -> dict[str, Tensor]:
        """One point an item, with a constant for the head's bias: `(batch, WIDTH + 1)`."""
        points = self.encoder(batch).float()
        return {"joint": torch.cat([points, points.new_ones(len(points), 1)], dim=1)}

    def project(self, features: Tensor) -> dict[str, Tensor]:
        """Rows of the head, `(labels, WIDTH + 1)`."""
        return {"joint": features @ torch.cat([self.head.weight, self.head.bias[:, None]], dim=1)}

    def score(self, points: Mapping[str, Tensor], label_points: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Logits `(batch, labels)`."""
        return {"joint": points["joint"] @ label_points["joint"].T}

    def fuse(self, logits: Mapping[str, Tensor]) -> Tensor:
        """There is one matrix of logits only."""
        return logits["joint"]


class Fusion(nn.Module):
    """An encoder of several modalities into one point."""

    columns: dict[str, Standardize]  # by modality


class EarlyFusion(Fusion):
    """The modalities' frames side by side through one BiLSTM; a modality an item lacks is zero."""

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
    """A BiLSTM a modality, their points side by side."""

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
    """MulT: each modality attends to every other, then to itself; means over time, side by side."""

    def __init__(self, dims: Mapping[str, int], width: int = 40, heads: int = 4) -> None:
        super().__init__()
        self.columns = {name: Standardize(dim) for name, dim in dims.items()}
        self.standardize = nn.ModuleDict(self.columns)
        self.narrow = nn.ModuleDict({name: nn.Conv1d(dim, width, 3, padding=1) for name, dim in dims.items()})
        pairs = [(one, other) for one in dims for other in dims if one != other] or [(n, n) for n in dims]
        self.pairs = pairs
        self.cross = nn.ModuleDict({f"{one}_{other}": _Attention(width, heads) for one, other in pairs})
        self.own = nn.ModuleDict({name: _Attention(width * max(len(dims) - 1, 1), heads) for name in dims})
        self.out = nn.Linear(width * len(pairs), WIDTH)

    def forward(self, batch: Batch) -> Tensor:
        """-> `(batch, WIDTH)`"""
        steps, masks = {}, {}
        for name, standardize in self.standardize.items():
            frames, lengths = batch[name]
            masks[name] = padding_mask(lengths.clamp(min=1), frames.shape[1])
            steps[name] = self.narrow[name](standardize(frames, lengths).transpose(1, 2)).transpose(1, 2)
        pooled = []
        for name, own in self.own.items():
            seen = [
                self.cross[f"{one}_{other}"](steps[one], steps[other], masks[other])
                for one, other in self.pairs
                if one == name
            ]
            joined = torch.cat(seen, dim=-1)
            mask = masks[name][..., None]
            pooled.append((own(joined, joined, masks[name]) * mask).sum(dim=1) / mask.sum(dim=1))
        return self.out(torch.cat(pooled, dim=-1))


class _Attention(nn.Module):
    """A transformer layer whose queries are of one sequence, its keys and values of another."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.attend = nn.MultiheadAttention(width, heads, dropout=0.1, batch_first=True)
        self.forth = nn.Sequential(nn.Linear(width, 2 * width), nn.GELU(), nn.Dropout(0.1), nn.Linear(2 * width, width))
        self.norms = nn.ModuleList(nn.LayerNorm(width) for _ in range(3))

    def forward(self, queries: Tensor, values: Tensor, mask: Tensor) -> Tensor:
        held = self.norms[1](values)
        attended, _ = self.attend(self.norms[0](queries), held, held, key_padding_mask=~mask, need_weights=False)
        steps = queries + attended
        return steps + self.forth(self.norms[2](steps))


CLOSED_SET: dict[str, Callable[[Mapping[str, int]], Fusion]] = {
    "EF-LSTM": EarlyFusion,
    "LF-LSTM": LateFusion,
    "MulT": CrossModal,
}


def trivial(train_bears: np.ndarray, bears: np.ndarray, *, multi_label: bool) -> dict[str, np.ndarray]:
    """Answers `(rows, labels)` that look at no input, by name.

    `always negative` never answers a label (where labels exclude each other it has no answer at all); `majority`
    answers the most frequent training label, or every label that most rows bear; `prior` draws labels at their
    frequency in training.
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
    """WAcc and F1 of each label from boolean answers."""
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
    """Mean over labels held out and folds of a label's AUC by ridge regression from items to label points.

    Args:
        points: of the labels, of length one, `(labels, dim)`.
        inputs: `(rows, columns)`.
        true: column of each row's label.
        splits: of each fold, the split of every row.
        split: the rows that are scored.
    """
    from sklearn.linear_model import Ridge

    found = []
    for divided in splits:
        train, scored = divided == "train", divided == split
        scaled = (inputs - inputs[train].mean(axis=0)) / (inputs[train].std(axis=0) + 1e-6)
        for label in range(len(points)):
            rows = train & (true != label)
            said = Ridge(alpha=RIDGE_PENALTY).fit(scaled[rows], points[true[rows]]).predict(scaled[scored])
            cosine = (said / np.linalg.norm(said, axis=1, keepdims=True)) @ points.T
            ranks = torch.from_numpy(RIDGE_SCALE * cosine).log_softmax(dim=1)[:, label].numpy()
            found.append(metrics.auc(ranks, true[scored] == label))
    return float(np.mean(found))
