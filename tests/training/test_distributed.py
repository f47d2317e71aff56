"""Training in several processes learns what one process learns, and survives the loss of one of them."""

import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from emoembed.encoders.pooled import PooledSettings
from emoembed.errors import CheckpointError, InputError
from emoembed.model.config import ModalityConfig
from emoembed.training import loop
from emoembed.training.build import build
from emoembed.training.config import Execution, TrainConfig
from emoembed.training.execution.distributed import OWN_STORE, SHARED_STORE, Group, joined
from emoembed.training.manifest import train_manifest
from emoembed.training.ridge_maps import prepare

WORDS = {"joy": ("glad", "laugh", "won"), "sadness": ("cry", "lost", "grave"), "anger": ("shout", "broke", "unfair")}
OPTIONS = ("--epochs", "4", "--batch-size", "16", "--precision", "fp32", "--quiet")


@pytest.fixture(scope="module")
def rows(tmp_path_factory):
    """Texts of three labels; every fifth is a valid row."""
    draw = np.random.default_rng(0)
    lines = ["id,text,labels,split"]
    for i in range(120):
        label = list(WORDS)[i % 3]
        text = " ".join(draw.choice(["we", "they", "today", "at home"], 5)) + f" {draw.choice(WORDS[label])}"
        lines.append(f"r{i},{text},{label},{'valid' if i % 5 == 0 else 'train'}")
    path = tmp_path_factory.mktemp("rows") / "mine.csv"
    path.write_text("\n".join(lines) + "\n")
    return path


def start(rows, state, *torchrun):
    """A training as the command line starts it, with two processes if torchrun is given options."""
    arguments = ["train", "--manifest", rows, "--output", f"{state}-model", "--resume", state, *OPTIONS]
    command = [sys.executable, "-m", "torch.distributed.run", *torchrun, "-m", "emoembed", *arguments, "--distributed"]
    if not torchrun:
        command = [sys.executable, "-m", "emoembed", *arguments]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", OWN_STORE: "1"}
    return subprocess.Popen(
        list(map(str, command)), env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


def end(process):
    """Standard output of a process that succeeds."""
    out, err = process.communicate(timeout=200)
    assert process.returncode == 0, err
    return out


def curve(state):
    values = json.loads((Path(state) / "text" / "run.json").read_text())
    return values["losses"]


def ranks(state):
    """The processes that torchrun has started for a training."""
    process_ids = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            command, variables = (process / "cmdline").read_bytes(), (process / "environ").read_bytes()
        except OSError:
            continue
        if str(state).encode() in command and b"LOCAL_RANK=" in variables:
            process_ids.append(int(process.name))
    return process_ids


def test_two_processes_learn_what_one_learns_also_after_one_was_killed(rows, tmp_path):
    end(start(rows, tmp_path / "one"))
    pair = ("--standalone", "--nproc-per-node", "2")
    out = end(start(rows, tmp_path / "two", *pair))
    assert out.count("saved ->") == 1
    assert len(curve(tmp_path / "one")) == 4
    np.testing.assert_allclose(curve(tmp_path / "two"), curve(tmp_path / "one"), atol=1e-4)
    process = start(rows, tmp_path / "killed", *pair, "--max-restarts", "2")
    try:
        deadline = time.monotonic() + 120
        while not (tmp_path / "killed" / "text" / "run.json").exists():
            assert process.poll() is None, process.communicate()
            assert time.monotonic() < deadline
            time.sleep(0.02)
        assert len(curve(tmp_path / "killed")) < 4
        os.kill(ranks(tmp_path / "killed")[-1], signal.SIGKILL)
        end(process)
    finally:
        process.terminate()
    assert curve(tmp_path / "killed") == curve(tmp_path / "two")


@pytest.fixture
def fresh(word_table):
    def make(dropout=0.0):
        modality = ModalityConfig("units", "pooled", 24, tuple("abcdef"), PooledSettings(hidden=16, dropout=dropout))
        return build({"video": modality}, word_table, 0)

    return make


def test_a_batch_in_portions_gives_the_same_steps(fresh, toy, monkeypatch):
    monkeypatch.setattr("emoembed.encoders.pooled.SUMMARY_NOISE", 0.0)  # each portion draws its own
    config = TrainConfig(epochs=3, batch_size=16, bf16=False, pull=0.5, stay_close=0.1)

    def losses(portions):
        model = prepare(fresh(), toy(70))
        return loop.optimise(model, toy(70), toy(30, 2), config, execution=Execution(portions=portions)).losses

    np.testing.assert_allclose(losses(4), losses(1), atol=1e-5)


def test_a_run_on_other_rows_is_not_resumed(fresh, toy, tmp_path):
    config = TrainConfig(epochs=1, batch_size=16, bf16=False)
    loop.optimise(prepare(fresh(), toy(70)), toy(70), toy(30, 2), config, execution=Execution(resume=tmp_path))
    with pytest.raises(CheckpointError, match="rows"):
        loop.optimise(prepare(fresh(), toy(50)), toy(50), toy(30, 2), config, execution=Execution(resume=tmp_path))


@pytest.mark.parametrize("rows", [1, 2, 3, 5, 16])
@pytest.mark.parametrize("size", [1, 2, 4])
@pytest.mark.parametrize("portions", [1, 3])
def test_each_row_of_a_batch_is_computed_once(rows, size, portions):
    parts = [part for rank in range(size) for part in Group(rank, size).parts_of(np.arange(rows), portions)]
    assert sorted(np.concatenate(parts)) == list(range(rows))
    assert all(len(part) >= min(rows, 2) for part in parts)


def test_processes_draw_their_own_random_numbers(fresh, toy):
    run = loop._start_run(fresh(), TrainConfig(), 10)
    drawn = []
    for rank in (0, 1, 1):
        loop._seed_process(run, TrainConfig(), Group(rank, 2))
        drawn.append((torch.rand(1).item(), torch.rand(1, generator=run.noise).item()))
    assert drawn[0] != drawn[1]
    assert drawn[1] == drawn[2]


def test_without_torchrun_the_command_is_named(monkeypatch):
    monkeypatch.delenv("RANK", raising=False)
    with pytest.raises(InputError, match="torchrun --nproc-per-node 2 -m emoembed train"), joined():
        pass


def test_restarts_need_a_store_of_their_own(monkeypatch):
    for name in ("RANK", "WORLD_SIZE", "LOCAL_RANK", "MASTER_ADDR"):
        monkeypatch.setenv(name, "0")
    monkeypatch.setenv("TORCHELASTIC_MAX_RESTARTS", "2")
    monkeypatch.setenv(SHARED_STORE, "True")
    with pytest.raises(InputError, match=f"set {OWN_STORE}=1"), joined():
        pass


@pytest.mark.parametrize("device", ["cuda:0", "tpu", "cuda"])
def test_a_device_that_cannot_be_used_is_refused(monkeypatch, device):
    if device == "cuda" and torch.cuda.is_available():
        pytest.skip("there is a GPU")
    for name in ("RANK", "WORLD_SIZE", "LOCAL_RANK", "MASTER_ADDR"):
        monkeypatch.setenv(name, "0")
    with pytest.raises(InputError, match=f"given '{device}'|cannot be used here"), joined(device):
        pass


@pytest.mark.parametrize("value", [0, 1.5, True])
def test_a_wrong_number_of_portions_is_refused(value):
    with pytest.raises(InputError, match="portions must be"):
        Execution(portions=value)


def test_the_context_of_dialogues_needs_one_process(corpus_of):
    several = replace(Execution(), group=Group(0, 2))
    with pytest.raises(InputError, match="trained in one process"):
        train_manifest(corpus_of(["a", "b"], ["joy", "anger"]), context=True, execution=several)
