import numpy as np
import pandas as pd
import pytest
from studies import shipped

from emoembed import corpora, metrics, plots
from emoembed.errors import InputError
from emoembed.training.calibrate import calibrate
from emoembed.training.loop import predict_logits


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
    figures = shipped.by_name(text_model, str(manifest), manifest.parent, ("joy", "anger", "awe"), "valid")
    assert figures["rows"].item() == 40  # not those of both
    modality, rows = shipped.rows_of(text_model, _one_label(manifest))
    shares, _ = shipped.probabilities(text_model, modality, rows, ("joy", "anger", "awe"))
    true = rows.targets[:, [rows.labels.index("joy"), rows.labels.index("anger")]].argmax(axis=1)
    assert figures["accuracy"].item() == pytest.approx((shares.argmax(axis=1) == true).mean())
    assert figures["UAR"].item() == pytest.approx(metrics.uar(shares.argmax(axis=1), true))
    assert figures["accuracy low"].item() <= figures["accuracy"].item() <= figures["accuracy high"].item()


def _all(manifest):
    return corpora.load(str(manifest)).canonical()


def _one_label(manifest):
    corpus = _all(manifest)
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
    table = shipped.abstention(text_model, str(manifest), manifest.parent, "valid")
    assert list(table.index) == list(shipped.RISKS)
    assert bool((table["answered"].diff().dropna() >= 0).all())


def test_calibration_is_measured_in_both_readings(text_model, manifest):
    figures = shipped.calibration(text_model, str(manifest), manifest.parent, "valid")
    assert 0 < figures["rows of one label"].item() <= 60
    assert 0 <= figures["ECE, among labels"].item() <= 1
    assert 0 <= figures["ECE, each label"].item() <= 1
    judged = shipped.judged(text_model, str(manifest), manifest.parent, "valid")
    shares, right, drawn = judged["among labels"]
    assert len(shares) == figures["rows of one label"].item()
    assert set(np.unique(right)) <= {False, True}
    assert figures["ECE, among labels"].item() == pytest.approx(metrics.expected_calibration_error(shares, right))
    chance = metrics.chance_calibration_error(shares)
    assert figures["ECE, among labels, by chance"].item() == pytest.approx(chance)
    _, rows = shipped.rows_of(text_model, _all(manifest))
    one = (rows.targets == 1).sum(axis=1) == 1
    assert list(drawn) == [i.partition("/")[2] for i in np.array(rows.ids)[one]]
    each, _, drawn = judged["each label"]
    np.testing.assert_array_equal(drawn.reshape(len(rows), -1)[:, 0], [i.partition("/")[2] for i in rows.ids])
    np.testing.assert_allclose(
        each.reshape(len(rows), -1), shipped.probabilities(text_model, "text", rows, rows.labels)[1]
    )


def test_figures_of_a_checkpoint_have_their_intervals(text_model, manifest):
    _, rows = shipped.rows_of(text_model, _one_label(manifest))
    calibrate(text_model, "text", rows)
    for threshold in np.linspace(0.0, 1.0, 41):
        text_model.modality("text").calibration.thresholds.fill_(threshold)
        abstained = shipped.abstention(text_model, str(manifest), manifest.parent, "valid").iloc[0]
        if abstained["answered"] < 0.8:
            break
    errors = shipped.calibration(text_model, str(manifest), manifest.parent, "valid").iloc[0]
    for what, figures in (("answered", abstained), ("wrong of those", abstained), ("ECE, among labels", errors)):
        assert figures[f"{what} low"] < figures[f"{what} high"], what
        assert "ECE" in what or figures[f"{what} low"] <= figures[what] <= figures[f"{what} high"], what


def test_shares_are_of_sums_over_rows():
    part, whole = np.array([1.0, 0.0, 2.0]), np.array([2.0, 4.0, 2.0])
    assert shipped._share_of(part, whole, np.array([0, 1])) == pytest.approx(1 / 6)
    assert shipped._share_of(part, whole, np.array([2, 2])) == 1.0
    assert np.isnan(shipped._share_of(part, np.zeros(3), np.array([0])))


def test_plots_are_written_whole(text_model, tmp_path):
    places = shipped.label_map(text_model, "text")
    assert places.loc["joy", "seen"]
    assert not places.loc["awe", "seen"]
    plots.save(plots.label_map(places, "text"), tmp_path / "labels.png")
    judged = {"seen": (np.array([0.1, 0.9]), np.array([0, 1]))}
    plots.save(plots.reliability(judged), tmp_path / "reliability.png")
    plots.save(plots.unseen(judged, ([0.1, 0.9], [0.6, 0.8]), ([0, 1], [0.2, 0.3])), tmp_path / "unseen.png")
    names = ["labels.png", "reliability.png", "unseen.png"]
    assert sorted(path.name for path in tmp_path.iterdir()) == names
    assert all(path.read_bytes().startswith(b"\x89PNG") for path in tmp_path.iterdir())
