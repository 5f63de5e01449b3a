"""Reads and extends ONNX files without the package onnx: what a server needs of protobuf's encoding.

A message is a sequence of fields, each a tag and a value; two messages in a row are one, merged (protobuf.dev,
"Encoding"). So metadata is found by stepping over the graph, and outputs are added by appending a message.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from tfwd.errors import RunError

# The fields of onnx.proto (onnx 1.20) that are read or written here.
_GRAPH, _METADATA = 7, 14
_OUTPUT = 12
_NAME, _TYPE, _TENSOR_TYPE, _ELEMENT_TYPE = 1, 2, 1, 1
INT32, FLOAT = 6, 1
LENGTH_DELIMITED = 2


def properties(content: bytes | memoryview, where: str) -> list[tuple[str, str]]:
    """Returns the metadata of a serialized model, in order.

    Args:
        content: the file.
        where: the file, for messages.

    Raises:
        RunError: it is not a protobuf message, or its metadata is not text.
    """
    found = []
    try:
        for field, value in _fields(memoryview(content)):
            if field == _METADATA:
                entry = {key: bytes(text).decode() for key, text in _fields(value)}
                found.append((entry.get(1, ""), entry.get(2, "")))
    except (ValueError, IndexError, TypeError):
        raise RunError(f"{where} cannot be read as an ONNX model: it is not a protobuf message.") from None
    return found


def outputs(added: Mapping[str, int]) -> bytes:
    """Returns a message that, appended to a file, makes values inside its graph outputs.

    Args:
        added: their element types, `INT32` or `FLOAT`, by name.
    """
    infos = []
    for name, kind in added.items():
        element = varint(_ELEMENT_TYPE << 3) + varint(kind)
        info = _delimited(_NAME, name.encode()) + _delimited(_TYPE, _delimited(_TENSOR_TYPE, element))
        infos.append(_delimited(_OUTPUT, info))
    return _delimited(_GRAPH, b"".join(infos))


def _fields(message: memoryview) -> Iterator[tuple[int, memoryview]]:
    """Yields the numbers and contents of the length-delimited fields of a message."""
    at = 0
    while at < len(message):
        tag, at = _read_varint(message, at)
        kind = tag & 7
        if kind == 0:
            _, at = _read_varint(message, at)
        elif kind in (1, 5):
            at += 8 if kind == 1 else 4
        elif kind == LENGTH_DELIMITED:
            size, at = _read_varint(message, at)
            if at + size > len(message):
                raise ValueError("a field ends beyond its message")
            yield tag >> 3, message[at : at + size]
            at += size
        else:
            raise ValueError(f"wire type {kind}")


def _read_varint(message: memoryview, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = message[at]
        value |= (byte & 0x7F) << shift
        at += 1
        if byte < 0x80:
            return value, at
        shift += 7
        if shift > 63:
            raise ValueError("a number of more than 64 bits")


def opening(field: int, size: int) -> bytes:
    """Returns what precedes the content of a length-delimited field: its number, and its size in bytes."""
    return varint(field << 3 | LENGTH_DELIMITED) + varint(size)


def varint(number: int) -> bytes:
    """Encodes seven bits per byte, the lowest first; the high bit says that more follow."""
    found = bytearray()
    while number > 0x7F:
        found.append(number & 0x7F | 0x80)
        number >>= 7
    found.append(number)
    return bytes(found)


def _delimited(field: int, content: bytes) -> bytes:
    return opening(field, len(content)) + content
