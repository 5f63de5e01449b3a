"""Converts a model to an ONNX graph whose tables are small stand-ins.

tf2onnx takes about 55 times the size of a table or vocabulary in memory to convert it. A stand-in of a few rows or
words is converted in its place. The vocabularies are put in here, the tables afterwards, by `export.onnx`.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping
from typing import Any, NamedTuple

import keras
import numpy as np
import onnx
import tensorflow as tf
import tf2onnx
from tf2onnx.optimizer.const_fold_optimizer import ConstFoldOptimizer
from tf2onnx.optimizer.identity_optimizer import IdentityOptimizer
from tf2onnx.optimizer.merge_duplicated_nodes_optimizer import MergeDuplicatedNodesOptimizer

from export.onnx.interface import OPSET
from export.onnx.lookups import put_vocabularies
from export.onnx.operations import CONVERTED, refuse_unknown
from export.onnx.small_transform import rounds, small_transform
from export.parity.answers import answers, tables, transformed_names
from export.parity.session import rounds_name, table_name, transform_name
from export.parity.small_ranker import small_ranker
from export.quiet import quiet
from tfwd.errors import ExportError
from tfwd.features.crossed_keys import with_keys
from tfwd.inference.onnx_split import bodies
from tfwd.layers.direct_lookup import Fingerprint
from tfwd.model.wide_deep import WideDeep
from tfwd.schema import DTYPES, FINGERPRINT_SUFFIX

_STAND_IN_ROWS = 3


class HashedFeatureError(ExportError):
    """A model has hashed strings, which ONNX cannot compute, and fingerprints as inputs were not allowed."""


class StandIns(NamedTuple):
    """A model whose tables, vocabularies and rounds of crosses are stand-ins.

    Attributes:
        transform: the transform, from the fingerprints on if they are inputs.
        ranker: the ranker, in operations that ONNX has.
        sources: the file's input for each input of the transform.
        vocabularies: the vocabularies, by the single word of each stand-in.
        rounds: the stand-ins of the rounds, by name.
    """

    transform: keras.Model
    ranker: keras.Model
    sources: dict[str, str]
    vocabularies: dict[str, list[str]]
    rounds: dict[str, keras.Variable]

    @classmethod
    def of(cls, model: WideDeep, fingerprint_inputs: bool, crossed: bool = False) -> StandIns:
        """Makes them.

        Args:
            model: a trained model.
            fingerprint_inputs: as in `convert`.
            crossed: whether the transform also returns the keys of its crosses.

        Raises:
            ExportError: ONNX cannot compute a feature.
        """
        with quiet():
            transform, vocabularies = small_transform(model)
            held = rounds(transform)
            if crossed:
                transform, _ = with_keys(transform)
            transform, sources = _after_hashing(model, transform, fingerprint_inputs)
        ranker = small_ranker(model, lambda table: _STAND_IN_ROWS)
        generator = np.random.default_rng(0)
        for variable in tables(ranker).values():
            # Each has distinct values, so that it can be found in the graph.
            variable.assign(generator.normal(size=variable.shape))
        return cls(transform, ranker, sources, vocabularies, held)

    def inputs(self, model: WideDeep) -> dict[str, keras.KerasTensor]:
        """Returns the file's raw inputs, by name."""
        kinds = {entry.name: DTYPES[entry.kind] for entry in model.schema.inputs}
        shapes = {entry.name: entry.shape for entry in model.schema.inputs}
        shapes = {name + FINGERPRINT_SUFFIX: shape for name, shape in shapes.items()} | shapes
        return {
            name: keras.Input(shapes[name][1:], dtype=kinds.get(name, "int64"), name=name)
            for name in dict.fromkeys(self.sources.values())
        }

    def raw(self, inputs: Mapping[str, tf.Tensor]) -> dict[str, tf.Tensor]:
        """Returns the transform's inputs from those of the file."""
        return {
            name: tf.cast(inputs[source], tf.uint64)
            if source.endswith(FINGERPRINT_SUFFIX) and name != source
            else inputs[source]
            for name, source in self.sources.items()
        }

    def graph(self, inputs: dict[str, keras.KerasTensor], outputs: dict[str, keras.KerasTensor]) -> onnx.ModelProto:
        """Returns the graph from inputs to named outputs, with the vocabularies.

        The stand-ins of the tables and rounds that it reads are its initializers `tables/<name>` and `rounds/<name>`.

        Raises:
            ExportError: ONNX has no operation for something in it.
        """
        whole = keras.Model(list(inputs.values()), list(outputs.values()))
        signature = [tf.TensorSpec(tensor.shape, tensor.dtype, name=tensor.name) for tensor in whole.inputs]
        with quiet():
            proto, _ = tf2onnx.convert.from_keras(
                whole,
                input_signature=signature,
                opset=OPSET,
                custom_op_handlers={op: (made, []) for op, made in CONVERTED.items()},
                optimizers={"simpler": _Simpler},
            )
        refuse_unknown(proto.graph)
        put_vocabularies(proto.graph, self.vocabularies)
        rename(proto.graph, dict(zip([entry.name for entry in proto.graph.output], outputs, strict=True)))
        for name, variable in tables(self.ranker).items():
            rename(proto.graph, dict.fromkeys(_holding(proto.graph, variable.numpy()), table_name(name)))
        for name, variable in self.rounds.items():
            # Exact crosses do not use theirs.
            rename(proto.graph, dict.fromkeys(_holding(proto.graph, variable.numpy()), rounds_name(name)))
        return proto


def convert(model: WideDeep, fingerprint_inputs: bool = False) -> onnx.ModelProto:
    """Returns the graph of `answers(ranker(transform(raw)))`, without its tables.

    Args:
        model: a trained model.
        fingerprint_inputs: whether hashed features enter as their fingerprints, int64 `<input>_fingerprint`.

    Returns:
        A graph whose initializers `tables/<name>` and `rounds/<name>` are stand-ins and whose values
        `transform/<output>` are the transform's.

    Raises:
        ExportError: ONNX cannot compute a feature, or an input has the name of an output.
    """
    small = StandIns.of(model, fingerprint_inputs)
    twins = sorted(set(small.sources.values()) & set(model.schema.answer_names))
    if twins:
        raise ExportError(
            f"ONNX tells inputs and outputs apart by name, and {twins} would be both. Rename the inputs in data.names."
        )
    inputs = small.inputs(model)
    proto = small.graph(inputs, _Whole(model, small)(inputs))
    _order_inputs(proto.graph, [entry.name + end for entry in model.schema.inputs for end in ("", FINGERPRINT_SUFFIX)])
    held = [entry.name for entry in proto.graph.initializer]
    for name in map(table_name, tables(small.ranker)):
        if held.count(name) != 1:
            raise ExportError(f"{name!r} occurs {held.count(name)} times in the converted graph. Expected: once.")
    return proto


class _Simpler:
    """Runs the tf2onnx optimizers that apply to these graphs, repeatedly until none changes anything.

    tf2onnx runs all twelve of its own, most of them for images and quantized numbers, and copies the graph before each,
    which takes longer than the rest of a conversion. If this fails, it continues with the unchanged graph.
    """

    graph_been_opt = False

    def optimize(self, graph: Any, iteration: int) -> Any:
        """Called by tf2onnx with a copy of its graph."""
        changed = True
        while changed:
            changed = False
            for kind in (ConstFoldOptimizer, MergeDuplicatedNodesOptimizer, IdentityOptimizer):
                optimizer = kind()
                graph = optimizer.optimize(graph, iteration)
                changed = changed or optimizer.graph_been_opt
            iteration += 1
        return graph


def _order_inputs(graph: onnx.GraphProto, order: list[str]) -> None:
    """Sorts the inputs in the order of the schema, without those that fingerprints replace entirely."""
    read = {name for node in graph.node for name in node.input}
    inputs = {entry.name: entry for entry in graph.input}
    ordered = [
        inputs[name] for name in order if name in inputs and (name in read or name + FINGERPRINT_SUFFIX not in inputs)
    ]
    del graph.input[:]
    graph.input.extend(ordered)
    # The converter gives every input its own number of rows, although all have the same.
    for entry in (*graph.input, *graph.output):
        entry.type.tensor_type.shape.dim[0].dim_param = "batch"
    for entry in graph.input:
        for dimension in entry.type.tensor_type.shape.dim[1:]:
            # The second dimension of a vector has a value.
            if not dimension.dim_value:
                dimension.dim_param = f"{entry.name}_values"


def _after_hashing(
    model: WideDeep, transform: keras.Model, fingerprint_inputs: bool
) -> tuple[keras.Model, dict[str, str]]:
    """Returns a transform, from the fingerprints on if it hashes any input, and the file's input for each of its."""
    hashed = [layer for layer in transform.layers if isinstance(layer, Fingerprint)]
    raw = {entry.name: entry.name for entry in model.schema.inputs}
    if not hashed:
        return transform, raw
    if not fingerprint_inputs:
        features = [layer.name.removesuffix(".fingerprint") for layer in hashed]
        raise HashedFeatureError(
            f"ONNX has no operation that hashes a string, which the features {features} need (hash_bins). Give them a "
            "vocabulary, or export with fingerprint_inputs=True (--fingerprint-inputs): the file then takes their "
            f"64-bit Fingerprint64, computed by the client, as int64 inputs named <input>{FINGERPRINT_SUFFIX}."
        )
    given = {layer.name: layer.input.name + FINGERPRINT_SUFFIX for layer in hashed}
    twins = sorted(set(raw) & set(given.values()))
    if twins:
        raise ExportError(
            f"The fingerprints would become the inputs {twins}, which exist already. Rename those in data.names."
        )
    inner = {layer.name: layer.output for layer in hashed}
    starts = {tensor.name: tensor for tensor in transform.inputs} | inner
    rest = keras.Model(starts, dict(transform.output))
    return rest, raw | given


class _Whole(keras.layers.Layer):
    """Maps raw inputs to the answers and the transform's outputs.

    One layer, with a name that no input can have: in a Keras model an input and a layer cannot share a name.
    """

    def __init__(self, model: WideDeep, small: StandIns) -> None:
        super().__init__(name="export.whole")
        self.transform, self.ranker, self._raw = small.transform, small.ranker, small.raw
        self._answers = functools.partial(answers, model)
        self._specs = _specs(model)

    def call(self, inputs: dict[str, tf.Tensor]) -> dict[str, tf.Tensor]:
        prepared = self.transform(self._raw(inputs))
        found = self._answers(self.ranker(prepared, training=False))
        return found | {transform_name(name): tensor for name, tensor in prepared.items()}

    def compute_output_spec(self, inputs: dict[str, keras.KerasTensor]) -> dict[str, keras.KerasTensor]:
        return self._specs


def _specs(model: WideDeep) -> dict[str, keras.KerasTensor]:
    classes = len(model.schema.classes)
    shape = (None, classes) if model.schema.task == "multiclass" else (None,)
    specs = {
        name: keras.KerasTensor(shape, "string" if name == "classes" else "float32")
        for name in model.schema.answer_names
    }
    prepared = zip(transformed_names(model.layout), model.transform.outputs, strict=True)
    return specs | {transform_name(name): keras.KerasTensor(t.shape, t.dtype) for name, t in prepared}


def _holding(graph: onnx.GraphProto, values: np.ndarray) -> list[str]:
    return [
        entry.name
        for entry in graph.initializer
        if tuple(entry.dims) == values.shape and np.array_equal(onnx.numpy_helper.to_array(entry), values)
    ]


def rename(graph: onnx.GraphProto, names: dict[str, str]) -> None:
    """Renames values of a graph wherever they occur, also in the branches of its nodes."""
    for node in graph.node:
        node.input[:] = [names.get(name, name) for name in node.input]
        node.output[:] = [names.get(name, name) for name in node.output]
        for body in bodies(node):
            rename(body, names)
    for entry in (*graph.initializer, *graph.input, *graph.output):
        entry.name = names.get(entry.name, entry.name)
