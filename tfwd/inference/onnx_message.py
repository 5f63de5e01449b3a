"""A model in memory on its way into ONNX Runtime, without a second copy of its tables."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import onnx

from tfwd.inference.onnx_session import onnxruntime

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
