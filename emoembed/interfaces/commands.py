"""The subcommands: each takes parsed arguments, calls one public function, prints, and returns an exit code."""

from __future__ import annotations

import argparse
import sys
from typing import TYPE_CHECKING, Any

from emoembed.errors import InputError

if TYPE_CHECKING:
    from emoembed.evaluation.study import Study
    from emoembed.labels.emotion import Description
    from emoembed.prediction.recognizer import Recognizer, Result

FAILURES_SHOWN = 5
TABLES = ".csv, .tsv, .jsonl, .parquet or .xlsx"


def predict(parsed: argparse.Namespace) -> int:
    """One item to a table or JSON, or a manifest to a file."""
    single = {"text": parsed.text, "audio": parsed.audio, "video": parsed.video}
    many = _listed_files(single)
    if parsed.manifest is None and many is None:
        single |= {name: places[0] for name in ("audio", "video") if (places := single[name])}
        if parsed.output is not None:
            raise InputError("--output goes with --manifest; for one item, --json prints what a program can read")
        if single["text"] == "-":
            single["text"] = sys.stdin.read()
        options = {"multi_label": parsed.multi_label, "abstain": parsed.abstain}
        result = _load(parsed).predict(**single, labels=_labels(parsed), **options)
        print(_json(result.to_dict()) if parsed.json else _readable(result))
        return 0
    from emoembed.corpora import manifest
    from emoembed.prediction.manifest import predict_manifest

    rows = parsed.manifest if many is None else manifest.of_files(*many)
    if (parsed.manifest is not None and any(single.values())) or parsed.json:
        raise InputError(
            "many rows go to --output; leave out --json, and --text, --audio and --video beside --manifest"
        )
    if parsed.output is None:
        count = "the rows of a manifest" if many is None else f"{len(rows.samples)} files"
        raise InputError(f"the scores of {count} go to a table: give --output, a {TABLES} file")
    summary = predict_manifest(
        _load(parsed),
        rows,
        _labels(parsed),
        parsed.output,
        multi_label=parsed.multi_label,
        abstain=parsed.abstain,
        batch_size=parsed.batch_size or 32,
        progress=True,
    )
    if summary.resumed:
        print(f"went on after {summary.resumed} rows that an earlier run had scored", file=sys.stderr)
    print(f"{summary.rows - len(summary.failures)} of {summary.rows} rows scored -> {parsed.output}")
    _warn("scored without a modality", summary.absent)
    return _warn("failed", summary.failures)


def _listed_files(given: dict[str, Any]) -> tuple[str, list[str]] | None:
    """The modality and places of many files: several, a folder or a pattern; None where one file is meant."""
    import glob
    import os

    several = {
        name: places
        for name in ("audio", "video")
        if (places := given[name])
        and (
            len(places) > 1 or os.path.isdir(places[0]) or (glob.has_magic(places[0]) and not os.path.exists(places[0]))
        )
    }
    if not several:
        return None
    if sum(value is not None for value in given.values()) > 1:
        raise InputError("many files are of one modality; list text, sound and faces of the same items in a manifest")
    return next(iter(several.items()))


def train(parsed: argparse.Namespace) -> int:
    """A manifest to a checkpoint."""
    from emoembed.training.manifest import train_manifest

    trained = train_manifest(
        parsed.manifest,
        parsed.output,
        parsed.modality,
        base=_load(parsed, device="cpu").model,
        encoders=dict(parsed.encoder),
        seed=parsed.seed,
        epochs=parsed.epochs,
        batch_size=parsed.batch_size,
        device=parsed.device or "cpu",
        progress=sys.stderr.isatty(),
    )
    if trained.held_out:
        print(f"no valid rows: {trained.held_out} train rows held out for validation (seed {parsed.seed})")
    for name, (rows, valid) in trained.rows.items():
        print(f"{name}: {rows} train and {valid} valid rows, best validation score {trained.scores[name]:.3f}")
    print(f"labels: {', '.join(trained.model.state.labels)}\nsaved -> {parsed.output}")
    return _warn("could not be read", trained.failures)


def evaluate(parsed: argparse.Namespace) -> int:
    """A corpus to figures: the model's own, or those of models trained anew where --unseen or --protocol is given."""
    if parsed.unseen is None and parsed.protocol is None:
        if parsed.words or parsed.epochs or parsed.keep_emotion_columns or parsed.method != "emoembed":
            raise InputError("--words, --epochs, --method and --keep-emotion-columns go with --unseen or --protocol")
        return _evaluate_own(parsed)
    if parsed.device not in (None, "cpu") or parsed.batch_size is not None:
        raise InputError("--device and --batch-size go without --unseen and --protocol, which train on the CPU")
    return _evaluate_unseen(parsed) if parsed.protocol is None else _evaluate_protocol(parsed)


def _study(parsed: argparse.Namespace) -> Study:
    from pathlib import Path

    from emoembed.evaluation.study import Study

    return Study(
        parsed.corpus,
        Path(parsed.data or parsed.corpus),
        _load(parsed).model,
        unseen=parsed.unseen,
        protocol=parsed.protocol or "default",
        seeds=range(parsed.seeds) if parsed.seeds is not None else (parsed.seed or 0,),
        split=parsed.split,
        method=parsed.method,
        words=parsed.words,
        epochs=parsed.epochs,
        drop=not parsed.keep_emotion_columns,
        progress=sys.stderr.isatty(),
    )


def _evaluate_protocol(parsed: argparse.Namespace) -> int:
    from emoembed.evaluation import experiment, report

    measured = experiment.run(_study(parsed))
    print(measured.markdown(), end="")
    if parsed.output:
        report.write(measured, parsed.output)
    return 0


def _evaluate_own(parsed: argparse.Namespace) -> int:
    from emoembed import corpora
    from emoembed.evaluation.corpus import (
        evaluate_corpus,
        write_evaluation,
    )

    if parsed.seeds is not None or parsed.seed is not None:
        raise InputError("--seed and --seeds go with --unseen; without it nothing is trained")
    corpus = corpora.load(parsed.corpus, parsed.data)
    result = evaluate_corpus(
        _load(parsed), corpus, parsed.split, batch_size=parsed.batch_size or 32, progress=sys.stderr.isatty()
    )
    if result.trained_on:
        rows = f"rows of {corpus.name}'s {parsed.split} split"
        print(f"emoembed: {parsed.model} was trained on {rows}: this is no test", file=sys.stderr)
    for name, value in result.figures.items():
        print(f"{name:<11} {_figure(value)}")
    print(f"\n{result.by_label.round(3).to_string()}")
    if parsed.output:
        figures = {**result.figures, "trained_on": result.trained_on, "by_label": result.by_label.to_dict("index")}
        write_evaluation(parsed.output, figures, predictions=result.predictions)
    return _warn("failed", result.summary.failures)


def _evaluate_unseen(parsed: argparse.Namespace) -> int:
    from emoembed.evaluation import leak_audit, zero_shot
    from emoembed.evaluation.corpus import write_evaluation

    study = _study(parsed)
    for line in leak_audit.audit_study(study):
        print(f"audit: {line}")
    runs = zero_shot.evaluate(study)
    summary, by_label = zero_shot.summarize(runs), zero_shot.by_label(runs)
    print(f"{summary.round(3).to_string()}\n\n{by_label.round(3).to_string()}")
    if parsed.output:
        figures = {"summary": summary.to_dict("index"), "by_label": by_label.to_dict("index")}
        write_evaluation(parsed.output, figures, runs=runs)
    return 0


def adapt(parsed: argparse.Namespace) -> int:
    """A few labelled rows to a checkpoint whose labels stand nearer to them."""
    from emoembed.prediction import bulk

    bound = {} if parsed.max_harm is None else {"max_harm": parsed.max_harm}
    settings = {"steps": parsed.steps, **bound}
    adapted = bulk.adapt_table(_load(parsed), parsed.support, parsed.output, _labels(parsed), **settings)
    print(f"labels moved by examples: {', '.join(adapted.model.state.taught)}\nsaved -> {parsed.output}")
    return 0


def attune(parsed: argparse.Namespace) -> int:
    """Unlabelled sound or faces to a checkpoint that is at home among them."""
    from emoembed.prediction import bulk

    attuned, failures = bulk.attune_manifest(_load(parsed), parsed.manifest, parsed.output)
    counts = attuned.model.state.attuned
    print(f"attuned to: {', '.join(f'{count} {name}' for name, count in counts.items())}\nsaved -> {parsed.output}")
    return _warn("could not be read", failures)


def extract(parsed: argparse.Namespace) -> int:
    """A manifest's sound or faces to a feature store."""
    from emoembed.prediction import bulk

    progress = sys.stderr.isatty()
    store = bulk.extract_features(parsed.manifest, parsed.modality, parsed.output, progress=progress)
    print(f"{len(store)} items of {store.feature_set.name} -> {parsed.output}")
    return _warn("failed", store.failures)


def prepare(parsed: argparse.Namespace) -> int:
    """A corpus to a manifest, or with its features to a folder."""
    from emoembed import corpora
    from emoembed.corpora import manifest
    from emoembed.prediction import describe
    from emoembed.reading import prepare

    corpus = corpora.load(parsed.corpus, parsed.data)
    if parsed.output.suffix.lower() in manifest.SUFFIXES:
        manifest.write(corpus, parsed.output)
    else:
        corpus = prepare.prepare(corpus, parsed.output, progress=sys.stderr.isatty())
    print(f"{describe.describe_corpus(corpus)}\n{len(corpus.samples)} rows -> {parsed.output}")
    return 0


def info(parsed: argparse.Namespace) -> int:
    """What is known of a model, a corpus or a label."""
    return {"model": _info_model, "corpus": _info_corpus, "label": _info_label}[parsed.subject](parsed)


def _info_label(parsed: argparse.Namespace) -> int:
    from emoembed.prediction import describe

    known = describe.describe_label(_load(parsed).model, parsed.name)
    origin = "" if known["in_table"] else " (not in the table; predicted from the name)"
    valence, arousal, dominance = known["vad"]
    print(f"{known['name']}: {known['definition'] or 'no definition'}")
    print(f"synonyms: {', '.join(known['synonyms']) or 'none'}")
    print(f"valence {valence:+.2f}, arousal {arousal:+.2f}, dominance {dominance:+.2f}{origin}")
    print(f"{parsed.model} was {'' if known['seen'] else 'not '}trained on it")
    if known["examples"]:
        print(f"moved by examples: {', '.join(f'{count} {name}' for name, count in known['examples'].items())}")
    print("nearest labels:")
    for near in known["nearest"]:
        print(f"  {near['name']:<20} {near['cosine']:.3f}{'  trained on' if near['seen'] else ''}")
    for name, one in known["modalities"].items():
        print(f"{name}: nearest trained on: " + ", ".join(f"{n['name']} {n['cosine']:.2f}" for n in one["nearest"]))
        if one["expected_auc"] is not None:
            print(f"  expected AUC {one['expected_auc']:.2f} (+-{one['error']:.2f}), from labels held out in turn")
        if one["warning"]:
            print(f"  warning: {one['warning']}")
    return 0


def _info_model(parsed: argparse.Namespace) -> int:
    from emoembed.prediction import describe

    known = describe.describe_model(_load(parsed, name=parsed.name))
    print(f"{parsed.name}: {known['folder']}")
    for name, one in known["modalities"].items():
        print(f"{name + ':':<11} {one['features']} features, {one['encoder']} encoder, {one['embed_dim']} dimensions")
    print(f"parameters: {known['parameters']:,}\nsize:       {known['bytes'] / 2**20:.1f} MiB")
    print(f"labels:     {', '.join(known['labels']) or 'none by default'}")
    print(f"seen:       {', '.join(known['seen']) or 'none'}")
    if known["adapted"]:
        print(f"adapted:    {', '.join(known['adapted'])}")
    print(f"licence:    {known['provenance'].get('licence', 'not stated')}")
    for line in known["license"]:
        print(f"            {line}")
    if known["card"]:
        print(f"\n{known['card'].rstrip()}")
    return 0


def _info_corpus(parsed: argparse.Namespace) -> int:
    from pathlib import Path

    from emoembed import corpora
    from emoembed.prediction import describe

    folder = Path(parsed.name)
    if folder.is_dir() and parsed.name not in corpora.NAMES:
        corpus = corpora.load(corpora.recognize(folder), folder)
    else:
        corpus = corpora.load(parsed.name, parsed.data)
    print(describe.describe_corpus(corpus))
    return 0


def _load(parsed: argparse.Namespace, *, name: str | None = None, device: str | None = None) -> Recognizer:
    from emoembed.prediction.recognizer import load

    return load(name or parsed.model, device=device or getattr(parsed, "device", None))


def _labels(parsed: argparse.Namespace) -> list[str] | dict[str, Description] | None:
    if parsed.labels_file is None:
        labels: list[str] | None = parsed.labels
        return labels
    from emoembed.corpora import tables

    return tables.read_labels(parsed.labels_file)


def _readable(result: Result) -> str:
    """The scores, what each modality said and weighs, and which were of no use."""
    lines = [result.label or "none of these", "", result.to_frame().round(3).to_string()]
    lines += ["", "weights: " + ", ".join(f"{name} {one.weight:.2f}" for name, one in result.modalities.items())]
    lines.append(f"confidence: {result.confidence:.2f}")
    if len(result.modalities) > 1:
        lines.append(f"disagreement: {result.disagreement:.2f}")
    lines += [f"absent: {name}: {reason}" for name, reason in result.absent.items()]
    return "\n".join(lines + [f"note: {note} [{note.code}]" for note in result.notes])


def _json(values: dict[str, Any]) -> str:
    import json

    return json.dumps(values, indent=1, ensure_ascii=False)


def _figure(value: Any) -> str:
    if isinstance(value, list):
        return ", ".join(value)
    return f"{value:.3f}" if isinstance(value, float) else str(value)


def _warn(what: str, reasons: dict[str, str]) -> int:
    """The first few rows and their reasons on stderr; 1 where there are any."""
    if reasons:
        print(f"emoembed: {len(reasons)} {'row' if len(reasons) == 1 else 'rows'} {what}", file=sys.stderr)
    for item in list(reasons)[:FAILURES_SHOWN]:
        print(f"  {item}: {reasons[item]}", file=sys.stderr)
    if len(reasons) > FAILURES_SHOWN:
        print(f"  and {len(reasons) - FAILURES_SHOWN} more", file=sys.stderr)
    return 1 if reasons else 0
