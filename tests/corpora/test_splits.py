"""Rows held out for validation: a fifth, alike in labels, without dividing speakers or dialogues."""

import itertools

import numpy as np
import pandas as pd
import pytest

from emoembed.corpora.corpus import Corpus, make_samples
from emoembed.corpora.splits import hold_out
from emoembed.errors import InputError


@pytest.fixture
def sentences(corpus_of):
    return corpus_of([f"text {i}" for i in range(24)], [name for name in ("joy", "anger", "sadness") for _ in range(8)])


def test_hold_out_takes_a_fifth_alike_in_labels_and_is_seeded(sentences):
    divided = hold_out(sentences, seed=1)
    assert divided.counts()["valid"].between(1, 2).all()
    assert 4 <= (divided.samples["split"] == "valid").sum() <= 6
    pd.testing.assert_series_equal(divided.samples["split"], hold_out(sentences, seed=1).samples["split"])


def test_hold_out_keeps_speakers_whole(sentences):
    speakers = [f"speaker{i % 6}" for i in range(24)]
    divided = hold_out(Corpus("toy", sentences.samples.assign(speaker=speakers), sentences.labels, False))
    parts = divided.samples.groupby("speaker")["split"].nunique()
    assert (parts == 1).all()
    assert set(divided.samples["split"]) == {"train", "valid"}


@pytest.mark.parametrize("rows", [(90, 5, 5), (400, 50, 50, 50, 50), (50, *(5,) * 9)])
def test_a_speaker_of_most_rows_is_trained_on(corpus_of, rows):
    speakers = [f"speaker{i}" for i, count in enumerate(rows) for _ in range(count)]
    labels = [("joy", "anger", "anger")[i % 3] for i in range(len(speakers))]
    whole = corpus_of([f"text {i}" for i in range(len(speakers))], labels)
    corpus = Corpus("toy", whole.samples.assign(speaker=speakers), whole.labels, False)
    for seed in range(3):
        held = hold_out(corpus, seed).samples
        assert 0 < (held["split"] == "valid").mean() <= 0.25
        assert (held.groupby("speaker")["split"].nunique() == 1).all()


@pytest.mark.parametrize("alike", [1, 3])
def test_a_fifth_is_held_out_also_where_every_row_has_labels_of_its_own(alike):
    names = list("abcdefghij")
    sets = list(itertools.combinations(names, 3))[:30]
    sets = [sets[0]] * alike + sets[1 : 31 - alike]
    samples = make_samples([str(i) for i in range(30)], text=["x"] * 30, labels=sets, split="train")
    divided = hold_out(Corpus("mine", samples, tuple(names), multi_label=True))
    assert 4 <= (divided.samples["split"] == "valid").sum() <= 8


def test_hold_out_leaves_a_valid_split_alone_and_refuses_too_few_rows(sentences):
    own = sentences.with_splits(["valid"] * 3 + ["train"] * 21)
    assert hold_out(own) is own
    with pytest.raises(InputError, match="toy has no valid rows and 9 labelled train rows"):
        hold_out(sentences.where(np.arange(24) < 9))


def test_ten_rows_of_three_labels_suffice_to_hold_some_out(corpus_of):
    labels = ["joy"] * 4 + ["anger"] * 3 + ["sadness"] * 3
    divided = hold_out(corpus_of([f"text {i}" for i in range(10)], labels))
    assert 1 <= (divided.samples["split"] == "valid").sum() <= 4


def test_speakers_of_several_dialogues_stay_together(corpus_of):
    count = 48
    dialogues = [f"d{i // 4}" for i in range(count)]
    speakers = [f"s{i // 8}" for i in range(count)]  # each speaker has two dialogues
    rows = corpus_of(["x"] * count, ["joy", "anger"] * (count // 2), dialogue=dialogues, speaker=speakers)
    held_out = hold_out(rows).samples
    assert (held_out.groupby("speaker")["split"].nunique() == 1).all()
    agent = ["agent" if i % 2 else f"caller {i // 4}" for i in range(count)]  # one speaker is in all dialogues
    rows = corpus_of(["x"] * count, ["joy", "anger"] * (count // 2), dialogue=dialogues, speaker=agent)
    held_out = hold_out(rows).samples
    assert (held_out.groupby("dialogue")["split"].nunique() == 1).all()
    assert "valid" in set(held_out["split"])


def test_one_agent_in_most_dialogues_does_not_leave_one_dialogue(corpus_of):
    count = 80
    dialogues = [f"d{i // 4}" for i in range(count)]
    agents = ["B" if i < 4 else "A" for i in range(count)]  # B has one dialogue
    rows = corpus_of(["x"] * count, ["joy", "anger"] * (count // 2), dialogue=dialogues, speaker=agents)
    held_out = hold_out(rows).samples
    assert 0.1 < (held_out["split"] == "valid").mean() < 0.3
    assert (held_out.groupby("dialogue")["split"].nunique() == 1).all()
