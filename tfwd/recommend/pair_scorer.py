"""Scores of one user with many items, without computing anything on either side more than once.

A feature depends on the user, on the item, or, being a cross, on both. The transform is run on the user's row with the
item's inputs missing, and once on the catalogue with the user's missing: what depends on one side only is right in one
of the two. The wide head is a sum, and so is the first layer of the tower: each has a part for the user, a part for
the item, and a part for the pair, and only the last and the rest of the tower are computed for every pair.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

import keras
import numpy as np
import tensorflow as tf

from tfwd.config.features.base import Feature
from tfwd.config.features.cross import Cross
from tfwd.config.ranking import RankingConfig, Side, sides
from tfwd.features.layout import Block, Slot, columns_of, weights_name
from tfwd.features.space import number_owners
from tfwd.layers.cross_features import crosses_of
from tfwd.model.wide_deep import WideDeep
from tfwd.recommend.inputs import item_inputs, user_inputs
from tfwd.recommend.pair_crosses import Combined, Keys, cross, keys_of, numbered, numbers, user_combinations
from tfwd.schema import DTYPES, MISSING, Input

Tensors = dict[str, tf.Tensor]

# The number of pairs whose weights are tabulated at a time.
_TABULATED = 2**20


class SideParts(NamedTuple):
    """What one side of pairs contributes, for `N` rows.

    Attributes:
        wide: float32 `(N,)`, its part of the wide head's logit.
        deep: float32 `(N, W)`, its part of the first layer of the tower, or of the tower's inputs.
        keys: what crosses over both sides read: with the rows first for users, as in `Keys` for items.
    """

    wide: tf.Tensor
    deep: tf.Tensor
    keys: Keys


class PairLogits(NamedTuple):
    """Logits of one user and `N` items, `(N,)` each: their sum around the base rate, and those of the heads."""

    logit: tf.Tensor
    wide: tf.Tensor
    deep: tf.Tensor


class PairScorer:
    """A model with one logit, split by sides.

    Args:
        model: the trained model.
        features: the declared features.
        ranking: says what belongs to the item.
    """

    def __init__(self, model: WideDeep, features: tuple[Feature, ...], ranking: RankingConfig) -> None:
        self.user_inputs = user_inputs(model.schema, ranking)
        self.item_inputs = item_inputs(model.schema, ranking)
        self._model = model
        self._sides = sides(features, ranking)
        self._wide: Any = model.heads.wide
        self._deep: Any = model.heads.deep
        self._sum = model.heads.logit
        self._transform, self._crosses = with_keys(model.transform)
        self._places = _cross_places(features, self._sides)
        wide = model.layout.wide.slots if self._wide is not None and model.layout.wide is not None else ()
        self._wide_slots = {slot.feature: slot for slot in wide if slot.feature in self._places}
        towers = [slots for name, slots in model.layout.matrices.items() if name != "wide_ids"]
        self._in_tower = {slot.feature for slots in towers for slot in slots} & set(self._places)
        self._numeric = _numeric_sides(features, self._sides, model.layout.numeric)
        self._first = _first_layer(self._deep)
        self._blocks = model.layout.tower_blocks()
        self._columns = _tower_columns(self._blocks, self._sides, number_owners(features))

    def user(self, raw: Mapping[str, tf.Tensor]) -> SideParts:
        """Returns the parts of users, from their raw inputs `(N,)` or `(N, K)`."""
        return self._parts(raw, self.item_inputs, "user")

    def items(self, raw: Mapping[str, tf.Tensor]) -> SideParts:
        """Returns the parts of items, from their raw inputs `(N,)` or `(N, K)`."""
        return self._parts(raw, self.user_inputs, "item")

    def __call__(self, user: SideParts, items: SideParts, known: Mapping[str, tf.Tensor] | None = None) -> PairLogits:
        """Returns the logits of one user, `N` = 1, and some items.

        Args:
            user: the result of `user`.
            items: the result of `items`.
            known: what tabulated crosses add to the wide head's logit, float32 `(N,)`; see `known`.
        """
        known = known or {}
        crossed = self._crossed(user, items, known)
        wide = user.wide + items.wide + self._wide_of_pairs(crossed, known)
        deep = self._deep_of_pairs(user, items, crossed)
        return PairLogits(self._sum.base.value[0] + self._sum.scale.value * (wide + deep), wide, deep)

    def _parts(self, raw: Mapping[str, tf.Tensor], missing: tuple[Input, ...], side: Side) -> SideParts:
        count = tf.shape(next(iter(raw.values())))[0]
        absent = {
            entry.name: tf.fill(
                tf.stack([count, entry.length if entry.fixed else 1]) if entry.length else tf.reshape(count, [1]),
                tf.constant(MISSING[entry.kind], DTYPES[entry.kind]),
            )
            for entry in missing
        }
        found = self._transform({**raw, **absent})
        transformed = {name: value for name, value in found.items() if not name.startswith("keys.")}
        keys = Keys(*(tf.zeros((0, count), dtype) for dtype in (tf.int64, tf.uint64, tf.uint64)))
        if self._places:
            keys = keys_of(self._crosses, [found[name] for name in _KEYS if name in found])
        if side == "user":
            keys = Keys(*map(tf.transpose, keys))
        return SideParts(self._wide_of(transformed, side, count), self._deep_of(transformed, side, count), keys)

    def _wide_of(self, transformed: Tensors, side: Side, count: tf.Tensor) -> tf.Tensor:
        """Returns the sum of the weights of a side's own features, float32 `(N,)`."""
        terms = [tf.zeros([count])]
        head, layout = self._wide, self._model.layout
        if head is not None and layout.wide is not None:
            slots = columns_of(layout.wide.slots)
            chosen = [index for index, slot in enumerate(slots) if self._sides[slot.feature] == side]
            if chosen:
                ids, single = transformed["wide_ids"], len(slots) - head.bag_columns
                weights = head.table(tf.gather(ids, chosen, axis=1))[:, :, 0]
                factors = head.bag_shares(ids[:, single:], transformed.get(weights_name("wide_ids")))
                if factors is not None:
                    factors = tf.concat([tf.ones((count, single)), factors], axis=1)
                    weights *= tf.gather(factors, chosen, axis=1)
                terms.append(tf.reduce_sum(weights, axis=1))
        if head is not None and head.numeric:
            own = [place for place, column in enumerate(head.numeric) if self._numeric[column] == side]
            if own:
                numbers = tf.gather(transformed["numeric"], [head.numeric[place] for place in own], axis=1)
                terms.append(tf.linalg.matvec(numbers, tf.gather(head.kernel.value, own)[:, 0]))
        return tf.add_n(terms)

    def _deep_of(self, transformed: Tensors, side: Side, count: tf.Tensor) -> tf.Tensor:
        if self._deep is None:
            return tf.zeros((count, 0))
        own = tf.gather(self._deep.tower_inputs(transformed), self._columns[side], axis=1)
        if self._first is None:
            return own
        return tf.matmul(own, tf.gather(self._first.kernel, self._columns[side]))

    def tables(self, items: SideParts, most_bytes: int) -> dict[str, tf.Tensor]:
        """Tabulates what crosses add to the wide head's logit: float32 `(U, N)`, the user's combinations by items.

        A user is then answered with a sum of rows, without a hash or a lookup per pair. The smallest tables are made
        first.

        Args:
            items: the result of `items`.
            most_bytes: the most bytes that all tables together may take.
        """
        count, left = items.wide.shape[0], most_bytes
        sizes = {
            name: user_combinations(self._crosses, *place)
            for name, place in self._places.items()
            if name in self._wide_slots
        }
        made = {}
        for name, size in sorted(((n, s) for n, s in sizes.items() if s is not None), key=lambda entry: entry[1]):
            left -= 4 * size * count
            if left < 0:
                break
            index, of_user = self._places[name]
            step = max(1, _TABULATED // count)
            blocks = [
                self._tabulated(
                    numbered(self._crosses, index, of_user, start, min(start + step, size), items.keys),
                    self._wide_slots[name],
                )
                for start in range(0, size, step)
            ]
            made[name] = tf.concat(blocks, axis=0)
        return made

    def known(self, user: SideParts, tables: Mapping[str, Any]) -> dict[str, tf.Tensor]:
        """Returns what tabulated crosses add for one user, float32 `(N,)` each."""
        own = Keys(*map(tf.transpose, user.keys))
        found = {}
        for name, table in tables.items():
            rows = numbers(self._crosses, *self._places[name], own)
            of_user = _divisor(tf.size(rows), self._wide_slots[name])
            found[name] = _sum_of_rows(table, rows) / of_user
        return found

    def _crossed(self, user: SideParts, items: SideParts, known: Mapping[str, tf.Tensor]) -> dict[str, Combined]:
        own = Keys(*map(tf.transpose, user.keys))
        return {
            name: cross(self._crosses, index, of_user, own, items.keys)
            for name, (index, of_user) in self._places.items()
            if name in self._in_tower or (name in self._wide_slots and name not in known)
        }

    def _wide_of_pairs(self, crossed: dict[str, Combined], known: Mapping[str, tf.Tensor]) -> tf.Tensor:
        terms = [tf.zeros([]), *known.values()]
        for name, slot in self._wide_slots.items():
            if name in crossed and name not in known:
                of_user = _divisor(tf.shape(crossed[name].ids)[0], slot)
                terms.append(tf.reduce_sum(self._tabulated(crossed[name], slot), axis=0) / of_user)
        if self._wide is not None and self._wide.use_bias:
            terms.append(self._wide.bias.value[0])
        return sum(terms[1:], terms[0])

    def _tabulated(self, combined: Combined, slot: Slot) -> tf.Tensor:
        """Returns what each of a user's combinations adds with each item, as if it were the only one: `(U, N)`."""
        weights = self._wide.table(_rows(combined, slot.start))[..., 0]
        return tf.reduce_sum(weights, axis=1) / _divisor(_of_items(combined), slot)

    def _deep_of_pairs(self, user: SideParts, items: SideParts, crossed: dict[str, Combined]) -> tf.Tensor:
        if self._deep is None:
            return tf.zeros_like(items.wide)
        pairs = self._tower_inputs_of_pairs(crossed)
        if self._first is None:
            sides = [tf.repeat(user.deep, tf.shape(items.deep)[0], axis=0), items.deep, *pairs]
            order = np.argsort(np.concatenate([self._columns[side] for side in ("user", "item", "both")]))
            values = self._deep.tower(tf.gather(tf.concat(sides, axis=1), order, axis=1), training=False)
        else:
            values = user.deep + items.deep
            if pairs:
                kernel = tf.gather(self._first.kernel, self._columns["both"])
                values += tf.matmul(tf.concat(pairs, axis=1), kernel)
            if self._first.use_bias:
                values += self._first.bias
            values = self._first.activation(values)
            for layer in self._deep.tower.layers[1:]:
                values = layer(values)
        return self._deep.logits(values)[:, 0]

    def _tower_inputs_of_pairs(self, crossed: dict[str, Combined]) -> list[tf.Tensor]:
        """Returns the tower's inputs that depend on both sides, float32 `(N, columns)` each, in order."""
        found = []
        embeddings = {embedding.name: embedding for embedding in self._deep.embeddings}
        for block in self._blocks:
            if block.slot is None or block.name not in crossed:
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


_KEYS = ("keys.ids", "keys.fingerprints")


def with_keys(transform: keras.Model) -> tuple[keras.Model, Any]:
    """Returns the transform with the inputs of its crosses added to its outputs, and the layer of crosses."""
    crosses = crosses_of(transform)
    if crosses is None:
        return transform, None
    layers = {layer.name: layer for layer in transform.layers}
    outputs = dict(zip(transform.output_names, transform.outputs, strict=True))
    for name, inner in zip(_KEYS, ("features.keys", "features.fingerprints"), strict=True):
        if inner in layers:
            outputs[name] = layers[inner].output
    return keras.Model(transform.input, outputs), crosses


def _cross_places(features: tuple[Feature, ...], of: dict[str, Side]) -> dict[str, tuple[int, list[bool]]]:
    """Returns the indices of the crosses over both sides, and whether each key is on the user's side."""
    crosses = [feature for feature in features if isinstance(feature, Cross)]
    return {
        feature.name: (index, [of[key] == "user" for key in feature.keys])
        for index, feature in enumerate(crosses)
        if of[feature.name] == "both"
    }


def _numeric_sides(features: tuple[Feature, ...], of: dict[str, Side], numeric: tuple[str, ...]) -> list[Side]:
    owners = number_owners(features)
    return [of[owners[name]] for name in numeric]


def _first_layer(deep: Any) -> keras.layers.Dense | None:
    """Returns the first layer of the tower if it is a sum over the tower's inputs, in full precision."""
    if deep is None or type(deep.tower) is not keras.Sequential:
        return None
    first = deep.tower.layers[0]
    return first if type(first) is keras.layers.Dense and first.compute_dtype == "float32" else None


def _tower_columns(blocks: Iterable[Block], of: dict[str, Side], owners: dict[str, str]) -> dict[Side, np.ndarray]:
    """Returns which of the tower's inputs depend on which side."""
    found: list[Side] = []
    for block in blocks:
        found += [of[owners[block.name] if block.kind == "number" else block.name]] * block.size
    places = np.array(found)
    return {side: np.flatnonzero(places == side) for side in ("user", "item", "both")}


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
