"""Pre-train a context on the dialogues of a manifest, which needs no labels."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch

from emoembed.corpora.corpus import Corpus
from emoembed.errors import InputError
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
    valid = [group for group in sequences.dialogues if split[group[0]] == "valid"]
    train = [group for group in sequences.dialogues if split[group[0]] == "train"]
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
        no_labels = np.zeros((len(ids), 0), np.float32), np.zeros(len(ids), bool)
        data = EmotionData(ids, {"text": pieces}, (), *no_labels)
        differences[rows] = (encode_rows(model, data)["text"][:, :dim] - modality.background[:dim]).clone()
    words = [pieces[row][:, 0].astype(int).tolist() if row in pieces else [] for row in samples["id"]]
    groups = [group for group in dialogue_rows(corpus) if len(group) > 1]
    if not groups or not rows:
        raise InputError(f"{corpus.name} has no dialogue with two texts; give rows with text and dialogue")
    return TurnSequences({"text": differences}, words, groups, list(samples["speaker"]))


def select(sequences: TurnSequences, dialogues: Sequence[Sequence[int]]) -> TurnSequences:
    """The same turns with only some of the dialogues."""
    return TurnSequences(sequences.differences, sequences.words, dialogues, sequences.speakers)
