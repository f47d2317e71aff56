"""Label vectors: the meaning of an emotion name as numbers, which every modality shares.

The features of a label have four parts, side by side: the text vector (the mean of its prompts' vectors, centred on
the table's mean and scaled to norm 1); valence, arousal and dominance; how it sounds; how it looks. The text vector
has the meaning of the name. The other parts describe what a voice or a face shows. They matter most if the training
data has only a few emotions.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from copy import deepcopy
from typing import Any

import torch
from torch import Tensor, nn

from emoembed.cache import Cache, content_of, tensors_of, versions
from emoembed.labels import descriptions
from emoembed.labels.emotion import Label, Labels, resolve, table
from emoembed.labels.phrases import PhraseEncoder

VAD_DIM = 4
"""Valence, arousal, dominance and a constant 1. Without the constant, neutral (all zeros) would have no direction."""
CONSTANT_WEIGHT = 0.5
"""Default weight of the constant; valence, arousal and dominance have weight 1."""
CUE_DIMS = {cue: descriptions.count(cue) for cue in ("sounds", "looks")}
"""Cue -> number of its columns, one per attribute that a description can name (`descriptions`), and a constant."""
KEPT_LABELS = 20_000
"""Number of labels whose features are cached, 2 kB each."""


class LabelSpace(nn.Module):
    """Labels -> features `(labels, label_dim)`: the part of a model that turns names into vectors.

    It is never trained on items with emotion labels. Its centre and its ridge maps are fitted on the label table of
    this package. The ridge maps predict valence, arousal and dominance, or the cues, from the text vector of a label
    that lacks them. Rated sentences, if given, improve the map to valence, arousal and dominance.

    Feature columns: `dim` of text; valence, arousal, dominance and a constant 1; how the label sounds; how it looks
    (`CUE_DIMS`). The text and each of the two cue parts have norm 1.

    Args:
        dim: size of the phrase vectors.
    """

    centre: Tensor
    vad_map: Tensor

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.dim = dim
        self.register_buffer("centre", torch.zeros(dim))
        self.register_buffer("vad_map", torch.zeros(dim + 1, 3))
        for cue, size in CUE_DIMS.items():
            self.register_buffer(f"{cue}_map", torch.zeros(dim + 1, size))
        self._cache_entry: tuple[Any, str, Cache[Label, Tensor]] = ((), "", Cache(KEPT_LABELS))

    def copy_from(self, other: LabelSpace) -> None:
        """Copy another space over the same phrase encoder into this space, with its cached label features."""
        self.load_state_dict(other.state_dict())
        self._cache_entry = deepcopy(other._cache_entry)

    def _get_cache(self, phrases: PhraseEncoder) -> Cache[Label, Tensor]:
        """The cache of label features; empty if the space or the phrase encoder has changed."""
        trunk = phrases.encoder.trunk if hasattr(phrases, "encoder") else None
        tensors = tensors_of(self) if trunk is None else tensors_of(self, trunk)
        state = (phrases, versions(tensors))
        cached_state, cached_content, cache = self._cache_entry
        if state != cached_state:  # other tensors, as in a copy, may have the same content
            content = content_of(tensors) + ("" if trunk is not None else str(id(phrases)))
            cache = cache if content == cached_content else Cache(KEPT_LABELS)
            self._cache_entry = (state, content, cache)
        return cache

    def fit(self, phrases: PhraseEncoder, rated: tuple[Tensor, Tensor] | None = None) -> None:
        """Fit the centre and the ridge maps on the label table.

        Args:
            phrases: the phrase encoder of labels.
            rated: vectors of sentences `(n, dim)`, rows of norm 1, and their valence, arousal and dominance `(n, 3)`,
                as in EmoBank (Buechel & Hahn 2017). They improve the map to valence, arousal and dominance.
        """
        labels = list(table().values())
        label_vectors = _label_vectors(labels, phrases)
        self.centre.copy_(label_vectors.mean(dim=0))
        text = self._centred(label_vectors)
        vad = torch.tensor([label.vad for label in labels])
        self.vad_map.copy_(_ridge(text, vad, 1.0, rated))
        for cue in CUE_DIMS:
            described = {
                row: attributes
                for row, label in enumerate(labels)
                if (attributes := descriptions.attributes(cue, getattr(label, cue))) is not None
            }
            cue_map = _ridge(text[list(described)], torch.stack(list(described.values())), 3.0)
            self.get_buffer(f"{cue}_map").copy_(cue_map)

    def embed(self, labels: Labels | Iterable[Label], phrases: PhraseEncoder) -> Tensor:
        """Features of labels, `(labels, label_dim)`. They are cached.

        Raises:
            LabelError: from `labels.emotion.resolve`, or from a word table that lacks a name.
        """
        entries = list(resolve(labels if isinstance(labels, Mapping) else list(labels)).values())
        cache = self._get_cache(phrases)
        features = {label: cache.get(label) for label in entries}
        missing_labels = [label for label, row in features.items() if row is None]
        if missing_labels:
            rows = self._features(missing_labels, _label_vectors(missing_labels, phrases)).cpu()
            features |= {label: cache.put(label, row) for label, row in zip(missing_labels, rows, strict=True)}
        return torch.stack([row for label in entries if (row := features[label]) is not None]).to(self.centre.device)

    def vad(self, label: Label, phrases: PhraseEncoder) -> tuple[float, float, float]:
        """Valence, arousal and dominance of a label: its own values, or values predicted from its text vector."""
        valence, arousal, dominance = self.embed([label], phrases)[0, self.dim : self.dim + 3].tolist()
        return label.vad or (valence, arousal, dominance)

    def part(self, features: Tensor, name: str) -> Tensor:
        """One part of the features `(labels, label_dim)`: `text`, `vad` (four columns), `sounds` or `looks`."""
        sizes = {"text": self.dim, "vad": VAD_DIM, **CUE_DIMS}
        parts: tuple[Tensor, ...] = features.split(list(sizes.values()), dim=-1)
        return dict(zip(sizes, parts, strict=True))[name]

    def _features(self, labels: Sequence[Label], label_vectors: Tensor) -> Tensor:
        text = self._centred(label_vectors)
        rows = [label.vad or tuple(row.tolist()) for label, row in zip(labels, self._predict_vad(text), strict=True)]
        vad = torch.tensor(rows, device=text.device)
        parts = [text, vad, torch.ones(len(vad), 1, device=text.device)]
        for cue in CUE_DIMS:
            cues = nn.functional.normalize(_append_ones(text) @ self.get_buffer(f"{cue}_map"), dim=-1)
            for row, label in enumerate(labels):
                attributes = descriptions.attributes(cue, getattr(label, cue))
                if attributes is not None:
                    cues[row] = attributes
            parts.append(cues)
        return torch.cat(parts, dim=-1)

    def _predict_vad(self, text: Tensor) -> Tensor:
        return (_append_ones(text) @ self.vad_map).clamp(-1, 1)

    def _centred(self, vectors: Tensor) -> Tensor:
        return nn.functional.normalize(vectors.to(self.centre) - self.centre, dim=-1)


def _append_ones(vectors: Tensor) -> Tensor:
    return torch.cat([vectors, torch.ones(len(vectors), 1, device=vectors.device)], dim=-1)


RATED_WEIGHT = 0.003
"""Weight of a rated sentence. Table emotions have weight 1, so 10,000 sentences weigh as much as 30 emotions."""


def _ridge(inputs: Tensor, targets: Tensor, penalty: float, rated: tuple[Tensor, Tensor] | None = None) -> Tensor:
    """Ridge regression from inputs to targets: weights `(columns + 1, targets)`, with the intercept as the last row."""
    design, goals = _append_ones(inputs).double(), targets.double()
    gram, cross = design.T @ design, design.T @ goals
    if rated is not None:
        sentences, ratings = _append_ones(rated[0] - rated[0].mean(dim=0)).double(), rated[1].double()
        gram = gram + RATED_WEIGHT * sentences.T @ sentences
        cross = cross + RATED_WEIGHT * sentences.T @ ratings
    weights: Tensor = torch.linalg.solve(gram + penalty * torch.eye(len(gram), dtype=torch.float64), cross)
    return weights.float()


def _label_vectors(labels: Sequence[Label], phrases: PhraseEncoder) -> Tensor:
    """Mean of each label's prompt vectors, `(labels, dim)`. One call encodes all prompts."""
    prompts = [phrases.prompts(label) for label in labels]
    vectors = phrases.phrase_vectors([phrase for group in prompts for phrase in group])
    return torch.stack([part.mean(dim=0) for part in vectors.split([len(group) for group in prompts])])
