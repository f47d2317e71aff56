import numpy as np
import pandas as pd
import pytest
from studies import outside
from studies.outside import Question

from emoembed import metrics
from emoembed.training.background import fit_background


@pytest.fixture
def manifest(tmp_path):
    rows = []
    for i in range(90):
        label = ("joy", "anger", "joy|anger")[i % 3]
        rows.append({"id": f"r{i}", "text": f"{label[:3]} and {'abcdefg'[i % 7]}", "labels": label, "split": "valid"})
    path = tmp_path / "toy.csv"
    pd.DataFrame(rows).to_csv(path, index=False)
    return path


def test_rows_of_one_label_are_scored_unless_each_label_is_asked_by_itself(text_model, manifest):
    single = outside.encode_question(text_model, Question(str(manifest), "UAR"), manifest.parent)
    every = outside.encode_question(text_model, Question(str(manifest), "AUC"), manifest.parent)
    assert (len(single.rows), len(every.rows)) == (60, 90)
    softmax, sigmoid = outside.logits_of(text_model, "text", single.points, single.rows.labels)
    figures = outside.measure(text_model, single)
    assert figures[""] == pytest.approx(metrics.uar(softmax.argmax(dim=1).numpy(), single.true))
    assert figures["low"] <= figures[""] <= figures["high"]
    assert outside.value(text_model, single) == pytest.approx(figures[""])
    _, sigmoid = outside.logits_of(text_model, "text", every.points, every.rows.labels)
    by_hand = [metrics.auc(sigmoid[:, j].numpy(), every.rows.targets[:, j] == 1) for j in range(2)]
    assert outside.value(text_model, every) == pytest.approx(np.mean(by_hand))


def test_a_label_that_all_or_no_rows_have_has_no_auc():
    scores, targets = np.random.default_rng(0).random((20, 3)), np.zeros((20, 3))
    targets[:, 1], targets[:10, 2] = 1, 1
    assert outside.mean_auc(scores, targets) == pytest.approx(metrics.auc(scores[:, 2], targets[:, 2] == 1))


def test_labels_are_taught_from_few_rows_and_scored_on_the_others(text_model, manifest, monkeypatch):
    encoded = outside.encode_question(text_model, Question(str(manifest), "UAR"), manifest.parent)
    fit_background(text_model, encoded.rows)
    supports, scored = [], []
    teach, value = outside.teach, outside.value
    monkeypatch.setattr(outside, "teach", lambda *given: supports.append(given[2]) or teach(*given))
    monkeypatch.setattr(outside, "value", lambda *given: scored.append(given[2]) or value(*given))
    outside.adapted(text_model, encoded, shots=5, draws=2)
    assert [sorted(map(len, support.values())) for support in supports] == [[5, 5], [5, 5]]
    for support, rows in zip(supports, scored[::2], strict=True):
        assert not set(rows) & set(np.concatenate(list(support.values())))
        assert len(rows) == len(encoded.rows) - 10
