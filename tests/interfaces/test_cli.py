"""The command line: exit codes, what is printed, and that it is the API with dashes."""

from __future__ import annotations

import io
import json
import os
import re
import subprocess
import sys
import warnings
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import soundfile
import typer

from emoembed import __version__, corpora
from emoembed.encoders.recurrent import RecurrentSettings
from emoembed.features.store import FeatureStore
from emoembed.features.text import word_feature_set
from emoembed.interfaces.cli import app, main
from emoembed.interfaces.predict import spread
from emoembed.interfaces.printing import UNSURE
from emoembed.labels.emotion import find, table
from emoembed.labels.phrases import WordTable
from emoembed.labels.projections import LabelParts
from emoembed.model.config import ModalityConfig
from emoembed.prediction.public import load
from emoembed.prediction.recognizer import Recognizer
from emoembed.training.build import build

DIM = 16
COMMANDS = (
    "predict",
    "pretrain dialogue",
    "train",
    "transfer",
    "evaluate",
    "adapt",
    "attune",
    "extract",
    "prepare",
    "info",
    "models",
)
TOY = {"joy": ("party", "gift"), "anger": ("shout", "fight"), "sadness": ("rain", "alone")}


@pytest.fixture(scope="module")
def tiny(tmp_path_factory):
    """A checkpoint folder: a word table and an untrained text modality on it."""
    phrases = [phrase for label in table().values() for phrase in (label.name, *label.synonyms)]
    names = {word for phrase in phrases for word in re.findall(r"\w+", phrase.lower())}
    known = sorted(names | {word for pair in TOY.values() for word in pair})
    words = WordTable(known, np.random.default_rng(0).normal(size=(len(known), DIM)).astype(np.float32))
    text = ModalityConfig(
        "words",
        "recurrent",
        20,
        word_feature_set(DIM).columns,
        RecurrentSettings(hidden=8),
        parts=LabelParts(vad_share=0.5),
    )
    folder = tmp_path_factory.mktemp("models") / "tiny"
    model = build({"text": text}, words).with_seen({"text": ("joy",)})
    model = model.with_state(replace(model.state, provenance={"trained_on": {"text": ["toy"]}}))
    Recognizer(model).save_pretrained(folder)
    return str(folder)


@pytest.fixture
def toy(tmp_path):
    """A manifest of 24 labelled train rows."""
    labels = [name for name in TOY for _ in range(8)]
    texts = [f"{TOY[name][i % 2]} {TOY[name][(i // 2) % 2]}" for i, name in enumerate(labels)]
    frame = pd.DataFrame({"id": [f"row{i}" for i in range(24)], "text": texts, "labels": labels})
    frame.to_csv(tmp_path / "toy.csv", index=False)
    return tmp_path / "toy.csv"


def run(*arguments):
    return main([str(argument) for argument in arguments])


def test_predict_prints_a_table(tiny, capsys):
    assert run("predict", "--text", "party", "--labels", "joy, anger ,sadness", "--model", tiny) == 0
    printed = capsys.readouterr().out
    expected = load(tiny).predict("party", labels=["joy", "anger", "sadness"])
    assert printed.startswith(expected.label)
    assert "weights: text 1.00" in printed
    for label, score in expected.scores.items():
        assert re.search(rf"{label} +{round(score, 3)}", printed)


def test_a_text_needs_no_option(tiny, capsys):
    assert run("predict", "party", "--labels", "joy,anger", "--json", "--model", tiny) == 0
    assert json.loads(capsys.readouterr().out) == load(tiny).predict("party", labels=["joy", "anger"]).to_dict()
    assert run("predict", "party", "--audio", "a.wav", "--labels", "joy,anger", "--model", tiny) == 0
    assert "absent: audio: this model has no audio; it reads text" in capsys.readouterr().out


def test_several_texts_are_a_table(tiny, capsys):
    assert run("predict", "--model", tiny, "--labels", "joy,anger", "party gift", "zzzz", "shout") == 1
    printed = capsys.readouterr()
    results = load(tiny).predict(["party gift", "shout"], labels=["joy", "anger"])
    head, *lines = printed.out.splitlines()
    assert head.split() == ["text", "label", "confidence", "anger", "joy"]
    assert lines[0].split()[:3] == ["party", "gift", results[0].label]
    assert lines[2].split() == ["shout", results[1].label, *(str(round(x, 3)) for x in numbers_of(results[1]))]
    assert "1 text failed\n  text 2: no word of 'zzzz' has a vector" in printed.err


def numbers_of(result):
    return [result.confidence, result.scores["anger"], result.scores["joy"]]


def test_the_lines_of_standard_input_are_texts(tiny, capsys, tmp_path, monkeypatch):
    command = ("predict", "-", "--labels", "joy,anger", "--model", tiny)
    monkeypatch.setattr("sys.stdin", io.StringIO("party gift\nshout\n"))
    assert run(*command, "--json") == 0
    results = load(tiny).predict(["party gift", "shout"], labels=["joy", "anger"])
    assert json.loads(capsys.readouterr().out) == [result.to_dict() for result in results]
    monkeypatch.setattr("sys.stdin", io.StringIO("party gift\nshout\n"))
    assert run(*command, "--output", tmp_path / "out.csv") == 0
    table = pd.read_csv(tmp_path / "out.csv")
    assert table[["id", "text"]].values.tolist() == [[1, "party gift"], [2, "shout"]]
    assert table["label"].tolist() == [result.label for result in results]
    monkeypatch.setattr("sys.stdin", io.StringIO(""))
    assert run(*command) == 2
    assert "standard input is empty" in capsys.readouterr().err


def test_columns_of_other_names(tiny, tmp_path, capsys):
    table = tmp_path / "survey.csv"
    table.write_text("Name,Q5,Mood\n" + "".join(f"R_{i},party gift,joy\nS_{i},shout fight,anger\n" for i in range(12)))
    columns = ("--column", "text=Q5", "--column", "id=name", "--column", "labels=Mood")
    options = ("--manifest", table, "--labels", "joy,anger", "--model", tiny)
    assert run("predict", *options, "--output", tmp_path / "out.csv") == 2
    assert "--column text=NAME" in capsys.readouterr().err
    assert run("predict", *options, *columns[:4], "--output", tmp_path / "out.csv") == 0
    assert list(pd.read_csv(tmp_path / "out.csv"))[:5] == ["id", "Name", "Q5", "Mood", "label"]
    assert (
        run("train", "--manifest", table, *columns, "--epochs", "1", "--output", tmp_path / "t", "--model", tiny) == 0
    )
    assert run("evaluate", table, *columns, "--model", tmp_path / "t") == 0
    assert "accuracy" in capsys.readouterr().out
    assert run("adapt", "--support", table, *columns, "--output", tmp_path / "a", "--model", tiny) == 0
    assert capsys.readouterr().out.startswith("taught labels: joy, anger")
    for arguments, message in (
        (("predict", "party", "--column", "text=Q5"), "--column names columns of --manifest"),
        (("predict", *options, "--column", "Q5", "--output", "o.csv"), "--column takes NAME=COLUMN"),
        (("evaluate", table, "--unseen", "joy", "--column", "text=Q5"), "the table that a model is scored on"),
    ):
        assert run(*arguments) == 2
        assert message in capsys.readouterr().err


def test_predict_says_what_was_of_no_use(tiny, capsys):
    assert run("predict", "--text", "party", "--audio", "a.wav", "--labels", "joy,anger", "--model", tiny) == 0
    assert "absent: audio: this model has no audio; it reads text" in capsys.readouterr().out


def test_predict_prints_json(tiny, capsys, tmp_path):
    (tmp_path / "labels.json").write_text(json.dumps({"joy": "", "rain": "being alone"}))
    options = ("--labels-file", tmp_path / "labels.json", "--multi-label", "--json", "--model", tiny)
    assert run("predict", "--text", "party", *options) == 0
    expected = load(tiny).predict("party", labels={"joy": "", "rain": "being alone"}, multi_label=True)
    assert json.loads(capsys.readouterr().out) == expected.to_dict()


def test_predict_a_manifest_with_a_failing_row(tiny, capsys, tmp_path):
    (tmp_path / "in.csv").write_text("id,text\na,party\nb,zzzz\nc,rain\n")
    output = tmp_path / "out.csv"
    options = ("--labels", "joy,anger", "--model", tiny, "--batch-size", 2)
    assert run("predict", "--manifest", tmp_path / "in.csv", "--output", output, *options) == 1
    printed = capsys.readouterr()
    assert "2 of 3 rows scored" in printed.out
    assert "1 row failed" in printed.err
    assert "b: no word of 'zzzz' has a vector" in printed.err
    assert list(pd.read_csv(output)["label"].isna()) == [False, True, False]


def test_a_table_says_how_sure_its_answers_are(tiny, toy, capsys, tmp_path):
    options = ("predict", "--manifest", toy, "--labels", "joy,anger,sadness", "--model", tiny)
    assert run(*options, "--output", tmp_path / "out.csv") == 0
    median = pd.read_csv(tmp_path / "out.csv")["confidence"].median()
    advice = "; most answers are unsure, and --abstain withholds them" if median < UNSURE else ""
    assert f"median confidence {median:.2f}{advice}\n" in capsys.readouterr().err
    assert run(*options, "--output", tmp_path / "out.csv", "--quiet") == 0
    assert capsys.readouterr().err == ""


def test_withheld_answers_and_notes_are_counted(capsys, tmp_path):
    (tmp_path / "in.csv").write_text("text\nWe won the cup!\nder Zug ist schon wieder zu spät\nthe\n", encoding="utf-8")
    options = ("--labels", "joy,fear", "--abstain", "--output", tmp_path / "out.csv")
    assert run("predict", "--manifest", tmp_path / "in.csv", *options) == 0
    table = pd.read_csv(tmp_path / "out.csv")
    withheld = int(table["label"].isna().sum())
    assert withheld > 0
    errors = capsys.readouterr().err
    assert f"{withheld} answers withheld, {int(table['notes'].notna().sum())} rows have notes" in errors
    assert "--abstain withholds them" not in errors


def test_one_file_is_a_table_of_one_row_too(capsys, tmp_path, voice):
    soundfile.write(tmp_path / "a.wav", voice(1.0), 16_000)
    options = ("--labels", "joy,fear", "--output", tmp_path / "out.csv")
    assert run("predict", "--audio", tmp_path / "a.wav", *options) == 0
    assert len(pd.read_csv(tmp_path / "out.csv")) == 1
    assert run("predict", "--audio", tmp_path / "nope.wav", *options) == 2
    assert f"there is no {tmp_path / 'nope.wav'}" in capsys.readouterr().err
    assert run("predict", "--text", "party", *options) == 2
    assert "for one item use --json" in capsys.readouterr().err


def test_names_of_extras_are_in_the_help(capsys):
    assert run("serve", "--help") == 0
    assert '"emoembed[serve]"' in capsys.readouterr().out


def test_a_file_that_stands_is_replaced_whole_or_not_at_all(tiny, toy, tmp_path, monkeypatch):
    output = tmp_path / "out.csv"
    output.write_text("before")
    options = ("predict", "--manifest", toy, "--output", output, "--labels", "joy,anger", "--model", tiny)
    monkeypatch.setattr("os.replace", lambda *_: (_ for _ in ()).throw(OSError("disk full")))
    assert run(*options) == 2
    assert output.read_text() == "before"
    monkeypatch.undo()
    assert run(*options) == 0
    assert len(pd.read_csv(output)) == 24


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("predict", "--text", "party", "--labels", "joy,Joy"), "labels 'joy' and 'Joy' are the same emotion"),
        (("predict", "--text", "party", "--labels", "joy,,anger"), "label 2, '', is not an emotion name"),
        (("predict", "--text", "party"), "this model has no default labels; name emotions, such as --labels joy,anger"),
        (("predict", "--labels", "joy"), "nothing to work on; give a text, --audio, --video"),
        (("predict", "--text", " ", "--labels", "joy"), "the sentence of --text is empty"),
        (("predict", "--text", "party", "--labels", "joy", "--abstain", "3"), "from 0.05 to 0.5, or no number"),
        (("predict", "--text", "party", "--labels", "joy", "--labels", "Joy"), "'joy' and 'Joy' are the same emotion"),
        (("timeline", "a.wav", "--segments", "turns"), "--segments turns needs --transcript"),
        (("timeline", "a.wav", "--abstain", "3"), "from 0.05 to 0.5, or no number; given '3'"),
        (("predict", "--text", "party", "--labels-file", "no.json"), "no label file at no.json"),
        (("predict", "--manifest", "a.csv", "--labels", "joy"), "give --output"),
        (("predict", "--manifest", "a.csv", "--text", "party"), "many rows are written to --output"),
        (("predict", "--manifest", "no.csv", "--output", "b.csv", "--labels", "joy"), "there is no no.csv"),
        (("predict", "--text", "party", "--plot", "a.png"), "--join and --plot need --dialogue"),
        (("predict", "--text", "party", "--context"), "--context needs --dialogue or --manifest"),
        (("predict", "--dialogue", "a.vtt", "--text", "party"), "neither --text nor --manifest"),
        (("predict", "--dialogue", "a.vtt", "--audio", "a.wav", "b.wav"), "at most one --audio and one --video"),
        (("predict", "--dialogue", "no.vtt", "--context", "much"), "--context takes a strength"),
        (("predict", "--dialogue", "no.vtt", "--plot", "a.txt"), "the name of a picture ends with .png"),
        (("predict", "--dialogue", "no.vtt"), "there is no no.vtt"),
        (("predict", "party", "--text", "rain"), "given both, the first is 'party'"),
        (("predict", "party", "--manifest", "a.csv"), "given both, the first is 'party'"),
        (("predict", "party", "rain", "--audio", "a.wav"), "--audio and --video go with one text"),
        (("predict", "party", "rain", "--workers", "2"), "scores that are printed are computed by one process"),
        (("evaluate", "nothing", "--data", "."), "there is no corpus 'nothing'"),
        (("evaluate", "meld"), "where is meld?"),
        (("evaluate", "meld", "--seed", "1", "--seeds", "2"), "--seed is one run and --seeds many"),
        (("adapt", "--support", "a.csv", "--output", "x", "--labels", "joy", "--labels-file", "b"), "give one of them"),
        (("train", "--manifest", "a.csv", "--output", "x", "--encoder", "face=y"), "--encoder takes text=NAME"),
        (("evaluate", "meld", "--data", ".", "--seeds", "3"), "--seed and --seeds need --unseen"),
        (("evaluate", "meld", "--data", ".", "--protocol", "x"), "there is no protocol 'x'; known are default"),
        (("evaluate", "meld", "--data", ".", "--epochs", "3"), "need --unseen or --protocol"),
        (
            ("evaluate", "meld", "--unseen", "joy", "--device", "cuda"),
            "--device, --batch-size, --workers, --engine and --context cannot be used with --unseen",
        ),
        (
            ("evaluate", "mosei", "--protocol", "mosei-6", "--batch-size", "8"),
            "cannot be used with --unseen or --protocol",
        ),
        (("evaluate", "meld", "--unseen", "joy", "--engine", "ray"), "--engine and --context cannot be used"),
        (
            ("predict", "--text", "hm", "--workers", "2"),
            "--workers and --engine are for many rows; one item",
        ),
        (("predict", "--dialogue", "a.vtt", "--workers", "2"), "the turns of a dialogue are read in order"),
        (("adapt", "--support", "no.csv", "--output", "x"), "no support file at no.csv"),
        (("train", "--manifest", "no.csv", "--output", "x"), "there is no no.csv"),
    ],
)
def test_errors_are_one_line_and_exit_code_two(arguments, message, tiny, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert run(*arguments, "--model", tiny) == 2
    printed = capsys.readouterr()
    assert printed.err.startswith("emoembed: ")
    assert message in printed.err
    assert printed.out == ""


def test_a_model_that_is_not_there(capsys):
    assert run("info", "model", "nowhere") == 2
    assert "emoembed: no checkpoint 'nowhere'" in capsys.readouterr().err


def test_train_then_predict(tiny, toy, capsys, tmp_path):
    folder = tmp_path / "model"
    assert run("train", "--manifest", toy, "--output", folder, "--model", tiny, "--epochs", 12, "--batch-size", 8) == 0
    printed = capsys.readouterr().out
    assert "train rows held out for validation (seed 0)" in printed
    assert "labels: anger, joy, sadness" in printed
    assert run("predict", "--text", "party gift", "--model", folder) == 0
    assert capsys.readouterr().out.startswith("joy")
    assert run("train", "--manifest", toy, "--output", folder, "--model", tiny, "--modality", "text,smell") == 2
    assert "toy has no smell; it has text" in capsys.readouterr().err


def test_evaluate_prints_writes_and_warns_of_training_rows(tiny, toy, capsys, tmp_path):
    folder = tmp_path / "scores"
    assert run("evaluate", toy, "--split", "train", "--model", tiny, "--output", folder) == 0
    printed = capsys.readouterr()
    assert "was trained on rows of toy's train split, so this is not a test" in printed.err
    figures = json.loads((folder / "metrics.json").read_text())
    assert figures["trained_on"]
    assert f"uar         {figures['uar']:.3f}" in printed.out
    assert set(figures["by_label"]) == set(TOY)
    assert list(pd.read_csv(folder / "predictions.csv")["true"])[:2] == ["joy", "joy"]
    assert run("evaluate", toy, "--split", "test", "--model", tiny) == 2
    assert "toy has no split 'test'" in capsys.readouterr().err


def test_evaluate_scores_all_rows_of_a_table_without_splits(tiny, toy, capsys):
    table = pd.read_csv(toy).replace({"labels": {"joy": "happy"}})
    table.to_csv(toy, index=False)
    assert run("evaluate", toy, "--model", tiny) == 0
    printed = capsys.readouterr()
    assert re.search(r"rows +24\n", printed.out)
    assert "labels are read by their names in the table: happy as joy\n" in printed.err


def test_evaluate_unseen_prints_means_over_seeds(tiny, capsys, tmp_path, monkeypatch):
    studies = []

    def evaluate(study):
        studies.append(study)
        row = {"fold": "f", "group": "joy", "unseen": "joy", "auc": 0.75, "ap": 0.5, "chance_ap": 0.25}
        return pd.DataFrame([{"seed": seed, **row} for seed in study.seeds])

    monkeypatch.setattr("emoembed.evaluation.zero_shot.evaluate", evaluate)
    monkeypatch.setattr("emoembed.evaluation.leak_audit.audit_study", lambda _: ["no training label is a synonym"])
    options = ("--unseen", "joy", "--seeds", 3, "--split", "test", "--model", tiny, "--output", tmp_path / "out")
    assert run("evaluate", "meld", "--data", tmp_path, *options) == 0
    (study,) = studies
    assert (list(study.seeds), study.unseen, study.split) == ([0, 1, 2], "joy", "test")
    printed = capsys.readouterr().out
    assert printed.startswith("audit: no training label is a synonym")
    assert re.search(r"auc +0\.750? +0\.0", printed)
    assert len(pd.read_csv(tmp_path / "out" / "runs.csv")) == 3


def test_zero_shot_text_needs_a_sentence_encoder(tiny, toy, capsys):
    assert run("evaluate", toy, "--unseen", "joy", "--model", tiny) == 2
    assert "start from a sentence encoder, but this model has a word table" in capsys.readouterr().err


def test_adapt_saves_a_checkpoint_that_knows_its_examples(tiny, capsys, tmp_path):
    (tmp_path / "rows.csv").write_text("label,text\nnostalgia,rain alone\nnostalgia,alone\n")
    folder = tmp_path / "adapted"
    assert run("adapt", "--support", tmp_path / "rows.csv", "--output", folder, "--model", tiny) == 0
    assert "taught labels: nostalgia" in capsys.readouterr().out
    after, before = (
        one.predict("rain alone", labels=["joy", "nostalgia"]).scores["nostalgia"]
        for one in (Recognizer.from_pretrained(folder), load(tiny))
    )
    assert after > before


def test_extract_counts_and_exits_one_when_a_file_fails(capsys, tmp_path):
    sound = 0.3 * np.sin(2 * np.pi * 200 * np.arange(8000) / 16000)
    soundfile.write(tmp_path / "a.wav", sound, 16000)
    (tmp_path / "in.csv").write_text("id,audio\na,a.wav\nb,no.wav\n")
    options = ("extract", "--manifest", tmp_path / "in.csv", "--modality", "audio", "--output", tmp_path / "store")
    assert run(*options) == 1
    printed = capsys.readouterr()
    assert "1 items of speech" in printed.out
    assert "1 row failed" in printed.err
    assert set(FeatureStore(tmp_path / "store")) == {"a"}


def test_prepare_writes_what_info_counts(toy, capsys, tmp_path):
    assert run("prepare", toy, "--output", tmp_path / "copy.jsonl") == 0
    assert "24 rows" in capsys.readouterr().out
    assert run("info", "corpus", tmp_path / "copy.jsonl") == 0
    printed = capsys.readouterr().out
    assert printed.startswith("copy: 24 rows, one label per row")
    assert re.search(r"sadness +8", printed)


def test_prepare_refuses_workers_that_it_would_not_use(toy, capsys, tmp_path):
    assert run("prepare", toy, "--output", tmp_path / "other.jsonl", "--workers", "2") == 2
    assert "a manifest is written by one process: leave them out" in capsys.readouterr().err


def test_prepare_writes_a_folder_that_info_recognizes(stand_in, capsys, tmp_path):
    assert run("prepare", "mosei", "--data", stand_in("mosei", "csd"), "--output", tmp_path / "out") == 0
    assert "144 rows -> " in capsys.readouterr().out
    assert run("info", "corpus", tmp_path / "out") == 0
    printed = capsys.readouterr().out
    assert printed.startswith("mosei, form csd: 144 rows, several labels per row")
    assert "train: 96 rows, published 16327" in printed
    assert "video: Anger, Contempt, Disgust" in printed
    assert "audio: COVAREP, 74 columns (F0, VUV" in printed
    assert "values were infinite" in printed
    assert run("info", "corpus", stand_in("iemocap", "nine-class")) == 0
    assert "published" in capsys.readouterr().out
    assert run("info", "corpus", tmp_path) == 2
    assert "holds no corpus that can be recognised by its files" in capsys.readouterr().err


@pytest.mark.parametrize("method", ["emoembed", "mtee"])
def test_a_protocol_prints_and_writes_a_report(method, stand_in, word_table, tiny, capsys, tmp_path, monkeypatch):
    vectors = tmp_path / "vectors.txt"
    lines = [" ".join([word, *map(str, row)]) for word, row in zip(word_table.words, word_table.vectors, strict=True)]
    vectors.write_text("\n".join([f"{len(lines)} {word_table.dim}", *lines]))
    monkeypatch.setenv("EMOEMBED_CACHE", str(tmp_path / "cache"))
    options = (
        f"--protocol mosei-6 --unseen fear --epochs 1 --words {vectors} --method {method} --output {tmp_path / 'out'}"
    )
    assert run("evaluate", "mosei", "--data", stand_in("mosei", "seq-20"), *options.split(), "--model", tiny) == 0
    printed = capsys.readouterr().out
    assert printed.startswith("# mosei, mosei-6, valid split")
    assert f"| {method} |" in printed
    assert "video: 10 columns are emotion scores and left out" in printed
    assert ("With a few examples" in printed) == (method == "emoembed")
    assert (tmp_path / "out" / "report.md").read_text().startswith(printed[:200])


def test_a_corpus_of_features_is_scored_as_any_other_or_says_what_it_lacks(stand_in, tiny, capsys, monkeypatch):
    """Whether `evaluate` trains does not go by the corpus's name."""
    monkeypatch.setattr("emoembed.evaluation.experiment.run", lambda *_, **__: pytest.fail("trained"))
    assert run("evaluate", "mosei", "--data", stand_in("mosei", "seq-20"), "--model", tiny) == 2
    assert "--protocol" in capsys.readouterr().err


def test_labels_lists_the_table_or_what_is_like_a_name(tiny, capsys):
    assert run("labels") == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == len(table())
    assert any(line.startswith("awe ") and find("awe").definition in line for line in lines)
    assert run("labels", "--like", "merry", "--count", "3", "--model", tiny) == 0
    assert len(capsys.readouterr().out.splitlines()) == 3


def test_names_of_labels_are_read_from_a_file(tiny, tmp_path, capsys):
    (tmp_path / "mine.txt").write_text("# my emotions\njoy\n\nso cross\n", encoding="utf-8")
    assert run("predict", "--text", "so merry", "--labels", f"@{tmp_path}/mine.txt", "--json", "--model", tiny) == 0
    assert set(json.loads(capsys.readouterr().out)["scores"]) == {"joy", "so cross"}
    (tmp_path / "none.txt").write_text("# nothing\n", encoding="utf-8")
    assert run("predict", "--text", "so merry", "--labels", f"@{tmp_path}/none.txt", "--model", tiny) == 2
    assert "has no emotion names" in capsys.readouterr().err
    assert run("predict", "--text", "so merry", "--labels", f"@{tmp_path}/gone.txt", "--model", tiny) == 2
    assert "no emotion name file" in capsys.readouterr().err


@pytest.mark.filterwarnings("ignore:attuned to only")
def test_attune_takes_files_or_a_table(tmp_path, voice, capsys):
    for i in range(3):
        soundfile.write(tmp_path / f"{i}.wav", voice(1.0, seed=i), 16_000)
    assert run("attune", "--audio", tmp_path / "0.wav", tmp_path / "1.wav", "--output", tmp_path / "two") == 0
    assert "attuned to: 2 audio" in capsys.readouterr().out
    assert run("attune", "--audio", tmp_path, "--output", tmp_path / "three") == 0
    assert "attuned to: 3 audio" in capsys.readouterr().out
    assert run("attune", "--output", tmp_path / "none") == 2
    assert "by one of --manifest, --audio and --video" in capsys.readouterr().err


def test_info_label(tiny, capsys):
    assert run("info", "label", "happiness", "--model", tiny) == 0
    printed = capsys.readouterr().out
    assert printed.startswith(f"joy: {table()['joy'].definition}")
    assert "was trained on it in text\n" in printed
    after = printed.split("nearest labels:\n")[1].splitlines()
    assert [line.startswith("  ") for line in after] == [True] * 10 + [False]
    assert after[10].startswith("text: nearest training labels: joy 1.00")
    assert run("info", "label", "zzzz", "--model", tiny) == 2
    assert "'zzzz' has no vector" in capsys.readouterr().err


def test_info_model(tiny, capsys):
    assert run("info", "model", tiny) == 0
    printed = capsys.readouterr().out
    assert "text:       words features, recurrent encoder, 20 dimensions" in printed
    assert "seen:       joy" in printed
    assert "licence:    not stated" in printed


def test_info_needs_no_kind_for_a_name_that_the_package_knows(tiny, toy, capsys):
    for kind, name in (("model", "text-permissive"), ("model", tiny), ("label", "Happiness"), ("corpus", toy)):
        printed = []
        for words in ((kind, name), (name,)):
            assert run("info", *words, "--model", tiny) == 0
            printed.append(capsys.readouterr().out)
        assert printed[0] == printed[1]
    assert run("info", "label", "so", "merry", "--model", tiny) == 0
    assert capsys.readouterr().out.startswith("so merry: ")
    assert run("info", "nowhere") == 2
    assert "the package knows no 'nowhere'; say what it is: emoembed info model NAME" in capsys.readouterr().err


def test_models_lists_the_checkpoints_that_ship(capsys):
    assert run("models") == 0
    lines = capsys.readouterr().out.splitlines()
    for name in ("base", "ravdess-av", "text-permissive"):
        (line,) = [line for line in lines if line.startswith(f"{name} ")]
        assert load(name).model.state.provenance["licence"] in line
        assert ", ".join(load(name).model.modalities) in line


@pytest.mark.parametrize("command", COMMANDS)
def test_help_of_each_shows_an_example_and_says_something_of_every_option(command, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "120")
    assert main([*command.split(), "--help"]) == 0
    printed = capsys.readouterr().out
    assert f"Usage: emoembed {command}" in printed
    assert f"emoembed {command} " in printed.split("Example")[1]
    for corpus in re.findall(r"emoembed (?:evaluate|prepare) (\w+) ", printed):
        assert corpus in corpora.NAMES
    group = typer.main.get_command(app)
    for name in command.split():
        group = group.commands[name]
    for option in group.params:
        assert option.help, option.name
    if "--model" in printed:
        assert "[default: base]" in printed


def test_help_loads_nothing_heavy():
    code = "import sys; from emoembed.interfaces.cli import main\nmain(['--help'])\n"
    code += "assert not {'torch', 'pandas', 'numpy'} & set(sys.modules), sorted(sys.modules)"
    printed = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    for command in COMMANDS:
        assert command.split()[0] in printed


def test_version(capsys):
    assert main(["--version"]) == 0
    assert capsys.readouterr().out == f"emoembed {__version__}\n"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["predict", "--batch-size", "0"], "Invalid value for '--batch-size'"),
        (["predict", "--textt", "a"], "No such option"),
        (["predict", "--audio"], "requires an argument"),
        (["train", "--output", "x"], "Missing option"),
        (["evaluate", "meld", "--split", "half"], "is not one of"),
        (["evaluate"], "Missing argument"),
        (["predict", "--text", "a", "--labels", "joy", "fear"], "separate the names by commas"),
        (["predict", "--labels", "joy,", "fear"], "separate the names by commas"),
        (["timeline", "a.wav", "--labels", "joy", "fear"], "separate the names by commas"),
        (["adapt", "--labels", "joy", "fear"], "separate the names by commas"),
        (["nothing"], "No such command"),
        ([], "Usage: emoembed"),
    ],
)
def test_wrong_usage_is_exit_code_two(arguments, message, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "120")
    assert main(arguments) == 2
    assert message in capsys.readouterr().err


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("--audio a b --json", "--audio a --audio b --json"),
        ("--audio --json", "--audio --json"),
        ("--video *.mp4 --audio a b", "--video *.mp4 --audio a --audio b"),
        ("--text --abstain --abstain", "--text --abstain --abstain usual"),
        ("--abstain 0.1 --text -", "--abstain 0.1 --text -"),
        ("--context --manifest a.csv", "--context usual --manifest a.csv"),
        ("--manifest a.csv --context", "--manifest a.csv --context usual"),
        ("--context 2 --manifest a.csv", "--context 2 --manifest a.csv"),
        ("--text", "--text"),
        ("--labels a b", "--labels a b"),
        ("--source a b --target c", "--source a --source b --target c"),
    ],
)
def test_options_of_many_values_are_spread(given, expected):
    assert spread(given.split()) == expected.split()


def test_abstain_with_and_without_a_share(capsys):
    command = ("predict", "--text", "what a day", "--labels", "joy,anger", "--json")
    for options, abstain in (((), False), (("--abstain",), True), (("--abstain", 0.4), 0.4)):
        assert run(*command, *options) == 0
        expected = load("base").predict("what a day", labels=["joy", "anger"], abstain=abstain).to_dict()
        assert json.loads(capsys.readouterr().out) == expected
    assert run(*command, "--abstain", "often") == 2
    assert "--abstain takes a share of wrong answers" in capsys.readouterr().err


@pytest.mark.filterwarnings("default")
def test_quiet_prints_results_and_errors_alone(tiny, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr("emoembed.prediction.progress.EVERY", 0.0)
    cafe = tmp_path / "m.csv"
    cafe.write_bytes("id,text\na,party caf\xe9\nb,zzzz\n".encode("cp1252"))
    options = ("--manifest", cafe, "--output", tmp_path / "out.csv", "--labels", "joy,anger", "--model", tiny)
    assert run("predict", *options, "--quiet") == 1
    printed = capsys.readouterr()
    assert printed.out.startswith("1 of 2 rows scored")
    assert "warning" not in printed.err
    assert "1 row failed" in printed.err
    assert " of 2, " not in printed.err
    assert run("predict", *options) == 1
    printed = capsys.readouterr().err
    assert "warning" in printed
    assert "m: 2 of 2, " in printed


def test_verbose_shows_where_an_error_comes_from(tiny, capsys):
    assert run("predict", "--text", "party", "--labels", "joy,Joy", "--model", tiny, "--verbose") == 2
    printed = capsys.readouterr().err
    assert "Traceback" in printed
    assert ", in run\n" in printed


def test_a_text_that_begins_with_dashes_and_a_list_that_ends_with_a_comma(tiny, capsys):
    assert run("predict", "--text", "--party", "--labels", "joy,anger,", "--model", tiny) == 0
    assert capsys.readouterr().out.split()[0] in ("joy", "anger")


def test_labels_of_a_repeated_option_are_joined(tiny, tmp_path, capsys):
    (tmp_path / "names.txt").write_text("awe\n", encoding="utf-8")
    asked = ("--labels", "joy,anger", "--labels", "fear", "--labels", f"@{tmp_path}/names.txt")
    assert run("predict", "--text", "party", *asked, "--json", "--model", tiny) == 0
    assert set(json.loads(capsys.readouterr().out)["scores"]) == {"joy", "anger", "fear", "awe"}


def test_a_command_whose_output_is_no_longer_read_ends_quietly():
    reader, writer = os.pipe()
    os.close(reader)
    ended = subprocess.run([sys.executable, "-m", "emoembed", "labels"], stdout=writer, stderr=subprocess.PIPE)
    os.close(writer)
    assert (ended.returncode, ended.stderr) == (141, b"")


def test_a_folder_of_recordings_is_a_manifest_of_its_files(voice, capsys, tmp_path):
    import soundfile

    (tmp_path / "talk").mkdir()
    for i in range(3):
        soundfile.write(tmp_path / "talk" / f"{i}.wav", voice(1.0, pitch=120 + 40 * i), 16_000)
    (tmp_path / "talk" / "notes.txt").write_text("none of it")
    options = ("--labels", "joy,anger", "--model", "ravdess-av", "--output", tmp_path / "out.csv")
    for places in ((tmp_path / "talk",), (tmp_path / "talk" / "*.wav",), sorted((tmp_path / "talk").glob("*.wav"))):
        assert run("predict", "--audio", *places, *options) == 0
        written = pd.read_csv(tmp_path / "out.csv")
        assert [path.rsplit("/", 1)[-1] for path in written["id"]] == ["0.wav", "1.wav", "2.wav"]
        assert set(written["label"]) <= {"joy", "anger"}
    assert "3 of 3 rows scored" in capsys.readouterr().out
    assert run("predict", "--audio", tmp_path / "talk", "--labels", "joy,anger") == 2
    assert "the scores of 3 files are written to a table" in capsys.readouterr().err


@pytest.mark.filterwarnings("default")
def test_warnings_are_one_line_and_shown_as_before_afterwards(tmp_path, capsys):
    shown = warnings.showwarning
    (tmp_path / "m.csv").write_bytes("id,text\na,caf\xe9 time\n".encode("cp1252"))
    assert main(["info", "corpus", str(tmp_path / "m.csv")]) == 0
    assert warnings.showwarning is shown
    told = [line for line in capsys.readouterr().err.splitlines() if "Windows-1252" in line]
    assert len(told) == 1
    assert told[0].startswith("emoembed: warning: ")


TALK = "A: party\nB: shout fight\nA:\nB: rain alone\n"


def test_predict_a_dialogue_as_text_json_table_and_picture(tiny, capsys, tmp_path):
    (tmp_path / "talk.txt").write_text(TALK)
    command = ("predict", "--dialogue", tmp_path / "talk.txt", "--labels", "joy,anger", "--model", tiny)
    assert run(*command) == 1
    printed = capsys.readouterr()
    assert "shout fight" in printed.out
    assert "B (2 turns): " in printed.out
    assert "1 turn without an answer" in printed.err
    assert "turn 2: nothing to work on" in printed.err
    run(*command, "--json", "--context", 2)
    values = json.loads(capsys.readouterr().out)
    lines = [("party", "A"), ("shout fight", "B"), (None, "A"), ("rain alone", "B")]
    turns = [{"text": text, "speaker": speaker} for text, speaker in lines]
    expected = load(tiny).predict_dialogue(turns, ["joy", "anger"], strength=2)
    assert values == json.loads(json.dumps(expected.to_dict()))
    run(*command, "--output", tmp_path / "turns.csv", "--plot", tmp_path / "talk.png")
    assert "3 of 4 turns scored" in capsys.readouterr().out
    assert len(pd.read_csv(tmp_path / "turns.csv")) == 4
    assert (tmp_path / "talk.png").stat().st_size > 1000
    (tmp_path / "talk.txt").write_text("A: party\nA: gift\nB: rain\n")
    run(*command)
    assert "A (2 turns)" in capsys.readouterr().out
    run(*command, "--join", 0)
    assert "A (1 turns)" in capsys.readouterr().out


def test_a_dialogue_without_its_recording_is_told(tiny, capsys, tmp_path, voice):
    (tmp_path / "talk.txt").write_text("[00:00] A: party\n[00:01] B: shout fight\n")
    soundfile.write(tmp_path / "call.wav", voice(2.0, seed=1), 16_000)
    command = ("predict", "--dialogue", tmp_path / "talk.txt", "--labels", "joy,anger", "--model", tiny)
    assert run(*command, "--audio", tmp_path / "missing.wav") == 2
    assert "no sound file at" in capsys.readouterr().err
    assert run(*command, "--audio", tmp_path / "call.wav") == 0
    printed = capsys.readouterr().err
    assert "2 turns scored without a modality" in printed
    assert "turn 1: this model has no audio; it reads text" in printed
    assert run(*command, "--audio", tmp_path / "call.wav", "--quiet") == 0
    assert capsys.readouterr().err == ""


def test_predict_the_dialogues_of_a_manifest(tiny, tmp_path):
    table = pd.DataFrame({"text": ["party", "shout", "rain"], "dialogue": ["d", "d", "e"]})
    table.to_csv(tmp_path / "in.csv", index=False)
    command = ("predict", "--manifest", tmp_path / "in.csv", "--labels", "joy,anger", "--model", tiny)
    assert run(*command, "--output", tmp_path / "alone.csv") == 0
    assert run(*command, "--output", tmp_path / "context.csv", "--context") == 0
    assert run(*command, "--output", tmp_path / "strong.csv", "--context", 4) == 0
    alone, context, strong = (pd.read_csv(tmp_path / f"{name}.csv")["joy"] for name in ("alone", "context", "strong"))
    assert (abs(context - alone) > 1e-5).tolist() == [False, True, False]
    assert abs(strong[1] - alone[1]) > abs(context[1] - alone[1])


def test_pretrain_and_train_the_context_of_dialogues(tiny, text_model, capsys, tmp_path):
    texts = ["we made it", "oh no", "not that again", "we made it again"] * 12
    names = [f"d{i // 4}" for i in range(48)]
    chats = pd.DataFrame({"text": texts, "dialogue": names, "labels": ["joy", "anger"] * 24})
    chats.to_csv(tmp_path / "chats.csv", index=False)
    Recognizer(text_model).save_pretrained(tmp_path / "base")
    shared = ("--manifest", tmp_path / "chats.csv", "--model", tmp_path / "base", "--epochs", 1)
    command = ("pretrain", "dialogue", *shared, "--decoder", "vhred", "--output", tmp_path / "context")
    assert run(*command) == 0
    printed = capsys.readouterr().out
    assert "perplexity" in printed
    assert "KL term" in printed
    assert run(*command[:-4], "--decoder", "gpt", "--output", tmp_path / "x") == 2
    assert "decoder must be one of" in capsys.readouterr().err
    assert run("train", *shared, "--context", tmp_path / "context", "--output", tmp_path / "model") == 0
    assert "context: best validation score" in capsys.readouterr().out
    assert load(str(tmp_path / "model")).model.context is not None
    assert run("train", *shared, "--context", tmp_path / "nothing", "--output", tmp_path / "x") == 2
    assert "nothing" in capsys.readouterr().err
