"""Turns moments into calendar parts, angles and ages, with integer arithmetic that is equal in every runtime.

A moment is int64 seconds since 1970-01-01 00:00 UTC, in the proleptic Gregorian calendar. `MISSING_INTEGER`, and every
number outside the years 1 to 9999, is a missing moment.
"""

from __future__ import annotations

import datetime
from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from tfwd.dates import FIRST_SECOND, LAST_SECOND, PARTS
from tfwd.schema import MISSING_INTEGER

_DAY = 86_400

# Indexed by the days since 1 March, which a leap year doesn't shift, since 29 February is the last of them.
_DATES = [datetime.date(2003, 3, 1) + datetime.timedelta(days) for days in range(366)]
_OF_DATES = {
    "month": np.array([date.month for date in _DATES], np.int32),
    "quarter": np.array([(date.month + 2) // 3 for date in _DATES], np.int32),
    "day": np.array([date.day for date in _DATES], np.int32),
}
# Days from 1 March of the year 0 to 1 January of the year 1, and to every 1 January from the 1 March before it.
_MARCH_TO_JANUARY = 306


@keras.saving.register_keras_serializable("tfwd")
class DatetimeParts(keras.layers.Layer):
    """Parts of a moment: `year`, or a key of `PARTS`, which gives the values of the part.

    Exact for every second of the years 1 to 9999. May be used inside `tf.data` and in exported graphs.

    Args:
        parts: the parts to compute.

    Call:
        int64 `(B,)`, seconds since 1970-01-01 UTC -> a dict of an int64 `(B,)` per part, by its name. A missing
        moment has `MISSING_INTEGER` for every part.

    Raises:
        ValueError: there is no part, or an unknown one.
    """

    def __init__(self, parts: Sequence[str], **options: Any) -> None:
        super().__init__(**options)
        self.parts = list(parts)
        unknown = [part for part in self.parts if part != "year" and part not in PARTS]
        if unknown or not self.parts:
            raise ValueError(f"Expected parts from year, {', '.join(PARTS)}. Received: {self.parts}")

    def call(self, inputs: tf.Tensor) -> dict[str, tf.Tensor]:
        """int64 `(B,)` -> `{part: int64 (B,)}`."""
        wanted, found = set(self.parts), {}
        known = _known(inputs)
        # Counted from the year 1 nothing is negative: ONNX division rounds towards 0, TensorFlow's // rounds down.
        seconds = tf.where(known, inputs, FIRST_SECOND) - FIRST_SECOND
        long_days = seconds // _DAY
        # int32 holds all of the following values, and divides faster.
        days = tf.cast(long_days, tf.int32)
        if wanted & {"hour", "minute"}:
            second = tf.cast(seconds - long_days * _DAY, tf.int32)
            found["hour"] = second // 3600
            found["minute"] = second // 60 - found["hour"] * 60
        if wanted & {"weekday", "weekend", "week"}:
            # 1 January of the year 1 was a Monday.
            weeks = days // 7
            found["weekday"] = days - weeks * 7 + 1
            found["weekend"] = tf.cast(found["weekday"] > 5, tf.int32)
            if "week" in wanted:
                # ISO 8601: a week belongs to the year of its Thursday.
                found["week"] = _year_and_day(weeks * 7 + 3)[1] // 7 + 1
        if wanted & {"year", *_OF_DATES}:
            year, day = _year_and_day(days + _MARCH_TO_JANUARY)
            found |= {part: tf.gather(tf.constant(_OF_DATES[part]), day) for part in _OF_DATES if part in wanted}
            found["year"] = year + tf.cast(day >= _MARCH_TO_JANUARY, tf.int32)
        missing = tf.constant(MISSING_INTEGER, tf.int64)
        return {part: tf.where(known, tf.cast(found[part], tf.int64), missing) for part in self.parts}

    def compute_output_spec(self, inputs: Any) -> dict[str, keras.KerasTensor]:
        """`{part: int64 (B,)}`."""
        return {part: keras.KerasTensor(inputs.shape, "int64") for part in self.parts}

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        return {**super().get_config(), "parts": self.parts}


@keras.saving.register_keras_serializable("tfwd")
class CyclicalEncoding(keras.layers.Layer):
    """A cyclical part as a point on the unit circle: sine and cosine of 2 pi (value - first) / count.

    So hour 23 is as near to hour 0 as hour 1 is. Minutes don't count in an hour.

    The points are read from a table, since runtimes round a sine differently.

    Args:
        part: a key of `PARTS`, which gives its first value and the number of values.

    Call:
        int64 `(B,)`, as `DatetimeParts` gives it -> the sine and the cosine, float32 `(B,)` each, in a list. Both are
        NaN where the part is missing.
    """

    def __init__(self, part: str, **options: Any) -> None:
        super().__init__(**options)
        self.part = part
        self._first, self._count = PARTS[part]
        self._points = _circle(self._count)

    def call(self, inputs: tf.Tensor) -> list[tf.Tensor]:
        """int64 `(B,)` -> two of float32 `(B,)`."""
        missing = tf.equal(inputs, tf.constant(MISSING_INTEGER, tf.int64))
        rows = tf.where(missing, tf.constant(self._count, tf.int64), inputs - self._first)
        return [tf.gather(tf.constant(self._points[:, column]), rows) for column in (0, 1)]

    def compute_output_spec(self, inputs: Any) -> list[keras.KerasTensor]:
        """Two of float32 `(B,)`."""
        return [keras.KerasTensor(inputs.shape, "float32") for _ in range(2)]

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        return {**super().get_config(), "part": self.part}


@keras.saving.register_keras_serializable("tfwd")
class AgeInDays(keras.layers.Layer):
    """The number of days of 86,400 seconds from a moment to its reference; negative if the moment is later.

    NaN where either is missing.

    Args:
        reference: the reference, int64 seconds since 1970-01-01 UTC; None where it is the second input.

    Call:
        int64 `(B,)`, or the moment and its reference, two of int64 `(B,)` -> float32 `(B,)`, the number nearest to the
        exact one.

    Raises:
        ValueError: the reference is outside the years 1 to 9999.
    """

    def __init__(self, reference: int | None = None, **options: Any) -> None:
        super().__init__(**options)
        if reference is not None and not FIRST_SECOND <= reference <= LAST_SECOND:
            raise ValueError(f"Expected a reference in the years 1 to 9999. Received: {reference} seconds since 1970")
        self.reference = reference

    def call(self, inputs: Any) -> tf.Tensor:
        """int64 `(B,)`, or two -> float32 `(B,)`."""
        if self.reference is None:
            moment, reference = inputs
            known = tf.logical_and(_known(moment), _known(reference))
        else:
            moment, reference = inputs, tf.constant(self.reference, tf.int64)
            known = _known(moment)
        zero = tf.constant(0, tf.int64)
        # Each is checked by itself, since the difference of two invalid moments may overflow.
        seconds = tf.where(known, reference, zero) - tf.where(known, moment, zero)
        # float64 holds the seconds exactly. No division, since only TensorFlow's graphs turn one into this product.
        days = tf.cast(tf.cast(seconds, tf.float64) * (1 / _DAY), tf.float32)
        return tf.where(known, days, np.float32(np.nan))

    def compute_output_spec(self, inputs: Any) -> keras.KerasTensor:
        """float32 `(B,)`."""
        moment = inputs if self.reference is not None else inputs[0]
        return keras.KerasTensor(moment.shape, "float32")

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        return {**super().get_config(), "reference": self.reference}


def _known(moments: tf.Tensor) -> tf.Tensor:
    """int64 -> bool, shape kept: whether a moment lies in the years 1 to 9999."""
    return tf.logical_and(moments >= FIRST_SECOND, moments <= LAST_SECOND)


def _year_and_day(days: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """Turns days since the start of a year 0 into the year and the day in it, both from 0.

    Every fourth year is long, but of every hundredth year only every fourth: this holds for years that begin on 1 March
    of the year 0, and for those that begin on 1 January of the year 1.

    From Neri and Schneider, Euclidean affine functions and their application to calendar algorithms (Software: Practice
    and Experience 53, 2023, doi 10.1002/spe.3172). The years from March are Hinnant's too (chrono-Compatible Low-Level
    Date Algorithms, https://howardhinnant.github.io/date_algorithms.html), who needs more divisions.

    Args:
        days: int32, any shape, from 0 to 500 million.

    Returns:
        Two of int32, the shape of `days`.
    """
    quarters = days * 4 + 3
    centuries = quarters // 146_097
    # The same within the century, from its whole days.
    quarters = (quarters - centuries * 146_097) // 4 * 4 + 3
    years = quarters // 1461
    return centuries * 100 + years, (quarters - years * 1461) // 4


def _circle(period: int) -> np.ndarray:
    """float32 `(period + 1, 2)`: the sine and cosine of every value, then NaN."""
    angles = np.arange(period) * (2 * np.pi / period)
    points = np.stack([np.sin(angles), np.cos(angles)], axis=1)
    # The digits rounded off are beyond float32, and libraries differ in them. Now the sine of pi is 0, and never -0.
    points = np.round(points, 12) + 0.0
    return np.concatenate([points, np.full((1, 2), np.nan)]).astype(np.float32)
