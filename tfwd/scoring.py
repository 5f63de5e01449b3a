"""Scorers: a run, a `.keras` file, a SavedModel and an ONNX file, all answering raw batches alike."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tfwd.errors import RunError
from tfwd.run import Run, load_model
from tfwd.schema import FINGERPRINT_SUFFIX, Schema

Answer = dict[str, NDArray[np.float32]]
Raw = Mapping[str, NDArray[Any]]


@dataclass(frozen=True)
class Scorer:
    """Something that answers raw batches.

    Attributes:
        schema: the raw inputs and the answer.
        score: `{input: (B,)}` -> `probability` `(B,)` or `(B, C)` with `logit` of that shape, or `prediction` `(B,)`.
        kind: `keras`, `savedmodel` or `onnx`.
    """

    schema: Schema
    score: Callable[[Raw], Answer]
    kind: str


def load_scorer(path: str | Path) -> Scorer:
    """Loads what a path holds: a run directory, a `.keras` file, a SavedModel directory or an `.onnx` file.

    Raises:
        RunError: the path is none of these, or was not made by tfwd.
    """
    path = existing(path)
    if path.suffix == ".onnx":
        return _onnx(path)
    if path.suffix == ".keras":
        return keras_scorer(load_model(path))
    saved = _saved_model_folder(path)
    if saved is not None:
        return _saved_model(saved)
    if (path / "run.json").is_file():
        return keras_scorer(Run.open(path).model)
    raise RunError(
        f"{path} is neither a run directory (run.json), a .keras file, a SavedModel (saved_model.pb) nor an .onnx file."
    )


def existing(path: str | Path) -> Path:
    """The path, if something is there to be loaded.

    Raises:
        RunError: nothing is there.
    """
    path = Path(path)
    if not path.exists():
        raise RunError(f"{path} is not there. Give a run directory, a .keras file, a SavedModel or an .onnx file.")
    return path


def keras_scorer(model: Any) -> Scorer:
    """The scorer of a `WideDeep` in memory."""
    import tensorflow as tf

    @tf.function(reduce_retracing=True)
    def answers(inputs: dict[str, tf.Tensor]) -> dict[str, tf.Tensor]:
        found: dict[str, tf.Tensor] = model.answers(model.logits(inputs, training=False))
        return found

    def score(inputs: Raw) -> Answer:
        return {name: value.numpy() for name, value in answers(dict(inputs)).items()}

    return Scorer(model.schema, score, "keras")


def _saved_model_folder(path: Path) -> Path | None:
    """The folder with saved_model.pb: the path itself, or its highest version."""
    if (path / "saved_model.pb").is_file():
        return path
    versions = [child for child in path.iterdir() if child.name.isdecimal()] if path.is_dir() else []
    for child in sorted(versions, key=lambda child: -int(child.name)):
        if (child / "saved_model.pb").is_file():
            return child
    return None


def _saved_model(folder: Path) -> Scorer:
    import tensorflow as tf

    described = folder / "assets.extra" / "tfwd.json"
    if not described.is_file():
        raise RunError(f"{folder} was not exported by tfwd: assets.extra/tfwd.json is not there.")
    schema = Schema.from_dict(json.loads(described.read_text(encoding="utf-8"))["schema"])
    try:
        loaded = tf.saved_model.load(str(folder))
    except Exception as error:  # TensorFlow raises what it likes on a damaged folder
        why = (str(error).splitlines() or [type(error).__name__])[0]
        raise RunError(f"{folder} cannot be read as a SavedModel, it may be damaged: {why}") from None
    signature = loaded.signatures["serving_default"]

    def score(inputs: Raw) -> Answer:
        answer = signature(**{name: tf.constant(value) for name, value in inputs.items()})
        return {name: answer[name].numpy() for name in ("prediction", "probability", "logit") if name in answer}

    # The closure holds `loaded`: its tables go when it goes.
    score.keep = loaded  # type: ignore[attr-defined]
    return Scorer(schema, score, "savedmodel")


def _onnx(path: Path) -> Scorer:
    import onnxruntime

    try:
        session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    except Exception as error:  # onnxruntime raises classes of its own, without a common base
        raise RunError(f"{path} cannot be read as an ONNX model: {str(error).splitlines()[0]}") from None
    metadata = session.get_modelmeta().custom_metadata_map
    if "tfwd_schema" not in metadata:
        raise RunError(f"{path} was not exported by tfwd: its metadata has no tfwd_schema.")
    schema = Schema.from_dict(json.loads(metadata["tfwd_schema"]))
    names = [output.name for output in session.get_outputs()]
    wanted = [name for name in ("prediction", "probability", "logit") if name in names]
    taken = [entry.name for entry in session.get_inputs()]
    hashed = [name for name in taken if name not in {entry.name for entry in schema.inputs}]

    def score(inputs: Raw) -> Answer:
        feeds = {name: _as_text(value) for name, value in inputs.items()}
        for name in hashed:
            from tfwd.layers.direct_lookup import fingerprints

            feeds[name] = fingerprints(feeds[name.removesuffix(FINGERPRINT_SUFFIX)])
        # An input that only its fingerprints are read of is none of the file's.
        return dict(zip(wanted, session.run(wanted, {name: feeds[name] for name in taken}), strict=True))

    return Scorer(schema, score, "onnx")


def _as_text(values: NDArray[Any]) -> NDArray[Any]:
    """Bytes as `str`, anything else as it is: onnxruntime would silently take bytes for out-of-vocabulary."""
    if values.dtype.kind not in "OS" or not len(values) or not isinstance(values[0], bytes):
        return values
    texts = np.empty(len(values), object)
    texts[:] = [value.decode("utf-8", "replace") for value in values]
    return texts
