"""Checks that what a model has learned is finite, after a step or as a whole, and names what isn't."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NoReturn

import keras
import tensorflow as tf

from tfwd.errors import RunError
from tfwd.optimizers.sparse import gather_rows

# Numbers that are checked at a time: 16 MiB.
_BLOCK = 2**22
_NAMED = 3
# The largest trained weight. No useful learning rate comes near it: the products of a few layers of larger weights
# exceed float32, and then so do the answers to rows that no metric has seen.
_LARGEST = 1e6
# Metrics that are always defined for rows with a weight.
_DEFINED = {"log_loss", "rmse", "poisson_deviance"}
_ADVICE = (
    "Lower the learning rates (train.wide_optimizer.learning_rate, train.deep_optimizer.learning_rate), set their "
    "clipnorm, or look for extreme numbers and weights in the data."
)


def finite_after(variables: Sequence[keras.Variable], gradients: Sequence[Any]) -> tf.Tensor:
    """Returns whether each variable is sound where a step has changed it; called in the step, after the update.

    Sound means finite and at most a million in absolute value: training that exceeds it has diverged.

    Args:
        variables: the trained variables.
        gradients: one per variable: None, or for a table `tf.IndexedSlices`, only whose rows are read.

    Returns:
        bool `(len(variables),)`.
    """
    found = []
    for variable, gradient in zip(variables, gradients, strict=True):
        if gradient is None:
            found.append(tf.constant(True))
            continue
        sparse = isinstance(gradient, tf.IndexedSlices)
        values = gather_rows(variable, gradient.indices) if sparse else tf.convert_to_tensor(variable.value)
        found.append(tf.reduce_all(_sound(values)))
    return tf.stack(found)


def refuse_step(model: keras.Model, variables: Sequence[keras.Variable], step: int, loss: float) -> NoReturn:
    """Ends training after a step has left numbers that are not finite.

    Args:
        model: a `tfwd.WideDeep`, as that step or a later one left it.
        variables: those with such numbers; none if only the loss is not a number.
        step: the number of the step.
        loss: the mean loss since the last evaluation.

    Raises:
        RunError: names the variables and the step.
    """
    if not variables:
        raise RunError(f"The loss is {loss} at step {step}. {_ADVICE}")
    raise RunError(
        f"After step {step}, {_names(model, variables)}: numbers that are not finite or exceed {_LARGEST:,.0f}. The "
        f"loss is {loss:.6g}. {_ADVICE}"
    )


def refuse_broken(model: keras.Model, step: int) -> None:
    """Checks a whole model and its optimizer before they are written.

    Raises:
        RunError: something is not finite, or a trained weight exceeds a million; names it and the step.
    """
    trained = {id(variable) for variable in model.trainable_variables}
    variables = [*model.variables, *model.optimizer.variables]
    broken = [variable for variable in variables if not _is_whole(variable, id(variable) in trained)]
    if broken:
        raise RunError(
            f"At step {step}, {_names(model, broken)}: numbers that are not finite or exceed {_LARGEST:,.0f}, of which "
            f"none is written. {_ADVICE}"
        )


def refuse_undefined(metrics: Mapping[str, float], rows: str, step: int) -> None:
    """Refuses a model whose loss on some rows is not a number. Other metrics may be undefined, such as AUC.

    Args:
        metrics: the metrics of the rows.
        rows: the name of the rows.
        step: the step of the model.

    Raises:
        RunError: names the metric and the step.
    """
    for name in _DEFINED & metrics.keys():
        if not math.isfinite(metrics[name]):
            raise RunError(
                f"The {name} on {rows} is {metrics[name]} at step {step}: the model's answers are not finite, or all "
                f"of these rows have the weight 0. {_ADVICE}"
            )


def _sound(values: tf.Tensor) -> tf.Tensor:
    # NaN fails every comparison.
    return tf.abs(values) <= tf.cast(_LARGEST, values.dtype)


def _is_whole(variable: Any, trained: bool) -> bool:
    if not tf.as_dtype(variable.dtype).is_floating:
        return True
    look = _sound if trained else tf.math.is_finite
    return all(bool(tf.reduce_all(look(block))) for _, block in _blocks(variable))


def _blocks(variable: Any) -> Iterator[tuple[int, tf.Tensor]]:
    """Yields a variable's numbers in blocks of rows that need little memory."""
    value = variable.value if isinstance(variable, keras.Variable) else variable
    if not len(variable.shape):
        yield 0, tf.convert_to_tensor(value)
        return
    rows = variable.shape[0]
    step = max(_BLOCK * rows // max(tf.TensorShape(variable.shape).num_elements(), 1), 1)
    for start in range(0, rows, step):
        yield start, tf.gather(value, tf.range(start, min(start + step, rows)))


def _names(model: keras.Model, variables: Sequence[Any]) -> str:
    # Tables first: their rows are the most informative.
    ordered = sorted(variables, key=lambda variable: not variable.path.endswith("/table"))
    named = ", ".join(_name(model, variable) for variable in ordered[:_NAMED])
    return named + (f" and {len(variables) - _NAMED} more" if len(variables) > _NAMED else "")


def _name(model: keras.Model, variable: Any) -> str:
    """Returns a variable's path; for a table, also a row that is not sound and its feature."""
    places = {"categories" if table.name == "wide" else table.name: table for table in model.layout.tables}
    layer, _, last = str(variable.path).rpartition("/")
    table = places.get(layer.rpartition("/")[2]) if last == "table" else None
    if table is None:
        return str(variable.path)
    for start, block in _blocks(variable):
        rows = tf.where(tf.reduce_any(~_sound(block), axis=1))
        if len(rows):
            row = start + int(rows[0, 0])
            feature = next((r.feature for r in table.ranges if r.start <= row < r.start + r.rows), "padding")
            return f"{variable.path} (row {row}, of the feature {feature!r})"
    return str(variable.path)
