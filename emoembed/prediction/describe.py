"""Describe a label as a model sees it, a checkpoint, or a corpus."""

from __future__ import annotations

import json
from typing import Any

import torch

from emoembed.corpora import Corpus, feature_names, published
from emoembed.corpora.feature_corpus import FeatureCorpus
from emoembed.labels.emotion import Label, canonical, find, table
from emoembed.model import checkpoint_files
from emoembed.model.model import EmotionModel
from emoembed.prediction.label_sets import unlike_any, warning_of
from emoembed.prediction.recognizer import Recognizer


@torch.inference_mode()
def describe_label(model: EmotionModel, name: str, count: int = 10) -> dict[str, Any]:
    """Describe an emotion name: its neighbours in the emotion table, and how reliable it is in each modality.

    If the model was taught the label with a description, that description is used. `seen_in` names the modalities that
    were trained on it. `nearest` holds the `count` nearest emotions of the table, by text vector. `modalities` holds
    for each modality:

    - `nearest`: the nearest seen labels, by their points in the modality's space;
    - `expected_auc` and its standard `error`: expected for an unseen label at this distance from the seen labels. None
      if it was never measured, if the label was trained on or taught, or if no known emotion is similar to it;
    - `warning`: empty if there is nothing to warn about.
    """
    (label,), name = model.resolve_labels([name]).values(), canonical(name)
    other_names = [other for other in table() if other != name]
    features = model.embed([label, *map(find, other_names)])
    text = torch.nn.functional.normalize(features[:, : model.config.phrase_dim], dim=-1)
    cosines = text[1:] @ text[0]
    seen_labels = {canonical(other) for other in model.state.all_seen}
    unfamiliar = bool(unlike_any(model, {name: label}))
    return {
        "name": name,
        "in_table": name in table(),
        "definition": label.definition,
        "synonyms": list(label.synonyms),
        "vad": [round(value, 3) for value in model.space.vad(label, model.phrase_encoder)],
        "seen": name in seen_labels,
        "seen_in": [part for part in model.modalities if name in map(canonical, model.state.seen_in(part))],
        "examples": dict(model.state.taught.get(name, {})),
        "nearest": [
            {"name": other_names[i], "cosine": round(float(cosines[i]), 4), "seen": other_names[i] in seen_labels}
            for i in cosines.argsort(descending=True, stable=True)[:count].tolist()
        ],
        "modalities": {
            modality: _describe_reliability(model, modality, name, label, unfamiliar) for modality in model.modalities
        },
    }


def _describe_reliability(
    model: EmotionModel, modality: str, name: str, label: Label, unfamiliar: bool
) -> dict[str, Any]:
    """The nearest seen labels of a modality, the expected AUC with its standard error, and the warning.

    `unfamiliar` says that the label is similar to no known emotion. Its point is then a guess, even if it is near
    others.
    """
    seen_labels = model.state.seen_in(modality)
    if not seen_labels:
        return {
            "nearest": [],
            "expected_auc": None,
            "error": None,
            "warning": f"{modality}: no known training labels",
        }
    embed_dim = model.config.modalities[modality].embed_dim  # columns after it are few-shot residuals
    points = model.project(model.embed({name: label}))[modality]
    familiar = model.modality(modality).calibration.familiar
    seen_points = familiar if bool(familiar.any()) else model.project(model.embed(seen_labels))[modality]
    cosines = (seen_points[:, :embed_dim] @ points[0, :embed_dim]).tolist()
    nearest_indices = sorted(range(len(seen_labels)), key=lambda i: -cosines[i])[:3]
    nearest = [{"name": seen_labels[i], "cosine": round(cosines[i], 4)} for i in nearest_indices]
    if name in map(canonical, seen_labels) or modality in model.state.taught.get(name, {}):
        return {"nearest": nearest, "expected_auc": None, "error": None, "warning": ""}
    if unfamiliar:
        advice = "no known emotion is similar to it; add a description or a few examples"
        warning = f"the position of {name} in {modality} is guessed from the word: {advice}"
        return {"nearest": nearest, "expected_auc": None, "error": None, "warning": warning}
    expected_auc, standard_error = model.modality(modality).calibration.expected_auc(points)
    auc = None if bool(expected_auc.isnan().any()) else round(float(expected_auc[0]), 3)
    return {
        "nearest": nearest,
        "expected_auc": auc,
        "error": round(standard_error, 3) if auc is not None else None,
        "warning": warning_of(name, modality, nearest[0]["cosine"], float(expected_auc[0])),
    }


def describe_model(recognizer: Recognizer) -> dict[str, Any]:
    """Describe a checkpoint: modalities, parameters, size in bytes, labels, provenance, model card and licence."""
    config, folder = recognizer.model.config, recognizer.folder
    files = {path.name: path for path in folder.iterdir() if path.is_file()} if folder else {}
    texts = {
        name: files[name].read_bytes().decode("utf-8", "replace") if name in files else ""
        for name in (checkpoint_files.CARD, checkpoint_files.LICENSE)
    }
    return {
        "folder": str(folder) if folder else None,
        "modalities": {
            name: {
                "features": modality.features,
                "encoder": modality.encoder,
                "embed_dim": modality.embed_dim,
            }
            for name, modality in config.modalities.items()
        },
        "parameters": sum(parameter.numel() for parameter in recognizer.model.parameters()),
        "bytes": sum(path.stat().st_size for path in files.values()),
        "labels": list(recognizer.model.state.labels),
        "seen": list(recognizer.model.state.all_seen),
        "adapted": list(recognizer.model.state.taught),
        "provenance": dict(recognizer.model.state.provenance),
        "license": [line for line in texts[checkpoint_files.LICENSE].splitlines() if line.strip()][:3],
        "card": texts[checkpoint_files.CARD],
    }


def list_models() -> list[dict[str, Any]]:
    """The checkpoints that ship: name, modalities, size in bytes and licence of the weights. No weights are read."""
    models = []
    for folder in checkpoint_files.shipped():
        content = checkpoint_files.read_files(folder, (checkpoint_files.CONFIG,))[checkpoint_files.CONFIG]
        values = json.loads(content)
        models.append(
            {
                "name": folder.name,
                "modalities": list(values["config"]["modalities"]),
                "bytes": sum(path.stat().st_size for path in folder.iterdir() if path.is_file()),
                "licence": values["state"]["provenance"].get("licence", "not stated"),
            }
        )
    return models


def describe_corpus(corpus: Corpus) -> str:
    """Describe a corpus: its form, counts by label and split (with published counts if known), columns and faults."""
    kind = "several labels per row" if corpus.multi_label else "one label per row"
    form = corpus.form if isinstance(corpus, FeatureCorpus) else ""
    counts = corpus.counts()
    for split, published_counts in published.LABELS.get((corpus.name, form), {}).items():
        counts[f"{split}, published"] = [published_counts.get(label, 0) for label in counts.index]
    lines = [f"{corpus.name}{f', form {form}' if form else ''}: {len(corpus.samples)} rows, {kind}", counts.to_string()]
    for split, rows in published.ROWS.get((corpus.name, form), {}).items():
        count = len(corpus.samples) if split == "all" else int((corpus.samples["split"] == split).sum())
        lines.append(f"{split}: {count} rows, published {rows}")
    if isinstance(corpus, FeatureCorpus):
        for modality, table in corpus.features.items():
            columns = table.feature_set.columns
            column_names = ", ".join(columns[:6]) + (", ..." if len(columns) > 6 else "")
            scores = feature_names.emotion_columns(columns)
            lines.append(
                f"{modality}: {table.feature_set.name}, {len(columns)} columns ({column_names}), {len(table)} rows"
            )
            if scores:
                lines.append(f"{modality}: {', '.join(scores)} are emotion scores; evaluation does not use them")
        lines += [f"note: {note}" for note in corpus.notes]
    return "\n".join(lines)
