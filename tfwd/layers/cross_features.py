"""Cross-product transformations (Cheng et al. 2016, equation 1), all of a model's at once."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from tfwd.layers.fingerprint import cross_fingerprints


@keras.saving.register_keras_serializable("tfwd")
class CrossFeatures(keras.layers.Layer):
    """The ids of crosses of two or more keys.

    A key with a vocabulary is represented by the fingerprints of its categories, so that a cross keeps its bins when
    the vocabulary is learnt again in another order; other keys (buckets, integers) by their ids. A hashed cross equals
    `keras.layers.HashedCrossing` on the raw strings and on the ids. An exact one numbers every combination.

    Args:
        crosses: for each cross, the columns of its keys.
        bins: for each cross, its number of bins; 0 for an exact cross.
        sizes: for each key column, its number of ids.
        vocabularies: for each key column, whether it has a vocabulary, whose fingerprints the layer holds.
        hashed: how many further key columns, after those of `sizes`, come as fingerprints themselves.

    Call:
        `[ids]` or `[ids, fingerprints]`: int `(B, K)` of the key columns with ids, uint64 `(B, H)` of those that
        come hashed -> int64 `(B, N)`, a column a cross.
    """

    def __init__(
        self,
        crosses: Sequence[Sequence[int]],
        bins: list[int],
        sizes: list[int],
        vocabularies: list[bool],
        hashed: int = 0,
        **options: Any,
    ) -> None:
        super().__init__(**options)
        self.crosses = [list(keys) for keys in crosses]
        self.bins, self.sizes, self.vocabularies, self.hashed = list(bins), list(sizes), list(vocabularies), hashed
        held = [size if learnt else 0 for size, learnt in zip(sizes, vocabularies, strict=True)]
        self._rows = sum(held)
        self._starts = np.cumsum([0, *held])[:-1].astype(np.int64)

    def build(self, input_shape: Any) -> None:
        """Makes the weight that holds the fingerprints of all keys' vocabularies."""
        self.fingerprints = self.add_weight(
            name="fingerprints", shape=(max(self._rows, 1),), dtype="uint64", initializer="zeros", trainable=False
        )

    def set_fingerprints(self, fingerprints: list[np.ndarray]) -> None:
        """Gives each key column with a vocabulary the uint64 fingerprints of its ids, in column order."""
        if self._rows:
            self.fingerprints.assign(np.concatenate(fingerprints))

    def call(self, inputs: list[tf.Tensor]) -> tf.Tensor:
        """The ids of all crosses; see the class."""
        ids = tf.cast(inputs[0], tf.int64)
        values = self._values(ids, inputs[1] if self.hashed else None)
        columns: list[tf.Tensor] = []
        order: list[int] = []
        for arity in sorted({len(keys) for keys in self.crosses}):
            members = [i for i, keys in enumerate(self.crosses) if len(keys) == arity and self.bins[i]]
            if members:
                # Position by position, so that all crosses of one arity are one tensor.
                keys = [
                    tf.gather(values, tf.constant([self.crosses[i][position] for i in members]), axis=1)
                    for position in range(arity)
                ]
                bins = tf.constant([self.bins[i] for i in members], tf.uint64)
                columns.append(tf.cast(tf.math.floormod(cross_fingerprints(keys), bins), tf.int64))
                order += members
        exact = [i for i, bins in enumerate(self.bins) if not bins]
        if exact:
            columns.append(tf.stack([self._combination(ids, self.crosses[i]) for i in exact], axis=1))
            order += exact
        joined = tf.concat(columns, axis=1)
        return tf.gather(joined, tf.constant(np.argsort(order)), axis=1)

    def single(self, index: int, ids: tf.Tensor) -> tf.Tensor:
        """The bins of one cross for given ids of its keys, none of them hashed: what a person asks for, not a graph.

        Args:
            index: which cross.
            ids: int64 `(N, keys)`, in the order of the cross's keys.

        Returns:
            int64 `(N,)`.
        """
        keys = self.crosses[index]
        wide = tf.zeros((tf.shape(ids)[0], len(self.sizes)), tf.int64)
        columns = tf.unstack(wide, num=len(self.sizes), axis=1)
        for position, key in enumerate(keys):
            columns[key] = ids[:, position]
        placed = tf.stack(columns, axis=1)
        if not self.bins[index]:
            return self._combination(placed, keys)
        values = self._values(placed, None)
        bins = tf.constant(self.bins[index], tf.uint64)
        return tf.cast(tf.math.floormod(cross_fingerprints([values[:, key] for key in keys]), bins), tf.int64)

    def _values(self, ids: tf.Tensor, fingerprints: tf.Tensor | None) -> tf.Tensor:
        values = tf.cast(ids, tf.uint64)
        if self._rows:
            learnt = tf.constant(self.vocabularies)
            rows = tf.where(learnt, ids + self._starts, tf.zeros_like(ids))
            values = tf.where(learnt, tf.gather(self.fingerprints.value, rows), values)
        return values if fingerprints is None else tf.concat([values, fingerprints], axis=1)

    def _combination(self, ids: tf.Tensor, keys: list[int]) -> tf.Tensor:
        """Mixed radix: the last key counts fastest."""
        combination = ids[:, keys[0]]
        for key in keys[1:]:
            combination = combination * self.sizes[key] + ids[:, key]
        return combination

    def compute_output_spec(self, inputs: Any) -> keras.KerasTensor:
        """int64 `(B, N)`."""
        return keras.KerasTensor((inputs[0].shape[0], len(self.crosses)), "int64")

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments; the fingerprints are a weight."""
        return {
            **super().get_config(),
            "crosses": self.crosses,
            "bins": self.bins,
            "sizes": self.sizes,
            "vocabularies": self.vocabularies,
            "hashed": self.hashed,
        }
