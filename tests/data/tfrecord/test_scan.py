"""TFRecord of tf.Example: what is read is what was written, and the batches are those of Parquet."""

from __future__ import annotations

import gzip
import itertools
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st
from tfrecord_cases import example, write

from tfwd.config.config import Config
from tfwd.data import Batch, Rows, Source, resolve_schema, scans, write_tfrecord
from tfwd.data.files import known_ending
from tfwd.data.tfrecord import framing as tfrecord_framing
from tfwd.errors import ConfigError, DataError

WORDS = ["a", "città", "年齢", "two\nlines", "", "00701", None]


@pytest.fixture
def table() -> pa.Table:
    """1,000 rows: text, numbers and lists with weights, all of which may be missing."""
    random = np.random.default_rng(1)
    lengths = [None if random.random() < 0.1 else int(random.integers(0, 6)) for _ in range(1000)]
    lists = [None if length is None else [WORDS[i] for i in random.integers(0, 6, length)] for length in lengths]
    weights = [
        None if length is None or random.random() < 0.2 else random.random(length).tolist() for length in lengths
    ]
    numbers = pa.array(np.float32(random.normal(size=1000)), mask=random.random(1000) < 0.1)
    return pa.table(
        {
            "word": [WORDS[index] for index in random.integers(0, len(WORDS), 1000)],
            "user id": [f"u{index}" for index in random.integers(0, 300, 1000)],
            "code": pa.array(random.integers(-(2**62), 2**62, 1000), mask=random.random(1000) < 0.1),
            "tags": pa.array(lists, pa.list_(pa.string())),
            "shares": pa.array(weights, pa.list_(pa.float32())),
            "ids": pa.array([[i % 5] * (i % 4) if i % 7 else None for i in range(1000)], pa.list_(pa.int64())),
            "number": numbers,
            "row": pa.array(range(1000), pa.int64()),
            "y": pa.array(random.integers(0, 2, 1000)),
        }
    )


@pytest.fixture
def config(configure: Any) -> Config:
    return configure(
        [
            {"type": "categorical", "column": "word", "embedding": 2},
            {"type": "categorical", "column": "user id"},
            {"type": "categorical", "column": "code"},
            {"type": "categorical", "column": "tags", "max_length": 4, "weights": "shares", "embedding": 2},
            {"type": "categorical", "column": "ids", "max_length": 2, "identity": 5, "embedding": 2},
            {"type": "numeric", "column": "number"},
            {"type": "numeric", "column": "row"},
        ]
    )


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Files of a thousand rows have several chunks of records and several blocks."""
    monkeypatch.setattr(tfrecord_framing, "_BATCH", 32)
    monkeypatch.setattr(tfrecord_framing, "CHUNK_RECORDS", 96)
    monkeypatch.setattr(scans, "BLOCK_ROWS", 128)


def read(data: Any, **options: Any) -> pa.Table:
    source = Source.open(data, **options)
    return pa.Table.from_batches(list(source.stream("*")))


def assert_same(one: Iterator[Batch], other: Iterator[Batch]) -> None:
    for a, b in itertools.zip_longest(one, other):
        assert a.inputs.keys() == b.inputs.keys()
        found = [*a.inputs.items(), ("label", a.label), ("weight", a.weight)]
        for (name, values), wanted in zip(found, [*b.inputs.values(), b.label, b.weight], strict=True):
            if values is None or wanted is None:
                assert values is wanted
                continue
            assert values.dtype == wanted.dtype, name
            np.testing.assert_array_equal(values, wanted, err_msg=name)


@pytest.mark.usefixtures("small")
@pytest.mark.parametrize(("shards", "compression"), [(1, None), (3, "gzip")])
def test_batches_are_those_of_parquet(
    table: pa.Table, config: Config, tmp_path: Path, shards: int, compression: Any
) -> None:
    write_tfrecord(table, tmp_path / "a.tfrecord", shards=shards, compression=compression)
    sizes = [334, 333, 333] if shards == 3 else [1000]
    for index, size in enumerate(sizes):
        pq.write_table(table.slice(sum(sizes[:index]), size), tmp_path / f"a-{index}.parquet")
    data = {form: str(tmp_path / pattern) for form, pattern in (("tfrecord", "a.tfrecord*"), ("parquet", "*.parquet"))}
    sources = {form: Source.open(path, filter="row <> 17") for form, path in data.items()}
    schemas = {form: resolve_schema(config, source) for form, source in sources.items()}
    assert schemas["tfrecord"] == schemas["parquet"]
    for order, split in ((None, None), ((3, 1), "train"), (None, "validation")):
        rows = [
            Rows(source, schemas[form], split=split, fraction=0.3 if split else 0.0).with_classes(("0", "1"))
            for form, source in sources.items()
        ]
        assert rows[0].count() == rows[1].count() > 0
        one, other = (r.batches(64, order=order, shuffle_rows=150, skip=1) for r in rows)
        assert_same(one, other)
        if split:
            one, other = (r.dataset(64, order=order, shuffle_rows=150).as_numpy_iterator() for r in rows)
            for a, b in zip(one, other, strict=True):
                tf.nest.map_structure(np.testing.assert_array_equal, a, b)


@pytest.mark.usefixtures("small")
def test_what_is_written_is_read(table: pa.Table, tmp_path: Path) -> None:
    assert write_tfrecord(table, tmp_path / "a.tfrecord") == [tmp_path / "a.tfrecord"]
    found = read(tmp_path / "a.tfrecord")
    assert found.column_names == sorted(table.column_names)
    assert found.select(table.column_names).to_pylist() == table.to_pylist()
    assert Source.open(tmp_path / "a.tfrecord").columns == {
        **{"code": "BIGINT", "ids": "BIGINT[]", "number": "FLOAT", "row": "BIGINT", "shares": "FLOAT[]"},
        **{"tags": "VARCHAR[]", "user id": "VARCHAR", "word": "VARCHAR", "y": "BIGINT"},
    }


_VALUES = {
    "text": st.text(max_size=3),
    "whole": st.integers(-(2**63), 2**63 - 1),
    "float": st.floats(width=32, allow_nan=False),
}
_RECORDS = st.lists(
    st.fixed_dictionaries(
        {},
        optional={
            f"{kind} {length}": st.lists(values, min_size=length == "three", max_size=3 if length == "three" else 1)
            for kind, values in _VALUES.items()
            for length in ("one", "three")
        },
    ),
    min_size=1,
    max_size=40,
)


@settings(max_examples=15, deadline=None)
@given(records=_RECORDS, cut=st.integers(1, 12), parts=st.integers(1, 3))
def test_records_of_tensorflow_against_plain_python(records: list[dict[str, Any]], cut: int, parts: int) -> None:
    # An empty list is of no kind: what is only ever empty is no column.
    kinds = {name for record in records for name, values in record.items() if values}
    lists = {name for record in records for name, values in record.items() if len(values) > 1}
    records = [{name: v for name, v in record.items() if v or name.startswith("text")} for record in records]
    texts = {name for record in records for name, v in record.items() if not v}
    with tempfile.TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        patch.setattr(tfrecord_framing, "_BATCH", cut)
        patch.setattr(tfrecord_framing, "CHUNK_RECORDS", cut)
        step = -(-len(records) // parts)
        for index, start in enumerate(range(0, len(records), step)):
            write(Path(folder) / f"{index}.tfrecord", (example(**r) for r in records[start : start + step]))
        if not kinds | texts:
            with pytest.raises(DataError, match="have no features"):
                Source.open(folder)
            return
        found = read(folder)
    assert set(found.column_names) == kinds | texts
    for name in found.column_names:
        expected = [record.get(name) for record in records]
        if name not in lists:
            expected = [values[0] if values else None for values in expected]
        assert found.column(name).to_pylist() == expected


@pytest.mark.usefixtures("small")
def test_lists_and_columns_that_come_late(tmp_path: Path) -> None:
    first = [example(a=1, b="x") for _ in range(150)] + [example(a=[], b="y", c=0.5)]
    first[150] = tf.train.Example(
        features=tf.train.Features(
            feature={
                "a": tf.train.Feature(int64_list=tf.train.Int64List()),
                "b": tf.train.Feature(),
                "c": tf.train.Feature(float_list=tf.train.FloatList(value=[0.5])),
            }
        )
    ).SerializeToString()
    write(tmp_path / "x-00000-of-00002.tfrecord", first)
    write(tmp_path / "x-00001-of-00002.tfrecord", [b"", example(a=[1, 2], d=["q", "r"])])
    found = read(tmp_path).to_pylist()
    nothing = {"c": None, "d": None}
    assert found[:150] == [{"a": [1], "b": "x", **nothing}] * 150
    assert found[150:] == [
        {"a": [], "b": None, "c": 0.5, "d": None},
        {"a": None, "b": None, **nothing},
        {"a": [1, 2], "b": None, "c": None, "d": ["q", "r"]},
    ]


def test_a_list_that_never_has_more_than_one_value_is_still_one(tmp_path: Path, configure: Any) -> None:
    config = configure(
        [{"type": "categorical", "column": "tags", "max_length": 3, "weights": "shares", "embedding": 2}]
    )
    write(tmp_path / "a.tfrecord", [example(tags="x", shares=0.5, y=1), example(y=0)])
    source = Source.open(tmp_path / "a.tfrecord")
    assert source.columns["tags"] == "VARCHAR"
    (batch,) = Rows(source, resolve_schema(config, source)).with_classes(("0", "1")).batches(4)
    assert batch.inputs["tags"].tolist() == [["x", "", ""], ["", "", ""]]
    np.testing.assert_array_equal(batch.inputs["shares"], np.float32([[0.5, np.nan, np.nan], [np.nan] * 3]))


@pytest.mark.parametrize(
    "name",
    [
        *("a.tfrecord", "a.tfrecords", "a.tfrecord.gz", "A.TFRECORD", "a.tfrecord-00000-of-00008"),
        *("a.tfrecord.gz-00000-of-00008", "x-00003-of-00010.tfrecord.gz", "a.tfrecord-00000-of-00008.gz"),
    ],
)
@pytest.mark.parametrize("compression", ["", "GZIP"])
def test_names_and_what_is_in_them(tmp_path: Path, name: str, compression: str) -> None:
    file = write(tmp_path / name, [example(a=1), example(a=2)], compression)
    (tmp_path / "_SUCCESS").touch()
    for data in (file, tmp_path, str(tmp_path / "*[0-9dszDpP]")):
        assert read(data).to_pydict() == {"a": [1, 2]}


def test_other_names_are_read_where_the_format_is_said(tmp_path: Path, configure: Any) -> None:
    file = write(tmp_path / "part-0", [example(a=1)])
    with pytest.raises(DataError, match=r"part-0 ends in none of .*\.tfrecord.*data\.format"):
        Source.open(file)
    assert read(file, format="tfrecord").to_pydict() == {"a": [1]}
    features = [{"type": "categorical", "column": "a"}]
    assert configure(features, format="tfrecord").data.format == "tfrecord"
    with pytest.raises(ConfigError, match="'tfrecord'"):
        configure(features, format="tfrecrod")


@pytest.mark.parametrize(
    ("name", "known"),
    [
        *(("a.tfrecord", True), ("a.tfrecord-00000-of-00008", True), ("a/train.tfrecord-*", True)),
        *(("train-?????-of-00008.tfrecord.gz", True), ("a.tfrecord.zip", False), ("tfrecord-00000-of-00001", False)),
        ("a.data-00000-of-00008", False),
    ],
)
def test_known_endings(name: str, known: bool) -> None:
    assert known_ending(name) == known


def test_files_in_sorted_order_and_the_place_of_a_value(tmp_path: Path, configure: Any) -> None:
    for number in (2, 0, 1):
        records = [example(a=str(10 * number + index), y=index % 2) for index in range(4)]
        write(tmp_path / f"a.tfrecord-{number:05d}-of-00003", records, "GZIP" if number == 1 else "")
    write(
        tmp_path / "a.tfrecord-00001-of-00003", [example(a="10", y=0), example(a="eleven", y=1), example(a="12", y=0)]
    )
    source = Source.open(tmp_path)
    assert read(tmp_path)["a"].to_pylist() == ["0", "1", "2", "3", "10", "eleven", "12", "20", "21", "22", "23"]
    rows = Rows(source, resolve_schema(configure([{"type": "numeric", "column": "a"}]), source)).with_classes(
        ("0", "1")
    )
    with pytest.raises(DataError) as caught:
        list(rows.batches(4))
    assert str(caught.value) == (
        f"{tmp_path}/a.tfrecord-00001-of-00003, row 2, column 'a': expected a number, found 'eleven'."
    )


def test_mixed_formats_and_empty_files(tmp_path: Path) -> None:
    file = write(tmp_path / "b.tfrecord", [example(a=1)])
    (tmp_path / "a.csv").write_text("a\n1\n")
    with pytest.raises(DataError, match=r"a\.csv is CSV and .*b\.tfrecord is TFRecord\. Files read together"):
        Source.open(tmp_path)
    file.write_bytes(b"")
    with pytest.raises(DataError, match=r"b\.tfrecord is empty\."):
        Source.open(file)
    file.write_bytes(gzip.compress(b""))
    with pytest.raises(DataError, match=r"b\.tfrecord is empty\."):
        Source.open(file)


def test_nothing_is_left_in_the_temporary_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(temporary))
    file = write(tmp_path / "a.tfrecord", [example(a=1)], "GZIP")
    source = Source.open(file)
    assert [entry.suffix for entry in temporary.rglob("*") if entry.is_file()] == [".parquet"]
    rows = source.stream("*")
    assert next(rows).to_pydict() == {"a": [1]}
    del source, rows
    assert not list(temporary.iterdir())
    write(tmp_path / "a.tfrecord", [example(a=1), b"\xff"])
    with pytest.raises(DataError, match="record 2"):
        Source.open(file)
    assert not list(temporary.iterdir())
