import pytest

from emoembed.corpora.readers import meld
from emoembed.errors import CorpusError

HEADER = "Sr No.,Utterance,Speaker,Emotion,Sentiment,Dialogue_ID,Utterance_ID,Season,Episode,StartTime,EndTime\n"
REST = '8,21,"00:16:16,059","00:16:21,731"\n'


@pytest.fixture
def folder(tmp_path):
    train = f'1,"Oh\x92s, well\x85",Chandler,joy,positive,0,0,{REST}2,“No”—café,Joey,anger,negative,0,1,{REST}'
    for split, rows in {
        "train": train,
        "dev": f"1,Hi,Ross,fear,x,0,0,{REST}",
        "test": f"1,Hi,Ross,sadness,x,0,0,{REST}",
    }.items():
        (tmp_path / f"{split}_sent_emo.csv").write_bytes((HEADER + rows).encode())
    return tmp_path


def test_reads_the_release_layout(folder):
    samples = meld.read(folder).samples
    assert list(samples["id"]) == ["train_dia0_utt0", "train_dia0_utt1", "valid_dia0_utt0", "test_dia0_utt0"]
    assert list(samples["labels"]) == [("joy",), ("anger",), ("fear",), ("sadness",)]
    assert list(samples["dialogue"]) == ["train_dia0", "train_dia0", "valid_dia0", "test_dia0"]
    assert list(samples["turn"]) == [0, 1, 0, 0]
    assert list(samples["speaker"]) == ["Chandler", "Joey", "Ross", "Ross"]
    assert samples["audio"].isna().all()
    assert samples["start"].isna().all()


def test_typographic_signs_and_misread_bytes_become_plain(folder):
    assert list(meld.read(folder).samples["text"])[:2] == ["Oh's, well...", '"No"-café']


def test_clips_of_the_raw_release_are_sound_and_video(folder):
    clip = folder / "dev_splits_complete" / "dia0_utt0.mp4"
    clip.parent.mkdir()
    clip.touch()
    samples = meld.read(folder).samples
    assert list(samples["video"]) == [None, None, str(clip), None]
    assert list(samples["audio"]) == [None, None, str(clip), None]


def test_a_wrong_number_is_named_with_its_place(folder):
    (folder / "dev_sent_emo.csv").write_text(f"{HEADER}1,Hi,Ross,fear,x,0,first,{REST}")
    with pytest.raises(CorpusError, match=r"dev_sent_emo\.csv, row 1, column Utterance_ID: expected a whole number"):
        meld.read(folder)
