import logging
from dataclasses import replace

import pytest

from emoembed.prediction.licence import tell_licence

LICENCE = "CC BY-NC-SA 4.0 and research use only"


@pytest.fixture
def licensed(three_model):
    return three_model.with_state(replace(three_model.state, provenance={"licence": LICENCE}))


def test_the_licence_of_weights_is_told_once(licensed, tmp_path, monkeypatch, caplog):
    monkeypatch.setenv("EMOEMBED_CACHE", str(tmp_path / "cache"))
    with caplog.at_level(logging.WARNING, "emoembed"):
        tell_licence(licensed, "base")
        tell_licence(licensed, "base")
        assert [LICENCE in record.message for record in caplog.records] == [True]
        tell_licence(licensed, "another")
    assert len(caplog.records) == 2


def test_a_model_without_a_stated_licence_tells_nothing(three_model, tmp_path, monkeypatch, caplog):
    monkeypatch.setenv("EMOEMBED_CACHE", str(tmp_path))
    tell_licence(three_model.with_state(replace(three_model.state, provenance={})), "mine")
    assert not caplog.records


def test_a_folder_that_cannot_be_written_is_no_error(licensed, tmp_path, monkeypatch, caplog):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("EMOEMBED_CACHE", str(tmp_path / "file"))
    with caplog.at_level(logging.WARNING, "emoembed"):
        tell_licence(licensed, "base")
    assert len(caplog.records) == 1
