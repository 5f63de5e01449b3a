"""A ranker with tables of another size, for use where the whole tables should not be in memory."""

from __future__ import annotations

from collections.abc import Callable

import keras
import numpy as np
import tensorflow as tf

from export.parity.answers import tables
from tfwd.layers.deep_head import DeepHead
from tfwd.layers.wide_head import WideHead
from tfwd.model.wide_deep import WideDeep


def small_ranker(model: WideDeep, rows: Callable[[str], int]) -> keras.Model:
    """Returns a copy of the ranker in operations that ONNX has, with equal weights except for the tables.

    Args:
        model: the model of the ranker.
        rows: the number of rows by name of a table, in place of its own.
    """

    def small(layer: keras.layers.Layer) -> keras.layers.Layer:
        config = layer.get_config()
        if isinstance(layer, WideHead | DeepHead):
            config["padded"] = True
        if isinstance(layer, WideHead) and layer.rows:
            config["rows"] = rows("wide")
        elif isinstance(layer, DeepHead):
            config["tables"] = {name: (rows(name), dim) for name, (_, dim) in layer.tables.items()}
        return type(layer).from_config(config)

    ranker = keras.models.clone_model(model.ranker, clone_function=small)
    own = {id(variable) for variable in tables(ranker).values()}
    for ours, theirs in zip(ranker.variables, model.ranker.variables, strict=True):
        if id(ours) not in own:
            ours.assign(theirs)
    return ranker


class RoundedRanker:
    """The ranker with tables in half precision, of which it holds only the rows of a batch.

    Args:
        model: the model of the ranker.
        batch: the largest number of rows in a batch.
    """

    def __init__(self, model: WideDeep, batch: int) -> None:
        # Plus the padding row, which stays the first.
        read = {table.name: batch * table.columns + 1 for table in model.layout.tables}
        self._ids = {table.name: table.ids for table in model.layout.tables}
        self._whole = tables(model.ranker)
        self._ranker = small_ranker(model, read.__getitem__)

    def __call__(self, transformed: dict[str, tf.Tensor]) -> tf.Tensor:
        """Maps the transform's outputs to logits, float32 `(B, 1)` or `(B, C)`."""
        moved = dict(transformed)
        for name, table in tables(self._ranker).items():
            ids = transformed[self._ids[name]].numpy()
            unique, positions = np.unique(np.append(0, ids), return_inverse=True)
            values = np.zeros(table.shape, np.float32)
            values[: len(unique)] = rounded(tf.gather(self._whole[name].value, unique).numpy())
            table.assign(values)
            moved[self._ids[name]] = tf.constant(positions[1:].reshape(ids.shape), tf.int32)
        logits: tf.Tensor = self._ranker(moved, training=False)
        return logits


def rounded(values: np.ndarray) -> np.ndarray:
    """Rounds float32 numbers to half precision."""
    return values.astype(np.float16).astype(np.float32)
