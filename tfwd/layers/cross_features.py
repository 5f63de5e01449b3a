"""Cross-product transformations (Cheng et al. 2016, equation 1), all of a model's at once."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from tfwd.layers.fingerprint import folded, key_rounds

# The most ids of a key column without a vocabulary whose rounds are kept.
_HELD = 65_536


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
        vocabularies: for each key column, whether it has a vocabulary, by whose fingerprints it is hashed.
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
        # What a key brings to a hash is kept for every id, so that no example computes it, unless that were much.
        self._held = np.array([v or size <= _HELD for v, size in zip(vocabularies, sizes, strict=True)], bool)
        self._rows = np.where(self._held, sizes, 0)
        self._starts = np.cumsum([0, *self._rows])[:-1].astype(np.int64)

    def build(self, input_shape: Any) -> None:
        """Makes the weights that hold the first and the later rounds of all ids of the key columns."""
        ids = [np.arange(rows, dtype=np.uint64) for rows in self._rows]
        first, later = key_rounds(tf.constant(np.concatenate([*ids, np.zeros(1, np.uint64)])))

        def weight(name: str, values: tf.Tensor) -> keras.Variable:
            return self.add_weight(
                name=name, shape=values.shape, dtype="uint64", initializer=lambda *_, **__: values, trainable=False
            )

        self.first, self.later = weight("first", first), weight("later", later)

    def set_fingerprints(self, fingerprints: list[np.ndarray]) -> None:
        """Gives each key column with a vocabulary the uint64 fingerprints of its ids, in column order."""
        learnt = iter(fingerprints)
        first, later = self.first.numpy(), self.later.numpy()
        for start, rows, has_vocabulary in zip(self._starts, self._rows, self.vocabularies, strict=True):
            if has_vocabulary:
                rounds = key_rounds(tf.constant(next(learnt)))
                first[start : start + rows], later[start : start + rows] = (values.numpy() for values in rounds)
        self.first.assign(first)
        self.later.assign(later)

    def call(self, inputs: list[tf.Tensor]) -> tf.Tensor:
        """The ids of all crosses; see the class."""
        # A key a row, so that choosing keys copies rows.
        ids = tf.transpose(tf.cast(inputs[0], tf.int64))
        first, later = self._rounds(ids, tf.transpose(inputs[1]) if self.hashed else None)
        rows: list[tf.Tensor] = []
        # Longest first, so that those that have a key at a position stand before those that don't.
        order = sorted((i for i, bins in enumerate(self.bins) if bins), key=lambda i: -len(self.crosses[i]))
        if order:
            bins = tf.constant([[self.bins[i]] for i in order], tf.uint64)
            rows.append(tf.cast(tf.math.floormod(self._hashes(first, later, order), bins), tf.int64))
        exact = [i for i, bins in enumerate(self.bins) if not bins]
        if exact:
            rows.append(tf.stack([self._combination(ids, self.crosses[i]) for i in exact]))
            order += exact
        joined = tf.concat(rows, axis=0) if len(rows) > 1 else rows[0]
        if order != sorted(order):
            joined = tf.gather(joined, tf.constant(np.argsort(order)))
        return tf.transpose(joined)

    def _hashes(self, first: tf.Tensor, later: tf.Tensor, order: list[int]) -> tf.Tensor:
        """The fingerprints of crosses, all of them a position at a time; uint64 `(len(order), N)`."""
        states = tf.gather(first, tf.constant([self.crosses[i][0] for i in order]))
        done: list[tf.Tensor] = []
        for position in range(1, len(self.crosses[order[0]])):
            members = [i for i in order if len(self.crosses[i]) > position]
            if len(members) < states.shape[0]:
                done.insert(0, states[len(members) :])
                states = states[: len(members)]
            states = folded(states, tf.gather(later, tf.constant([self.crosses[i][position] for i in members])))
        return tf.concat([states, *done], axis=0) if done else states

    def single(self, index: int, ids: tf.Tensor) -> tf.Tensor:
        """The bins of one cross for given ids of its keys, none of them hashed: what a person asks for, not a graph.

        Args:
            index: which cross.
            ids: int64 `(N, keys)`, in the order of the cross's keys.

        Returns:
            int64 `(N,)`.
        """
        keys = self.crosses[index]
        placed = [tf.zeros(tf.shape(ids)[0], tf.int64)] * len(self.sizes)
        for position, key in enumerate(keys):
            placed[key] = ids[:, position]
        if not self.bins[index]:
            return self._combination(tf.stack(placed), keys)
        first, later = self._rounds(tf.stack(placed), None)
        hashes = self._hashes(first, later, [index])[0]
        return tf.cast(tf.math.floormod(hashes, tf.constant(self.bins[index], tf.uint64)), tf.int64)

    def _rounds(self, ids: tf.Tensor, fingerprints: tf.Tensor | None) -> list[tf.Tensor]:
        """The first and the later rounds of ids `(K, N)` and of fingerprints `(H, N)`, both `(K + H, N)`."""
        held = self._held[:, np.newaxis]
        rows = ids + tf.constant(self._starts[:, np.newaxis])
        if not held.all():
            rows = tf.where(tf.constant(held), rows, tf.zeros_like(rows))
        rounds = [tf.gather(self.first.value, rows), tf.gather(self.later.value, rows)]
        if not held.all():
            computed = key_rounds(tf.cast(ids, tf.uint64))
            rounds = [tf.where(tf.constant(held), *pair) for pair in zip(rounds, computed, strict=True)]
        if fingerprints is not None:
            rounds = [tf.concat(pair, axis=0) for pair in zip(rounds, key_rounds(fingerprints), strict=True)]
        return rounds

    def _combination(self, ids: tf.Tensor, keys: list[int]) -> tf.Tensor:
        """Mixed radix of ids `(K, N)`: the last key counts fastest."""
        combination = ids[keys[0]]
        for key in keys[1:]:
            combination = combination * self.sizes[key] + ids[key]
        return combination

    def compute_output_spec(self, inputs: Any) -> keras.KerasTensor:
        """int64 `(B, N)`."""
        return keras.KerasTensor((inputs[0].shape[0], len(self.crosses)), "int64")

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments; the rounds are weights."""
        return {
            **super().get_config(),
            "crosses": self.crosses,
            "bins": self.bins,
            "sizes": self.sizes,
            "vocabularies": self.vocabularies,
            "hashed": self.hashed,
        }
