import pytest

from emoembed.corpora.readers import emorynlp
from emoembed.errors import CorpusError

HEADER = "Utterance,Speaker,Emotion,Scene_ID,Utterance_ID,Season,Episode,Start_Time,End_Time\n"


@pytest.fixture
def folder(tmp_path):
    rows = {
        "train": "\"Well, hi\",['Ross Geller'],Peaceful,1,2,1,15,,\n"
        "Yes!,\"['Joey Tribbiani', 'Ross Geller']\",Mad,1,3,1,15,,\n",
        "dev": 'Grr,"[""Joey\'s Sisters""]",Powerful,2,1,1,15,,\n',
        "test": "Oh,['Ross Geller'],Scared,4,1,1,1,,\n",
    }
    for split, content in rows.items():
        (tmp_path / f"emorynlp_{split}_final.csv").write_text(HEADER + content)
    return tmp_path


def test_reads_the_release_layout(folder):
    samples = emorynlp.read(folder).samples
    assert list(samples["id"]) == ["s1_e15_c1_u2", "s1_e15_c1_u3", "s1_e15_c2_u1", "s1_e1_c4_u1"]
    assert list(samples["labels"]) == [("peacefulness",), ("anger",), ("power",), ("fear",)]
    assert list(samples["speaker"]) == ["Ross Geller", "Joey Tribbiani, Ross Geller", "Joey's Sisters", "Ross Geller"]
    assert list(samples["split"]) == ["train", "train", "valid", "test"]
    assert list(samples["turn"]) == [2, 3, 1, 1]


def test_a_speaker_that_is_no_list_is_named(folder):
    (folder / "emorynlp_dev_final.csv").write_text(f"{HEADER}Grr,Ross Geller,Mad,2,1,1,15,,\n")
    with pytest.raises(
        CorpusError, match=r"column Speaker: expected a list such as \['Ross Geller'\], found 'Ross Geller'"
    ):
        emorynlp.read(folder)
