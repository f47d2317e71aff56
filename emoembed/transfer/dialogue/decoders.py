"""Decoders: from the state of the recurrence, they predict the point, the words or the text of the next turn.

`HredDecoder` is the decoder of HRED (Sordoni et al. 2015), `VhredDecoder` that of VHRED (Serban et al. 2017). TL-ERC
uses both. They are smaller here, because there are fewer data.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, log_softmax, normalize, pad

TEMPERATURE = 0.1
EMBEDDING_DIM, DECODER_DIM, LATENT_DIM = 64, 128, 32
PADDING = 0
"""Word number of padding; it is also the start symbol of a turn."""


@dataclass(frozen=True)
class NextTurns:
    """The turns that follow a batch of states.

    Attributes:
        differences: modality -> differences from the background `(batch, embed_dim)`; NaN where a turn lacks it.
        words: word numbers from 1 `(batch, words)`, padded with `PADDING`.
    """

    differences: Mapping[str, Tensor]
    words: Tensor


@dataclass(frozen=True)
class DecoderLoss:
    """The loss of a batch.

    Attributes:
        loss: the value to minimise.
        likelihood: mean negative log likelihood per word, or per turn for the contrast.
        count: number of these words or turns.
        divergence: the KL term of VHRED in nats per turn.
    """

    loss: Tensor
    likelihood: Tensor
    count: int
    divergence: Tensor | None = None


class Decoder(nn.Module):
    """Computes the loss of states `(batch, hidden_dim)` with respect to the turns that follow them."""

    def forward(self, states: Tensor, turns: NextTurns, progress: float) -> DecoderLoss:
        """The loss of a batch.

        Args:
            states: states of the recurrence, `(batch, hidden_dim)`.
            turns: the turns after them.
            progress: the share of the training steps that are done, 0 to 1.
        """
        raise NotImplementedError


class ContrastDecoder(Decoder):
    """Picks the next turn's point among those of the batch (InfoNCE, van den Oord et al. 2018).

    Args:
        outputs: modality -> projection from the state to a difference. They belong to the context and are transferred
            with it.
    """

    def __init__(self, outputs: nn.ModuleDict) -> None:
        super().__init__()
        self.outputs = outputs
        for output in outputs.values():
            nn.init.xavier_uniform_(cast(nn.Linear, output).weight)

    def forward(self, states: Tensor, turns: NextTurns, progress: float) -> DecoderLoss:
        """See `Decoder.forward`."""
        losses, count = [], 0
        for name, differences in turns.differences.items():
            rows = ~differences.isnan().any(dim=1)
            if int(rows.sum()) > 1:
                expected = normalize(self.outputs[name](states[rows]), dim=1)
                logits = expected @ normalize(differences[rows], dim=1).T / TEMPERATURE
                count += len(logits)
                losses.append(cross_entropy(logits, torch.arange(len(logits), device=logits.device)))
        loss = torch.stack(losses).mean() if losses else 0.0 * states.sum()
        return DecoderLoss(loss, loss.detach(), count)


class BagOfWordsDecoder(Decoder):
    """Predicts the words of the next turn, without their order (bag of words).

    Args:
        hidden_dim: size of the states.
        vocabulary: number of words, with the padding.
    """

    def __init__(self, hidden_dim: int, vocabulary: int) -> None:
        super().__init__()
        self.words = nn.Linear(hidden_dim, vocabulary)

    def forward(self, states: Tensor, turns: NextTurns, progress: float) -> DecoderLoss:
        """See `Decoder.forward`."""
        is_word = turns.words != PADDING
        log_probabilities = log_softmax(self.words(states), dim=1).gather(1, turns.words)
        loss = -(log_probabilities * is_word).sum() / is_word.sum().clamp(min=1)
        return DecoderLoss(loss, loss.detach(), int(is_word.sum()))


class HredDecoder(Decoder):
    """Generates the next turn word by word with a GRU that starts from the state.

    Args:
        hidden_dim: size of the states.
        vocabulary: number of words, with the padding.
        word_drop: probability that training replaces an input word by padding, so that the state is needed.
    """

    def __init__(self, hidden_dim: int, vocabulary: int, word_drop: float = 0.0) -> None:
        super().__init__()
        self.word_drop = word_drop
        self.embedding = nn.Embedding(vocabulary, EMBEDDING_DIM, padding_idx=PADDING)
        self.start = nn.Linear(hidden_dim, DECODER_DIM)
        self.decoder = nn.GRU(EMBEDDING_DIM, DECODER_DIM, batch_first=True)
        self.words = nn.Linear(DECODER_DIM, vocabulary)

    def forward(self, states: Tensor, turns: NextTurns, progress: float) -> DecoderLoss:
        """See `Decoder.forward`."""
        likelihood = self.likelihood(states, turns.words)
        return DecoderLoss(likelihood, likelihood.detach(), int((turns.words != PADDING).sum()))

    def likelihood(self, start: Tensor, words: Tensor) -> Tensor:
        """Mean negative log likelihood per word, with the earlier words of the turn as input."""
        inputs = pad(words, (1, -1), value=PADDING)
        if self.training and self.word_drop:
            inputs = inputs.masked_fill(torch.rand(inputs.shape, device=inputs.device) < self.word_drop, PADDING)
        decoded, _ = self.decoder(self.embedding(inputs), self.start(start).tanh()[None])
        logits = self.words(decoded).flatten(0, 1)
        return cross_entropy(logits, words.flatten(), ignore_index=PADDING, reduction="sum") / (
            (words != PADDING).sum().clamp(min=1)
        )


class VhredDecoder(Decoder):
    """`HredDecoder` with a latent vector per turn.

    The prior of the latent vector comes from the state, its posterior also from the next turn's point. The weight of
    the KL term rises from 0 to 1 over the first half of training, and input words are dropped; otherwise the decoder
    ignores the latent vector (Bowman et al. 2016).

    Args:
        hidden_dim: size of the states.
        vocabulary: number of words, with the padding.
        point_dim: size of the differences of all modalities together.
        word_drop: probability that training replaces an input word by padding.
    """

    def __init__(self, hidden_dim: int, vocabulary: int, point_dim: int, word_drop: float = 0.25) -> None:
        super().__init__()
        self.prior = nn.Linear(hidden_dim, 2 * LATENT_DIM)
        self.posterior = nn.Linear(hidden_dim + point_dim, 2 * LATENT_DIM)
        self.text = HredDecoder(hidden_dim + LATENT_DIM, vocabulary, word_drop)

    def forward(self, states: Tensor, turns: NextTurns, progress: float) -> DecoderLoss:
        """See `Decoder.forward`."""
        points = torch.cat([difference.nan_to_num(0.0) for difference in turns.differences.values()], dim=1)
        prior_mean, prior_log = self.prior(states).chunk(2, dim=1)
        mean, log_variance = self.posterior(torch.cat([states, points], dim=1)).chunk(2, dim=1)
        # in evaluation the same noise each time, so that losses of epochs are comparable
        generator = None if self.training else torch.Generator(mean.device).manual_seed(0)
        noise = torch.randn(mean.shape, generator=generator, device=mean.device)
        latent = mean + (log_variance / 2).exp() * noise
        likelihood = self.text.likelihood(torch.cat([states, latent], dim=1), turns.words)
        variance_ratio = (log_variance - prior_log).exp()
        distance = (mean - prior_mean).square() / prior_log.exp()
        divergence = 0.5 * (variance_ratio + distance - 1 - (log_variance - prior_log)).sum(dim=1).mean()
        count = int((turns.words != PADDING).sum())
        loss = likelihood + min(2 * progress, 1.0) * divergence * len(states) / max(count, 1)
        return DecoderLoss(loss, likelihood.detach(), count, divergence.detach())
