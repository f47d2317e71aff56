import numpy as np
import pandas as pd
import pytest

from emoembed import metrics
from emoembed.errors import InputError
from emoembed.evaluation import plots, shipped
from emoembed.evaluation.calibration import calibrate
from emoembed.train import predict_logits


@pytest.fixture
def manifest(tmp_path):
    rows = []
    for i in range(60):
        label = ("joy", "anger", "joy|anger")[i % 3]
        rows.append({"id": f"r{i}", "text": f"{label[:3]} and {'abcdefg'[i % 7]}", "labels": label, "split": "valid"})
    path = tmp_path / "toy.csv"
    pd.DataFrame(rows).to_csv(path, index=False)
    return path


def test_rows_of_one_of_the_labels_are_answered_by_name(text_model, manifest):
    found = shipped.by_name(text_model, str(manifest), manifest.parent, ("joy", "anger", "awe"), "valid")
    assert found["rows"].item() == 40  # not those of both
    modality, rows = shipped.rows_of(text_model, _one_label(manifest))
    shares, _ = shipped.probabilities(text_model, modality, rows, ("joy", "anger", "awe"))
    true = rows.targets[:, [rows.labels.index("joy"), rows.labels.index("anger")]].argmax(axis=1)
    assert found["accuracy"].item() == pytest.approx((shares.argmax(axis=1) == true).mean())
    assert found["UAR"].item() == pytest.approx(metrics.uar(shares.argmax(axis=1), true))
    assert found["accuracy low"].item() <= found["accuracy"].item() <= found["accuracy high"].item()


def _one_label(manifest):
    from emoembed import corpora

    corpus = corpora.load(str(manifest)).canonical()
    return corpus.where(corpus.samples["labels"].map(len) == 1)


def test_labels_no_row_bears_are_told(text_model, manifest):
    with pytest.raises(InputError, match=r"no row of .* bears exactly one of awe, relief"):
        shipped.by_name(text_model, str(manifest), manifest.parent, ("awe", "relief"), "valid")


def test_probabilities_are_those_of_the_model(text_model, manifest):
    modality, rows = shipped.rows_of(text_model, _one_label(manifest))
    shares, each = shipped.probabilities(text_model, modality, rows, rows.labels)
    logits = predict_logits(text_model, rows)["text"]
    np.testing.assert_allclose(shares.sum(axis=1), 1.0, rtol=1e-5)
    np.testing.assert_allclose(each, 1 / (1 + np.exp(-logits)), rtol=1e-4)


def test_abstaining_leaves_fewer_answers_at_less_risk(text_model, manifest):
    _, rows = shipped.rows_of(text_model, _one_label(manifest))
    calibrate(text_model, "text", rows)
    found = shipped.abstention(text_model, str(manifest), manifest.parent, "valid")
    assert list(found.index) == list(shipped.RISKS)
    assert bool((found["answered"].diff().dropna() >= 0).all())


def test_calibration_is_measured_in_both_readings(text_model, manifest):
    found = shipped.calibration(text_model, str(manifest), manifest.parent, "valid")
    assert 0 < found["rows of one label"].item() <= 60
    assert 0 <= found["ECE, among labels"].item() <= 1
    assert 0 <= found["ECE, each label"].item() <= 1
    judged = shipped.judged(text_model, str(manifest), manifest.parent, "valid")
    shares, right = judged["among labels"]
    assert len(shares) == found["rows of one label"].item()
    assert set(np.unique(right)) <= {False, True}
    assert found["ECE, among labels"].item() == pytest.approx(metrics.expected_calibration_error(shares, right))


def test_plots_are_written_whole(text_model, tmp_path):
    places = shipped.label_map(text_model, "text")
    assert places.loc["joy", "seen"]
    assert not places.loc["awe", "seen"]
    plots.label_map(places, tmp_path / "labels.png", "text")
    judged = {"seen": (np.array([0.1, 0.9]), np.array([0, 1]))}
    plots.reliability(judged, tmp_path / "reliability.png")
    plots.unseen(judged, ([0.1, 0.9], [0.6, 0.8]), ([0, 1], [0.2, 0.3]), tmp_path / "unseen.png")
    names = ["labels.png", "reliability.png", "unseen.png"]
    assert sorted(path.name for path in tmp_path.iterdir()) == names
    assert all(path.read_bytes().startswith(b"\x89PNG") for path in tmp_path.iterdir())
