import pytest

from emoembed.corpora.readers import tess
from emoembed.errors import CorpusError


def test_reads_file_names(tmp_path):
    (tmp_path / "wav").mkdir()
    for name in ("YAF_bite_ps.ogg", "OAF_back_angry.wav"):
        (tmp_path / "wav" / name).touch()
    samples = tess.read(tmp_path).samples
    assert list(samples["id"]) == ["OAF_back_angry", "YAF_bite_ps"]
    assert list(samples["labels"]) == [("anger",), ("surprise",)]
    assert list(samples["text"]) == ["Say the word back.", "Say the word bite."]
    assert list(samples["speaker"]) == ["OAF", "YAF"]
    assert set(samples["split"]) == {"train"}
    assert samples["audio"].iloc[1] == str(tmp_path / "wav" / "YAF_bite_ps.ogg")


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("OAF_back.wav", r"OAF_back\.wav: expected a name <speaker>_<word>_<emotion>"),
        ("OAF_back_glad.wav", r"OAF_back_glad\.wav: 'glad' is not an emotion of tess"),
    ],
)
def test_a_file_of_another_name_is_named(tmp_path, name, message):
    (tmp_path / name).touch()
    with pytest.raises(CorpusError, match=message):
        tess.read(tmp_path)
