"""Measure a checkpoint on corpora that it was not trained on: `python benchmarks/outside.py --data DIR`.

The corpora on which choices are made are always scored. Those for tests are scored only with `--split test`.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from copy import deepcopy
from pathlib import Path

import channel
import numpy as np
import pandas as pd
import torch
from studies import outside, shipped, unseen
from studies.outside import CHOOSING, TESTED, Question

import emoembed
from emoembed import corpora, metrics
from emoembed.evaluation.report import Report, write
from emoembed.model.model import EmotionModel
from emoembed.training.build import set_adapter_strength

PUBLISHED = "sentence-transformers/all-MiniLM-L6-v2"
SITUATIONS = Path(__file__).parents[1] / "checkpoints" / "build" / "situations"
STRENGTHS = (0.0, 0.4, 0.6, 0.8, 1.0)
PARTS = ("text", "speech", "left-out", "channels", "faces", "strengths")


def texts(base: EmotionModel, published: EmotionModel, data: Path, questions: Sequence[Question]) -> pd.DataFrame:
    """The table of text corpora: one row a corpus, beside the sentence encoder as published."""
    rows = {}
    for question in questions:
        encoded = outside.encode_question(base, question, data)
        figures = outside.measure(base, encoded)
        without = outside.value(published, outside.encode_question(published, question, data))
        before, after = outside.adapted(base, encoded)
        rows[question.corpus] = {
            "measure": question.measure,
            "rows": len(encoded.rows),
            "untrained": without,
            "as it is": figures.pop(""),
            **figures,
            "same rows, not taught": before,
            f"taught {outside.SHOTS} a label": after,
        }
        print(question.corpus, rows[question.corpus], flush=True)
    return pd.DataFrame(rows).T.rename_axis("texts")


def strengths(base: EmotionModel, data: Path) -> pd.DataFrame:
    """The corpora on which choices are made, at several strengths of the trained text adapters (WiSE-FT)."""
    rows = {}
    for strength in STRENGTHS:
        model = set_adapter_strength(deepcopy(base), strength)
        each = {
            question.corpus: outside.value(model, outside.encode_question(model, question, data))
            for question in CHOOSING
        }
        written = outside.situations(model, SITUATIONS, "valid")
        rows[strength] = {"mean": float(np.mean(list(each.values()))), **each, **written}
        print(strength, rows[strength], flush=True)
    return pd.DataFrame(rows).T.rename_axis("strength of the adapters")


def stories(base: EmotionModel, published: EmotionModel, data: Path) -> pd.DataFrame:
    """Short stories with six choices each."""
    systems = {"untrained": published, "as it is": base}
    found = {name: outside.of_choices(model, data) for name, model in systems.items()}
    return pd.DataFrame(found).T.rename(columns={"": "accuracy"}).rename_axis("system")


def written(base: EmotionModel, published: EmotionModel, split: str) -> pd.DataFrame:
    """Texts and minimal pairs that were written for this project."""
    systems = {"untrained": published, "as it is": base}
    found = {name: outside.situations(model, SITUATIONS, split) for name, model in systems.items()}
    return pd.DataFrame(found).T.rename_axis(f"situations, {split}")


def speech(base: EmotionModel, data: Path, split: str) -> pd.DataFrame:
    """Italian speech (EMOVO): as it is, attuned to all recordings, attuned to each speaker's, and taught by examples.

    Beside it, the UAR of one answer for all recordings.
    """
    encoded = outside.encode_question(base, Question("emovo", "UAR", split), data)
    ways = {"as it is": None, "attuned": np.zeros(len(encoded.rows), int), "attuned, each speaker": encoded.groups}
    figures = {
        way: shipped.answers(unseen.attuned_shares(base, encoded.rows, groups), encoded.true, encoded.groups)
        for way, groups in ways.items()
    }
    before, after = outside.adapted(base, encoded)
    figures["same rows, not taught"], figures[f"taught {outside.SHOTS} a label"] = {"UAR": before}, {"UAR": after}
    figures["one answer for all"] = {"UAR": 1 / len(encoded.rows.labels)}
    return pd.DataFrame(figures).T.rename_axis(f"emovo, {split}")


def left_out(base: EmotionModel, data: Path, seeds: int) -> pd.DataFrame:
    """EMO-DB and TESS by models of the other speech corpora: as they are, and attuned."""
    tables = []
    for name in ("emodb", "tess"):
        table = unseen.over_seeds(unseen.other_corpus(base, data, name, seeds=seeds), ["way"])
        tables.append(table.set_index(pd.Index([f"{name}, {way}" for way in table.index], name="left out")))
    return pd.concat(tables)


def channels(name: str, data: Path) -> pd.DataFrame:
    """RAVDESS's test actors through other microphones, lines and rooms."""
    return channel.measure(data, name).set_index("variant")


def faces(base: EmotionModel, data: Path, split: str) -> pd.DataFrame:
    """Faces of FER2013, by the corpus's own labels and by the majority of FER+'s taggers; also small and covered ones.

    Nothing else shows faces here: the encoder is trained on other images of the same collection.
    """
    rows = {}
    both = [corpora.load(name, data) for name in ("fer2013", "ferplus")]
    for corpus, other in zip(both, reversed(both), strict=True):
        of_other = dict(zip(other.samples["id"], other.samples["labels"], strict=True))
        own = corpus.split(split).samples
        same = [labels == of_other[i] for i, labels in zip(own["id"], own["labels"], strict=True) if i in of_other]
        encoded = outside.encode_corpus(base, corpus.split(split), "UAR")
        softmax, sigmoid = outside.logits_of(base, "video", encoded.points, encoded.rows.labels)
        figures = shipped.answers(softmax.softmax(dim=1).numpy(), encoded.true, encoded.groups)
        auc = outside.mean_auc(sigmoid.numpy(), encoded.rows.targets)
        recalls = {
            f"recall of {label}": float((softmax.argmax(dim=1).numpy() == column)[encoded.true == column].mean())
            for column, label in enumerate(encoded.rows.labels)
        }
        agreement = {"share with the label of the other": float(np.mean(same))}
        rows[corpus.name] = {"labels": len(encoded.rows.labels), **figures, "mean AUC": auc, **recalls, **agreement}
        before, after = outside.adapted(base, encoded)
        rows[corpus.name] |= {"UAR, same rows, not taught": before, f"UAR, taught {outside.SHOTS} a label": after}
    return pd.DataFrame(rows).T.rename_axis(f"faces, {split}")


def degraded_faces(base: EmotionModel, data: Path, split: str) -> pd.DataFrame:
    """The same faces, worse: fewer pixels, blurred, noisy, darker, turned, partly covered."""
    corpus = corpora.load("ferplus", data).split(split)
    encoded = outside.encode_corpus(base, corpus, "UAR")
    plain = outside.logits_of(base, "video", encoded.points, encoded.rows.labels)[0].argmax(dim=1).numpy()
    rows = {}
    for name, change in outside.CHANGES_OF_FACES.items():
        changed = outside.of_changed_faces(base, corpus, change)
        answered = outside.logits_of(base, "video", changed, encoded.rows.labels)[0].argmax(dim=1).numpy()
        rows[name] = {"UAR": metrics.uar(answered, encoded.true), "same answer": float((answered == plain).mean())}
    return pd.DataFrame(rows).T.rename_axis(f"FER+, {split}")


def main() -> None:
    """Measure, print, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="folder of the corpora")
    parser.add_argument("--base", default="base", help="checkpoint to measure")
    parser.add_argument("--published", default=PUBLISHED, help="hub id or folder of the untrained sentence encoder")
    parser.add_argument("--split", choices=("valid", "test"), default="valid", help="whether tests are scored too")
    parser.add_argument(
        "--parts", default="text,speech,left-out,channels,faces", help=f"parts, comma-separated: {', '.join(PARTS)}"
    )
    parser.add_argument("--seeds", type=int, default=1, help="trainings without a speech corpus")
    parser.add_argument("--output", type=Path, default=Path("build/outside"), help="folder for the report")
    parser.add_argument("--threads", type=int, default=2, help="threads of torch")
    parsed = parser.parse_args()
    unknown = sorted(set(parsed.parts.split(",")) - set(PARTS))
    if unknown:
        parser.error(f"there is no part {', '.join(unknown)}; there are {', '.join(PARTS)}")
    torch.set_num_threads(parsed.threads)
    base = emoembed.load(parsed.base).model
    report = Report("Corpora that nothing was trained on", {"split": parsed.split})
    tables: dict[str, Callable[[], pd.DataFrame]] = {}
    if "text" in parsed.parts.split(","):
        published = outside.untrained(parsed.published)
        tables["Texts, corpora on which choices were made"] = lambda: texts(base, published, parsed.data, CHOOSING)
        if parsed.split == "test":
            tables["Texts, corpora for tests"] = lambda: texts(base, published, parsed.data, TESTED)
            tables["Stories with six choices (emobench_eu)"] = lambda: stories(base, published, parsed.data)
        tables["Texts written for this project"] = lambda: written(base, published, parsed.split)
    if "speech" in parsed.parts.split(","):
        tables["Speech in a language that nothing was trained on"] = lambda: speech(base, parsed.data, parsed.split)
    if "left-out" in parsed.parts.split(","):
        tables["Speech corpora, each left out of training"] = lambda: left_out(base, parsed.data, parsed.seeds)
    if "channels" in parsed.parts.split(",") and parsed.split == "test":
        tables["RAVDESS's test actors through other channels"] = lambda: channels(parsed.base, parsed.data)
    if "faces" in parsed.parts.split(","):
        tables["Faces"] = lambda: faces(base, parsed.data, parsed.split)
        tables["Faces in worse pictures"] = lambda: degraded_faces(base, parsed.data, parsed.split)
    if "strengths" in parsed.parts.split(","):
        tables["Strength of the trained adapters"] = lambda: strengths(base, parsed.data)
    for heading, make in tables.items():
        report.tables[heading] = make()
    write(report, parsed.output)
    print(report.markdown())


if __name__ == "__main__":
    main()
