import importlib.util
import sys
from pathlib import Path

import pytest
import stages

from emoembed.evaluation import held_out
from emoembed.evaluation.report import write
from emoembed.evaluation.study import Study
from emoembed.prediction.recognizer import Recognizer
from emoembed.training.config import TrainConfig

SCRIPT = Path(__file__).parents[2] / "benchmarks/report.py"


@pytest.fixture
def report(monkeypatch, manifest):
    monkeypatch.setenv("EMOEMBED_CACHE", str(manifest.parent / "cache"))
    monkeypatch.setitem(held_out.HELD_OUT_TRAINING, "text", TrainConfig(epochs=1, batch_size=8, bf16=False))
    spec = importlib.util.spec_from_file_location("report", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, "report", module)  # dataclasses look their module up
    spec.loader.exec_module(module)
    monkeypatch.setattr(module, "CORPORA", {"text": str(manifest)})
    monkeypatch.setattr(module, "SEEDS", {"text": 2})
    monkeypatch.setattr(module, "DRAWS", 1)
    return module


def test_a_part_holds_its_tables_and_what_build_reads(report, text_model, manifest, tmp_path):
    made = report.of_each("text", report.Setup(Recognizer(text_model), manifest.parent, "valid"), tmp_path)
    write(made, tmp_path)
    each = made.tables["Each label held out"]
    assert list(each.columns) == ["auc", "ap", "chance_ap", "untrained"]
    assert made.tables["Mean over labels held out"].loc["auc", "mean"] == pytest.approx(each["auc"].mean())
    lines = made.lines["Beside the untrained sentence encoder"]
    assert lines[1].startswith(f"{(each['auc'] < each['untrained']).sum()} of {len(each)} labels")
    assert [one.label for one in stages.read_held_out(tmp_path)] == list(each.index)
    assert stages.read_held_out(tmp_path / "elsewhere") == []
    written = (tmp_path / "report.md").read_text()
    assert all(f"## {heading}\n" in written for heading in made.tables)
    assert "![unseen](unseen.png)" in written
    assert (tmp_path / "unseen.png").read_bytes().startswith(b"\x89PNG")
    assert len((tmp_path / "each.csv").read_text().splitlines()) == 1 + 2 * len(each)


def test_fewer_trainings_are_done_and_said_where_fewer_are_asked_for(report, text_model, manifest, tmp_path):
    setup = report.Setup(Recognizer(text_model), manifest.parent, "valid", most=1)
    made = report.of_each("text", setup, tmp_path)
    assert made.facts["seeds"] == 1
    assert len((tmp_path / "each.csv").read_text().splitlines()) == 1 + len(made.tables["Each label held out"])
    assert report.Setup(setup.recognizer, setup.data, "valid", most=9).seeds("text") == 2


def test_emotions_absent_together_are_asked_of_another_corpus_and_their_own(
    report, text_model, manifest, tmp_path, monkeypatch
):
    folds = Study(str(manifest), manifest.parent, text_model).folds
    six_absent = report.unseen.six_absent
    monkeypatch.setattr(Study, "folds", folds)
    monkeypatch.setattr(
        report.unseen, "six_absent", lambda base, data, _, **said: six_absent(base, data, str(manifest), **said)
    )
    monkeypatch.setattr(report.shipped, "SIX", ("joy", "anger"))
    made = report.of_six_absent(report.Setup(Recognizer(text_model), manifest.parent, "valid"), tmp_path)
    write(made, tmp_path)
    named = made.tables["By name on another corpus"]["ECE"]
    assert list(named.index) == [("without them", 0), ("without them", 1), ("untrained", 0)]
    means = made.tables["By name on another corpus, over seeds"]["ECE"]
    assert means["without them"] == pytest.approx(named["without them"].mean())
    each = made.tables["Among GoEmotions, each"]
    assert list(each.index) == ["joy", "anger"]
    assert each.notna().all().all()
    mean = made.tables["Among GoEmotions, over seeds"].loc["auc", "mean"]
    assert mean == pytest.approx(each["auc"].mean())
