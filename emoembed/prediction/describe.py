"""What is known of a label, as a model sees it, of a checkpoint, and of a corpus."""

from __future__ import annotations

from typing import Any

import torch

from emoembed.corpora import Corpus, feature_names, published
from emoembed.corpora.feature_corpus import FeatureCorpus
from emoembed.labels.emotion import Label, canonical, find, table
from emoembed.model import checkpoint
from emoembed.model.model import EmotionModel
from emoembed.prediction.label_notes import unlike_any, warning_of
from emoembed.prediction.recognizer import Recognizer


@torch.inference_mode()
def describe_label(model: EmotionModel, name: str, count: int = 10) -> dict[str, Any]:
    """What is known of an emotion name: its place among the table's, and by modality how far to trust it.

    A label that the model was taught with a description has that one. `nearest` are the `count` nearest of the table by
    their text vectors. Each of `modalities` has the nearest labels its training saw, by their points in its space, the
    AUC to expect of a label as far from them (None where that was never measured, where the label was trained on, and
    where no emotion known is like it), and a `warning`, empty where there is nothing to warn of.
    """
    (label,), name = model.meant([name]).values(), canonical(name)
    others = [other for other in table() if other != name]
    features = model.embed([label, *map(find, others)])
    text = torch.nn.functional.normalize(features[:, : model.config.phrase_dim], dim=-1)
    cosines = text[1:] @ text[0]
    seen = {canonical(other) for other in model.state.all_seen}
    strange = bool(unlike_any(model, {name: label}))
    return {
        "name": name,
        "in_table": name in table(),
        "definition": label.definition,
        "synonyms": list(label.synonyms),
        "vad": [round(value, 3) for value in model.space.vad(label, model.phrase_encoder)],
        "seen": name in seen,
        "examples": dict(model.state.taught.get(name, {})),
        "nearest": [
            {"name": others[i], "cosine": round(float(cosines[i]), 4), "seen": others[i] in seen}
            for i in cosines.argsort(descending=True, stable=True)[:count].tolist()
        ],
        "modalities": {modality: _trusted(model, modality, name, label, strange) for modality in model.modalities},
    }


def _trusted(model: EmotionModel, modality: str, name: str, label: Label, strange: bool) -> dict[str, Any]:
    """The nearest labels a modality's training saw, what to expect, and what to beware of.

    `strange` labels are like no emotion that is known: where they lie is a guess, however near others that is.
    """
    seen = model.state.seen_in(modality)
    if not seen:
        return {"nearest": [], "expected_auc": None, "error": None, "warning": f"{modality}: trained on nothing known"}
    said = model.config.modalities[modality].embed_dim  # what examples add beyond it no word has
    points = model.label_points({name: label})[modality]
    cosines = (model.label_points(seen)[modality][:, :said] @ points[0, :said]).tolist()
    order = sorted(range(len(seen)), key=lambda i: -cosines[i])[:3]
    nearest = [{"name": seen[i], "cosine": round(cosines[i], 4)} for i in order]
    if name in map(canonical, seen) or modality in model.state.taught.get(name, {}):
        return {"nearest": nearest, "expected_auc": None, "error": None, "warning": ""}
    if strange:
        advice = "no emotion like it is known; a description, or a few examples, would tell more"
        warning = f"where {name} lies in {modality} is guessed from the word: {advice}"
        return {"nearest": nearest, "expected_auc": None, "error": None, "warning": warning}
    expected, error = model.modality(modality).calibration.expected_auc(points)
    auc = None if bool(expected.isnan().any()) else round(float(expected[0]), 3)
    return {
        "nearest": nearest,
        "expected_auc": auc,
        "error": round(error, 3) if auc is not None else None,
        "warning": warning_of(name, modality, nearest[0]["cosine"], float(expected[0])),
    }


def describe_model(recognizer: Recognizer) -> dict[str, Any]:
    """What a checkpoint is: modalities, parameters, size, labels, where it comes from, its card and licence."""
    config, folder = recognizer.model.config, recognizer.folder
    files = {path.name: path for path in folder.iterdir() if path.is_file()} if folder else {}
    texts = {
        name: files[name].read_bytes().decode("utf-8", "replace") if name in files else ""
        for name in (checkpoint.CARD, checkpoint.LICENSE)
    }
    return {
        "folder": str(folder) if folder else None,
        "modalities": {
            name: {"features": one.features, "encoder": one.encoder, "embed_dim": one.embed_dim}
            for name, one in config.modalities.items()
        },
        "parameters": sum(parameter.numel() for parameter in recognizer.model.parameters()),
        "bytes": sum(path.stat().st_size for path in files.values()),
        "labels": list(recognizer.model.state.labels),
        "seen": list(recognizer.model.state.all_seen),
        "adapted": list(recognizer.model.state.taught),
        "provenance": dict(recognizer.model.state.provenance),
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
