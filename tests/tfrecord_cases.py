"""Records of tf.Example as TensorFlow itself makes them, and where they stand in a file."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import tensorflow as tf

_FIELDS: dict[type, Any] = {
    bytes: lambda values: tf.train.Feature(bytes_list=tf.train.BytesList(value=values)),
    int: lambda values: tf.train.Feature(int64_list=tf.train.Int64List(value=values)),
    float: lambda values: tf.train.Feature(float_list=tf.train.FloatList(value=values)),
}


def example(**features: Any) -> bytes:
    """A record with features of one value or of a list of them; an empty list is one of texts."""
    found = {}
    for name, value in features.items():
        values = value if isinstance(value, list) else [value]
        encoded = [value.encode() if isinstance(value, str) else value for value in values]
        found[name] = _FIELDS[type(encoded[0]) if encoded else bytes](encoded)
    return tf.train.Example(features=tf.train.Features(feature=found)).SerializeToString()


def write(path: Path, records: Iterable[bytes], compression: str = "") -> Path:
    """A file of records, by TensorFlow."""
    with tf.io.TFRecordWriter(str(path), tf.io.TFRecordOptions(compression_type=compression)) as writer:
        for record in records:
            writer.write(record)
    return path


def offset(records: list[bytes], index: int) -> int:
    """Where a record begins: each before it has its length, two checksums of four bytes, and its data."""
    return sum(8 + 4 + len(record) + 4 for record in records[:index])
