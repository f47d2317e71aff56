import gzip

import pytest

from emoembed.corpora.readers import semeval2018
from emoembed.errors import CorpusError

ROWS = 'split,ID,Tweet,labels\ntrain,t1,"Oh, ""you""",joy|love\ntest,t2,hm,?\ndev,t3,fine,none\n'


@pytest.mark.parametrize("name", ["semeval18_ec.csv.gz", "semeval18_ec.csv"])
def test_reads_train_and_dev_and_leaves_out_withheld_labels(tmp_path, name):
    content = ROWS.encode()
    (tmp_path / name).write_bytes(gzip.compress(content) if name.endswith("gz") else content)
    corpus = semeval2018.read(tmp_path)
    assert corpus.multi_label
    assert list(corpus.samples["id"]) == ["t1", "t3"]
    assert list(corpus.samples["text"]) == ['Oh, "you"', "fine"]
    assert list(corpus.samples["labels"]) == [("joy", "love"), ()]
    assert list(corpus.samples["split"]) == ["train", "valid"]


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ("train,t4,hm,joy|glee", "row 4, column labels: 'glee' is not an emotion of semeval2018"),
        ("eval,t4,hm,joy", "column split: 'eval' is not a split; expected train, dev, test"),
    ],
)
def test_unknown_names_are_named_with_their_place(tmp_path, row, message):
    (tmp_path / "semeval18_ec.csv").write_text(ROWS + row)
    with pytest.raises(CorpusError, match=message):
        semeval2018.read(tmp_path)
