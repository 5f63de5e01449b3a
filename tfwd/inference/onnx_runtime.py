"""The one place that imports ONNX Runtime and makes its sessions, so that it makes no requests and leaves no files.

From 1.32 on, it looks up a host of its vendor when a process makes its first session, and leaves a file `.ses` in the
temporary folder. An environment variable stops both if it is set before the import; users who set it to 0 have decided
otherwise.
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

# Initializers of at least this many bytes are handed over directly, and don't pass through the message again.
_LARGE = 2**20
_NUMBERS = (
    onnx.TensorProto.FLOAT,
    onnx.TensorProto.FLOAT16,
    onnx.TensorProto.INT32,
    onnx.TensorProto.INT64,
    onnx.TensorProto.UINT64,
)


class Message(NamedTuple):
    """A model in memory, whose large initializers are handed over directly.

    Attributes:
        content: the serialized model without them.
        initializers: the large initializers, by name.
    """

    content: bytes
    initializers: dict[str, onnxruntime.OrtValue]

    @classmethod
    def of(cls, model: onnx.ModelProto) -> Message:
        """Takes a model, which loses its large initializers; release it before a session is made, to free memory."""
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
    """Opens a model in ONNX Runtime on the CPU, which logs nothing but errors.

    Args:
        model: a file, or a message made from one.
        folder: where external data is. ONNX Runtime 1.22 looks for a file's external data next to it all the same.
        threads: the number of threads per call; as many as there are cores if None.
    """
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    if threads is not None:
        options.intra_op_num_threads = options.inter_op_num_threads = threads
    # Loaded from memory, the session has to be told where the external data is.
    options.add_session_config_entry("session.model_external_initializers_file_folder_path", str(folder.resolve()))
    if isinstance(model, Message) and model.initializers:
        options.add_external_initializers(list(model.initializers), list(model.initializers.values()))
    given = model.content if isinstance(model, Message) else str(model)
    return onnxruntime.InferenceSession(given, options, providers=["CPUExecutionProvider"])


def with_fingerprints(names: Iterable[str], values: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
    """Returns what a graph takes, by name: the values of an input, or their fingerprints for `<input>_fingerprint`.

    Args:
        names: the inputs of the graph.
        values: the values by raw input; given fingerprints are used unchanged.
    """
    found = {}
    for name in names:
        if name not in values:
            # Imported here, as it needs TensorFlow.
            from tfwd.layers.direct_lookup import fingerprints

            found[name] = fingerprints(values[name.removesuffix(FINGERPRINT_SUFFIX)])
        else:
            found[name] = values[name]
    return found
