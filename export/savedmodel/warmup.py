"""The warm-up file: requests that TF Serving runs itself before a new version serves.

The first call of each signature costs about 100 ms; with this file no client pays for it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import tensorflow as tf
from tensorflow_serving.apis import (
    classification_pb2,
    input_pb2,
    model_pb2,
    predict_pb2,
    prediction_log_pb2,
    regression_pb2,
)

from export.parity.rows import Rows, length, part
from tfwd.schema import Schema, is_missing

# TF Serving refuses a file with more than 1,000 records.
_SINGLE, _BATCHES = 16, (32, 256)
# The signatures that take `tf.Example`.
_OF_EXAMPLES = ("classify", "regress")


def write(
    file: Path,
    schema: Schema,
    rows: Rows,
    name: str,
    signatures: tuple[str, ...],
    recommended: Callable[[Rows], Rows] | None = None,
) -> None:
    """Writes requests for all signatures: some of one row, and larger batches.

    Args:
        file: a TFRecord file of `PredictionLog`.
        schema: the schema of the model.
        rows: as `as_rows` makes them, at least one.
        name: the name of the model in TF Serving.
        signatures: the names of its signatures, except `recommend`.
        recommended: maps rows to the inputs of `recommend`, if the model has it.
    """
    with tf.io.TFRecordWriter(str(file)) as writer:
        for batch in _batches(rows):
            # Made once per batch, as every row and column is its own message.
            listed = None
            for signature in signatures:
                if signature in _OF_EXAMPLES:
                    listed = listed or input_pb2.ExampleList(examples=examples(schema, batch))
                    log = _log_of_examples(listed, name, signature)
                else:
                    log = _log(batch, name, signature)
                writer.write(log.SerializeToString())
        if recommended is not None:
            for index in range(min(_SINGLE, length(rows))):
                asked = recommended(part(rows, index, index + 1))
                writer.write(_log(asked, name, "recommend").SerializeToString())


def examples(schema: Schema, rows: Rows) -> list[tf.train.Example]:
    """Returns rows as `tf.Example`, with features named like the inputs; missing values are left out."""
    return [_example(schema, rows, index) for index in range(length(rows))]


def _batches(rows: Rows) -> Iterator[Rows]:
    count = length(rows)
    for index in range(min(_SINGLE, count)):
        yield part(rows, index, index + 1)
    for size in _BATCHES:
        yield {column: np.resize(values, (size, *values.shape[1:])) for column, values in rows.items()}


def _log_of_examples(listed: input_pb2.ExampleList, name: str, signature: str) -> prediction_log_pb2.PredictionLog:
    spec, given = model_pb2.ModelSpec(name=name, signature_name=signature), input_pb2.Input(example_list=listed)
    if signature == "classify":
        classify = classification_pb2.ClassificationRequest(model_spec=spec, input=given)
        return prediction_log_pb2.PredictionLog(classify_log=prediction_log_pb2.ClassifyLog(request=classify))
    regress = regression_pb2.RegressionRequest(model_spec=spec, input=given)
    return prediction_log_pb2.PredictionLog(regress_log=prediction_log_pb2.RegressLog(request=regress))


def _log(rows: Rows, name: str, signature: str) -> prediction_log_pb2.PredictionLog:
    predict = predict_pb2.PredictRequest(model_spec=model_pb2.ModelSpec(name=name, signature_name=signature))
    for column, values in rows.items():
        kind = tf.string if values.dtype == object else None
        predict.inputs[column].CopyFrom(tf.make_tensor_proto(values.tolist() if kind else values, kind, values.shape))
    return prediction_log_pb2.PredictionLog(predict_log=prediction_log_pb2.PredictLog(request=predict))


def _example(schema: Schema, rows: Rows, index: int) -> tf.train.Example:
    features = {}
    for entry in schema.inputs:
        # A list keeps its padding, since the weights of its values are at the same positions.
        values = np.reshape(rows[entry.name][index], -1)
        if not entry.length and is_missing(values[0]):
            continue
        if entry.kind == "string":
            texts = [value.encode() for value in values]
            features[entry.name] = tf.train.Feature(bytes_list=tf.train.BytesList(value=texts))
        elif entry.kind == "integer":
            features[entry.name] = tf.train.Feature(int64_list=tf.train.Int64List(value=values))
        else:
            features[entry.name] = tf.train.Feature(float_list=tf.train.FloatList(value=values))
    return tf.train.Example(features=tf.train.Features(feature=features))
