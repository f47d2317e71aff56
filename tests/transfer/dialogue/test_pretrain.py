import math
from itertools import pairwise

import numpy as np
import pytest
import torch
from torch.nn.functional import normalize

from emoembed.errors import InputError
from emoembed.transfer.dialogue.decoders import PADDING, HredDecoder, NextTurns, VhredDecoder
from emoembed.transfer.dialogue.pretrain import DECODERS, PretrainConfig, Pretrained, TurnSequences, pretrain

DIM, KINDS, LENGTH = 8, 5, 6
SHORT = {"hidden_dim": 24, "epochs": 15, "batch_size": 8, "learning_rate": 5e-3, "patience": 15}


def talks(count, seed):
    """Dialogues that walk through five kinds of turns in a fixed order, from a random start."""
    generator = torch.Generator().manual_seed(seed)
    centres = normalize(torch.randn(KINDS, DIM, generator=torch.Generator().manual_seed(7)), dim=1)
    start = torch.randint(KINDS, (count,), generator=generator)
    kinds = (start[:, None] + torch.arange(LENGTH)) % KINDS
    points = centres[kinds] + 0.1 * torch.randn(count, LENGTH, DIM, generator=generator)
    words = [[10 + int(kind), 20 + int(kind)] for kind in kinds.flatten()]
    groups = [list(range(i * LENGTH, (i + 1) * LENGTH)) for i in range(count)]
    return TurnSequences({"text": points.reshape(-1, DIM)}, words, groups, ["AB"[i % 2] for i in range(count * LENGTH)])


@pytest.mark.parametrize("decoder", DECODERS)
def test_a_decoder_learns_the_next_turn_but_not_from_shuffled_turns(decoder):
    config = PretrainConfig(decoder=decoder, **SHORT)
    learned = pretrain(talks(60, 0), talks(20, 1), config)
    control = pretrain(talks(60, 0), talks(20, 1), PretrainConfig(decoder=decoder, shuffle=True, **SHORT))
    assert learned.losses[learned.best_epoch] < learned.losses[0]
    assert learned.losses[learned.best_epoch] < control.losses[control.best_epoch] - 0.1
    comparable = learned.losses[-(-SHORT["epochs"] // 2) :] if decoder == "vhred" else learned.losses
    assert learned.perplexity == pytest.approx(math.exp(min(comparable)))
    assert len(learned.divergences) == (len(learned.losses) if decoder == "vhred" else 0)


def test_the_kl_term_counts_in_full_before_the_best_epoch_is_chosen():
    """While its weight rises, losses of epochs are not comparable."""
    config = PretrainConfig(decoder="vhred", **{**SHORT, "epochs": 6, "patience": 1})
    learned = pretrain(talks(20, 0), talks(8, 1), config)
    assert len(learned.losses) > 3
    assert learned.best_epoch >= 3


def test_shuffled_dialogues_keep_their_lengths_and_no_next_turns():
    whole = talks(200, 0)
    mixed = whole.shuffled(0)
    assert [len(group) for group in mixed.dialogues] == [len(group) for group in whole.dialogues]
    assert sorted(turn for group in mixed.dialogues for turn in group) == list(range(200 * LENGTH))
    pairs = [(a, b) for group in mixed.dialogues for a, b in pairwise(group)]
    assert sum(a // LENGTH == b // LENGTH for a, b in pairs) < 0.05 * len(pairs)


def test_the_same_seed_gives_the_same_weights():
    first, second, other = (
        pretrain(talks(20, 0), talks(8, 1), PretrainConfig(**{**SHORT, "epochs": 2}, seed=seed)).encoder.state_dict()
        for seed in (0, 0, 1)
    )
    assert all(torch.equal(value, second[name]) for name, value in first.items())
    assert not torch.equal(first["gru.weight_hh_l0"], other["gru.weight_hh_l0"])


def test_a_collapsed_latent_vector_is_reported():
    encoder = pretrain(talks(8, 0), talks(8, 1), PretrainConfig(**{**SHORT, "epochs": 1})).encoder
    assert Pretrained(encoder, (2.0, 1.0), (0.4, 0.02), 1).has_collapsed
    assert not Pretrained(encoder, (2.0, 1.0), (0.02, 0.4), 1).has_collapsed
    assert not Pretrained(encoder, (2.0, 1.0), (), 1).has_collapsed
    silent = VhredDecoder(24, 40, DIM).eval()
    with torch.no_grad():
        for linear in (silent.prior, silent.posterior):
            linear.weight.zero_()
            linear.bias.zero_()
    turns = NextTurns({"text": torch.randn(4, DIM)}, torch.randint(2, 40, (4, 3)))
    assert silent(torch.randn(4, 24), turns, 1.0).divergence == pytest.approx(0.0, abs=1e-6)


def test_the_kl_term_is_that_of_two_gaussians():
    decoder = VhredDecoder(24, 40, DIM).eval()
    states, turns = torch.randn(4, 24), NextTurns({"text": torch.randn(4, DIM)}, torch.randint(2, 40, (4, 3)))
    with torch.no_grad():
        mean, log_variance = decoder.prior(states).chunk(2, dim=1)
        prior = torch.distributions.Normal(mean, (log_variance / 2).exp())
        mean, log_variance = decoder.posterior(torch.cat([states, turns.differences["text"]], dim=1)).chunk(2, dim=1)
        posterior = torch.distributions.Normal(mean, (log_variance / 2).exp())
        expected = torch.distributions.kl_divergence(posterior, prior).sum(dim=1).mean()
        outcome = decoder(states, turns, 1.0)
        early = decoder(states, turns, 0.0)
    assert outcome.divergence == pytest.approx(float(expected), rel=1e-4)
    assert early.loss == pytest.approx(float(early.likelihood), rel=1e-5), "the KL term has no weight at first"


def test_padding_does_not_change_the_likelihood():
    decoder = HredDecoder(24, 40).eval()
    states, words = torch.randn(2, 24), torch.tensor([[3, 4, 5], [6, 7, PADDING]])
    with torch.no_grad():
        loss = decoder.likelihood(states, words)
        longer = decoder.likelihood(states, torch.nn.functional.pad(words, (0, 4), value=PADDING))
    torch.testing.assert_close(loss, longer)


def test_turns_without_text_or_speaker_are_read():
    data = talks(20, 0)
    points = data.differences["text"].clone()
    points[::7] = torch.nan
    words = [[] if i % 7 == 0 else piece for i, piece in enumerate(data.words)]
    gaps = TurnSequences({"text": points}, words, data.dialogues, [None] * len(words))
    for decoder in DECODERS:
        result = pretrain(gaps, gaps, PretrainConfig(decoder=decoder, **{**SHORT, "epochs": 1}))
        assert np.isfinite(result.losses).all()


def test_wrong_settings_are_refused():
    with pytest.raises(InputError, match="decoder must be one of contrast, bag_of_words, hred, vhred"):
        PretrainConfig(decoder="gpt")
    with pytest.raises(InputError, match="must be at least 1"):
        PretrainConfig(epochs=0)
    none = TurnSequences({"text": torch.zeros(0, DIM)}, [], [], [])
    with pytest.raises(InputError, match="at least two turns"):
        pretrain(none, none, PretrainConfig())
    data = talks(4, 0)
    pair = TurnSequences(data.differences, data.words, [[0, 1]], data.speakers)
    with pytest.raises(InputError, match="two next turns"):
        pretrain(data, pair, PretrainConfig())
