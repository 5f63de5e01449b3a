"""A factorization machine (Rendle 2010) in plain Keras, to stand beside tfwd's models on the same rows.

    logit = bias + sum_i w_i x_i + sum_{i<j} <v_i, v_j> x_i x_j

Fields are whole numbers; a field of several values is the mean of their vectors. Embeddings start as Glorot's normal
distribution makes them for the whole vocabulary, Adam is dense, as where the published figures come from.
"""

from __future__ import annotations

from collections.abc import Mapping

import keras
import numpy as np
from keras import ops
from numpy.typing import NDArray


class FactorizationMachine(keras.Model):
    """Scores rows of field ids.

    Args:
        rows: all values of all fields, each with an id of its own; 0 is padding.
        dim: of the vectors.
        bags: the field that every column belongs to; columns of one field are averaged.
        seed: of the initial vectors.

    Call:
        int32 `(B, columns)` -> probabilities `(B, 1)`.
    """

    def __init__(self, rows: int, dim: int, bags: list[int], seed: int) -> None:
        super().__init__()
        self.fields = max(bags) + 1
        self.member = np.eye(self.fields, dtype=np.float32)[bags]
        initial = keras.initializers.GlorotNormal(seed=seed)
        self.vectors = keras.layers.Embedding(rows, dim, embeddings_initializer=initial)
        self.weights_of_values = keras.layers.Embedding(
            rows, 1, embeddings_initializer=keras.initializers.GlorotNormal(seed=seed + 1)
        )
        self.bias = self.add_weight(shape=(1,), initializer="zeros", name="bias")

    def call(self, ids: keras.KerasTensor) -> keras.KerasTensor:
        """int32 `(B, columns)` -> float32 `(B, 1)`."""
        there = ops.cast(ids > 0, "float32")
        # (B, columns, fields): the share of its field that each value is.
        share = ops.expand_dims(there, 2) * self.member
        share = share / ops.maximum(ops.sum(share, axis=1, keepdims=True), 1.0)
        share = ops.transpose(share, (0, 2, 1))
        fields = ops.matmul(share, self.vectors(ids))
        linear = ops.sum(ops.matmul(share, self.weights_of_values(ids)), axis=1)
        pairs = ops.square(ops.sum(fields, axis=1)) - ops.sum(ops.square(fields), axis=1)
        return ops.sigmoid(self.bias + linear + 0.5 * ops.sum(pairs, axis=1, keepdims=True))


def train(
    parts: Mapping[str, tuple[NDArray[np.int32], NDArray[np.float32]]],
    rows: int,
    bags: list[int],
    seed: int,
    batch_size: int,
    learning_rate: float = 0.001,
) -> NDArray[np.float32]:
    """The probabilities of the test rows by the epoch that validation chose, patience 3.

    Args:
        parts: `train`, `validation` and `test`: ids `(N, columns)` and labels `(N,)`.
        rows, bags, seed: as in `FactorizationMachine`.
        batch_size: rows a step.
        learning_rate: Adam's.
    """
    keras.utils.set_random_seed(seed)
    model = FactorizationMachine(rows, 16, bags, seed)
    model.compile(keras.optimizers.Adam(learning_rate), "binary_crossentropy", jit_compile=False)
    stop = keras.callbacks.EarlyStopping("val_loss", patience=3, restore_best_weights=True)
    model.fit(
        *parts["train"],
        validation_data=parts["validation"],
        validation_batch_size=16384,
        batch_size=batch_size,
        epochs=100,
        callbacks=[stop],
        verbose=0,
    )
    return np.reshape(model.predict(parts["test"][0], batch_size=16384, verbose=0), -1)
