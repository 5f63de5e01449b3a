"""Turns numbers into the numeric inputs of the heads: filled, clipped and normalized."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from tfwd.layers.bucketize import bucketize, flush_denormals, without_denormals
from tfwd.layers.join_columns import choose_columns


@dataclass(frozen=True)
class Scales:
    """The constants with which `NumericScaling` computes a column, made by `tfwd.features.scaling.scales_of`.

    Attributes:
        fill: replaces a missing value.
        low, high: the smallest and the largest value; values outside become the nearer one.
        shift, scale: the column is `(f(x) - shift) * scale`, where `f` is a logarithm or the identity.
        boundaries: the ascending quantile boundaries; one arbitrary value for other forms.
    """

    fill: float
    low: float
    high: float
    shift: float
    scale: float
    boundaries: Sequence[float] = (0.0,)


@keras.saving.register_keras_serializable("tfwd")
class NumericScaling(keras.layers.Layer):
    """Several normalizations of several numbers, as one matrix.

    A value that is not finite becomes the fill value; others are clipped to the range of the training rows, or without
    `clip` to what the heads can compute with, so that every input gives a finite answer. Denormal numbers count as 0 in
    every runtime. May be used inside `tf.data` and in exported graphs.

    Args:
        sources: for each output column, the input column that it is computed from.
        forms: for each output column, `none`, `zscore`, `minmax`, `log`, `quantile` or `missing`.
        quantiles: for each output column, the number of quantile boundaries (0 for other forms).
        exponents: for each output column, the k of the unit 2^-k in which it is computed, where float32 could not
            subtract the values otherwise; empty if all are 0.

    Call:
        float32 `(B, F)` -> float32 `(B, M)`, where M is the number of output columns.
    """

    def __init__(
        self,
        sources: list[int],
        forms: list[str],
        quantiles: list[int],
        exponents: Sequence[int] = (),
        **options: Any,
    ) -> None:
        super().__init__(**options)
        # A file of version 0.3.0 has none.
        self.exponents = list(exponents) or [0] * len(forms)
        self.sources, self.forms, self.quantiles = list(sources), list(forms), list(quantiles)
        self._log = np.array([form == "log" for form in forms])
        self._missing = np.array([form == "missing" for form in forms])
        self._ranked = np.array([form == "quantile" for form in forms])
        # A column without boundaries still searches one, so that all columns take the same path.
        self._counts = np.maximum(np.array(self.quantiles, np.int32), 1)
        self._starts = np.cumsum([0, *self._counts[:-1]]).astype(np.int32)

    def build(self, input_shape: Any) -> None:
        """Makes the weights that hold the ranges, scales and boundaries."""
        columns = len(self.forms)
        for name in ("fill", "low", "high", "shift", "scale"):
            weight = self.add_weight(name=name, shape=(columns,), initializer="zeros", trainable=False)
            setattr(self, name, weight)
        self.boundaries = self.add_weight(
            name="boundaries", shape=(int(self._counts.sum()),), initializer="zeros", trainable=False
        )

    def set_scales(self, columns: Sequence[Scales]) -> None:
        """Sets the constants of every output column; denormal numbers become 0."""
        for name in ("fill", "low", "high", "shift", "scale", "boundaries"):
            values = np.concatenate([np.atleast_1d(getattr(column, name)) for column in columns])
            getattr(self, name).assign(without_denormals(values.astype(np.float32)))

    def load_own_variables(self, store: Any) -> None:
        """Loads the weights like Keras, then removes denormal numbers, which a file of version 0.3.0 may hold."""
        super().load_own_variables(store)
        for weight in (self.fill, self.low, self.high, self.shift, self.scale, self.boundaries):
            weight.assign(without_denormals(weight.numpy()))

    def call(self, inputs: tf.Tensor) -> tf.Tensor:
        """Maps float32 `(B, F)` to float32 `(B, M)`."""
        raw = choose_columns(inputs, self.sources)
        # A single comparison, which NaN and infinities fail: ONNX has no is-finite operation.
        finite = tf.abs(raw) <= raw.dtype.max
        clipped = tf.minimum(tf.maximum(raw, self.low.value), self.high.value)
        values = flush_denormals(tf.where(finite, clipped, self.fill.value))
        # A power of two is exact. Most models have no column that needs one.
        unit = tf.constant(np.ldexp(np.float32(1), -np.array(self.exponents))) if any(self.exponents) else 1.0
        sized = values * unit if any(self.exponents) else values
        scaled = sized
        if self._log.any():
            # Without the maximum, a fill value below the range would give the logarithm of a negative number.
            # Not 1 + x, which only TensorFlow's graphs turn into log1p, so that the last bit would depend on the
            # runtime; nor log1p, which ONNX lacks.
            low = self.low.value * unit if any(self.exponents) else self.low.value
            logs = tf.math.log(tf.maximum(sized - low, 0.0) - (-unit))
            scaled = tf.where(tf.constant(self._log), logs, scaled)
        if self._ranked.any():
            ranks = bucketize(values, self.boundaries.value, self._starts, self._counts)
            scaled = tf.where(tf.constant(self._ranked), tf.cast(ranks, tf.float32), scaled)
        # The difference of two small numbers may be denormal.
        scaled = flush_denormals(scaled - self.shift.value) * self.scale.value
        if self._missing.any():
            absent = tf.cast(tf.logical_not(finite), tf.float32)
            scaled = tf.where(tf.constant(self._missing), absent, scaled)
        return scaled

    def compute_output_spec(self, inputs: Any) -> keras.KerasTensor:
        """Returns float32 `(B, M)`."""
        return keras.KerasTensor((inputs.shape[0], len(self.forms)), "float32")

    def get_config(self) -> dict[str, Any]:
        """Returns the constructor's arguments; what was learned is in the weights."""
        names = ("sources", "forms", "quantiles", "exponents")
        return {**super().get_config(), **{name: getattr(self, name) for name in names}}
