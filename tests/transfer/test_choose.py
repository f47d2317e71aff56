from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import emoembed
from emoembed.errors import InputError
from emoembed.prediction.recognizer import Recognizer
from emoembed.transfer import choose as choosing
from emoembed.transfer.choose import choose, divide
from emoembed.transfer.manifest import speech_task, transfer_corpora
from emoembed.transfer.pathnet import SearchConfig
from emoembed.transfer.task import Budget, Task, Transferred

ROOT = Path(__file__).parents[2]
SMALL = Budget(steps=40, learning_rate=5e-3, batch_size=16, search=SearchConfig(rounds=3, batches=4, population=4))


@pytest.fixture
def task(modular_recipe, domain):
    return Task(modular_recipe, (domain("source", 60),), domain("target", 60, 1), SMALL)


def test_the_best_on_validation_is_chosen_and_controls_never_are(task, monkeypatch):
    scores = {"scratch": 0.5, "fine-tune": 0.7, "random-path": 0.9, "no-source": 0.8}
    monkeypatch.setattr(choosing, "transfer", lambda task, name: Transferred(name, None, scores[name]))
    result = choose(task, list(scores))
    assert result.chosen.strategy == "fine-tune"
    assert result.scores["mean"].to_dict() == pytest.approx(scores)


def test_sources_are_trained_once_for_all_strategies(task, monkeypatch, capsys):
    trained = []
    real = choosing.train_sources
    monkeypatch.setattr(choosing, "train_sources", lambda *args: trained.append(args) or real(*args))
    alone = choose(task, ["fine-tune", "lora"], progress=True).scores
    assert len(trained) == 1
    assert "lora: 100%" in capsys.readouterr().err
    each = [choose(task, [name]).scores.loc[name, "mean"] for name in alone.index]
    assert alone["mean"].tolist() == pytest.approx(each)


def test_paths_are_left_out_where_speakers_are_too_few(task):
    speakers = {row: f"s{i % 2}" for i, row in enumerate([*task.target.train.ids, *task.target.valid.ids])}
    task = replace(task, target=replace(task.target, speakers=speakers))
    with pytest.warns(UserWarning, match="target has too few speakers to compare paths, so pathnet and no-source"):
        scores = choose(task, ["scratch", "pathnet", "no-source"]).scores
    assert list(scores.index) == ["scratch"]


def test_wrong_choices_are_refused_before_training(task, monkeypatch):
    monkeypatch.setattr(choosing, "train_sources", None)
    with pytest.raises(InputError, match="there is no strategy 'magic'"):
        choose(task, ["fine-tune", "magic"])
    with pytest.raises(InputError, match="give a strategy that is not a control"):
        choose(task, ["random-path"])


def test_recordings_are_read_once_for_all_strategies(speech):
    task = speech_task([speech("source")], speech("target"))
    layers = task.recipe.modalities["audio"].settings.whisper
    for rows in (task.sources[0].train, task.target.train, task.target.valid):
        assert {store.shape for store in rows.inputs["audio"].values()} == {(1, 2 * layers["d_model"])}


def test_a_small_target_is_divided_by_speakers(task, modular_recipe, domain):
    parts = divide(task.target)
    assert len(parts) == 3
    ids = {row for part in parts for row in part.valid.ids}
    assert ids == {*task.target.train.ids, *task.target.valid.ids}
    for part in parts:
        sides = [{part.speakers[row] for row in rows.ids} for rows in (part.train, part.valid)]
        assert not sides[0] & sides[1]
    result = choose(task, ["scratch"])
    assert list(result.scores.columns) == ["mean", "fold 0", "fold 1", "fold 2"]
    large = replace(task, target=domain("large", 900, 2))
    assert list(choose(large, ["scratch"]).scores.columns) == ["mean", "fold 0"]


def test_speech_is_transferred_between_corpora(speech, tmp_path):
    result = transfer_corpora(
        [speech("source")], speech("target", 50), tmp_path / "model", strategy="fine-tune", budget=SMALL
    )
    assert result.chosen.report is not None
    model = Recognizer.from_pretrained(tmp_path / "model").model
    assert model.state.provenance["trained_on"] == {"audio": ["source", "target"]}
    assert model.state.provenance["transfer"] == "fine-tune"
    assert set(model.state.labels) == {"joy", "anger"}
    assert model.state.provenance["licence"] == "that of source; that of target"
    answers = Recognizer(model).predict(audio=[str(tmp_path / f"target-{i}.wav") for i in range(8)])
    assert np.mean([answer.label == ("joy", "anger")[i % 2] for i, answer in enumerate(answers)]) > 0.6


def test_the_documented_lines_predict_with_a_choice_and_a_bank(speech, tmp_path, monkeypatch):
    choice = transfer_corpora([], speech("target"), strategy="scratch", budget=SMALL)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "target-0.wav").rename("call.wav")
    page = (ROOT / "docs" / "transfer.md").read_text().splitlines()
    lines = [line for line in page if line.startswith("emoembed.Recognizer(")]
    assert len(lines) == 2
    names = {"emoembed": emoembed, "choice": choice, "bank": {"ravdess": choice.chosen.model}}
    assert [eval(line, names).label in ("joy", "anger") for line in lines] == [True, True]


def test_wrong_corpora_are_refused(speech, corpus_of, tmp_path):
    with pytest.raises(InputError, match="there is no strategy 'magic'"):
        transfer_corpora([], speech("target"), strategy="magic")
    silent = corpus_of(["x"] * 24, ["joy", "anger"] * 12, audio=[str(tmp_path / "none.wav")] * 24)
    with pytest.raises(InputError, match="no sound file at"):
        transfer_corpora([], silent, strategy="scratch")
    texts = corpus_of(["x"] * 24, ["joy", "anger"] * 12)
    with pytest.raises(InputError, match="has no recordings in its train and valid rows; transfer reads speech"):
        transfer_corpora([], texts, strategy="scratch")
