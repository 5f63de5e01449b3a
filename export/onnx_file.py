"""An exported ONNX file: its names, its tables inline or beside it, and ONNX Runtime over it."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
from onnx.external_data_helper import ExternalDataInfo, uses_external_data

from export.rows import Rows
from tfwd.layers.direct_lookup import fingerprints
from tfwd.schema import FINGERPRINT_SUFFIX, Schema

OPSET = 18
DOMAINS = ("", "ai.onnx", "ai.onnx.ml")


def table_name(table: str) -> str:
    """The initializer that holds a table; no input can have this name, as inputs have no slash."""
    return f"tables/{table}"


def transform_name(output: str) -> str:
    """The value inside the graph that is an output of the transform."""
    return f"transform/{output}"


class OnnxFile:
    """A file that `export.onnx.save` wrote.

    Args:
        path: the file; external data lie beside it.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.proto = onnx.load(str(path), load_external_data=False)

    @property
    def schema(self) -> Schema:
        """The schema in the file's metadata."""
        return Schema.from_dict(json.loads({p.key: p.value for p in self.proto.metadata_props}["tfwd_schema"]))

    def table(self, name: str) -> np.ndarray:
        """The values of a table, float32 `(rows, dim)`."""
        tensor = next(entry for entry in self.proto.graph.initializer if entry.name == table_name(name))
        if not uses_external_data(tensor):
            return np.frombuffer(tensor.raw_data, "<f4").reshape(tensor.dims)
        place = ExternalDataInfo(tensor)
        file = self.path.parent / place.location
        return np.memmap(file, "<f4", mode="r", offset=place.offset or 0, shape=tuple(tensor.dims))

    def session(self, transformed: tuple[str, ...] = ()) -> OnnxSession:
        """The file in ONNX Runtime.

        Args:
            transformed: outputs of the transform to give as well.
        """
        more = onnx.ModelProto()
        for name in transformed:
            kind = onnx.TensorProto.FLOAT if name == "numeric" else onnx.TensorProto.INT32
            more.graph.output.append(onnx.helper.make_tensor_value_info(transform_name(name), kind, None))
        # Protobuf reads two messages in a row as their sum, so that the file need not be taken apart and put together.
        serialized = self.path.read_bytes() + more.SerializeToString()
        options = onnxruntime.SessionOptions()
        options.log_severity_level = 3
        # Loaded from memory, the session has to be told where the external data lie.
        options.add_session_config_entry(
            "session.model_external_initializers_file_folder_path", str(self.path.parent.resolve())
        )
        return OnnxSession(onnxruntime.InferenceSession(serialized, options, providers=["CPUExecutionProvider"]))


class OnnxSession:
    """ONNX Runtime on raw rows.

    Args:
        session: of an exported file.
    """

    def __init__(self, session: onnxruntime.InferenceSession) -> None:
        self.inputs = [entry.name for entry in session.get_inputs()]
        self._session = session
        self._outputs = [entry.name for entry in session.get_outputs()]

    def run(self, rows: Rows) -> dict[str, np.ndarray]:
        """The outputs for rows as `as_rows` makes them, those of the transform under its own names."""
        feeds = {
            name: rows[name] if name in rows else fingerprints(rows[name[: -len(FINGERPRINT_SUFFIX)]])
            for name in self.inputs
        }
        values = self._session.run(None, feeds)
        return {name.removeprefix("transform/"): value for name, value in zip(self._outputs, values, strict=True)}
