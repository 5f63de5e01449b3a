"""Rows in memory that are accepted directly: frames of pandas and polars, and Arrow tables."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

import pyarrow as pa

from tfwd.data.paths import is_text
from tfwd.errors import DataError


def is_polars(data: Any) -> bool:
    """Whether data is an object of polars, which need not be installed."""
    return type(data).__module__.split(".")[0] == "polars"


def is_pandas(data: Any) -> bool:
    """Whether data is an object of pandas."""
    return type(data).__module__.split(".")[0] == "pandas"


def is_frame(data: Any) -> bool:
    """Whether data are rows in memory with named columns."""
    return isinstance(data, pa.Table) or ((is_pandas(data) or is_polars(data)) and type(data).__name__ == "DataFrame")


def names(frame: Any) -> list[str]:
    """The columns' names."""
    return list(map(str, frame.column_names if isinstance(frame, pa.Table) else frame.columns))


def with_only(frame: Any, columns: Collection[str]) -> Any:
    """A frame of only the columns whose names, in lower case, are among `columns`; the others are not inspected."""
    kept = [index for index, name in enumerate(names(frame)) if name.lower() in columns]
    if is_pandas(frame):
        return frame.iloc[:, kept]
    return frame.select(kept) if isinstance(frame, pa.Table) else frame[:, kept]


def like(frame: Any, table: pa.Table) -> Any:
    """Answers as a frame of the same library as the rows: of polars, or of pandas with the index of the rows.

    Columns that the frame itself has are taken from it, in its own types.
    """
    if is_polars(frame):
        import polars

        found = polars.from_arrow(table)
        return found.with_columns(frame.get_column(name) for name in table.column_names if name in frame.columns)
    # Without the option, integers become floats if any is missing, which rounds them.
    found = table.to_pandas(integer_object_nulls=True)
    if is_frame(frame) and is_pandas(frame):
        found.index = frame.index
        for place, name in enumerate(names(frame)):
            if name in found.columns:
                found[name] = frame.iloc[:, place].array
    return found


def arrow_table(data: Any) -> pa.Table:
    """The rows of a frame, or of anything else that exports them through Arrow's interface.

    Raises:
        DataError: a column's name or values have no form in Arrow; says what to do.
    """
    named = is_pandas(data) or is_polars(data)
    if named and type(data).__name__ != "DataFrame":
        package = "polars" if is_polars(data) else "pandas"
        advice = " Give its collect()." if hasattr(data, "collect") else ""
        raise DataError(f"Data must be a {package}.DataFrame, not a {package}.{type(data).__name__}.{advice}")
    if not is_pandas(data):
        return pa.table(data)
    if data.columns.nlevels > 1:
        raise DataError(
            f"The DataFrame's columns have {data.columns.nlevels} levels, for example {data.columns[0]!r}. Give each "
            "one name, for example with frame.columns = ['_'.join(map(str, column)) for column in frame.columns]."
        )
    for column in map(str, data.columns):
        if not is_text(column):
            raise DataError(f"The DataFrame has a column whose name is not a string: {column!r}. Rename it.")
    data = data.rename(columns=str)
    twins = data.columns[data.columns.duplicated()]
    if len(twins):
        raise DataError(f"The DataFrame has the column {twins[0]!r} twice. Rename one of them.")
    arrays = {}
    for column in data.columns:
        try:
            arrays[column] = pa.Array.from_pandas(data[column])
        except UnicodeEncodeError as error:
            raise DataError(
                f"The DataFrame's column {column!r}{_row_of(data[column])} holds an invalid string: {error.reason}. "
                "Remove such characters, for example with .str.encode('utf-8', 'replace').str.decode('utf-8')."
            ) from None
        except (pa.ArrowException, OverflowError, TypeError, ValueError) as error:
            # Some of these are Arrow's own errors; Python's come from integers beyond 64 bits and from Decimals.
            raise DataError(
                f"The DataFrame's column {column!r} mixes types: {str(error).splitlines()[0]}. Convert it to one, for "
                "example with .astype(str)."
            ) from None
    return pa.table(arrays)


def index_names(data: Any) -> list[str]:
    """The names in a frame's index, which are not columns."""
    return [str(name) for name in getattr(getattr(data, "index", None), "names", []) if name is not None]


def _row_of(values: Any) -> str:
    """The row of the first string that cannot be encoded as UTF-8."""
    for row, value in enumerate(values, 1):
        try:
            str(value).encode()
        except UnicodeEncodeError:
            return f", row {row},"
    return ""
