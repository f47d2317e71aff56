"""The sizes of the real corpora, against the figures their papers and releases publish."""

import os
from collections import Counter
from pathlib import Path

import pytest

from emoembed import corpora
from emoembed.corpora import manifest
from emoembed.corpora.readers import emodb, fer2013, iemocap, mosei_labels, ravdess

DATA = os.environ.get("EMOEMBED_DATA")
pytestmark = pytest.mark.skipif(DATA is None, reason="EMOEMBED_DATA names no folder with the real corpora")

SIZES = {
    "goemotions": {"train": 43410, "valid": 5426, "test": 5427},
    "dair_emotion": {"train": 16000, "valid": 2000, "test": 2000},
    "emocontext": {"train": 30160, "valid": 2755, "test": 5509},
    "meld": {"train": 9989, "valid": 1109, "test": 2610},
    "emorynlp": {"train": 7551, "valid": 954, "test": 984},
    "semeval2018": {"train": 6838, "valid": 886},
    "dailydialog": {"valid": 8069, "test": 7740},
    "iemocap_text": {"train": 5163, "valid": 647, "test": 1623},
    "ravdess": {"train": 960, "valid": 240, "test": 240},
    "tess": {"train": 2800},
    "emodb": {"train": 535},
    "emovo": {"valid": 294, "test": 294},
    "fer2013": {"train": 28558 - 692, "valid": 3579 - 46, "test": 3573},  # the copy with original pixels
    "ferplus": {"train": 26206, "valid": 3352, "test": 3369},  # without ties, unknown and no face
    "situations": {"train": 6018, "valid": 708, "test": 708},
    "brighter_eng": {"train": 2763, "valid": 115, "test": 2766},
    "covidet": {"train": 1200, "valid": 285, "test": 398},
    "eltea17": {"train": 2034},
    "emobench_eu": {"test": 200},
    "emoevent_en": {"train": 5112, "valid": 744, "test": 1447},
    "emolit_gold": {"train": 727},
    "emotionpush": {"train": 10708, "valid": 1202, "test": 2799},
    "enisear": {"train": 1001},
    "event2mind": {"train": 19802, "valid": 2292, "test": 2218},
    "goodnewseveryone": {"train": 4999},
    "plutchik_wheel": {"train": 2523},
    "po_emo_en": {"train": 176},
    "stockemotions": {"train": 8000, "valid": 1000, "test": 999},
    "tec": {"train": 21049},
    "wassa_essays": {"train": 1860},
    "xed": {"train": 27183},
}


@pytest.mark.parametrize("name", SIZES)
def test_sizes_are_the_published_ones_and_every_label_occurs(name):
    corpus = corpora.load(name, DATA)
    assert corpus.samples["split"].value_counts().to_dict() == SIZES[name]
    assert (corpus.counts().sum(axis=1) > 0).all()
    for modality in ("audio", "video"):
        paths = corpus.samples[modality].dropna()
        assert paths.empty or Path(paths.iloc[0]).is_file()


def test_dialogues_lie_in_one_split_each():
    for name, number in {"meld": 1432, "emorynlp": 827, "dailydialog": 2000, "iemocap_text": 151}.items():
        splits = corpora.load(name, DATA).samples.groupby("dialogue")["split"].nunique()
        assert len(splits) == number, name
        assert (splits == 1).all(), name


def test_iemocap_is_tested_on_31_dialogues_of_unheard_speakers():
    samples = corpora.load("iemocap_text", DATA).samples
    tested = samples["split"] == "test"
    assert samples["dialogue"][tested].nunique() == 31
    assert set(samples["speaker"][tested]).isdisjoint(samples["speaker"][~tested])


def test_the_conversation_split_of_the_release_is_that_of_the_transcripts():
    samples = corpora.load("iemocap_text", DATA).samples
    assert [iemocap.split_of(name) for name in samples["dialogue"]] == samples["split"].tolist()


def test_mosei_s_standard_folds():
    folds = Counter(mosei_labels.read_folds(Path(DATA) / "mosei").values())
    assert folds == {"train": 2249, "valid": 300, "test": 678}


def test_ravdess_has_24_actors_whose_folds_are_disjoint():
    corpus = corpora.load("ravdess", DATA)
    assert (corpus.samples.groupby("speaker").size() == 60).all()
    folds = ravdess.folds(corpus)
    for fold in folds:
        actors = [set(fold.split(split).samples["speaker"]) for split in ("train", "valid", "test")]
        assert sum(map(len, actors)) == len(set.union(*actors)) == 24
    assert sum(len(fold.split("test").samples) for fold in folds) == 1440


def test_ravdess_action_units_belong_to_its_rows():
    pytest.importorskip("emoembed.features.tables", reason="emoembed.features.tables reads the action units")
    folder = Path(DATA) / "ravdess_openface"
    clips = ravdess.read_action_units(folder / "ravdess_openface_au.csv.gz")
    assert set(clips) == set(corpora.load("ravdess", DATA).samples["id"])
    frames = ravdess.read_action_units(folder / "ravdess_openface_au_frames_actors01-05.csv.gz", frames=True)
    assert set(frames) <= set(clips)
    assert len(frames) == 300
    assert sum(len(features.values) for features in frames.values()) == 33493
    assert {features.values.shape[1] for features in (*clips.values(), *frames.values())} == {35}


def test_emodb_has_ten_speakers():
    divided = emodb.leave_one_speaker_out(corpora.load("emodb", DATA))
    assert len(divided) == 10
    assert sum(len(corpus.split("test").samples) for corpus in divided) == 535


def test_fer2013_is_whole_with_its_duplicates():
    corpus = fer2013.read(Path(DATA) / "fer2013", drop_duplicates=False)
    assert len(corpus.samples) == 35710
    assert corpus.samples["split"].value_counts().to_dict() == {"train": 28558, "valid": 3579, "test": 3573}


def test_meld_and_goemotions_survive_a_manifest(tmp_path):
    for name in ("meld", "goemotions"):
        corpus = corpora.load(name, DATA)
        manifest.write(corpus, tmp_path / "written.csv")
        again = manifest.read(tmp_path / "written.csv").samples
        assert again.equals(corpus.samples), name
