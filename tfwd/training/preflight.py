"""Checks for errors that the user has to fix, before TensorFlow is imported, which takes seconds."""

from __future__ import annotations

from tfwd.config.config import Config
from tfwd.errors import ConfigError
from tfwd.training.size import least_memory, refuse_too_large
from tfwd.utils.naming import nearest

# Those of `keras.activations`.
ACTIVATIONS = (
    "celu", "elu", "exponential", "gelu", "glu", "hard_shrink", "hard_sigmoid", "hard_silu", "hard_swish", "hard_tanh",
    "leaky_relu", "linear", "log_sigmoid", "log_softmax", "mish", "relu", "relu6", "selu", "sigmoid", "silu",
    "soft_shrink", "softmax", "softplus", "softsign", "sparse_plus", "sparse_sigmoid", "sparsemax", "squareplus",
    "swish", "tanh", "tanh_shrink", "threshold",
)  # fmt: skip


def preflight(config: Config) -> None:
    """Checks what training would check only after importing TensorFlow: names, sizes, files and their columns.

    Raises:
        ConfigError, DataError: as `tfwd.fit` raises them.
    """
    activation = config.model.activation
    if "deep" in config.model.heads and activation not in ACTIVATIONS:
        raise ConfigError(
            f"model.activation: Keras has no activation {activation!r}.{nearest(activation, ACTIVATIONS)}"
        )
    refuse_too_large(least_memory(config))
    _check_data(config)


def _check_data(config: Config) -> None:
    from tfwd.data.source import Source
    from tfwd.training.splits import open_splits

    data = config.data
    if data.train is not None and not (data.prepared or config.ranking):
        open_splits(config)
        return
    for files in (data.train, data.validation, data.test, *(join.data for join in data.join)):
        if files is not None and not (isinstance(files, str) and files.startswith("tfds:")):
            Source.open(files, csv=data.csv, format=data.format)
