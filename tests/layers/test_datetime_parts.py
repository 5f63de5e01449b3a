"""Parts, angles and ages of moments equal those of Python's datetime and of pandas, in every runtime."""

from __future__ import annotations

import math
from collections.abc import Callable
from datetime import date, datetime, timedelta
from pathlib import Path

import keras
import numpy as np
import onnxruntime
import pandas as pd
import pytest
import tensorflow as tf
import tf2onnx
from hypothesis import example, given, settings
from hypothesis import strategies as st

from export.onnx import conversion
from export.onnx.interface import OPSET
from export.onnx.operations import CONVERTED, refuse_unknown
from tfwd.dates import FIRST_SECOND, LAST_SECOND, PARTS
from tfwd.layers.datetime_parts import AgeInDays, CyclicalEncoding, DatetimeParts
from tfwd.schema import MISSING_INTEGER

ALL = ["year", *PARTS]
DAY = 86_400
EPOCH = datetime(1970, 1, 1)
MISSING = [MISSING_INTEGER] * len(ALL)
OUTSIDE = [MISSING_INTEGER, MISSING_INTEGER + 1, FIRST_SECOND - 1, LAST_SECOND + 1, 2**62, 2**63 - 1]
CYCLES = ["month", "weekday", "hour"]
REFERENCE = datetime(2024, 2, 29, 12)

Run = Callable[[np.ndarray, np.ndarray], list[np.ndarray]]


def seconds_of(moment: datetime) -> int:
    return (moment - EPOCH) // timedelta(seconds=1)


def all_parts(seconds: np.ndarray) -> np.ndarray:
    """The values of all parts, `(B, parts)`."""
    found = DatetimeParts(ALL)(tf.constant(seconds, tf.int64))
    return np.stack([found[part].numpy() for part in ALL], axis=1)


def by_datetime(moment: datetime) -> list[int]:
    """The values of all parts."""
    _, week, weekday = moment.isocalendar()
    quarter, weekend = (moment.month + 2) // 3, int(weekday >= 6)
    return [
        *(moment.year, quarter, moment.month, week, moment.day, weekday, weekend),
        *(moment.hour, moment.minute),
    ]


def by_pandas(seconds: np.ndarray) -> np.ndarray:
    """The values of all parts, `(B, parts)`."""
    index = pd.DatetimeIndex(seconds.astype("datetime64[s]"))
    week, weekday = index.isocalendar()["week"].to_numpy(np.int32), index.weekday
    return np.stack(
        [
            *(index.year, index.quarter, index.month, week, index.day, weekday + 1, weekday >= 5),
            *(index.hour, index.minute),
        ],
        axis=1,
    )


def some_moments(count: int, seed: int) -> np.ndarray:
    """Of all years, with what is not a moment at the end."""
    drawn = np.random.default_rng(seed).integers(FIRST_SECOND, LAST_SECOND + 1, count)
    return np.concatenate([drawn, [FIRST_SECOND, LAST_SECOND, -1, 0, 1], OUTSIDE])


@pytest.mark.long
def test_every_day_of_the_years_1_to_9999_equals_pandas() -> None:
    midnights = np.arange(FIRST_SECOND, LAST_SECOND, DAY)
    assert len(midnights) == date.max.toordinal()
    # A third at midnight, a third at the last second and more than a million between.
    within = np.random.default_rng(0).integers(0, DAY, len(midnights))
    within[::3], within[1::3] = 0, DAY - 1
    seconds = midnights + within
    np.testing.assert_array_equal(all_parts(seconds), by_pandas(seconds))


def test_the_borders_of_every_year_equal_datetime() -> None:
    days = [(1, 1), (2, 28), (3, 1), (12, 31)]
    dates = [datetime(year, month, day) for year in range(1, 10_000) for month, day in days]
    dates += [first - timedelta(days=1) for first in dates if (first.month, first.day) == (3, 1)]
    moments = dates + [midnight + timedelta(seconds=DAY - 1) for midnight in dates]
    found = all_parts(np.array([seconds_of(moment) for moment in moments]))
    assert found.tolist() == [by_datetime(moment) for moment in moments]


@settings(max_examples=30, deadline=None)
@given(st.lists(st.datetimes(), min_size=1, max_size=20))
@example([datetime.min, datetime.max, datetime(1900, 2, 28, 23, 59, 59), datetime(2000, 2, 29)])
@example([datetime(1969, 12, 31, 23, 59, 59, 999_999)])
def test_moments_equal_datetime(moments: list[datetime]) -> None:
    """A part of a second counts as the second that it lies in, before 1970 too."""
    found = all_parts(np.array([seconds_of(moment) for moment in moments]))
    assert found.tolist() == [by_datetime(moment) for moment in moments]


def test_every_second_of_a_day_before_1970() -> None:
    minutes = np.arange(DAY) // 60
    np.testing.assert_array_equal(
        all_parts(np.arange(-DAY, 0))[:, -2:], np.stack([minutes // 60, minutes % 60], axis=1)
    )


@settings(max_examples=30, deadline=None)
@given(st.lists(st.integers(-(2**63), FIRST_SECOND - 1) | st.integers(LAST_SECOND + 1, 2**63 - 1), min_size=1))
@example(OUTSIDE)
def test_what_is_outside_of_the_years_1_to_9999_is_missing(seconds: list[int]) -> None:
    assert all_parts(np.array(seconds)).tolist() == [MISSING] * len(seconds)
    outside = tf.constant(seconds, tf.int64)
    epoch = tf.zeros_like(outside)
    for age in (AgeInDays(0)(outside), AgeInDays()([outside, epoch]), AgeInDays()([epoch, outside])):
        assert np.isnan(age.numpy()).all()


@pytest.mark.parametrize("part", ALL)
def test_a_part_alone_is_what_it_is_among_all(part: str) -> None:
    seconds = some_moments(1000, seed=1)
    alone = DatetimeParts([part])(tf.constant(seconds))[part].numpy()
    np.testing.assert_array_equal(alone, all_parts(seconds)[:, ALL.index(part)])


def test_ages_are_the_nearest_float32() -> None:
    seconds = some_moments(100_000, seed=3)[: -len(OUTSIDE)]
    # Near to the reference too, where a float32 holds the seconds.
    seconds = np.concatenate([seconds, seconds_of(REFERENCE) + np.arange(-2 * DAY, 2 * DAY)])
    found = AgeInDays(seconds_of(REFERENCE))(tf.constant(seconds)).numpy()
    days, rest = np.divmod(seconds_of(REFERENCE) - seconds, DAY)
    np.testing.assert_array_equal(found[rest == 0], days[rest == 0])
    exact = days.astype(np.longdouble) + rest.astype(np.longdouble) / DAY
    # Half a unit in the last place; a float64 decides where the exact number lies between two.
    assert np.all(np.abs(found - exact) <= np.spacing(np.abs(found)) * (0.5 + 1e-6))


def test_ages_are_positive_before_the_reference() -> None:
    moments = [REFERENCE - timedelta(days=3), REFERENCE, REFERENCE + timedelta(hours=36), datetime.min, datetime.max]
    seconds = tf.constant([seconds_of(moment) for moment in moments], tf.int64)
    found = AgeInDays(seconds_of(REFERENCE))(seconds).numpy()
    assert found.tolist()[:3] == [3.0, 0.0, -1.5]
    exact = [(REFERENCE - moment) / timedelta(days=1) for moment in moments]
    np.testing.assert_allclose(found, exact, rtol=2**-24)
    other = tf.fill(seconds.shape, tf.constant(seconds_of(REFERENCE), tf.int64))
    np.testing.assert_array_equal(AgeInDays()([seconds, other]), found)


@pytest.mark.parametrize("part", PARTS)
def test_cycles_are_sines_and_cosines(part: str) -> None:
    first, count = PARTS[part]
    values = np.array([*range(first, first + count), MISSING_INTEGER])
    found = np.stack([column.numpy() for column in CyclicalEncoding(part)(tf.constant(values))], axis=1)
    exact = [f(2 * math.pi * place / count) for place in range(count) for f in (math.sin, math.cos)]
    np.testing.assert_allclose(found[:-1].ravel(), exact, rtol=2**-24, atol=1e-12)
    assert np.isnan(found[-1]).all()
    assert not np.signbit(found[found == 0]).any()


def test_wrong_arguments_are_named() -> None:
    with pytest.raises(ValueError, match=r"from year, quarter, .*Received: \['month', 'second'\]"):
        DatetimeParts(["month", "second"])
    with pytest.raises(ValueError, match="Expected parts"):
        DatetimeParts([])
    with pytest.raises(ValueError, match="reference in the years 1 to 9999"):
        AgeInDays(LAST_SECOND + 1)


def whole() -> keras.Model:
    """Two moments to all that the layers make of them."""
    when, other = (keras.Input((), dtype="int64", name=name) for name in ("when", "other"))
    parts = DatetimeParts(ALL)(when)
    angles = [angle for part in CYCLES for angle in CyclicalEncoding(part)(parts[part])]
    outputs = [*parts.values(), *angles, AgeInDays(seconds_of(REFERENCE))(when), AgeInDays()([when, other])]
    return keras.Model([when, other], outputs)


def as_keras(model: keras.Model, folder: Path) -> Run:
    model.save(folder / "model.keras")
    loaded = keras.saving.load_model(folder / "model.keras")
    return lambda *moments: [part.numpy() for part in loaded([tf.constant(column) for column in moments])]


def as_saved_model(model: keras.Model, folder: Path) -> Run:
    signature = [tf.TensorSpec((None,), tf.int64, name=name) for name in ("when", "other")]

    @tf.function(input_signature=signature)
    def serve(when: tf.Tensor, other: tf.Tensor) -> dict[str, tf.Tensor]:
        return {str(index): part for index, part in enumerate(model([when, other]))}

    tf.saved_model.save(model, folder / "saved", signatures=serve)
    loaded = tf.saved_model.load(folder / "saved").signatures["serving_default"]

    def run(when: np.ndarray, other: np.ndarray) -> list[np.ndarray]:
        found = loaded(when=tf.constant(when), other=tf.constant(other))
        return [found[str(index)].numpy() for index in range(len(found))]

    return run


def as_onnx(model: keras.Model, folder: Path) -> Run:
    proto, _ = tf2onnx.convert.from_keras(
        model,
        input_signature=[tf.TensorSpec(tensor.shape, tensor.dtype, name=tensor.name) for tensor in model.inputs],
        opset=OPSET,
        custom_op_handlers={op: (made, []) for op, made in CONVERTED.items()},
        optimizers={"simpler": conversion._Simpler},
    )
    refuse_unknown(proto.graph)
    # No operation whose rounding is left to a runtime, and no control flow.
    assert {node.op_type for node in proto.graph.node} <= {
        *("Add", "And", "Cast", "Div", "Equal", "Gather", "Greater", "GreaterOrEqual", "Less", "LessOrEqual", "Mul"),
        *("Sub", "Where"),
    }
    session = onnxruntime.InferenceSession(proto.SerializeToString(), providers=["CPUExecutionProvider"])
    return lambda when, other: session.run(None, {"when": when, "other": other})


@pytest.mark.parametrize("form", [as_keras, as_saved_model, as_onnx])
def test_every_form_of_a_model_answers_to_the_bit(form: Callable[[keras.Model, Path], Run], tmp_path: Path) -> None:
    model = whole()
    run = form(model, tmp_path)
    moments = some_moments(200_000, seed=4)
    for when in (moments, moments[:0], moments[-1:]):
        other = np.random.default_rng(5).permutation(when)
        expected = [part.numpy() for part in model([tf.constant(when), tf.constant(other)])]
        for found, part in zip(run(when, other), expected, strict=True):
            assert (found.dtype, found.shape) == (part.dtype, part.shape)
            # Bits: a NaN equals itself, and 0 is not -0.
            np.testing.assert_array_equal(found.view(np.int32), part.view(np.int32))
