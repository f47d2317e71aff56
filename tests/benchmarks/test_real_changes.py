"""Real recordings and faces, changed in ways that change no emotion: the answers stay."""

import importlib.util
import os
from pathlib import Path

import numpy as np
import pytest

DATA = os.environ.get("EMOEMBED_DATA")
BENCHMARKS = Path(__file__).parents[2] / "benchmarks"
HARMLESS = [
    "offset-0.01",
    "offset-0.1",
    "noise-pad-half-second",
    "noise-pad-two-seconds",
    "click-before",
    "44.1kHz",
]
pytestmark = pytest.mark.skipif(DATA is None, reason="EMOEMBED_DATA names no folder of corpora")


def script(name):
    spec = importlib.util.spec_from_file_location(name, BENCHMARKS / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_offset_faint_noise_a_click_and_another_rate_leave_nine_answers_of_ten():
    channel = script("channel")
    table = channel.measure(Path(DATA), "base", variants=["unchanged", *HARMLESS], every=4)
    same = table.set_index("variant")["same"]
    assert (same[HARMLESS] >= 0.9).all(), same
    assert (table["refused"] == 0).all()


def test_enlarged_faces_are_told_as_well_as_those_of_48_pixels():
    table = script("enlarged_faces").measure(Path(DATA), "valid", every=6).set_index("pixels")
    assert (table["accuracy"] >= table["accuracy"][48] - 0.02).all(), table
    assert (table["no answer"] == 0).all()
    assert np.isclose(table["taken whole"][48], 0)
