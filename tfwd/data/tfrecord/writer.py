"""Writing TFRecord files of tf.Example."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import pyarrow as pa

from tfwd.data.failures import ENGINE_ERRORS, explain
from tfwd.data.lists import items, value_type
from tfwd.data.source import Source
from tfwd.data.sql import INTEGERS, TEXTS, as_float, as_text, identifier, is_fractional
from tfwd.errors import DataError
from tfwd.utils.console import progress_when_slow

if TYPE_CHECKING:
    import pandas as pd


_ENDINGS = (".tfrecord", ".tfrecords", ".tfrecord.gz", ".tfrecords.gz")
_ITEM = "item"


def write_tfrecord(
    data: pd.DataFrame | pa.Table | str | Path,
    path: str | Path,
    *,
    shards: int = 1,
    compression: Literal["gzip"] | None = None,
    columns: Sequence[str] | None = None,
) -> list[Path]:
    """Writes rows as TFRecord of tf.Example, one record per row, in their order.

    Text becomes bytes in UTF-8, whole numbers and truth values int64, other numbers float, lists several values. For
    a missing value (NULL; in a frame also NaN) the record does not have the feature; inside a list of numbers with a
    fraction it is NaN. tf.Example has no other float than float32: a float64 is rounded to the nearest, and is missing
    if it is out of range.

    The files appear together when all are written.

    Args:
        data: a frame, an Arrow table, or a path as `Source.open` takes it.
        path: the path of the file, `.tfrecord` or `.tfrecord.gz`; it must not exist.
        shards: with 2 or more, the files are `PATH-00000-of-00002` and so on, each with consecutive rows.
        compression: None compresses if the path ends in `.gz`.
        columns: those to write, by default all.

    Returns:
        The paths of the files.

    Raises:
        DataError: a column's type has no form in tf.Example, a column is named twice, a file exists already or cannot
            be written, or there are fewer rows than files.
    """
    path = Path(path)
    if not path.name.lower().endswith(_ENDINGS):
        raise DataError(f"{path}: a TFRecord file is named {' or '.join(_ENDINGS)}.")
    if shards < 1:
        raise DataError(f"{path}: there must be at least 1 shard. Received: shards={shards}")
    if compression not in (None, "gzip"):
        raise DataError(f"{path}: compression is None or 'gzip'. Received: {compression!r}")
    source = Source.open(data)
    wanted = list(source.columns if columns is None else columns)
    twin = next((column for column in wanted if wanted.count(column) > 1), None)
    if twin is not None:
        raise DataError(f"{path}: the column {twin!r} is in `columns` twice.")
    fields = [_field(source, column) for column in wanted]
    if not fields:
        raise DataError(f"{source.name}: there is no column to write.")
    with _explained(source):
        rows = int(source.connect().sql(source.select("count(*)")).fetchall()[0][0])
    if rows < shards:
        raise DataError(f"{source.name} has {rows} rows, too few for {shards} TFRecord file{'s' * (shards > 1)}.")
    names = [path.name] if shards == 1 else [f"{path.name}-{n:05d}-of-{shards:05d}" for n in range(shards)]
    with _beside(path.parent, names) as folder:
        zipped = compression == "gzip" or path.name.lower().endswith(".gz")
        # The first `rows % shards` files have one row more than the others.
        sizes = [rows // shards + (n < rows % shards) for n in range(shards)]
        _write(_examples(source, fields), [folder / name for name in names], sizes, zipped)
    return [path.parent / name for name in names]


@dataclass(frozen=True)
class _Field:
    """A column to be written as a feature: its field of `tf.train.Feature`, and the SQL of its values."""

    column: str
    kind: Literal["bytes_list", "int64_list", "float_list"]
    sql: str
    is_list: bool


def _field(source: Source, column: str) -> _Field:
    found = source.require(column, "write_tfrecord")
    inner = value_type(found)
    kind, value = _form(column if inner is None else _ITEM, found if inner is None else inner, source, column)
    given = items(column, found, None)
    if given is None:
        return _Field(column, kind, value, False)
    return _Field(column, kind, f"list_transform({given.sql}, lambda {identifier(_ITEM)}: {value})", True)


def _form(name: str, found: str, source: Source, column: str) -> tuple[Any, str]:
    if found in TEXTS or found.startswith("ENUM"):
        return "bytes_list", as_text(name, found)
    if found in INTEGERS or found == "BOOLEAN":
        return "int64_list", f"CAST({identifier(name)} AS BIGINT)"
    if is_fractional(found):
        return "float_list", as_float(name, found)
    raise DataError(
        f"Column {column!r} is {source.columns[column]} in {source.name}, which tf.Example cannot hold: it holds text, "
        "64-bit integers, floats, and lists of these. Convert the column, for example to text or to seconds, or leave "
        "it out with `columns`."
    )


def _examples(source: Source, fields: list[_Field]) -> Iterator[bytes]:
    """The serialized records in the order of the rows."""
    from tensorflow.train import Example

    select = ", ".join(f"{field.sql} AS c{index}" for index, field in enumerate(fields))
    with _explained(source):
        for batch in source.stream(select):
            columns = [_values(batch.column(index), field, source) for index, field in enumerate(fields)]
            for row in zip(*columns, strict=True):
                example = Example()
                features = example.features.feature
                for field, values in zip(fields, row, strict=True):
                    if values is not None:
                        feature = getattr(features[field.column], field.kind)
                        # An empty list is written as a feature, a missing list is not.
                        feature.SetInParent()
                        feature.value.extend(values)
                # Equal rows become equal bytes: a map has no order of its own.
                yield example.SerializeToString(deterministic=True)


def _values(column: pa.Array, field: _Field, source: Source) -> list[Any]:
    """The values of each row, None where the row has none."""
    if field.kind == "bytes_list":
        column = column.cast(pa.list_(pa.binary()) if field.is_list else pa.binary())
    if not field.is_list:
        return [None if value is None else (value,) for value in column.to_pylist()]
    if not column.flatten().null_count:
        return column.to_pylist()
    if field.kind == "float_list":
        return [row and [float("nan") if v is None else v for v in row] for row in column.to_pylist()]
    name = identifier(field.column)
    place = source.first(field.column, f"len(list_filter({name}, lambda {_ITEM}: {_ITEM} IS NULL)) > 0")
    where = f"{place.file}, row {place.row}" if place else source.name
    raise DataError(
        f"{where}, column {field.column!r}: a value is missing in the list, and tf.Example cannot hold that. Leave it "
        "out of the list, or fill it."
    )


def _write(examples: Iterator[bytes], files: list[Path], sizes: list[int], zipped: bool) -> None:
    import tensorflow as tf

    options = tf.io.TFRecordOptions(compression_type="GZIP" if zipped else "")
    done, total = 0, sum(sizes)
    with progress_when_slow("Writing TFRecord", total) as show:
        for file, size in zip(files, sizes, strict=True):
            with tf.io.TFRecordWriter(str(file), options) as writer:
                for _ in range(size):
                    writer.write(next(examples))
                    done += 1
                    if done % 1000 == 0:
                        show(done)


@contextmanager
def _beside(parent: Path, names: list[str]) -> Iterator[Path]:
    """A hidden folder to fill, whose files are moved to `parent` on success."""
    from tensorflow.errors import OpError

    from tfwd.utils.files import reason

    if not parent.is_dir():
        raise DataError(f"{parent / names[0]} cannot be written: the folder {parent} does not exist.")
    _refuse_existing(parent, names)
    try:
        folder = Path(tempfile.mkdtemp(prefix=f".{names[0]}-", dir=parent))
        try:
            yield folder
            _refuse_existing(parent, names)
            for name in names:
                os.rename(folder / name, parent / name)
        finally:
            shutil.rmtree(folder, ignore_errors=True)
    except OSError as error:
        raise DataError(f"{parent / names[0]} cannot be written: {reason(error)}.") from None
    except OpError as error:
        raise DataError(f"{parent / names[0]} cannot be written: {str(error).splitlines()[0].rstrip('.')}.") from None


def _refuse_existing(parent: Path, names: list[str]) -> None:
    there = next((parent / name for name in names if (parent / name).exists()), None)
    if there is not None:
        raise DataError(f"{there} exists already. Choose another path, or remove it.")


@contextmanager
def _explained(source: Source) -> Iterator[None]:
    try:
        yield
    except ENGINE_ERRORS as error:
        raise explain(error, source.name) from None
