"""The examples in docstrings work as printed, and each name of the reference has one."""

import doctest
import inspect
import re
import tempfile
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from pkgutil import resolve_name, walk_packages

import pytest

import emoembed
import emoembed.features

ROOT = Path(__file__).parents[1]
OPTIONAL = ("emoembed.interfaces.demo", "emoembed.interfaces.serving")
"""Rooms that need the packages of an extra."""
PROMPT = re.compile(r"^ *>>> ", re.MULTILINE)


def modules():
    """Module -> number of its examples, read from the source, so that collecting the tests imports little."""
    counts = {}
    for package in (emoembed, emoembed.features):
        for module in walk_packages(package.__path__, f"{package.__name__}."):
            if not module.name.startswith(OPTIONAL):
                source = find_spec(module.name).loader.get_source(module.name)
                counts[module.name] = len(PROMPT.findall(source))
    return {name: count for name, count in counts.items() if count}


MODULES = modules()


@pytest.fixture(autouse=True)
def _tiny_whisper():
    """Examples run as for a reader: with the weights that ship, not the tiny ones of `conftest.py`."""


@pytest.mark.parametrize("name", MODULES)
def test_the_examples_of_a_module_work(name, tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.setenv("EMOEMBED_CACHE", str(tmp_path / "cache"))
    tests = doctest.DocTestFinder().find(import_module(name), globs={})  # an example imports what it uses
    assert sum(len(test.examples) for test in tests) == MODULES[name]
    runner, report = doctest.DocTestRunner(), []
    for test in tests:
        runner.run(test, out=report.append)
    assert not runner.failures, "".join(report)


def has_example(docstring):
    """Whether a docstring has a section of examples with at least one prompt."""
    return re.search(r"^ *Examples:\n(?:.*\n)*? +>>> ", inspect.cleandoc(docstring or "") + "\n", re.MULTILINE)


def members(target):
    """The public functions, classes and properties that a class or a module defines."""
    own = {name: part for name, part in vars(target).items() if not name.startswith("_")}
    if inspect.ismodule(target):
        return [part for part in own.values() if getattr(part, "__module__", None) == target.__name__]
    return list(own.values()) if inspect.isclass(target) else []


def test_every_name_of_the_reference_has_an_example():
    pages = sorted((ROOT / "docs" / "reference").glob("*.md"))
    names = [name for page in pages for name in re.findall(r"^::: (\S+)", page.read_text(), re.MULTILINE)]
    assert len(names) > 20
    missing = []
    for name in names:
        target = resolve_name(name)
        if not any(has_example(part.__doc__) for part in (target, *members(target))):
            missing.append(name)
    assert not missing, f"no example: {', '.join(missing)}"
