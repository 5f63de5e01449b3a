"""Converts lists to an ONNX graph: from one user's raw inputs to the logits and scores of the items of a catalogue."""

from __future__ import annotations

from typing import Any, NamedTuple

import keras
import numpy as np
import onnx
import tensorflow as tf

from export.onnx.conversion import StandIns, rename
from tfwd.inference.onnx_split import reads
from tfwd.model.wide_deep import WideDeep
from tfwd.recommend.pair_crosses import Keys
from tfwd.recommend.pair_scorer import PairScorer, SideParts
from tfwd.recommend.top_k import ListMaker
from tfwd.schema import EMPTY_FINGERPRINT, FINGERPRINT_SUFFIX, MISSING, Input
from tfwd.server.lists import ITEMS, LOGITS, PLACES, SCORES, TITLES

_LISTED = "listed"


class CatalogueGraph(NamedTuple):
    """A graph of lists.

    Attributes:
        proto: the graph, whose initializers `tables/<name>` and `rounds/<name>` are stand-ins.
        large: the initializers that it lacks, by name: tensors and variables.
    """

    proto: onnx.ModelProto
    large: dict[str, Any]


def convert_lists(lists: ListMaker, fingerprint_inputs: bool = False) -> CatalogueGraph:
    """Returns the graph of lists, to which the parts of the items and the tabulated crosses are constants.

    See `export.onnx.recommend` for its inputs and outputs.

    Args:
        lists: the model and the catalogue.
        fingerprint_inputs: as in `export.onnx.conversion.convert`.

    Raises:
        ExportError: ONNX cannot compute a feature.
    """
    model = lists.model
    small = StandIns.of(model, fingerprint_inputs, crossed=True)
    parts = _parts(lists)
    inputs = {**small.inputs(model), PLACES: _symbol(PLACES, np.zeros(1, np.int64))}
    inputs |= {name: _symbol(name, part) for name, part in parts.items()}
    proto = small.graph(inputs, _OneUser(lists, small, list(parts))(inputs))
    graph = proto.graph
    rename(graph, {_keras_name(name): name for name in (PLACES, *parts)})
    read = {name for node in graph.node for name in node.input}
    of_user = [entry.name + end for entry in lists.scorer.user_inputs for end in ("", FINGERPRINT_SUFFIX)]
    found = {entry.name: entry for entry in graph.input}
    del graph.input[:]
    for name in of_user:
        if name in found and (name in read or name + FINGERPRINT_SUFFIX not in found):
            dimensions = found[name].type.tensor_type.shape.dim
            dimensions[0].dim_value = 1
            if len(dimensions) > 1 and not dimensions[1].dim_value:
                dimensions[1].dim_param = f"{name}_values"
            graph.input.append(found[name])
    graph.initializer.extend(
        _tensor(entry.name + end, value)
        for entry in lists.scorer.item_inputs
        for end, value in (("", _missing(entry)), (FINGERPRINT_SUFFIX, _missing_fingerprint(entry)))
        if entry.name + end in read
    )
    _describe(graph, lists, found[PLACES])
    _choose_items(graph)
    return CatalogueGraph(proto, {name: part for name, part in parts.items() if name in read})


def _parts(lists: ListMaker) -> dict[str, Any]:
    """Returns what lists have computed of the items, by the name of the initializer."""
    items = lists.items()
    crosses = {f"catalogue/crosses/{name}": table for name, table in lists.tables.items()}
    keys = {f"catalogue/keys/{name}": getattr(items.keys, name) for name in Keys._fields}
    return {"catalogue/wide": items.wide, "catalogue/deep": items.deep, **keys, **crosses}


def _symbol(name: str, part: Any) -> keras.KerasTensor:
    """Returns a part as an input, so that the converter neither reads its numbers nor knows the number of items."""
    item_axis = 0 if name in (PLACES, "catalogue/wide", "catalogue/deep") else 1
    shape = tuple(None if axis == item_axis else size for axis, size in enumerate(part.shape))
    dtype = part.dtype.name
    return keras.Input(batch_shape=shape, dtype=dtype, name=_keras_name(name))


def _keras_name(name: str) -> str:
    return name.replace("/", ".")


class _OneUser(keras.layers.Layer):
    """Maps a user's raw inputs, the parts of the items and their places to logits and scores.

    It has a name that no input can have, for the reason that `export.onnx.conversion` gives.
    """

    def __init__(self, lists: ListMaker, small: StandIns, parts: list[str]) -> None:
        super().__init__(name="export.whole")
        model = lists.model
        self.transform, self.ranker, self._raw = small.transform, small.ranker, small.raw
        self._link = model.link
        own = WideDeep(small.transform, small.ranker, model.schema, model.layout)
        self._scorer = PairScorer(own, lists.features, lists.ranking)
        self._crosses = [name for name in parts if name.startswith("catalogue/crosses/")]

    def call(self, inputs: dict[str, tf.Tensor]) -> dict[str, tf.Tensor]:
        user = self._scorer.user(self._raw(inputs))
        wide, deep = inputs["catalogue/wide"], inputs["catalogue/deep"]
        keys = Keys(*(inputs[f"catalogue/keys/{name}"] for name in Keys._fields))
        tables = {name.removeprefix("catalogue/crosses/"): inputs[name] for name in self._crosses}
        known, places = self._scorer.known(user, tables), inputs[PLACES]
        # One sum is gathered, and not each of its terms.
        wide = sum(known.values(), wide)
        items = SideParts(
            tf.gather(wide, places), tf.gather(deep, places), Keys(*(tf.gather(key, places, axis=1) for key in keys))
        )
        logits = self._scorer(user, items, dict.fromkeys(known, tf.zeros([]))).logit
        return {LOGITS: logits, SCORES: self._link(logits)}

    def compute_output_spec(self, inputs: dict[str, keras.KerasTensor]) -> dict[str, keras.KerasTensor]:
        return {name: keras.KerasTensor((None,), "float32") for name in (LOGITS, SCORES)}


def _choose_items(graph: onnx.GraphProto) -> None:
    """Puts what depends on the places into two branches: without any place, all items are read where they are.

    Gathering the parts of all items takes a fifth of the time of a list.
    """
    of_places: set[str] = {PLACES}
    before, after = [], []
    for node in graph.node:
        if of_places.isdisjoint(reads(node)):
            before.append(node)
        else:
            after.append(node)
            of_places.update(node.output)
    make = onnx.helper.make_node
    count, zero, none = (f"catalogue/{name}" for name in ("place_count", "zero", "no_place"))
    graph.initializer.append(_tensor(zero, np.array(0, np.int64)))
    in_place = [make("Identity", node.input[:1], node.output) if _gathers(node) else node for node in after]
    chosen = make(
        "If",
        [none],
        [LOGITS, SCORES],
        then_branch=_branch("all", in_place),
        else_branch=_branch("listed", after),
    )
    nodes = [*before, make("Size", [PLACES], [count]), make("Equal", [count, zero], [none]), chosen]
    del graph.node[:]
    graph.node.extend(nodes)


def _branch(name: str, nodes: list[onnx.NodeProto]) -> onnx.GraphProto:
    """Returns nodes as a branch, with names of its own for what they compute."""
    names = {output: f"{name}/{output}" for node in nodes for output in node.output}
    outputs = [
        onnx.helper.make_tensor_value_info(output, onnx.TensorProto.FLOAT, [_LISTED]) for output in (LOGITS, SCORES)
    ]
    branch = onnx.helper.make_graph(nodes, name, [], outputs)
    for node in branch.node:
        node.name = f"{name}/{node.name or node.output[0]}"
    rename(branch, names)
    return branch


def _gathers(node: onnx.NodeProto) -> bool:
    return node.op_type == "Gather" and node.input[1] == PLACES


def _missing(entry: Input) -> np.ndarray:
    # As long as the model keeps, which suits both branches of a cut.
    shape = (1, entry.length) if entry.length else (1,)
    dtype = {"string": object, "integer": np.int64, "float": np.float32}[entry.kind]
    return np.full(shape, MISSING[entry.kind], dtype)


def _missing_fingerprint(entry: Input) -> np.ndarray:
    return np.full_like(_missing(entry), EMPTY_FINGERPRINT, np.uint64).view(np.int64)


def _tensor(name: str, values: np.ndarray) -> onnx.TensorProto:
    if values.dtype != object:
        return onnx.numpy_helper.from_array(values, name)
    kind = onnx.TensorProto.STRING
    return onnx.TensorProto(
        name=name, data_type=kind, dims=values.shape, string_data=[text.encode() for text in values.ravel()]
    )


def _describe(graph: onnx.GraphProto, lists: ListMaker, places: onnx.ValueInfoProto) -> None:
    """Gives the graph the ids and titles of the items, names to its dimensions, and no places as a default."""
    catalogue = lists.catalogue
    places.type.tensor_type.shape.dim[0].dim_param = "places"
    graph.input.append(places)
    graph.initializer.append(_tensor(PLACES, np.zeros(0, np.int64)))
    for entry in graph.output:
        entry.type.tensor_type.shape.dim[0].dim_param = _LISTED
    columns = {ITEMS: catalogue.ids}
    if catalogue.titles is not None:
        columns[TITLES] = np.array(catalogue.titles, object)
    for name, values in columns.items():
        graph.initializer.append(_tensor(name, values))
        kind = graph.initializer[-1].data_type
        graph.output.append(onnx.helper.make_tensor_value_info(name, kind, values.shape))
