"""Pre-train the recurrence of a context on dialogues without labels: it learns to predict the next turn."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import islice

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import pad_sequence

from emoembed.encoders.context import ContextEncoder, ContextSettings, speaker_changes
from emoembed.errors import InputError, TrainingError
from emoembed.transfer.dialogue.decoders import (
    BagOfWordsDecoder,
    ContrastDecoder,
    Decoder,
    DecoderLoss,
    HredDecoder,
    NextTurns,
    VhredDecoder,
)

DECODERS = ("contrast", "bag_of_words", "hred", "vhred")
COLLAPSED = 0.1
"""Below this KL term, in nats per turn, the latent vector of VHRED has no information: it has collapsed."""
MOST_WORDS = 40
"""Words of a turn that a decoder predicts."""


@dataclass(frozen=True)
class PretrainConfig:
    """Settings of the pre-training."""

    decoder: str = "contrast"  # one of `DECODERS`
    hidden_dim: int = 128
    vocabulary: int = 4000  # the most frequent word pieces; the others are one word
    epochs: int = 20
    batch_size: int = 32  # dialogues
    learning_rate: float = 1e-3
    weight_decay: float = 0.01
    clip: float = 1.0  # largest gradient norm
    patience: int = 3  # epochs without a better validation loss
    shuffle: bool = False  # train on dialogues of random turns, as a control: it cannot learn about conversation
    seed: int = 0

    def __post_init__(self) -> None:
        if self.decoder not in DECODERS:
            raise InputError(f"decoder must be one of {', '.join(DECODERS)}; given {self.decoder!r:.40}")
        if self.epochs < 1 or self.batch_size < 1 or self.hidden_dim < 1:
            raise InputError("epochs, batch_size and hidden_dim must be at least 1")


@dataclass(frozen=True)
class TurnSequences:
    """Dialogues without labels.

    Attributes:
        differences: modality -> the turns' points minus the background `(turns, embed_dim)`; NaN where a turn lacks it.
        words: word pieces of each turn; empty for a turn without text.
        dialogues: positions of the turns of each dialogue, in order. Each has at least two turns.
        speakers: speaker of each turn.
    """

    differences: Mapping[str, Tensor]
    words: Sequence[Sequence[int]]
    dialogues: Sequence[Sequence[int]]
    speakers: Sequence[str | None]

    def shuffled(self, seed: int) -> TurnSequences:
        """Dialogues of the same lengths, with turns drawn at random from all dialogues."""
        turns = [turn for group in self.dialogues for turn in group]
        drawn = iter(np.random.default_rng(seed).permutation(turns).tolist())
        return replace(self, dialogues=[list(islice(drawn, len(group))) for group in self.dialogues])


@dataclass(frozen=True)
class Pretrained:
    """A pre-trained context and its validation measures of each epoch.

    Attributes:
        encoder: the context.
        losses: validation loss: negative log likelihood per turn (contrast) or per word, with the KL term for VHRED.
        divergences: KL term of VHRED in nats per turn; empty for other decoders.
        best_epoch: the epoch of the weights.
    """

    encoder: ContextEncoder
    losses: tuple[float, ...]
    divergences: tuple[float, ...]
    best_epoch: int

    @property
    def perplexity(self) -> float:
        """Exponential of the best validation loss. For VHRED, the loss is a bound from one latent vector per turn."""
        return math.exp(min(self.losses[self.best_epoch], 50.0))

    @property
    def has_collapsed(self) -> bool:
        """Whether the latent vector of VHRED has no information about the next turn."""
        return bool(self.divergences) and self.divergences[self.best_epoch] < COLLAPSED


def pretrain(
    train: TurnSequences, valid: TurnSequences, config: PretrainConfig, *, progress: bool = False
) -> Pretrained:
    """Pre-train a context: the decoder predicts each next turn from the state after the turns before it.

    Args:
        train: the training dialogues.
        valid: the dialogues for choosing the best epoch.
        config: the decoder and the settings.
        progress: show a progress bar on stderr.

    Raises:
        InputError: there are no dialogues with two turns.
        TrainingError: training has diverged.
    """
    if not train.dialogues or sum(len(group) - 1 for group in valid.dialogues) < 2:
        raise InputError(
            "pre-training needs training dialogues of at least two turns, and validation dialogues with two next turns"
        )
    torch.manual_seed(config.seed)
    if config.shuffle:
        train, valid = train.shuffled(config.seed), valid.shuffled(config.seed)
    dims = {name: differences.shape[1] for name, differences in train.differences.items()}
    encoder = ContextEncoder(dims, ContextSettings(config.hidden_dim))
    vocabulary = _vocabulary(train, config.vocabulary)
    decoder = _decoder(encoder, config, len(vocabulary) + 2)
    both = nn.ModuleList([encoder, decoder])
    optimizer = torch.optim.AdamW(both.parameters(), lr=config.learning_rate, weight_decay=config.weight_decay)
    order = np.random.default_rng(config.seed)
    losses: list[float] = []
    divergences: list[float] = []
    best: dict[str, Tensor] = {}
    # the loss of VHRED is comparable only when the weight of its KL term no longer rises
    first = -(-config.epochs // 2) if config.decoder == "vhred" else 0
    while len(losses) < config.epochs and len(losses) - 1 - _best(losses, first) < config.patience:
        both.train()
        batches = list(_batches(train, config.batch_size, order))
        for i, batch in enumerate(_bar(batches, len(losses), config) if progress else batches):
            done = (len(losses) + i / len(batches)) / config.epochs
            optimizer.zero_grad(set_to_none=True)
            _loss(encoder, decoder, train, batch, vocabulary, done).loss.backward()
            nn.utils.clip_grad_norm_(both.parameters(), config.clip)
            optimizer.step()
        loss, divergence = _validate(encoder.eval(), decoder.eval(), valid, vocabulary, config.batch_size)
        if not math.isfinite(loss):
            raise TrainingError(f"pre-training diverged in epoch {len(losses) + 1}; lower the learning rate")
        losses.append(loss)
        divergences += [] if divergence is None else [divergence]
        if _best(losses, first) == len(losses) - 1:
            best = {name: value.clone() for name, value in encoder.state_dict().items()}
    encoder.load_state_dict(best)
    return Pretrained(encoder.eval(), tuple(losses), tuple(divergences), _best(losses, first))


def _best(losses: Sequence[float], first: int) -> int:
    """The epoch with the lowest loss from the epoch `first` on; until then the latest; -1 without epochs."""
    return first + int(np.argmin(losses[first:])) if len(losses) > first else len(losses) - 1


def _decoder(encoder: ContextEncoder, config: PretrainConfig, vocabulary: int) -> Decoder:
    if config.decoder == "contrast":
        return ContrastDecoder(encoder.outputs)
    if config.decoder == "bag_of_words":
        return BagOfWordsDecoder(config.hidden_dim, vocabulary)
    if config.decoder == "hred":
        return HredDecoder(config.hidden_dim, vocabulary)
    return VhredDecoder(config.hidden_dim, vocabulary, sum(encoder.dims.values()))


def _vocabulary(dialogues: TurnSequences, size: int) -> dict[int, int]:
    """The most frequent word pieces -> numbers from 2. 0 is padding and 1 any other word piece."""
    pieces = [piece for group in dialogues.dialogues for turn in group for piece in dialogues.words[turn]]
    names, counts = np.unique(np.array(pieces, dtype=np.int64), return_counts=True)
    frequent = names[np.argsort(-counts, kind="stable")[:size]]
    return {int(piece): number for number, piece in enumerate(frequent, start=2)}


def _batches(dialogues: TurnSequences, size: int, order: np.random.Generator) -> Iterator[list[Sequence[int]]]:
    """Batches of dialogues of similar length, in random order."""
    positions = sorted(order.permutation(len(dialogues.dialogues)), key=lambda i: len(dialogues.dialogues[i]))
    batches = [positions[i : i + size] for i in range(0, len(positions), size)]
    for i in order.permutation(len(batches)):
        yield [dialogues.dialogues[position] for position in batches[i]]


def _loss(
    encoder: ContextEncoder,
    decoder: Decoder,
    data: TurnSequences,
    batch: Sequence[Sequence[int]],
    vocabulary: Mapping[int, int],
    progress: float,
) -> DecoderLoss:
    """The loss of a batch of dialogues: the state after each turn predicts the next turn."""
    differences = {
        name: pad_sequence([matrix[list(group)] for group in batch], batch_first=True, padding_value=torch.nan)
        for name, matrix in data.differences.items()
    }
    speakers = [[data.speakers[turn] for turn in group] for group in batch]
    changed = [torch.tensor(speaker_changes(names)) for names in speakers]
    states = encoder.states(differences, pad_sequence(changed, batch_first=True))
    if states is None:
        raise InputError("pre-training needs a recurrence; give hidden_dim of at least 1")
    here = [(row, time) for row, group in enumerate(batch) for time in range(len(group) - 1)]
    rows, times = (torch.tensor(indices) for indices in zip(*here, strict=True))
    words = [
        torch.tensor([vocabulary.get(piece, 1) for piece in data.words[batch[row][time + 1]][:MOST_WORDS]] or [1])
        for row, time in here
    ]
    following = {name: matrix[rows, times + 1] for name, matrix in differences.items()}
    outcome: DecoderLoss = decoder(
        states[rows, times], NextTurns(following, pad_sequence(words, batch_first=True)), progress
    )
    return outcome


@torch.no_grad()
def _validate(
    encoder: ContextEncoder, decoder: Decoder, data: TurnSequences, vocabulary: Mapping[int, int], size: int
) -> tuple[float, float | None]:
    """Mean loss of the validation dialogues, and the mean KL term. The batches are always the same."""
    batches = list(_batches(data, size, np.random.default_rng(0)))
    outcomes = [_loss(encoder, decoder, data, batch, vocabulary, 1.0) for batch in batches]
    total = sum(outcome.count for outcome in outcomes)
    loss = sum(float(outcome.loss) * outcome.count for outcome in outcomes) / max(total, 1)
    turns = [sum(len(group) - 1 for group in batch) for batch in batches]
    divergences = [
        float(outcome.divergence) * count
        for outcome, count in zip(outcomes, turns, strict=True)
        if outcome.divergence is not None
    ]
    return loss, sum(divergences) / sum(turns) if divergences else None


def _bar(batches: list[list[Sequence[int]]], epoch: int, config: PretrainConfig) -> Iterator[list[Sequence[int]]]:
    from tqdm import tqdm

    yield from tqdm(batches, desc=f"epoch {epoch + 1}/{config.epochs}", leave=False)
