"""A SavedModel as a served model, for what ONNX cannot compute: hashed features, and lists."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from tfwd.errors import RunError, first_line
from tfwd.inference.metadata import Metadata, of_saved_model
from tfwd.schema import DTYPES, MISSING
from tfwd.server import list_requests
from tfwd.server.drift import Watch
from tfwd.server.signature import TENSORFLOW_TYPES, Signature, Spec, Tensors, input_specs

# The signatures that take rows as tensors; the others take serialized examples, which the server reads itself.
_PREDICTING = ("serving_default", "transform", "recommend")
_MISSING = {DTYPES[kind]: value for kind, value in MISSING.items()}


class TensorflowModel:
    """A model that TensorFlow answers.

    Args:
        folder: the folder of a version.

    Attributes:
        kind: `tensorflow`.
        schema: the raw inputs and the answer.
        signatures: what can be asked, by name.
        watch: counts missing values; what training has not seen is known to ONNX models only.

    Raises:
        RunError: the SavedModel cannot be read, or was not made by tfwd.
    """

    kind = "tensorflow"

    def __init__(self, folder: Path) -> None:
        described = of_saved_model(folder)
        self.schema = described.schema
        try:
            import tensorflow as tf

            self._loaded = tf.saved_model.load(str(folder))
        except ImportError:
            raise RunError(f"{folder} is a SavedModel, which needs TensorFlow: pip install tfwd") from None
        except Exception as error:  # TensorFlow's own classes, and those of protobuf
            raise RunError(f"{folder} cannot be read as a SavedModel: {first_line(error)}") from None
        defaults = _defaults(folder)
        self.signatures = {
            name: _signature(name, self._loaded.signatures[name], described, defaults.get(name, {}))
            for name in _PREDICTING
            if name in self._loaded.signatures
        }
        if "serving_default" not in self.signatures:
            raise RunError(f"{folder} is damaged: it has no signature serving_default.")
        default = self.signatures["serving_default"]
        self.watch = Watch(self.schema, default.inputs, {}, lambda _: {})
        self.signatures["serving_default"] = Signature(
            default.name, default.inputs, default.outputs, lambda inputs: self._answer(default, inputs)
        )

    def _answer(self, signature: Signature, inputs: Mapping[str, NDArray[Any]]) -> Tensors:
        self.watch.add(inputs, {})
        return signature.run(inputs)


def _defaults(folder: Path) -> dict[str, dict[str, NDArray[Any]]]:
    """Returns the values of inputs that a request may leave out, by signature; TensorFlow does not load them."""
    import tensorflow as tf
    from tensorflow.core.protobuf import saved_model_pb2

    graph = saved_model_pb2.SavedModel.FromString((folder / "saved_model.pb").read_bytes()).meta_graphs[0]
    return {
        name: {key: tf.make_ndarray(value) for key, value in definition.defaults.items()}
        for name, definition in graph.signature_def.items()
    }


def _signature(name: str, function: Any, described: Metadata, defaults: Mapping[str, NDArray[Any]]) -> Signature:
    import tensorflow as tf

    specs = sorted(function.structured_input_signature[1].items())
    raw = {spec.name: spec for spec in input_specs(described.schema, [key for key, _ in specs])}
    inputs = tuple(_input(_spec(key, found), raw.get(key)) for key, found in specs)
    outputs = tuple(_spec(key, found) for key, found in function.structured_outputs.items())

    def run(given: Mapping[str, NDArray[Any]], stopped: Callable[[], bool] = list_requests.never) -> Tensors:
        # One call answers all users.
        if stopped():
            raise TimeoutError("Nobody waits for the lists any more.")
        answers = function(**{key: tf.constant(values) for key, values in given.items()})
        return {key: answers[key].numpy() for key in answers}

    if name == "recommend":
        signature = Signature(name, inputs, outputs, run, merges=False, defaults=defaults)
        return list_requests.checked(signature, described.items)
    return Signature(name, inputs, outputs, run, defaults=defaults)


def _input(spec: Spec, raw: Spec | None) -> Spec:
    """Returns an input with what is known of it as a raw input, or as a list of items."""
    if raw is not None:
        return spec._replace(missing=raw.missing, weighs=raw.weighs)
    return spec._replace(missing=_MISSING[spec.dtype]) if spec.name in list_requests.CHOICES else spec


def _spec(name: str, found: Any) -> Spec:
    dtype = found.dtype.name
    if dtype not in TENSORFLOW_TYPES:
        raise RunError(f"{name} is {dtype}. A signature has {', '.join(sorted(set(DTYPES.values()) | {'int32'}))}.")
    sizes = tuple(size if isinstance(size, int) else None for size in (found.shape.as_list() or []))
    return Spec(name, dtype, sizes)
