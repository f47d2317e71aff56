"""What is known of a label, as a model sees it, of a checkpoint, and of a corpus."""

from __future__ import annotations

from typing import Any

import torch

from emoembed import checkpoint
from emoembed.corpora import Corpus, feature_names, published
from emoembed.corpora.feature_corpus import FeatureCorpus
from emoembed.labels import canonical, find, resolve, table
from emoembed.model import EmotionModel
from emoembed.recognizer import Recognizer


def describe_label(model: EmotionModel, name: str, count: int = 10) -> dict[str, Any]:
    """What is known of an emotion name, and the `count` nearest of the table by the model's label features."""
    label = next(iter(resolve([name]).values()))
    others = [other for other in table() if other != label.name]
    features = torch.nn.functional.normalize(model.embed([label, *map(find, others)]), dim=-1)
    cosines = features[1:] @ features[0]
    seen = {canonical(other) for other in model.config.seen}
    assert model.phrases is not None
    return {
        "name": label.name,
        "in_table": label.name in table(),
        "definition": label.definition,
        "synonyms": list(label.synonyms),
        "vad": [round(value, 3) for value in model.space.vad(label, model.phrases)],
        "seen": label.name in seen,
        "nearest": [
            {"name": others[i], "cosine": round(float(cosines[i]), 4), "seen": others[i] in seen}
            for i in cosines.argsort(descending=True, stable=True)[:count].tolist()
        ],
    }


def describe_model(recognizer: Recognizer) -> dict[str, Any]:
    """What a checkpoint is: modalities, parameters, size, labels, where it comes from, its card and licence."""
    config, folder = recognizer.model.config, recognizer.folder
    files = {path.name: path for path in folder.iterdir() if path.is_file()} if folder else {}
    texts = {name: files[name].read_text() if name in files else "" for name in (checkpoint.CARD, checkpoint.LICENSE)}
    return {
        "folder": str(folder) if folder else None,
        "modalities": {
            name: {"features": one.features, "encoder": one.encoder, "embed_dim": one.embed_dim}
            for name, one in config.modalities.items()
        },
        "parameters": sum(parameter.numel() for parameter in recognizer.model.parameters()),
        "bytes": sum(path.stat().st_size for path in files.values()),
        "labels": list(config.labels),
        "seen": list(config.seen),
        "adapted": list(config.adapted),
        "provenance": dict(config.provenance),
        "license": [line for line in texts[checkpoint.LICENSE].splitlines() if line.strip()][:3],
        "card": texts[checkpoint.CARD],
    }


def describe_corpus(corpus: Corpus) -> str:
    """Its form, its rows by label and split beside the published ones where there are any, its columns, its faults."""
    kind = "several labels a row" if corpus.multi_label else "one label a row"
    form = corpus.form if isinstance(corpus, FeatureCorpus) else ""
    counts = corpus.counts()
    for split, printed in published.LABELS.get((corpus.name, form), {}).items():
        counts[f"{split}, published"] = [printed.get(label, 0) for label in counts.index]
    lines = [f"{corpus.name}{f', form {form}' if form else ''}: {len(corpus.samples)} rows, {kind}", counts.to_string()]
    for split, rows in published.ROWS.get((corpus.name, form), {}).items():
        here = len(corpus.samples) if split == "all" else int((corpus.samples["split"] == split).sum())
        lines.append(f"{split}: {here} rows, published {rows}")
    if isinstance(corpus, FeatureCorpus):
        for modality, table in corpus.features.items():
            columns = table.feature_set.columns
            shown = ", ".join(columns[:6]) + (", ..." if len(columns) > 6 else "")
            scores = feature_names.emotion_columns(columns)
            lines.append(f"{modality}: {table.feature_set.name}, {len(columns)} columns ({shown}), {len(table)} rows")
            if scores:
                lines.append(f"{modality}: {', '.join(scores)} are emotion scores; evaluation leaves them out")
        lines += [f"note: {note}" for note in corpus.notes]
    return "\n".join(lines)
