"""The one place that imports ONNX Runtime and makes its sessions, so that it makes no requests and leaves no files.

From 1.32 on, it looks up a host of its vendor when a process makes its first session, and leaves a file `.ses` in the
temporary folder. An environment variable stops both if it is set before the import; users who set it to 0 have decided
otherwise.

A server imports this module: NumPy, ONNX Runtime and the schema are all that it loads.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from tfwd.schema import FINGERPRINT_SUFFIX

os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")

import onnxruntime

__all__ = ["new_session", "onnxruntime", "with_fingerprints"]


def new_session(
    model: Path | bytes,
    folder: Path,
    threads: int | None = None,
    initializers: Mapping[str, onnxruntime.OrtValue] | None = None,
) -> onnxruntime.InferenceSession:
    """Opens a model in ONNX Runtime on the CPU, which logs nothing but errors.

    Args:
        model: a file, or the content of one.
        folder: where external data is. ONNX Runtime 1.22 looks for a file's external data next to it all the same.
        threads: the number of threads per call; as many as there are cores if None.
        initializers: the initializers that the content lacks, by name; see `tfwd.inference.onnx_message.Message`.
    """
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    if threads is not None:
        options.intra_op_num_threads = options.inter_op_num_threads = threads
    # Loaded from memory, the session has to be told where the external data is.
    options.add_session_config_entry("session.model_external_initializers_file_folder_path", str(folder.resolve()))
    if initializers:
        options.add_external_initializers(list(initializers), list(initializers.values()))
    given = model if isinstance(model, bytes) else str(model)
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
