"""Some tens of thousands of rows as columns, with strings as codes into a dictionary, before batching."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from tfwd.data.labels import LARGEST_LABEL, LARGEST_WEIGHT, LabelCoder
from tfwd.data.query import Query
from tfwd.schema import DTYPES, MISSING, Input

_NOTHING = pa.array([""])


@dataclass(frozen=True)
class Chunk:
    """Decoded rows.

    Attributes:
        inputs: the schema's inputs in order.
        values: input name -> (N,) int64, float32, or int32 codes into `dictionaries` for a string; (N, length) for
            an input of several values, which are followed by missing ones.
        dictionaries: the string inputs' distinct values, each once.
        label: (N, 1), float32 or int32, or None.
        weight: (N,) float32, or None.
        key: N rows of the key columns, or None.
        rows: the number of rows, N.
    """

    inputs: tuple[Input, ...]
    values: dict[str, np.ndarray]
    dictionaries: dict[str, pa.Array]
    label: np.ndarray | None
    weight: np.ndarray | None
    key: pa.Table | None
    rows: int

    def slice(self, start: int, stop: int) -> Chunk:
        """Rows `start` to `stop - 1`, as far as they exist."""
        stop = min(stop, self.rows)
        return dataclasses.replace(
            self,
            values={name: values[start:stop] for name, values in self.values.items()},
            label=None if self.label is None else self.label[start:stop],
            weight=None if self.weight is None else self.weight[start:stop],
            key=None if self.key is None else self.key.slice(start, stop - start),
            rows=stop - start,
        )


def decode(table: pa.Table, query: Query, coder: LabelCoder) -> Chunk:
    """A table of a query's typed columns as a chunk.

    Raises:
        DataError: a label or weight is not what the task needs.
    """
    inputs = query.schema.inputs
    values: dict[str, np.ndarray] = {}
    dictionaries: dict[str, pa.Array] = {}
    for index, entry in enumerate(inputs):
        column = table.column(f"x{index}")
        found = _flat(column) if entry.length else column
        if entry.kind == "string":
            numbers, dictionary = _encoded(found)
            missing: float = len(dictionary)
            dictionaries[entry.name] = pa.concat_arrays([dictionary, _NOTHING]) if entry.length else dictionary
        else:
            numbers = found.to_numpy().astype(DTYPES[entry.kind], copy=False)
            missing = MISSING[entry.kind]
        values[entry.name] = _padded(numbers, column, entry.length, missing) if entry.length else numbers
    return Chunk(
        inputs=inputs,
        values=values,
        dictionaries=dictionaries,
        label=_label(table, query, coder) if query.labelled else None,
        weight=_weight(table, query) if query.labelled and query.schema.weight is not None else None,
        key=_key(table, query.key) if query.key else None,
        rows=table.num_rows,
    )


def _flat(lists: pa.ChunkedArray) -> pa.ChunkedArray:
    return pa.chunked_array([part.flatten() for part in lists.chunks], lists.type.value_type)


def _padded(values: np.ndarray, lists: pa.ChunkedArray, length: int, missing: float) -> np.ndarray:
    """(N, length): each row's values, then `missing`."""
    lengths = pc.list_value_length(lists).to_numpy()
    table = np.full((len(lengths), length), missing, values.dtype)
    table[np.arange(length) < lengths[:, None]] = values
    return table


def _encoded(column: pa.ChunkedArray) -> tuple[np.ndarray, pa.Array]:
    encoded: Any = column.dictionary_encode(null_encoding="encode").combine_chunks()
    if isinstance(encoded, pa.ChunkedArray):
        encoded = encoded.chunk(0) if encoded.num_chunks else pa.array([], pa.string()).dictionary_encode()
    return encoded.indices.to_numpy(zero_copy_only=False).astype(np.int32, copy=False), encoded.dictionary


def _label(table: pa.Table, query: Query, coder: LabelCoder) -> np.ndarray:
    column = table.column("label")
    if query.schema.task == "regression":
        with np.errstate(over="ignore"):
            numbers: np.ndarray = column.to_numpy().astype(np.float32)
        # Negated, so that NaN is refused too.
        if not (np.abs(numbers) <= LARGEST_LABEL).all() or (query.schema.counts and (numbers < 0).any()):
            raise query.refuse_number_as_label()
        return numbers[:, None]
    indices, dictionary = _encoded(column)
    texts = dictionary.to_pylist()
    codes = coder.codes(texts)
    for text, code in zip(texts, codes, strict=True):
        if code < 0:
            raise query.refuse_label(text)
    classes: np.ndarray = codes[indices][:, None]
    return classes.astype(np.float32) if query.schema.task == "binary" else classes


def _weight(table: pa.Table, query: Query) -> np.ndarray:
    weight: np.ndarray = table.column("weight").to_numpy().astype(np.float32, copy=False)
    if not ((weight >= 0) & (weight <= LARGEST_WEIGHT)).all():
        raise query.refuse_weight()
    return weight


def _key(table: pa.Table, key: tuple[str, ...]) -> pa.Table:
    return table.select([f"k{index}" for index in range(len(key))]).rename_columns(list(key))
