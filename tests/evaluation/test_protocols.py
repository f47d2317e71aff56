import pytest

from emoembed import corpora
from emoembed.corpora.readers import iemocap
from emoembed.errors import CorpusError, InputError
from emoembed.evaluation import protocols


def split_of(folds, position, split):
    samples = folds[position].samples
    return samples[samples["split"] == split]


def test_five_folds_leave_one_session_out_and_share_no_dialogue(stand_in):
    corpus = corpora.load("iemocap", stand_in("iemocap", "raw"))
    folds = protocols.get("iemocap-4-5fold").apply(corpus)
    assert len(folds) == 5
    for position, fold in enumerate(folds):
        sessions = {iemocap.session_of(name) for name in split_of(folds, position, "test")["dialogue"]}
        assert sessions == {position + 1}
        by_split = [set(split_of(folds, position, name)["dialogue"]) for name in ("train", "valid", "test")]
        assert sum(map(len, by_split)) == len(set.union(*by_split))
        assert fold.labels == ("neutral", "joy", "sadness", "anger")


def test_happy_and_excited_are_merged_where_the_protocol_says_so(stand_in):
    corpus = corpora.load("iemocap", stand_in("iemocap", "merbench"))
    counts = corpus.counts().sum(axis=1)
    merged = protocols.get("iemocap-4-5fold").apply(corpus)[0].counts().sum(axis=1)
    assert merged["joy"] == counts["joy"] + counts["excitement"]
    six = protocols.get("iemocap-6").apply(corpus)[0]
    assert six.counts().sum(axis=1)["joy"] == counts["joy"]
    assert set(split_of([six], 0, "test")["dialogue"].str[:5]) == {"Ses05"}


def test_multi_label_rows_without_an_emotion_stay(stand_in):
    corpus = corpora.load("mosei", stand_in("mosei", "csd"))
    (fold,) = protocols.get("mosei-6").apply(corpus)
    assert len(fold.samples) == len(corpus.samples)
    assert fold.labels == ("anger", "disgust", "fear", "joy", "sadness", "surprise")


def test_another_corpus_or_form_is_refused_with_what_would_do(stand_in):
    four = corpora.load("iemocap", stand_in("iemocap", "pickle"))
    with pytest.raises(CorpusError, match="divides mosei, not iemocap"):
        protocols.get("mosei-6").apply(four)
    with pytest.raises(CorpusError, match=r"Protocols for it: default, iemocap-4"):
        protocols.get("iemocap-6").apply(four)
    with pytest.raises(InputError, match="there is no protocol 'iemocap'"):
        protocols.get("iemocap")


def test_every_protocol_s_unseen_emotions_are_among_its_labels():
    for protocol in protocols.PROTOCOLS.values():
        assert set(protocol.unseen) <= set(protocol.labels)
        assert set(protocol.merge.values()) <= set(protocol.labels)
