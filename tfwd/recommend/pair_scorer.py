"""Scores of one user with many items, without computing anything on either side more than once.

A feature depends on the user, on the item, or, being a cross, on both. The transform is run on the user's row with the
item's inputs missing, and once on the catalogue with the user's missing: what depends on one side only is right in one
of the two. The wide head is a sum, and so is the first layer of the tower: each has a part for the user, a part for
the item, and a part for the pair, and only the last and the rest of the tower are computed for every pair.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import tensorflow as tf

from tfwd.config.features.any import expanded
from tfwd.config.features.base import Feature
from tfwd.config.features.cross import Cross
from tfwd.config.ranking import RankingConfig, Side, sides
from tfwd.features.crossed_keys import KEYS, with_keys
from tfwd.features.space import number_owners
from tfwd.model.wide_deep import WideDeep
from tfwd.recommend.inputs import item_inputs, user_inputs
from tfwd.recommend.pair_crosses import Keys, PairCross, keys_of
from tfwd.recommend.pair_heads import PairDeep, PairWide
from tfwd.schema import DTYPES, MISSING, Input


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
        features: the features, as declared or as the heads read them.
        ranking: says what belongs to the item.
    """

    def __init__(self, model: WideDeep, features: tuple[Feature, ...], ranking: RankingConfig) -> None:
        self.user_inputs = user_inputs(model.schema, ranking)
        self.item_inputs = item_inputs(model.schema, ranking)
        features = expanded(features)
        of, owners = sides(features, ranking), number_owners(features)
        self._transform, self._layer = with_keys(model.transform)
        self._crosses = _pair_crosses(self._layer, features, of)
        numeric = [of[owners[name]] for name in model.layout.numeric]
        wide, deep = model.heads.wide, model.heads.deep
        self._wide = None if wide is None else PairWide(wide, model.layout, of, numeric, self._crosses)
        self._deep = None if deep is None else PairDeep(deep, model.layout, of, owners, self._crosses)
        self._sum = model.heads.logit

    def user(self, raw: Mapping[str, tf.Tensor]) -> SideParts:
        """Returns the parts of users, from their raw inputs `(N,)` or `(N, K)`.

        The items' inputs are missing, unless the caller says what missing is.
        """
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
        read = (self._wide.crosses - set(known) if self._wide else set()) | (
            self._deep.crosses if self._deep else set()
        )
        crossed = {
            name: pair.combined(_of_one(user), items.keys) for name, pair in self._crosses.items() if name in read
        }
        wide, deep = user.wide + items.wide, tf.zeros_like(items.wide)
        if self._wide:
            wide += self._wide.of_pairs(crossed, known)
        if self._deep:
            deep = self._deep.of_pairs(user.deep, items.deep, crossed)
        return PairLogits(self._sum.base.value[0] + self._sum.scale.value * (wide + deep), wide, deep)

    def tables(self, items: SideParts, most_bytes: int) -> dict[str, tf.Tensor]:
        """Tabulates what crosses add to the wide head's logit: float32 `(U, N)`, the user's combinations by items.

        A user is then answered with a sum of rows, without a hash or a lookup per pair.

        Args:
            items: the result of `items`.
            most_bytes: the most bytes that all tables together may take.
        """
        return self._wide.tables(items.keys, items.wide.shape[0], most_bytes) if self._wide else {}

    def known(self, user: SideParts, tables: Mapping[str, Any]) -> dict[str, tf.Tensor]:
        """Returns what tabulated crosses add for one user, float32 `(N,)` each."""
        return self._wide.known(_of_one(user), tables) if self._wide else {}

    def _parts(self, raw: Mapping[str, tf.Tensor], missing: tuple[Input, ...], side: Side) -> SideParts:
        count = tf.shape(next(iter(raw.values())))[0]
        absent = {
            entry.name: tf.fill(
                tf.stack([count, entry.length if entry.fixed else 1]) if entry.length else tf.reshape(count, [1]),
                tf.constant(MISSING[entry.kind], DTYPES[entry.kind]),
            )
            for entry in missing
            if entry.name not in raw
        }
        found = self._transform({**raw, **absent})
        transformed = {name: value for name, value in found.items() if not name.startswith("keys.")}
        keys = Keys(*(tf.zeros((0, count), dtype) for dtype in (tf.int64, tf.uint64, tf.uint64)))
        if self._crosses:
            assert self._layer is not None
            keys = keys_of(self._layer, [found[name] for name in KEYS if name in found])
        if side == "user":
            keys = Keys(*map(tf.transpose, keys))
        wide = self._wide.of_side(transformed, side, count) if self._wide else tf.zeros([count])
        deep = self._deep.of_side(transformed, side) if self._deep else tf.zeros((count, 0))
        return SideParts(wide, deep, keys)


def _of_one(user: SideParts) -> Keys:
    """Returns the keys of one user as those of one row."""
    return Keys(*map(tf.transpose, user.keys))


def _pair_crosses(layer: Any, features: tuple[Feature, ...], of: dict[str, Side]) -> dict[str, PairCross]:
    """Returns the crosses over both sides by name: none without a layer, as then no head reads one."""
    if layer is None:
        return {}
    crosses = [feature for feature in features if isinstance(feature, Cross)]
    return {
        feature.name: PairCross(layer, index, [of[key] == "user" for key in feature.keys])
        for index, feature in enumerate(crosses)
        if of[feature.name] == "both"
    }
