"""Packed files that hold far more than they seem to are refused, and ordinary ones are read."""

import bz2
import gzip

import numpy as np
import pandas as pd
import pytest

from emoembed.corpora import files, table_files
from emoembed.errors import CorpusError, CorpusFileError, InputError
from emoembed.features import limits, tables, text
from emoembed.features.packed import open_packed


@pytest.fixture(autouse=True)
def small_limits(monkeypatch):
    monkeypatch.setattr(limits, "ARCHIVE_FREE", 2**16)
    monkeypatch.setattr(limits, "TABLE_ROWS", 1000)


@pytest.mark.parametrize(("suffix", "pack"), [(".gz", gzip.compress), (".bz2", bz2.compress), ("", bytes)])
def test_what_was_packed_is_read(tmp_path, suffix, pack):
    path = tmp_path / f"a.txt{suffix}"
    path.write_bytes(pack(b"joy\nawe\n"))
    with open_packed(path) as file:
        assert list(file) == [b"joy\n", b"awe\n"]


def test_a_text_that_unpacks_to_far_more_is_refused(tmp_path):
    (tmp_path / "a.txt.gz").write_bytes(gzip.compress(b"x" * 10_000_000))
    with pytest.raises(CorpusError, match="unpacks to more than 100 times"):
        files.read_text(tmp_path / "a.txt.gz")
    with pytest.raises(InputError, match="unpacks to more than 100 times"):
        text.read_word_vectors(tmp_path / "a.txt.gz")


def test_a_table_that_unpacks_to_far_more_is_refused(tmp_path):
    (tmp_path / "a.csv.gz").write_bytes(gzip.compress(b"id,x\n" + b"a,1\n" * 3_000_000))
    with pytest.raises(InputError, match="unpacks to more than 100 times"):
        tables.read_table(tmp_path / "a.csv.gz", key="id")


def test_a_parquet_file_of_more_rows_than_it_can_hold_is_refused(tmp_path):
    pytest.importorskip("pyarrow")
    pd.DataFrame({"text": np.repeat("x", 100_000)}).to_parquet(tmp_path / "a.parquet")
    with pytest.raises(CorpusFileError, match="declares 100,000 rows"):
        table_files.read_table(tmp_path / "a.parquet", ())
    with pytest.raises(InputError, match="declares 100,000 rows"):
        tables.read_table(tmp_path / "a.parquet", key="text")


def test_a_parquet_file_with_one_long_text_in_many_rows_is_refused(tmp_path):
    arrow, parquet = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
    long = "".join(map(chr, np.random.default_rng(0).integers(32, 127, 20_000)))
    for name, cells in (("text", [long] * 500), ("labels", [[long] * 5] * 100)):
        parquet.write_table(arrow.table({name: cells}), tmp_path / "a.parquet", compression="zstd", store_schema=False)
        with pytest.raises(CorpusFileError, match="unpacks to 10,000,000 bytes"):
            table_files.read_table(tmp_path / "a.parquet", ())
        with pytest.raises(InputError, match="unpacks to 10,000,000 bytes"):
            tables.read_table(tmp_path / "a.parquet", key=name)


def test_a_parquet_file_of_more_cells_than_it_can_hold_is_refused(tmp_path, monkeypatch):
    pytest.importorskip("pyarrow")
    monkeypatch.setattr(limits, "TABLE_CELLS", 10_000)
    pd.DataFrame({f"c{i}": np.zeros(900, np.int8) for i in range(100)}).to_parquet(tmp_path / "a.parquet")
    with pytest.raises(CorpusFileError, match="declares 90,000 cells"):
        table_files.read_table(tmp_path / "a.parquet", ())


def test_texts_lists_and_numbers_of_parquet_are_within_the_limits(tmp_path):
    pytest.importorskip("pyarrow")
    frame = pd.DataFrame(
        {"text": ["a", None, "b"], "labels": [["joy"], [], None], "x": [1.5, 2, 3], "y": [{"a": "b"}] * 3}
    )
    frame.to_parquet(tmp_path / "a.parquet")
    assert list(table_files.read_table(tmp_path / "a.parquet", ())["text"].fillna("?")) == ["a", "?", "b"]


@pytest.mark.parametrize("name", ["a.csv", "a.jsonl"])
def test_a_file_too_large_to_be_read_whole_is_refused(tmp_path, name):
    with (tmp_path / name).open("wb") as file:
        file.truncate(40 * 2**30)
    with pytest.raises(CorpusError, match="42,949,672,960 bytes exceed the limit of 2,147,483,648"):
        table_files.read_table(tmp_path / name, ())


def test_an_excel_sheet_with_a_cell_far_from_the_others_is_refused(tmp_path, monkeypatch):
    openpyxl = pytest.importorskip("openpyxl")
    monkeypatch.setattr(limits, "TABLE_CELLS", 1_000_000)
    book = openpyxl.Workbook()
    for cell, value in (("A1", "text"), ("A2", "hi"), ("XFD300", "x")):
        book.active[cell] = value
    book.save(tmp_path / "a.xlsx")
    with pytest.raises(CorpusError, match="at least 300 rows and 16,384 columns"):
        table_files.read_table(tmp_path / "a.xlsx", ())
