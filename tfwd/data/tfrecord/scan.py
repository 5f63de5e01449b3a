"""TFRecord files of tf.Example as a DuckDB relation: converted once to Parquet, for the one common reader."""

from __future__ import annotations

import shutil
import tempfile
import weakref
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from tfwd.data.scans import ParquetScan, refuse_twins
from tfwd.data.tfrecord.decoding import Features, converted
from tfwd.data.tfrecord.framing import RecordFile
from tfwd.errors import DataError
from tfwd.utils.console import progress_when_slow


class TfRecordScan(ParquetScan):
    """TFRecord files of tf.Example, one row per record.

    Bytes become text, int64s BIGINT, floats FLOAT. A feature with at most one value in every record becomes a column
    of single values, any other a column of lists. A feature that a record does not have is NULL.

    The records are converted when the scan is made, a bounded number at a time, to one Parquet file per file. These
    are in a temporary folder, which is removed together with the scan.

    Args:
        files: plain or gzip, as detected from their first bytes.

    Raises:
        DataError: a record is damaged, not a tf.Example, or inconsistent with the others; names its file and offset.
    """

    lists_of_one = True

    def __init__(self, files: Sequence[str]) -> None:
        folder = Path(tempfile.mkdtemp(prefix="tfwd-tfrecord-"))
        self._remove = weakref.finalize(self, shutil.rmtree, folder, ignore_errors=True)
        try:
            super().__init__(_convert(files, folder), names=files)
        except BaseException:
            self._remove()
            raise


def _convert(files: Sequence[str], folder: Path) -> list[str]:
    """Returns the Parquet files of TFRecord files, all with one schema."""
    features = Features()
    written: list[_Segments] = []
    with progress_when_slow("Reading TFRecord", len(files)) as show:
        for index, name in enumerate(files):
            file = RecordFile(name, folder)
            with _room(name, folder), _Segments(folder / f"{index:05d}") as segments:
                for records in file.chunks():
                    segments.write(features.table(file, records))
                    show(index + file.share_read)
            written.append(segments)
    schema = features.schema()
    if not schema.names:
        raise DataError(f"{files[0]}: its records have no features.")
    refuse_twins(schema.names, files[0])
    joined = []
    for name, segments in zip(files, written, strict=True):
        with _room(name, folder):
            joined.append(str(segments.joined(schema)))
    return joined


class _Segments:
    """The contents of one file as Parquet files, with a new one whenever its records need another schema."""

    def __init__(self, prefix: Path) -> None:
        self._prefix = prefix
        self._paths: list[Path] = []
        self._writer: pq.ParquetWriter | None = None

    def __enter__(self) -> _Segments:
        return self

    def __exit__(self, *_: object) -> None:
        if self._writer is not None:
            self._writer.close()

    def write(self, table: pa.Table) -> None:
        """Appends rows."""
        if self._writer is None or self._writer.schema != table.schema:
            if self._writer is not None:
                self._writer.close()
            self._paths.append(self._prefix.with_name(f"{self._prefix.name}-{len(self._paths)}.parquet"))
            self._writer = pq.ParquetWriter(self._paths[-1], table.schema, compression="zstd")
        self._writer.write_table(table)

    def joined(self, schema: pa.Schema) -> Path:
        """Returns one file of all rows, under a schema that fits all of them."""
        if len(self._paths) == 1 and pq.read_schema(self._paths[0]) == schema:
            return self._paths[0]
        path = self._prefix.with_name(f"{self._prefix.name}.parquet")
        with pq.ParquetWriter(path, schema, compression="zstd") as writer:
            for segment in self._paths:
                with pq.ParquetFile(segment) as source:
                    for group in range(source.num_row_groups):
                        writer.write_table(_fitted(source.read_row_group(group), schema))
                segment.unlink()
        return path


def _fitted(table: pa.Table, schema: pa.Schema) -> pa.Table:
    columns = []
    for field in schema:
        if field.name in table.column_names:
            column = table.column(field.name).combine_chunks()
            columns.append(converted(column, pa.types.is_list(field.type)))
        else:
            columns.append(pa.nulls(table.num_rows, field.type))
    return pa.table(columns, schema=schema)


@contextmanager
def _room(name: str, folder: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise DataError(
            f"{name} cannot be converted in {folder.parent}: {error.strerror or error}. Set TMPDIR to a folder with "
            "room."
        ) from None
