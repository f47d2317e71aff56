"""Feature tables others have computed (OpenFace, openSMILE, COVAREP): CSV, TSV or Parquet with named columns."""

from __future__ import annotations

import difflib
import math
import re
import warnings
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from emoembed.errors import InputError, MediaError, MissingFileError
from emoembed.features.feature_set import Features, FeatureSet
from emoembed.features.packed import open_packed, require_rows

if TYPE_CHECKING:
    import pandas as pd

SEPARATORS = {".csv": ",", ".tsv": "\t"}
EMPTY = ["", "NA", "N/A", "NaN", "nan", "-nan", "null", "NULL", "None"]


def read_table(
    path: str | Path,
    *,
    key: str,
    columns: Sequence[str] | None = None,
    name: str = "table",
    rate: float | None = None,
    fill: float | None = None,
) -> dict[str, Features]:
    """Read a table of features: rows that share a key are one item's `(time, feature_dim)`, in the file's order.

    Args:
        path: `.csv`, `.tsv` (either also `.gz`) or `.parquet`, with a row of column names.
        key: the column whose value, as text, says which item a row belongs to; items come in order of appearance.
        columns: the columns to take, in this order; by default all numeric ones but the key.
        name, rate: the feature set's name, and its rows a second where they are evenly spaced.
        fill: what replaces NaN and infinite values (COVAREP's -inf, OpenFace's lost frames); refused by default.

    Raises:
        MissingFileError: the path is not a file.
        InputError: the file is not a table, lacks a column, or holds text, NaN or infinite values in one.
    """
    if fill is not None and not math.isfinite(fill):
        raise InputError(f"fill replaces NaN and infinite values and must itself be finite; given {fill}")
    path = Path(path)
    table = _read(path, key, columns)
    if table[key].isna().any() or (table[key] == "").any():
        empty = int((table[key].isna() | (table[key] == "")).sum())
        raise InputError(f"{path}: column {key!r} is empty in {_rows(empty, len(table))}; every row needs its item")
    chosen = _numeric_columns(table, key, columns, path)
    with np.errstate(over="ignore"):  # beyond float32's range is infinite, and told below
        values = table[chosen].to_numpy(dtype=np.float32, na_value=np.nan)
    values = _finite(values, chosen, fill, path)
    feature_set = FeatureSet(name, tuple(chosen), rate)
    return {item: Features(rows, feature_set) for item, rows in _grouped(table[key], values)}


def read_openface(path: str | Path) -> Features:
    """The action units of one clip, `(frames, units)`: intensities `AU.._r` (0 to 5) and presences `AU.._c` (0 or 1).

    Args:
        path: OpenFace 2's CSV of one video, or any table with such columns. Frames in which OpenFace lost the face
            (`success` is 0) are left out.

    Raises:
        MissingFileError: the path is not a file.
        InputError: the file is not a table or has no action units.
        MediaError: no frame has a face.
    """
    path = Path(path)
    table = _read(path, None, None)
    columns = [column for column in table.columns if re.fullmatch(r"AU\d\d_[rc]", column)]
    if not columns:
        raise InputError(f"{path} has no action units; expected columns such as AU12_r and AU12_c")
    _numeric_columns(table, None, columns, path)
    if "success" in table:
        table = table[table["success"] == 1]
        if table.empty:
            raise MediaError(f"no face found in {path}: OpenFace's success is 0 in every frame")
    values = _finite(table[columns].to_numpy(dtype=np.float32), columns, None, path)
    return Features(values, FeatureSet("action_units", tuple(columns)))


def _grouped(keys: pd.Series, values: np.ndarray) -> list[tuple[str, np.ndarray]]:
    """(rows,) keys and (rows, columns) values -> each key with its rows; one stable sort, no loop over rows."""
    import pandas as pd

    codes, items = pd.factorize(keys)
    if (np.diff(codes) < 0).any():  # items are interleaved
        order = np.argsort(codes, kind="stable")
        codes, values = codes[order], values[order]
    ends = np.flatnonzero(np.diff(codes)) + 1
    return list(zip(map(str, items), np.split(values, ends), strict=True))


def _read(path: Path, key: str | None, columns: Sequence[str] | None) -> pd.DataFrame:
    """The table with the columns that are needed, the key's as text. Names are stripped: OpenFace pads them."""
    import pandas as pd

    if not path.is_file():
        raise MissingFileError(f"no table at {path}")
    suffix = Path(path.stem).suffix if path.suffix == ".gz" else path.suffix
    if suffix != ".parquet" and suffix not in SEPARATORS:
        raise InputError(f"{path} is no table of features: these are .csv, .tsv (also .gz) or .parquet")
    try:
        if suffix == ".parquet":
            require_rows(path)
            table = pd.read_parquet(path).rename(columns=lambda column: str(column).strip())
            _check_columns(table, key, columns, path)
            if key is None:
                return table
            missing = table[key].isna()
            return table.assign(**{key: table[key].astype(str).mask(missing, "")})
        with open_packed(path) as content:
            header = pd.read_csv(content, nrows=0, sep=SEPARATORS[suffix]).rename(columns=str.strip)
        _check_columns(header, key, columns, path)
        names = list(header.columns)
        with warnings.catch_warnings(), open_packed(path) as content:
            warnings.simplefilter("error", pd.errors.ParserWarning)  # fields beyond the last name would be lost
            return pd.read_csv(
                content,
                sep=SEPARATORS[suffix],
                header=0,
                names=names,  # all are parsed: with usecols, pandas lets rows that are too long pass
                index_col=False,
                dtype={key: str} if key else None,
                skipinitialspace=True,
                keep_default_na=False,
                na_values={column: EMPTY for column in names if column != key},  # a clip may well be called NA
                low_memory=False,  # else one column is guessed piecewise, with a warning where the pieces differ
            )
    except ImportError as error:
        raise InputError(f"{path}: Parquet is read by pyarrow; pip install 'emoembed[parquet]'") from error
    except InputError:
        raise
    except (
        ValueError,
        OSError,
        EOFError,
        zlib.error,
        pd.errors.ParserWarning,
        *(KeyError, TypeError, NotImplementedError, RuntimeError, MemoryError, AttributeError, IndexError),
    ) as error:  # pandas', pyarrow's and gzip's own are among these
        raise InputError(f"{path} cannot be read as a {suffix} table: {error}") from error


def _check_columns(table: pd.DataFrame, key: str | None, columns: Sequence[str] | None, path: Path) -> None:
    if isinstance(columns, str):
        raise InputError(f"columns is a list of names; given the text {columns!r}")
    if columns is not None and (not columns or key in columns):
        raise InputError(f"columns names the features to take, without the key {key!r}; given {list(columns)}")
    there = [str(column) for column in table.columns]
    missing = [column for column in [*([key] if key else []), *(columns or [])] if column not in there]
    if missing:
        close = difflib.get_close_matches(missing[0], there, n=6)
        nearest = f"; nearest spelling: {', '.join(close)}" if close else ""
        listed = ", ".join(there[:50]) + (f" and {len(there) - 50} more" if len(there) > 50 else "")
        raise InputError(f"{path} has no column {', '.join(map(repr, missing))}{nearest}; it has {listed}")


def _numeric_columns(table: pd.DataFrame, key: str | None, columns: Sequence[str] | None, path: Path) -> list[str]:
    import pandas as pd

    if not len(table):
        raise InputError(f"{path} has column names and no rows")
    if columns is None:
        numeric = [c for c in table.columns if c != key and pd.api.types.is_numeric_dtype(table[c])]
        if not numeric:
            raise InputError(f"{path} has no numeric column beside {key!r}; it has {', '.join(table.columns)}")
        return numeric
    for column in columns:
        if not pd.api.types.is_numeric_dtype(table[column]):
            text = pd.to_numeric(table[column], errors="coerce").isna() & table[column].notna()
            first = int(np.argmax(text.to_numpy()))
            raise InputError(
                f"{path}: column {column!r} is not numeric; {table[column].iloc[first]!r} in row {first + 1} is text"
            )
    return list(columns)


def _finite(values: np.ndarray, columns: Sequence[str], fill: float | None, path: Path) -> np.ndarray:
    bad = ~np.isfinite(values)
    if not bad.any():
        return values
    if fill is not None:
        return np.where(bad, np.float32(fill), values)
    counts = bad.sum(axis=0)
    worst = int(np.argmax(counts))
    others = int((counts > 0).sum()) - 1
    raise InputError(
        f"{path}: column {columns[worst]!r} holds NaN or infinite values in {_rows(counts[worst], len(values))}"
        + (f", and so do {others} more columns" if others else "")
        + "; leave it out of columns, or say what replaces them: fill=0.0"
    )


def _rows(count: int, total: int) -> str:
    return f"{count} of {total} rows"
