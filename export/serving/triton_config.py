"""`config.pbtxt` for Triton: the inputs and outputs of an ONNX file, batching, instances, warm-up, ensembles.

Triton counts the rows outside of a tensor's shape. So a scalar per row, `(N,)` in ONNX, is `dims: [ 1 ]` for clients,
and reshaped to nothing for the model.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import onnx

from tfwd.errors import ExportError

_TYPES = {
    onnx.TensorProto.STRING: "STRING",
    onnx.TensorProto.BOOL: "BOOL",
    onnx.TensorProto.INT32: "INT32",
    onnx.TensorProto.INT64: "INT64",
    onnx.TensorProto.UINT64: "UINT64",
    onnx.TensorProto.FLOAT16: "FP16",
    onnx.TensorProto.FLOAT: "FP32",
    onnx.TensorProto.DOUBLE: "FP64",
}
# How long a request waits for others, in microseconds, and how many may wait.
_MICROSECONDS, _WAITING = 500, 4096


@dataclass(frozen=True)
class Tensor:
    """An input or output of an ONNX file.

    Attributes:
        name: its name.
        kind: its type, as Triton calls it.
        dims: its shape without the rows; -1 for any length, empty for one value a row.
    """

    name: str
    kind: str
    dims: tuple[int, ...]

    @property
    def seen(self) -> tuple[int, ...]:
        """The shape that clients see."""
        return self.dims or (1,)


@dataclass(frozen=True)
class Signature:
    """The inputs and outputs of an ONNX file."""

    inputs: tuple[Tensor, ...]
    outputs: tuple[Tensor, ...]


def signature(file: Path) -> Signature:
    """Reads the inputs and outputs of an ONNX file.

    Raises:
        ExportError: it is not an ONNX file, or has an input that Triton cannot batch.
    """
    try:
        graph = onnx.load(str(file), load_external_data=False).graph
    except Exception as error:
        raise ExportError(f"{file} is not an ONNX file: {error}. Export the model again.") from None
    held = {entry.name for entry in graph.initializer}
    inputs = (entry for entry in graph.input if entry.name not in held)
    found = Signature(
        tuple(_tensor(entry, file) for entry in inputs), tuple(_tensor(entry, file) for entry in graph.output)
    )
    if not found.inputs or not found.outputs:
        raise ExportError(f"{file} has no inputs or no outputs. Export the model again.")
    return found


def _tensor(entry: onnx.ValueInfoProto, file: Path) -> Tensor:
    found = entry.type.tensor_type
    dims = [dim.dim_value if dim.HasField("dim_value") else -1 for dim in found.shape.dim]
    if not dims or dims[0] != -1 or found.elem_type not in _TYPES:
        shape = "x".join("any" if dim == -1 else str(dim) for dim in dims) or "a scalar"
        raise ExportError(
            f"{file}: {entry.name!r} is {shape} of type {onnx.TensorProto.DataType.Name(found.elem_type)}. Expected: "
            f"any number of rows first, and one of the types {', '.join(_TYPES.values())}."
        )
    return Tensor(entry.name, _TYPES[found.elem_type], tuple(dims[1:]))


@dataclass(frozen=True)
class Instances:
    """Copies of a model that run at once.

    Attributes:
        count: how many.
        kind: `KIND_CPU` or `KIND_GPU`, where it is one per GPU.
    """

    count: int
    kind: str = "KIND_CPU"


def model(name: str, found: Signature, backend: str, file: str, rows: int, instances: Instances) -> str:
    """Returns the configuration of a model that a backend runs.

    Args:
        name: of the model.
        found: its inputs and outputs.
        backend: `onnxruntime` or `python`.
        file: the file of the model in its version's folder, as `model.onnx`.
        rows: the most rows of a batch.
        instances: the copies.
    """
    parts = [
        f'name: "{name}"\nbackend: "{backend}"\ndefault_model_filename: "{file}"\nmax_batch_size: {rows}',
        _tensors("input", found.inputs),
        _tensors("output", found.outputs),
        f"dynamic_batching {{\n  max_queue_delay_microseconds: {_MICROSECONDS}\n"
        f"  default_queue_policy {{ max_queue_size: {_WAITING} }}\n}}",
        f"instance_group [ {{ count: {instances.count} kind: {instances.kind} }} ]",
        *(_warmup(found.inputs, size) for size in (1, rows)),
    ]
    if backend == "onnxruntime":
        # A small graph gains nothing from several threads.
        parts += [_parameter(f"{which}_op_thread_count", "1") for which in ("intra", "inter")]
    return "\n".join(parts) + "\n"


def ensemble(name: str, whole: Signature, steps: Sequence[tuple[str, Signature]], rows: int) -> str:
    """Returns the configuration of an ensemble of models, each of which takes what the ones before it give.

    Args:
        name: of the ensemble.
        whole: its inputs and outputs.
        steps: the names and signatures of the models, in order.
        rows: the most rows of a request.

    Raises:
        ExportError: a model takes something else than those before it give.
    """
    given = {tensor.name: tensor for tensor in whole.inputs}
    for step, found in (*steps, (name, Signature(whole.outputs, ()))):
        for tensor in found.inputs:
            if given.get(tensor.name) != tensor:
                raise ExportError(
                    f"{step} takes {tensor}. Expected: one of {list(given.values())}, which come before it. Export all "
                    "parts again: python -m export.onnx RUN --split"
                )
        given |= {tensor.name: tensor for tensor in found.outputs}
    return "\n".join(
        [
            f'name: "{name}"\nplatform: "ensemble"\nmax_batch_size: {rows}',
            _tensors("input", whole.inputs, reshaped=False),
            _tensors("output", whole.outputs, reshaped=False),
            "ensemble_scheduling {\n  step [\n" + ",\n".join(_step(*step) for step in steps) + "\n  ]\n}\n",
        ]
    )


def _tensors(key: str, tensors: Sequence[Tensor], reshaped: bool = True) -> str:
    lines = []
    for tensor in tensors:
        reshape = " reshape { shape: [ ] }" if reshaped and not tensor.dims else ""
        dims = ", ".join(map(str, tensor.seen))
        lines.append(f"  {{ name: {_text(tensor.name)} data_type: TYPE_{tensor.kind} dims: [ {dims} ]{reshape} }}")
    return f"{key} [\n" + ",\n".join(lines) + "\n]"


def _text(name: str) -> str:
    """Returns a name as a string of protobuf text."""
    return json.dumps(name, ensure_ascii=False)


def _warmup(inputs: Iterable[Tensor], rows: int) -> str:
    """Returns a request that a server sends itself before a model is ready: missing values, ids of padding, zeros."""
    lines = [
        f"  inputs {{ key: {_text(tensor.name)} value {{ data_type: TYPE_{tensor.kind} "
        f"dims: [ {', '.join(str(max(dim, 1)) for dim in tensor.seen)} ] zero_data: true }} }}"
        for tensor in inputs
    ]
    return f'model_warmup {{\n  name: "{rows} rows"\n  batch_size: {rows}\n' + "\n".join(lines) + "\n}"


def _parameter(key: str, value: str) -> str:
    return f'parameters {{ key: "{key}" value {{ string_value: "{value}" }} }}'


def _step(name: str, found: Signature) -> str:
    maps = [
        f"      {kind}_map {{ key: {_text(tensor.name)} value: {_text(tensor.name)} }}"
        for kind, tensors in (("input", found.inputs), ("output", found.outputs))
        for tensor in tensors
    ]
    return f'    {{\n      model_name: "{name}"\n      model_version: -1\n' + "\n".join(maps) + "\n    }"
