"""Some rows that a run keeps of its data, with which the deep head's answers are compared wherever the run is."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from tfwd.data.raw import raw_arrays
from tfwd.data.rows import Rows
from tfwd.data.source import Source
from tfwd.errors import DataError, RunError
from tfwd.schema import Schema
from tfwd.utils.files import file_beside, what_it_is

Raw = dict[str, NDArray[Any]]

# Beside the statistics, where versions that do not know it leave it alone.
FILE = Path("statistics") / "background.parquet"
ROWS = 64
# A file with more was not written here, and might not fit in memory.
_MOST = 10_000


def draw(source: Source, schema: Schema, count: int, seed: int) -> Raw | None:
    """Returns raw rows of a source, drawn with a seed: `{input: (N,)}` or `(N, K)`; None if it is empty.

    Args:
        source: the data.
        schema: the inputs.
        count: the most rows.
        seed: draws the same rows each time.

    Raises:
        DataError: its columns or values do not fit.
    """
    batch = next(Rows(source, schema, labelled=False).batches(count, order=(seed, 0)), None)
    return None if batch is None else batch.inputs


def save(run: Path, rows: Raw) -> None:
    """Writes rows into a run, whose statistics are there already."""
    table = pa.table({name: pa.array(values.tolist()) for name, values in rows.items()})
    with file_beside(run / FILE) as temporary:
        pq.write_table(table, temporary)


def load(run: Path, schema: Schema) -> Raw | None:
    """Reads what `save` wrote; None if the run has no such file, as those of older versions have none.

    Raises:
        RunError: it is damaged.
    """
    file = run / FILE
    kind = what_it_is(file)
    if kind is None:
        return None
    try:
        if kind != "a file":
            raise ValueError(f"it is {kind}")
        names = [entry.name for entry in schema.inputs]
        with pq.ParquetFile(file) as opened:
            if not 0 < opened.metadata.num_rows <= _MOST:
                raise ValueError(f"it has {opened.metadata.num_rows:,} rows")
            table = opened.read(names)
        return raw_arrays(schema, {name: table.column(name).to_pylist() for name in table.column_names})
    except (OSError, ValueError, TypeError, pa.ArrowException, DataError) as error:
        why = (str(error).splitlines() or [type(error).__name__])[0]
        raise RunError(
            f"{file} is damaged: {why:.200}. Remove it, and rows are drawn from the run's data instead."
        ) from None
