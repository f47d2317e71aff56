from types import SimpleNamespace

import mtee
import numpy as np
import pytest
import speed
import torch


def test_a_new_label_is_named_once(monkeypatch):
    asked = []
    model = SimpleNamespace(predict=lambda text, labels: asked.extend(set(labels) - set(speed.LABELS)))
    assert [name for name, _, _ in speed.new_labels(model)] == [
        "a call with a new label, times one with known labels",
        "each of 50 new labels, share of a call with known labels",
    ]
    assert len(asked) == len(set(asked)) > 500


def test_the_other_benchmarks_run_one_after_the_other(monkeypatch, tmp_path):
    commands = []
    monkeypatch.setattr(speed.subprocess, "run", lambda command, **_: commands.append([str(x) for x in command[1:]]))
    speed.run_others(tmp_path, None)
    assert [command[0].rpartition("/")[2] for command in commands] == [
        "workers.py",
        "many_rows.py",
        "training.py",
        "mtee.py",
    ]
    assert commands[-1][1:] == ["--data", str(tmp_path)]


def test_the_padded_loop_computes_the_logits_of_the_model():
    model = mtee.fresh()
    assert mtee.distance(mtee.Padded(model), model) < 1e-5


def test_lengths_have_the_mean_of_the_corpus_and_never_exceed_the_padding(tmp_path):
    drawn = mtee.lengths_of(None, 4000)
    assert drawn.min() >= 1
    assert drawn.max() == mtee.STEPS
    assert drawn.mean() == pytest.approx(18, abs=2)
    (tmp_path / "mosei").mkdir()
    lines = "video,segment,start,end,split\na,0,0,5,train\na,1,5,100,train\nb,0,0,1,test\n"
    (tmp_path / "mosei" / "segments.csv").write_text(lines)
    assert mtee.lengths_of(tmp_path, 4).tolist() == [13, 50, 13, 50]
    rows = mtee.rows_of(np.array([2, 3]))
    assert rows.lengths().tolist() == [2, 3]
    assert torch.from_numpy(rows.inputs["audio"]["1"]).shape == (3, 74)
