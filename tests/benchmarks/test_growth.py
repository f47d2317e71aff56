from types import SimpleNamespace

import growth

from emoembed import plots


def test_time_is_measured_for_each_number_of_texts_and_labels(monkeypatch):
    calls = []
    model = SimpleNamespace(predict=lambda text=None, labels=(), audio=None: calls.append((text, len(labels), audio)))
    assert list(growth.of_texts(model, ["a", "b"] * 500)) == [1, 10, 100, 1000]
    assert {len(text) for text, _, _ in calls} == {1, 10, 100, 1000}
    calls.clear()
    assert list(growth.of_labels(model, "a")) == list(growth.NAMES)
    assert {count for _, count, _ in calls} == set(growth.NAMES)
    calls.clear()
    monkeypatch.setattr(growth, "SECONDS", (1, 3))
    assert list(growth.of_seconds(model)) == [1, 3]
    assert {len(audio[0]) for _, _, audio in calls} == {growth.SAMPLING_RATE, 3 * growth.SAMPLING_RATE}


def test_a_curve_has_a_panel_with_its_numbers(tmp_path):
    figure = plots.growth({"texts": {1: 0.01, 10: 0.05}, "labels": {1: 0.01, 1000: 0.2}})
    assert [axes.get_xlabel() for axes in figure.axes] == ["texts", "labels"]
    assert [tick.get_text() for tick in figure.axes[1].get_xticklabels()] == ["1", "1,000"]
    plots.save(figure, tmp_path / "growth.png")
