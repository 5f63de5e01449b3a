"""Where rows come from: a file, a folder, a glob, the bundled census, a DataFrame, an Arrow table."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import duckdb
import pyarrow as pa

from tfwd.config.data import CsvConfig
from tfwd.data.computed import ComputedScan
from tfwd.data.engine import one
from tfwd.data.failures import ENGINE_ERRORS, explain, reading
from tfwd.data.files import Format, find_files, format_of
from tfwd.data.filters import checked
from tfwd.data.frames import arrow_table, index_names, is_pandas, is_polars
from tfwd.data.lists import Items, items
from tfwd.data.scans import BLOCK_ROWS, Block, CsvScan, ParquetScan, Scan
from tfwd.data.sql import as_text, both, digest, identifier
from tfwd.data.table_scan import TableScan
from tfwd.errors import ConfigError, DataError
from tfwd.utils.naming import nearest


class Place(NamedTuple):
    """The place of a value: the file, the number of the row in it (from 1, without the header), the value's text."""

    file: str
    row: int
    value: str | None


class Source:
    """Rows with named columns, and the one reader for all that read them.

    Attributes:
        name: the path as given, or `DataFrame`, for messages.
        columns: column -> DuckDB type as read; every column of a CSV file is `VARCHAR`.
        reads: what a connection must be able to read for `attach`.
        file_names: the names of the files; of a frame, `DataFrame`.
        computed: columns that a preparation has computed already, with their SQL.
        filter: the condition on the rows, as checked SQL.
        files: their paths; none for a frame.
    """

    files: tuple[str, ...] = ()

    def __init__(self, name: str, scan: Scan, filter: str | None) -> None:
        self.name = name
        self.columns = scan.columns
        self.reads = scan.reads
        self.file_names = scan.file_names
        self.computed = scan.computed
        self._stamps = [_stamp(path) for path in self.reads]
        self.filter = checked(filter, scan.columns, sizes=scan.sizes) if filter is not None else None
        self._scan = scan
        if self.filter is not None:
            self._try_filter(str(filter))

    @classmethod
    def open(
        cls,
        data: Any,
        *,
        csv: CsvConfig | None = None,
        format: Format = "auto",
        filter: str | None = None,
    ) -> Source:
        """Finds the files and reads their columns.

        Args:
            data: a path (CSV, also `.gz`; TSV; Parquet; TFRecord of tf.Example, also `.gz`), a folder, a glob,
                `census:train`, `census:test`, a list of these, a `pandas.DataFrame`, a `polars.DataFrame`, a
                `pyarrow.Table` or anything else that gives its rows as Arrow does.
            csv: the dialect; a `.tsv` is separated by tabs unless the dialect says otherwise.
            format: `auto` goes by the ending.
            filter: an SQL condition on the columns of a row; other rows are left out.

        Raises:
            DataError: there is no such file, it cannot be read, or its columns cannot be distinguished.
            ConfigError: the filter is more than a condition on known columns.
        """
        csv = csv or CsvConfig()
        if hasattr(data, "__arrow_c_stream__") or is_pandas(data) or is_polars(data):
            return cls("DataFrame", TableScan(arrow_table(data), index_names(data)), filter)
        paths = data if isinstance(data, list | tuple) and data else [data]
        if not all(isinstance(path, str | Path) for path in paths):
            raise DataError(
                "Data must be a path, a pandas.DataFrame, a polars.DataFrame or a pyarrow.Table. "
                f"Received: {type(data).__name__}"
            )
        files = [file for path in paths for file in find_files(str(path))]
        data = ", ".join(map(str, paths))
        kind = format_of(files) if format == "auto" else format
        for file in files:
            if Path(file).stat().st_size == 0:
                raise DataError(f"{file} is empty.")
        source = cls(str(data), _scan(files, kind, csv), filter)
        source.files = tuple(files)
        return source

    def _try_filter(self, condition: str) -> None:
        try:
            self._run(f"EXPLAIN {self.select('1')}")
        except (duckdb.ProgrammingError, duckdb.DataError) as error:
            reason = str(error).splitlines()[0].partition("Error: ")[2].rstrip(".")
            raise ConfigError(f"data.filter: {condition!r} does not fit the columns' types: {reason}.") from None
        except ENGINE_ERRORS as error:
            raise explain(error, self.name) from None

    def computing(self, columns: Mapping[str, str], filter: str | None = None) -> Source:
        """The same rows with computed columns, each computed from those before it, and then a filter.

        Raises:
            ConfigError: an expression is more than SQL on a row, or does not fit the columns.
        """
        scan = self._scan
        if columns:
            scan = ComputedScan(scan, columns, self.name)
        made = Source(self.name, scan, filter)
        made.files, made._stamps = self.files, self._stamps
        return made

    def fault(self) -> DataError | None:
        """Why a computed column cannot be computed for all rows; None if it can."""
        return self._scan.fault(self.connect()) if isinstance(self._scan, ComputedScan) else None

    def filter_fails(self) -> bool:
        """Whether the rows can be read, but `data.filter` cannot be evaluated for each of them."""
        try:
            self._run(f"SELECT count(*) FROM {self._scan.relation()}")
        except ENGINE_ERRORS:
            return False
        try:
            self._run(self.select("count(*)"))
        except ENGINE_ERRORS as error:
            return isinstance(error, duckdb.ProgrammingError | duckdb.DataError)
        return False

    def require(self, column: str, what: str = "a feature") -> str:
        """The type of a column.

        Raises:
            DataError: there is no such column; names the nearest.
        """
        if column not in self.columns:
            hint = self._delimiter()
            if column in self._scan.levels:
                hint = " The frame's index has that name: give frame.reset_index(), which makes a column of it."
            raise no_column(self.name, self.columns, column, what, hint)
        return self.columns[column]

    def refuse_periods(self, column: str) -> None:
        """Refuses pandas' periods for moments: DuckDB sees their numbers, such as months since 1970.

        Raises:
            DataError: says what to do.
        """
        if isinstance(self._scan, TableScan) and column in self._scan.periods:
            raise DataError(
                f"The DataFrame's column {column!r} holds periods. Convert it to moments, for example with "
                ".dt.to_timestamp(), or to strings, for example with .astype(str)."
            )

    @property
    def is_csv(self) -> bool:
        """Whether the rows are text of CSV files."""
        return self._scan.is_csv

    def _delimiter(self) -> str:
        """A hint if the whole first line of a CSV file is one name, as in a file with another delimiter."""
        name = next(iter(self.columns))
        marks = sorted((mark for mark in ";\t|:," if mark in name), key=name.count)
        if len(self.columns) > 1 or not marks or not self.is_csv:
            return ""
        return f" Its first line is one field, {name!r}: set data.csv.delimiter to {marks[-1]!r}."

    def connect(self, block: Block | None = None) -> duckdb.DuckDBPyConnection:
        """A connection that knows the relation, or one block of it, for one thread."""
        cursor = self._scan.connection.cursor()
        self._scan.attach(cursor, block)
        return cursor

    def attach(self, connection: duckdb.DuckDBPyConnection) -> None:
        """Makes the relation known to another database's connection."""
        self._scan.attach(connection)

    def select(self, expressions: str, *, where: str | None = None, block: Block | None = None) -> str:
        """A query over the source's rows that pass the filter, or those of one block."""
        relation = self._scan.relation() if block is None else self._scan.block(block)
        return f"SELECT {expressions} FROM {relation}{both([self.filter, where])}"

    def blocks(self) -> list[Block]:
        """The blocks whose order a shuffle permutes."""
        return self._scan.blocks()

    def stream(self, expressions: str, *, block: Block | None = None) -> Iterator[pa.RecordBatch]:
        """Rows in the order of the source, in record batches of at most about a block's rows, memory bounded.

        Raises:
            DataError: a file has changed since it was opened: what was learned from it would no longer fit.
        """
        query = self.select(expressions, block=block)
        connection = self.connect(block)
        self._refuse_changes(block)
        try:
            yield from connection.sql(one(connection, query)).to_arrow_reader(BLOCK_ROWS)
        except ENGINE_ERRORS:
            self._refuse_changes(block)
            raise
        self._refuse_changes(block)

    def counts(self) -> tuple[int, int]:
        """The number of rows, and how many of them are not a copy of an earlier one."""
        with reading(self.name):
            ((rows, different),) = self._run(self.select(f"count(*), count(DISTINCT {digest(self.columns)})"))
        return int(rows), int(different)

    def items(self, column: str, delimiter: str | None) -> Items | None:
        """A column's rows as lists, or None if they are not lists; see `tfwd.data.lists`."""
        return items(column, self.columns[column], delimiter, self._scan.lists_of_one)

    def has_values(self, column: str) -> bool:
        """Whether any row has a value in a column. A column without values may have any type, such as in a frame."""
        return self.first(column, f"{identifier(column)} IS NOT NULL") is not None

    def first(self, column: str, condition: str, found: str | None = None) -> Place | None:
        """The first row that fulfils `condition`, for a message.

        Args:
            column: what the message is about.
            condition: SQL.
            found: the SQL of the text to show, in place of the column's.
        """
        value = found or as_text(column, self.columns[column])
        # A name longer than every column's name matches none.
        row = "row" + "_" * max(map(len, self.columns))
        for file, name in enumerate(self.file_names):
            numbered = f"(SELECT *, row_number() OVER () AS {row} FROM {self._scan.relation(file)})"
            query = f"SELECT {row}, {value} FROM {numbered}{both([self.filter, condition])} ORDER BY {row} LIMIT 1"
            with reading(name):
                rows = self._run(query)
            if rows:
                return Place(name, int(rows[0][0]), rows[0][1])
        return None

    def _refuse_changes(self, block: Block | None) -> None:
        for file, (path, stamp) in enumerate(zip(self.reads, self._stamps, strict=True)):
            if block is not None and block.file != file:
                continue
            now = _stamp(path)
            if now is None:
                raise DataError(f"{self.file_names[file]} no longer exists: it existed when it was opened.")
            if now != stamp:
                raise DataError(
                    f"{self.file_names[file]} has changed since it was opened. Rows are read several times: read a "
                    "copy that nothing writes to."
                )

    def _run(self, query: str) -> list[tuple[Any, ...]]:
        connection = self.connect()
        rows: list[tuple[Any, ...]] = connection.sql(one(connection, query)).fetchall()
        return rows


def _scan(files: list[str], kind: str, csv: CsvConfig) -> Scan:
    if kind == "parquet":
        return ParquetScan(files)
    if kind == "tfrecord":
        from tfwd.data.tfrecord.scan import TfRecordScan

        return TfRecordScan(files)
    if files[0].lower().endswith((".tsv", ".tsv.gz")) and csv.delimiter == CsvConfig().delimiter:
        csv = csv.model_copy(update={"delimiter": "\t"})
    return CsvScan(files, csv)


def no_column(name: str, columns: Collection[str], column: str, what: str, hint: str = "") -> DataError:
    """The error for a column that a source does not have; names the nearest.

    Args:
        name: the name of the source.
        columns: the columns that it has.
        column: the missing column.
        what: what reads the column.
        hint: what to do, if more is known than the nearest name.
    """
    twins = [there for there in columns if there.lower() == column.lower()]
    hint = hint or (f" Did you mean {twins[0]!r}?" if twins else nearest(column, columns))
    return DataError(f"{name} has no column {column!r}, which {what} reads.{hint}")


def _stamp(path: str) -> tuple[int, int] | None:
    """A stamp that shows whether a file is still the same."""
    try:
        found = os.stat(path)
    except OSError:
        return None
    return found.st_size, found.st_mtime_ns
