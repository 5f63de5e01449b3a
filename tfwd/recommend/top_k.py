"""The graph that answers users with lists: scores all items or candidates, leaves out seen ones, takes the best k."""

from __future__ import annotations

from typing import Any, NamedTuple

import tensorflow as tf

from tfwd.config.features.base import Feature
from tfwd.config.ranking import RankingConfig
from tfwd.errors import ConfigError
from tfwd.features.raw_tensors import tensors
from tfwd.model.wide_deep import WideDeep
from tfwd.recommend.catalogue import Catalogue
from tfwd.recommend.pair_crosses import Keys
from tfwd.recommend.pair_scorer import PairLogits, PairScorer, SideParts
from tfwd.schema import DTYPES

Tensors = dict[str, tf.Tensor]

# Items that are transformed at a time when the graph is built.
_ITEMS = 4096
# The most bytes for tabulated crosses together: those of 3,883 items with as many liked ones take 58 MB.
TABLE_BYTES = 2**27


class Lists(NamedTuple):
    """The answers for `B` users.

    Attributes:
        places: int32 `(B, k)`, the rows of the catalogue, -1 where there are fewer items than k.
        scores: float32 `(B, k)`, the probability or the prediction, 0 where there is no item.
    """

    places: tf.Tensor
    scores: tf.Tensor


class ListMaker:
    """Makes lists of the items of a catalogue, whose part of the model is computed once, here.

    Items are in the order of their logits, which differ where probabilities near 1 do not, and items with equal logits
    in the order of the catalogue.

    Args:
        model: a trained model with one logit.
        features: the features, as declared or as the heads read them.
        ranking: says what belongs to the item.
        catalogue: the items.

    Attributes:
        scorer: the model, split by sides.
        tables: the tabulated crosses; see `PairScorer.tables`.

    Raises:
        ConfigError: no feature reads anything of the user.
    """

    def __init__(
        self, model: WideDeep, features: tuple[Feature, ...], ranking: RankingConfig, catalogue: Catalogue
    ) -> None:
        self.model, self.features, self.ranking, self.catalogue = model, features, ranking, catalogue
        self.scorer = PairScorer(model, features, ranking)
        if not self.scorer.user_inputs:
            raise ConfigError(
                "No feature reads a column of the user: everybody would get the same list. Add a feature of the user, "
                f"such as {{type: categorical, column: {ranking.user}}}."
            )
        raw = tensors(catalogue.inputs)
        count = len(catalogue)
        blocks = [
            self.scorer.items({name: values[start : start + _ITEMS] for name, values in raw.items()})
            for start in range(0, count, _ITEMS)
        ]

        def kept(parts: list[tf.Tensor]) -> tf.Variable:
            return tf.Variable(tf.concat(parts, axis=0), trainable=False)

        self._wide = kept([block.wide for block in blocks])
        self._deep = kept([block.deep for block in blocks])
        self._keys = [
            tf.Variable(tf.concat([block.keys[i] for block in blocks], axis=1), trainable=False)
            for i in range(len(Keys._fields))
        ]
        tables = self.scorer.tables(self.items(), TABLE_BYTES)
        self.tables = {name: tf.Variable(table, trainable=False) for name, table in tables.items()}
        ids = tf.constant(catalogue.ids.tolist(), DTYPES[catalogue.input.kind])
        initializer = tf.lookup.KeyValueTensorInitializer(ids, tf.range(count))
        self._places = tf.lookup.StaticHashTable(initializer, default_value=-1)

    @property
    def resources(self) -> list[Any]:
        """The variables and tables that the graph reads, for saving it."""
        return [self._wide, self._deep, *self._keys, *self.tables.values(), self._places]

    def user(self, raw: Tensors) -> SideParts:
        """Returns the parts of `B` users, from their raw inputs."""
        return self.scorer.user(raw)

    def logits(self, user: SideParts) -> PairLogits:
        """Returns the logits of one user, `B` = 1, and all items."""
        return self.scorer(user, self.items(), self.scorer.known(user, self.tables))

    def __call__(self, raw: Tensors, k: tf.Tensor, candidates: tf.Tensor, exclude: tf.Tensor) -> Lists:
        """Returns the lists.

        Args:
            raw: the users' inputs, `(B,)` or `(B, K)`.
            k: int32 scalar, the length of the lists.
            candidates: `(B, C)`, or `(1, C)` for all users, ids of items that may be listed; missing values are
                ignored, and a row without items stands for the whole catalogue. Ids not in the catalogue are left out.
            exclude: `(B, S)` or `(1, S)`, ids of items that may not be listed.
        """
        k = tf.maximum(k, 0)
        users = self.scorer.user(raw)
        count = tf.shape(users.wide)[0]
        candidates, exclude = (
            tf.broadcast_to(values, tf.stack([count, tf.shape(values)[1]])) for values in (candidates, exclude)
        )
        given = tf.not_equal(candidates, tf.constant(self.catalogue.missing, candidates.dtype))
        chosen, left_out = self._places.lookup(candidates), self._places.lookup(exclude)
        some = tf.reduce_any(given, axis=1)

        def one(elements: Any) -> tuple[tf.Tensor, tf.Tensor]:
            parts, few, places, without = elements
            user = tf.nest.map_structure(lambda values: values[tf.newaxis], parts)
            found, logits = tf.cond(few, lambda: self._few(user, places), lambda: self._all(user))
            marks = tf.scatter_nd(
                without[without >= 0][:, tf.newaxis], tf.ones_like(without[without >= 0]), [len(self.catalogue)]
            )
            allowed = tf.equal(tf.gather(marks, found), 0)
            found, logits = tf.boolean_mask(found, allowed), tf.boolean_mask(logits, allowed)
            count = tf.minimum(k, tf.size(found))
            best, order = tf.math.top_k(logits, count)
            rest = [[0, k - count]]
            scores = self.model.link(best[:, tf.newaxis])[:, 0]
            return tf.pad(tf.gather(found, order), rest, constant_values=-1), tf.pad(scores, rest)

        shapes = (tf.TensorSpec([None], tf.int32), tf.TensorSpec([None], tf.float32))
        return Lists(*tf.map_fn(one, (users, some, chosen, left_out), fn_output_signature=shapes))

    def items(self, places: tf.Tensor | None = None) -> SideParts:
        """Returns the parts of all items, or of those in some rows of the catalogue."""
        wide, deep, keys = self._wide.value(), self._deep.value(), [key.value() for key in self._keys]
        if places is not None:
            wide, deep = tf.gather(wide, places), tf.gather(deep, places)
            keys = [tf.gather(key, places, axis=1) for key in keys]
        return SideParts(wide, deep, Keys(*keys))

    def _all(self, user: SideParts) -> tuple[tf.Tensor, tf.Tensor]:
        return tf.range(len(self.catalogue)), self.logits(user).logit

    def _few(self, user: SideParts, places: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        known, _ = tf.unique(tf.sort(tf.boolean_mask(places, places >= 0)))
        sums = self.scorer.known(user, self.tables)
        few = {name: tf.gather(values, known) for name, values in sums.items()}
        return known, self.scorer(user, self.items(known), few).logit
