"""The three kinds of source, CSV files, Parquet files and Arrow tables, as DuckDB relations."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import duckdb
import pyarrow.parquet as pq

from tfwd.config.data import CsvConfig
from tfwd.config.tree import short
from tfwd.data.csv_header import read_header
from tfwd.data.engine import connect
from tfwd.data.failures import reading
from tfwd.data.gzip_check import check_gzip, is_gzip
from tfwd.data.paths import PlainFiles
from tfwd.data.sql import identifier, literal
from tfwd.errors import DataError

# Rows per block, the unit whose order a shuffle permutes: small enough to mix a file written as a single row group,
# large enough that one query per block costs little.
BLOCK_ROWS = 65_536

# In the metadata of a Parquet file that `tfwd.preparation` wrote: its computed columns, name -> SQL, as JSON.
COMPUTED = "tfwd_computed"
_ROW_NUMBER = "file_row_number"


@dataclass(frozen=True)
class Block:
    """Rows of a file, by its number, that are read together; `stop` is None if it cannot be cut (CSV)."""

    file: int
    start: int = 0
    stop: int | None = None


class Scan(Protocol):
    """A relation with named, typed columns in one or several files, or in a frame, which counts as one.

    Attributes:
        file_names: what the files are called.
        columns: column -> DuckDB type.
        reads: what queries read, for `tfwd.data.engine.connect`.
        connection: a DuckDB connection that reads these files and no others.
        lists_of_one: whether a column of single values may stand for lists of at most one value.
        computed: columns that a preparation has already computed from the others -> their SQL.
        levels: the names of a frame's index, which is not a column.
        is_csv: whether the columns are text of CSV files.
        sizes: computed columns, in lower case -> about how long their strings are.
    """

    file_names: Sequence[str]
    computed: Mapping[str, str]
    columns: dict[str, str]
    reads: Sequence[str]
    connection: duckdb.DuckDBPyConnection
    lists_of_one: bool
    levels: Sequence[str]
    is_csv: bool
    sizes: Mapping[str, int]

    def attach(self, connection: duckdb.DuckDBPyConnection, block: Block | None = None) -> None:
        """Makes the relation, or one block of it, known to a connection."""

    def relation(self, file: int | None = None) -> str:
        """The SQL after FROM, for all files in order or for one."""

    def block(self, block: Block) -> str:
        """The SQL after FROM, for one block."""

    def blocks(self) -> list[Block]:
        """All rows, cut where cutting is cheap."""


class CsvScan:
    """CSV files of one dialect and header; every column is text.

    Args:
        files: their paths.
        dialect: how they are written.

    Raises:
        DataError: the columns don't fit, or a gzip file is damaged.
    """

    is_csv = True
    lists_of_one = False
    computed: Mapping[str, str] = {}
    sizes: Mapping[str, int] = {}
    levels: Sequence[str] = ()

    def __init__(self, files: Sequence[str], dialect: CsvConfig) -> None:
        self.file_names = files
        self._plain = PlainFiles(files)
        self.reads = self._plain.paths
        self.connection = connect(self.reads)
        self._dialect = dialect
        for file in files:
            if is_gzip(file):
                check_gzip(file)
        names = list(dialect.columns) if dialect.columns else _named(files[0], read_header(files[0], dialect))
        if dialect.header:
            self._check_headers(names)
        refuse_twins(names, files[0], ", in the file or with data.csv.columns")
        # A first column without a name is the index that pandas and R write; nothing can read it.
        self._index = "" if names[0] else "index" + "_" * max(map(len, names))
        self._names = [name or self._index for name in names]
        self.columns = dict.fromkeys(filter(None, names), "VARCHAR")

    def _check_headers(self, names: list[str]) -> None:
        for file in self.file_names:
            found = read_header(file, self._dialect)
            if self._dialect.columns and len(found) != len(names):
                raise DataError(f"{file} has {len(found)} columns, and data.csv.columns names {len(names)}.")
            if not self._dialect.columns and found != names:
                raise DataError(
                    f"{file} has the columns {', '.join(found)}, but {self.file_names[0]} has {', '.join(names)}. "
                    "Files that are read together need one header."
                )

    def attach(self, connection: duckdb.DuckDBPyConnection, block: Block | None = None) -> None:
        """Files need no registration."""

    def relation(self, file: int | None = None) -> str:
        """`read_csv` with the dialect and the columns given, so that nothing is guessed from the data."""
        files = self.reads if file is None else [self.reads[file]]
        columns = ", ".join(f"{literal(name)}: 'VARCHAR'" for name in self._names)
        read = (
            f"read_csv({_listed(files)}, {_dialect(self._dialect)}, header={str(self._dialect.header).lower()}, "
            f"columns={{{columns}}}, strict_mode=true, null_padding=false, auto_detect=false)"
        )
        return f"(SELECT * EXCLUDE ({identifier(self._index)}) FROM {read})" if self._index else read

    def block(self, block: Block) -> str:
        """A whole file."""
        return self.relation(block.file)

    def blocks(self) -> list[Block]:
        """One block per file: where a row begins is known only after reading what comes before."""
        return [Block(file) for file in range(len(self.file_names))]


class ParquetScan:
    """Parquet files with one schema.

    Args:
        files: their paths.
        names: their names in messages, if these differ from their paths.
    """

    is_csv = False
    lists_of_one = False
    computed: Mapping[str, str] = {}
    sizes: Mapping[str, int] = {}
    levels: Sequence[str] = ()

    def __init__(self, files: Sequence[str], names: Sequence[str] | None = None) -> None:
        self.file_names = names or files
        self._plain = PlainFiles(files)
        self.reads = self._plain.paths
        self.connection = connect(self.reads)
        self._lengths: list[int] = []
        first: dict[str, str] = {}
        marks: list[dict[str, str]] = []
        for file, name in zip(self.reads, self.file_names, strict=True):
            with reading(name):
                metadata = pq.read_metadata(file)
                schema = metadata.schema.to_arrow_schema()
            refuse_twins(schema.names, name)
            if _ROW_NUMBER in map(str.lower, schema.names):
                raise DataError(f"{name} has a column {_ROW_NUMBER!r}, a name that DuckDB itself uses. Rename it.")
            types = {field.name: str(field.type) for field in schema}
            first = first or types
            if types != first:
                raise DataError(
                    f"{name} {_difference(types, first)} {self.file_names[0]}. Files read together need one schema."
                )
            self._lengths.append(metadata.num_rows)
            marks.append(_mark(metadata.metadata))
            if marks[-1] != marks[0]:
                raise DataError(
                    f"{name} was prepared with other data.columns than {self.file_names[0]}, or only one of them was. "
                    "Files read together need one preparation."
                )
        self.computed = marks[0]
        with reading(self.file_names[0]):
            described = self.connection.sql(f"DESCRIBE SELECT * FROM {self.relation(0)}").fetchall()
        self.columns = {row[0]: row[1] for row in described}

    def attach(self, connection: duckdb.DuckDBPyConnection, block: Block | None = None) -> None:
        """Files need no registration."""

    def relation(self, file: int | None = None) -> str:
        """`read_parquet`; columns come from the files alone, never from folder names."""
        files = self.reads if file is None else [self.reads[file]]
        return f"read_parquet({_listed(files)}, binary_as_string=true, hive_partitioning=false)"

    def block(self, block: Block) -> str:
        """A range of rows; DuckDB skips the row groups outside it."""
        relation = self.relation(block.file)[:-1] + f", {_ROW_NUMBER}=true)"
        return (
            f"(SELECT * EXCLUDE ({_ROW_NUMBER}) FROM {relation} "
            f"WHERE {_ROW_NUMBER} >= {block.start} AND {_ROW_NUMBER} < {block.stop})"
        )

    def blocks(self) -> list[Block]:
        """Ranges of `BLOCK_ROWS` rows of every file."""
        return [block for file, length in enumerate(self._lengths) for block in cut(file, length)]


def _named(file: str, names: list[str]) -> list[str]:
    """The columns' names of a file.

    Raises:
        DataError: a name other than the first is empty.
    """
    nameless = [place for place, name in enumerate(names) if place and not name]
    if nameless:
        last = " Does the line end with a delimiter that it should not?" if nameless == [len(names) - 1] else ""
        raise DataError(
            f"{file}: column {nameless[0] + 1} has no name in the first line, {short(repr(list(names)))}.{last} Write "
            "its name there, or name all columns with data.csv.columns."
        )
    return names


def refuse_twins(names: Sequence[str], where: str, place: str = "") -> None:
    """Refuses two columns of one name, or of names that differ only in case.

    Args:
        names: the names of the columns.
        where: what has them, for the message.
        place: where they can be renamed, for the message.

    Raises:
        DataError: names both.
    """
    seen: dict[str, str] = {}
    for name in names:
        twin = seen.get(name.lower())
        if twin is not None:
            what = "twice" if twin == name else f"and {name!r}, which differ only in case"
            raise DataError(f"{where} has the column {twin!r} {what}. Rename one of them{place}.")
        seen[name.lower()] = name


def cut(file: int, length: int) -> list[Block]:
    return [Block(file, start, min(start + BLOCK_ROWS, length)) for start in range(0, length, BLOCK_ROWS)]


def _mark(metadata: dict[bytes, bytes] | None) -> dict[str, str]:
    """The computed columns of a prepared file; empty for any other file, or one with an invalid mark."""
    try:
        found = json.loads((metadata or {}).get(COMPUTED.encode(), b"{}"))
    except (ValueError, RecursionError):
        return {}
    texts = isinstance(found, dict) and all(isinstance(sql, str) for sql in found.values())
    return found if texts else {}


def _listed(files: Sequence[str]) -> str:
    return f"[{', '.join(map(literal, files))}]"


def _dialect(dialect: CsvConfig) -> str:
    nulls = ", ".join(map(literal, dialect.null))
    return (
        f"delim={literal(dialect.delimiter)}, quote={literal(dialect.quote)}, escape={literal(dialect.escape)}, "
        f"nullstr=[{nulls}], skip={dialect.skip}"
    )


def _difference(found: dict[str, str], first: dict[str, str]) -> str:
    for name in [*first, *found]:
        if name not in found:
            return f"has no column {name!r}, unlike"
        if name not in first:
            return f"has a column {name!r}, unlike"
        if found[name] != first[name]:
            return f"holds {found[name]} in column {name!r}, not {first[name]} as"
    return "differs from"
