"""How a model's tables are stored in its ONNX file: all numbers or only the nonzero ones, with 4 or 2 bytes each."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx

from export.parity.answers import blocks
from export.parity.session import table_name
from tfwd.errors import ExportError

# A nonzero number takes its 4 bytes and some 4 for its position: with a quarter of them the table is half as large.
_SPARSE_SHARE = 0.25
# Smaller tables stay dense: fewer programs read the sparse form.
_SPARSE_BYTES = 2**20
# ONNX Runtime unpacks a sparse table into a protobuf message, which is limited to 2 GiB.
_UNPACKED_BYTES = 2**31 - 1


@dataclass(frozen=True)
class Storage:
    """How one table is stored in a file.

    Attributes:
        name: the name of the table.
        half: whether numbers take 2 bytes, IEEE 754 half precision, instead of 4.
        sparse: whether only nonzero numbers are stored, with their positions.
        shape: rows and columns.
        nonzero: the number of nonzero numbers; counted for the wide table only.
    """

    name: str
    half: bool
    sparse: bool
    shape: tuple[int, int]
    nonzero: int | None = None

    @property
    def numbers(self) -> int:
        """The number of numbers."""
        return self.shape[0] * self.shape[1]

    @property
    def dense_bytes(self) -> int:
        """The size of all numbers."""
        return self.numbers * (2 if self.half else 4)

    @property
    def sparse_bytes(self) -> int:
        """The approximate size of the sparse form: the numbers and, in protobuf's 7 bits per byte, their positions."""
        place = -(-self.numbers.bit_length() // 7)
        return (self.nonzero or 0) * ((2 if self.half else 4) + place)

    def to_dict(self) -> dict[str, Any]:
        """Returns the table's entry in the file's metadata."""
        facts = {"dtype": "float16" if self.half else "float32", "sparse": self.sparse}
        return facts if self.nonzero is None else {**facts, "nonzero": self.nonzero}


def choose(name: str, table: Any, half: bool, sparse: bool | None) -> Storage:
    """Decides how a table is stored.

    Args:
        name: the name of the table; only `wide` may be sparse, since L1 empties no other.
        table: a variable `(rows, dim)`.
        half: whether numbers take 2 bytes.
        sparse: whether to store the wide table sparsely; None decides by its share of zeros.

    Raises:
        ExportError: it cannot be stored as asked.
    """
    shape = (int(table.shape[0]), int(table.shape[1]))
    if name != "wide":
        return Storage(name, half, False, shape)
    nonzero = sum(int(np.count_nonzero(_bits(part))) for part in numbers(name, table, half))
    found = Storage(name, half, False, shape, nonzero)
    possible = found.dense_bytes <= _UNPACKED_BYTES
    if sparse and not possible:
        raise ExportError(
            f"The wide table takes {found.dense_bytes / 1e9:.1f} GB. ONNX Runtime reads the sparse form of tables up "
            "to 2.1 GB. Leave sparse_wide (--sparse-wide) out."
        )
    if sparse is None:
        share = nonzero / found.numbers
        sparse = possible and share <= _SPARSE_SHARE and found.dense_bytes >= _SPARSE_BYTES
    return Storage(name, half, sparse, shape, nonzero)


def numbers(name: str, table: Any, half: bool) -> Iterator[np.ndarray]:
    """Yields the rows of a table as they are stored, in blocks, little-endian.

    Raises:
        ExportError: a number has no finite half-precision form.
    """
    for start, rows in blocks(table):
        if not half:
            yield rows.astype("<f4", copy=False)
            continue
        with np.errstate(over="ignore"):
            halved = rows.astype("<f2")
        beyond = np.argwhere(np.isinf(halved))
        if len(beyond):
            row, column = map(int, beyond[0])
            raise ExportError(
                f"Row {start + row} of the table {name!r} holds {rows[row, column]}, and half precision ends at "
                "65,504. Export without half_tables (--half-tables)."
            )
        yield halved


def make_room(graph: onnx.GraphProto, storage: Storage, table: Any) -> onnx.TensorProto | None:
    """Changes the graph of a stand-in to the form in which its table is stored.

    A sparse table becomes a Constant with its numbers; for a dense one the stand-in is removed, and the caller puts the
    numbers in.

    Args:
        graph: the graph with the stand-in as an initializer; it is changed.
        storage: the form.
        table: the variable.

    Returns:
        The tensor of a dense table, without its numbers, or None.
    """
    name = table_name(storage.name)
    kind = onnx.TensorProto.FLOAT16 if storage.half else onnx.TensorProto.FLOAT
    place = next(index for index, entry in enumerate(graph.initializer) if entry.name == name)
    del graph.initializer[place]
    if storage.half:
        _widen(graph, name)
    if not storage.sparse:
        return onnx.TensorProto(name=name, data_type=kind, dims=storage.shape)
    values, places = onnx.TensorProto(name=name, data_type=kind), onnx.TensorProto(data_type=onnx.TensorProto.INT64)
    kept, start = [], 0
    for part in numbers(storage.name, table, storage.half):
        found = np.flatnonzero(_bits(part))
        # As varints, which take 3 or 4 bytes where raw data would take 8.
        places.int64_data.extend((found + start).tolist())
        kept.append(part.ravel()[found].tobytes())
        start += part.size
    values.raw_data = b"".join(kept)
    for tensor in (values, places):
        tensor.dims.append(len(places.int64_data))
    sparse = onnx.SparseTensorProto(values=values, indices=places, dims=storage.shape)
    graph.node.insert(0, onnx.helper.make_node("Constant", [], [name], name=name, sparse_value=sparse))
    return None


def _bits(part: np.ndarray) -> np.ndarray:
    """Returns the numbers as unsigned integers: only +0.0 is 0, so that a -0.0 is kept."""
    return part.view(f"<u{part.itemsize}")


def _widen(graph: onnx.GraphProto, table: str) -> None:
    """Casts what is gathered from a table to float32, so that no more is cast than a batch reads."""
    nodes = []
    for node in graph.node:
        nodes.append(node)
        if table in node.input:
            if node.op_type != "Gather" or node.input[0] != table:
                raise ExportError(f"The converted graph reads {table!r} by {node.op_type}. Expected: Gather")
            result = node.output[0]
            halved = f"{result}/half"
            node.output[0] = halved
            nodes.append(
                onnx.helper.make_node("Cast", [halved], [result], f"{node.name}/float", to=onnx.TensorProto.FLOAT)
            )
    del graph.node[:]
    graph.node.extend(nodes)
