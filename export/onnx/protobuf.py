"""Streams tables into an ONNX file, so that no more than one block of a table is in memory, and reads around them.

A protobuf message is a sequence of fields, each with its number, and with its length if it is itself a message
(protobuf.dev, "Encoding"). So what precedes a table's numbers is known from their count, and the numbers go straight
from the variable to the file.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path
from typing import BinaryIO, NamedTuple

import onnx

from tfwd.inference.onnx_wire import LENGTH_DELIMITED, opening, varint

_GRAPH = onnx.ModelProto.DESCRIPTOR.fields_by_name["graph"].number
_INITIALIZER = onnx.GraphProto.DESCRIPTOR.fields_by_name["initializer"].number
_RAW_DATA = onnx.TensorProto.DESCRIPTOR.fields_by_name["raw_data"].number
_VARINT = 0


class Streamed(NamedTuple):
    """A tensor whose numbers are written block by block.

    Attributes:
        head: everything but the numbers.
        size: the size of the numbers, in bytes.
        parts: the numbers, in order, little-endian.
    """

    head: onnx.TensorProto
    size: int
    parts: Iterable[bytes]


def write(file: Path, proto: onnx.ModelProto, tensors: list[Streamed]) -> None:
    """Writes a model with further initializers.

    Args:
        file: the file to write.
        proto: the model without them; its graph is emptied.
        tensors: the initializers to add.
    """
    graph = proto.graph.SerializeToString()
    proto.ClearField("graph")
    heads = [_head(tensor) for tensor in tensors]
    size = len(graph) + sum(len(head) + tensor.size for head, tensor in zip(heads, tensors, strict=True))
    with file.open("wb") as out:
        out.write(proto.SerializeToString())
        out.write(opening(_GRAPH, size))
        out.write(graph)
        for head, tensor in zip(heads, tensors, strict=True):
            out.write(head)
            out.writelines(tensor.parts)


def _head(tensor: Streamed) -> bytes:
    """Returns what precedes the numbers: the field of the initializer, and within it the field of its raw data."""
    inner = tensor.head.SerializeToString() + opening(_RAW_DATA, tensor.size)
    return opening(_INITIALIZER, len(inner) + tensor.size) + inner


def head(file: Path) -> onnx.ModelProto:
    """Reads a model without its graph, of which nothing is read: its versions and metadata.

    Raises:
        ValueError, google.protobuf.message.DecodeError: the file is not an ONNX model.
        OSError: the file cannot be read.
    """
    kept = bytearray()
    size = file.stat().st_size
    with file.open("rb") as content:
        while content.tell() < size:
            tag = _read_varint(content)
            field, kind = tag >> 3, tag & 7
            if kind == _VARINT:
                kept += varint(tag) + varint(_read_varint(content))
                continue
            length = _read_varint(content)
            if kind != LENGTH_DELIMITED or content.tell() + length > size:
                raise ValueError(f"{file} is not an ONNX model.")
            if field == _GRAPH:
                content.seek(length, os.SEEK_CUR)
            else:
                kept += opening(field, length) + content.read(length)
    return onnx.ModelProto.FromString(bytes(kept))


def _read_varint(content: BinaryIO) -> int:
    number = 0
    for place in range(10):
        byte = content.read(1)
        if not byte:
            break
        number |= (byte[0] & 0x7F) << 7 * place
        if byte[0] <= 0x7F:
            return number
    raise ValueError("The file is not an ONNX model.")
