"""The one place that imports ONNX Runtime and makes its sessions, so that it asks nobody and leaves nothing behind.

From 1.32 on it looks a host of its vendor up when a process makes its first session, and leaves a file `.ses` in the
temporary folder. A variable of the environment stops both, if it is set before the import; whoever sets it to 0 has
decided otherwise.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import onnx
from numpy.typing import NDArray

from tfwd.schema import FINGERPRINT_SUFFIX

os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")

import onnxruntime

__all__ = ["Message", "new_session", "onnxruntime", "with_fingerprints"]

# Initializers of so many bytes are handed over as they are, and don't pass through the message again.
_LARGE = 2**20
_NUMBERS = (
    onnx.TensorProto.FLOAT,
    onnx.TensorProto.FLOAT16,
    onnx.TensorProto.INT32,
    onnx.TensorProto.INT64,
    onnx.TensorProto.UINT64,
)


class Message(NamedTuple):
    """A model in memory, of which the large initializers are handed over as they are.

    Attributes:
        content: the serialized model without them.
        initializers: by name.
    """

    content: bytes
    initializers: dict[str, onnxruntime.OrtValue]

    @classmethod
    def of(cls, model: onnx.ModelProto) -> Message:
        """A model that loses its large initializers; let go of it before a session is made, to free their memory."""
        taken = {}
        for entry in model.graph.initializer:
            if entry.data_type in _NUMBERS and len(entry.raw_data) >= _LARGE:
                dtype = onnx.helper.tensor_dtype_to_np_dtype(entry.data_type)
                array = np.frombuffer(entry.raw_data, dtype).reshape(tuple(entry.dims))
                taken[entry.name] = onnxruntime.OrtValue.ortvalue_from_numpy(array)
                entry.ClearField("raw_data")
                entry.data_location = onnx.TensorProto.EXTERNAL
                entry.external_data.add(key="location", value="in memory")
        return cls(model.SerializeToString(), taken)


def new_session(model: Path | Message, folder: Path, threads: int | None = None) -> onnxruntime.InferenceSession:
    """A model in ONNX Runtime on the CPU, which says nothing but errors.

    Args:
        model: a file, or what has been read of one.
        folder: where external data lie. ONNX Runtime 1.22 looks for those of a file beside it all the same.
        threads: of a call; as many as there are cores when None.
    """
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    if threads is not None:
        options.intra_op_num_threads = options.inter_op_num_threads = threads
    # Loaded from memory, the session has to be told where the external data lie.
    options.add_session_config_entry("session.model_external_initializers_file_folder_path", str(folder.resolve()))
    if isinstance(model, Message) and model.initializers:
        options.add_external_initializers(list(model.initializers), list(model.initializers.values()))
    given = model.content if isinstance(model, Message) else str(model)
    return onnxruntime.InferenceSession(given, options, providers=["CPUExecutionProvider"])


def with_fingerprints(names: Iterable[str], values: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
    """What a graph takes, by name: the values of an input, or of `<input>_fingerprint` their fingerprints.

    Args:
        names: the inputs of the graph.
        values: by raw input; fingerprints that are given are taken as they are.
    """
    found = {}
    for name in names:
        if name not in values:
            # Here, as it needs TensorFlow.
            from tfwd.layers.direct_lookup import fingerprints

            found[name] = fingerprints(values[name.removesuffix(FINGERPRINT_SUFFIX)])
        else:
            found[name] = values[name]
    return found
