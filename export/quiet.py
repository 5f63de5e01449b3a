"""Silences converters that report harmless events like failures."""

from __future__ import annotations

import contextlib
import logging
import warnings
from collections.abc import Iterator


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Within it, what is imported to convert logs nothing below CRITICAL and nothing warns; errors are still raised."""
    loggers = [logging.getLogger(name) for name in ("tensorflow", "tf2onnx", "absl", "mlflow")]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.CRITICAL)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)
