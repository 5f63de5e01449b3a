"""The wide head: a generalized linear model over sparse features (Cheng et al. 2016, section 3.1)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
import tensorflow as tf

from tfwd.layers.bags import Bag, as_bags, shares, summed, summed_with_padding
from tfwd.layers.join_columns import choose_columns
from tfwd.layers.shared_table import SharedTable


@keras.saving.register_keras_serializable("tfwd")
class WideHead(keras.layers.Layer):
    """`w_wide . [x, phi(x)]`: the sum of the weights of a row's categories, buckets and crosses, and of its numbers.

    Args:
        rows: the number of rows of the wide table; 0 leaves the table out.
        outputs: the number of logits.
        numeric: the indices of the numeric columns that it reads.
        use_bias: whether to add a bias; only where there is no deep head, which has its own.
        bags: `((width, combiner), ...)` for the last columns, which are bags, where 0 is padding; or their number, if
            all are summed.
        padded: whether to read padding too, in operations that ONNX has; such a head does not train.

    Call:
        a dict with `wide_ids` int32 `(B, N)`, where values have weights `wide_weights` float32 with one column per
        column of bags, and `numeric` float32 `(B, M)` -> float32 `(B, outputs)`.
    """

    def __init__(
        self,
        rows: int,
        outputs: int = 1,
        numeric: tuple[int, ...] = (),
        use_bias: bool = False,
        bags: Sequence[tuple[int, str]] | int = (),
        padded: bool = False,
        **options: Any,
    ) -> None:
        super().__init__(**options)
        self.rows, self.outputs, self.numeric, self.use_bias = rows, outputs, tuple(numeric), use_bias
        self.bags, self.padded = as_bags(bags), padded
        self.table = SharedTable(rows, outputs, name="categories") if rows else None

    def build(self, input_shape: Any) -> None:
        """Makes the weights."""
        if self.table is not None:
            self.table.build(input_shape["wide_ids"])
        if self.numeric:
            self.kernel = self.add_weight(name="numbers", shape=(len(self.numeric), self.outputs), initializer="zeros")
        if self.use_bias:
            self.bias = self.add_weight(name="bias", shape=(self.outputs,), initializer="zeros")

    def call(self, inputs: dict[str, tf.Tensor]) -> tf.Tensor:
        """Returns float32 `(B, outputs)`."""
        terms = []
        if self.table is not None:
            terms += self.category_terms(inputs["wide_ids"], inputs.get("wide_weights"))
        if self.numeric:
            chosen = choose_columns(inputs["numeric"], self.numeric)
            terms.append(tf.matmul(chosen, self.kernel.value))
        logits = tf.add_n(terms)
        return logits + self.bias.value if self.use_bias else logits

    def category_terms(self, ids: tf.Tensor, bag_weights: tf.Tensor | None) -> list[tf.Tensor]:
        """Returns the sums of the weights of single values and of bags, float32 `(B, outputs)` each."""
        assert self.table is not None
        terms = []
        single = ids.shape[1] - self.bag_columns
        if single:
            weights = self.table(ids[:, :single] if self.bags else ids)
            if self.outputs == 1:  # sums along the last axis are vectorized
                terms.append(tf.reduce_sum(tf.squeeze(weights, 2), axis=1, keepdims=True))
            else:
                terms.append(tf.reduce_sum(weights, axis=1))
        if self.bags:
            sums = summed_with_padding if self.padded else summed
            ids = ids[:, single:]
            # Once each value has its share of its own bag, all values are terms of a single sum.
            one = [Bag(self.bag_columns, "sum")]
            terms.append(sums(self.table, ids, self.bag_shares(ids, bag_weights), one, "float64")[:, 0])
        return terms

    @property
    def bag_columns(self) -> int:
        """How many of the last columns of `wide_ids` belong to bags."""
        return sum(bag.width for bag in self.bags)

    def bag_shares(self, ids: tf.Tensor, bag_weights: tf.Tensor | None) -> tf.Tensor | None:
        """Returns how much each value of the bags counts, float32 `(B, bag_columns)`; None where each counts once.

        Args:
            ids: int32 `(B, bag_columns)`.
            bag_weights: float32 of the same shape, or None.
        """
        if all(bag.combiner == "sum" for bag in self.bags):
            return bag_weights
        return shares(ids, bag_weights, self.bags)

    def compute_output_spec(self, inputs: Any) -> keras.KerasTensor:
        """Returns float32 `(B, outputs)`."""
        return keras.KerasTensor((next(iter(inputs.values())).shape[0], self.outputs), "float32")

    def get_config(self) -> dict[str, Any]:
        """Returns the constructor's arguments."""
        names = ("rows", "outputs", "numeric", "use_bias", "padded")
        own = {name: getattr(self, name) for name in names}
        return {**super().get_config(), **own, "bags": [list(bag) for bag in self.bags]}
