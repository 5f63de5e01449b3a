"""What the heads add to the logits of pairs: of one side alone, and of user and item together."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from tfwd.config.ranking import Side
from tfwd.features.layout import Layout, Slot, columns_of, weights_name
from tfwd.recommend.pair_crosses import Combined, Keys, PairCross

Tensors = dict[str, tf.Tensor]

# The number of pairs whose weights are tabulated at a time.
_TABULATED = 2**20


class PairWide:
    """The wide head on pairs: a sum of the user's weights, the item's, and those of crosses over both.

    Args:
        head: the wide head.
        layout: where features are in its matrices.
        sides: the side of each feature.
        numeric: the side of each number.
        crosses: the crosses over both sides, by name.
    """

    def __init__(
        self,
        head: Any,
        layout: Layout,
        sides: Mapping[str, Side],
        numeric: list[Side],
        crosses: Mapping[str, PairCross],
    ) -> None:
        self._head, self._sides, self._numeric = head, sides, numeric
        self._columns = columns_of(layout.wide.slots) if layout.wide is not None else []
        slots = {slot.feature: slot for slot in (layout.wide.slots if layout.wide is not None else ())}
        self._slots = {name: slots[name] for name in crosses if name in slots}
        self._crosses = {name: crosses[name] for name in self._slots}

    @property
    def crosses(self) -> set[str]:
        """The names of the crosses over both sides that the head reads."""
        return set(self._slots)

    def of_side(self, transformed: Tensors, side: Side, count: tf.Tensor) -> tf.Tensor:
        """Returns the sum of the weights of a side's own features, float32 `(N,)`."""
        terms, head = [tf.zeros([count])], self._head
        chosen = [index for index, slot in enumerate(self._columns) if self._sides[slot.feature] == side]
        if chosen:
            ids, single = transformed["wide_ids"], len(self._columns) - head.bag_columns
            weights = head.table(tf.gather(ids, chosen, axis=1))[:, :, 0]
            factors = head.bag_shares(ids[:, single:], transformed.get(weights_name("wide_ids")))
            if factors is not None:
                factors = tf.concat([tf.ones((count, single)), factors], axis=1)
                weights *= tf.gather(factors, chosen, axis=1)
            terms.append(tf.reduce_sum(weights, axis=1))
        own = [place for place, column in enumerate(head.numeric) if self._numeric[column] == side]
        if own:
            numbers = tf.gather(transformed["numeric"], [head.numeric[place] for place in own], axis=1)
            terms.append(tf.linalg.matvec(numbers, tf.gather(head.kernel.value, own)[:, 0]))
        return tf.add_n(terms)

    def of_pairs(self, crossed: Mapping[str, Combined], known: Mapping[str, tf.Tensor]) -> tf.Tensor:
        """Returns what crosses over both sides and the bias add, float32 `(N,)` or, without any cross, a scalar.

        Args:
            crossed: the combinations of the crosses that are not tabulated.
            known: what tabulated crosses add; see `known`.
        """
        terms = [tf.zeros([]), *known.values()]
        for name, slot in self._slots.items():
            if name in crossed and name not in known:
                of_user = _divisor(tf.shape(crossed[name].ids)[0], slot)
                terms.append(tf.reduce_sum(self._weights(crossed[name], slot), axis=0) / of_user)
        if self._head.use_bias:
            terms.append(self._head.bias.value[0])
        return sum(terms[1:], terms[0])

    def tables(self, items: Keys, count: int, most_bytes: int) -> dict[str, tf.Tensor]:
        """Tabulates what crosses add: float32 `(U, N)` each, the user's combinations by items; the smallest first.

        Args:
            items: the keys of the items.
            count: the number of items, `N`.
            most_bytes: the most bytes that all tables together may take.
        """
        left, made = most_bytes, {}
        sizes = {name: cross.user_combinations for name, cross in self._crosses.items()}
        for name, size in sorted(((n, s) for n, s in sizes.items() if s is not None), key=lambda entry: entry[1]):
            left -= 4 * size * count
            if left < 0:
                break
            step = max(1, _TABULATED // count)
            blocks = [
                self._weights(self._crosses[name].numbered(start, min(start + step, size), items), self._slots[name])
                for start in range(0, size, step)
            ]
            made[name] = tf.concat(blocks, axis=0)
        return made

    def known(self, user: Keys, tables: Mapping[str, Any]) -> dict[str, tf.Tensor]:
        """Returns what tabulated crosses add for one user, float32 `(N,)` each."""
        found = {}
        for name, table in tables.items():
            rows = self._crosses[name].numbers(user)
            # A head in operations that ONNX has makes a copy of the rows.
            total = tf.reduce_sum(tf.gather(table, rows), axis=0) if self._head.padded else _sum_of_rows(table, rows)
            found[name] = total / _divisor(tf.size(rows), self._slots[name])
        return found

    def _weights(self, combined: Combined, slot: Slot) -> tf.Tensor:
        """Returns what each of a user's combinations adds with each item, as if it were the only one: `(U, N)`."""
        weights = self._head.table(_rows(combined, slot.start))[..., 0]
        return tf.reduce_sum(weights, axis=1) / _divisor(_of_items(combined), slot)


class PairDeep:
    """The deep head on pairs: its first layer is a sum over the tower's inputs, with a part for each side.

    Args:
        head: the deep head.
        layout: where features are in the tower's inputs.
        sides: the side of each feature.
        owners: the feature of each number.
        crosses: the names of the crosses over both sides.
    """

    def __init__(
        self,
        head: Any,
        layout: Layout,
        sides: Mapping[str, Side],
        owners: Mapping[str, str],
        crosses: Mapping[str, PairCross],
    ) -> None:
        self._head, self._first = head, _first_layer(head)
        self._blocks = layout.tower_blocks()
        found: list[Side] = []
        for block in self._blocks:
            found += [sides[owners[block.name] if block.kind == "number" else block.name]] * block.size
        places = np.array(found)
        self._columns = {side: np.flatnonzero(places == side) for side in ("user", "item", "both")}
        self.crosses = {block.name for block in self._blocks if block.slot is not None} & set(crosses)

    def of_side(self, transformed: Tensors, side: Side) -> tf.Tensor:
        """Returns a side's part of the first layer, or of the tower's inputs: float32 `(N, W)`."""
        own = tf.gather(self._head.tower_inputs(transformed), self._columns[side], axis=1)
        if self._first is None:
            return own
        return tf.matmul(own, tf.gather(self._first.kernel, self._columns[side]))

    def of_pairs(self, user: tf.Tensor, items: tf.Tensor, crossed: Mapping[str, Combined]) -> tf.Tensor:
        """Returns the logits of the deep head, float32 `(N,)`.

        Args:
            user: the user's part, `(1, W)`.
            items: the items' parts, `(N, W)`.
            crossed: the combinations of the crosses that the tower reads.
        """
        pairs = self._inputs_of_pairs(crossed)
        if self._first is None:
            sides = [tf.repeat(user, tf.shape(items)[0], axis=0), items, *pairs]
            order = np.argsort(np.concatenate([self._columns[side] for side in ("user", "item", "both")]))
            values = self._head.tower(tf.gather(tf.concat(sides, axis=1), order, axis=1), training=False)
        else:
            # What is of the user alone is added first: a sum over all items takes longer.
            values = (user + self._first.bias if self._first.use_bias else user) + items
            if pairs:
                kernel = tf.gather(self._first.kernel, self._columns["both"])
                values += tf.matmul(tf.concat(pairs, axis=1), kernel)
            values = self._first.activation(values)
            for layer in self._head.tower.layers[1:]:
                values = layer(values)
        return self._head.logits(values)[:, 0]

    def _inputs_of_pairs(self, crossed: Mapping[str, Combined]) -> list[tf.Tensor]:
        """Returns the tower's inputs that depend on both sides, float32 `(N, columns)` each, in order."""
        found = []
        embeddings = {embedding.name: embedding for embedding in self._head.embeddings}
        for block in self._blocks:
            if block.slot is None or block.name not in self.crosses:
                continue
            combined = crossed[block.name]
            if block.table is None:
                places = tf.one_hot(_rows(combined, 0, padding=-1), block.size)
                found.append(tf.reduce_sum(places, axis=[0, 1]))
                continue
            vectors = tf.reduce_sum(embeddings[block.table.name](_rows(combined, block.slot.start)), axis=[0, 1])
            count = tf.shape(combined.ids)[0] * _of_items(combined)
            found.append(vectors / tf.reshape(_divisor(count, block.slot), [-1, 1]))
        return found


def _first_layer(deep: Any) -> keras.layers.Dense | None:
    """Returns the first layer of the tower if it is a sum over the tower's inputs, in full precision."""
    if type(deep.tower) is not keras.Sequential:
        return None
    first = deep.tower.layers[0]
    return first if type(first) is keras.layers.Dense and first.compute_dtype == "float32" else None


def _rows(combined: Combined, start: int, padding: int = 0) -> tf.Tensor:
    rows = combined.ids + start
    return rows if combined.absent is None else tf.where(combined.absent, tf.constant(padding, tf.int32), rows)


def _sum_of_rows(table: tf.Variable, rows: tf.Tensor) -> tf.Tensor:
    """Returns the sum of some rows, zeros if none: float32 `(N,)`. Unlike a gather, it reads them without a copy."""
    summed = tf.raw_ops.SparseSegmentSumWithNumSegments(
        data=tf.convert_to_tensor(table), indices=rows, segment_ids=tf.zeros_like(rows), num_segments=1
    )
    return summed[0]


def _of_items(combined: Combined) -> tf.Tensor:
    """Returns how many combinations an item's values make, int32 `(N,)`, or `(1,)` if all have the same number."""
    if combined.absent is None:
        return tf.shape(combined.ids)[1:2]
    return tf.reduce_sum(tf.cast(~combined.absent, tf.int32), axis=0)


def _divisor(count: tf.Tensor, slot: Slot) -> tf.Tensor:
    """Returns what the sum of a bag of so many values is divided by, float32; for a product, the divisors' product."""
    if slot.combiner == "sum" or not slot.bag:
        return tf.ones_like(count, tf.float32)
    divisor = tf.cast(tf.maximum(count, 1), tf.float32)
    return divisor if slot.combiner == "mean" else tf.sqrt(divisor)
