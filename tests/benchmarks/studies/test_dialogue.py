"""The study of dialogues: measures, shares of dialogues, and gains over several models."""

import numpy as np
import pytest
from studies import dialogue
from studies.dialogue_measures import Answers, mean_auc, mean_gain, micro_f1_without, weighted_f1

from emoembed import metrics
from emoembed.corpora.corpus import Corpus, make_samples


def answers(seed, good):
    generator = np.random.default_rng(seed)
    true = np.random.default_rng(0).integers(3, size=60)
    logits = good * np.eye(3)[true] + generator.standard_normal((60, 3))
    return Answers(logits, true, np.arange(60) // 10, np.full((60, 3), 1 / 3))


def test_the_mean_auc_is_that_of_each_label_also_with_ties():
    rounded = answers(0, 1.0)
    logits = rounded.logits.round(0)
    expected = [metrics.auc(logits[:, i], rounded.true == i) for i in range(3)]
    assert mean_auc(logits, rounded.true) == pytest.approx(100 * np.mean(expected))


def test_a_label_that_does_not_occur_has_no_auc():
    logits, true = np.array([[1.0, 0, 0], [0, 1, 0], [2, 0, 0]]), np.array([0, 1, 0])
    assert mean_auc(logits, true) == 100


def test_micro_f1_leaves_out_neutral():
    logits, true = np.eye(3)[[0, 1, 2, 2]], np.array([0, 1, 1, 2])
    assert micro_f1_without(2)(logits, true) == pytest.approx(100 * 2 * 2 / (2 + 3))


def test_a_gain_is_the_difference_of_means_over_models():
    better, worse = [answers(i, 3.0) for i in range(2)], [answers(i, 0.0) for i in range(2, 5)]
    gain, low, high = mean_gain(better, worse, weighted_f1)
    means = [np.mean([weighted_f1(each.logits, each.true) for each in group]) for group in (better, worse)]
    assert gain == pytest.approx(means[0] - means[1])
    assert 0 < low < gain < high


def corpus_of(splits):
    ids = [f"{i}-{turn}" for i in range(len(splits)) for turn in range(2)]
    names = [row.split("-")[0] for row in ids]
    samples = make_samples(ids, text="x", dialogue=names, split=[splits[int(name)] for name in names])
    samples["labels"] = [("joy",)] * len(ids)
    return Corpus("chats", samples, ("joy",), False)


def test_smaller_shares_are_parts_of_larger_ones_and_keep_all_test_dialogues():
    corpus = corpus_of(["train"] * 20 + ["valid"] * 10 + ["test"] * 5)
    few, more = (dialogue.share_of(corpus, share).samples for share in (0.1, 0.5))
    assert set(few["id"]) < set(more["id"])
    assert few.groupby("split")["dialogue"].nunique().to_dict() == {"test": 5, "train": 2, "valid": 1}


def test_a_corpus_without_training_dialogues_is_divided_whole(monkeypatch):
    monkeypatch.setattr(dialogue.corpora, "load", lambda *_: corpus_of(["valid"] * 20 + ["test"] * 5))
    samples = dialogue.load("dailydialog", None).samples
    assert samples.groupby("split")["dialogue"].nunique().to_dict() == {"test": 5, "train": 17, "valid": 3}
    assert (samples.groupby("dialogue")["split"].nunique() == 1).all()


def test_chats_of_three_turns_become_dialogues():
    samples = make_samples(["1"], text="hi\nhello\nbye", split="train")
    samples["labels"] = [("joy",)]
    turns = dialogue.chats(Corpus("emocontext", samples, ("joy",), False)).samples
    assert list(turns["text"]) == ["hi", "hello", "bye"]
    assert list(turns["speaker"]) == ["A", "B", "A"]
    assert turns["dialogue"].nunique() == 1
