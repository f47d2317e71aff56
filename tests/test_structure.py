"""The shape of the package: which part may import which, read from the syntax trees."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
LAYERS = [
    row.split()
    for row in (
        "errors features",
        "cache labels cues words",
        "layers statistics ridge detail augment encoders transformer projections reliability model_config model adapt "
        "attune",
        "tokenizer_files checkpoint",
        "corpora",
        "data metrics train_config objectives train run_state",
        "extraction preparation corpus_data recipes closed_form pretrained trunk",
        "evaluation",
        "process understanding inputs media label_notes arguments result answers card recognizer table_files progress "
        "rows scoring bulk "
        "fitting assess describe build commands cli __main__",
    )
]
"""The rows of the map in CONTRIBUTING.md: a part imports its own row and those above."""
CORE = [*LAYERS[1], *LAYERS[2]]


def modules():
    found = {}
    for folder, package in (("emoembed", "emoembed"), ("features", "emoembed.features")):
        for path in (ROOT / folder).rglob("*.py"):
            parts = path.relative_to(ROOT / folder).with_suffix("").parts
            name = ".".join((package, *(part for part in parts if part != "__init__")))
            found[name] = path
    return found


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


@pytest.mark.parametrize("name", CORE)
def test_the_core_knows_no_media(name):
    banned = ("librosa", "cv2", "av", "soundfile", "emoembed.features", "emoembed.corpora", "emoembed.train")
    assert not [other for other in imports(f"emoembed.{name}") if other.startswith(banned) and other != "average"]


def test_each_part_imports_its_own_row_of_the_map_and_those_above():
    layer = {part: place for place, parts in enumerate(LAYERS) for part in parts}
    for name in set(MODULES) - {"emoembed"}:
        part = name.split(".")[1]
        assert part in layer, f"{name} is in no row of the map"
        below = [
            other for other in imports(name) & set(MODULES) - {"emoembed"} if layer[other.split(".")[1]] > layer[part]
        ]
        assert not below, f"{name} imports {', '.join(below)}"


def test_the_map_names_every_part():
    said = (ROOT / "CONTRIBUTING.md").read_text()
    for part in (part for parts in LAYERS for part in parts):
        assert f"{part}.py`" in said or f"{part}/`" in said, part


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


def test_pickle_is_read_by_the_restricted_reader_alone_and_written_only_into_stand_ins():
    allowed = {"emoembed.corpora.pickles", "emoembed.corpora.synthetic_files"}
    for name, path in MODULES.items():
        tree = ast.parse(path.read_text())
        assert name in allowed or not imports(name) & {"pickle", "joblib", "dill"}, name
        calls = {ast.unparse(node.func) for node in ast.walk(tree) if isinstance(node, ast.Call)}
        assert not calls & {"torch.load", "torch.save", "pd.read_pickle", "pickle.load", "pickle.loads"}, name
