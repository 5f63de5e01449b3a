"""An error that a dataset of rows raises in TensorFlow's threads comes out as the object that it was."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import tensorflow as tf

from tfwd.data.chunk import Chunk
from tfwd.data.dataset import dataset, original_errors
from tfwd.errors import ConfigError, DataError, RunError, TfwdError
from tfwd.schema import Input, Schema

SCHEMA = Schema((Input("x", "x", "float"),), "regression", "y")


class OwnError(DataError):
    """Of a caller's own reader."""


def failing(error: Exception, batches: int = 1) -> tf.data.Dataset:
    """Some batches, then the error."""

    def chunks() -> Iterator[Chunk]:
        for _ in range(batches):
            yield Chunk(SCHEMA.inputs, {"x": np.zeros(2, np.float32)}, {}, None, None, None, 2)
        raise error

    return dataset(SCHEMA, False, 2, chunks, None)


def raised(error: Exception) -> BaseException:
    """What comes out of `original_errors` around a dataset that fails."""
    with pytest.raises((TfwdError, tf.errors.OpError)) as caught, original_errors():
        list(failing(error))
    return caught.value


@pytest.mark.parametrize(
    "error",
    [
        DataError("plain"),
        DataError("the first line\n\nafter an empty one\nTraceback is a word like any other"),
        DataError("a\0b: Köln"),
        DataError("half of a pair: \ud800"),
        DataError(),
        ConfigError("no class"),
        RunError("gone"),
        OwnError("of its own"),
    ],
    ids=lambda error: f"{type(error).__name__} {str(error)[:9]!a}",
)
def test_the_very_error_comes_out(error: TfwdError) -> None:
    assert raised(error) is error


def test_its_cause_stays_and_tensorflow_is_not_shown() -> None:
    error, cause = DataError("unreadable"), OSError("of the disk")
    error.__cause__ = cause
    found = raised(error)
    assert found.__cause__ is cause
    assert found.__suppress_context__


@pytest.mark.parametrize("error", [ValueError("a fault of tfwd's"), OSError("full")])
def test_other_errors_stay_tensorflows(error: Exception) -> None:
    found = raised(error)
    assert isinstance(found, tf.errors.OpError)
    assert str(error) in str(found)


def test_an_error_of_tensorflows_own_is_not_taken_for_one_that_was_raised_before() -> None:
    def iterate() -> None:
        with original_errors():
            with pytest.raises(tf.errors.OpError, match="met before"):
                list(failing(DataError("met before")))
            tf.debugging.assert_equal(tf.constant(1), tf.constant(2))

    with pytest.raises(tf.errors.InvalidArgumentError):
        iterate()


def test_the_inner_of_two_takes_its_own() -> None:
    inner, outer = DataError("inner"), DataError("outer")

    def iterate() -> None:
        with original_errors():
            assert raised(inner) is inner
            list(failing(outer))

    with pytest.raises(DataError) as caught:
        iterate()
    assert caught.value is outer


def test_trainings_side_by_side_get_their_own_errors() -> None:
    errors = [DataError(f"of training {index}") for index in range(4)]
    together = threading.Barrier(len(errors))

    def iterate(error: DataError) -> None:
        with original_errors():
            together.wait(timeout=60)
            list(failing(error, batches=20))

    def run(error: DataError) -> DataError:
        with pytest.raises(DataError) as caught:
            iterate(error)
        return caught.value

    with ThreadPoolExecutor(len(errors)) as pool:
        found = list(pool.map(run, errors))
    assert all(one is other for one, other in zip(found, errors, strict=True))
