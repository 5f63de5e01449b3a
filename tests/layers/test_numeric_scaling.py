"""Each normalization equals NumPy's, the quantile mapping the paper's, and every answer is finite."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

from tfwd.analysis.scales import LARGEST_INPUT, exponent_of
from tfwd.analysis.statistics import NumericStatistics
from tfwd.config.features.base import Normalization
from tfwd.config.features.numeric import Numeric
from tfwd.features.scaling import scales_of
from tfwd.layers.numeric_scaling import NumericScaling


def learn(values: np.ndarray, n: int = 100) -> NumericStatistics:
    """By NumPy, in float64."""
    x = np.asarray(values, np.float32).astype(np.float64)
    logs = np.log1p(x - x.min())
    inner = np.sort(x)[[-(-i * len(x) // n) - 1 for i in range(1, n)]]
    return NumericStatistics(
        count=len(x),
        missing=0,
        minimum=float(x.min()),
        maximum=float(x.max()),
        mean=float(x.mean()),
        stddev=float(x.std()),
        median=float(np.median(x)),
        log_mean=float(logs.mean()),
        log_stddev=float(logs.std()),
        quantiles=tuple(np.unique(inner).tolist()),
    )


def scale(values: object, feature: Numeric, statistics: NumericStatistics) -> np.ndarray:
    forms = [*feature.normalizations, *["missing"] * feature.missing_indicator]
    counts = [len(statistics.quantiles) if form == "quantile" else 0 for form in forms]
    layer = NumericScaling([0] * len(forms), list(forms), counts)
    layer.build((None, 1))
    layer.set_scales([scales_of(form, 0, feature, statistics) for form in forms])
    return layer(tf.constant(values, tf.float32)[:, tf.newaxis]).numpy()


def one(values: object, form: Normalization, statistics: NumericStatistics, **options: object) -> np.ndarray:
    return scale(values, Numeric("x", normalization=form, **options), statistics)[:, 0]


TRAIN = np.random.default_rng(2).gamma(2.0, 30.0, 5000).astype(np.float32) - 20
SEEN = learn(TRAIN)


def test_each_form_equals_numpy() -> None:
    x = TRAIN.astype(np.float64)
    logs = np.log(1 + x - x.min())
    expected = {
        "none": x,
        "zscore": (x - x.mean()) / x.std(),
        "minmax": (x - x.min()) / (x.max() - x.min()),
        "log": (logs - logs.mean()) / logs.std(),
    }
    for form, wanted in expected.items():
        np.testing.assert_allclose(one(TRAIN, form, SEEN), wanted, rtol=1e-5, atol=1e-5, err_msg=form)


def paper_quantile(value: float, train: np.ndarray, n: int) -> float:
    """Section 4.1: P(X <= x), cut into n quantiles; x in the i-th of them becomes (i - 1) / (n - 1)."""
    at_most = int((train <= np.float32(value)).sum())
    return min(n * at_most // len(train), n - 1) / (n - 1)


@pytest.mark.parametrize("n", [2, 7, 100])
def test_quantile_mapping_is_the_papers(n: int) -> None:
    values = [*TRAIN[:300].tolist(), -1e9, 1e9]
    expected = [paper_quantile(value, TRAIN, n) for value in values]
    np.testing.assert_allclose(one(values, "quantile", learn(TRAIN, n), quantiles=n), expected, atol=1e-6)


def test_quantiles_that_fall_together_count_once() -> None:
    train = np.array([0.0] * 80 + [1.0] * 10 + [2.0] * 10)
    assert learn(train, 10).quantiles == (0.0, 1.0)
    assert one([0.0, 0.5, 1.0, 2.0], "quantile", learn(train, 10)).tolist() == [0.5, 0.5, 1.0, 1.0]


def test_values_beyond_the_training_range_are_clipped() -> None:
    np.testing.assert_array_equal(one([1e9, -1e9], "none", SEEN), np.float32([SEEN.maximum, SEEN.minimum]))
    np.testing.assert_allclose(one([1e9, -1e9], "minmax", SEEN), [1.0, 0.0], atol=1e-6)


@pytest.mark.parametrize("missing", [np.nan, np.inf, -np.inf])
def test_what_is_not_finite_is_filled(missing: float) -> None:
    for fill, value in (("median", SEEN.median), ("mean", SEEN.mean), (7.5, 7.5), (-500.0, -500.0)):
        found = one([missing], "zscore", SEEN, fill=fill)
        np.testing.assert_allclose(found, [(value - SEEN.mean) / SEEN.stddev], rtol=1e-5, atol=1e-6)


def test_fill_below_the_range_is_the_least_logarithm() -> None:
    assert one([np.nan], "log", SEEN, fill=-1e6)[0] == one([SEEN.minimum], "log", SEEN)[0]


def test_missing_indicator_and_several_forms() -> None:
    feature = Numeric("x", normalization=("none", "minmax"), missing_indicator=True, fill=5)
    found = scale([np.nan, np.inf, 10.0], feature, SEEN)
    assert found[:, 0].tolist() == [5.0, 5.0, 10.0]
    assert found[:, 2].tolist() == [1.0, 1.0, 0.0]


def test_column_of_denormals_counts_as_constant() -> None:
    for form in ("zscore", "minmax", "log"):
        assert one([0.0, 1e-42, 5.0], form, learn(np.array([0.0, 1e-42]))).tolist() == [0.0] * 3


def test_constant_column_becomes_zero() -> None:
    constant = learn(np.full(50, 3.0))
    for form in ("zscore", "minmax", "log"):
        assert one([3.0, 4.0, np.nan, -np.inf], form, constant).tolist() == [0.0] * 4
    assert one([3.0, 9.0], "none", constant).tolist() == [3.0, 3.0]
    assert one([3.0, 9.0, 2.0], "quantile", dataclasses.replace(constant, quantiles=())).tolist() == [0.0] * 3


ordinary = st.floats(width=32, min_value=-(2.0**60), max_value=2.0**60)
anything = st.floats(width=32)


@settings(max_examples=30, deadline=None)
@given(st.lists(ordinary, min_size=1, max_size=8), st.lists(anything, min_size=1, max_size=8))
def test_every_input_gives_a_finite_answer(train: list[float], values: list[float]) -> None:
    feature = Numeric("x", normalization=("none", "zscore", "minmax", "log", "quantile"), missing_indicator=True)
    found = scale(values, feature, learn(np.array(train)))
    assert np.isfinite(found).all()
    assert ((found[:, [2, 4, 5]] >= -1e-6) & (found[:, [2, 4, 5]] <= 1 + 1e-6)).all()


OUTSIDE = np.array([-1e6, -21.0, TRAIN.min(), 0.0, TRAIN.max(), 5e3, 1e9, 1.7e18], np.float32)


def test_without_clip_a_value_outside_the_range_is_normalized_as_it_is() -> None:
    x, train = OUTSIDE.astype(np.float64), TRAIN.astype(np.float64)
    logs = np.log(1 + train - train.min())
    expected = {
        "none": np.minimum(x, 1e18),
        "zscore": (x - train.mean()) / train.std(),
        "minmax": (x - train.min()) / (train.max() - train.min()),
        "log": (np.log(1 + np.maximum(x - train.min(), 0)) - logs.mean()) / logs.std(),
        "quantile": one(OUTSIDE, "quantile", SEEN),
    }
    for form, wanted in expected.items():
        found = one(OUTSIDE, form, SEEN, clip=False)
        np.testing.assert_allclose(found, wanted, rtol=1e-5, atol=1e-5, err_msg=form)
        inside = (TRAIN.min() <= OUTSIDE) & (TRAIN.max() >= OUTSIDE)
        np.testing.assert_array_equal(found[inside], one(OUTSIDE, form, SEEN)[inside])


@settings(deadline=None, max_examples=8)
@given(
    st.lists(st.floats(width=32, allow_nan=False, allow_infinity=False), min_size=2, max_size=5),
    st.lists(st.floats(width=32), min_size=1, max_size=20),
)
def test_without_clip_every_answer_is_finite_and_no_larger_than_the_heads_take(
    train: list[float], values: list[float]
) -> None:
    statistics = learn(np.array(train, np.float32))
    for form in ("zscore", "minmax", "log", "quantile"):
        feature = Numeric("x", normalization=form, clip=False)
        exponent = exponent_of(form, feature, statistics)
        layer = NumericScaling([0], [form], [len(statistics.quantiles) if form == "quantile" else 0], [exponent])
        layer.build((None, 1))
        layer.set_scales([scales_of(form, exponent, feature, statistics)])
        found = layer(tf.constant(values, tf.float32)[:, tf.newaxis]).numpy()
        assert np.isfinite(found).all()
        assert (np.abs(found) <= 1.01 * LARGEST_INPUT).all()
