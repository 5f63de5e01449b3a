"""Activations in ONNX: every one of Keras' that a tower can have, and what is said where ONNX lacks an operation."""

from __future__ import annotations

from pathlib import Path

import keras
import pytest
import tensorflow as tf
from export_models import everything

from export import onnx, parity
from tfwd.errors import ExportError

ACTIVATIONS = (
    *("celu", "elu", "exponential", "gelu", "hard_shrink", "hard_sigmoid", "hard_silu", "hard_tanh", "leaky_relu"),
    *("linear", "log_sigmoid", "log_softmax", "mish", "relu", "relu6", "selu", "sigmoid", "silu", "soft_shrink"),
    *("softmax", "softplus", "softsign", "sparse_plus", "sparse_sigmoid", "sparsemax", "squareplus", "tanh"),
    "tanh_shrink",
)


@keras.saving.register_keras_serializable("tests")
class AllActivations(keras.layers.Layer):
    """What every activation makes of the values, side by side: `(B, N)` -> `(B, N * activations)`."""

    def call(self, inputs: tf.Tensor) -> tf.Tensor:
        return tf.concat([keras.activations.get(name)(inputs) for name in ACTIVATIONS], axis=1)


@keras.saving.register_keras_serializable("tests")
class LogGamma(keras.layers.Layer):
    """An operation that ONNX does not have."""

    def call(self, inputs: tf.Tensor) -> tf.Tensor:
        return tf.math.lgamma(1.0 + tf.abs(inputs))


def test_every_activation_is_converted_and_agrees(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parity, "HOSTILE_ROWS", 1000)
    tower = keras.Sequential([keras.layers.Dense(8), keras.layers.LayerNormalization(), AllActivations()])
    # `save` compares the file with the model.
    assert onnx.save(everything(heads=("deep",), tower=tower), tmp_path / "model.onnx").is_file()


def test_an_operation_that_onnx_lacks_is_named_with_its_layer(tmp_path: Path) -> None:
    tower = keras.Sequential([keras.layers.Dense(8), LogGamma(name="gamma")])
    with pytest.raises(ExportError, match=r"no operation 'Lgamma', which .*gamma.* needs\. Choose another"):
        onnx.save(everything(heads=("deep",), tower=tower), tmp_path / "model.onnx")
    assert not list(tmp_path.iterdir())
