"""Splits an ONNX graph in two: the lookups of categories, and what follows on ids and numbers.

A lookup maps a value to an id, so it needs to see each distinct value of a column only once, and the rows take their
ids by index: no row is a Python string. Both parts are unchanged nodes of the file.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import onnx

_STRING, _INTEGER, _FLOAT = onnx.TensorProto.STRING, onnx.TensorProto.INT64, onnx.TensorProto.FLOAT
# What may come between an input and its lookup: integers are formatted.
_BEFORE = ("Cast", "Identity")


class _Value(NamedTuple):
    """A value that is made from one input, elementwise: the input, the nodes on the way, and its type."""

    source: str
    nodes: tuple[onnx.NodeProto, ...]
    kind: int


def split(model: onnx.ModelProto, outputs: list[str]) -> tuple[onnx.ModelProto | None, dict[str, list[str]]]:
    """Takes the lookups out of a model.

    Args:
        model: the model, which is changed: it loses the lookups and everything that `outputs` don't need, and gets
            the ids as inputs of the shape of their values. Its initializers stay unchanged.
        outputs: the outputs that it keeps.

    Returns:
        A model of the lookups, from the inputs that have lookups to all their ids, or None if there are none; and the
        names of the ids by input.
    """
    graph = model.graph
    found = _lookups(graph)
    shapes = {entry.name: ["batch", None][: len(entry.type.tensor_type.shape.dim)] for entry in graph.input}
    needed = set(outputs)
    for index in reversed(range(len(graph.node))):
        node = graph.node[index]
        if needed.isdisjoint(node.output) or not found.keys().isdisjoint(node.output):
            del graph.node[index]
        else:
            needed.update(reads(node))
    found = {name: value for name, value in found.items() if name in needed}
    lookups = _model(model, found) if found else None
    for entries in (graph.input, graph.output):
        for index in reversed(range(len(entries))):
            if entries[index].name not in needed:
                del entries[index]
    graph.input.extend(
        onnx.helper.make_tensor_value_info(name, value.kind, shapes[value.source]) for name, value in found.items()
    )
    ids: dict[str, list[str]] = {}
    for name, value in found.items():
        ids.setdefault(value.source, []).append(name)
    return lookups, ids


def _lookups(graph: onnx.GraphProto) -> dict[str, _Value]:
    """Returns the ids that a graph looks up from its inputs, by name."""
    values = {entry.name: _Value(entry.name, (), entry.type.tensor_type.elem_type) for entry in graph.input}
    ids: dict[str, _Value] = {}
    for node in graph.node:
        value = values.get(node.input[0]) if node.input else None
        if value is None:
            continue
        before = node.op_type in _BEFORE
        kind = _cast_kind(node, value.kind) if before else _id_kind(node, value.kind)
        if kind != onnx.TensorProto.UNDEFINED:
            # A copy, as the graph may lose the node.
            own = onnx.NodeProto.FromString(node.SerializeToString())
            made = values if before else ids
            made[node.output[0]] = _Value(value.source, (*value.nodes, own), kind)
    return ids


def _cast_kind(node: onnx.NodeProto, read: int) -> int:
    return next((entry.i for entry in node.attribute if entry.name == "to"), read)


def _id_kind(node: onnx.NodeProto, read: int) -> int:
    """Returns the type that a lookup returns, or UNDEFINED if the node is not a lookup, or returns strings."""
    attributes = {entry.name: entry for entry in node.attribute}
    if node.op_type == "CategoryMapper" and read == _STRING:
        return _INTEGER
    if node.op_type == "LabelEncoder":
        if "values_tensor" in attributes:
            kind = attributes["values_tensor"].t.data_type
            return onnx.TensorProto.UNDEFINED if kind == _STRING else kind
        for name, kind in (("values_int64s", _INTEGER), ("values_floats", _FLOAT)):
            if name in attributes:
                return kind
    return onnx.TensorProto.UNDEFINED


def reads(node: onnx.NodeProto) -> Iterator[str]:
    """Returns the names that a node may read; the body of a loop or branch reads values from outside it."""
    yield from node.input
    for graph in bodies(node):
        yield from (entry.name for entry in graph.output)
        for inner in graph.node:
            yield from reads(inner)


def bodies(node: onnx.NodeProto) -> Iterator[onnx.GraphProto]:
    """Yields the graphs in a node: the body of a loop, the branches of a condition."""
    for attribute in node.attribute:
        yield from (attribute.g, *attribute.graphs)


def _model(model: onnx.ModelProto, ids: dict[str, _Value]) -> onnx.ModelProto:
    """Returns the lookups as a model; its inputs are distinct values, `(N,)`, with a length per column."""
    sources = {value.source for value in ids.values()}
    nodes = {node.output[0]: node for value in ids.values() for node in value.nodes}
    graph = onnx.helper.make_graph(
        list(nodes.values()),
        "lookups",
        [
            onnx.helper.make_tensor_value_info(entry.name, entry.type.tensor_type.elem_type, [None])
            for entry in model.graph.input
            if entry.name in sources
        ],
        [onnx.helper.make_tensor_value_info(name, value.kind, [None]) for name, value in ids.items()],
    )
    return onnx.helper.make_model(graph, opset_imports=model.opset_import, ir_version=model.ir_version)
