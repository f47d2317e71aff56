"""Evaluate a recognizer on one split of a corpus, over the labels of the corpus."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from emoembed import corpora, metrics
from emoembed.corpora import manifest
from emoembed.corpora.corpus import Corpus
from emoembed.corpora.tables import write_table
from emoembed.errors import InputError
from emoembed.evaluation.folds import modality_of
from emoembed.features.atomic import write_file
from emoembed.features.workers import Workers
from emoembed.model.model import EmotionModel
from emoembed.prediction.manifests.batches import Batching
from emoembed.prediction.manifests.resumable_table import Summary
from emoembed.prediction.manifests.scoring import score_rows, workers_for
from emoembed.prediction.recognizer import Recognizer
from emoembed.prediction.result import Result
from emoembed.reading.sources import as_corpus, present_modalities, usable_modalities

SHARED = ("meld", "emorynlp")  # scenes of one TV series: test utterances of one are training rows of the other
WITHOUT_SPLIT = ("tess", "emodb", "brighter_eng", "eltea17", "plutchik_wheel", "tec", "wassa_essays", "xed")
"""Corpora of which models train on every row, whatever its split."""


@dataclass(frozen=True)
class Evaluation:
    """The metrics of a recognizer on one split of a corpus, a table by label, and the prediction of every row."""

    figures: dict[str, Any]
    by_label: pd.DataFrame
    predictions: pd.DataFrame
    summary: Summary
    trained_on: bool  # the model was trained on these rows, so this is no test
    chosen_on: bool  # its best epoch, settings or calibration were chosen on these rows, so figures are too good


def evaluate_corpus(
    recognizer: Recognizer,
    source: Corpus | str | Path,
    split: str = "valid",
    *,
    batch_size: int = 32,
    workers: Workers | None = 1,
    context: bool | float = False,
    progress: bool = False,
) -> Evaluation:
    """Evaluate a recognizer on one split of a corpus, over the labels of the corpus.

    A known corpus is read in the modality of `folds.modality_of`. A manifest is read in all modalities that both the
    manifest and the model have. AUC and average precision rank the rows by the probability of a label. For a
    multi-label corpus, the thresholds of macro-F1 are fitted on the valid split; if that split is scored, macro-F1 is
    too good. A label is left out of macro-F1 if no row of the split has it and it is predicted for no row. UAR,
    accuracy and macro-F1 have 95 % intervals, `low` to `high`: a percentile bootstrap over dialogues, else speakers,
    else rows.

    `batch_size` texts are scored together, in `workers` processes (`predict_manifest`). With `context`, turns are
    scored in the context of their dialogues; turns without a label inform later turns.

    Raises:
        CorpusError: the corpus does not have the split.
        InputError: no row of the split has a label, no row could be scored, or a multi-label corpus has no valid rows.
    """
    corpus = as_corpus(source).canonical()
    rows = corpus.split(split)
    scored = rows if corpus.multi_label else rows.where(rows.samples["labels"].map(len) > 0)
    if scored.samples["labels"].map(len).sum() == 0:
        advice = "label some of its rows, or score another split"
        if not corpus.labels and "label" in corpus.samples:
            advice = "rename its column 'label' to 'labels'"
        raise InputError(f"{corpus.name} has no row with a label in split {split!r}; {advice}")
    valid = _rows_of_thresholds(corpus) if corpus.multi_label else None
    usable = usable_modalities(
        recognizer.model, corpus, (modality_of(corpus),) if corpus.name in corpora.NAMES else present_modalities(corpus)
    )
    label_options = {"labels": corpus.labels, "multi_label": corpus.multi_label}
    batching = Batching(batch_size, workers_for(workers, recognizer, rows, usable, context))
    options: dict[str, Any] = {"batching": batching, "context": context, "progress": progress}
    results, summary = score_rows(recognizer, scored if context is False else rows, usable, label_options, **options)
    (scores, bears), thresholds = _matrices(scored, results), None
    if valid is not None:
        scored_already = (results, summary) if split == "valid" else None
        valid_results, _ = scored_already or score_rows(recognizer, valid, usable, label_options, **options)
        thresholds = metrics.best_thresholds(*_matrices(valid, valid_results))
    by_label = _by_label(corpus.labels, scores, bears)
    figures = {
        **{"corpus": corpus.name, "split": split, "modalities": list(usable)},
        **{"rows": len(scores), "failed": len(summary.failures)},
        **_figures(scores, bears, thresholds),
        **_intervals(scores, bears, thresholds, _groups(scored, results)),
        "mean_auc": float(by_label["auc"].mean()),
        "mean_ap": float(by_label["ap"].mean()),
    }
    predictions = predictions_table(scored, results, summary.failures, corpus.labels)
    predictions.insert(1, "true", scored.samples["labels"].map(manifest.SEPARATOR.join))
    seen = (part(recognizer.model, corpus.name, split) for part in (trained_on, chosen_on))
    return Evaluation(figures, by_label, predictions, summary, *seen)


def _rows_of_thresholds(corpus: Corpus) -> Corpus:
    """The valid rows of a multi-label corpus."""
    if not (corpus.samples["split"] == "valid").any():
        raise InputError(
            f"{corpus.name} has rows with several labels, and no valid rows, on which the thresholds of macro-F1 are "
            "fitted; mark some labelled rows as valid in a column 'split', and others as test"
        )
    return corpus.split("valid")


def trained_on(model: EmotionModel, corpus: str, split: str) -> bool:
    """Whether a model was trained on rows of this split, by the provenance in its checkpoint."""
    names = _named(model, "trained_on")
    others = set(SHARED) - {corpus} if corpus in SHARED else set()
    return bool(others & names) or (corpus in names and (split == "train" or corpus in WITHOUT_SPLIT))


def chosen_on(model: EmotionModel, corpus: str, split: str) -> bool:
    """Whether a model's best epoch, settings or calibration were chosen on rows of this split."""
    is_validation = split == "valid" and corpus in _named(model, "trained_on")
    return is_validation or (split != "test" and corpus in _named(model, "calibrated_on"))


def _named(model: EmotionModel, part: str) -> set[str]:
    """The corpora that a part of a model's provenance names, of all modalities."""
    named = model.state.provenance.get(part, {})
    return {name for names in (named.values() if isinstance(named, Mapping) else [named]) for name in names}


def write_evaluation(folder: str | Path, figures: Mapping[str, Any], **tables: pd.DataFrame) -> None:
    """Write `metrics.json` and one CSV per table into a folder. Each file is written completely or not at all."""
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    for name, frame in tables.items():
        write_table(frame, folder / f"{name}.csv")
    content = json.dumps(_plain(figures), indent=1, ensure_ascii=False, allow_nan=False)
    write_file(folder / "metrics.json", content.encode() + b"\n")


def _matrices(corpus: Corpus, results: Mapping[str, Result]) -> tuple[np.ndarray, np.ndarray]:
    """Scores, and which labels each row has. Both are `(rows with a result, labels)`."""
    answered = corpus.where(corpus.samples["id"].isin(set(results)))
    if answered.samples.empty:
        raise InputError(f"no row of {corpus.name} could be scored; check that its files exist and can be read")
    scores = np.array([[results[i].scores[label] for label in corpus.labels] for i in answered.samples["id"]])
    bears = np.array([[label in row for label in corpus.labels] for row in answered.samples["labels"]])
    return scores, bears


def _figures(scores: np.ndarray, bears: np.ndarray, thresholds: np.ndarray | None) -> dict[str, float]:
    """The figures over the labels that occur in these rows or are predicted for one of these rows."""
    if thresholds is not None:
        return {"macro_f1": metrics.macro_f1(scores >= thresholds, bears, np.nan)}
    true, answered = bears.argmax(axis=1), scores.argmax(axis=1)
    return {
        "uar": metrics.uar(answered, true),
        "accuracy": float((answered == true).mean()),
        "macro_f1": metrics.macro_f1(np.eye(bears.shape[1], dtype=bool)[answered], bears, np.nan),
    }


def _intervals(
    scores: np.ndarray, bears: np.ndarray, thresholds: np.ndarray | None, groups: np.ndarray
) -> dict[str, float]:
    """The 95 % interval of each metric of `_figures`."""
    intervals = {}
    for name in _figures(scores, bears, thresholds):

        def metric_of_sample(rows: np.ndarray, name: str = name) -> float:
            return _figures(scores[rows], bears[rows], thresholds)[name]

        intervals[f"{name}_low"], intervals[f"{name}_high"] = metrics.bootstrap(metric_of_sample, groups)
    return intervals


def _groups(corpus: Corpus, results: Mapping[str, Result]) -> np.ndarray:
    """The bootstrap group of each row with a result."""
    return corpus.groups()[corpus.samples["id"].isin(set(results)).to_numpy()]


def _by_label(labels: Sequence[str], scores: np.ndarray, bears: np.ndarray) -> pd.DataFrame:
    columns = {
        "rows": bears.sum(axis=0),
        "auc": [metrics.auc(scores[:, i], bears[:, i]) for i in range(len(labels))],
        "ap": [metrics.average_precision(scores[:, i], bears[:, i]) for i in range(len(labels))],
        "chance_ap": bears.mean(axis=0),
    }
    return pd.DataFrame(columns, index=pd.Index(labels, name="label"))


def _plain(value: Any) -> Any:
    """The value in JSON types; NaN and infinity become null."""
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    value = value.item() if isinstance(value, np.generic) else value
    return None if isinstance(value, float) and not math.isfinite(value) else value


def predictions_table(
    corpus: Corpus, results: Mapping[str, Result], failures: Mapping[str, str], labels: Sequence[str]
) -> pd.DataFrame:
    """One row per sample, in the order of the corpus: id, label, the scores in the order of `labels`, error."""
    rows = []
    for item in corpus.samples["id"]:
        result = results.get(item)
        scores = {label: result.scores[label] if result else math.nan for label in labels}
        rows.append({"id": item, "label": result.label if result else None, **scores, "error": failures.get(item)})
    return pd.DataFrame(rows, columns=["id", "label", *labels, "error"])
