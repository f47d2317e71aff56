import pytest

from emoembed.corpora.readers import fer2013
from emoembed.errors import CorpusError, MissingFileError


@pytest.fixture
def folder(tmp_path):
    files = {
        "train/happy/1.jpg": b"A",
        "train/happy/8.jpg": b"E",
        "train/sad/2.jpg": b"B",
        "train/sad/1.jpg": b"B",
        "train/angry/4.jpg": b"C",
        "validation/fear/5.jpg": b"E",
        "validation/neutral/9.jpg": b"D",
        "test/surprise/6.jpg": b"A",
        "test/neutral/7.jpg": b"D",
    }
    for name, content in files.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    return tmp_path


def test_images_that_are_tested_on_are_left_out(folder):
    samples = fer2013.read(folder).samples
    assert list(samples["id"]) == [
        *("train/angry/4", "train/sad/1", "train/sad/2", "validation/fear/5"),
        *("test/neutral/7", "test/surprise/6"),
    ]
    assert list(samples["labels"]) == [("anger",), ("sadness",), ("sadness",), ("fear",), ("neutral",), ("surprise",)]
    assert list(samples["split"]) == ["train", "train", "train", "valid", "test", "test"]
    assert samples["video"].iloc[0] == str(folder / "train" / "angry" / "4.jpg")


def test_duplicates_stay_on_request(folder):
    assert {"train/happy/1", "train/happy/8", "validation/neutral/9"} <= set(
        fer2013.read(folder, drop_duplicates=False).samples["id"]
    )


def test_an_unknown_folder_is_named(folder):
    (folder / "train" / "angry").rename(folder / "train" / "glad")
    with pytest.raises(CorpusError, match=r"4\.jpg: 'glad' is not an emotion of fer2013; its emotions are angry"):
        fer2013.read(folder)


def test_an_empty_split_is_named(folder):
    (folder / "test" / "neutral" / "7.jpg").unlink()
    (folder / "test" / "surprise" / "6.jpg").unlink()
    with pytest.raises(MissingFileError, match=r"test has no images; expected <emotion>/\*\.jpg"):
        fer2013.read(folder)
