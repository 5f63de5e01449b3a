"""FTRL-Proximal whose steps cost only what the batch touches: the optimizer of the wide head."""

from __future__ import annotations

from typing import Any, NamedTuple

import keras
import tensorflow as tf

from tfwd.errors import ConfigError
from tfwd.optimizers.sparse import RowSparseUpdates, gather_rows, on_cpu, set_rows, table_of

_KERNELS = ("auto", "fused", "gather")


class FtrlRates(NamedTuple):
    """The constants of one FTRL step; `l2` already includes beta / (2 * learning_rate)."""

    learning_rate: tf.Tensor
    learning_rate_power: float
    l1: float
    l2: tf.Tensor
    l2_shrinkage: float


def ftrl_rows(
    weights: tf.Tensor,
    accumulator: tf.Tensor,
    linear: tf.Tensor,
    gradient: tf.Tensor,
    rates: FtrlRates,
) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
    """Computes one step of FTRL-Proximal on rows.

    McMahan et al. 2013, "Ad Click Prediction: a View from the Trenches", algorithm 1.
    With n the accumulator, z `linear`, p = -learning_rate_power and g the gradient:
    n' = n + g^2; z' = z + g + 2 * l2_shrinkage * w - (n'^p - n^p) / lr * w;
    w' = (clip(z', -l1, l1) - z') / (n'^p / lr + 2 * l2).

    Args:
        weights: w, shape (m, ...).
        accumulator: n, same shape, at least 0.
        linear: z, same shape.
        gradient: g, same shape.
        rates: the step's constants.

    Returns:
        w', n' and z', of the same shape.
    """
    power = -rates.learning_rate_power
    accumulated = accumulator + tf.square(gradient)
    grown = tf.pow(accumulated, power)
    sigma = (grown - tf.pow(accumulator, power)) / rates.learning_rate
    moved = linear + gradient + 2.0 * rates.l2_shrinkage * weights - sigma * weights
    quadratic = grown / rates.learning_rate + 2.0 * rates.l2
    clipped = tf.clip_by_value(moved, -rates.l1, rates.l1)
    return (clipped - moved) / quadratic, accumulated, moved


@keras.saving.register_keras_serializable("tfwd")
class SparseFtrl(RowSparseUpdates, keras.optimizers.Ftrl):
    """FTRL-Proximal on the touched rows of a table; `keras.optimizers.Ftrl` on dense gradients.

    Rows without a gradient stay unchanged to the last bit, slots included. For a table that starts
    at zero and a fixed learning rate this equals dense FTRL, and the L1 and L2 terms are exact:
    they act in closed form when a row is touched. It differs in one case: dense FTRL recomputes
    untouched rows too, so it zeroes weights that were set by hand without their slots.

    Keep the learning rate fixed: every coordinate has its own decay, 1 / sqrt(n). FTRL, Keras' too,
    computes a weight as z times the current rate, so that a rate ten times smaller makes each row
    ten times smaller when it is next touched, and a rate of 0 is an error.

    Args:
        learning_rate: a float or a `keras.optimizers.schedules.LearningRateSchedule`; alpha in the
            paper.
        learning_rate_power: at most 0; -0.5 is the paper's 1 / sqrt(n).
        initial_accumulator_value: the initial n, at least 0. Small by default because gradients are
            means over the batch.
        l1_regularization_strength: lambda_1 of the paper.
        l2_regularization_strength: as in Keras: lambda_2 of the paper is twice this.
        l2_shrinkage_regularization_strength: L2 added to the loss; acts on touched rows only.
        beta: beta of the paper.
        clipnorm: the largest L2 norm of a variable's gradient, after repeated rows are summed.
        clipvalue: the largest absolute value in a gradient, after repeated rows are summed.
        kernel: "fused" is TensorFlow's CPU kernel, "gather" reads, updates and writes the rows on
            any device, and "auto" takes "fused" where the variable lives on a CPU. With
            `jit_compile=True` only "gather" compiles.
        name: the name of the optimizer.
        **options: other options of Keras' optimizers.

    Raises:
        ConfigError: `kernel` is unknown, a fixed learning rate isn't positive, or an option
            would make the update dense.
    """

    def __init__(
        self,
        learning_rate: float | keras.optimizers.schedules.LearningRateSchedule = 0.1,
        learning_rate_power: float = -0.5,
        initial_accumulator_value: float = 1e-5,
        l1_regularization_strength: float = 0.0,
        l2_regularization_strength: float = 0.0,
        l2_shrinkage_regularization_strength: float = 0.0,
        beta: float = 0.0,
        clipnorm: float | None = None,
        clipvalue: float | None = None,
        kernel: str = "auto",
        name: str | None = None,
        **options: Any,
    ) -> None:
        if kernel not in _KERNELS:
            raise ConfigError(f"kernel must be one of {', '.join(map(repr, _KERNELS))}. Received: kernel={kernel!r}")
        super().__init__(
            learning_rate=learning_rate,
            learning_rate_power=learning_rate_power,
            initial_accumulator_value=initial_accumulator_value,
            l1_regularization_strength=l1_regularization_strength,
            l2_regularization_strength=l2_regularization_strength,
            l2_shrinkage_regularization_strength=l2_shrinkage_regularization_strength,
            beta=beta,
            clipnorm=clipnorm,
            clipvalue=clipvalue,
            name=name,
            **options,
        )
        self.kernel = kernel

    def update_rows(self, gradient: tf.IndexedSlices, variable: tf.Variable, learning_rate: tf.Tensor) -> None:
        """See `RowSparseUpdates.update_rows`."""
        position = self._get_variable_index(variable)
        accumulator = self._accumulators[position]
        linear = self._linears[position]
        rates = FtrlRates(
            learning_rate=learning_rate,
            learning_rate_power=self.learning_rate_power,
            l1=self.l1_regularization_strength,
            l2=self.l2_regularization_strength + self.beta / (2.0 * learning_rate),
            l2_shrinkage=self.l2_shrinkage_regularization_strength,
        )
        if self._is_fused(variable):
            tf.raw_ops.ResourceSparseApplyFtrlV2(
                var=variable.handle,
                accum=table_of(accumulator).handle,
                linear=table_of(linear).handle,
                grad=gradient.values,
                indices=gradient.indices,
                lr=rates.learning_rate,
                l1=rates.l1,
                l2=rates.l2,
                l2_shrinkage=rates.l2_shrinkage,
                lr_power=rates.learning_rate_power,
            )
            return
        # The fused kernel checks this itself; here a schedule that reaches 0 would produce NaN.
        tf.debugging.assert_positive(learning_rate, "FTRL divides by a positive learning rate")
        rows = gradient.indices
        tables = (variable, accumulator, linear)
        weights, summed_squares, z = (gather_rows(table, rows) for table in tables)
        after = ftrl_rows(weights, summed_squares, z, gradient.values, rates)
        for table, values in zip(tables, after, strict=True):
            set_rows(table, rows, values)

    def _is_fused(self, variable: tf.Variable) -> bool:
        if self.kernel == "fused" and not on_cpu(variable):
            raise ConfigError(
                f"kernel='fused' runs on a CPU only, and {variable.name!r} lives on "
                f"{variable.device}. Use kernel='auto' or kernel='gather'"
            )
        return self.kernel != "gather" and on_cpu(variable)

    def get_config(self) -> dict[str, Any]:
        """Returns the constructor's arguments, for `from_config` and `.keras` files."""
        return {**super().get_config(), "kernel": self.kernel}
