"""Numbers to the real inputs of the heads: filled, clipped, normalised."""

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
    """What a `NumericScaling` computes a column with; of its form, `tfwd.features.scaling.scales_of` makes them.

    Attributes:
        fill: in place of a missing value.
        low, high: the smallest and the largest value; others become the nearer one.
        shift, scale: the column is `(f(x) - shift) * scale`, `f` a logarithm or nothing.
        boundaries: of quantiles, rising; one of any value for other forms.
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

    A value that is not finite becomes the fill value; others are clipped to the range of the training rows, or of a
    feature without `clip` to what the heads can compute with, so that every input gives a finite answer. Denormal
    numbers count as 0, in every runtime. May be used inside `tf.data` and in exported graphs.

    Args:
        sources: for each output column, the input column it is made of.
        forms: for each output column, `none`, `zscore`, `minmax`, `log`, `quantile` or `missing`.
        quantiles: for each output column, the number of quantile boundaries (0 for other forms).
        exponents: for each output column, the k of the unit 2^-k in which it is computed, where float32 cannot
            subtract such values as they are; none for all 0.

    Call:
        float32 `(B, F)` -> float32 `(B, M)`, M output columns.
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
        # A file of version 0.3.0 names none.
        self.exponents = list(exponents) or [0] * len(forms)
        self.sources, self.forms, self.quantiles = list(sources), list(forms), list(quantiles)
        self._log = np.array([form == "log" for form in forms])
        self._missing = np.array([form == "missing" for form in forms])
        self._ranked = np.array([form == "quantile" for form in forms])
        # A column without boundaries still searches one, so that all columns take one path.
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
        """Gives every output column what it is computed with; denormal numbers become 0."""
        for name in ("fill", "low", "high", "shift", "scale", "boundaries"):
            values = np.concatenate([np.atleast_1d(getattr(column, name)) for column in columns])
            getattr(self, name).assign(without_denormals(values.astype(np.float32)))

    def load_own_variables(self, store: Any) -> None:
        """As Keras does it. A file of version 0.3.0 may hold denormal numbers."""
        super().load_own_variables(store)
        for weight in (self.fill, self.low, self.high, self.shift, self.scale, self.boundaries):
            weight.assign(without_denormals(weight.numpy()))

    def call(self, inputs: tf.Tensor) -> tf.Tensor:
        """float32 `(B, F)` -> float32 `(B, M)`."""
        raw = choose_columns(inputs, self.sources)
        # One comparison that NaN and the infinities fail: ONNX has no operation for it.
        finite = tf.abs(raw) <= raw.dtype.max
        clipped = tf.minimum(tf.maximum(raw, self.low.value), self.high.value)
        values = flush_denormals(tf.where(finite, clipped, self.fill.value))
        # A power of two: exact. Most models have no column that needs one.
        unit = tf.constant(np.ldexp(np.float32(1), -np.array(self.exponents))) if any(self.exponents) else 1.0
        sized = values * unit if any(self.exponents) else values
        scaled = sized
        if self._log.any():
            # The maximum keeps a fill value below the range from a logarithm of a negative number.
            # Not 1 + x, which TensorFlow's graphs alone make a log1p of, so that the last bit would hang on where it
            # runs; and no log1p, which ONNX does not have.
            low = self.low.value * unit if any(self.exponents) else self.low.value
            logs = tf.math.log(tf.maximum(sized - low, 0.0) - (-unit))
            scaled = tf.where(tf.constant(self._log), logs, scaled)
        if self._ranked.any():
            ranks = bucketize(values, self.boundaries.value, self._starts, self._counts)
            scaled = tf.where(tf.constant(self._ranked), tf.cast(ranks, tf.float32), scaled)
        # A difference of two small numbers may be a denormal one.
        scaled = flush_denormals(scaled - self.shift.value) * self.scale.value
        if self._missing.any():
            absent = tf.cast(tf.logical_not(finite), tf.float32)
            scaled = tf.where(tf.constant(self._missing), absent, scaled)
        return scaled

    def compute_output_spec(self, inputs: Any) -> keras.KerasTensor:
        """float32 `(B, M)`."""
        return keras.KerasTensor((inputs.shape[0], len(self.forms)), "float32")

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments; what was learned is in weights."""
        names = ("sources", "forms", "quantiles", "exponents")
        return {**super().get_config(), **{name: getattr(self, name) for name in names}}
