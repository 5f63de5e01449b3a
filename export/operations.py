"""TensorFlow's operations in ONNX, where tf2onnx converts them wrongly or not at all."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import onnx
import tf2onnx
from tf2onnx.onnx_opset.controlflow import Select
from tf2onnx.onnx_opset.math import FloorMod

from export.onnx_file import OPSET
from tfwd.errors import ExportError


def _where(graph: Any, node: Any, name: str, arguments: list[Any]) -> None:
    """`tf.where` as ONNX' Where.

    tf2onnx makes it c * x + (1 - c) * y, which is NaN wherever the value that is not chosen is NaN or infinite. For
    uint64 and bool, which ONNX Runtime's Where doesn't take, that is exact.
    """
    if graph.get_dtype(node.output[0]) in (onnx.TensorProto.UINT64, onnx.TensorProto.BOOL):
        Select.version_7(graph, node)
    else:
        node.type = "Where"


def _complement(graph: Any, node: Any, name: str, arguments: list[Any]) -> None:
    """`tf.math.erfc`, of which `gelu` is made, as 1 - Erf."""
    _replace(graph, node, lambda one, x: ("Sub", [one, graph.make_node("Erf", [x]).output[0]]))


def _exponential_less_one(graph: Any, node: Any, name: str, arguments: list[Any]) -> None:
    """`tf.math.expm1`, of which `celu` is made, as Exp - 1."""
    _replace(graph, node, lambda one, x: ("Sub", [graph.make_node("Exp", [x]).output[0], one]))


def _replace(graph: Any, node: Any, made: Callable[[str, str], tuple[str, list[str]]]) -> None:
    one = graph.make_const(tf2onnx.utils.make_name("one"), np.array(1, np.float32)).output[0]
    operation, inputs = made(one, node.input[0])
    kinds, shapes = [graph.get_dtype(node.output[0])], [graph.get_shape(node.output[0])]
    graph.remove_node(node.name)
    graph.make_node(operation, inputs, outputs=list(node.output), name=node.name, dtypes=kinds, shapes=shapes)


def _remainder(graph: Any, node: Any, name: str, arguments: list[Any]) -> None:
    """`tf.math.floormod` of unsigned integers as Mod, of which tf2onnx makes Div, Mul and Sub."""
    if graph.get_dtype(node.output[0]) == onnx.TensorProto.UINT64:
        node.type = "Mod"
    else:
        FloorMod.version_7(graph, node)


CONVERTED = {"FloorMod": _remainder, "SelectV2": _where, "Erfc": _complement, "Expm1": _exponential_less_one}


def refuse_unknown(graph: onnx.GraphProto) -> None:
    """Refuses what the converter leaves in the graph as it is when it cannot convert it.

    Raises:
        ExportError: names the operation and the layer that needs it.
    """
    unknown = [node for node in graph.node if not onnx.defs.has(node.op_type, OPSET, node.domain)]
    if unknown:
        # TensorFlow names an operation by the layers it stands in, after a prefix of ours.
        place = unknown[0].name.partition("export.whole")[2].partition("/")[2]
        raise ExportError(
            f"ONNX has no operation {unknown[0].op_type!r}, which {place} needs. "
            "Choose another model.activation, or another layer in your own tower."
        )
