import h5py
import numpy as np
import pytest

from emoembed.corpora.forms import hdf5
from emoembed.corpora.forms.csd import ComputationalSequence, open_folder
from emoembed.errors import CorpusError, MissingFileError
from emoembed.features import limits


def write(path, entries, root="COVAREP", names=None):
    with h5py.File(path, "w") as file:
        for video, (values, intervals) in entries.items():
            group = file.create_group(f"{root}/data/{video}")
            group.create_dataset("features", data=values)
            group.create_dataset("intervals", data=intervals)
        held = file.create_group(f"{root}/metadata")
        if names:
            held.create_dataset("dimension names", (1,), dtype=h5py.string_dtype())[0] = names
    return path


def rows(count, dim=3):
    values = np.arange(count * dim, dtype=np.float32).reshape(count, dim)
    return values, np.stack([np.arange(count), np.arange(count) + 1], axis=1).astype(np.float32)


def test_reads_what_was_written_with_the_file_s_own_names(tmp_path):
    path = write(tmp_path / "a.csd", {"v": rows(4)}, names='["x", "y", "z"]')
    sequence = ComputationalSequence(path)
    np.testing.assert_array_equal(sequence["v"].values, rows(4)[0])
    assert (sequence.name, sequence.columns("audio"), list(sequence)) == ("COVAREP", ("x", "y", "z"), ["v"])


def test_entries_that_were_aligned_before_are_joined_in_the_order_of_time(tmp_path):
    values, intervals = rows(1)
    path = write(tmp_path / "a.csd", {"v[10]": (values + 9, intervals + 5), "v[2]": (values, intervals)})
    timed = ComputationalSequence(path)["v"]
    assert timed.values[:, 0].tolist() == [0, 9]
    assert timed.intervals[:, 0].tolist() == [0, 5]


def test_columns_without_names_are_refused_with_where_to_put_them(tmp_path):
    sequence = ComputationalSequence(write(tmp_path / "a.csd", {"v": rows(2)}))
    with pytest.raises(CorpusError, match=r"a\.csd: its 3 columns have no names.*a\.columns\.txt"):
        sequence.columns("video")
    (tmp_path / "a.columns.txt").write_text("one\ntwo\nthree\n")
    assert sequence.columns("video") == ("one", "two", "three")


def test_sets_of_a_known_size_have_their_published_names(tmp_path):
    sequence = ComputationalSequence(write(tmp_path / "a.csd", {"v": rows(2, 35)}))
    assert sequence.columns("video")[:3] == ("Anger", "Contempt", "Disgust")
    assert sequence.columns("text")[0] == "word_000"


def test_a_truncated_file_is_named_with_the_remedy(tmp_path):
    path = write(tmp_path / "a.csd", {"v": rows(2000, 74)})
    path.write_bytes(path.read_bytes()[:2000])
    with pytest.raises(CorpusError, match=r"a\.csd is not a complete HDF5 file.*fetch it again"):
        ComputationalSequence(path)
    (tmp_path / "b.csd").write_text("not HDF5")
    with pytest.raises(CorpusError, match="not a complete HDF5"):
        ComputationalSequence(tmp_path / "b.csd")


def test_other_errors_name_file_and_entry(tmp_path):
    values, intervals = rows(3)
    path = write(tmp_path / "a.csd", {"v": (values, intervals[:2])})
    with pytest.raises(CorpusError, match=r"a\.csd, v: .* do not fit"):
        ComputationalSequence(path)["v"]
    with h5py.File(tmp_path / "c.csd", "w") as file:
        file.create_group("x/other")
    with pytest.raises(CorpusError, match="not a computational sequence"):
        ComputationalSequence(tmp_path / "c.csd")
    with pytest.raises(MissingFileError):
        ComputationalSequence(tmp_path / "none.csd")


def test_a_file_without_a_video_is_refused(tmp_path):
    with h5py.File(tmp_path / "a.csd", "w") as file:
        file.create_group("COVAREP/data")
    with pytest.raises(CorpusError, match="COVAREP holds no video"):
        ComputationalSequence(tmp_path / "a.csd")


def test_two_files_of_one_name_are_refused(tmp_path):
    write(tmp_path / "a.csd", {"v": rows(2)})
    write(tmp_path / "b.csd", {"v": rows(2)})
    with pytest.raises(CorpusError, match=r"a\.csd and .*b\.csd both hold 'COVAREP'"):
        open_folder(tmp_path)


def test_a_file_of_column_names_in_another_encoding_is_named(tmp_path):
    with h5py.File(tmp_path / "a.csd", "w") as file:
        file["w/data/v/features"], file["w/data/v/intervals"] = np.zeros((4, 7)), np.zeros((4, 2))
    (tmp_path / "a.columns.txt").write_bytes(b"a b c d \xe9 f g")
    with pytest.raises(CorpusError, match=r"a\.columns\.txt, line 1: expected UTF-8 text"):
        ComputationalSequence(tmp_path / "a.csd").columns("text")


def test_one_long_word_in_many_rows_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(limits, "ARCHIVE_FREE", 2**16)
    monkeypatch.setattr(hdf5, "ARCHIVE_FREE", 2**16)
    with h5py.File(tmp_path / "a.csd", "w") as file:
        word = file.create_dataset("w/data/v1/features", (1,), dtype=h5py.string_dtype(), chunks=(1,))
        word[0] = "y" * 100_000
        file["w/data/v1/intervals"] = np.zeros((1, 2))
    with h5py.File(tmp_path / "a.csd", "r+") as file:
        _, reference = file["w/data/v1/features"].id.read_direct_chunk((0,))
        words = file.create_dataset("w/data/v2/features", (2000,), dtype=h5py.string_dtype(), chunks=(2000,))
        words.id.write_direct_chunk((0,), reference * 2000)
        file["w/data/v2/intervals"] = np.zeros((2000, 2))
    sequence = ComputationalSequence(tmp_path / "a.csd")
    assert sequence.words("v1") == ["y" * 100_000]
    with pytest.raises(CorpusError, match="more than 100 times the bytes of the file"):
        sequence["v2"]
