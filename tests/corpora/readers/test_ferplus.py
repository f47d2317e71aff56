import pytest

from emoembed import corpora
from emoembed.corpora.readers import ferplus
from emoembed.errors import MissingFileError

SAME = ("train/happy/1.jpg", "test/surprise/6.jpg")
EIGHT = "neutral,happiness,surprise,sadness,anger,disgust,fear,contempt"


@pytest.fixture
def voted(tmp_path):
    folder = tmp_path / "fer2013"
    rows = {
        "train/happy/1.jpg": "0,9,0,0,0,0,0,1,0,0",  # a copy of a test image: left out
        "train/sad/2.jpg": "2,0,0,6,0,0,0,0,2,0",
        "train/sad/1.jpg": "4,0,0,4,0,0,0,2,0,0",  # a tie
        "train/angry/4.jpg": "1,0,0,0,1,2,0,4,0,2",
        "validation/fear/5.jpg": "1,0,0,0,0,0,2,0,7,0",  # most taggers do not know
        "test/surprise/6.jpg": "0,0,0,0,0,0,3,0,0,7",  # no face
        "test/neutral/7.jpg": ",,,,,,,,,",  # not voted on
    }
    lines = [f"path,{EIGHT},unknown,NF", *(f"{path},{votes}" for path, votes in rows.items())]
    for number, path in enumerate(rows):
        image = folder / path
        image.parent.mkdir(parents=True, exist_ok=True)
        image.write_bytes(b"same" if path in SAME else str(number).encode())
    (folder / "ferplus.csv").write_text("\n".join(lines))
    return folder


def test_votes_give_the_emotion_that_most_taggers_saw_and_the_shares_of_all(voted):
    corpus = corpora.load("ferplus", voted.parent)
    assert corpus.name == "ferplus"
    samples = corpus.samples
    assert list(samples["id"]) == ["train/angry/4", "train/sad/2"]
    assert list(samples["labels"]) == [("contempt",), ("sadness",)]
    shares = [dict(zip(corpus.labels, row, strict=True)) for row in samples["shares"]]
    assert shares[0] == {
        **{"neutral": 0.125, "anger": 0.125, "disgust": 0.25, "contempt": 0.5},
        **{"joy": 0.0, "surprise": 0.0, "sadness": 0.0, "fear": 0.0},
    }
    assert shares[1]["sadness"] == 0.75
    assert shares[1]["neutral"] == 0.25


def test_images_that_no_tagger_voted_on_are_left_out(voted):
    (voted / "ferplus.csv").write_text(f"path,{EIGHT},unknown,NF\ntrain/sad/2.jpg,2,0,0,6,0,0,0,0,2,0\n")
    assert list(ferplus.read(voted).samples["id"]) == ["train/sad/2"]


def test_missing_votes_are_named(voted):
    (voted / "ferplus.csv").unlink()
    with pytest.raises(MissingFileError, match=r"ferplus\.csv"):
        ferplus.read(voted)
