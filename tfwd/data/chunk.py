"""A few ten thousand rows as columns, strings as codes into a dictionary, on their way to batches."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from tfwd.schema import Input


@dataclass(frozen=True)
class Chunk:
    """Decoded rows.

    Attributes:
        inputs: the schema's inputs in order.
        values: input name -> (N,) int64, float32, or int32 codes into `dictionaries` for a string.
        dictionaries: the string inputs' distinct values, each once.
        label: (N, 1), float32 or int32, or None.
        weight: (N,) float32, or None.
        key: N rows of the key columns, or None.
    """

    inputs: tuple[Input, ...]
    values: dict[str, np.ndarray]
    dictionaries: dict[str, pa.Array]
    label: np.ndarray | None
    weight: np.ndarray | None
    key: pa.Table | None

    @property
    def rows(self) -> int:
        """How many rows it holds."""
        return len(next(iter(self.values.values())))


def decode_inputs(table: pa.Table, inputs: tuple[Input, ...]) -> tuple[dict[str, np.ndarray], dict[str, pa.Array]]:
    """The columns `x0`, `x1`, ... of a table as numbers, and the dictionaries of those that are strings."""
    values: dict[str, np.ndarray] = {}
    dictionaries: dict[str, pa.Array] = {}
    for index, entry in enumerate(inputs):
        column = table.column(f"x{index}").combine_chunks()
        if isinstance(column, pa.ChunkedArray):
            column = pa.concat_arrays(column.chunks)
        if entry.kind == "string":
            encoded = column.dictionary_encode()
            dictionaries[entry.name] = encoded.dictionary
            values[entry.name] = encoded.indices.to_numpy(zero_copy_only=False).astype(np.int32, copy=False)
        elif entry.kind == "integer":
            values[entry.name] = column.to_numpy(zero_copy_only=False)
        else:
            values[entry.name] = column.to_numpy(zero_copy_only=False).astype(np.float32, copy=False)
    return values, dictionaries
