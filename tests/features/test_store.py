import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from emoembed.errors import InputError, MediaError, MissingFileError, OutputError
from emoembed.features.feature_set import Features, FeatureSet
from emoembed.features.store import FeatureStore, extract

SET = FeatureSet("toy", ("a", "b"), 10.0)


@pytest.fixture(autouse=True)
def small_shards(monkeypatch):
    monkeypatch.setattr("emoembed.features.store.SHARD_SIZE", 2)


def features(length):
    return Features(np.full((length, 2), length, np.float32), SET)


def test_what_goes_in_comes_out(tmp_path):
    store = extract([(f"i{n}", n) for n in range(1, 8)], features, tmp_path / "s")
    again = FeatureStore(tmp_path / "s")
    assert again.feature_set == SET
    assert len(again) == len(store) == 7
    for n in range(1, 8):
        np.testing.assert_array_equal(again[f"i{n}"], features(n).values)
        assert again.length(f"i{n}") == n
    assert not [path for path in (tmp_path / "s").iterdir() if path.suffix in (".tmp", ".pkl")]


def test_a_killed_run_goes_on_where_its_last_shard_ended(tmp_path):
    done = []

    def dying(n):
        if n == 5 and 5 not in done:
            done.append(5)
            raise KeyboardInterrupt
        done.append(n)
        return features(n)

    items = [(f"i{n}", n) for n in range(1, 8)]
    with pytest.raises(KeyboardInterrupt):
        extract(items, dying, tmp_path / "s")
    assert len(FeatureStore(tmp_path / "s")) == 4
    store = extract(items, dying, tmp_path / "s")
    assert sorted(store) == [item for item, _ in items]
    assert done.count(1) == 1


def test_failures_are_kept_with_their_reason_and_not_tried_again(tmp_path):
    tried = []

    def failing(n):
        tried.append(n)
        if n == 2:
            raise MediaError("clip 2 is silent")
        return features(n)

    for _ in range(2):
        store = extract([("i1", 1), ("i2", 2), ("i3", 3)], failing, tmp_path / "s")
    assert store.failures == {"i2": "clip 2 is silent"}
    assert sorted(store) == ["i1", "i3"]
    assert tried == [1, 2, 3]


def test_failures_are_tried_again_when_asked_and_half_a_line_does_no_harm(tmp_path):
    def failing(n):
        raise MediaError("not yet there")

    extract([("i1", 1)], features, tmp_path / "s")
    extract([("i2", 2)], failing, tmp_path / "s")
    with (tmp_path / "s" / "failures.jsonl").open("a") as out:
        out.write('{"id": "i3", "rea')
    extract([("i4", 4)], failing, tmp_path / "s")
    assert FeatureStore(tmp_path / "s").failures == {"i2": "not yet there", "i4": "not yet there"}
    store = extract([("i2", 2), ("i3", 3)], features, tmp_path / "s", state_of=lambda _: "")
    assert sorted(store) == ["i1", "i2", "i3"]
    assert store.failures == {}


def test_two_extractions_into_one_store_take_turns(tmp_path):
    def slow(n):
        time.sleep(0.01)
        return features(n)

    names = [[(f"{who}{n}", n) for n in range(1, 8)] for who in "ab"]
    with ThreadPoolExecutor(2) as pool:
        list(pool.map(lambda items: extract(items, slow, tmp_path / "s"), names))
    store = FeatureStore(tmp_path / "s")
    assert sorted(store) == sorted(item for items in names for item, _ in items)
    np.testing.assert_array_equal(store["a3"], features(3).values)


def test_misuse_is_told(tmp_path):
    with pytest.raises(MissingFileError, match="is not a feature store"):
        FeatureStore(tmp_path)
    with pytest.raises(InputError, match="repeat an id"):
        extract([("a", 1), ("a", 2)], features, tmp_path / "s")
    extract([("a", 1)], features, tmp_path / "s")
    other = FeatureSet("other", ("a", "c"), 10.0)
    with pytest.raises(InputError, match="has toy features"):
        extract([("b", 1)], lambda n: Features(np.zeros((n, 2), np.float32), other), tmp_path / "s")


def test_a_store_that_cannot_be_created_is_told(tmp_path):
    (tmp_path / "file").write_text("no folder")
    with pytest.raises(OutputError, match=r"the store .*file/store cannot be created: Not a directory"):
        extract([("a", 1)], features, tmp_path / "file" / "store")


def test_a_full_disk_leaves_no_shard_that_is_not_whole(tmp_path):
    program = (
        "import resource, sys; import numpy as np\n"
        "from emoembed.errors import OutputError; from emoembed.features import store\n"
        "from emoembed.features.feature_set import Features, FeatureSet\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, 10_000))\n"
        "made = Features(np.ones((100, 50), np.float32), FeatureSet('x', tuple(map(str, range(50)))))\n"
        "try: store.extract([('a', 1)], lambda _: made, sys.argv[1])\n"
        "except OutputError as error: print('own', error)\n"
    )
    ran = subprocess.run([sys.executable, "-c", program, str(tmp_path / "s")], capture_output=True, text=True)
    assert ran.stdout.startswith("own"), ran.stderr
    assert [path.name for path in (tmp_path / "s").iterdir() if path.name.startswith("shard")] == []
    whole = extract([("a", 1)], lambda _: features(3), tmp_path / "t")
    assert len(whole["a"]) == 3


def test_an_item_whose_source_is_another_one_now_is_extracted_again(tmp_path):
    def run(lengths):
        return extract(
            [("a", lengths[0]), ("b", lengths[1])], features, tmp_path, state_of=lambda length: f"state {length}"
        )

    run([2, 3])
    made = run([2, 5])
    assert (made.length("a"), made.length("b")) == (2, 5)
    assert len(list(tmp_path.glob("shard-*.npy"))) == 2


def test_an_item_whose_source_cannot_be_told_stays_as_it_is(tmp_path):
    extract([("a", 2)], features, tmp_path, state_of=lambda _: "there")
    made = extract([("a", 5)], features, tmp_path, state_of=lambda _: "")
    assert made.length("a") == 2


def test_an_item_that_the_system_refused_is_tried_again_and_a_damaged_one_is_not(tmp_path):
    tried = []

    def reader(n):
        tried.append(n)
        if n == 1 and len(tried) < 3:
            raise MissingFileError("there is no file")
        if n == 2 and len(tried) < 3:
            raise MediaError("a.wav cannot be read") from PermissionError("denied")
        if n == 3:
            raise MediaError("damaged")
        return features(n)

    items = [(f"i{n}", n) for n in range(1, 5)]
    readable = [set(extract(items, reader, tmp_path / "s")), set(extract(items, reader, tmp_path / "s"))]
    assert readable == [{"i4"}, {"i1", "i2", "i4"}]
    assert tried == [1, 2, 3, 4, 1, 2]
    assert FeatureStore(tmp_path / "s").failures == {"i3": "damaged"}


def test_an_item_that_can_no_longer_be_read_is_not_served(tmp_path):
    state = {"a": "1", "b": "1"}
    extract([("a", "a"), ("b", "b")], lambda _: features(2), tmp_path / "s", state_of=state.get)
    state["a"] = "2"

    def damaged(source):
        raise MediaError("damaged")

    store = extract([("a", "a"), ("b", "b")], damaged, tmp_path / "s", state_of=state.get)
    assert set(store) == {"b"}
    assert store.failures == {"a": "damaged"}


def test_a_shard_of_long_items_is_written_before_it_fills_the_memory(tmp_path, monkeypatch):
    monkeypatch.setattr("emoembed.features.store.SHARD_SIZE", 256)
    monkeypatch.setattr("emoembed.features.store.SHARD_BYTES", features(10).values.nbytes * 2)
    extract([(f"i{n}", 10) for n in range(6)], features, tmp_path / "s")
    assert len(list((tmp_path / "s").glob("shard-*.npy"))) == 3


def test_a_name_longer_than_names_may_be_is_no_store():
    with pytest.raises(MissingFileError, match="no folder can be called"):
        FeatureStore("x" * 300)
