"""What each feature adds to the deep head's logits of a row: Shapley values over the features, sampled by their orders.

The features are the players of a game. A coalition's value is the deep head's logit of a row in which the other
features have the values of a background row. A feature's share is what it adds when it joins, on average over the
orders of joining (Shapley, 1953).

An order is walked from the background row to the row itself, so its additions sum to the difference of the two logits
whatever the tower does: the sum of the shares needs no correction. The orders are drawn and each is walked backward
too, which makes the shares exact where a tower joins no more than two features at a time. Strumbelj and Kononenko
(2014, "Explaining prediction models and individual predictions with feature contributions") drew orders and background
rows in this way; Mitchell et al. (2022, "Sampling permutations for Shapley value estimation") compare the orders that
are worth drawing, and the backward ones are among the best.

Integrated gradients (Sundararajan et al., 2017) have an exact sum only in the limit of many steps, evaluate the tower
between the embeddings of two categories, which no row has, and need a tower with gradients. Here every evaluated row
combines the embeddings of real values.

With `n` features and `p` pairs of orders a row costs `2 p (n - 1) + 1` evaluations of the tower, and no gradient.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from tfwd.features.space import FeatureSpace
from tfwd.model.wide_deep import WideDeep

# The fewest pairs of orders. Each background row has as many pairs as any other.
FEWEST_PAIRS = 16
# Numbers in a batch for the tower: 16 MB.
_BATCH_NUMBERS = 2**22


class DeepShares:
    """The shares of the features in the deep head's logits.

    Args:
        model: a trained model with a deep head.
        space: its features.
        background: the transform's outputs for the rows to compare with, at least one.

    Attributes:
        features: the features, in the order of the tower's inputs.
        base: float64 `(outputs,)`, the deep head's mean logit of the background rows.
    """

    def __init__(self, model: WideDeep, space: FeatureSpace, background: dict[str, tf.Tensor]) -> None:
        head = model.heads.deep
        assert head is not None
        self._head = head
        self._names = [tensor.name for tensor in model.ranker.inputs]
        owners, blocks = space.number_owners(), model.layout.tower_blocks()
        names = [owners[block.name] if block.kind == "number" else block.name for block in blocks]
        self.features = tuple(dict.fromkeys(names))
        # The feature of each of the tower's inputs, as its number.
        self._players = np.repeat([self.features.index(name) for name in names], [block.size for block in blocks])
        inputs = tf.TensorSpec((None, len(self._players)), tf.float32)
        self._tower = tf.function(
            lambda values: head.logits(head.tower(values, training=False)), input_signature=[inputs], autograph=False
        )
        self._background = self._inputs(background)
        rows, count = len(self._background), len(self.features)
        if not rows:
            raise ValueError("The deep head is compared with at least one background row. Received: none")
        pairs = -(-max(FEWEST_PAIRS, rows) // rows) * rows
        generator = np.random.default_rng(0)
        forward = np.stack([generator.permutation(count) for _ in range(pairs)])
        self._orders = np.concatenate([forward, forward[:, ::-1]])
        self._compared = np.tile(np.arange(pairs) % rows, 2)
        # Whether a feature has joined, by order and by the number that have: 1 to n - 1.
        ranks = np.argsort(self._orders, axis=1)
        self._joined = ranks[:, np.newaxis, :] < np.arange(1, count)[:, np.newaxis]
        self._of_background = self._logits(self._background)
        self.base: NDArray[np.float64] = self._of_background.mean(axis=0)

    def of(self, transformed: dict[str, tf.Tensor]) -> NDArray[np.float64]:
        """Returns the shares, float64 `(B, features, outputs)`.

        They sum, over the features, to the deep head's logits without `base`.

        Args:
            transformed: the transform's outputs for `B` rows.
        """
        rows = self._inputs(transformed)
        ends = self._logits(rows)
        orders, between = self._joined.shape[:2]
        # Rows whose paths are held at a time.
        step = max(_BATCH_NUMBERS // (orders * (between + 2) * ends.shape[1]), 1)
        starts = range(0, len(rows), step)
        parts = [self._shares(rows[start : start + step], ends[start : start + step]) for start in starts]
        return np.concatenate(parts) if parts else np.zeros((0, len(self.features), ends.shape[1]))

    def _shares(self, rows: NDArray[np.float32], ends: NDArray[np.float64]) -> NDArray[np.float64]:
        orders, between = self._joined.shape[:2]
        path = np.empty((len(rows), orders, between + 2, ends.shape[1]))
        path[:, :, 0] = self._of_background[self._compared]
        path[:, :, -1] = ends[:, np.newaxis]
        if between:
            path[:, :, 1:-1] = self._on_the_way(rows).reshape(len(rows), orders, between, -1)
        added = np.diff(path, axis=2)
        shares = np.zeros((len(rows), len(self.features), ends.shape[1]))
        for order, names in enumerate(self._orders):
            shares[:, names] += added[:, order]
        return shares / orders

    def _on_the_way(self, rows: NDArray[np.float32]) -> NDArray[np.float64]:
        """The logits of all combinations of a row and a background row, `(B * orders * (n - 1), outputs)`."""
        joined = self._joined.reshape(-1, self._joined.shape[-1])
        compared = np.repeat(self._compared, self._joined.shape[1])
        total, step = len(rows) * len(joined), max(_BATCH_NUMBERS // max(rows.shape[1], 1), 1)
        parts = []
        for start in range(0, total, step):
            row, at = np.divmod(np.arange(start, min(start + step, total)), len(joined))
            own = joined[at][:, self._players]
            parts.append(self._logits(np.where(own, rows[row], self._background[compared[at]])))
        return np.concatenate(parts)

    def _inputs(self, transformed: dict[str, Any]) -> NDArray[np.float32]:
        read = {name: transformed[name] for name in self._names if name in transformed}
        found: NDArray[np.float32] = self._head.tower_inputs(read).numpy()
        return found

    def _logits(self, inputs: NDArray[np.float32]) -> NDArray[np.float64]:
        found: NDArray[np.float64] = self._tower(tf.constant(inputs)).numpy().astype(np.float64)
        return found
