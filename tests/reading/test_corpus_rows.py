import numpy as np

from emoembed.corpora.readers import situations
from emoembed.reading import corpus_rows


def test_a_minimal_pair_annotates_its_two_emotions_only(tmp_path):
    header = "split\tkind\temotion_a\ttext_a\temotion_b\ttext_b\n"
    (tmp_path / "pairs.tsv").write_text(
        header + "train\ttense\tjoy\tI am.\tfear\tI was.\ntrain\ttense\tawe\tA.\tjoy\tB.\n"
    )
    corpus = situations.read_pairs(tmp_path)
    rows = corpus_rows.annotate(corpus, {"text": {i: np.zeros((1, 1)) for i in corpus.samples["id"]}})
    columns = [rows.labels.index(name) for name in ("joy", "fear", "awe")]
    np.testing.assert_array_equal(
        rows.targets[:, columns], [[1, 0, np.nan], [0, 1, np.nan], [0, np.nan, 1], [1, np.nan, 0]]
    )
