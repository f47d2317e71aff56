"""Read feature tables of other programs (OpenFace, openSMILE, COVAREP): CSV, TSV or Parquet with named columns."""

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

from emoembed.errors import InputError, MediaError
from emoembed.features.feature_set import Features, FeatureSet
from emoembed.features.media_files import require_file
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
    """Read a table of features. The rows with the same key are the `(time, feature_dim)` of one item, in file order.

    Args:
        path: a `.csv`, `.tsv`, `.csv.gz`, `.tsv.gz` or `.parquet` file with column names.
        key: the column with the item id of each row, read as text. Items are returned in order of appearance.
        columns: the columns to read, in this order; by default all numeric columns except the key.
        name, rate: the name of the feature set, and its rows per second if they are evenly spaced in time.
        fill: replaces NaN and infinite values (COVAREP's -inf, OpenFace's lost frames). They are errors by default.

    Raises:
        MissingFileError: the path is not a file.
        InputError: the file is not a table, a column is missing, or a column has text, NaN or infinite values.

    Examples:
        >>> from pathlib import Path
        >>> from tempfile import mkdtemp
        >>> from emoembed.features.tables import read_table
        >>> path = Path(mkdtemp()) / "units.csv"
        >>> _ = path.write_text("clip,AU01,AU12\\na,0.5,2.0\\na,0.6,2.5\\nb,0.0,0.0\\n")
        >>> {clip: features.values.shape for clip, features in read_table(path, key="clip").items()}
        {'a': (2, 2), 'b': (1, 2)}
    """
    if fill is not None and not math.isfinite(fill):
        raise InputError(f"fill replaces NaN and infinite values and must itself be finite; given {fill}")
    path = Path(path)
    table = _read(path, key, columns)
    if table[key].isna().any() or (table[key] == "").any():
        empty_rows = int((table[key].isna() | (table[key] == "")).sum())
        raise InputError(
            f"{path}: column {key!r} is empty in {_rows(empty_rows, len(table))}; every row needs an item id"
        )
    feature_columns = _numeric_columns(table, key, columns, path)
    with np.errstate(over="ignore"):  # values beyond the range of float32 become infinite; `_finite` reports them
        values = table[feature_columns].to_numpy(dtype=np.float32, na_value=np.nan)
    values = _finite(values, feature_columns, fill, path)
    feature_set = FeatureSet(name, tuple(feature_columns), rate)
    return {item: Features(rows, feature_set) for item, rows in _grouped(table[key], values)}


def read_openface(path: str | Path) -> Features:
    """Read the action units of one clip, `(frames, units)`: intensity `AU.._r` (0 to 5) and presence `AU.._c` (0 or 1).

    Args:
        path: the CSV file of OpenFace 2 for one video, or any table with such columns. Frames in which OpenFace lost
            the face (`success` is 0) are left out.

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
            raise MediaError(
                f"no face found in {path}: OpenFace's success is 0 in every frame; give a clip with a visible face"
            )
    values = _finite(table[columns].to_numpy(dtype=np.float32), columns, None, path)
    return Features(values, FeatureSet("action_units", tuple(columns)))


def _grouped(keys: pd.Series, values: np.ndarray) -> list[tuple[str, np.ndarray]]:
    """Keys `(rows,)` and values `(rows, columns)` -> each key with its rows. One stable sort, no loop over rows."""
    import pandas as pd

    codes, items = pd.factorize(keys)
    if (np.diff(codes) < 0).any():  # items are interleaved
        order = np.argsort(codes, kind="stable")
        codes, values = codes[order], values[order]
    ends = np.flatnonzero(np.diff(codes)) + 1
    return list(zip(map(str, items), np.split(values, ends), strict=True))


def _read(path: Path, key: str | None, columns: Sequence[str] | None) -> pd.DataFrame:
    """Read a table and check its columns. The key is read as text. Names are stripped, because OpenFace pads them."""
    import pandas as pd

    require_file(path, "table")
    suffix = Path(path.stem).suffix if path.suffix == ".gz" else path.suffix
    if suffix != ".parquet" and suffix not in SEPARATORS:
        raise InputError(f"{path} is not a feature table; expected .csv, .tsv, .csv.gz, .tsv.gz or .parquet")
    try:
        if suffix == ".parquet":
            require_rows(path)
            table = pd.read_parquet(path).rename(columns=lambda column: str(column).strip())
            _check_columns(table, key, columns, path)
            if key is None:
                return table
            is_missing = table[key].isna()
            return table.assign(**{key: table[key].astype(str).mask(is_missing, "")})
        with open_packed(path) as content:
            header = pd.read_csv(content, nrows=0, sep=SEPARATORS[suffix]).rename(columns=str.strip)
        _check_columns(header, key, columns, path)
        names = list(header.columns)
        with warnings.catch_warnings(), open_packed(path) as content:
            warnings.simplefilter("error", pd.errors.ParserWarning)  # else fields beyond the last name are lost
            return pd.read_csv(
                content,
                sep=SEPARATORS[suffix],
                header=0,
                names=names,  # parse all columns: with usecols, pandas accepts rows that are too long
                index_col=False,
                dtype={key: str} if key else None,
                skipinitialspace=True,
                keep_default_na=False,
                na_values={column: EMPTY for column in names if column != key},  # the id of a clip may be NA
                low_memory=False,  # else pandas guesses the type in pieces and warns if they differ
            )
    except ImportError as error:
        raise InputError(f"{path}: Parquet files need pyarrow; run pip install 'emoembed[parquet]'") from error
    except InputError:
        raise
    except (
        ValueError,
        OSError,
        EOFError,
        zlib.error,
        pd.errors.ParserWarning,
        *(KeyError, TypeError, NotImplementedError, RuntimeError, MemoryError, AttributeError, IndexError),
    ) as error:  # the errors of pandas, pyarrow and gzip are among these
        raise InputError(f"{path} cannot be read as a {suffix} table: {error}") from error


def _check_columns(table: pd.DataFrame, key: str | None, columns: Sequence[str] | None, path: Path) -> None:
    if isinstance(columns, str):
        raise InputError(f"columns is a list of column names; given the string {columns!r}")
    if columns is not None and (not columns or key in columns):
        raise InputError(f"columns needs at least one name, and not the key {key!r}; given {list(columns)}")
    names = [str(column) for column in table.columns]
    missing_columns = [column for column in [*([key] if key else []), *(columns or [])] if column not in names]
    if missing_columns:
        matches = difflib.get_close_matches(missing_columns[0], names, n=6)
        suggestion = f"; nearest spelling: {', '.join(matches)}" if matches else ""
        listing = ", ".join(names[:50]) + (f" and {len(names) - 50} more" if len(names) > 50 else "")
        raise InputError(f"{path} has no column {', '.join(map(repr, missing_columns))}{suggestion}; it has {listing}")


def _numeric_columns(table: pd.DataFrame, key: str | None, columns: Sequence[str] | None, path: Path) -> list[str]:
    import pandas as pd

    if not len(table):
        raise InputError(f"{path} has column names but no rows")
    if columns is None:
        numeric_columns = [c for c in table.columns if c != key and pd.api.types.is_numeric_dtype(table[c])]
        if not numeric_columns:
            raise InputError(f"{path} has no numeric column besides {key!r}; it has {', '.join(table.columns)}")
        return numeric_columns
    for column in columns:
        if not pd.api.types.is_numeric_dtype(table[column]):
            is_no_number = table[column].notna() & ~table[column].map(_fits_a_number)
            row = int(np.argmax(is_no_number.to_numpy()))
            value = table[column].iloc[row]
            fault = "has too many digits" if str(value).strip().lstrip("+-").isdecimal() else "is text"
            raise InputError(f"{path}: column {column!r} is not numeric; {value!r:.60} in row {row + 1} {fault}")
    return list(columns)


def _fits_a_number(value: object) -> bool:
    """Whether pandas can hold a cell as a number. Integers of more than 64 bits make their column one of objects."""
    try:
        return abs(float(str(value))) < 2**64
    except ValueError:
        return False


def _finite(values: np.ndarray, columns: Sequence[str], fill: float | None, path: Path) -> np.ndarray:
    is_invalid = ~np.isfinite(values)
    if not is_invalid.any():
        return values
    if fill is not None:
        return np.where(is_invalid, np.float32(fill), values)
    counts = is_invalid.sum(axis=0)
    index = int(np.argmax(counts))
    other_columns = int((counts > 0).sum()) - 1
    raise InputError(
        f"{path}: column {columns[index]!r} has NaN or infinite values in {_rows(counts[index], len(values))}"
        + (f", and so have {other_columns} other columns" if other_columns else "")
        + "; leave them out of columns, or replace the values, for example with fill=0.0"
    )


def _rows(count: int, total: int) -> str:
    return f"{count} of {total} rows"
