"""Scorers that run on TensorFlow: of a model in memory, and of a SavedModel."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from tfwd.data.chunk import Chunk
from tfwd.data.raw import raw_arrays
from tfwd.errors import RunError, first_line
from tfwd.inference.answers import Answer, Raw, no_answer, scored_names
from tfwd.inference.metadata import check_classes, check_graph, of_saved_model
from tfwd.inference.scorer import Scorer
from tfwd.schema import DTYPES, Schema

_KINDS = {dtype: kind for kind, dtype in DTYPES.items()}


# Rows that TensorFlow scores in one call.
_ROWS = 8192


def keras_scorer(model: Any) -> Scorer:
    """Returns the scorer of a `WideDeep` in memory."""
    import tensorflow as tf

    @tf.function(reduce_retracing=True, autograph=False)
    def answers(inputs: dict[str, tf.Tensor]) -> dict[str, tf.Tensor]:
        found: dict[str, tf.Tensor] = model.answers(model.logits(inputs, training=False))
        return found

    def score(inputs: dict[str, tf.Tensor]) -> Answer:
        return {name: value.numpy() for name, value in answers(inputs).items()}

    by_name, by_tensors = _by_name(model.schema, score), _by_tensors(model.schema, score)
    return Scorer(model.schema, by_name, by_tensors, "keras", model.reading)


def saved_model_scorer(folder: Path) -> Scorer:
    """Returns the scorer of a SavedModel that tfwd exported.

    Raises:
        RunError: it cannot be read, or its signature does not fit its metadata.
    """
    import tensorflow as tf

    described = of_saved_model(folder)
    # What is damaged here is said before the model is loaded.
    schema, reading = described.schema, described.reading
    try:
        loaded = tf.saved_model.load(str(folder))
    except Exception as error:  # TensorFlow may raise anything on a damaged folder
        why = first_line(error)
        raise RunError(f"{folder} cannot be read as a SavedModel, it may be damaged: {why}") from None
    signature = loaded.signatures.get("serving_default")
    if signature is None:
        raise RunError(f"{folder} is damaged: it has no signature serving_default.")
    _, takes = signature.structured_input_signature
    gives = signature.structured_outputs
    check_graph(
        schema,
        folder,
        {name: (_KINDS.get(spec.dtype.name), spec.shape.rank) for name, spec in takes.items()},
        gives,
    )
    if schema.task == "multiclass":
        shape = gives[schema.answer].shape
        check_classes(schema, folder, shape[-1] if shape.rank == 2 else None)

    def score(inputs: dict[str, tf.Tensor]) -> Answer:
        answer = signature(**inputs)
        return {name: answer[name].numpy() for name in scored_names(schema) if name in answer}

    # The closures hold `loaded`: its tables are freed along with it.
    score.keep = loaded  # type: ignore[attr-defined]
    return Scorer(schema, _by_name(schema, score), _by_tensors(schema, score), "savedmodel", reading)


def _by_name(schema: Schema, score: Callable[[Any], Answer]) -> Callable[[Raw], Answer]:
    """Scores a raw batch with a function of tensors."""
    from tfwd.features.raw_tensors import tensors

    def by_name(inputs: Raw) -> Answer:
        arrays = raw_arrays(schema, inputs)
        if not len(next(iter(arrays.values()))):
            return no_answer(schema)
        return score(tensors(arrays))

    return by_name


def _by_tensors(schema: Schema, score: Callable[[Any], Answer]) -> Callable[[Chunk], Answer]:
    """Scores a chunk with a function of tensors: each distinct string enters TensorFlow once, as bytes."""
    import tensorflow as tf

    def score_chunk(chunk: Chunk) -> Answer:
        if not chunk.rows:
            return no_answer(schema)
        words = {
            name: tf.constant(dictionary.cast(pa.large_binary()).to_numpy(zero_copy_only=False), tf.string)
            for name, dictionary in chunk.dictionaries.items()
        }
        parts = []
        for start in range(0, chunk.rows, _ROWS):
            some = chunk.slice(start, start + _ROWS)
            parts.append(
                score(
                    {
                        name: tf.gather(words[name], values) if name in words else tf.constant(values)
                        for name, values in some.values.items()
                    }
                )
            )
        return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}

    return score_chunk
