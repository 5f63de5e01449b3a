"""Divides a converted graph in two halves: from raw inputs to ids and numbers, and from these to the answers.

The first holds every string, the second the tables and the tower: the first runs on a CPU, the second on a GPU too.
Both consist of unchanged nodes of the whole.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import onnx

from export.parity.session import transform_name
from tfwd.errors import ExportError
from tfwd.inference.metadata import HALVES, part_beside
from tfwd.inference.onnx_split import reads
from tfwd.schema import Schema

_CLASSES = "classes"


def half_files(file: str | Path) -> tuple[Path, Path]:
    """Returns the files of the halves of a file: `NAME.transform.onnx` and `NAME.ranker.onnx` for `NAME.onnx`."""
    first, second = (part_beside(Path(file), part) for part in HALVES)
    return first, second


def halve(model: onnx.ModelProto, schema: Schema) -> tuple[onnx.ModelProto, onnx.ModelProto]:
    """Returns the halves of a model, which is not changed.

    Args:
        model: the result of `export.onnx.conversion.convert`, whose outputs include the transform's.
        schema: the schema of the model.

    Returns:
        The first half maps raw inputs to the transform's outputs, `transform/<output>`, and for several classes to
        `classes`, which only depend on the number of rows. The second maps the transform's outputs to the other
        answers.

    Raises:
        ExportError: the answers depend on the raw inputs in another way than through the transform's outputs.
    """
    prefix = transform_name("")
    middle = [entry for entry in model.graph.output if entry.name.startswith(prefix)]
    answers = [entry for entry in model.graph.output if entry.name in schema.answer_names and entry.name != _CLASSES]
    first = _part(model, HALVES[0], model.graph.input, middle)
    if _CLASSES in schema.answer_names:
        _add_classes(first.graph, schema.classes, middle[0].name)
    return first, _part(model, HALVES[1], middle, answers)


def _part(
    model: onnx.ModelProto,
    part: str,
    inputs: Sequence[onnx.ValueInfoProto],
    outputs: Sequence[onnx.ValueInfoProto],
) -> onnx.ModelProto:
    given, nodes = {entry.name for entry in inputs}, []
    read = {entry.name for entry in outputs}
    for node in reversed(model.graph.node):
        made = set(node.output)
        if made & read and not made & given:
            nodes.append(node)
            read.update(reads(node))
    strange = sorted({entry.name for entry in model.graph.input} & read - given)
    if strange:
        raise ExportError(f"The {part} half of the converted graph reads {strange}. Expected: only {sorted(given)}")
    graph = onnx.GraphProto(name=f"{model.graph.name}_{part}")
    graph.node.extend(reversed(nodes))
    graph.initializer.extend(entry for entry in model.graph.initializer if entry.name in read)
    graph.input.extend(inputs)
    graph.output.extend(outputs)
    domains = {node.domain for node in nodes} | {""}
    return onnx.ModelProto(
        ir_version=model.ir_version,
        opset_import=[entry for entry in model.opset_import if entry.domain in domains],
        graph=graph,
    )


def _add_classes(graph: onnx.GraphProto, classes: Sequence[str], like: str) -> None:
    """Adds the output `classes`, the names of the classes for every row of a value."""
    names, count, rows, shape = (f"{_CLASSES}/{part}" for part in ("names", "count", "rows", "shape"))
    words = [name.encode() for name in classes]
    graph.initializer.append(onnx.helper.make_tensor(names, onnx.TensorProto.STRING, [1, len(words)], words))
    graph.initializer.append(onnx.helper.make_tensor(count, onnx.TensorProto.INT64, [1], [len(words)]))
    graph.node.append(onnx.helper.make_node("Shape", [like], [rows], rows, start=0, end=1))
    graph.node.append(onnx.helper.make_node("Concat", [rows, count], [shape], shape, axis=0))
    graph.node.append(onnx.helper.make_node("Expand", [names, shape], [_CLASSES], _CLASSES))
    graph.output.append(onnx.helper.make_tensor_value_info(_CLASSES, onnx.TensorProto.STRING, ["batch", len(words)]))
