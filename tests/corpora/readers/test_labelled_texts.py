import gzip

import pytest

from emoembed import corpora
from emoembed.corpora.readers import labelled_texts
from emoembed.errors import CorpusError

HEADER = "split\ttext\tlabels\textra\n"


def written(folder, name, *rows):
    (folder / f"{name}.tsv").write_text(HEADER + "\n".join(rows) + "\n", encoding="utf-8")
    return folder


def test_a_table_is_read_with_canonical_names_and_splits(tmp_path):
    written(
        tmp_path,
        "goodnewseveryone",
        '"all"\t"They say ""yes"""\tlove_including_like\t',
        "all\tNo!\tnegative_surprise\t",
    )
    corpus = labelled_texts.read(tmp_path, "goodnewseveryone")
    assert corpus.samples["text"].tolist() == ['They say "yes"', "No!"]
    assert corpus.samples["labels"].tolist() == [("love",), ("negative surprise",)]
    assert set(corpus.samples["split"]) == {"train"}


def test_several_labels_and_dropped_names(tmp_path):
    written(tmp_path, "emotionpush", "dev\thm\tnon-neutral\t", "val\tyes\tjoy\t")
    corpus = labelled_texts.read(tmp_path, "emotionpush")
    assert corpus.samples["labels"].tolist() == [(), ("joy",)]
    assert corpus.samples["split"].tolist() == ["valid", "valid"]
    written(tmp_path, "xed", "all\twhat\tanger|fear\t")
    corpus = labelled_texts.read(tmp_path, "xed")
    assert corpus.multi_label
    assert corpus.samples["labels"].tolist() == [("anger", "fear")]


def test_free_names_are_labels_of_their_own(tmp_path):
    written(tmp_path, "event2mind", "train\tPersonX sings\tHappy|in control|none\t", "train\tPersonX sits\tnone\t")
    corpus = labelled_texts.read(tmp_path, "event2mind")
    assert corpus.labels == ("happy", "in control")
    assert corpus.samples["labels"].tolist() == [("happy", "in control"), ()]


def test_the_choices_of_a_question_are_kept(tmp_path):
    written(tmp_path, "emobench_eu", "test\tA story.\tdelight\tDelight|Anger & Shame")
    corpus = labelled_texts.read(tmp_path, "emobench_eu")
    assert corpus.samples["choices"].tolist() == [("delight", "anger & shame")]


def test_an_unknown_name_is_told_with_its_place(tmp_path):
    written(tmp_path, "tec", "all\thm\tglee\t")
    with pytest.raises(CorpusError, match=r"tec\.tsv, row 1, column labels: 'glee' is not an emotion of tec"):
        labelled_texts.read(tmp_path, "tec")


def test_load_finds_a_text_corpus_in_a_subfolder(tmp_path):
    folder = tmp_path / "text" / "tec"
    folder.mkdir(parents=True)
    (folder / "tec.tsv.gz").write_bytes(gzip.compress((HEADER + "all\thm\tjoy\t\n").encode()))
    assert corpora.load("tec", tmp_path).samples["labels"].tolist() == [("joy",)]
