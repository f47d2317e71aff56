"""Manifests in folders and at addresses."""

import pandas as pd
import pytest

from emoembed.corpora import manifest
from emoembed.errors import CorpusError, MissingFileError


@pytest.fixture
def folder(tmp_path):
    """Two Parquet files; the second begins with a row without a text."""
    pd.DataFrame({"Text": ["a", "b"], "audio": ["x.wav", None]}).to_parquet(tmp_path / "p-1.parquet")
    pd.DataFrame({"Text": [None, "c"], "audio": ["s3://store/x.wav", "../y.wav"]}).to_parquet(tmp_path / "p-2.parquet")
    (tmp_path / "_SUCCESS").touch()
    return tmp_path


@pytest.mark.parametrize("scheme", ["", "file://"])
def test_the_files_of_a_folder_are_one_manifest(folder, scheme):
    samples = manifest.read(f"{scheme}{folder}").samples
    assert samples["text"].tolist() == ["a", "b", None, "c"]
    assert samples["id"].tolist() == ["1", "2", "3", "4"]
    own, other = f"{scheme}{folder}", f"{scheme}{folder.parent}"
    assert samples["audio"].tolist() == [f"{own}/x.wav", None, "s3://store/x.wav", f"{other}/y.wav"]


def test_a_single_file_at_an_address_is_a_manifest(folder):
    (folder / "q.csv").write_text("text,audio\nso merry,x.wav\n")
    samples = manifest.read(f"file://{folder}/q.csv").samples
    assert samples[["text", "audio"]].iloc[0].tolist() == ["so merry", f"file://{folder}/x.wav"]


def test_media_files_at_an_address_are_one_row_each(tmp_path):
    for name in ("b.wav", "a.mp3", "note.txt"):
        (tmp_path / name).touch()
    corpus = manifest.of_files("audio", [f"file://{tmp_path}"])
    assert corpus.samples["id"].tolist() == [f"file://{tmp_path}/a.mp3", f"file://{tmp_path}/b.wav"]
    assert corpus.samples["audio"].tolist() == corpus.samples["id"].tolist()
    with pytest.raises(MissingFileError, match="holds no video file"):
        manifest.of_files("video", [f"file://{tmp_path}"])


def test_a_place_without_tables_and_tables_of_several_kinds_are_refused(folder, tmp_path_factory):
    empty = tmp_path_factory.mktemp("empty")
    for place in (empty, f"file://{empty}/none.parquet"):
        with pytest.raises(MissingFileError, match="there is no table at"):
            manifest.read(place)
    (folder / "q.csv").write_text("text\nso merry\n")
    with pytest.raises(CorpusError, match=r"tables of several kinds \(\.csv, \.parquet\)"):
        manifest.read(folder)
