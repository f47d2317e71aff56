from dataclasses import replace

import pytest
import torch
from safetensors.torch import save

from emoembed import plots
from emoembed.errors import CheckpointError, InputError, MissingFileError
from emoembed.labels.phrases import WordTable
from emoembed.prediction.recognizer import Recognizer
from emoembed.training.loop import encode_rows
from emoembed.transfer.bank import PathBank
from emoembed.transfer.pathnet import SearchConfig, places_of
from emoembed.transfer.strategies import add_path
from emoembed.transfer.task import Budget, Task

SMALL = Budget(steps=60, learning_rate=5e-3, batch_size=16, search=SearchConfig(rounds=4, batches=5, population=6))


@pytest.fixture
def first(modular_recipe, domain):
    return Task(modular_recipe, (), domain("first"), SMALL)


@pytest.fixture
def second(modular_recipe, domain):
    return Task(modular_recipe, (), domain("second", 90, 5, kind=1), SMALL)


@pytest.fixture
def bank(modular_recipe, first):
    return PathBank(modular_recipe.phrases).add(first, {"licence": "CC-BY-4.0"})


def test_adding_a_corpus_changes_no_earlier_answer(bank, first, second):
    before = encode_rows(bank["first"], first.target.valid)["video"]
    both = bank.add(second)
    assert list(bank.entries) == ["first"], "a bank is immutable"
    assert torch.equal(encode_rows(both["first"], first.target.valid)["video"], before)
    assert set(bank.modules) <= set(both.modules)
    assert all(torch.equal(both.modules[name], weight) for name, weight in bank.modules.items())
    assert "second" in both


def test_a_bank_answers_as_the_model_that_was_trained(bank, second):
    model, path = add_path(second, second.target, bank.modules)
    again = bank.add(second)
    assert again.entries["second"].path == path
    rows = second.target.valid
    assert torch.equal(encode_rows(again["second"], rows)["video"], encode_rows(model, rows)["video"])


def test_a_model_of_a_bank_has_labels_and_names_the_corpora_it_uses(bank, second):
    model = bank.add(second, {"licence": "own"})["second"]
    assert set(model.state.labels) == {"joy", "anger", "sadness"}
    places = [places_of(bank.add(second).entries[name].path) for name in ("first", "second")]
    used = ["first", "second"] if places[0] & places[1] else ["second"]
    assert model.state.provenance == {"licence": "own", "trained_on": {"video": used}}


def test_a_bank_without_some_modules_is_refused(bank, modular_recipe, tmp_path):
    fewer = dict(bank.modules)
    fewer.pop(next(iter(fewer)))
    replace(bank, modules=fewer).save(tmp_path / "bank")
    with pytest.raises(CheckpointError, match="lacks modules of first; fetch it again"):
        PathBank.read(tmp_path / "bank", modular_recipe.phrases)


def test_a_bank_is_read_as_it_was_saved(bank, first, second, modular_recipe, tmp_path):
    both = bank.add(second)
    both.save(tmp_path / "bank.safetensors")
    again = PathBank.read(tmp_path / "bank.safetensors", modular_recipe.phrases)
    for task in (first, second):
        name = task.target.name
        points = encode_rows(both[name], task.target.valid)["video"]
        assert torch.equal(encode_rows(again[name], task.target.valid)["video"], points)
        assert again.entries[name].path == both.entries[name].path
    assert again.entries["first"].card == {"licence": "CC-BY-4.0"}
    assert again["first"].state.provenance["trained_on"] == {"video": ["first"]}


def test_a_model_of_a_bank_saves_like_any_other(bank, first, tmp_path):
    Recognizer(bank["first"]).save_pretrained(tmp_path / "model")
    loaded = Recognizer.from_pretrained(tmp_path / "model").model
    torch.testing.assert_close(
        encode_rows(loaded, first.target.valid)["video"], encode_rows(bank["first"], first.target.valid)["video"]
    )


def test_what_does_not_fit_is_refused(bank, first, second, modular_recipe, tmp_path):
    with pytest.raises(InputError, match="already has first"):
        bank.add(first)
    with pytest.raises(InputError, match="has no corpus 'third'; it has first"):
        bank["third"]
    wider = {"video": modular_recipe.modalities["video"].with_settings(width=20)}
    with pytest.raises(InputError, match="does not fit first"):
        bank.add(replace(second, recipe=replace(modular_recipe, modalities=wider)))
    other = WordTable(modular_recipe.phrases.words, modular_recipe.phrases.vectors[:, ::-1].copy())
    with pytest.raises(InputError, match="different phrase encoders"):
        bank.add(replace(second, recipe=replace(modular_recipe, phrases=other)))
    slash = replace(second, target=replace(second.target, name="a/b"))
    with pytest.raises(InputError, match="choose another, without a slash"):
        bank.add(slash)
    with pytest.raises(InputError, match=r"must not have sources, .* given first\. Add each of these"):
        bank.add(replace(second, sources=(first.target,)))
    with pytest.raises(InputError, match="the card of a corpus has texts, numbers, lists and mappings only"):
        bank.add(second, {"licence": object()})
    bank.save(tmp_path / "bank")
    with pytest.raises(CheckpointError, match="made with another phrase encoder"):
        PathBank.read(tmp_path / "bank", other)
    with pytest.raises(MissingFileError):
        PathBank.read(tmp_path / "none", modular_recipe.phrases)
    (tmp_path / "bank").write_bytes(b"x" * 100)
    with pytest.raises(CheckpointError, match="not a bank that can be read"):
        PathBank.read(tmp_path / "bank", modular_recipe.phrases)


def test_paths_are_drawn():
    axes = plots.paths({"source": ((0, 1), (2, 3)), "target": ((1, 2), (2, 4))}, 5).axes[0]
    drawn = {dots.get_label(): [tuple(place) for place in dots.get_offsets().tolist()] for dots in axes.collections}
    assert drawn["source"] == [(0, 0), (3, 1)]  # module, layer
    assert drawn["target"] == [(2, 0), (4, 1)]
    assert drawn["shared"] == [(1, 0), (2, 1)]
    assert len(drawn["not used"]) == 4


def test_a_bank_that_cannot_be_read_is_told(modular_recipe, tmp_path):
    with pytest.raises(MissingFileError, match="no file can be called"):
        PathBank.read("x" * 300, modular_recipe.phrases)
    (tmp_path / "bank").write_bytes(save({"a": torch.zeros(1)}, {"bank": "[" * 200_000}))
    with pytest.raises(CheckpointError, match="is not a bank that can be read"):
        PathBank.read(tmp_path / "bank", modular_recipe.phrases)
