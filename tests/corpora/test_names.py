import pytest

from emoembed.corpora import NAMES, names
from emoembed.errors import CorpusError


def test_every_corpus_has_its_names():
    assert set(names.CANONICAL) == set(NAMES)


@pytest.mark.parametrize("corpus", NAMES)
def test_canonical_names_are_goemotions_nouns_or_the_listed_others(corpus):
    others = {"anticipation", "boredom", "calm", "frustration", "peacefulness", "pessimism", "power", "trust"}
    assert set(names.corpus_labels(corpus)) <= others | set(names.GOEMOTIONS)


@pytest.mark.parametrize(
    ("corpus", "native", "labels"),
    [
        ("tess", "ps", ("surprise",)),
        ("ravdess", "fearful", ("fear",)),
        ("emodb", "A", ("fear",)),
        ("emorynlp", "Powerful", ("power",)),
        ("iemocap_text", "frustrated", ("frustration",)),
        ("emocontext", "others", ()),
        ("semeval2018", "none", ()),
        ("dailydialog", "no emotion", ("neutral",)),
    ],
)
def test_native_names_become_canonical(corpus, native, labels):
    assert names.to_labels(corpus, native, "here") == labels


def test_an_unmapped_name_lists_the_known():
    with pytest.raises(
        CorpusError, match="here: 'glad' is no emotion of emocontext; its emotions are happy, sad, angry"
    ):
        names.to_labels("emocontext", "glad", "here")
