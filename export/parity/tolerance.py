"""When two results of a model are equal but for rounding."""

from __future__ import annotations

from typing import Any

import numpy as np
import tensorflow as tf

from tfwd.model.wide_deep import WideDeep

PROBABILITY_TOLERANCE = 1e-6
# Relative, for values that grow with the data: a few units in the last place of float32, after a sum of hundreds.
_RELATIVE = 1e-5
# Beyond this size a logit's sigmoid is 0 or 1 in float32; the share of it by which the runtimes may differ.
_SATURATED, _RELATIVE_SATURATED = 104.0, 1e-4
# Units in the last place of float32 by which the terms of the last layer may be off.
_ROUNDINGS = 16


def rounded_off(model: WideDeep, matrices: dict[str, tf.Tensor]) -> np.ndarray:
    """Returns what rounding may add to logits, float64 `(B, outputs)`; see `last_terms`."""
    return _ROUNDINGS * 2.0**-24 * last_terms(model, matrices)


def last_terms(model: WideDeep, matrices: dict[str, tf.Tensor]) -> np.ndarray:
    """Returns the sum of the absolute terms of the last layer, which bounds its rounding error.

    Args:
        model: the model whose heads end in that layer.
        matrices: the transform's outputs.

    Returns:
        float64 `(B, outputs)`, over the deep head's last product and its bias, and the wide head's numbers.
    """
    count = len(next(iter(matrices.values())))
    wide, deep = model.heads.wide, model.heads.deep
    total = np.zeros((count, model.schema.outputs))
    if deep is not None:
        units = np.abs(deep.tower(deep.tower_inputs(matrices), training=False).numpy().astype(np.float64))
        kernel, bias = (np.abs(variable.numpy().astype(np.float64)) for variable in deep.logits.weights)
        total += units @ kernel + bias
    if wide is not None and wide.numeric:
        numbers = np.abs(matrices["numeric"].numpy()[:, list(wide.numeric)].astype(np.float64))
        total += numbers @ np.abs(wide.kernel.numpy().astype(np.float64))
    return total


def differs(
    name: str, expected: np.ndarray, received: np.ndarray, scale: float, rounding: np.ndarray | None = None
) -> np.ndarray:
    """Returns which values of two results differ by more than rounding.

    Args:
        name: the answer, or the output of the transform.
        expected: the model's values.
        received: the export's, of the same shape.
        scale: the unit of the logits.
        rounding: what rounding may add to a logit, from `rounded_off`.
    """
    if name == "classes" or expected.dtype.kind == "i":
        return np.asarray(_strings(expected) != _strings(received))
    # The rounding error of a logit from sums whose terms are far larger than the sums.
    off: Any = 0.0 if rounding is None else np.reshape(rounding, (*expected.shape[:1], -1))
    if rounding is not None and expected.ndim == 1:
        off = off[:, 0]
    if name == "probability":
        # With several classes, each probability moves with the logits of all.
        moved = off if expected.ndim == 1 else off.max(axis=1, keepdims=True)
        tolerance = PROBABILITY_TOLERANCE + expected * (1.0 - expected) * moved
    else:
        # The logits of several classes come from the same units, and share the rounding errors of those.
        size = np.abs(expected) if expected.ndim == 1 else np.abs(expected).max(axis=1, keepdims=True)
        # A logit whose probability is 0 or 1 in float32 says no more than that; its own layers have rounded it too.
        part = np.where((name == "logit") & (size > _SATURATED), _RELATIVE_SATURATED, _RELATIVE)
        tolerance = part * (scale + size) + scale * off
    # Negated, so that NaN differs from everything, and one infinite number from another.
    with np.errstate(invalid="ignore"):
        return np.asarray(~((np.abs(expected - received) <= tolerance) & np.isfinite(expected) & np.isfinite(received)))


def logarithm(values: np.ndarray) -> np.ndarray:
    """Returns the logarithm, in which answers that are counts are compared."""
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.asarray(np.log(values))


def _strings(values: np.ndarray) -> np.ndarray:
    if values.dtype != object:
        return values
    return np.array([[v.decode() if isinstance(v, bytes) else v for v in row] for row in values], object)
