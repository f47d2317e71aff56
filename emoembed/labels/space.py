"""Label vectors: what an emotion's name means, as numbers shared by every modality.

A label's features are, side by side: its text vector (the mean of its prompts' vectors, centred on the table's mean
and scaled to length one); valence, arousal and dominance; how it sounds; and how it looks. The text carries what names
mean; the other parts carry what of that a voice or a face shows when only a handful of emotions were ever seen.
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
from emoembed.labels.phrases import PhraseEncoder, WordTable

VAD_DIM = 4
"""Valence, arousal, dominance, and a constant 1: without that neutral, at zero, would have no direction."""
NEUTRAL_POLE = 0.5
"""What the constant usually weighs beside the three."""
CUE_DIM = 32
"""Numbers of how a label sounds, and of how it looks: what its description says outright (`descriptions`), then the
leading directions of the description's vector, half of the length each."""
CUES = ("sounds", "looks")
KEPT_LABELS = 20_000
"""Labels whose features are kept: 2 kB each."""


class LabelSpace(nn.Module):
    """Labels -> their features `(labels, label_dim)`; the part of a model that knows what names mean.

    Nothing here is learned from examples of emotions: the centres, the leading directions of cues, and the maps by
    which a label that lacks valence, arousal and dominance or cues gets them from its text vector, are fitted on the
    project's own label table, the first of these maps on sentences rated for the three as well where there are any.

    Features: text `dim`, then valence, arousal, dominance and a constant 1, then `CUE_DIM` numbers of how the label
    sounds and as many of how it looks, each of these two of length one.

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
        for cue in CUES:
            self.register_buffer(f"{cue}_centre", torch.zeros(dim))
            self.register_buffer(f"{cue}_directions", torch.zeros(CUE_DIM - descriptions.count(cue), dim))
            self.register_buffer(f"{cue}_map", torch.zeros(dim + 1, CUE_DIM))
        self._kept: tuple[Any, str, Cache[Label, Tensor]] = ((), "", Cache(KEPT_LABELS))

    def take(self, other: LabelSpace) -> None:
        """Become a copy of another space over the same phrase encoder; labels it has embedded need not be again."""
        self.load_state_dict(other.state_dict())
        self._kept = deepcopy(other._kept)

    def _embedded(self, phrases: PhraseEncoder) -> Cache[Label, Tensor]:
        """Labels embedded before, unless the space or the phrase encoder has changed since."""
        trunk = phrases.encoder.trunk if hasattr(phrases, "encoder") else None
        tensors = tensors_of(self) if trunk is None else tensors_of(self, trunk)
        state = (phrases, versions(tensors))
        kept, content, cache = self._kept
        if state != kept:  # as in a copy: what counts is what it holds
            now = content_of(tensors) + ("" if trunk is not None else str(id(phrases)))
            cache = cache if now == content else Cache(KEPT_LABELS)
            self._kept = (state, now, cache)
        return cache

    @property
    def label_dim(self) -> int:
        return self.dim + VAD_DIM + len(CUES) * CUE_DIM

    def fit(self, phrases: PhraseEncoder, rated: tuple[Tensor, Tensor] | None = None) -> None:
        """Set centres, directions and maps from the table.

        Args:
            phrases: what embeds labels.
            rated: vectors of sentences `(n, dim)`, rows of length one, and their valence, arousal and dominance
                `(n, 3)`, as EmoBank has them (Buechel & Hahn 2017): with them the map to the three is better.
        """
        known = list(table().values())
        raw = _label_vectors(known, phrases)
        self.centre.copy_(raw.mean(dim=0))
        meanings = self._centred(raw)
        vad = torch.tensor([label.vad for label in known])
        self.vad_map.copy_(_ridge(meanings, vad, 1.0, rated))
        for cue in CUES:
            said = [getattr(label, cue) for label in known]
            phrased = _phrase_vectors(said, phrases)
            centre, directions, guess = self._cue(cue)
            centre.copy_(phrased.mean(dim=0))
            _, _, leading = torch.linalg.svd(nn.functional.normalize(phrased - centre, dim=-1), full_matrices=False)
            directions.zero_()[: len(leading)] = leading[: len(directions)]
            guess.copy_(_ridge(meanings, self._along(cue, said, phrases), 3.0))

    def embed(self, labels: Labels | Iterable[Label], phrases: PhraseEncoder) -> Tensor:
        """Features of labels, `(labels, label_dim)`, kept for the next call.

        Raises:
            LabelError: from `labels.emotion.resolve`, or from a word table that lacks a name.
        """
        wanted = list(resolve(labels if isinstance(labels, Mapping) else list(labels)).values())
        cache = self._embedded(phrases)
        features = {label: cache.get(label) for label in wanted}
        missing = [label for label, known in features.items() if known is None]
        if missing:
            made = self._features(missing, phrases).cpu()
            features |= {label: cache.put(label, row) for label, row in zip(missing, made, strict=True)}
        return torch.stack([row for label in wanted if (row := features[label]) is not None]).to(self.centre.device)

    def vad(self, label: Label, phrases: PhraseEncoder) -> tuple[float, float, float]:
        """Valence, arousal and dominance of a label: the table's, or predicted from its vector."""
        valence, arousal, dominance = self.embed([label], phrases)[0, self.dim : self.dim + 3].tolist()
        return label.vad or (valence, arousal, dominance)

    def part(self, features: Tensor, name: str) -> Tensor:
        """One part of features `(labels, label_dim)`: `text`, `vad` (four columns), `sounds` or `looks`."""
        sizes = {"text": self.dim, "vad": VAD_DIM, **dict.fromkeys(CUES, CUE_DIM)}
        parts: tuple[Tensor, ...] = features.split(list(sizes.values()), dim=-1)
        return dict(zip(sizes, parts, strict=True))[name]

    def _features(self, labels: Sequence[Label], phrases: PhraseEncoder) -> Tensor:
        text = self._centred(_label_vectors(labels, phrases))
        known = [label.vad or tuple(guess.tolist()) for label, guess in zip(labels, self._vad(text), strict=True)]
        vad = torch.tensor(known, device=text.device)
        parts = [text, vad, torch.ones(len(vad), 1, device=text.device)]
        for cue in CUES:
            said = [getattr(label, cue) for label in labels]
            rows = nn.functional.normalize(_with_one(text) @ self._cue(cue)[2], dim=-1)
            there = [i for i, phrase in enumerate(said) if phrase]
            if there:
                rows[there] = self._along(cue, [said[i] for i in there], phrases)
            parts.append(rows)
        return torch.cat(parts, dim=-1)

    def _vad(self, text: Tensor) -> Tensor:
        return (_with_one(text) @ self.vad_map).clamp(-1, 1)

    def _centred(self, raw: Tensor) -> Tensor:
        return nn.functional.normalize(raw.to(self.centre) - self.centre, dim=-1)

    def _cue(self, cue: str) -> tuple[Tensor, Tensor, Tensor]:
        centre, directions, guess = (self.get_buffer(f"{cue}_{name}") for name in ("centre", "directions", "map"))
        return centre, directions, guess

    def _along(self, cue: str, said: Sequence[str], phrases: PhraseEncoder) -> Tensor:
        """Descriptions as features: what they say outright beside their vectors' directions, rows of length one."""
        centre, directions, _ = self._cue(cue)
        outright = torch.stack([descriptions.attributes(cue, one) for one in said]).to(centre)
        vectors = _phrase_vectors(said, phrases).to(centre)
        along = nn.functional.normalize((vectors - centre) @ directions.T, dim=-1)
        return nn.functional.normalize(torch.cat([outright, along], dim=-1), dim=-1)


def _with_one(vectors: Tensor) -> Tensor:
    return torch.cat([vectors, torch.ones(len(vectors), 1, device=vectors.device)], dim=-1)


RATED_WEIGHT = 0.003
"""Of a rated sentence beside an emotion of the table: ten thousand sentences weigh as much as thirty emotions."""


def _ridge(inputs: Tensor, targets: Tensor, penalty: float, rated: tuple[Tensor, Tensor] | None = None) -> Tensor:
    """The linear map, with an intercept as its last row, from inputs to targets."""
    known, goal = _with_one(inputs).double(), targets.double()
    gram, cross = known.T @ known, known.T @ goal
    if rated is not None:
        sentences, ratings = _with_one(rated[0] - rated[0].mean(dim=0)).double(), rated[1].double()
        gram = gram + RATED_WEIGHT * sentences.T @ sentences
        cross = cross + RATED_WEIGHT * sentences.T @ ratings
    solved: Tensor = torch.linalg.solve(gram + penalty * torch.eye(len(gram), dtype=torch.float64), cross)
    return solved.float()


def _phrase_vectors(phrases: Sequence[str], encoder: PhraseEncoder) -> Tensor:
    """Vectors of descriptions; in a word table, one of which no word is known is the mean of all words."""
    if not isinstance(encoder, WordTable):
        return encoder.phrase_vectors(phrases)
    mean = torch.from_numpy(encoder.vectors.mean(axis=0))
    return torch.stack([torch.from_numpy(encoder.mean_of(p)) if encoder.knows(p) else mean for p in phrases])


def _label_vectors(labels: Sequence[Label], phrases: PhraseEncoder) -> Tensor:
    """Mean of each label's prompt vectors, `(labels, dim)`; all prompts are encoded in one call."""
    if isinstance(phrases, WordTable):  # a bag of words gains nothing from templates, and lacks rare phrases
        return torch.cat([_table_vector(label, phrases) for label in labels])
    prompts = [label.prompts() for label in labels]
    vectors = phrases.phrase_vectors([phrase for group in prompts for phrase in group])
    return torch.stack([part.mean(dim=0) for part in vectors.split([len(group) for group in prompts])])


def _table_vector(label: Label, words: WordTable) -> Tensor:
    """The name and whichever synonyms the table has; the definition speaks only for a name it lacks."""
    known = [phrase for phrase in (label.name, *label.synonyms) if words.knows(phrase)]
    if not known and label.definition:
        known = [label.definition]
    return words.phrase_vectors(known or [label.name]).mean(dim=0, keepdim=True)
