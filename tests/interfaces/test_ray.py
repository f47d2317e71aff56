"""Rows scored and features extracted by the actors of a Ray cluster of two machines, both imitated on this one."""

import importlib.util
import os
import pickle
import signal
import subprocess
import sys
import threading
import time
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow.dataset
import pytest
import torch
from scipy.io import wavfile

import emoembed
from emoembed.errors import InputError, OutputError
from emoembed.features import workers
from emoembed.interfaces.options import WorkerOptions
from emoembed.interfaces.scale import Ray, ray_engine
from emoembed.prediction.manifests import scoring, tasks
from emoembed.prediction.recognizer import Recognizer

pytestmark = [
    pytest.mark.skipif(importlib.util.find_spec("ray") is None, reason="needs ray"),
    pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning"),
    pytest.mark.filterwarnings("ignore::FutureWarning", "ignore::DeprecationWarning"),
]
LABELS = ["joy", "anger"]


@pytest.fixture(scope="module")
def cluster():
    """Two machines of one core. Functions of this file are sent to the actors, which cannot import it."""
    import ray
    from ray.cluster_utils import Cluster

    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 1, "include_dashboard": False})
    cluster.add_node(num_cpus=1)
    ray.init(address=cluster.address, log_to_driver=False, logging_level="ERROR")
    ray.cloudpickle.register_pickle_by_value(sys.modules[__name__])
    yield cluster
    ray.shutdown()
    cluster.shutdown()


@pytest.fixture
def rows(tmp_path, voice):
    """Texts and recordings; one recording is missing."""
    wavfile.write(tmp_path / "a.wav", 16_000, (voice() * 2**15).astype(np.int16))
    lines = [f"t{i},so merry {i % 7}," for i in range(250)] + ["s0,,a.wav", "s1,,b.wav", "s2,so cross,a.wav"]
    (tmp_path / "in.csv").write_text("\n".join(["id,text,audio", *lines]) + "\n")
    return tmp_path / "in.csv"


def parent_of(process):
    return int(Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[1])


def actors():
    """The processes of the actors that do portions, of the cluster that this process has started."""
    processes = []
    for file in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            ancestor = int(file.parent.name)
            if file.read_bytes().startswith(b"ray::MapWorker"):
                while ancestor not in (0, os.getpid()):
                    ancestor = parent_of(ancestor)
                processes += [int(file.parent.name)] if ancestor else []
        except OSError:
            continue
    return processes


def wait_for(condition, seconds=60):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.05)


def greet(state):
    os.environ["GREETING"] = pickle.loads(state)


def large_answer(folder, number):
    """A megabyte, which stays in the memory of the machine that made it. A file counts the tries."""
    assert os.environ["GREETING"] == "hello"
    (folder / f"{number}-{time.monotonic_ns()}").touch()
    time.sleep(0.1)
    return np.full(2**17, number, dtype=np.float64)


def stops_at_seven(number):
    assert os.environ["GREETING"] == "hello"
    if number == 7:
        os.kill(os.getpid(), signal.SIGKILL)
    return number


def fails_at_three(number):
    if number == 3:
        raise InputError("three is wrong")
    return number


def not_prepared(_):
    raise ValueError("no model")


def test_actors_write_the_table_of_two_processes_byte_for_byte(cluster, rows, three_model):
    recognizer = Recognizer(three_model)
    local, far = (rows.with_name(f"{name}.csv") for name in ("local", "far"))
    summary = scoring.predict_manifest(recognizer, rows, LABELS, local, workers=2)
    assert scoring.predict_manifest(recognizer, rows, LABELS, far, workers=Ray(actors=2)) == summary
    assert list(summary.failures) == ["s1"]
    assert far.read_bytes() == local.read_bytes()


def test_features_are_those_of_this_machine(cluster, rows, tmp_path):
    here, far = (tasks.extract_features(rows, "audio", tmp_path / str(n), workers=n) for n in (1, Ray(actors=2)))
    assert list(here) == list(far) == ["s0", "s2"]
    assert here.failures == far.failures
    for item in here:
        np.testing.assert_array_equal(here[item], far[item])


def test_a_killed_actor_and_a_lost_machine_lose_nothing(cluster, tmp_path):
    machine, tries = cluster.add_node(num_cpus=1), lambda: len(list(tmp_path.iterdir()))

    def disturb():
        wait_for(lambda: len(actors()) == 3 and tries() > 20)
        os.kill(actors()[0], signal.SIGKILL)
        wait_for(lambda: tries() > 50)
        cluster.remove_node(machine)

    thread = threading.Thread(target=disturb, daemon=True)
    thread.start()
    task = partial(large_answer, tmp_path)
    for number, answer in enumerate(Ray(actors=3).in_order(task, range(120), str, greet, pickle.dumps("hello"))):
        assert answer.shape == (2**17,)
        assert answer[0] == number
    assert number == 119
    thread.join(timeout=60)
    assert not thread.is_alive()
    assert tries() > 120  # some were done again


def test_an_item_that_stops_its_process_each_time_gets_the_answer_for_it(cluster):
    state = pickle.dumps("hello")
    answers = Ray(actors=2).in_order(stops_at_seven, range(20), lambda item: f"{item} stopped", greet, state)
    assert list(answers) == [*range(7), "7 stopped", *range(8, 20)]


def test_many_items_are_handed_out_in_turns(cluster, monkeypatch):
    monkeypatch.setattr(ray_engine, "AT_ONCE", 5)
    read = []
    answers = Ray(actors=2).in_order(abs, (read.append(n) or -n for n in range(25)), stopped=str)
    assert next(answers) == 0
    assert len(read) == 10
    assert list(answers) == list(range(1, 25))


def test_a_cluster_without_gpus_and_an_exported_encoder_are_refused(cluster, rows, text_model, tmp_path):
    with pytest.raises(OutputError, match=r"an actor needs a core and 1 GPUs; the cluster has . cores and 0 GPUs"):
        list(Ray(gpus=1).in_order(abs, [1], stopped=str))
    text_model.modality("text").encoder.train(False)
    text_model.modality("text").encoder.use_onnx(tmp_path)
    with pytest.raises(InputError, match="a cluster computes with torch"):
        scoring.predict_manifest(Recognizer(text_model), rows, LABELS, tmp_path / "out.csv", workers=Ray())


def test_an_error_of_a_task_is_raised_as_it_is(cluster):
    with pytest.raises(InputError, match="three is wrong"):
        list(Ray(actors=2).in_order(fails_at_three, range(5), stopped=str))


def test_an_actor_that_cannot_be_prepared_is_reported(cluster):
    with pytest.raises(OutputError, match=r"the actors cannot work: .*no model"):
        list(Ray(actors=1).in_order(abs, range(3), stopped=str, setup=not_prepared, state=pickle.dumps(1)))


def test_the_actors_read_parts_at_an_address_and_write_the_scores_there(cluster, rows):
    folder, one = rows.parent, rows.with_name("one.csv")
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # as an actor
    scoring.predict_manifest(emoembed.load("base"), rows, LABELS, one)
    torch.set_num_threads(threads)
    table = pd.read_csv(rows)
    table["audio"] = table["audio"].map("../{}".format, na_action="ignore")
    (folder / "calls").mkdir()
    table[:200].to_parquet(folder / "calls" / "a.parquet")
    table[200:].to_parquet(folder / "calls" / "b.parquet")
    options = ["--labels", "joy,anger", "--engine", "ray", "--address", cluster.address, "--num-actors", "2"]
    places = ["--manifest", f"file://{folder}/calls", "--output", f"file://{folder}/scores", "--part-rows", "100"]
    command = [sys.executable, "-m", "emoembed", "predict", *places, *options]
    done = subprocess.run(command, capture_output=True, text=True, timeout=240)
    assert "252 of 253 rows scored" in done.stdout, done.stderr
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    written = pyarrow.dataset.dataset(str(folder / "scores")).to_table().to_pandas()
    paths = ["audio", "error"]  # the reason names the path of the missing recording
    assert written.drop(columns=paths).to_csv(index=False) == pd.read_csv(one).drop(columns=paths).to_csv(index=False)
    assert len(list((folder / "scores").glob("*.parquet"))) == 3


@pytest.mark.parametrize(
    "options",
    [
        *({"actors": actors} for actors in (0, True, 1.5, "two")),
        *({"gpus": gpus} for gpus in (-1.0, float("nan"), "one")),
    ],
)
def test_a_wrong_number_is_refused(options):
    with pytest.raises(InputError, match="must be"):
        Ray(**options)


@pytest.mark.parametrize(
    ("options", "device", "message"),
    [
        ({"address": "auto"}, "cpu", "need --engine ray"),
        ({"num_actors": 2}, "cpu", "need --engine ray"),
        ({"engine": "ray", "workers": 2}, "cpu", "in place of --workers and --device"),
        ({"engine": "ray"}, "cuda", "in place of --workers and --device"),
    ],
)
def test_options_that_do_not_go_together_are_refused(options, device, message):
    with pytest.raises(InputError, match=message):
        WorkerOptions(**options).processes(device)


def test_without_ray_the_extra_is_named(monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: None)
    with pytest.raises(InputError, match=r"emoembed\[scale\]"):
        Ray()


def test_an_engine_is_a_number_of_workers():
    assert workers.require_workers(Ray(actors=3)) == Ray(actors=3)
