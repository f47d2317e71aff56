import csv
import gzip
import io
import time
from collections import defaultdict

import numpy as np
import pandas as pd
import pytest

from emoembed.errors import InputError, MediaError, MissingFileError
from emoembed.features.tables import read_openface, read_table

COLUMNS = ("AU01_r", "AU12_r", "AU45_c")


@pytest.fixture
def rows():
    """(item, numbers, text) in no order of items: they are interleaved."""
    generator = np.random.default_rng(0)
    items = generator.choice(["01-01", "01-02", "NA", "7"], 200)
    return [(item, generator.random(3).astype(np.float32).tolist(), "happy") for item in items]


def write(path, rows, separator=","):
    text = io.StringIO()
    writer = csv.writer(text, delimiter=separator)
    writer.writerow(["clip", *COLUMNS, "emotion"])
    writer.writerows([item, *numbers, emotion] for item, numbers, emotion in rows)
    content = text.getvalue().encode()
    path.write_bytes(gzip.compress(content) if path.suffix == ".gz" else content)
    return path


def slowly(rows):
    grouped = defaultdict(list)
    for item, numbers, _ in rows:
        grouped[item].append(numbers)
    return {item: np.array(values, np.float32) for item, values in grouped.items()}


@pytest.mark.parametrize("name", ["a.csv", "a.csv.gz", "a.tsv", "a.tsv.gz", "a.parquet"])
def test_rows_of_a_key_become_time(tmp_path, rows, name):
    path = tmp_path / name
    if name.endswith("parquet"):
        pytest.importorskip("pyarrow")
        table = pd.DataFrame([[item, *numbers, emotion] for item, numbers, emotion in rows])
        table.columns = ["clip", *COLUMNS, "emotion"]
        table.to_parquet(path)
    else:
        write(path, rows, "\t" if ".tsv" in name else ",")
    by_item, expected = read_table(path, key="clip", name="openface", rate=30.0), slowly(rows)
    assert list(by_item) == list(expected)  # in order of appearance, and NA is a name like another
    for item, features in by_item.items():
        np.testing.assert_allclose(features.values, expected[item], rtol=1e-6)
        assert features.values.dtype == np.float32
        assert (features.feature_set.name, features.feature_set.columns) == ("openface", COLUMNS)
        assert features.feature_set.rate == 30.0


def test_columns_are_taken_in_the_order_given(tmp_path, rows):
    path = write(tmp_path / "a.csv", rows)
    by_item = read_table(path, key="clip", columns=["AU45_c", "AU01_r"])
    for item, values in slowly(rows).items():
        assert by_item[item].feature_set.columns == ("AU45_c", "AU01_r")
        np.testing.assert_allclose(by_item[item].values, values[:, [2, 0]], rtol=1e-6)


def test_keys_that_look_like_numbers_stay_text(tmp_path):
    path = tmp_path / "a.csv"
    path.write_text("clip,x\n007,1\n7,2\n007,3\n")
    found = read_table(path, key="clip")
    assert {item: features.values.ravel().tolist() for item, features in found.items()} == {"007": [1, 3], "7": [2]}


def test_padding_after_the_commas_is_stripped(tmp_path):
    path = tmp_path / "a.csv"
    path.write_text("AU01_r, clip, AU12_r\n0.5, a, 1.0\n")
    assert read_table(path, key="clip", columns=["AU12_r"])["a"].values.tolist() == [[1.0]]


def test_a_missing_column_names_the_nearest(tmp_path, rows):
    path = write(tmp_path / "a.csv", rows)
    with pytest.raises(
        InputError, match=r"a\.csv has no column 'AU1_r'; nearest spelling: .*AU01_r.*; it has clip, AU01_r"
    ):
        read_table(path, key="clip", columns=["AU1_r"])
    with pytest.raises(InputError, match="no column 'Clip'; nearest spelling: clip"):
        read_table(path, key="Clip")


def test_text_is_no_number(tmp_path, rows):
    with pytest.raises(InputError, match=r"column 'emotion' is not numeric; 'happy' in row 1 is text"):
        read_table(write(tmp_path / "a.csv", rows), key="clip", columns=["AU01_r", "emotion"])
    path = tmp_path / "b.csv"
    path.write_text("clip,x\na,1\na,\na,n.a.\n")
    with pytest.raises(InputError, match=r"column 'x' is not numeric; 'n\.a\.' in row 3 is text"):
        read_table(path, key="clip", columns=["x"])
    with pytest.raises(InputError, match="no numeric column besides 'clip'; it has clip, x"):
        read_table(path, key="clip")


def test_a_number_of_400_digits_is_told(tmp_path):
    path = tmp_path / "a.csv"
    path.write_text(f"clip,AU01_r\na,1\na,{'9' * 400}\n")
    with pytest.raises(InputError, match=r"column 'AU01_r' is not numeric; '?9+ in row 2 has too many digits"):
        read_table(path, key="clip", columns=["AU01_r"])
    with pytest.raises(InputError, match="in row 2 has too many digits"):
        read_openface(path)


def test_nan_and_infinity_are_refused_or_filled(tmp_path):
    path = tmp_path / "a.csv"
    path.write_text("clip,x,y\na,1,\na,-inf,nan\nb,inf,3\nb,1e300,4\nb,5,5\n")
    with pytest.raises(InputError, match=r"column 'x' has NaN or infinite values in 3 of 5 rows, and so have 1 other"):
        read_table(path, key="clip")
    by_item = read_table(path, key="clip", fill=-1.0)
    assert by_item["a"].values.tolist() == [[1, -1], [-1, -1]]
    assert by_item["b"].values.tolist() == [[-1, 3], [-1, 4], [5, 5]]
    with pytest.raises(InputError, match="must itself be finite; given nan"):
        read_table(path, key="clip", fill=float("nan"))


def test_every_row_needs_its_item(tmp_path):
    path = tmp_path / "a.csv"
    path.write_text("clip,x\na,1\n,2\n")
    with pytest.raises(InputError, match="column 'clip' is empty in 1 of 2 rows"):
        read_table(path, key="clip")


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.csv", b"", "cannot be read as a .csv table"),
        ("a.csv.gz", b"no gzip", "cannot be read as a .csv table"),
        ("a.csv", b"clip,x\na,1\nb,2,3,4\n", "cannot be read as a .csv table"),
        ("a.csv", b"clip,x\na,1,2\nb,2,3\n", "cannot be read as a .csv table: Length of header"),
        ("a.csv", b"clip,x\n", "has column names but no rows"),
        ("a.xlsx", b"", "not a feature table; expected .csv, .tsv"),
    ],
)
def test_files_that_are_no_tables(tmp_path, name, content, message):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(InputError, match=message):
        read_table(tmp_path / name, key="clip")


def test_a_parquet_file_that_is_none(tmp_path):
    pytest.importorskip("pyarrow")
    (tmp_path / "a.parquet").write_bytes(b"nothing of the kind")
    with pytest.raises(InputError, match=r"cannot be read as a \.parquet table"):
        read_table(tmp_path / "a.parquet", key="clip")


def test_a_missing_file(tmp_path):
    with pytest.raises(MissingFileError, match=r"no table file at .*nowhere\.csv"):
        read_table(tmp_path / "nowhere.csv", key="clip")


@pytest.mark.parametrize("columns", ["AU01_r", [], ["clip", "AU01_r"], ["AU01_r", "AU01_r"]])
def test_columns_that_cannot_be_meant(tmp_path, rows, columns):
    with pytest.raises(InputError, match="columns"):
        read_table(write(tmp_path / "a.csv", rows), key="clip", columns=columns)


def test_many_items_are_grouped_without_a_loop_over_rows(tmp_path):
    path = tmp_path / "a.csv"
    keys = np.random.default_rng(0).integers(0, 2000, 40_000)
    pd.DataFrame({"clip": keys, "x": np.arange(40_000)}).to_csv(path, index=False)
    began = time.perf_counter()
    by_item = read_table(path, key="clip")
    assert time.perf_counter() - began < 5
    assert sum(len(features.values) for features in by_item.values()) == 40_000
    assert all((np.diff(features.values[:, 0]) > 0).all() for features in by_item.values())


OPENFACE = "frame, face_id, timestamp, confidence, success, gaze_0_x, AU01_r, AU12_r, AU12_c\n"


def test_openface_files_give_action_units_of_the_frames_with_a_face(tmp_path):
    path = tmp_path / "clip.csv"
    path.write_text(OPENFACE + "1, 0, 0.0, 0.98, 1, 0.1, 0.5, 2.0, 1\n2, 0, 0.03, 0.1, 0, 0.1, 9, 9, 0\n")
    features = read_openface(path)
    np.testing.assert_array_equal(features.values, np.array([[0.5, 2.0, 1.0]], np.float32))
    assert features.feature_set.columns == ("AU01_r", "AU12_r", "AU12_c")


def test_an_openface_file_without_a_face_or_units_is_told(tmp_path):
    path = tmp_path / "clip.csv"
    path.write_text(OPENFACE + "1, 0, 0.0, 0.0, 0, 0.1, 0, 0, 0\n")
    with pytest.raises(MediaError, match=r"no face found in .*clip\.csv: OpenFace's success is 0 in every frame"):
        read_openface(path)
    path.write_text("frame, pose\n1, 2\n")
    with pytest.raises(InputError, match="no action units; expected columns such as AU12_r"):
        read_openface(path)
    with pytest.raises(MissingFileError, match="no table file at"):
        read_openface(tmp_path / "absent.csv")


def test_a_name_longer_than_names_may_be_is_a_missing_file():
    with pytest.raises(MissingFileError, match="no file can be called"):
        read_openface("x" * 300 + ".csv")
