"""Compare two text encoders for shipping: `python benchmarks/text_encoders.py --data DIR` (15 minutes on two cores).

One is a BiGRU over distilled word vectors, trained on the text corpora of `base`. The other is the pruned transformer
of `base`. The table has macro-F1 on GoEmotions dev (both with thresholds from dev), size, and time per sentence. Test
rows are never scored.
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path

import numpy as np
import torch

sys.path.insert(0, str(Path(__file__).parents[1] / "checkpoints/build"))

import text_stages
from texts import TEXT_ROWS, drawn, training_corpora, training_texts

import emoembed
from emoembed import corpora, metrics
from emoembed.corpora import Corpus
from emoembed.encoders.recurrent import RecurrentSettings
from emoembed.errors import InputError
from emoembed.features.text import words
from emoembed.labels.phrases import WordTable
from emoembed.model.config import ModalityConfig
from emoembed.model.model import EmotionModel
from emoembed.reading import corpus_rows
from emoembed.reading.rows import EmotionData, join
from emoembed.training.config import Execution, TrainConfig
from emoembed.training.fit import train
from emoembed.training.loop import predict_logits
from emoembed.training.recipes import Recipe

WORDS, DIM = 20_000, 256  # 10 MB at half precision, as much as the transformer's vocabulary
TRAINING = TrainConfig(epochs=4, batch_size=64, learning_rate=1e-3, patience=2, stay_close=1.0, max_frames=64)


def word_data(corpus: Corpus, table: WordTable) -> EmotionData:
    """Rows with word vectors; a text of which no word is known becomes one zero vector."""

    def read(text: str) -> np.ndarray:
        try:
            return words(text, table).values.astype(np.float16)
        except InputError:
            return np.zeros((1, table.dim), np.float16)

    rows = zip(corpus.samples["id"], corpus.samples["text"], strict=True)
    return corpus_rows.annotate(corpus, {"text": {i: read(text) for i, text in rows}})


def train_recurrent(data: Path, table: WordTable) -> EmotionModel:
    """The BiGRU on what `base` trains on, stopped where it stops."""
    config = ModalityConfig(
        "words", "recurrent", DIM, tuple(f"word_{i:03d}" for i in range(DIM)), RecurrentSettings(hidden=192)
    )
    rows = join([word_data(drawn(corpus, TEXT_ROWS[corpus.name]), table) for corpus in training_corpora(data)])
    valid = word_data(corpora.load("goemotions", data).split("valid"), table)
    model, _ = train(Recipe({"text": config}, table, TRAINING), rows, valid, execution=Execution(progress=True))
    return model


def report(name: str, model: EmotionModel, dev: EmotionData, megabytes: float) -> None:
    """Print one line."""
    logits = predict_logits(model, dev)["fused"]
    bears = dev.targets == 1
    score = metrics.macro_f1(logits >= metrics.best_thresholds(logits, bears), bears)
    single = dev.batch(np.arange(1))
    times = []
    with torch.inference_mode():
        for _ in range(40):
            begin = time.perf_counter()
            model.encode(single)
            times.append(time.perf_counter() - begin)
    print(
        f"{name:32} macro-F1 {score:.3f}   {megabytes:5.1f} MB   {1e3 * np.median(times):5.2f} ms a sentence",
        flush=True,
    )


def main() -> None:
    """Train the one, load the other, print both."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="folder of the corpora")
    data = parser.parse_args().data
    torch.set_num_threads(2)
    base = emoembed.load("base").model
    dev = corpora.load("goemotions", data).split("valid")
    assert base.phrases is not None
    text = base.modality("text").encoder
    size = sum(p.numel() for p in text.parameters()) * 2 / 1e6
    report("pruned transformer (base)", base, corpus_rows.text_data(dev, base.phrases), size)
    table = text_stages.distil_words(base, training_texts(data), WORDS, DIM)
    model = train_recurrent(data, table)
    size = (table.vectors.size + sum(p.numel() for p in model.parameters())) * 2 / 1e6
    report("distilled words, BiGRU", model, word_data(dev, table), size)


if __name__ == "__main__":
    main()
