"""Fit valence, arousal and dominance of texts on sentences that people rated (EmoBank)."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from emoembed.corpora.corpus import Corpus
from emoembed.encoders import ridge
from emoembed.encoders.transformer import TransformerEncoder
from emoembed.labels.phrases import SentenceEncoder
from emoembed.model.model import EmotionModel


def rate_texts(model: EmotionModel, rated: Corpus, texts: Sequence[str], penalty: float = 3.0) -> None:
    """Fit valence, arousal and dominance in the text encoder and in the label space, in place.

    The fit is ridge regression on the untrained trunk. Its predictions for `texts` are then scaled to mean 0 and
    deviation 0.5, the spread of the label table. No label of `texts` is read.

    Args:
        model: its text encoder has weights for the ratings, and adapters that are still untrained.
        rated: sentences with the columns valence, arousal and dominance: `corpora.emobank`.
        texts: training texts of the model.
        penalty: the penalty of the ridge regression.
    """
    encoder = model.modality("text").encoder
    assert isinstance(encoder, TransformerEncoder)
    assert encoder.ratings is not None
    assert isinstance(model.phrases, SentenceEncoder)
    inputs = model.phrases.phrase_vectors(list(rated.samples["text"])).double()
    ratings = torch.tensor(rated.samples[["valence", "arousal", "dominance"]].to_numpy(), dtype=torch.float64)
    centre, mean_rating = inputs.mean(dim=0), ratings.mean(dim=0)
    weight = ridge.solve(inputs - centre, ratings - mean_rating, penalty).T
    predicted = model.phrases.phrase_vectors(list(texts)).double() @ weight
    scale = 0.5 / predicted.std(dim=0).clamp(min=1e-6)
    with torch.no_grad():
        encoder.ratings.weight.copy_((weight * scale).T)
        encoder.ratings.bias.copy_(-predicted.mean(dim=0) * scale)
    targets = (ratings - mean_rating) * 0.5 / ratings.std(dim=0).clamp(min=1e-6)
    model.space.fit(model.phrases, (inputs.float(), targets.float()))
