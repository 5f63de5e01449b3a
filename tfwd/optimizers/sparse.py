"""What all row-sparse optimizers share: they sum repeated rows, then clip, then update those rows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import keras
import tensorflow as tf

from tfwd.errors import ConfigError
from tfwd.optimizers.checks import check_options

_GOES_DENSE = {
    "global_clipnorm": "Set clipnorm or clipvalue, which act on each variable",
    "weight_decay": "Set the optimizer's own L2, which acts on the rows that a batch touches",
    "use_ema": "Leave it out",
    "gradient_accumulation_steps": "Set a larger batch size",
    "loss_scale_factor": "Leave it out and keep the tables float32",
}


def deduplicate(slices: tf.IndexedSlices, on_cpu: bool = True) -> tf.IndexedSlices:
    """Sums the rows of a sparse gradient that refer to the same row of the table.

    Args:
        slices: `values` of shape (n, ...), any float dtype, and integer `indices` of shape (n,).
        on_cpu: whether the table lives on a CPU, where another method is faster.

    Returns:
        `tf.IndexedSlices` whose `indices`, shape (m,) with m <= n, are distinct and in order of
        first appearance, and whose `values`, shape (m, ...), are the sums. `dense_shape` is kept.
    """
    indices, positions = tf.unique(slices.indices)
    values, rows = slices.values, tf.shape(indices)[0]
    wide = values.shape.rank == 2 and values.shape[1] != 1
    if on_cpu and wide and values.dtype == tf.float32:
        summed = _sum_wide_rows(values, positions, rows)
    else:
        summed = tf.math.unsorted_segment_sum(values, positions, rows)
    return tf.IndexedSlices(summed, indices, slices.dense_shape)


def _sum_wide_rows(values: tf.Tensor, positions: tf.Tensor, rows: tf.Tensor) -> tf.Tensor:
    # unsorted_segment_sum takes about 65 ns per row of 16 columns on a CPU. A product with the sparse matrix that has a
    # one at (position of the row, row) adds the same numbers in the same order in about 12.
    places = tf.range(tf.shape(positions, tf.int64)[0])
    return tf.raw_ops.SparseTensorDenseMatMul(
        a_indices=tf.stack([tf.cast(positions, tf.int64), places], axis=1),
        a_values=tf.ones_like(positions, tf.float32),
        a_shape=tf.stack([tf.cast(rows, tf.int64), tf.size(places, tf.int64)]),
        b=values,
    )


def on_cpu(variable: Any) -> bool:
    """Returns whether a table lives on a CPU."""
    return "GPU" not in str(table_of(variable).device).upper()


def table_of(variable: Any) -> tf.Variable:
    """Returns the tf.Variable behind a Keras variable, or the given one."""
    return variable.value if isinstance(variable, keras.Variable) else variable


def gather_rows(variable: Any, rows: tf.Tensor) -> tf.Tensor:
    """Reads `rows`, shape (m,), of a table; inside `Strategy.update`, of the local replica's copy.

    Returns:
        A tensor of shape (m, ...) and the table's dtype. Nothing else of the table is read.
    """
    # By handle: `tf.gather` of a distributed variable may fall back to reading all of it.
    table = table_of(variable)
    found = tf.raw_ops.ResourceGather(resource=table.handle, indices=rows, dtype=table.dtype)
    return tf.ensure_shape(found, [None, *table.shape[1:]])


def set_rows(variable: Any, rows: tf.Tensor, values: tf.Tensor) -> None:
    """Writes `values`, shape (m, ...), into distinct `rows`, shape (m,), of a table."""
    handle = table_of(variable).handle
    tf.raw_ops.ResourceScatterUpdate(resource=handle, indices=rows, updates=values)


def subtract_rows(variable: Any, rows: tf.Tensor, values: tf.Tensor) -> None:
    """Subtracts `values`, shape (m, ...), from distinct `rows`, shape (m,), of a table."""
    # ResourceScatterSub takes ten times as long on a CPU as reading and writing the rows.
    set_rows(variable, rows, gather_rows(variable, rows) - values)


def refuse_dense_options(owner: str, options: Mapping[str, Any]) -> dict[str, Any]:
    """Checks the Keras options that a row-sparse optimizer is given besides its own.

    Args:
        owner: the name of the optimizer, for the message.
        options: keyword arguments of `keras.optimizers.Optimizer`.

    Returns:
        The options to pass on to Keras.

    Raises:
        ConfigError: an option needs a pass over the whole table at every step.
    """
    for name, advice in _GOES_DENSE.items():
        if options.get(name):
            raise ConfigError(
                f"{owner} updates only the rows that a batch touches, and {name} needs the whole "
                f"table at every step. {advice}, or take a dense optimizer ('ftrl', 'adam'). "
                f"Received: {name}={options[name]!r}"
            )
    return {name: value for name, value in options.items() if name not in _GOES_DENSE}


class RowSparseUpdates:
    """Mixin, left of a Keras optimizer: sparse gradients update rows, dense ones go to Keras.

    A subclass implements `update_rows`. It works in eager mode, in `tf.function`, inside
    `keras.optimizers.MultiOptimizer` and under `tf.distribute`.

    Gradients are first summed over replicas, then repeated rows are summed, and only then
    `clipnorm` and `clipvalue` act, on dense gradients too. So a step on several replicas equals the
    same step on one; Keras clips every replica's part.

    Args:
        **options: arguments of the Keras optimizer.

    Raises:
        ConfigError: an option would make the update dense: global_clipnorm, weight_decay,
            use_ema, gradient_accumulation_steps, loss_scale_factor.
    """

    def __init__(self, **options: Any) -> None:
        check_options(type(self).__name__, options, divides=isinstance(self, keras.optimizers.Ftrl))
        super().__init__(**refuse_dense_options(type(self).__name__, options))

    def update_rows(self, gradient: tf.IndexedSlices, variable: tf.Variable, learning_rate: tf.Tensor) -> None:
        """Updates the rows of one table and of its slots.

        Args:
            gradient: distinct `indices`, shape (m,), and `values`, shape (m, ...), of the table's
                dtype.
            variable: the table, shape (rows, ...).
            learning_rate: a scalar of the table's dtype.
        """
        raise NotImplementedError

    def update_step(self, gradient: Any, variable: tf.Variable, learning_rate: Any) -> None:
        """Called by Keras once for every variable (and replica) with the summed gradient."""
        if not isinstance(gradient, tf.IndexedSlices):
            super().update_step(gradient, variable, learning_rate)  # type: ignore[misc]
            return
        rate = tf.cast(learning_rate, variable.dtype)
        self.update_rows(tf.cast(gradient, variable.dtype), variable, rate)

    def _clip_gradients(self, grads: Sequence[Any]) -> Sequence[Any]:
        # Called by Keras before the sum over replicas: too early, see `_all_reduce_sum_gradients`.
        return grads

    def _all_reduce_sum_gradients(
        self, grads_and_vars: Sequence[tuple[Any, tf.Variable]]
    ) -> list[tuple[Any, tf.Variable]]:
        summed = super()._all_reduce_sum_gradients(grads_and_vars)  # type: ignore[misc]
        gradients = [
            deduplicate(gradient, on_cpu(variable)) if isinstance(gradient, tf.IndexedSlices) else gradient
            for gradient, variable in summed
        ]
        clipped = super()._clip_gradients(gradients)  # type: ignore[misc]
        return [(gradient, variable) for gradient, (_, variable) in zip(clipped, summed, strict=True)]

    def _backend_update_step(
        self, grads: Sequence[Any], trainable_variables: Sequence[Any], learning_rate: Any
    ) -> None:
        for gradient, variable in zip(grads, trainable_variables, strict=True):
            constraint = getattr(variable, "constraint", None)
            if constraint is not None and isinstance(gradient, tf.IndexedSlices):
                raise ConfigError(
                    f"{type(self).__name__} updates only the rows that a batch touches, and a "
                    f"constraint needs the whole table at every step. Build {variable.path!r} "
                    f"without one. Received: {constraint!r}"
                )
        super()._backend_update_step(grads, trainable_variables, learning_rate)  # type: ignore[misc]


class RowSparseL2(RowSparseUpdates):
    """Mixin like `RowSparseUpdates`, with an L2 penalty on the rows that a step touches.

    A step that touches a row w adds `strength * ||w||^2` to its loss, so that rows of frequent values are
    drawn to zero more often. The penalty comes after the clipping. Dense gradients have none.

    Args:
        l2_regularization_strength: the strength of the penalty, finite and at least 0.
        **options: as in `RowSparseUpdates`.

    Raises:
        ConfigError: the strength is invalid, or as in `RowSparseUpdates`.
    """

    def __init__(self, l2_regularization_strength: float = 0.0, **options: Any) -> None:
        check_options(type(self).__name__, {"l2_regularization_strength": l2_regularization_strength})
        super().__init__(**options)
        self.l2_regularization_strength = l2_regularization_strength

    def update_step(self, gradient: Any, variable: tf.Variable, learning_rate: Any) -> None:
        """See `RowSparseUpdates.update_step`."""
        if self.l2_regularization_strength and isinstance(gradient, tf.IndexedSlices):
            rows = gather_rows(variable, gradient.indices)
            values = tf.cast(gradient.values, rows.dtype) + 2.0 * self.l2_regularization_strength * rows
            gradient = tf.IndexedSlices(values, gradient.indices, gradient.dense_shape)
        super().update_step(gradient, variable, learning_rate)

    def get_config(self) -> dict[str, Any]:
        """Returns the constructor's arguments."""
        config: dict[str, Any] = super().get_config()  # type: ignore[misc]
        return {**config, "l2_regularization_strength": self.l2_regularization_strength}
