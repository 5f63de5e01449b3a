"""Rows in memory that are taken as they are: frames of pandas and polars, and Arrow tables."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

import pyarrow as pa


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


def part(frame: Any, columns: Collection[str]) -> Any:
    """A frame of those columns alone whose names, in lower case, are among `columns`: the others are not looked at."""
    kept = [index for index, name in enumerate(names(frame)) if name.lower() in columns]
    if is_pandas(frame):
        return frame.iloc[:, kept]
    return frame.select(kept) if isinstance(frame, pa.Table) else frame[:, kept]


def like(frame: Any, table: pa.Table) -> Any:
    """Answers as a frame of the kind that the rows came in: of polars, or of pandas, with the index of the rows.

    Columns that the frame itself has are taken from it, in its own types.
    """
    if is_polars(frame):
        import polars

        found = polars.from_arrow(table)
        return found.with_columns(frame.get_column(name) for name in table.column_names if name in frame.columns)
    # Without the option a whole number beside a missing one becomes a float, which rounds it.
    found = table.to_pandas(integer_object_nulls=True)
    if is_frame(frame) and is_pandas(frame):
        found.index = frame.index
        for place, name in enumerate(names(frame)):
            if name in found.columns:
                found[name] = frame.iloc[:, place].array
    return found
