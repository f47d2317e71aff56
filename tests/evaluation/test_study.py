from pathlib import Path

import pytest

from emoembed import corpora
from emoembed.errors import InputError
from emoembed.evaluation import few_shot, leak_audit, zero_shot
from emoembed.evaluation.study import Study


@pytest.fixture
def study(manifest, text_model, tmp_path):
    return Study(str(manifest), manifest.parent, text_model, unseen="fear", epochs=1, cache=tmp_path, split="test")


def test_a_corpus_is_read_once_for_all_that_is_asked_of_it(study, monkeypatch):
    read = []
    load = corpora.load
    monkeypatch.setattr(corpora, "load", lambda *given: read.append(given) or load(*given))
    leak_audit.audit_study(study)
    zero_shot.evaluate(study)
    few_shot.evaluate(study, shots=(0, 2), draws=1)
    assert len(read) == 1


def test_groups_are_the_names_together_or_each_in_turn(study, manifest, text_model):
    each = Study(str(manifest), manifest.parent, text_model, unseen="each")
    assert study.groups == (("fear",),)
    assert each.groups == (("anger",), ("fear",), ("joy",), ("sadness",))
    assert [group for _, group, _ in each.runs()] == list(each.groups)


@pytest.mark.parametrize("ask", [leak_audit.audit_study, zero_shot.evaluate, few_shot.evaluate])
def test_a_study_that_holds_out_nothing_says_how_to_name_emotions(ask, manifest, text_model):
    whole = Study(str(manifest), manifest.parent, text_model)
    with pytest.raises(InputError, match=r"need held-out emotions; given unseen=None: name them"):
        ask(whole)


def test_epochs_take_the_recipes_place_for_seen_and_unseen(study):
    for seen in (True, False):
        config = study.training(seen=seen)
        assert (config.epochs, config.patience) == (1, 1)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"method": "svm"}, "no method 'svm'; known are emoembed, mtee"),
        ({"protocol": "speaker"}, "no protocol 'speaker'; known are default, mosei-6"),
    ],
)
def test_an_unknown_name_is_refused_before_anything_is_read(changes, message, text_model):
    with pytest.raises(InputError, match=message):
        Study("meld", Path("nowhere"), text_model, **changes)
