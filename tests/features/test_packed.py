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
