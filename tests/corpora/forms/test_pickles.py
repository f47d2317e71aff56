import io
import os
import pickle
import zipfile
from collections import OrderedDict

import numpy as np
import pytest

from emoembed.corpora.forms.npz import read_npz
from emoembed.corpora.forms.pickles import read_pickle
from emoembed.errors import CorpusError, MissingFileError


class Hostile:
    def __init__(self, command):
        self.command = command

    def __reduce__(self):
        return os.system, (self.command,)


def test_a_hostile_pickle_is_refused_by_name_and_never_runs(tmp_path):
    trace = tmp_path / "trace"
    path = tmp_path / "data.pkl"
    path.write_bytes(pickle.dumps({"train": Hostile(f"touch {trace}")}))
    with pytest.raises(CorpusError, match=r"data\.pkl: this pickle asks for (posix|nt)\.system.*refused"):
        read_pickle(path)
    assert not trace.exists()


@pytest.mark.parametrize("name", ["builtins.eval", "builtins.getattr", "numpy.load", "codecs.decode", "os.open"])
def test_no_other_callable_is_admitted(tmp_path, name):
    module, function = name.rsplit(".", 1)
    path = tmp_path / "data.pkl"
    path.write_bytes(f"c{module}\n{function}\n(V1\ntR.".encode())
    with pytest.raises(CorpusError, match=f"asks for {module}.{function}"):
        read_pickle(path)


def test_no_codec_but_latin1_is_looked_up(tmp_path):
    path = tmp_path / "data.pkl"
    path.write_bytes(b"c_codecs\nencode\n(Vabc\nVrot13\ntR.")
    with pytest.raises(CorpusError, match="codec 'rot13'"):
        read_pickle(path)


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_arrays_and_plain_containers_load_whatever_the_protocol(tmp_path, protocol):
    held = {
        "numbers": np.arange(6, dtype=np.float32).reshape(2, 3),
        "names": np.array([[b"video", b"0.5"]], dtype="S8"),
        "objects": np.array([{"emo": "happy"}, None], dtype=object),
        "plain": OrderedDict(a=[1, 2.5, None, True], b=({"x"}, b"raw", "text")),
        "scalar": np.float64(1.5),
    }
    path = tmp_path / "data.pkl"
    path.write_bytes(pickle.dumps(held, protocol=protocol))
    back = read_pickle(path)
    np.testing.assert_array_equal(back["numbers"], held["numbers"])
    np.testing.assert_array_equal(back["names"], held["names"])
    assert back["objects"][0] == {"emo": "happy"}
    assert (back["plain"], back["scalar"]) == (held["plain"], 1.5)


def test_a_python_2_pickle_loads(tmp_path):
    # what Python 2's NumPy wrote for {'x': array([1., 2.])}: byte strings, and numpy.core by its old name
    content = (
        b"(dp0\nS'x'\np1\ncnumpy.core.multiarray\n_reconstruct\np2\n(cnumpy\nndarray\np3\n(I0\ntp4\nS'b'\np5\ntp6\nRp7\n"
        b"(I1\n(I2\ntp8\ncnumpy\ndtype\np9\n(S'f8'\np10\nI0\nI1\ntp11\nRp12\n(I3\nS'<'\np13\nNNNI-1\nI-1\nI0\ntp14\nbI00\n"
        b"S'\\x00\\x00\\x00\\x00\\x00\\x00\\xf0?\\x00\\x00\\x00\\x00\\x00\\x00\\x00@'\np15\ntp16\nbs."
    )
    path = tmp_path / "old.p"
    path.write_bytes(content)
    assert read_pickle(path)["x"].tolist() == [1.0, 2.0]


@pytest.mark.parametrize("content", [b"", b"no pickle", pickle.dumps(np.zeros(1000))[:300]])
def test_a_broken_pickle_is_named(tmp_path, content):
    path = tmp_path / "data.pkl"
    path.write_bytes(content)
    with pytest.raises(CorpusError, match=r"data\.pkl is not a complete pickle"):
        read_pickle(path)
    with pytest.raises(MissingFileError):
        read_pickle(tmp_path / "none.pkl")


def test_npz_gives_plain_arrays_and_objects(tmp_path):
    np.savez_compressed(tmp_path / "label.npz", whole_corpus={"clip": {"emo": 1}}, numbers=np.arange(3))
    held = read_npz(tmp_path / "label.npz")
    assert held["whole_corpus"] == {"clip": {"emo": 1}}
    assert held["numbers"].tolist() == [0, 1, 2]


def test_a_hostile_npz_is_refused(tmp_path):
    trace, stream = tmp_path / "trace", io.BytesIO()
    np.save(stream, np.array(Hostile(f"touch {trace}"), dtype=object), allow_pickle=True)
    with zipfile.ZipFile(tmp_path / "label.npz", "w") as archive:
        archive.writestr("whole_corpus.npy", stream.getvalue())
    with pytest.raises(CorpusError, match=r"whole_corpus\.npy: this pickle asks for .*system"):
        read_npz(tmp_path / "label.npz")
    assert not trace.exists()
    (tmp_path / "bad.npz").write_bytes(b"PK nothing")
    with pytest.raises(CorpusError, match=r"not a complete \.npz"):
        read_npz(tmp_path / "bad.npz")


def test_arrays_keep_their_order_of_axes_and_of_bytes_and_are_read_only(tmp_path):
    numbers = np.arange(6.0).reshape(2, 3)
    held = {"columns first": np.asfortranarray(numbers), "big-endian": numbers.astype(">f4"), "plain": numbers}
    (tmp_path / "data.pkl").write_bytes(pickle.dumps(held, protocol=4))
    np.savez(tmp_path / "data.npz", **held)
    for back in (read_pickle(tmp_path / "data.pkl"), read_npz(tmp_path / "data.npz")):
        for array in back.values():
            np.testing.assert_array_equal(array, numbers)
            assert not array.flags.writeable
