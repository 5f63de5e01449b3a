"""The file that tables are streamed into, against the message that protobuf itself would have made."""

from __future__ import annotations

import contextlib
from pathlib import Path

import numpy as np
import onnx
import pytest
from google.protobuf.message import DecodeError
from hypothesis import given, settings
from hypothesis import strategies as some

from export.onnx import protobuf as wire


def small() -> onnx.ModelProto:
    node = onnx.helper.make_node("Identity", ["x"], ["y"])
    value = [onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, ["n"]) for name in "xy"]
    own = onnx.numpy_helper.from_array(np.ones(3, np.float32), "own")
    proto = onnx.helper.make_model(onnx.helper.make_graph([node], "graph", value[:1], value[1:], [own]))
    onnx.helper.set_model_props(proto, {"key": "value"})
    return proto


# Lengths on both sides of where a varint grows by a byte.
@pytest.mark.parametrize("sizes", [[], [0], [1], [31, 32], [4095, 0, 4096], [2**19, 2**19 + 1]])
def test_it_is_the_message_with_the_tensors(sizes: list[int], tmp_path: Path) -> None:
    expected, streamed = small(), []
    for number, size in enumerate(sizes):
        values = np.arange(size, dtype="<f4")
        expected.graph.initializer.append(onnx.numpy_helper.from_array(values, f"table/{number}"))
        head = onnx.TensorProto(name=f"table/{number}", data_type=onnx.TensorProto.FLOAT, dims=[size])
        parts = (part.tobytes() for part in np.array_split(values, 3))
        streamed.append(wire.Streamed(head, values.nbytes, parts))
    file = tmp_path / "model.onnx"
    wire.write(file, small(), streamed)
    assert onnx.load(str(file)) == expected
    assert file.stat().st_size == expected.ByteSize()
    onnx.checker.check_model(str(file), full_check=True)


def test_the_head_is_the_message_without_its_graph(tmp_path: Path) -> None:
    expected, file = small(), tmp_path / "model.onnx"
    wire.write(file, small(), [wire.Streamed(onnx.TensorProto(name="t", dims=[4]), 4, iter([b"abcd"]))])
    expected.ClearField("graph")
    assert wire.head(file) == expected
    whole = file.read_bytes()
    for size in range(len(whole)):
        file.write_bytes(whole[:size])
        with contextlib.suppress(ValueError, DecodeError):
            assert wire.head(file).metadata_props in ([], expected.metadata_props)


@settings(max_examples=200, deadline=None)
@given(some.binary(max_size=60))
def test_the_head_of_any_bytes_is_a_message_or_refused(content: bytes) -> None:
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "bytes"
        file.write_bytes(content)
        with contextlib.suppress(ValueError, DecodeError):
            wire.head(file)


@settings(max_examples=50, deadline=None)
@given(some.lists(some.binary(max_size=300), max_size=4), some.text(max_size=200))
def test_any_bytes_and_names(contents: list[bytes], name: str) -> None:
    import tempfile

    expected = small()
    heads = [onnx.TensorProto(name=f"{name}{number}", dims=[len(data)]) for number, data in enumerate(contents)]
    for head, data in zip(heads, contents, strict=True):
        tensor = expected.graph.initializer.add()
        tensor.CopyFrom(head)
        tensor.raw_data = data
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "model.onnx"
        parts = zip(heads, contents, strict=True)
        wire.write(file, small(), [wire.Streamed(head, len(data), [data]) for head, data in parts])
        assert onnx.ModelProto.FromString(file.read_bytes()) == expected
