"""`write_tfrecord`: TensorFlow reads what it writes, and what it cannot write it refuses by name."""

from __future__ import annotations

import datetime
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
import tensorflow as tf

from tfwd.data import Source, write_tfrecord
from tfwd.data.tfrecord import writer as tfrecord_writer
from tfwd.errors import DataError

TABLE = pa.table(
    {
        "word": ["a", None, "年齢", ""],
        "small": pa.array([1, None, -3, 127], pa.int8()),
        "flag": [True, False, None, True],
        "price": [0.1, None, 1e300, float("inf")],
        "exact": pa.array([1, 2, 3, 4], pa.decimal128(5, 2)),
        "tags": [["x", "città"], None, [], ["y"]],
        "shares": [[0.25, None], None, [], [1.0]],
        "codes": pa.array([[1, 2, 3], [], None, [2**62]], pa.list_(pa.int64())),
        "pair": pa.array([[1, 2], [3, 4], None, [5, 6]], pa.list_(pa.float32(), 2)),
    }
)


@pytest.mark.parametrize("zipped", [False, True])
def test_tensorflow_reads_it(tmp_path: Path, zipped: bool) -> None:
    paths = write_tfrecord(TABLE, tmp_path / ("a.tfrecord.gz" if zipped else "a.tfrecord"), shards=2)
    ending = ".gz" if zipped else ""
    assert [path.name for path in paths] == [f"a.tfrecord{ending}-0000{n}-of-00002" for n in range(2)]
    dataset = tf.data.TFRecordDataset([str(path) for path in paths], compression_type="GZIP" if zipped else "")
    wanted = {
        "word": tf.io.FixedLenFeature([], tf.string, "<none>"),
        "small": tf.io.FixedLenFeature([], tf.int64, -1),
        "flag": tf.io.FixedLenFeature([], tf.int64, -1),
        "price": tf.io.FixedLenFeature([], tf.float32, -1.0),
        "exact": tf.io.FixedLenFeature([], tf.float32),
        "tags": tf.io.RaggedFeature(tf.string),
        "shares": tf.io.RaggedFeature(tf.float32),
        "codes": tf.io.RaggedFeature(tf.int64),
        "pair": tf.io.RaggedFeature(tf.float32),
    }
    found = tf.io.parse_example(tf.constant(list(dataset.as_numpy_iterator())), wanted)
    assert found["word"].numpy().tolist() == [b"a", b"<none>", "年齢".encode(), b""]
    assert found["small"].numpy().tolist() == [1, -1, -3, 127]
    assert found["flag"].numpy().tolist() == [1, 0, -1, 1]
    np.testing.assert_array_equal(found["price"], np.float32([0.1, -1, -1, np.inf]))
    assert found["exact"].numpy().tolist() == [1, 2, 3, 4]
    assert found["tags"].to_list() == [[b"x", "città".encode()], [], [], [b"y"]]
    assert found["codes"].to_list() == [[1, 2, 3], [], [], [2**62]]
    assert found["pair"].to_list() == [[1, 2], [3, 4], [], [5, 6]]
    np.testing.assert_array_equal(found["shares"].flat_values, np.float32([0.25, np.nan, 1]))
    assert found["shares"].row_lengths().numpy().tolist() == [2, 0, 0, 1]


def test_what_is_missing_is_not_there(tmp_path: Path) -> None:
    (path,) = write_tfrecord(TABLE, tmp_path / "a.tfrecord")
    records = [tf.train.Example.FromString(data) for data in tf.data.TFRecordDataset(str(path)).as_numpy_iterator()]
    assert [sorted(set(TABLE.column_names) - set(record.features.feature)) for record in records] == [
        [],
        ["price", "shares", "small", "tags", "word"],
        ["codes", "flag", "pair", "price"],
        [],
    ]
    # A list without values is a feature of its kind without values.
    assert records[2].features.feature["tags"].WhichOneof("kind") == "bytes_list"
    assert records[1].features.feature["codes"].WhichOneof("kind") == "int64_list"


def test_frames_paths_and_columns(tmp_path: Path) -> None:
    frame = pd.DataFrame({"b": [1.5, np.nan], "a": ["x", None], "c": pd.Categorical(["u", "v"])})
    write_tfrecord(frame, tmp_path / "a.tfrecord")
    assert Source.open(tmp_path / "a.tfrecord").columns == {"a": "VARCHAR", "b": "FLOAT", "c": "VARCHAR"}
    (tmp_path / "a.csv").write_text("x,y\n1,2\n3,4\n")
    write_tfrecord(tmp_path / "a.csv", tmp_path / "b.tfrecord", columns=["y"])
    source = Source.open(tmp_path / "b.tfrecord")
    assert source.connect().sql(source.select("*")).fetchall() == [("2",), ("4",)]
    write_tfrecord(tmp_path / "a.tfrecord", tmp_path / "c.tfrecord")
    assert (tmp_path / "a.tfrecord").read_bytes() == (tmp_path / "c.tfrecord").read_bytes()


def test_rows_keep_their_order_over_shards(tmp_path: Path) -> None:
    paths = write_tfrecord(pd.DataFrame({"row": range(10)}), tmp_path / "a.tfrecord", shards=3)
    found = []
    for path in paths:
        source = Source.open(path)
        found.append([row for (row,) in source.connect().sql(source.select("row")).fetchall()])
    assert found == [[0, 1, 2, 3], [4, 5, 6], [7, 8, 9]]


@pytest.mark.parametrize(
    ("column", "said"),
    [
        (pa.array([datetime.date(2020, 1, 1)]), "is DATE"),
        (pa.array([datetime.datetime(2020, 1, 1)]), "is TIMESTAMP"),
        (pa.array([b"raw"]), "is BLOB"),
        (pa.array([2**64 - 1], pa.uint64()), "is UBIGINT"),
        (pa.array([{"a": 1}]), "is STRUCT"),
        (pa.array([[[1]]]), "is BIGINT[][]"),
        (pa.array([[datetime.date(2020, 1, 1)]]), "is DATE[]"),
    ],
)
def test_types_without_a_form_are_refused(tmp_path: Path, column: pa.Array, said: str) -> None:
    table = pa.table({"fine": [1], "odd one": column})
    with pytest.raises(DataError) as caught:
        write_tfrecord(table, tmp_path / "a.tfrecord")
    assert str(caught.value).startswith(f"Column 'odd one' {said}")
    assert "Convert the column" in str(caught.value)
    assert not list(tmp_path.iterdir())
    write_tfrecord(table, tmp_path / "a.tfrecord", columns=["fine"])


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"path": "a.csv"}, "a.csv: a TFRecord file is named .tfrecord or"),
        ({"path": "none/a.tfrecord"}, "does not exist"),
        ({"path": "there.tfrecord"}, "there.tfrecord exists already"),
        ({"path": "there.tfrecord", "shards": 2}, "there.tfrecord-00001-of-00002 exists already"),
        ({"shards": 0}, "shards=0"),
        ({"shards": 3}, "DataFrame has 2 rows, too few for 3 TFRecord files"),
        ({"compression": "zlib"}, "compression is None or 'gzip'. Received: 'zlib'"),
        ({"columns": ["wrod"]}, "no column 'wrod', which write_tfrecord reads. Did you mean 'word'?"),
        ({"columns": []}, "there is no column to write"),
        ({"columns": ["word", "word"]}, "the column 'word' is in `columns` twice"),
    ],
)
def test_what_cannot_be_is_refused(tmp_path: Path, options: dict[str, Any], said: str) -> None:
    for name in ("there.tfrecord", "there.tfrecord-00001-of-00002"):
        (tmp_path / name).write_bytes(b"mine")
    path = tmp_path / options.pop("path", "a.tfrecord")
    with pytest.raises(DataError) as caught:
        write_tfrecord(pd.DataFrame({"word": ["a", "b"]}), path, **options)
    assert said in str(caught.value)
    assert {entry.name: entry.read_bytes() for entry in tmp_path.iterdir()} == {
        "there.tfrecord": b"mine",
        "there.tfrecord-00001-of-00002": b"mine",
    }


@pytest.mark.parametrize("values", [["a", None], [1, None]])
def test_a_missing_value_in_a_list_is_placed(tmp_path: Path, values: list[Any]) -> None:
    with pytest.raises(DataError) as caught:
        write_tfrecord(pa.table({"tags": [values[:1], values]}), tmp_path / "a.tfrecord")
    assert str(caught.value).startswith("DataFrame, row 2, column 'tags': a value is missing in the list")
    assert not list(tmp_path.iterdir())


def test_nothing_is_left_of_a_writing_that_fails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def failing(*_: object) -> Any:
        yield b""
        raise KeyboardInterrupt

    monkeypatch.setattr(tfrecord_writer, "_examples", failing)
    with pytest.raises(KeyboardInterrupt):
        write_tfrecord(pd.DataFrame({"a": [1, 2]}), tmp_path / "a.tfrecord")
    assert not list(tmp_path.iterdir())


def test_importing_it_does_not_import_tensorflow() -> None:
    script = "import sys; from tfwd.data import write_tfrecord; print('tensorflow' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False"]
