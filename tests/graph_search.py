"""Looks through a traced graph, nested functions included."""

from __future__ import annotations

import tensorflow as tf


def tensors_with_rows(graph: tf.Graph, rows: int) -> list[str]:
    """The operations with an output whose first dimension is `rows`: reads and copies of a whole table."""
    definition = graph.as_graph_def(add_shapes=True)
    nodes = list(definition.node)
    for function in definition.library.function:
        nodes.extend(function.node_def)
    return [
        f"{node.op} {node.name}"
        for node in nodes
        for shape in node.attr["_output_shapes"].list.shape
        if shape.dim and shape.dim[0].size == rows
    ]
