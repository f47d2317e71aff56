import json
import shutil

import pandas as pd
import pytest

from emoembed.errors import InputError
from emoembed.evaluation import experiment, few_shot, held_out, report, zero_shot
from emoembed.evaluation.study import Study
from emoembed.training import loop
from emoembed.training.config import TrainConfig


def run(folder, name, protocol, text_model, word_table, cache, **options):
    measured = {name: options.pop(name) for name in ("shots", "closed_set") if name in options}
    settings = {"words": word_table, "epochs": 1, "cache": cache, "split": "test", **options}
    return experiment.run(Study(name, folder, text_model, protocol=protocol, **settings), **measured)


@pytest.fixture(scope="module")
def cache(tmp_path_factory):
    return tmp_path_factory.mktemp("cache")


@pytest.mark.parametrize(
    ("name", "form", "protocol", "unseen"),
    [
        ("mosei", "csd", "mosei-6", "fear"),
        ("iemocap", "nine-class", "iemocap-9-zero-shot", "each"),
        ("iemocap", "pickle", "iemocap-4", None),
        ("iemocap", "raw", "iemocap-6", "frustration"),
    ],
)
def test_a_protocol_runs_from_files_to_report(name, form, protocol, unseen, stand_in, text_model, word_table, cache):
    result = run(stand_in(name, form), name, protocol, text_model, word_table, cache, unseen=unseen, shots=(0, 2))
    text = result.markdown()
    assert f"# {name}, {protocol}, test split" in text
    assert f"- form: {form}" in text
    systems = result.tables["All emotions seen: means"].index
    assert list(systems[-3:]) == ["always negative", "majority", "prior"]
    assert ("MulT" in systems) == (form != "raw")  # raw texts are token ids, which no closed-set network here reads
    assert (result.tables["All emotions seen: means"]["WAcc"].iloc[-3:-1] == 0.5).all()
    if unseen:
        assert "no training label is a synonym of an unseen one" in result.lines["Leak audit"]
        table = result.tables["Zero-shot: each unseen emotion, its rows left out of training"]
        asked = ["excitement", "surprise", "frustration"] if unseen == "each" else [unseen]
        assert list(table.index) == [*asked, "mean"]
        shots = result.tables["With a few examples, mean over emotions (five draws; sd over draws)"]
        assert list(shots.index) == [0, 2]


def test_emotions_that_a_protocol_holds_out_together_are_all_absent(
    stand_in, text_model, word_table, tmp_path, monkeypatch
):
    trained = []
    real = loop.optimise

    def fit(model, train, *rest, **options):
        trained.append(train.labels)
        return real(model, train, *rest, **options)

    monkeypatch.setattr("emoembed.training.fit.optimise", fit)
    options = {"unseen": "each", "shots": (), "closed_set": False}
    run(
        stand_in("iemocap", "nine-class"), "iemocap", "iemocap-9-zero-shot", text_model, word_table, tmp_path, **options
    )
    four = {"neutral", "joy", "sadness", "anger"}
    assert set(trained[1]) == four
    assert all(set(labels) < four for labels in trained[2:])
    with pytest.raises(InputError, match="holds out excitement, surprise, frustration together; given 'surprise'"):
        run(
            stand_in("iemocap", "nine-class"),
            "iemocap",
            "iemocap-9-zero-shot",
            text_model,
            word_table,
            tmp_path,
            unseen="surprise",
        )


def test_a_split_without_rows_is_refused_before_any_training(manifest, text_model, monkeypatch):
    monkeypatch.setattr("emoembed.training.fit.optimise", lambda *_, **__: pytest.fail("trained"))
    rows = pd.read_csv(manifest)
    rows["split"] = rows["split"].replace("test", "valid")
    rows.to_csv(manifest, index=False)
    message = "has no test rows with features; it has train, valid"
    for ask in (zero_shot.evaluate, few_shot.evaluate, experiment.run):
        with pytest.raises(InputError, match=message):
            ask(Study(str(manifest), manifest.parent, text_model, unseen="joy", split="test"))


def test_rows_without_emotions_are_refused_with_the_remedy(stand_in, text_model, word_table, cache, tmp_path):
    shutil.copy(stand_in("mosei", "pickle") / "mosei_senti_data.pkl", tmp_path)
    with pytest.raises(InputError, match=r"no row of mosei has an emotion label .*put CMU_MOSEI_Labels\.csd beside it"):
        run(tmp_path, "mosei", "mosei-6", text_model, word_table, cache)


def test_a_second_run_writes_the_same_report(stand_in, text_model, word_table, tmp_path):
    written = []
    for number in range(2):
        result = run(
            stand_in("mosei", "seq-20"),
            "mosei",
            "mosei-6",
            text_model,
            word_table,
            tmp_path / f"cache{number}",
            unseen="joy",
            shots=(),
        )
        report.write(result, tmp_path / str(number))
        written.append(tmp_path / str(number))
    assert (written[0] / "report.md").read_text() == (written[1] / "report.md").read_text()
    content = json.loads((written[0] / "report.json").read_text())
    assert content["tables"]["All emotions seen: means"][0]["system"] == "emoembed"
    assert content["training"]["epochs"] == 1
    assert len(content["data fingerprint"]) == 16
    assert (written[0] / "reliability.png").stat().st_size > 1000


def test_zero_shot_finds_what_word_vectors_carry_and_nothing_where_they_were_dealt_anew(
    tmp_path, text_model, word_table, monkeypatch
):
    """The truth of a stand-in is known: only where names say what emotions are like can an unseen one be found."""
    config = TrainConfig(epochs=4, batch_size=16, bf16=False, positive_weight=True, stay_close=1.0)
    monkeypatch.setitem(held_out.HELD_OUT_TRAINING, "sequence", config)
    from emoembed.corpora import stand_in

    means = {}
    for shuffled in (False, True):
        folder = tmp_path / str(shuffled)
        stand_in.write_mosei(
            folder, word_table, word_table.words, form="seq-20", size=(36, 6), seed=1, shuffled=shuffled
        )
        runs = [
            zero_shot.evaluate(
                Study(
                    "mosei",
                    folder,
                    text_model,
                    unseen=label,
                    split="test",
                    protocol="mosei-6",
                    words=word_table,
                    cache=tmp_path / "cache",
                )
            )["auc"].mean()
            for label in ("joy", "fear", "surprise")
        ]
        means[shuffled] = sum(runs) / 3
    assert means[False] > 0.7
    assert means[True] < 0.6


def test_a_table_of_two_keys_names_both():
    table = pd.DataFrame({"system": ["a", "b"], "unseen": ["joy", "awe"], "auc": [0.5, float("nan")]})
    lines = report._markdown(table.set_index(["system", "unseen"])).splitlines()
    assert lines == ["| system, unseen | auc |", "|---|---|", "| a, joy | 0.500 |", "| b, awe |  |"]
