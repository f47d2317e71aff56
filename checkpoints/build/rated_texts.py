"""Valence, arousal and dominance of texts, fitted on sentences that people rated (EmoBank)."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from emoembed.corpora.corpus import Corpus
from emoembed.encoders import ridge
from emoembed.encoders.transformer import TransformerEncoder
from emoembed.labels.phrases import SentenceEncoder
from emoembed.model.model import EmotionModel


def rate_texts(model: EmotionModel, rated: Corpus, texts: Sequence[str], penalty: float = 3.0) -> None:
    """Fit a text encoder's valence, arousal and dominance, and the label space's: ridge on the untouched trunk.

    What it says of `texts` (those that will be trained on; no label of theirs is read) is then brought to mean 0 and
    deviation 0.5, the spread of the label table.

    Args:
        model: whose text encoder has a part for them, and adapters that do nothing yet.
        rated: sentences with the columns valence, arousal and dominance: `corpora.emobank`.
        texts: the kind of text the model is for.
    """
    encoder = model.modality("text").encoder
    assert isinstance(encoder, TransformerEncoder)
    assert encoder.ratings is not None
    assert isinstance(model.phrases, SentenceEncoder)
    inputs = model.phrases.phrase_vectors(list(rated.samples["text"])).double()
    known = torch.tensor(rated.samples[["valence", "arousal", "dominance"]].to_numpy(), dtype=torch.float64)
    centre, middle = inputs.mean(dim=0), known.mean(dim=0)
    weight = ridge.solve(inputs - centre, known - middle, penalty).T
    said = model.phrases.phrase_vectors(list(texts)).double() @ weight
    scale = 0.5 / said.std(dim=0).clamp(min=1e-6)
    with torch.no_grad():
        encoder.ratings.weight.copy_((weight * scale).T)
        encoder.ratings.bias.copy_(-said.mean(dim=0) * scale)
    model.space.fit(
        model.phrases, (inputs.float(), ((known - middle) * 0.5 / known.std(dim=0).clamp(min=1e-6)).float())
    )
