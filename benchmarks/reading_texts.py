"""Compare ways to read texts on validation rows: end marks, emoji as words; and which texts are understood.

    python benchmarks/reading_texts.py --data DIR [--model base] [--output docs/reading-texts]

The first table changes texts before the model reads them, on all rows and on rows with emoji. On GoEmotions dev it has
the macro-F1 with thresholds fitted there and the share of rows whose best label is right; on semeval2018 dev, six
emotions are asked by name. The second table has the share of texts that are not understood (`understanding.understood`
below its bound), and the share that the language identifier py3langid assigns to another language
(`pip install py3langid`).
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import py3langid

import emoembed
from emoembed import corpora
from emoembed.evaluation.report import Report, write
from emoembed.features import readable
from emoembed.labels.phrases import SentenceEncoder
from emoembed.metrics import best_thresholds, macro_f1
from emoembed.reading import media
from emoembed.reading.understanding import ENOUGH, understood

SIX = ["anger", "fear", "joy", "love", "sadness", "surprise"]
LANGUAGES = Path(__file__).parents[1] / "tests" / "languages.json"


def as_words(limit: int) -> Callable[[str], str]:
    """Emoji as words in texts of so many words at most, no marks at the end."""

    def change(text: str) -> str:
        before, readable.FEW_WORDS = readable.FEW_WORDS, limit
        try:
            return readable.readable(text)
        finally:
            readable.FEW_WORDS = before

    return change


READINGS: dict[str, Callable[[str], str]] = {
    "as it is": lambda text: text,
    "no marks at the end": as_words(-1),
    "and emoji as words, of 2 words at most": as_words(2),
    "4 words": as_words(4),
    "6 words": as_words(6),
    "10 words": as_words(10),
    "any number of words": as_words(10**6),
}


def readings(data: Path, model: emoembed.Recognizer) -> pd.DataFrame:
    """One row a reading."""
    many, few = (corpora.load(name, data).split("valid") for name in ("goemotions", "semeval2018"))
    bears = np.array([[label in row for label in many.labels] for row in many.samples["labels"]])
    named = [[label for label in row if label in SIX] for row in few.samples["labels"]]
    kept = [place for place, row in enumerate(named) if len(row) == 1]
    truth = np.array([SIX.index(named[place][0]) for place in kept])
    texts = list(many.samples["text"]), [few.samples["text"].iloc[place] for place in kept]
    emoji = [np.array([readable.emoji_words()[0].search(text) is not None for text in part]) for part in texts]
    reading, rows = readable.readable, []
    try:
        for name, change in READINGS.items():
            setattr(media, "readable", change)  # noqa: B010
            scores = _scores(model, texts[0], many.labels, multi_label=True)
            right = bears[np.arange(len(bears)), scores.argmax(axis=1)]
            by_name = _scores(model, texts[1], SIX, multi_label=False).argmax(axis=1) == truth
            f1 = macro_f1(scores >= best_thresholds(scores, bears), bears)
            rows.append([name, f1, right.mean(), right[emoji[0]].mean(), by_name.mean(), by_name[emoji[1]].mean()])
            print(name, *(f"{figure:.4f}" for figure in rows[-1][1:]), flush=True)
    finally:
        setattr(media, "readable", reading)  # noqa: B010
    columns = ["reading", "GoEmotions macro-F1", "right", "right, with emoji", "semeval2018 accuracy", "with emoji"]
    return pd.DataFrame(rows, columns=columns)


def _scores(model: emoembed.Recognizer, texts: list[str], labels: Sequence[str], *, multi_label: bool) -> np.ndarray:
    results = model.predict(texts, labels=list(labels), multi_label=multi_label, errors="skip")
    return np.array([[result.scores.get(label, 0.0) for label in labels] for result in results])


def not_understood(data: Path, model: emoembed.Recognizer) -> pd.DataFrame:
    """One row a kind of text; the sentences of `test` were looked at once the bound was chosen on those of `choose`."""
    phrases = model.model.phrases
    assert isinstance(phrases, SentenceEncoder)
    own = json.loads(LANGUAGES.read_text(encoding="utf-8"))
    kinds = {
        name: list(corpora.load(name, data).split("valid").samples["text"]) for name in ("goemotions", "semeval2018")
    }
    for part in ("choose", "test"):
        kinds |= {f"{language}, {part}": texts[part] for language, texts in own["languages"].items()}
        kinds |= {f"{name}, {part}": own[name][part] for name in ("nonsense", "english")}
    rows = []
    for name, texts in kinds.items():
        shares = np.array([understood(readable.readable(text), phrases.tokenizer) < ENOUGH for text in texts])
        foreign = np.array([py3langid.classify(text)[0] != "en" for text in texts])
        rows.append([name, len(texts), shares.mean(), foreign.mean()])
    return pd.DataFrame(rows, columns=["texts", "count", "not understood", "foreign by py3langid"])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="folder of the corpora")
    parser.add_argument("--model", default="base", help="checkpoint to measure")
    parser.add_argument("--output", type=Path, help="folder for report.md")
    parsed = parser.parse_args()
    model = emoembed.load(parsed.model)
    misunderstood = not_understood(parsed.data, model)
    print(misunderstood.round(3).to_string(index=False))
    table = readings(parsed.data, model)
    if parsed.output:
        facts = {"printed by": "`python benchmarks/reading_texts.py --data DIR`", "split": "validation"}
        tables = {"Readings": table.set_index("reading"), "Not understood": misunderstood.set_index("texts")}
        write(Report("How texts are read", facts, tables), parsed.output)


if __name__ == "__main__":
    main()
