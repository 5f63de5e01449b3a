"""tf.Example records as Arrow columns, with names and types learned from the records."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from tfwd.data.tfrecord.framing import RecordFile, Records
from tfwd.errors import DataError

TYPES = {"bytes_list": pa.string(), "float_list": pa.float32(), "int64_list": pa.int64()}
_WORDS = {"bytes_list": "bytes", "float_list": "floats", "int64_list": "int64s"}
# The number of records inspected one by one before a chunk is parsed as a whole.
_FIRST = 100


@dataclass
class Features:
    """What is known of the features so far; it only grows.

    Attributes:
        kinds: name -> the field of `tf.train.Feature` that holds the values.
        lists: names of the features with more than one value in some record.
        empty: names of the features that some record has without a value, which differs from not having them.
    """

    kinds: dict[str, str] = field(default_factory=dict)
    lists: set[str] = field(default_factory=set)
    empty: set[str] = field(default_factory=set)

    def schema(self) -> pa.Schema:
        """Returns the columns that the records so far need, lists or single values: by name, as a map has no order."""
        return pa.schema(
            [
                (name, pa.list_(TYPES[kind]) if name in self.lists else TYPES[kind])
                for name, kind in sorted(self.kinds.items())
            ]
        )

    def table(self, file: RecordFile, records: Records) -> pa.Table:
        """Records as columns of lists, or of single values while no record needs more; NULL where absent.

        Most records are parsed by TensorFlow alone. It ignores features that it was not asked for, and does not
        distinguish features without values from missing ones. So records whose number of features differs from the
        number found are inspected one by one.

        Raises:
            DataError: a record is not a tf.Example, has a feature of another kind than before, or has text that is not
            UTF-8.
        """
        counts = _counts(file, records)
        self._learn(file, records, range(min(_FIRST, len(counts))))
        parsed = self._parse(file, records)
        odd = np.flatnonzero(counts != sum((length > 0 for length, _ in parsed.values()), np.zeros(len(counts), int)))
        known = len(self.kinds)
        filled = {name: (lengths > 0).tolist() for name, (lengths, _) in parsed.items()}
        empty = self._learn(file, records, odd.tolist(), filled)
        if len(self.kinds) > known:
            parsed = self._parse(file, records)
        columns = {}
        for name, (lengths, values) in sorted(parsed.items()):
            if lengths.max(initial=0) > 1:
                self.lists.add(name)
            there = lengths > 0
            there[empty.get(name, [])] = True
            if name in empty:
                self.empty.add(name)
            as_lists = name in self.lists or name in self.empty
            columns[name] = _column(self._values(file, records, name, lengths, values), lengths, there, as_lists)
        # Rows without any column cannot be counted; no feature has this name.
        return pa.table(columns or {"": pa.nulls(len(counts))})

    def _learn(
        self, file: RecordFile, records: Records, indices: Sequence[int], filled: dict[str, list[bool]] | None = None
    ) -> dict[str, list[int]]:
        """Adds the features of some records; returns which of them have a feature without a value.

        Args:
            file, records: where the records are.
            indices: their indices.
            filled: known features, and the records in which they are known to have values.
        """
        from google.protobuf.unknown_fields import UnknownFieldSet
        from tensorflow.core.example.example_pb2 import Example

        filled = filled or {}
        empty: dict[str, list[int]] = {}
        for index in indices:
            example = Example.FromString(records.data[index])
            if len(UnknownFieldSet(example)):
                raise file.error(
                    *records.place(index),
                    "its data has more fields than tf.train.Example, as tf.train.SequenceExample does, whose lists of "
                    "features cannot be columns.",
                )
            features = example.features.feature
            for name in features:
                if name in filled and filled[name][index]:
                    continue
                feature = features[name]
                kind = feature.WhichOneof("kind")
                if kind is None:
                    continue
                if not name:
                    raise file.error(*records.place(index), "a feature has no name.")
                known = self.kinds.setdefault(name, kind)
                if kind != known:
                    raise file.error(
                        *records.place(index),
                        f"the feature {name!r} holds {_WORDS[kind]}, and {_WORDS[known]} in an earlier record. A "
                        "feature needs one kind in all records.",
                    )
                if not getattr(feature, kind).value:
                    empty.setdefault(name, []).append(index)
        return empty

    def _parse(self, file: RecordFile, records: Records) -> dict[str, tuple[np.ndarray, Any]]:
        """Returns name -> the number of values in each record, and the values of all records."""
        import tensorflow as tf

        types = {"bytes_list": tf.string, "float_list": tf.float32, "int64_list": tf.int64}
        if not self.kinds:
            return {}
        wanted = {name: tf.io.RaggedFeature(types[kind]) for name, kind in self.kinds.items()}
        try:
            with tf.device("/CPU:0"):
                found = tf.io.parse_example(tf.constant(records.data, tf.string), wanted)
        except tf.errors.InvalidArgumentError as error:
            # All records are valid tf.Examples, so a feature is of another kind; this finds which.
            self._learn(file, records, range(len(records.data)))
            raise DataError(f"{file.path} cannot be read: {str(error).splitlines()[0].rstrip('.')}.") from None
        return {name: (np.diff(ragged.row_splits.numpy()), ragged.values.numpy()) for name, ragged in found.items()}

    def _values(self, file: RecordFile, records: Records, name: str, lengths: np.ndarray, values: Any) -> pa.Array:
        if self.kinds[name] != "bytes_list":
            return pa.array(values)
        try:
            return pa.array(values, pa.binary()).cast(pa.string())
        except pa.ArrowInvalid:
            bad = next(index for index, value in enumerate(values) if not _is_text(value))
            record = int(np.searchsorted(np.cumsum(lengths), bad, side="right"))
            raise file.error(
                *records.place(record),
                f"the feature {name!r} holds {_short(values[bad])}, which is not a string in UTF-8. Convert it, "
                "or leave "
                "the feature out.",
            ) from None


def converted(column: pa.Array, as_list: bool) -> pa.Array:
    """Returns a column of single values as lists, or a column of lists with at most one value as single values.

    NULL stays NULL; an empty list also becomes NULL.
    """
    if pa.types.is_list(column.type) == as_list:
        return column
    if as_list:
        there = column.is_valid().to_numpy(zero_copy_only=False)
        return _column(column.drop_null(), there.astype(np.int32), there, True)
    lengths = pc.fill_null(pc.list_value_length(column), 0).to_numpy(zero_copy_only=False)
    return _column(column.flatten(), lengths, lengths > 0, False)


def _column(values: pa.Array, lengths: np.ndarray, there: np.ndarray, as_lists: bool) -> pa.Array:
    offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int32)
    if as_lists:
        return pa.ListArray.from_arrays(pa.array(offsets), values, mask=pa.array(~there))
    return values if lengths.all() else values.take(pa.array(offsets[:-1], mask=lengths == 0))


def _counts(file: RecordFile, records: Records) -> np.ndarray:
    """Returns the number of features of each record."""
    from google.protobuf.message import DecodeError
    from tensorflow.core.example.example_pb2 import Example

    counts = np.zeros(len(records.data), np.int64)
    for index, data in enumerate(records.data):
        try:
            counts[index] = len(Example.FromString(data).features.feature)
        except DecodeError:
            raise file.error(*records.place(index), "its data is not a tf.train.Example.") from None
    return counts


def _is_text(value: bytes) -> bool:
    try:
        value.decode("utf-8")
    except UnicodeDecodeError:
        return False
    return True


def _short(value: bytes) -> str:
    return repr(value if len(value) <= 40 else value[:40] + b"...")
