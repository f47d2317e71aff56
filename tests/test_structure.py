"""The shape of the package: which part may import which, read from the syntax trees."""

import ast
import configparser
import subprocess
import sys
from pathlib import Path

import pytest

import emoembed

ROOT = Path(__file__).parents[1]
ROOMS = (
    *(
        "errors",
        "cache",
        "metrics",
        "features",
        "plots",
        "labels",
        "encoders",
        "model",
        "corpora",
        "reading",
        "training",
    ),
    *("transfer", "prediction", "evaluation", "interfaces", "sklearn"),
)
"""From the first to the last: a room imports itself and those before it. Some are files, such as `errors`."""
CORE = ("labels", "encoders", "model")


def modules():
    path_of = {}
    for folder, package in (("emoembed", "emoembed"), ("features", "emoembed.features")):
        for path in (ROOT / folder).rglob("*.py"):
            parts = path.relative_to(ROOT / folder).with_suffix("").parts
            name = ".".join((package, *(part for part in parts if part != "__init__")))
            path_of[name] = path
    return path_of


MODULES = modules()


def imports(name):
    """Every module a module names in an import, wherever the import stands."""
    seen = set()
    for node in ast.walk(ast.parse(MODULES[name].read_text())):
        if isinstance(node, ast.Import):
            seen |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            parts = {full for alias in node.names if (full := f"{node.module}.{alias.name}") in MODULES}
            seen |= parts
            if len(parts) < len(node.names):  # a name of the module itself, not only modules within it
                seen |= {node.module}
    return seen


@pytest.mark.parametrize("name", [name for name in MODULES if name.startswith("emoembed.features")])
def test_features_know_neither_torch_nor_the_rest(name):
    for other in imports(name):
        assert other.split(".")[0] != "torch"
        assert not other.startswith("emoembed.") or other.startswith(("emoembed.features", "emoembed.errors"))


def room_of(name):
    return name.split(".")[1]


@pytest.mark.parametrize("name", [name for name in MODULES if "." in name and room_of(name) in CORE])
def test_the_core_knows_no_media(name):
    banned = ("librosa", "cv2", "av", "soundfile", "emoembed.features", "emoembed.corpora", "emoembed.training")
    strange = [other for other in imports(name) if other.startswith(banned) and other.split(".")[0] != "average"]
    assert name.startswith("emoembed.model.checkpoint") or not strange, strange


def test_a_room_imports_itself_and_those_before_it():
    place = {room: i for i, room in enumerate(ROOMS)}
    for name in set(MODULES) - {"emoembed", "emoembed.__main__"}:
        assert room_of(name) in place, f"{name} is in no room"
        others = imports(name) & set(MODULES) - {"emoembed"}
        below = [other for other in others if place[room_of(other)] > place[room_of(name)]]
        assert not below, f"{name} imports {', '.join(below)}"


def test_the_map_names_every_room_in_this_order():
    contributing = (ROOT / "CONTRIBUTING.md").read_text()
    places = [contributing.index(f"`{room}/`") for room in ROOMS if (ROOT / "emoembed" / room).is_dir()]
    assert places == sorted(places)
    for room in ROOMS:
        assert f"`{room}/`" in contributing or f"`{room}.py`" in contributing, room


def test_a_room_is_small_enough_to_be_looked_over():
    for folder in (ROOT / "emoembed").rglob("*"):
        if folder.is_dir() and folder.name not in ("__pycache__", "readers"):  # there is one reader a corpus
            files = [path for path in folder.glob("*.py") if path.name != "__init__.py"]
            assert len(files) <= 14, f"{folder} holds {len(files)} files"


@pytest.mark.parametrize("name", MODULES)
def test_functions_are_short_and_take_few_arguments(name):
    for node in ast.walk(ast.parse(MODULES[name].read_text())):
        if isinstance(node, ast.FunctionDef):
            arguments = [*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs]
            own = [argument for argument in arguments if argument.arg not in ("self", "cls")]
            lines = node.end_lineno - node.lineno + 1
            assert lines <= 60, f"{node.name} has {lines} lines"
            assert len(own) <= 7, f"{node.name} takes {len(own)} arguments"
        assert not isinstance(node, ast.Assert), f"line {node.lineno} asserts; raise an error that says what to do"


def test_every_folder_of_modules_is_installed():
    config = configparser.ConfigParser()
    config.read(ROOT / "setup.cfg")
    installed = set(config["options"]["packages"].split()) - {"emoembed.checkpoints"}
    assert installed == {name for name, path in MODULES.items() if path.name == "__init__.py"}


def test_types_are_seldom_ignored():
    ignored = [name for name, path in MODULES.items() for _ in range(path.read_text().count("# type: ignore"))]
    assert len(ignored) < 6, ignored


def test_imports_run_one_way():
    graph = {name: {o for o in imports(name) if o in MODULES and o != name} for name in MODULES}
    graph.pop("emoembed")  # the lazy front door names its rooms
    done, path = set(), []

    def visit(name):
        assert name not in path, " -> ".join((*path, name))
        if name in done or name not in graph:
            return
        path.append(name)
        for other in sorted(graph[name]):
            visit(other)
        done.add(path.pop())

    for name in graph:
        visit(name)


def test_importing_the_package_loads_nothing_heavy():
    heavy = ("torch", "librosa", "cv2", "transformers", "gensim", "pandas")
    code = f"import sys, emoembed; print(' '.join(m for m in {heavy} if m in sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == ""


HANDS_OUT = {
    "emoembed.evaluation.held_out",
    "emoembed.interfaces.scale.ray_engine",
    "emoembed.prediction.manifests.batches",
}
"""Modules that pickle for the processes that they start. They read no file with it."""


def test_pickle_is_read_by_the_restricted_reader_alone_and_written_only_into_stand_ins():
    allowed = {"emoembed.corpora.forms.pickles", "emoembed.corpora.stand_in.files"}
    for name, path in MODULES.items():
        if name in HANDS_OUT:
            continue
        tree = ast.parse(path.read_text())
        assert name in allowed or not imports(name) & {"pickle", "joblib", "dill"}, name
        calls = {ast.unparse(node.func) for node in ast.walk(tree) if isinstance(node, ast.Call)}
        assert not calls & {"torch.load", "torch.save", "pd.read_pickle", "pickle.load", "pickle.loads"}, name


def test_dir_lists_the_public_names_and_no_others():
    assert dir(emoembed) == sorted([*emoembed.__all__, "__version__"])
    assert all(getattr(emoembed, name) is not None for name in dir(emoembed))
