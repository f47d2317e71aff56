import h5py
import pytest

from emoembed.corpora.forms import hdf5
from emoembed.errors import CorpusFileError, MissingFileError


def test_a_data_set_that_declares_far_more_than_its_file_holds_is_refused(tmp_path):
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file.create_dataset("x", (9 * 2**20,), "f8", chunks=(2**16,))  # nothing of it is written
    said = "declares 75,497,472 bytes, more than 100 times the file's size"
    with hdf5.open_file(tmp_path / "a.h5") as file, pytest.raises(CorpusFileError, match=said):
        hdf5.read_values(file["x"], tmp_path / "a.h5", "x")


def test_a_file_is_opened_for_reading_alone(tmp_path):
    h5py.File(tmp_path / "a.h5", "w").close()
    with hdf5.open_file(tmp_path / "a.h5") as file:
        assert file.mode == "r"
    with pytest.raises(MissingFileError, match="there is no"):
        hdf5.open_file(tmp_path / "none.h5")


def test_values_that_lie_in_another_file_are_not_read(tmp_path):
    (tmp_path / "secret").write_bytes(b"a" * 40)
    with h5py.File(tmp_path / "other.h5", "w") as file:
        file["x"] = range(5)
    layout = h5py.VirtualLayout((5,), dtype="i8")
    layout[:] = h5py.VirtualSource(tmp_path / "other.h5", "x", (5,))
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file.create_dataset("stored outside", (40,), "u1", external=[(str(tmp_path / "secret"), 0, 40)])
        file.create_virtual_dataset("virtual", layout)
        file["linked"] = h5py.ExternalLink(str(tmp_path / "other.h5"), "/x")
    with hdf5.open_file(tmp_path / "a.h5") as file:
        for name in ("stored outside", "virtual", "linked"):
            with pytest.raises(CorpusFileError, match="links to another file"):
                hdf5.read_values(file[name], tmp_path / "a.h5", name)
