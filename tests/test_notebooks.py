"""The notebooks of the documentation run from the first cell to the last, offline, and are stored without results."""

import re
import shutil
import sys
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

ROOT = Path(__file__).parents[1]
NOTEBOOKS = sorted((ROOT / "docs" / "notebooks").glob("*.ipynb"))
BEFORE = """
import sys, warnings

def refuse(event, arguments):
    if event in ("socket.connect", "socket.getaddrinfo"):
        address = arguments[1] if event == "socket.connect" else arguments
        if isinstance(address, tuple) and address[0] not in ("127.0.0.1", "::1", "localhost"):
            raise OSError(f"a notebook must not use the network: {address}")

assert sys.executable == EXECUTABLE
sys.addaudithook(refuse)
warnings.simplefilter("error")
"""
"""A cell that runs first: it requires this interpreter, refuses the network, and turns warnings into errors."""


@pytest.fixture
def working_folder(tmp_path, monkeypatch):
    """An empty folder beside a copy of `examples`, as `docs/notebooks` is. Jupyter has no settings but its own."""
    for name in ("JUPYTER_CONFIG_DIR", "JUPYTER_DATA_DIR", "JUPYTER_RUNTIME_DIR", "IPYTHONDIR", "TMPDIR"):
        (tmp_path / name).mkdir()
        monkeypatch.setenv(name, str(tmp_path / name))
    shutil.copytree(ROOT / "examples", tmp_path / "examples")
    folder = tmp_path / "docs" / "notebooks"
    folder.mkdir(parents=True)
    return folder


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_runs_to_its_end_and_leaves_no_files(path, working_folder):
    notebook = nbformat.read(path, as_version=4)
    before = nbformat.v4.new_code_cell(BEFORE.replace("EXECUTABLE", repr(sys.executable)))
    notebook.cells.insert(0, before)
    client = NotebookClient(
        notebook, timeout=120, kernel_name="python3", resources={"metadata": {"path": str(working_folder)}}
    )
    client.execute()
    assert not list(working_folder.iterdir())


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_says_how_to_install_jupyter_and_how_to_open_it(path):
    begin = nbformat.read(path, as_version=4).cells[0].source
    assert re.search(r"`pip install \S+ jupyterlab`", begin)
    assert f"`jupyter lab docs/notebooks/{path.name}`" in begin


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_is_stored_without_results(path):
    notebook = nbformat.read(path, as_version=4)
    nbformat.validate(notebook)
    cells = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert cells
    assert not [cell.id for cell in cells if cell.outputs or cell.execution_count is not None]
    assert path.stat().st_size < 40_000
