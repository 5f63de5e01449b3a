"""What an exported model takes and returns, the same in every format."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from tfwd.features.layout import Layout, weights_name
from tfwd.layers.vocabulary_lookup import VocabularyLookup
from tfwd.model.ranker import Heads
from tfwd.model.wide_deep import WideDeep
from tfwd.schema import Schema

# In numbers: 4 MB of float32.
_BLOCK = 2**20


def answers(model: WideDeep, logits: tf.Tensor) -> dict[str, tf.Tensor]:
    """Returns the outputs for logits `(B, 1)` or `(B, C)`: those of `WideDeep.answers`.

    With several classes also `classes` `(B, C)`: the class names, in the order of the columns of `probability`.
    """
    found: dict[str, tf.Tensor] = model.answers(logits)
    if model.schema.task == "multiclass":
        found["classes"] = class_names(model.schema, logits)
    return found


def class_names(schema: Schema, scores: tf.Tensor) -> tf.Tensor:
    """Returns the class names, repeated for every row of scores `(B, C)`; string `(B, C)`."""
    columns = tf.zeros_like(scores, tf.int32) + tf.range(len(schema.classes))
    return tf.gather(tf.constant(schema.classes), columns)


def transformed_names(layout: Layout) -> tuple[str, ...]:
    """Returns the names of the transform's outputs, sorted, as Keras flattens them."""
    names = list(layout.matrices)
    names += [weights_name(ids) for ids, slots in layout.matrices.items() if any(slot.weighted for slot in slots)]
    return tuple(sorted(names + (["numeric"] if layout.numeric else [])))


def tables(ranker: keras.Model) -> dict[str, keras.Variable]:
    """Returns the variables of a ranker's tables, by table name."""
    heads = Heads.of(ranker)
    found = {}
    if heads.wide is not None and heads.wide.table is not None:
        found["wide"] = heads.wide.table.table
    for embedding in heads.deep.embeddings if heads.deep is not None else ():
        found[embedding.name] = embedding.table
    return found


def blocks(table: Any) -> Iterator[tuple[int, np.ndarray]]:
    """Yields the rows of a table, a variable, in blocks that need little memory: first row, rows."""
    rows, width = table.shape
    step = max(_BLOCK // width, 1)
    for start in range(0, rows, step):
        yield start, tf.gather(table, tf.range(start, min(start + step, rows))).numpy()


def lookups(model: WideDeep) -> list[VocabularyLookup]:
    """Returns the layers with a vocabulary."""
    return [layer for layer in model.transform.layers if isinstance(layer, VocabularyLookup)]
