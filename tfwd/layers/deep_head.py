"""The deep head: embeddings and numbers through a feed-forward tower (Cheng et al. 2016, section 3.2)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
import tensorflow as tf

from tfwd.layers.bags import as_bags, summed, summed_with_padding
from tfwd.layers.join_columns import choose_columns
from tfwd.layers.seeded_dropout import SeededDropout
from tfwd.layers.shared_table import SharedTable


@keras.saving.register_keras_serializable("tfwd")
class DeepHead(keras.layers.Layer):
    """`w_deep . a(last)`: embeddings, one-hot categories and numbers, concatenated, through a tower.

    Args:
        tables: `{name: (rows, dim)}` of the embedding tables.
        one_hot: the numbers of rows of the one-hot features.
        numeric: the indices of the numeric columns that it reads.
        tower: a Keras layer from `(B, inputs)` to `(B, units)`; see `tower`.
        outputs: the number of logits.
        input_dropout: the share of the tower's inputs that is dropped in training.
        seed: the seed of the initial embeddings and of that dropout.
        bags: `{name: ((width, combiner), ...)}` for the last columns of a table, which are bags, where 0 is padding;
            and for `one_hot`, whose last features then are bags.
        padded: whether to read padding too, in operations that ONNX has; such a head does not train.
        embedding_stddev: of the initial embeddings; by default 1 / sqrt(dim) of each table.
        fixed: `{name: (values, bags)}` of a table: how many of its last single-value columns, and of its last bags,
            read rows that do not learn.

    Call:
        a dict with an int32 `(B, N)` matrix `<table>_ids` per table, `one_hot_ids` int32 `(B, K)`, where values have
        weights float32 `<table>_weights` and `one_hot_weights` with one column per column of bags, and `numeric`
        float32 `(B, M)` -> float32 `(B, outputs)`.
    """

    def __init__(
        self,
        tables: dict[str, tuple[int, int]],
        one_hot: tuple[int, ...],
        numeric: tuple[int, ...],
        tower: keras.layers.Layer,
        outputs: int = 1,
        input_dropout: float = 0.0,
        seed: int = 0,
        bags: dict[str, Sequence[tuple[int, str]]] | None = None,
        padded: bool = False,
        embedding_stddev: float | None = None,
        fixed: dict[str, Sequence[int]] | None = None,
        **options: Any,
    ) -> None:
        super().__init__(**options)
        self.bags = {name: as_bags(members) for name, members in (bags or {}).items()}
        self.padded = padded
        self.fixed = {name: (int(values), int(bags)) for name, (values, bags) in (fixed or {}).items()}
        self.tables = {name: (int(rows), int(dim)) for name, (rows, dim) in tables.items()}
        self.one_hot, self.numeric = tuple(one_hot), tuple(numeric)
        self.tower = tower
        self.outputs, self.input_dropout, self.seed = outputs, input_dropout, seed
        self.embedding_stddev = embedding_stddev
        self.embeddings = [
            # 1 / sqrt(dim), as in tf.feature_column.embedding_column.
            SharedTable(rows, dim, stddev=embedding_stddev or dim**-0.5, seed=seed + index, name=name)
            for index, (name, (rows, dim)) in enumerate(self.tables.items())
        ]
        self.dropout = SeededDropout(input_dropout, seed=seed, name="input_dropout") if input_dropout else None
        self.logits = keras.layers.Dense(
            outputs, name="logits", kernel_initializer=keras.initializers.GlorotUniform(seed=seed)
        )

    def build(self, input_shape: Any) -> None:
        """Builds the tables, the tower and the last layer."""
        width = sum(self.one_hot) + len(self.numeric)
        for embedding in self.embeddings:
            ids = input_shape[f"{embedding.name}_ids"]
            vectors = self._vectors(embedding.name, ids[1])
            # A table without a row that learns has neither an optimizer nor slots.
            embedding.trainable = sum(self.fixed.get(embedding.name, (0, 0))) < vectors
            embedding.build(ids)
            width += vectors * embedding.dim
        if self.dropout is not None:
            self.dropout.build((None, width))
        # A tower that Keras deserialized, or that was built before, already has its weights.
        if not self.tower.built:
            self.tower.build((None, width))
        self.logits.build(self.tower.compute_output_shape((None, width)))

    def call(self, inputs: dict[str, tf.Tensor], training: bool = False) -> tf.Tensor:
        """Returns float32 `(B, outputs)`."""
        joined = self.tower_inputs(inputs)
        if self.dropout is not None:
            joined = self.dropout(joined, training=training)
        return self.logits(self.tower(joined, training=training))

    def tower_inputs(self, inputs: dict[str, tf.Tensor]) -> tf.Tensor:
        """Returns what the tower reads, float32 `(B, width)`: embeddings by table, then one-hot, then numbers."""
        parts = []
        for embedding in self.embeddings:
            parts += self.embedded(embedding, inputs)
        if self.one_hot:
            parts += self._one_hot(inputs["one_hot_ids"], inputs.get("one_hot_weights"))
        if self.numeric:
            parts.append(choose_columns(inputs["numeric"], self.numeric))
        return tf.concat(parts, axis=1)

    def embedded(self, embedding: SharedTable, inputs: dict[str, tf.Tensor]) -> list[tf.Tensor]:
        """Returns the embeddings of one table, float32 `(B, features * dim)`: of single values, then of bags."""
        ids, weights = inputs[f"{embedding.name}_ids"], inputs.get(f"{embedding.name}_weights")
        bags = self.bags.get(embedding.name, [])
        fixed, fixed_bags = self.fixed.get(embedding.name, (0, 0))
        single = ids.shape[1] - sum(bag.width for bag in bags)
        parts = []
        for start, stop, learns in ((0, single - fixed, True), (single - fixed, single, False)):
            if stop > start:
                rows = embedding(ids[:, start:stop] if stop - start < ids.shape[1] else ids)
                rows = rows if learns else tf.stop_gradient(rows)
                parts.append(tf.reshape(rows, [-1, (stop - start) * embedding.dim]))
        learning = len(bags) - fixed_bags
        start = 0
        for members, learns in ((bags[:learning], True), (bags[learning:], False)):
            if members:
                stop = start + sum(bag.width for bag in members)
                sums = summed_with_padding if self.padded else summed
                own = None if weights is None else weights[:, start:stop]
                rows = sums(embedding, ids[:, single + start : single + stop], own, members)
                rows = rows if learns else tf.stop_gradient(rows)
                parts.append(tf.reshape(rows, [-1, len(members) * embedding.dim]))
                start = stop
        return parts

    def _vectors(self, table: str, columns: int) -> int:
        bags = self.bags.get(table, [])
        return columns - sum(bag.width for bag in bags) + len(bags)

    def _one_hot(self, ids: tf.Tensor, weights: tf.Tensor | None) -> list[tf.Tensor]:
        bags = self.bags.get("one_hot", [])
        single = len(self.one_hot) - len(bags)
        parts = [tf.one_hot(ids[:, index], depth) for index, depth in enumerate(self.one_hot[:single])]
        start = single
        for bag, depth in zip(bags, self.one_hot[single:], strict=True):
            # The first of depth + 1 places is for padding.
            places = tf.one_hot(ids[:, start : start + bag.width], depth + 1)
            if weights is not None:
                places *= tf.expand_dims(weights[:, start - single : start - single + bag.width], 2)
            parts.append(tf.reduce_sum(places, axis=1)[:, 1:])
            start += bag.width
        return parts

    def compute_output_spec(self, inputs: Any, training: bool = False) -> keras.KerasTensor:
        """Returns float32 `(B, outputs)`."""
        return keras.KerasTensor((next(iter(inputs.values())).shape[0], self.outputs), "float32")

    def get_config(self) -> dict[str, Any]:
        """Returns the constructor's arguments, with the tower serialized."""
        return {
            **super().get_config(),
            "tables": {name: list(shape) for name, shape in self.tables.items()},
            "one_hot": self.one_hot,
            "numeric": self.numeric,
            "tower": keras.saving.serialize_keras_object(self.tower),
            "outputs": self.outputs,
            "input_dropout": self.input_dropout,
            "seed": self.seed,
            "bags": {name: [list(bag) for bag in bags] for name, bags in self.bags.items()},
            "padded": self.padded,
            "embedding_stddev": self.embedding_stddev,
            "fixed": {name: list(counts) for name, counts in self.fixed.items()},
        }

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> DeepHead:
        """Makes the head from `get_config`."""
        # Keras builds a layer while it deserializes it; the scopes keep the head's name in the paths of its variables.
        with keras.name_scope(config["name"]), keras.name_scope("tower"):
            body = keras.saving.deserialize_keras_object(config["tower"])
        return cls(**{**config, "tower": body})


def tower(
    hidden_units: tuple[int, ...],
    activation: str = "relu",
    dropout: float = 0.0,
    batch_norm: bool = False,
    l2: float = 0.0,
    seed: int = 0,
) -> keras.Sequential:
    """Returns a feed-forward tower: for each hidden layer dense, (batch normalization), activation, (dropout).

    Args:
        hidden_units: the width of each layer.
        activation: a Keras activation.
        dropout: the share of units dropped after each layer.
        batch_norm: whether to normalize before each activation.
        l2: L2 penalty on the kernels.
        seed: the seed of the initial kernels and the dropout.
    """
    layers: list[keras.layers.Layer] = []
    for index, units in enumerate(hidden_units):
        layers.append(
            keras.layers.Dense(
                units,
                use_bias=not batch_norm,
                kernel_initializer=keras.initializers.GlorotUniform(seed=seed + index),
                kernel_regularizer=keras.regularizers.L2(l2) if l2 else None,
                name=f"dense_{index}",
            )
        )
        if batch_norm:
            layers.append(keras.layers.BatchNormalization(name=f"batch_norm_{index}"))
        layers.append(keras.layers.Activation(activation, name=f"activation_{index}"))
        if dropout:
            layers.append(SeededDropout(dropout, seed=seed + 1 + index, name=f"dropout_{index}"))
    return keras.Sequential(layers, name="tower")
