"""Pre-train a context on the dialogues of a manifest, which needs no labels."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch

from emoembed.corpora.corpus import Corpus
from emoembed.errors import InputError
from emoembed.features.readable import readable
from emoembed.labels.phrases import SentenceEncoder
from emoembed.model.model import EmotionModel
from emoembed.reading.corpus_rows import tokens
from emoembed.reading.rows import EmotionData
from emoembed.reading.sources import as_corpus
from emoembed.reading.turns import dialogue_rows
from emoembed.training.loop import encode_rows
from emoembed.transfer.dialogue.files import require_own_folder, save_pretrained
from emoembed.transfer.dialogue.pretrain import PretrainConfig, Pretrained, TurnSequences, pretrain

VALID_SHARE = 0.1
"""Share of the dialogues for validation, if the manifest has no valid rows."""


def pretrain_manifest(
    model: EmotionModel,
    source: Corpus | str | Path,
    output: str | Path,
    config: PretrainConfig | None = None,
    *,
    progress: bool = False,
) -> Pretrained:
    """Pre-train a context on the texts of a manifest's dialogues, and save it for `train --context`.

    Args:
        model: encodes the texts. Its sentence encoder gives the word pieces.
        source: a manifest with the columns `text` and `dialogue`; labels are not read. Without valid rows, a tenth of
            the dialogues is held out.
        output: folder for the pre-trained context.
        config: the decoder and the settings.
        progress: show a progress bar on stderr.

    Raises:
        InputError: the manifest has no texts or no dialogues of two turns, or the model reads no word pieces.
        OutputError: the folder holds anything else, or cannot be written.
    """
    config = config or PretrainConfig()
    require_own_folder(output)
    corpus = as_corpus(source)
    sequences = text_sequences(model, corpus)
    split = corpus.samples["split"].to_numpy()
    train, valid = (_in_split(sequences.dialogues, split == name) for name in ("train", "valid"))
    if not valid:
        order = np.random.default_rng(config.seed).permutation(len(train))
        held_out = set(order[: max(1, round(VALID_SHARE * len(train)))].tolist()) if len(train) > 1 else set()
        valid = [group for i, group in enumerate(train) if i in held_out]
        train = [group for i, group in enumerate(train) if i not in held_out]
    pretrained = pretrain(select(sequences, train), select(sequences, valid), config, progress=progress)
    counts = {"corpus": corpus.name, "train_dialogues": len(train), "valid_dialogues": len(valid)}
    save_pretrained(pretrained, output, config, counts)
    return pretrained


def text_sequences(model: EmotionModel, corpus: Corpus) -> TurnSequences:
    """The texts of a corpus's dialogues with at least two turns. Raises InputError if there are none."""
    if "text" not in model.modalities or not isinstance(model.phrases, SentenceEncoder):
        raise InputError("pre-training reads word pieces; give a model with a sentence encoder, such as 'base'")
    samples = corpus.samples
    pieces = tokens(corpus, model.phrases)
    modality = model.modality("text")
    dim = model.config.modalities["text"].embed_dim
    differences = torch.full((len(samples), dim), torch.nan)
    rows = [i for i, row in enumerate(samples["id"]) if row in pieces]
    if rows:
        ids = tuple(samples["id"].iloc[rows])
        data = EmotionData(ids, {"text": pieces}, (), np.zeros((len(ids), 0), np.float32), np.zeros(len(ids), bool))
        device = str(modality.background.device)
        points = encode_rows(model, data, device=device)["text"]
        differences[rows] = (points[:, :dim] - modality.background[:dim]).cpu().clone()
    texts = ["" if text is None else readable(text) for text in samples["text"]]
    encoded = model.phrases.tokenizer.encode_batch(texts, add_special_tokens=False)
    has_text = set(rows)
    groups = [[i for i in group if i in has_text] for group in dialogue_rows(corpus)]
    groups = [group for group in groups if len(group) > 1]
    if not groups:
        raise InputError(f"{corpus.name} has no dialogue with two texts; give rows with text and dialogue")
    return TurnSequences({"text": differences}, [each.ids for each in encoded], groups, list(samples["speaker"]))


def _in_split(dialogues: Sequence[Sequence[int]], mask: np.ndarray) -> list[list[int]]:
    """The turns of each dialogue that are in a split, if there are at least two."""
    groups = [[i for i in group if mask[i]] for group in dialogues]
    return [group for group in groups if len(group) > 1]


def select(sequences: TurnSequences, dialogues: Sequence[Sequence[int]]) -> TurnSequences:
    """The same turns with only some of the dialogues."""
    return TurnSequences(sequences.differences, sequences.words, dialogues, sequences.speakers)
