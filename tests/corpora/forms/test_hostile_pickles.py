"""Pickles made to harm: refused with the package's own error or read as plain data, in little memory and time."""

import os
import pickle
import random
import struct
import time
import tracemalloc
from collections import OrderedDict

import numpy as np
import pytest

from emoembed.corpora.forms.npz import read_npy, read_npz
from emoembed.corpora.forms.pickles import read_pickle
from emoembed.errors import CorpusFileError


def name(module, what):
    return f"c{module}\n{what}\n".encode()


def text(content):
    return b"X" + struct.pack("<I", len(content)) + content.encode()


def raw(content):
    return b"B" + struct.pack("<I", len(content)) + content


def number(value):
    return f"I{value}\n".encode()


def call(callee, *arguments):
    return callee + b"(" + b"".join(arguments) + b"tR"


def shape(*sizes):
    return b"(" + b"".join(map(number, sizes)) + b"t"


NDARRAY, DTYPE = name("numpy", "ndarray"), name("numpy", "dtype")
FROMBUFFER = name("numpy._core.numeric", "_frombuffer")
STRUCTURED = b"(" + number(3) + text("|") + b"N(" + text("a") + b"t}" + text("a") + b"N" + b"s" + number(8) + number(1)
HOSTILE = {
    "an array of objects over bytes": call(NDARRAY, shape(4), text("O"), raw(b"A" * 32)),
    "an array before its buffer": call(NDARRAY, shape(4096), text("u1"), raw(b"A" * 4096), number(-4096)),
    "an array far from its buffer": call(NDARRAY, shape(2, 3), text("f8"), raw(b"A" * 48), number(-(10**9))),
    "an array of 4e8 objects": call(NDARRAY, shape(4 * 10**8), text("O")),
    "a reconstructed array larger than its bytes": (
        call(name("numpy._core.multiarray", "_reconstruct"), NDARRAY, shape(0), text("b"))
        + b"("
        + number(1)
        + shape(10**9)
        + call(DTYPE, text("f8"), number(0), number(1))
        + b"I00\n"
        + raw(b"A" * 8)
        + b"tb"
    ),
    "an array of negative size": call(FROMBUFFER, raw(b"A" * 8), call(DTYPE, text("u1")), shape(-8), text("C")),
    "objects hidden in a structure": call(DTYPE, text("V8"), number(0), number(1)) + STRUCTURED + number(0) + b"tb",
    "a scalar of objects": call(name("numpy._core.multiarray", "scalar"), call(DTYPE, text("O")), raw(b"A" * 8)),
    "the defaults of encode altered": name("_codecs", "encode") + b"N}" + text("__defaults__") + b"N" + b"s\x86b",
    "the defaults of frombuffer altered": FROMBUFFER + b"N}" + text("__defaults__") + b"N" + b"s\x86b",
    "a bytearray of 3e9": call(name("builtins", "bytearray"), number(3 * 10**9)),
    "bytes said to be 4e9": b"\x80\x04\x8e" + struct.pack("<Q", 4 * 10**9) + b"x",
    "a key whose hash never ends": b"}"
    + b")q\x00"
    + b"".join(b"0(h" + bytes([i]) + b"h" + bytes([i]) + b"tq" + bytes([i + 1]) for i in range(30))
    + b"Ns",
    "lists that double 30 times": b"]q\x00"
    + b"".join(b"0]q" + bytes([i + 1]) + b"(h" + bytes([i]) + b"h" + bytes([i]) + b"e" for i in range(30)),
    "a list within itself": b"]q\x00h\x00a",
    "10,000 lists deep": b"]" * 10_000 + b"a" * 9_999,
    "a persistent id": b"Pos\n",
    "a class": b"\x80\x02" + name("builtins", "set") + b")\x81",
    "an instance": b"(ios\nsystem\n",
    "a global from the stack": b"\x80\x04\x8c\x02os\x8c\x06system\x93",
}
PLAIN = {"a memo of 150,000,000": b"N" + b"r" + struct.pack("<I", 150_000_000)}


def bounded(path):
    """What reading ends in; the memory and the time of it are held to limits."""
    tracemalloc.start()
    begin = time.perf_counter()
    try:
        return read_pickle(path)
    except CorpusFileError as error:
        return error
    finally:
        peak, took = tracemalloc.get_traced_memory()[1], time.perf_counter() - begin
        tracemalloc.stop()
        assert peak < path.stat().st_size + 200 * 2**20
        assert took < 2


@pytest.mark.parametrize("kind", HOSTILE)
def test_a_hostile_pickle_is_refused(tmp_path, kind):
    path = tmp_path / "data.pkl"
    path.write_bytes(HOSTILE[kind] + b".")
    before = (np._core.numeric._frombuffer.__defaults__, os.getcwd())
    assert isinstance(bounded(path), CorpusFileError)
    assert before == (np._core.numeric._frombuffer.__defaults__, os.getcwd())


@pytest.mark.parametrize("kind", PLAIN)
def test_what_only_looks_large_is_plain_data(tmp_path, kind):
    path = tmp_path / "data.pkl"
    path.write_bytes(PLAIN[kind] + b".")
    assert bounded(path) is None


def test_mutations_of_a_real_pickle_end_in_an_own_error_or_in_data(tmp_path):
    held = {
        "train": {
            "vision": np.random.default_rng(0).random((8, 5, 4), np.float32),
            "id": np.array([["a", "1"]] * 8),
            "labels": [1.0] * 8,
            "objects": np.array([{"emo": 1}, None, {2}], object),
        },
        "more": OrderedDict(a=b"raw", b=bytearray(b"x"), c=np.float64(1.5)),
    }
    contents = [pickle.dumps(held, protocol=protocol) for protocol in range(pickle.HIGHEST_PROTOCOL + 1)]
    generator = random.Random(0)
    refused, path = 0, tmp_path / "data.pkl"
    for i in range(500):
        content = bytearray(contents[i % len(contents)])
        for _ in range(generator.choice((1, 1, 2, 5, 20))):
            place = generator.randrange(len(content) - 20)
            kind = generator.choice(("change", "cut", "add"))
            if kind == "change":
                content[place] = generator.randrange(256)
            elif kind == "cut":
                del content[place : place + generator.randrange(1, 9)]
            else:
                content[place:place] = generator.randbytes(generator.randrange(1, 6))
        path.write_bytes(content)
        result = bounded(path)
        refused += isinstance(result, CorpusFileError)
        repr(result)  # whatever came back can be looked at
    assert 300 < refused < 500  # the others only altered a number or a letter


def big(value):
    return b"\x8a\x10" + value.to_bytes(16, "little")


FROZENSET, BYTEARRAY = name("builtins", "frozenset"), name("builtins", "bytearray")
SLOW = {
    "integers of one hash as members": b"\x8f(" + b"".join(big(k * (2**61 - 1)) for k in range(1, 20_000)) + b"\x90.",
    "integers of one hash as keys": b"}(" + b"".join(big(k * (2**61 - 1)) + b"N" for k in range(1, 20_000)) + b"u.",
    "one list made a set again and again": (
        b"]("
        + b"".join(b"M" + struct.pack("<H", k) for k in range(60_000))
        + b"eq\x000"
        + FROZENSET
        + b"q\x010]("
        + b"h\x01h\x00\x85R" * 5_000
        + b"e."
    ),
    "one text copied again and again": (
        raw(b"a" * 1_000_000) + b"q\x000" + BYTEARRAY + b"q\x010](" + b"h\x01h\x00\x85R" * 2_000 + b"e."
    ),
    "two million lists": b"](" + b"]" * 2_000_000 + b"e.",
    "a shape of large integers": (
        call(FROMBUFFER, raw(b""), call(DTYPE, text("f8")), b"(" + big(2**120) * 500 + b"t", text("C")) + b"."
    ),
    "a structured type of a text and numbers": (
        call(FROMBUFFER, raw(b"\xff" * 12), call(DTYPE, text("U1,f8")), shape(1), text("C")) + b"."
    ),
    "objects beside numbers": call(FROMBUFFER, raw(b"A" * 24), call(DTYPE, text("f4,O")), shape(2), text("C")) + b".",
}


@pytest.mark.parametrize("kind", SLOW)
def test_what_takes_long_or_much_memory_is_refused_on_the_way(tmp_path, kind):
    (tmp_path / "slow.pkl").write_bytes(SLOW[kind])
    begin = time.process_time()
    with pytest.raises(CorpusFileError):
        read_pickle(tmp_path / "slow.pkl")
    assert time.process_time() - begin < 2


def test_a_table_of_many_short_arrays_and_tuples_is_read(tmp_path):
    held = {f"video{i}_{j}": (np.full(3, i, np.float32), [j, "text"], ("a", i)) for i in range(200) for j in range(20)}
    (tmp_path / "many.pkl").write_bytes(pickle.dumps(held | {("a", 1): {1, 2}}))
    content = read_pickle(tmp_path / "many.pkl")
    assert len(content) == 4001
    assert content["video7_3"][2] == ("a", 7)
    np.testing.assert_array_equal(content["video7_3"][0], np.full(3, 7, np.float32))


def test_characters_that_there_are_not_are_refused(tmp_path):
    # NumPy takes them, and Python crashes when such a text is looked at
    path = tmp_path / "data.pkl"
    path.write_bytes(call(FROMBUFFER, raw(b"\xff" * 4), call(DTYPE, text("U1")), shape(1), text("C")) + b".")
    assert "characters that are not Unicode" in str(bounded(path))
    np.savez(tmp_path / "ids.npz", id=np.frombuffer(b"\xff" * 8, "u4"))
    archive = (tmp_path / "ids.npz").read_bytes().replace(b"'<u4'", b"'<U1'")
    (tmp_path / "ids.npz").write_bytes(archive)
    with pytest.raises(CorpusFileError):
        read_npz(tmp_path / "ids.npz")


def test_arrays_larger_than_their_file_are_refused(tmp_path):
    np.save(tmp_path / "a.npy", np.zeros((3, 4), np.float32))
    content = (tmp_path / "a.npy").read_bytes()
    (tmp_path / "a.npy").write_bytes(content.replace(b"(3, 4), ", b"(3, 99),"))
    with pytest.raises(CorpusFileError, match=r"a\.npy: not a NumPy array of numbers \(48 bytes for an array of shape"):
        read_npy(tmp_path / "a.npy")


def test_an_archive_that_unpacks_to_far_more_than_its_size_is_refused(tmp_path, monkeypatch):
    np.savez_compressed(tmp_path / "zeros.npz", zeros=np.zeros(9 * 2**20, np.float64))
    with pytest.raises(CorpusFileError, match="declares 75,497,600 unpacked bytes, more than 100 times"):
        read_npz(tmp_path / "zeros.npz")


def test_arrays_smaller_than_their_file_are_refused(tmp_path):
    np.save(tmp_path / "a.npy", np.zeros((3, 4), np.float32))
    (tmp_path / "a.npy").write_bytes((tmp_path / "a.npy").read_bytes() + bytes(4))
    with pytest.raises(CorpusFileError, match=r"a\.npy: not a NumPy array of numbers \(52 bytes for an array of shape"):
        read_npy(tmp_path / "a.npy")


def test_a_part_that_is_referred_to_forty_times_is_refused(tmp_path):
    (tmp_path / "data.pkl").write_bytes(pickle.dumps([bytes(1000)] * 40))
    assert "16 times the file's size" in str(bounded(tmp_path / "data.pkl"))


def test_an_array_of_texts_is_no_array_of_numbers(tmp_path):
    np.save(tmp_path / "a.npy", np.array(["a", "b"]))
    with pytest.raises(CorpusFileError, match=r"a\.npy: not a NumPy array of numbers; extract it again"):
        read_npy(tmp_path / "a.npy")


def test_any_damage_of_a_compressed_archive_of_objects_is_told(tmp_path):
    path = tmp_path / "a.npz"
    np.savez_compressed(path, objects=np.array([{"emo": i} for i in range(20_000)], object))
    content = path.read_bytes()
    for place in range(100, len(content) - 150, len(content) // 40):
        path.write_bytes(content[:place] + b"\xff" * 9 + content[place + 9 :])
        with pytest.raises(CorpusFileError):
            read_npz(path)
