"""An ONNX file that scores rows: lookups once per distinct value, the rest on all cores."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import onnx
import pyarrow as pa
from numpy.typing import NDArray

from tfwd.data.chunk import Chunk
from tfwd.data.raw import raw_arrays
from tfwd.errors import RunError, first_line
from tfwd.inference.answers import no_answer, scored_names
from tfwd.inference.metadata import check_classes, check_graph, of_onnx
from tfwd.inference.onnx_message import Message
from tfwd.inference.onnx_session import new_session, onnxruntime, with_fingerprints
from tfwd.inference.onnx_split import split
from tfwd.schema import Kind, Schema

# Rows that a thread scores in one call: the intermediate values of more rows would not fit its cache.
_ROWS = 4096
_KINDS: dict[int, Kind] = {
    onnx.TensorProto.STRING: "string",
    onnx.TensorProto.INT64: "integer",
    onnx.TensorProto.FLOAT: "float",
}


class _Column(NamedTuple):
    """A column of N rows: `(N,)` or `(N, K)` values, or distinct `(V,)` values and codes of that shape into them."""

    values: NDArray[Any]
    codes: NDArray[Any] | None = None

    @property
    def rows(self) -> int:
        return len(self.values if self.codes is None else self.codes)

    def part(self, rows: slice) -> NDArray[Any]:
        return self.values[rows] if self.codes is None else self.values[self.codes[rows]]


class OnnxScorer:
    """Scores rows with a file that `export.onnx` wrote.

    Args:
        path: the file, with any external data next to it.

    Raises:
        RunError: the file cannot be read, or was not made by tfwd.
    """

    def __init__(self, path: Path) -> None:
        lookups, rest = self._read_model(path)
        with _readable(path):
            self._lookups = None if lookups is None else _session(lookups, path.parent)
            self._rest = _session(rest, path.parent)
        self._read = [entry.name for entry in self._rest.get_inputs()]
        self._cores = ThreadPoolExecutor(_core_count())

    def _read_model(self, path: Path) -> tuple[Message | None, Message]:
        """Returns the lookups, if any, and the rest of the graph; the second copy of the tables ends here."""
        with _readable(path):
            model = onnx.load(str(path), load_external_data=False)
        described = of_onnx(((entry.key, entry.value) for entry in model.metadata_props), path)
        self.schema, self.reading = described.schema, described.reading
        graph = model.graph
        outputs = {entry.name: entry.type.tensor_type for entry in graph.output}
        self._hashed = check_graph(
            self.schema,
            path,
            {entry.name: _kind_and_rank(entry.type.tensor_type) for entry in graph.input},
            outputs,
        )
        if self.schema.task == "multiclass":
            dimensions = outputs[self.schema.answer].shape.dim
            check_classes(self.schema, path, (dimensions[-1].dim_value or None) if len(dimensions) == 2 else None)
        self._inputs = [entry.name for entry in graph.input]
        self._answers = [name for name in scored_names(self.schema) if name in outputs]
        with _readable(path):
            lookups, self._ids = split(model, self._answers)
            return None if lookups is None else Message.of(lookups), Message.of(model)

    def score(self, inputs: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[np.float32]]:
        """Returns the answers to a batch of raw rows; see `tfwd.inference.scorer.Scorer`.

        A hashed input may also be given as its fingerprints, int64 `<input>_fingerprint`.
        """
        arrays = raw_arrays(self._schema_of(inputs), inputs)
        if not len(next(iter(arrays.values()))):
            return no_answer(self.schema)
        return self._score({name: _raw(values) for name, values in arrays.items()})

    def _schema_of(self, inputs: Any) -> Schema:
        """Returns the schema, with the fingerprints that a batch holds in place of their inputs."""
        hashed = self._hashed.items() if isinstance(inputs, Mapping) else ()
        given = {source: name for name, source in hashed if name in inputs}
        entries = tuple(
            dataclasses.replace(entry, name=given[entry.name], kind="integer") if entry.name in given else entry
            for entry in self.schema.inputs
        )
        return dataclasses.replace(self.schema, inputs=entries)

    def score_chunk(self, chunk: Chunk) -> dict[str, NDArray[np.float32]]:
        """Returns the answers to a chunk of rows; see `tfwd.inference.scorer.Scorer`."""
        if not chunk.rows:
            return no_answer(self.schema)
        columns = {}
        for name, values in chunk.values.items():
            if name in chunk.dictionaries:
                columns[name] = _Column(chunk.dictionaries[name].to_numpy(zero_copy_only=False), values)
            elif name in self._ids:
                encoded = pa.array(values.ravel()).dictionary_encode()
                codes = encoded.indices.to_numpy().reshape(values.shape)
                columns[name] = _Column(encoded.dictionary.to_numpy(), codes)
            else:
                columns[name] = _Column(values)
        return self._score(columns)

    def _score(self, columns: dict[str, _Column]) -> dict[str, NDArray[np.float32]]:
        taken = with_fingerprints(self._inputs, {name: column.values for name, column in columns.items()})
        for name in self._inputs:
            if name not in columns:
                columns[name] = columns[self._hashed[name]]._replace(values=taken[name])
        if self._lookups is not None:
            names = [name for made in self._ids.values() for name in made]
            sources = [source for source, made in self._ids.items() for _ in made]
            ids = self._lookups.run(names, {source: columns[source].values for source in self._ids})
            for name, source, values in zip(names, sources, ids, strict=True):
                columns[name] = columns[source]._replace(values=values)
        rows = columns[self._inputs[0]].rows

        def part(start: int) -> list[NDArray[np.float32]]:
            some = slice(start, start + _ROWS)
            answers: list[NDArray[np.float32]] = self._rest.run(
                self._answers, {name: columns[name].part(some) for name in self._read}
            )
            return answers

        starts = range(0, max(rows, 1), _ROWS)
        parts = list(self._cores.map(part, starts) if len(starts) > 1 else map(part, starts))
        return {name: np.concatenate(some) for name, some in zip(self._answers, zip(*parts, strict=True), strict=True)}


@contextmanager
def _readable(path: Path) -> Iterator[None]:
    try:
        yield
    except Exception as error:  # protobuf and onnxruntime raise their own classes, without a common base
        why = first_line(error)
        raise RunError(f"{path} cannot be read as an ONNX model: {why}") from None


def _session(message: Message, folder: Path) -> onnxruntime.InferenceSession:
    return new_session(message.content, folder, threads=1, initializers=message.initializers)


def _kind_and_rank(tensor: onnx.TypeProto.Tensor) -> tuple[Kind | None, int | None]:
    return _KINDS.get(tensor.elem_type), len(tensor.shape.dim) if tensor.HasField("shape") else None


def _core_count() -> int:
    """Returns the number of cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _raw(values: NDArray[Any]) -> _Column:
    """Returns raw values; lists are flattened, since the lookups take one row of values."""
    if values.ndim == 1:
        return _Column(values)
    return _Column(values.ravel(), np.arange(values.size).reshape(values.shape))
