"""TensorFlow operations in ONNX that tf2onnx converts wrongly or not at all."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import onnx
import tf2onnx
from tf2onnx.onnx_opset.controlflow import Select
from tf2onnx.onnx_opset.math import FloorMod
from tf2onnx.onnx_opset.tensor import TopKV2

from export.onnx.interface import OPSET
from tfwd.errors import ExportError


def _where(graph: Any, node: Any, name: str, arguments: list[Any]) -> None:
    """`tf.where` as ONNX's Where.

    tf2onnx converts it to c * x + (1 - c) * y, which is NaN wherever the value that is not chosen is NaN or infinite.
    For uint64 and bool, which ONNX Runtime's Where doesn't take, that form is exact.
    """
    if graph.get_dtype(node.output[0]) in (onnx.TensorProto.UINT64, onnx.TensorProto.BOOL):
        Select.version_7(graph, node)
    else:
        node.type = "Where"


def _complement(graph: Any, node: Any, name: str, arguments: list[Any]) -> None:
    """`tf.math.erfc`, which `gelu` uses, as 1 - Erf."""
    _replace(graph, node, lambda one, x: ("Sub", [one, graph.make_node("Erf", [x]).output[0]]))


def _exponential_less_one(graph: Any, node: Any, name: str, arguments: list[Any]) -> None:
    """`tf.math.expm1`, which `celu` uses, as Exp - 1."""
    _replace(graph, node, lambda one, x: ("Sub", [graph.make_node("Exp", [x]).output[0], one]))


def _replace(graph: Any, node: Any, made: Callable[[str, str], tuple[str, list[str]]]) -> None:
    one = graph.make_const(tf2onnx.utils.make_name("one"), np.array(1, np.float32)).output[0]
    operation, inputs = made(one, node.input[0])
    kinds, shapes = [graph.get_dtype(node.output[0])], [graph.get_shape(node.output[0])]
    graph.remove_node(node.name)
    graph.make_node(operation, inputs, outputs=list(node.output), name=node.name, dtypes=kinds, shapes=shapes)


def _remainder(graph: Any, node: Any, name: str, arguments: list[Any]) -> None:
    """`tf.math.floormod` of unsigned integers as Mod; tf2onnx converts it to Div, Mul and Sub."""
    if graph.get_dtype(node.output[0]) == onnx.TensorProto.UINT64:
        node.type = "Mod"
    else:
        FloorMod.version_7(graph, node)


def _one_hot(graph: Any, node: Any, name: str, arguments: list[Any]) -> None:
    """`tf.one_hot` by its definition: one value where the index equals the position of the column, else the other.

    ONNX's OneHot counts negative indices from the end; TensorFlow has no column for them. ONNX Runtime before 1.27
    crashes with a division by zero on a OneHot of no rows, and tf2onnx gives it a depth that is not a scalar.
    """
    indices, _, on, off = node.input
    rank = graph.get_rank(indices)
    axis = node.get_attr_value("axis", -1) % (rank + 1)
    kind, shape = graph.get_dtype(node.output[0]), graph.get_shape(node.output[0])
    places = np.arange(int(node.inputs[1].get_tensor_value()), dtype=np.int64).reshape(-1, *[1] * (rank - axis))

    def constant(values: Any) -> str:
        return str(graph.make_const(tf2onnx.utils.make_name(name), np.array(values)).output[0])

    if graph.get_dtype(indices) != onnx.TensorProto.INT64:
        indices = graph.make_node("Cast", [indices], attr={"to": onnx.TensorProto.INT64}).output[0]
    apart = graph.make_node("Unsqueeze", [indices, constant([axis])]).output[0]
    same = graph.make_node("Equal", [apart, constant(places)]).output[0]
    graph.remove_node(node.name)
    graph.make_node("Where", [same, on, off], outputs=list(node.output), name=name, dtypes=[kind], shapes=[shape])


def _top_k(graph: Any, node: Any, name: str, arguments: list[Any]) -> None:
    """`tf.math.top_k` with one entry added along every axis but the last, and removed from the result.

    ONNX Runtime before 1.31 crashes with a division by zero on a TopK of no rows.
    """
    rank, outputs = graph.get_rank(node.input[0]), list(node.output)
    if rank < 2:
        node.type = "TopK"
        TopKV2.version_13(graph, node)
        return
    kinds, shapes = [graph.get_dtype(o) for o in outputs], [graph.get_shape(o) for o in outputs]
    values, count = node.input

    def constant(numbers: list[int]) -> str:
        return str(graph.make_const(tf2onnx.utils.make_name(name), np.array(numbers, np.int64)).output[0])

    if kinds[0] not in (
        onnx.TensorProto.FLOAT,
        onnx.TensorProto.DOUBLE,
        onnx.TensorProto.INT32,
        onnx.TensorProto.INT64,
    ):
        values = graph.make_node("Cast", [values], attr={"to": onnx.TensorProto.FLOAT}).output[0]
    count = graph.make_node("Cast", [count], attr={"to": onnx.TensorProto.INT64}).output[0]
    count = graph.make_node("Unsqueeze", [count, constant([0])]).output[0]
    padded = graph.make_node("Pad", [values, constant([0] * rank + [1] * (rank - 1) + [0])]).output[0]
    graph.remove_node(node.name)
    found = graph.make_node("TopK", [padded, count], output_count=2).output
    # From the first to the second to last, along each of these axes.
    window = [constant([0] * (rank - 1)), constant([-1] * (rank - 1)), constant(list(range(rank - 1)))]
    for made, output, kind, shape in zip(found, outputs, kinds, shapes, strict=True):
        rows = graph.make_node("Slice", [made, *window]).output[0]
        graph.make_node("Cast", [rows], attr={"to": kind}, outputs=[output], dtypes=[kind], shapes=[shape])


CONVERTED = {
    "Erfc": _complement,
    "Expm1": _exponential_less_one,
    "FloorMod": _remainder,
    "OneHot": _one_hot,
    "SelectV2": _where,
    "TopKV2": _top_k,
}


def refuse_unknown(graph: onnx.GraphProto) -> None:
    """Refuses operations that the converter could not convert and left in the graph.

    Raises:
        ExportError: there is one; names the operation and the layer that needs it.
    """
    unknown = [node for node in graph.node if not onnx.defs.has(node.op_type, OPSET, node.domain)]
    if unknown:
        # TensorFlow names an operation after the layers that contain it, after our own prefix.
        place = unknown[0].name.partition("export.whole")[2].partition("/")[2]
        raise ExportError(
            f"ONNX has no operation {unknown[0].op_type!r}, which {place} needs. "
            "Choose another model.activation, or another layer in your custom tower."
        )
