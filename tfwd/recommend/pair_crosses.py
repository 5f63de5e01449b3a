"""Crosses over both sides of a pair: one user and many items."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import tensorflow as tf

from tfwd.layers.cross_features import CrossFeatures
from tfwd.layers.fingerprint import folded


class Keys(NamedTuple):
    """What the keys of all crosses are for some rows, a column a row of the tensors.

    Attributes:
        ids: int64 `(K, N)`; negative where a multivalent key has no value.
        first: uint64 `(H, N)`, what a key brings to a hash as the first.
        later: uint64 `(H, N)`, the same as a later one.
    """

    ids: tf.Tensor
    first: tf.Tensor
    later: tf.Tensor


class Combined(NamedTuple):
    """A cross of one user and `N` items: `U` combinations of the user's values with `I` of an item's.

    Attributes:
        ids: int32 `(U, I, N)`.
        absent: bool `(I, N)` where an item lacks a value, or None where none can.
    """

    ids: tf.Tensor
    absent: tf.Tensor | None


def keys_of(layer: CrossFeatures, inputs: Sequence[tf.Tensor]) -> Keys:
    """The keys of rows as the layer takes them: ids `(N, K)` and, if any key is hashed, fingerprints `(N, H)`."""
    ids = tf.transpose(tf.cast(inputs[0], tf.int64))
    fingerprints = tf.transpose(inputs[1]) if layer.hashed else None
    return Keys(ids, *layer.rounds(tf.maximum(ids, 0), fingerprints))


def cross(layer: CrossFeatures, index: int, of_user: Sequence[bool], user: Keys, items: Keys) -> Combined:
    """The ids of one cross for one user and all items.

    Equal to those of the layer on rows of the user and each item; of the user only the values that are there are
    combined, however many there may be. What one side brings alone is computed for that side alone.

    Args:
        layer: the layer of all crosses.
        index: which of them.
        of_user: for each of its keys, whether it is on the user's side; some are, some are not.
        user: of one row.
        items: of `N` rows.
    """
    keys = layer.crosses[index]
    columns = _Columns(layer, keys, of_user, user)
    absent = _absent(layer, keys, of_user, items)
    state: tf.Tensor = None
    for position, (key, own) in enumerate(zip(keys, of_user, strict=True)):
        if not layer.bins[index]:
            brought = columns.take(user.ids if own else items.ids, position, hashed=False)
            state = brought if state is None else state * layer.sizes[key] + brought
        elif position == 0:
            state = columns.take(user.first if own else items.first, position)
        else:
            state = folded(state, columns.take(user.later if own else items.later, position))
    if layer.bins[index]:
        state = _modulo(state, layer.bins[index])
    return Combined(tf.cast(state, tf.int32), absent)


class _Columns:
    """The columns of the keys of one cross, for each combination of a side's values."""

    def __init__(self, layer: CrossFeatures, keys: Sequence[int], of_user: Sequence[bool], user: Keys) -> None:
        self._layer, self._keys, self._of_user = layer, keys, of_user
        self._places: dict[int, np.ndarray] = {}
        for side in (True, False):
            positions = [position for position, own in enumerate(of_user) if own == side]
            combinations = _combinations(layer, [keys[position] for position in positions])
            self._places.update(zip(positions, combinations.T, strict=True))
        self._present = self._user_has(user)

    def _user_has(self, user: Keys) -> tf.Tensor | None:
        """Which combinations of the user's values there are, bool `(U,)`; None where all are."""
        optional = [p for p, key in enumerate(self._keys) if self._of_user[p] and self._layer.lengths[key]]
        if not optional:
            return None
        ids = [tf.gather(user.ids[:, 0], self._numbers(self._layer.id_columns, position)) for position in optional]
        return tf.reduce_all(tf.stack(ids) >= 0, axis=0)

    def _numbers(self, columns: Sequence[range], position: int) -> np.ndarray:
        return np.array([columns[self._keys[position]][place] for place in self._places[position]])

    def take(self, values: tf.Tensor, position: int, hashed: bool = True) -> tf.Tensor:
        """Of a key's values its own for each combination: `(U, 1, 1)` of the user, `(1, I, N)` of items."""
        columns = self._layer.hash_columns if hashed else self._layer.id_columns
        numbers = tf.constant(self._numbers(columns, position))
        if not self._of_user[position]:
            return tf.gather(values, numbers)[tf.newaxis]
        if self._present is not None:
            numbers = tf.boolean_mask(numbers, self._present)
        return tf.gather(values[:, 0], numbers)[:, tf.newaxis, tf.newaxis]


def _combinations(layer: CrossFeatures, keys: Sequence[int]) -> np.ndarray:
    """The places of the values of some keys, `(combinations, keys)`."""
    return np.array(list(itertools.product(*(range(max(layer.lengths[key], 1)) for key in keys))))


def _absent(layer: CrossFeatures, keys: Sequence[int], of_user: Sequence[bool], items: Keys) -> tf.Tensor | None:
    own = [key for key, user in zip(keys, of_user, strict=True) if not user]
    combinations = _combinations(layer, own)
    looked = [
        tf.gather(items.ids, np.array([layer.id_columns[key][place] for place in places])) < 0
        for key, places in zip(own, combinations.T, strict=True)
        if layer.lengths[key]
    ]
    return tf.reduce_any(tf.stack(looked), axis=0) if looked else None


def _modulo(hashes: tf.Tensor, bins: int) -> tf.Tensor:
    if bins & (bins - 1) == 0:
        return tf.cast(tf.bitwise.bitwise_and(hashes, tf.constant(bins - 1, tf.uint64)), tf.int64)
    return tf.cast(tf.math.floormod(hashes, tf.constant(bins, tf.uint64)), tf.int64)
