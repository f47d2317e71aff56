"""A photograph of a face, the demo film, and noise without a face."""

import importlib.util
from pathlib import Path

import numpy as np
import pytest


@pytest.fixture(scope="session")
def astronaut():
    data = pytest.importorskip("skimage.data", reason="the test face is scikit-image's astronaut")
    return data.astronaut()


@pytest.fixture(scope="session")
def demo():
    spec = importlib.util.spec_from_file_location(
        "make_demo_media", Path(__file__).parents[2] / "examples" / "make_demo_media.py"
    )
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="session")
def media(demo, tmp_path_factory):
    return demo.make_demo_media(tmp_path_factory.mktemp("demo") / "made" / "media")


@pytest.fixture
def noise():
    return np.random.default_rng(0).integers(0, 256, (12, 240, 320, 3), dtype=np.uint8)
