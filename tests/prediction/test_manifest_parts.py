"""Rows scored in parts, which the processes read and write themselves."""

import os
import signal
from dataclasses import replace

import numpy as np
import pandas as pd
import pyarrow.dataset
import pytest
from scipy.io import wavfile

from emoembed.corpora import manifest
from emoembed.errors import CorpusError, InputError, OutputError
from emoembed.features import workers
from emoembed.prediction.manifests import part_reader, parts, scoring
from emoembed.prediction.recognizer import Recognizer

LABELS = ["joy", "anger"]


@pytest.fixture
def rows(tmp_path, voice):
    """Texts and recordings, in one table and in a folder of two Parquet files; one recording is missing."""
    folder = tmp_path / "rows"
    folder.mkdir()
    for place in (tmp_path, folder):
        wavfile.write(place / "a.wav", 16_000, (voice() * 2**15).astype(np.int16))
    lines = [f"t{i},so merry {i % 7},,{i}" for i in range(240)]
    lines += ["s0,,a.wav,1", "s1,,b.wav,2", "s2,so cross,a.wav,3"]
    (tmp_path / "in.csv").write_text("\n".join(["id,text,audio,label", *lines]) + "\n")
    table = pd.read_csv(tmp_path / "in.csv")
    table[:100].to_parquet(folder / "a.parquet")
    table[100:].to_parquet(folder / "b.parquet")
    return tmp_path / "in.csv"


def table_of(output):
    """The rows of a folder of parts, as CSV."""
    return pyarrow.dataset.dataset(str(output)).to_table().to_pandas().to_csv(index=False)


def test_the_parts_are_the_table_of_one_process_and_only_lost_ones_are_done_again(rows, three_model, tmp_path):
    recognizer, one, out = Recognizer(three_model), tmp_path / "one.csv", tmp_path / "out"
    summary = scoring.predict_manifest(recognizer, rows, LABELS, one, workers=2)
    asked = recognizer, f"file://{tmp_path}/rows", LABELS, f"file://{out}"
    made = parts.predict_parts(*asked, rows_of_part=100, workers=2)
    assert list(made.failures) == list(summary.failures) == ["s1"]
    assert replace(made, failures={}) == replace(summary, failures={})
    # only the reason of the missing file differs: it names the address
    assert table_of(out).replace("file://", "").replace(f"{tmp_path}/rows/", f"{tmp_path}/") == one.read_text()
    assert [path.name for path in sorted(out.glob("*.parquet"))] == [f"part-{n:08d}.parquet" for n in range(3)]
    before, lost = table_of(out), out / "part-00000001.parquet"
    lost.unlink()
    assert parts.predict_parts(*asked, rows_of_part=100).resumed == 143
    assert table_of(out) == before
    assert parts.predict_parts(*asked, rows_of_part=100).resumed == 243
    for changed in ({"rows_of_part": 50}, {"rows_of_part": 100, "multi_label": True}):
        with pytest.raises(OutputError, match="the scores of another manifest, model or settings"):
            parts.predict_parts(*asked, **changed)


class Deadly(Recognizer):
    """Kills its process at the text "so cross"."""

    def predict(self, *given, **options):
        if "so cross" in (options.get("text") or ()):
            os.kill(os.getpid(), signal.SIGKILL)
        return super().predict(*given, **options)


def test_a_row_that_kills_its_process_fails_and_the_others_of_its_part_are_scored(three_model, tmp_path):
    texts = manifest.of_texts(["so merry", "so cross", "so merry"])
    summary = parts.predict_parts(Deadly(three_model), texts, LABELS, tmp_path / "out", workers=2)
    assert summary.failures == {"2": workers.STOPPED}
    written = pyarrow.dataset.dataset(str(tmp_path / "out")).to_table().to_pandas()
    assert written["id"].tolist() == ["1", "2", "3"]
    assert written["label"].notna().tolist() == [True, False, True]


def test_each_row_of_a_folder_is_in_one_part_whatever_their_size(rows, tmp_path):
    source = part_reader.open_source(tmp_path / "rows")
    assert source.rows == 243
    for size in (1, 7, 100, 1000):
        plan = list(source.parts(size))
        read = [part_reader.read_part(source.place, source.schema, part) for part in plan]
        ids = [item for table in read for item in table.column("id").to_pylist()]
        assert ids == pd.read_csv(rows)["id"].tolist()
        assert [part.first for part in plan] == np.cumsum([0, *(part.count for part in plan[:-1])]).tolist()
    singles = list(plan[-1].single_rows())
    assert part_reader.read_part(source.place, source.schema, singles[-1]).column("id").to_pylist() == ["s2"]


def test_files_with_a_column_fewer_have_it_empty(tmp_path):
    pd.DataFrame({"text": ["a"], "mine": [1]}).to_parquet(tmp_path / "a.parquet")
    pd.DataFrame({"text": ["b"]}).to_parquet(tmp_path / "b.parquet")
    source = part_reader.open_source(tmp_path)
    read = [part_reader.read_part(source.place, source.schema, part).to_pylist() for part in source.parts(10)]
    assert read == [[{"text": "a", "mine": 1}], [{"text": "b", "mine": None}]]


def test_an_id_in_two_files_and_a_manifest_without_texts_or_media_are_refused(three_model, tmp_path):
    for name in ("a", "b"):
        pd.DataFrame({"id": ["same"], "other": ["x"]}).to_parquet(tmp_path / f"{name}.parquet")
    with pytest.raises(CorpusError, match="the id 'same' is in several rows"):
        part_reader.open_source(tmp_path)
    (tmp_path / "b.parquet").unlink()
    with pytest.raises(InputError, match="has the columns id, other; this model reads text"):
        parts.predict_parts(Recognizer(three_model), tmp_path, LABELS, tmp_path / "out")


def test_scores_are_not_mixed_with_other_files(three_model, tmp_path):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "mine.txt").touch()
    with pytest.raises(OutputError, match="has other files"):
        parts.predict_parts(Recognizer(three_model), manifest.of_texts(["a"]), LABELS, tmp_path / "out")


@pytest.mark.parametrize("value", [0, True, 1.5, "two"])
def test_a_wrong_number_of_rows_is_refused(three_model, tmp_path, value):
    with pytest.raises(InputError, match="a part has a whole number of rows"):
        parts.predict_parts(
            Recognizer(three_model), manifest.of_texts(["a"]), LABELS, tmp_path / "out", rows_of_part=value
        )


@pytest.mark.parametrize(
    ("output", "folder"),
    [("s3://bucket/scores", True), ("scores/", True), ("scores", False), ("scores.csv", False), (".", True)],
)
def test_an_address_and_a_folder_get_parts(output, folder):
    assert parts.is_folder_of_parts(output) is folder
