"""Crosses over both sides of a pair: one user and many items."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import tensorflow as tf

from tfwd.layers.cross_features import CrossFeatures
from tfwd.layers.fingerprint import folded


class Keys(NamedTuple):
    """The keys of all crosses for some rows; each column is a row of the tensors.

    Attributes:
        ids: int64 `(K, N)`; negative where a multivalent key has no value.
        first: uint64 `(H, N)`, what a key contributes to a hash as its first key.
        later: uint64 `(H, N)`, what it contributes as a later key.
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
    """Returns the keys of rows from the layer's inputs: ids `(N, K)` and, for hashed keys, fingerprints `(N, H)`."""
    ids = tf.transpose(tf.cast(inputs[0], tf.int64))
    fingerprints = tf.transpose(inputs[1]) if layer.hashed else None
    return Keys(ids, *layer.rounds(tf.maximum(ids, 0), fingerprints))


@dataclass(frozen=True)
class PairCross:
    """One cross over both sides of a pair.

    Attributes:
        layer: the layer of all crosses.
        index: the index of the cross in it.
        of_user: for each of its keys, whether it is on the user's side; some are, some are not.
    """

    layer: CrossFeatures
    index: int
    of_user: Sequence[bool]

    @property
    def keys(self) -> Sequence[int]:
        """The keys of the cross, as indices into the layer's keys."""
        return self.layer.crosses[self.index]

    @property
    def user_combinations(self) -> int | None:
        """How many combinations the user's keys have, None if ids cannot tell, as with a hashed key."""
        own = [key for key, user in zip(self.keys, self.of_user, strict=True) if user]
        return None if set(own) & set(self.layer.hashed) else math.prod(self.layer.sizes[key] for key in own)

    def combined(self, user: Keys, items: Keys) -> Combined:
        """Returns the ids of the cross for one user and all items.

        They equal those of the layer on rows of the user and each item; of the user's values only those present are
        combined, however many there could be. What depends on one side alone is computed for that side alone.

        Args:
            user: the keys of one row.
            items: the keys of `N` rows.
        """
        columns = _Columns(self, user)

        def brought(position: int, kind: str) -> tf.Tensor:
            side = user if self.of_user[position] else items
            return columns.take(getattr(side, kind), position, hashed=kind != "ids")

        return Combined(self._chain(brought), self._absent(items))

    def numbers(self, user: Keys) -> tf.Tensor:
        """Returns the numbers of a user's combinations, `N` = 1: int32 `(U,)`, the last key varying fastest."""
        columns = _Columns(self, user)
        found: tf.Tensor = None
        for position, key in enumerate(self.keys):
            if self.of_user[position]:
                ids = columns.take(user.ids, position, hashed=False)[:, 0, 0]
                found = ids if found is None else found * self.layer.sizes[key] + ids
        return tf.cast(found, tf.int32)

    def numbered(self, start: int, stop: int, items: Keys) -> Combined:
        """Returns the ids of the cross for the user's combinations `start` to `stop - 1`, and all items."""
        layer, keys = self.layer, self.keys
        own = [position for position in range(len(keys)) if self.of_user[position]]
        sizes = [layer.sizes[keys[position]] for position in own]
        ids = dict(zip(own, np.unravel_index(np.arange(start, stop), sizes), strict=True))
        placed = np.zeros((sum(map(len, layer.id_columns)), stop - start), np.int64)
        for position in own:
            placed[layer.id_columns[keys[position]][0]] = ids[position]
        none = tf.zeros((items.first.shape[0] - len(placed), stop - start), tf.uint64)
        users = Keys(tf.constant(placed), *layer.rounds(tf.constant(placed), none))
        others = _Columns(self, users)

        def brought(position: int, kind: str) -> tf.Tensor:
            if not self.of_user[position]:
                return others.take(getattr(items, kind), position, hashed=kind != "ids")
            return getattr(users, kind)[layer.id_columns[keys[position]][0]][:, tf.newaxis, tf.newaxis]

        return Combined(self._chain(brought), self._absent(items))

    def _chain(self, brought: Callable[[int, str], tf.Tensor]) -> tf.Tensor:
        """Returns the ids, int32, from what the keys contribute, broadcast against each other."""
        keys, bins = self.keys, self.layer.bins[self.index]
        if not bins:
            combined = brought(0, "ids")
            for position in range(1, len(keys)):
                combined = combined * self.layer.sizes[keys[position]] + brought(position, "ids")
            return tf.cast(combined, tf.int32)
        state = brought(0, "first")
        for position in range(1, len(keys)):
            state = folded(state, brought(position, "later"))
        return tf.cast(tf.math.floormod(state, tf.constant(bins, tf.uint64)), tf.int32)

    def _absent(self, items: Keys) -> tf.Tensor | None:
        own = [key for key, user in zip(self.keys, self.of_user, strict=True) if not user]
        combinations = _combinations(self.layer, own)
        looked = [
            tf.gather(items.ids, np.array([self.layer.id_columns[key][place] for place in places])) < 0
            for key, places in zip(own, combinations.T, strict=True)
            if self.layer.lengths[key]
        ]
        return tf.reduce_any(tf.stack(looked), axis=0) if looked else None


class _Columns:
    """The columns of the keys of one cross, for each combination of a side's values."""

    def __init__(self, cross: PairCross, user: Keys) -> None:
        self._layer, self._keys, self._of_user = cross.layer, cross.keys, cross.of_user
        self._places: dict[int, np.ndarray] = {}
        for side in (True, False):
            positions = [position for position, own in enumerate(self._of_user) if own == side]
            combinations = _combinations(self._layer, [self._keys[position] for position in positions])
            self._places.update(zip(positions, combinations.T, strict=True))
        self._present = self._user_has(user)

    def _user_has(self, user: Keys) -> tf.Tensor | None:
        """Returns which combinations of the user's values exist, bool `(U,)`; None if all do."""
        optional = [p for p, key in enumerate(self._keys) if self._of_user[p] and self._layer.lengths[key]]
        if not optional:
            return None
        ids = [tf.gather(user.ids[:, 0], self._numbers(self._layer.id_columns, position)) for position in optional]
        return tf.reduce_all(tf.stack(ids) >= 0, axis=0)

    def _numbers(self, columns: Sequence[range], position: int) -> np.ndarray:
        return np.array([columns[self._keys[position]][place] for place in self._places[position]])

    def take(self, values: tf.Tensor, position: int, hashed: bool = True) -> tf.Tensor:
        """Takes a key's value for each combination: `(U, 1, 1)` for the user, `(1, I, N)` for items."""
        columns = self._layer.hash_columns if hashed else self._layer.id_columns
        numbers = tf.constant(self._numbers(columns, position))
        if not self._of_user[position]:
            return tf.gather(values, numbers)[tf.newaxis]
        if self._present is not None:
            numbers = tf.boolean_mask(numbers, self._present)
        return tf.gather(values[:, 0], numbers)[:, tf.newaxis, tf.newaxis]


def _combinations(layer: CrossFeatures, keys: Sequence[int]) -> np.ndarray:
    """Returns the positions of the values of some keys, `(combinations, keys)`."""
    return np.array(list(itertools.product(*(range(max(layer.lengths[key], 1)) for key in keys))))
