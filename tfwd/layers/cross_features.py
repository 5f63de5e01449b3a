"""Cross-product transformations (Cheng et al. 2016, equation 1), all of a model's at once."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from tfwd.layers.fingerprint import folded, key_rounds

# The largest number of ids of a key column without a vocabulary whose rounds are kept.
_HELD = 65_536


@keras.saving.register_keras_serializable("tfwd")
class CrossFeatures(keras.layers.Layer):
    """The ids of crosses of two or more keys, each a column of ids, or several columns for a multivalent feature.

    A key with a vocabulary is represented by the fingerprints of its categories, so that a cross keeps its bins when
    the vocabulary is learned again in another order; other keys (buckets, integers) by their ids. A hashed cross equals
    `keras.layers.HashedCrossing` on the raw strings and on the ids. An exact one numbers every combination.

    With multivalent keys a cross has one column per combination of their columns, the last key varying fastest. Where a
    key has no value (id -1), the combination is -1 too.

    Args:
        crosses: for each cross, the numbers of its keys.
        bins: for each cross, its number of bins; 0 for an exact cross.
        sizes: for each key, its number of ids.
        vocabularies: for each key, whether it has a vocabulary, whose fingerprints are hashed.
        hashed: the keys that also come as fingerprints, which then represent them.
        lengths: for each key, the number of columns if it is multivalent, or 0 if it always has a value.

    Call:
        `[ids]` or `[ids, fingerprints]`: int `(B, K)` for the columns of all keys, uint64 `(B, H)` for those of the
        hashed keys -> int64 `(B, N)`, one column per cross, or per combination of a cross.
    """

    def __init__(
        self,
        crosses: Sequence[Sequence[int]],
        bins: list[int],
        sizes: list[int],
        vocabularies: list[bool],
        hashed: Sequence[int] = (),
        lengths: Sequence[int] = (),
        **options: Any,
    ) -> None:
        super().__init__(**options)
        self.crosses = [list(keys) for keys in crosses]
        self.bins, self.sizes, self.vocabularies = list(bins), list(sizes), list(vocabularies)
        self.hashed, self.lengths = list(hashed), list(lengths) or [0] * len(sizes)
        # What a key adds to a hash is stored for every id rather than computed per row, unless there are too many ids.
        held = [v or size <= _HELD for v, size in zip(vocabularies, sizes, strict=True)]
        self._rows = np.where(held, sizes, 0)
        self._starts = np.cumsum([0, *self._rows])[:-1].astype(np.int64)
        widths = np.maximum(self.lengths, 1)
        self._held = np.repeat(np.array(held, bool), widths)
        self._column_starts = np.repeat(self._starts, widths)
        # The columns of each key among the ids; a hashed key is crossed by its fingerprints, which come after the ids.
        ends = np.cumsum([0, *widths])
        self.id_columns = [range(ends[key], ends[key + 1]) for key in range(len(sizes))]
        end = int(ends[-1])
        self.hash_columns = list(self.id_columns)
        for key in self.hashed:
            self.hash_columns[key] = range(end, end + int(widths[key]))
            end += int(widths[key])
        self._members = [list(itertools.product(*(range(widths[key]) for key in keys))) for keys in self.crosses]

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
        """Sets the uint64 fingerprints of the ids of each key column with a vocabulary, in column order."""
        learned = iter(fingerprints)
        first, later = self.first.numpy(), self.later.numpy()
        for start, rows, has_vocabulary in zip(self._starts, self._rows, self.vocabularies, strict=True):
            if has_vocabulary:
                rounds = key_rounds(tf.constant(next(learned)))
                first[start : start + rows], later[start : start + rows] = (values.numpy() for values in rounds)
        self.first.assign(first)
        self.later.assign(later)

    def call(self, inputs: list[tf.Tensor]) -> tf.Tensor:
        """Returns the ids of all crosses; see the class."""
        # One column per row, so that choosing keys copies rows.
        given = tf.transpose(tf.cast(inputs[0], tf.int64))
        ids = tf.maximum(given, 0) if any(self.lengths) else given
        first, later = self.rounds(ids, tf.transpose(inputs[1]) if self.hashed else None)
        rows: list[tf.Tensor] = []
        # Longest first, so that crosses that have a key at a position come before those that don't.
        order = sorted((i for i, bins in enumerate(self.bins) if bins), key=lambda i: -len(self.crosses[i]))
        if order:
            # Unsigned, so that signs don't matter.
            bins = tf.constant([[self.bins[i]] for i in order for _ in self._members[i]], tf.uint64)
            rows.append(tf.cast(tf.math.floormod(self._hashes(first, later, order), bins), tf.int64))
        exact = [i for i, bins in enumerate(self.bins) if not bins]
        if exact:
            rows += [self._combinations(ids, i) for i in exact]
            order += exact
        joined = tf.concat(rows, axis=0) if len(rows) > 1 else rows[0]
        if any(self.lengths):
            joined = self._without_absent(joined, given < 0, order)
        if order != sorted(order):
            places = np.cumsum([0, *(len(self._members[i]) for i in order)])
            start = dict(zip(order, places, strict=False))
            chosen = [np.arange(start[i], start[i] + len(self._members[i])) for i in sorted(order)]
            joined = tf.gather(joined, tf.constant(np.concatenate(chosen)))
        return tf.transpose(joined)

    def _chosen(self, columns: list[range], cross: int, position: int) -> list[int]:
        """Returns the column of the key at a position, for every combination of a cross."""
        places = columns[self.crosses[cross][position]]
        return [places[member[position]] for member in self._members[cross]]

    def _hashes(self, first: tf.Tensor, later: tf.Tensor, order: list[int]) -> tf.Tensor:
        """Returns the uint64 fingerprints of crosses, longest first: `(combinations, N)`."""

        def at(position: int, members: list[int]) -> tf.Tensor:
            return tf.constant([c for i in members for c in self._chosen(self.hash_columns, i, position)])

        states = tf.gather(first, at(0, order))
        done: list[tf.Tensor] = []
        for position in range(1, len(self.crosses[order[0]])):
            members = [i for i in order if len(self.crosses[i]) > position]
            going = sum(len(self._members[i]) for i in members)
            if going < states.shape[0]:
                done.insert(0, states[going:])
                states = states[:going]
            states = folded(states, tf.gather(later, at(position, members)))
        return tf.concat([states, *done], axis=0) if done else states

    def _without_absent(self, rows: tf.Tensor, absent: tf.Tensor, order: list[int]) -> tf.Tensor:
        """Puts -1 where a key of a combination has no value: `(combinations, N)`."""
        masks: list[list[int]] = []
        # Keys that always have a value read an extra row.
        present = absent.shape[0]
        for i in order:
            optional = [p for p, key in enumerate(self.crosses[i]) if self.lengths[key]]
            looked = [self._chosen(self.id_columns, i, position) for position in optional]
            masks += map(list, zip(*looked, strict=True)) if looked else [[present]] * len(self._members[i])
        absent = tf.concat([absent, tf.zeros_like(absent[:1])], axis=0)
        deepest = max(map(len, masks))
        found = tf.gather(absent, tf.constant([mask[0] for mask in masks]))
        for position in range(1, deepest):
            looked_at = [mask[position] if len(mask) > position else present for mask in masks]
            found = tf.logical_or(found, tf.gather(absent, tf.constant(looked_at)))
        return tf.where(found, tf.constant(-1, tf.int64), rows)

    def single(self, index: int, ids: tf.Tensor) -> tf.Tensor:
        """Returns the bins of one cross for given ids of its keys, none of them hashed; for inspection, not in a graph.

        Args:
            index: which cross.
            ids: int64 `(N, keys)`, in the order of the cross's keys.

        Returns:
            int64 `(N,)`.
        """
        keys = self.crosses[index]
        placed = [tf.zeros(tf.shape(ids)[0], tf.int64)] * len(self._held)
        for position, key in enumerate(keys):
            placed[self.id_columns[key][0]] = ids[:, position]
        if not self.bins[index]:
            return self._combinations(tf.stack(placed), index)[0]
        first, later = self.rounds(tf.stack(placed), None)
        hashes = self._hashes(first, later, [index])[0]
        return tf.cast(tf.math.floormod(hashes, tf.constant(self.bins[index], tf.uint64)), tf.int64)

    def rounds(self, ids: tf.Tensor, fingerprints: tf.Tensor | None) -> list[tf.Tensor]:
        """Returns the first and the later rounds of ids `(K, N)` and of fingerprints `(H, N)`, both `(K + H, N)`."""
        held = self._held[:, np.newaxis]
        rows = ids + tf.constant(self._column_starts[:, np.newaxis])
        if not held.all():
            rows = tf.where(tf.constant(held), rows, tf.zeros_like(rows))
        rounds = [tf.gather(self.first.value, rows), tf.gather(self.later.value, rows)]
        if not held.all():
            computed = key_rounds(tf.cast(ids, tf.uint64))
            rounds = [tf.where(tf.constant(held), *pair) for pair in zip(rounds, computed, strict=True)]
        if fingerprints is not None:
            rounds = [tf.concat(pair, axis=0) for pair in zip(rounds, key_rounds(fingerprints), strict=True)]
        return rounds

    def _combinations(self, ids: tf.Tensor, cross: int) -> tf.Tensor:
        """Returns the ids `(K, N)` as mixed-radix numbers, the last key varying fastest: `(combinations, N)`."""
        combined = tf.gather(ids, tf.constant(self._chosen(self.id_columns, cross, 0)))
        for position, key in enumerate(self.crosses[cross][1:], 1):
            chosen = tf.gather(ids, tf.constant(self._chosen(self.id_columns, cross, position)))
            combined = combined * self.sizes[key] + chosen
        return combined

    def compute_output_spec(self, inputs: Any) -> keras.KerasTensor:
        """Returns int64 `(B, N)`."""
        return keras.KerasTensor((inputs[0].shape[0], sum(map(len, self._members))), "int64")

    def get_config(self) -> dict[str, Any]:
        """Returns the constructor's arguments; the rounds are weights."""
        return {
            **super().get_config(),
            "crosses": self.crosses,
            "bins": self.bins,
            "sizes": self.sizes,
            "vocabularies": self.vocabularies,
            "hashed": self.hashed,
            "lengths": self.lengths,
        }


def crosses_of(transform: keras.Model) -> CrossFeatures | None:
    """Returns the layer of all crosses of a transform, if it has any."""
    return next((layer for layer in transform.layers if isinstance(layer, CrossFeatures)), None)
