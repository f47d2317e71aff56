import numpy as np
import pandas as pd
import pytest

from emoembed.corpora.corpus import COLUMNS, Corpus, make_samples
from emoembed.errors import CorpusError


@pytest.fixture
def corpus():
    samples = make_samples(
        ["a", "b", "c", "d"],
        text=["one", "two", "three", "four"],
        labels=[("joy",), ("joy", "love"), (), ("fear",)],
        split=["train", "train", "valid", "valid"],
    )
    return Corpus("small", samples, ("joy", "love", "fear"), multi_label=True)


def test_samples_have_exactly_the_columns_and_keep_none(corpus):
    assert tuple(corpus.samples.columns) == COLUMNS
    row = corpus.samples.iloc[0]
    assert row["audio"] is None
    assert row["speaker"] is None
    assert np.isnan(row["start"])
    assert row["turn"] is pd.NA


def test_split_gives_its_rows_with_a_new_index(corpus):
    valid = corpus.split("valid")
    assert list(valid.samples["id"]) == ["c", "d"]
    assert list(valid.samples.index) == [0, 1]
    assert valid.labels == corpus.labels


def test_unknown_split_names_those_there_are(corpus):
    with pytest.raises(CorpusError, match=r"small has no split 'test'; its splits are train, valid"):
        corpus.split("test")


def test_where_accepts_a_mask_of_another_index(corpus):
    mask = pd.Series([True, False, False, True], index=list("wxyz"))
    assert list(corpus.where(mask).samples["id"]) == ["a", "d"]


def test_without_drops_rows_that_bear_any_of_the_labels_and_the_names(corpus):
    left = corpus.without(["love", "awe"])
    assert list(left.samples["id"]) == ["a", "c", "d"]
    assert left.labels == ("joy", "fear")
    assert corpus.without("joy").labels == ("love", "fear")


def test_with_splits_divides_anew_and_leaves_the_original(corpus):
    anew = corpus.with_splits(["test"] * 4)
    assert set(anew.samples["split"]) == {"test"}
    assert list(corpus.samples["split"]) == ["train", "train", "valid", "valid"]


def test_counts_agree_with_counting_by_hand(corpus):
    expected = pd.DataFrame({"train": [2, 1, 0], "valid": [0, 0, 1]}, index=["joy", "love", "fear"])
    pd.testing.assert_frame_equal(corpus.counts(), expected)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"ids": ["a", "a"]}, "small: id 'a' occurs more than once"),
        ({"labels": [("joy",), ("awe",)]}, "small: labels holds 'awe'; expected only joy, love"),
        ({"labels": [("joy", "love"), ()]}, "several labels, but multi_label is False"),
        ({"split": "dev"}, "small: split holds 'dev'; expected only train, valid, test"),
    ],
)
def test_a_corpus_checks_its_rows(change, message):
    columns = {"ids": ["a", "b"], "labels": [("joy",), ()], "split": "train"} | change
    with pytest.raises(CorpusError, match=message):
        Corpus("small", make_samples(**columns), ("joy", "love"), multi_label=False)


def test_a_corpus_without_a_column_names_it(corpus):
    with pytest.raises(CorpusError, match="small: the samples lack the columns speaker; a corpus has id, text"):
        Corpus("small", corpus.samples.drop(columns="speaker"), corpus.labels, multi_label=True)


def test_make_samples_refuses_a_column_no_corpus_has():
    with pytest.raises(TypeError, match="no such column: sound"):
        make_samples(["a"], sound="x.wav")


def test_rows_are_redrawn_by_dialogue_else_speaker_else_alone():
    ids, dialogues, speakers = ["a", "b", "c"], ["d1", None, None], ["s1", "s2", None]
    samples = make_samples(ids, labels=[("joy",)] * 3, dialogue=dialogues, speaker=speakers, split="train")
    assert list(Corpus("toy", samples, ("joy",), False).groups()) == ["d1", "s2", "c"]
