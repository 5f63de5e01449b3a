"""Labels: the text form in which their values are compared, and their classes as numbers."""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np

from tfwd.config.labels import MISSING_LABELS, text_of
from tfwd.errors import ConfigError
from tfwd.utils.naming import nearest

# The labels that need no `positive`, as (negative, positive).
PLAIN = (("0", "1"), ("false", "true"))

# Their squares are in the range of float32, in which the loss, its gradients and their squares are summed up.
LARGEST_LABEL, LARGEST_WEIGHT, LARGEST_CLASS_WEIGHT = 1e18, 1e12, 1e6


def is_missing(text: str | None) -> bool:
    """Whether a label's text stands for no label."""
    return text is None or text in MISSING_LABELS


def class_order(values: Sequence[str]) -> tuple[str, ...]:
    """Classes in order: by number if all of them are integers, else by text."""
    if all(re.fullmatch(r"[+-]?\d+", value) for value in values):
        return tuple(sorted(values, key=lambda value: (int(value), value)))
    return tuple(sorted(values))


class LabelCoder:
    """Label strings -> class indices.

    Args:
        classes: the classes in order. A 0/1 label and a boolean one are read alike.
    """

    def __init__(self, classes: tuple[str, ...]) -> None:
        texts = tuple(map(text_of, classes))
        self._codes = {text: index for index, text in enumerate(texts)}
        if texts in PLAIN:
            self._codes = {text: index for pair in PLAIN for index, text in enumerate(pair)}

    def code(self, text: str | None) -> int:
        """The class's index; -1 for a string that is not a class, -2 for a missing label."""
        if is_missing(text):
            return -2
        return self._codes.get(text_of(text), -1)

    def codes(self, texts: Sequence[str | None]) -> np.ndarray:
        """`code` of every string, int32."""
        return np.fromiter((self.code(text) for text in texts), np.int32, len(texts))


def weights_of(class_weights: dict[str, float], classes: tuple[str, ...]) -> np.ndarray:
    """The weight of each class, (C,) float32; 1 for those not named.

    Raises:
        ConfigError: a key is not a class, or a weight is too large.
    """
    weights = np.ones(len(classes), np.float32)
    coder = LabelCoder(classes)
    for value, weight in class_weights.items():
        index = coder.code(value)
        if index < 0:
            raise ConfigError(f"train.class_weights names {value!r}, which is not a class.{nearest(value, classes)}")
        if not weight <= LARGEST_CLASS_WEIGHT:
            raise ConfigError(
                f"train.class_weights: a weight is at most {LARGEST_CLASS_WEIGHT:g}. Received {weight:g} for "
                f"{value!r}. Only their ratios matter: divide all of them by the same number."
            )
        weights[index] = weight
    return weights
