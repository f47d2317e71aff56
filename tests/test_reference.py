"""The reference pages name every public function and every column, and the metadata say what the documentation says."""

import configparser
import re
from importlib import import_module
from pathlib import Path
from pkgutil import resolve_name

import pandas as pd
import pytest

import emoembed
from emoembed.corpora.corpus import COLUMNS
from emoembed.prediction.manifests.scoring import predict_manifest
from emoembed.prediction.recognizer import Recognizer

ROOT = Path(__file__).parents[1]
LABELS = ["joy", "anger"]


def documented():
    """What the reference pages document: names and their modules."""
    pages = (ROOT / "docs" / "reference").glob("*.md")
    return [resolve_name(name) for page in pages for name in re.findall(r"^::: (\S+)", page.read_text(), re.MULTILINE)]


@pytest.mark.parametrize("name", emoembed.__all__)
def test_every_public_name_is_on_a_page_of_the_reference(name):
    target, pages = getattr(emoembed, name), documented()
    assert target in pages or import_module(target.__module__) in pages


def columns_in(heading):
    """The columns that a section of the page of columns lists."""
    page = (ROOT / "docs" / "reference" / "columns.md").read_text()
    section = re.search(rf"^## {heading}\n(.*?)(?=^## |\Z)", page, re.MULTILINE | re.DOTALL)[1]
    cells = re.findall(r"^\| (.*?) \|", section, re.MULTILINE)
    return {name for cell in cells for name in re.findall(r"`(\w+)`", cell)}


def general(columns):
    """Columns as the page writes them: NAME for a label, MODALITY for text, audio or video."""
    written = {re.sub(r"^weight_\w+$", "weight_MODALITY", name) for name in columns}
    written = {"NAME" if name in LABELS else name for name in written}
    return {re.sub(rf"^(text|audio|video)_({'|'.join(LABELS)})$", "MODALITY_NAME", name) for name in written}


def test_the_page_lists_the_columns_of_manifests():
    assert columns_in("Manifests") == set(COLUMNS)


@pytest.mark.parametrize("context", [False, True])
def test_the_page_lists_every_column_of_a_table_of_scores(context, three_model, tmp_path):
    texts = pd.DataFrame({"text": ["so merry", "so cross"], "dialogue": "a", "turn": [0, 1]})
    texts.to_csv(tmp_path / "texts.csv", index=False)
    output = tmp_path / "scores.csv"
    predict_manifest(Recognizer(three_model), tmp_path / "texts.csv", LABELS, output, context=context)
    written = general(set(pd.read_csv(output)) - {"id", *texts})
    in_context = set() if context else {"label_alone", "context_turns"}
    assert written == columns_in("Scores of a manifest") - in_context


def test_the_page_lists_every_column_of_a_timeline(three_model, voice):
    turns = [{"text": "so merry", "start": 0, "end": 4}]
    timeline = Recognizer(three_model).timeline((voice(4.0), 16_000), LABELS, transcript=turns, window=4.0)
    of_others = {"file", "face"}  # of several recordings, and of films
    assert general(timeline.to_frame()) == columns_in("Timelines") - of_others


def test_the_page_lists_every_column_of_a_dialogue(three_model):
    table = Recognizer(three_model).predict_dialogue(["so merry", "so cross"], LABELS).to_frame()
    assert general({table.index.name, *table}) == columns_in("Dialogues")


@pytest.fixture(scope="module")
def metadata():
    parser = configparser.ConfigParser()
    parser.read(ROOT / "setup.cfg")
    return parser


def test_the_metadata_name_the_licence_of_the_code_and_that_of_each_model(metadata):
    code, weights = metadata["metadata"]["license_expression"].split(" AND ")
    assert (code, weights) == ("Apache-2.0", "LicenseRef-emoembed-weights")
    models = {path.parent.name for path in (ROOT / "checkpoints").glob("*/model.safetensors")}
    expected = {"LICENSE", *(f"checkpoints/{name}/LICENSE" for name in models)}
    assert set(metadata["metadata"]["license_files"].split()) == expected


def test_every_extra_that_the_documentation_names_exists(metadata):
    sources = [ROOT / "README.md", *(ROOT / "docs").rglob("*.md"), *(ROOT / "docs").rglob("*.ipynb")]
    sources += [*(ROOT / "emoembed").rglob("*.py"), *(ROOT / "features").rglob("*.py")]
    named = {
        extra
        for path in sources
        for group in re.findall(r"""install \\?["']?(?:\.|emoembed)\[([a-z,]+)\]""", path.read_text())
        for extra in group.split(",")
    }
    assert {"serve", "demo", "onnx", "parquet"} <= named
    assert {*named, "scale", "plots"} <= set(metadata["options.extras_require"])
