import numpy as np
import pytest

from emoembed.corpora.readers import ravdess
from emoembed.errors import CorpusError


def touch(folder, *stems, suffix=".wav"):
    for stem in stems:
        path = folder / f"Actor_{stem[-2:]}" / f"{stem}{suffix}"
        path.parent.mkdir(exist_ok=True)
        path.touch()
    return folder


@pytest.fixture
def everyone(tmp_path):
    return ravdess.read(touch(tmp_path, *(f"03-01-02-01-01-01-{actor:02d}" for actor in range(1, 25))))


def test_reads_names_of_performances(tmp_path):
    touch(tmp_path, "03-01-06-02-01-02-01", suffix=".flac")
    touch(tmp_path, "03-01-08-01-02-01-24", "03-02-05-01-01-01-24")
    samples = ravdess.read(tmp_path).samples
    assert list(samples["id"]) == ["03-01-06-02-01-02-01", "03-01-08-01-02-01-24"]
    assert list(samples["labels"]) == [("fear",), ("surprise",)]
    assert list(samples["text"]) == ["Kids are talking by the door.", "Dogs are sitting by the door."]
    assert list(samples["speaker"]) == ["01", "24"]
    assert list(samples["split"]) == ["train", "test"]
    assert samples["audio"].iloc[0] == str(tmp_path / "Actor_01" / "03-01-06-02-01-02-01.flac")
    assert samples["video"].iloc[0] is None


def test_takes_of_one_performance_share_a_row(tmp_path):
    touch(tmp_path, "03-01-01-01-01-01-01")
    touch(tmp_path, "01-01-01-01-01-01-01", "02-01-01-01-01-01-01", "01-01-02-01-01-01-01", suffix=".mp4")
    touch(tmp_path, "02-01-03-01-01-01-01", suffix=".mp4")
    samples = ravdess.read(tmp_path).samples
    take = tmp_path / "Actor_01"
    assert list(samples["id"]) == [f"03-01-0{emotion}-01-01-01-01" for emotion in (1, 2, 3)]
    assert list(samples["audio"]) == [
        str(take / "03-01-01-01-01-01-01.wav"),
        str(take / "01-01-02-01-01-01-01.mp4"),
        None,
    ]
    assert list(samples["video"]) == [
        str(take / f"{name}-01-01-01-01.mp4") for name in ("01-01-01", "01-01-02", "02-01-03")
    ]


def test_default_split_is_by_actor(everyone):
    actors = everyone.samples.groupby("split")["speaker"].agg(lambda speakers: sorted(map(int, speakers)))
    assert actors["train"] == list(range(1, 17))
    assert actors["valid"] == [17, 18, 19, 20]
    assert actors["test"] == [21, 22, 23, 24]


def test_folds_test_each_actor_once_and_validate_on_two_of_each_sex(everyone):
    tested = []
    for fold in ravdess.folds(everyone):
        actors = {
            split: {int(name) for name in fold.split(split).samples["speaker"]} for split in ("train", "valid", "test")
        }
        assert set.union(*actors.values()) == set(range(1, 25))
        assert [len(actors[split]) for split in ("train", "valid", "test")] == [14, 4, 6]
        assert sum(actor % 2 for actor in actors["valid"]) == 2
        tested += sorted(actors["test"])
    assert tested == list(range(1, 25))


@pytest.mark.parametrize(
    ("stem", "message"),
    [("03-01-06-01", "expected a name MM-CC-EE-II-SS-RR-AA"), ("03-01-09-01-01-01-01", "with EE 01-08")],
)
def test_a_file_of_another_name_is_named(tmp_path, stem, message):
    with pytest.raises(CorpusError, match=rf"{stem}\.wav: .*{message}"):
        ravdess.read(touch(tmp_path, stem))


def test_action_units_are_joined_by_the_sound(tmp_path):
    pytest.importorskip("emoembed.features.tables", reason="emoembed.features.tables reads the action units")
    clips, frames = tmp_path / "clips.csv", tmp_path / "frames.csv"
    clips.write_text("clip,wav,emotion,AU01_r,AU28_c\n01-01-a,03-01-a,sad,0.5,1\n01-01-b,03-01-b,sad,0.25,0\n")
    frames.write_text("clip,frame,AU01_r,AU28_c\n01-01-a,0,0.5,1\n01-01-a,1,0.75,0\n01-01-b,0,0,0\n")
    by_clip = ravdess.read_action_units(clips)
    by_frame = ravdess.read_action_units(frames, frames=True)
    assert list(by_clip) == list(by_frame) == ["03-01-a", "03-01-b"]
    assert by_clip["03-01-a"].feature_set.columns == ("AU01_r", "AU28_c")
    np.testing.assert_array_equal(by_clip["03-01-b"].values, [[0.25, 0]])
    np.testing.assert_array_equal(by_frame["03-01-a"].values, [[0.5, 1], [0.75, 0]])
    assert by_frame["03-01-a"].feature_set.rate == pytest.approx(29.97, abs=0.001)


def test_a_table_without_action_units_is_named(tmp_path):
    pytest.importorskip("emoembed.features.tables", reason="emoembed.features.tables reads the action units")
    path = tmp_path / "clips.csv"
    path.write_text("clip,wav\n01-01-a,03-01-a\n")
    with pytest.raises(CorpusError, match=r"clips\.csv: no action units; expected columns such as AU12_r"):
        ravdess.read_action_units(path)
