"""Operations in ONNX: remainders, every activation of Keras' that a tower can have, and what ONNX lacks."""

from __future__ import annotations

from pathlib import Path

import keras
import numpy as np
import onnxruntime
import pytest
import tensorflow as tf
import tf2onnx
from export_models import everything

from export.onnx import writer as onnx
from export.onnx.interface import OPSET
from export.onnx.operations import CONVERTED
from export.parity import compare as parity
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
    # `write` compares the files with the model.
    written = onnx.write(everything(heads=("deep",), tower=tower), tmp_path / "model.onnx", split=True)
    assert written.file.is_file()
    assert written.on_cpu == ()


def test_remainders_are_exact_and_one_operation_where_numbers_have_no_sign(tmp_path: Path) -> None:
    generator = np.random.default_rng(0)
    for kind, operations in (("uint64", {"Mod"}), ("int64", {"Div", "Mul", "Sub"})):
        limits = np.iinfo(kind)
        values = np.concatenate([generator.integers(0, limits.max, 1000, kind), np.array([0, 1, limits.max], kind)])
        for bins in (1, 97, 1_000_000, int(limits.max)):
            function = tf.function(lambda x, bins=bins, kind=kind: tf.math.floormod(x, tf.constant(bins, kind)))
            proto, _ = tf2onnx.convert.from_function(
                function,
                [tf.TensorSpec([None], kind)],
                opset=OPSET,
                custom_op_handlers={op: (made, []) for op, made in CONVERTED.items()},
            )
            assert {node.op_type for node in proto.graph.node} == operations
            session = onnxruntime.InferenceSession(proto.SerializeToString(), providers=["CPUExecutionProvider"])
            (found,) = session.run(None, {session.get_inputs()[0].name: values})
            assert found.tolist() == (values % np.array(bins, kind)).tolist()


def test_an_operation_that_onnx_lacks_is_named_with_its_layer(tmp_path: Path) -> None:
    tower = keras.Sequential([keras.layers.Dense(8), LogGamma(name="gamma")])
    with pytest.raises(ExportError, match=r"no operation 'Lgamma', which .*gamma.* needs\. Choose another"):
        onnx.save(everything(heads=("deep",), tower=tower), tmp_path / "model.onnx")
    assert not list(tmp_path.iterdir())
