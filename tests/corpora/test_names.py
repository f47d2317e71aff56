import pytest

from emoembed.corpora import NAMES, names
from emoembed.corpora.readers import labelled_texts
from emoembed.errors import CorpusError
from emoembed.labels.emotion import canonical, table


def test_every_corpus_has_its_names_unless_they_are_free():
    assert set(names.CANONICAL) == set(NAMES) - {"situations", *labelled_texts.FREE_NAMES}


@pytest.mark.parametrize("corpus", names.CANONICAL)
def test_canonical_names_are_names_of_the_label_table_or_the_listed_others(corpus):
    others = {"aggression", "belief", "depression", "faith", "greed", "humor", "negative surprise"}
    others |= {"positive surprise", "suspense", "uneasiness", "vitality"}
    assert set(names.corpus_labels(corpus)) <= others | set(table())


def test_one_emotion_has_one_name_in_all_corpora():
    labels = {label for corpus in names.CANONICAL for label in names.corpus_labels(corpus)}
    assert {label: canonical(label) for label in labels if canonical(label) != label} == {}


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
        CorpusError, match="here: 'glad' is not an emotion of emocontext; its emotions are happy, sad, angry"
    ):
        names.to_labels("emocontext", "glad", "here")
