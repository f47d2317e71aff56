import os
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


@pytest.mark.parametrize("target", ["report", "report-full", "report-dialogue", "blendshapes", "checkpoint"])
def test_what_needs_corpora_asks_for_them_before_it_installs_anything(target, tmp_path):
    environment = {name: value for name, value in os.environ.items() if name not in ("EMOEMBED_DATA", "DATA")}
    call = ["make", "--no-print-directory", "-f", ROOT / "Makefile", "-C", tmp_path, target]
    done = subprocess.run(call, capture_output=True, text=True, env=environment)
    assert done.returncode == 2
    assert f"name the folder that holds the corpora: make {target} DATA=DIR" in done.stdout
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("version", "message"), [("", "name the version"), ("99.0.0", "emoembed/__init__.py has another version")]
)
def test_a_release_of_another_version_is_refused_before_any_work(version, message):
    call = ["make", "--no-print-directory", "-C", ROOT, "release", f"VERSION={version}"]
    done = subprocess.run(call, capture_output=True, text=True)
    assert done.returncode == 2
    assert message in done.stdout
