"""Numbers to the real inputs of the heads: filled, clipped, normalised."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from tfwd.analysis.statistics import NumericStatistics
from tfwd.features.columns import Numeric
from tfwd.layers.bucketize import bucketize, flush_denormals
from tfwd.layers.join_columns import choose_columns


@dataclass(frozen=True)
class _Scales:
    """What the weights of a `NumericScaling` hold, one entry a column; see `scales`."""

    fill: np.ndarray
    low: np.ndarray
    high: np.ndarray
    shift: np.ndarray
    scale: np.ndarray
    boundaries: np.ndarray


@keras.saving.register_keras_serializable("tfwd")
class NumericScaling(keras.layers.Layer):
    """Several normalizations of several numbers, as one matrix.

    A value that is not finite becomes the fill value; others are clipped to the range of the training rows, so that
    every input gives a finite answer. May be used inside `tf.data` and in exported graphs.

    Args:
        sources: for each output column, the input column it is made of.
        forms: for each output column, `none`, `zscore`, `minmax`, `log`, `quantile` or `missing`.
        quantiles: for each output column, the number of quantile boundaries (0 for other forms).

    Call:
        float32 `(B, F)` -> float32 `(B, M)`, M output columns.
    """

    def __init__(self, sources: list[int], forms: list[str], quantiles: list[int], **options: Any) -> None:
        super().__init__(**options)
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

    def set_statistics(self, columns: list[tuple[Numeric, NumericStatistics]]) -> None:
        """Gives every output column its feature and what was learnt of it."""
        pairs = zip(self.forms, columns, strict=True)
        scales = [_scales(form, feature, statistics) for form, (feature, statistics) in pairs]
        for name in ("fill", "low", "high", "shift", "scale", "boundaries"):
            getattr(self, name).assign(np.concatenate([getattr(entry, name) for entry in scales]))

    def call(self, inputs: tf.Tensor) -> tf.Tensor:
        """float32 `(B, F)` -> float32 `(B, M)`."""
        raw = choose_columns(inputs, self.sources)
        # One comparison that NaN and the infinities fail: ONNX has no operation for it.
        finite = tf.abs(raw) <= raw.dtype.max
        clipped = tf.minimum(tf.maximum(raw, self.low.value), self.high.value)
        values = tf.where(finite, clipped, self.fill.value)
        scaled = values
        if self._log.any():
            # The maximum keeps a fill value below the range from a logarithm of a negative number.
            # Not 1 + x, which TensorFlow's graphs alone make a log1p of, so that the last bit would hang on where it
            # runs; and no log1p, which ONNX does not have.
            logs = tf.math.log(tf.maximum(values - self.low.value, 0.0) - (-1.0))
            scaled = tf.where(tf.constant(self._log), logs, scaled)
        if self._ranked.any():
            ranks = bucketize(flush_denormals(values), self.boundaries.value, self._starts, self._counts)
            scaled = tf.where(tf.constant(self._ranked), tf.cast(ranks, tf.float32), scaled)
        scaled = (scaled - self.shift.value) * self.scale.value
        if self._missing.any():
            absent = tf.cast(tf.logical_not(finite), tf.float32)
            scaled = tf.where(tf.constant(self._missing), absent, scaled)
        return scaled

    def compute_output_spec(self, inputs: Any) -> keras.KerasTensor:
        """float32 `(B, M)`."""
        return keras.KerasTensor((inputs.shape[0], len(self.forms)), "float32")

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments; what was learnt is in weights."""
        config = {"sources": self.sources, "forms": self.forms, "quantiles": self.quantiles}
        return {**super().get_config(), **config}


def _scales(form: str, feature: Numeric, statistics: NumericStatistics) -> _Scales:
    """The shift and scale that make `(f(x) - shift) * scale` the normalization; a constant column becomes 0."""
    fill = feature.fill if isinstance(feature.fill, float) else getattr(statistics, feature.fill)
    shift, spread = 0.0, 1.0
    if form == "zscore":
        shift, spread = statistics.mean, statistics.stddev
    elif form == "minmax":
        shift, spread = statistics.minimum, statistics.maximum - statistics.minimum
    elif form == "log":
        shift, spread = statistics.log_mean, statistics.log_stddev
    elif form == "quantile":
        # (i - 1) / (n - 1) with i from 1: the number of boundaries passed, over the number of boundaries.
        spread = float(len(statistics.quantiles))
    boundaries = statistics.quantiles if form == "quantile" and statistics.quantiles else (0.0,)

    def one(value: float) -> np.ndarray:
        return np.array([value], np.float32)

    # The inverse of a denormal spread is infinite in float32: such a column counts as constant.
    scale = 1.0 / spread if spread >= np.finfo(np.float32).tiny else 0.0
    return _Scales(
        fill=one(fill),
        low=one(statistics.minimum),
        high=one(statistics.maximum),
        shift=one(shift),
        scale=one(scale),
        boundaries=np.asarray(boundaries, np.float32),
    )
