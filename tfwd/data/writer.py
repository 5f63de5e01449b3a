"""Writes tables to a `.parquet` or `.csv` file, which appears when it is complete."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet

from tfwd.errors import DataError
from tfwd.utils.files import file_beside, reason


@contextlib.contextmanager
def writing(output: str | Path) -> Iterator[Writer]:
    """Yields a writer of tables to a `.parquet` or `.csv` file, which appears on success.

    Raises:
        DataError: the file cannot be written.
    """
    output = Path(output)
    if not output.parent.is_dir():
        raise DataError(f"{output} cannot be written: the folder {output.parent} does not exist.")
    if output.suffix not in (".parquet", ".csv"):
        raise DataError(f"{output}: predictions are written as .parquet or .csv. Received: {output.suffix!r}")
    try:
        with file_beside(output) as temporary, Writer(temporary) as writer:
            yield writer
    except OSError as error:
        raise DataError(f"{output} cannot be written: {reason(error)}.") from None
    except pa.ArrowException as error:
        # For example a list among the keys, for which CSV has no form.
        raise DataError(f"{output} cannot be written: {str(error).splitlines()[0]}.") from None


class Writer(contextlib.AbstractContextManager["Writer"]):
    """Appends tables of one schema to a CSV or Parquet file."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._writer: Any = None

    def write(self, table: pa.Table) -> None:
        """Appends the rows."""
        if self._writer is None:
            make = pa.csv.CSVWriter if self._path.suffix == ".csv" else pa.parquet.ParquetWriter
            self._writer = make(str(self._path), table.schema)
        self._writer.write_table(table)

    def __exit__(self, *_: object) -> None:
        if self._writer is not None:
            self._writer.close()
