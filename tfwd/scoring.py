"""Scorers: a run, a `.keras` file, a SavedModel and an ONNX file, all answering raw batches alike."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from tfwd.data.chunk import Chunk
from tfwd.data.raw import raw_arrays
from tfwd.data.reading import Reading
from tfwd.data.source import Source
from tfwd.errors import RunError
from tfwd.inference.metadata import check_classes, check_graph, of_saved_model
from tfwd.run import Run, load_model
from tfwd.schema import DTYPES, Schema

_KINDS = {dtype: kind for kind, dtype in DTYPES.items()}
# Rows that TensorFlow scores in one call.
_ROWS = 8192

Answer = dict[str, NDArray[np.float32]]
Raw = Mapping[str, Any]


@dataclass(frozen=True)
class Scorer:
    """Something that answers raw batches.

    Attributes:
        schema: the raw inputs and the answer.
        score: `{input: (B,)}` -> `probability` `(B,)` or `(B, C)` with `logit` of that shape, or `prediction` `(B,)`.
            Inputs go by name and are checked, alike in all kinds; see `tfwd.data.raw.raw_arrays`.
        score_chunk: the same for a chunk of rows, whose strings are numbers into a dictionary: many rows at a time.
        kind: `keras`, `savedmodel` or `onnx`.
        reading: how a file or a frame becomes raw batches; None of a file that does not say, as those of version 0.3.0.
    """

    schema: Schema
    score: Callable[[Raw], Answer]
    score_chunk: Callable[[Chunk], Answer]
    kind: str
    reading: Reading | None = None

    def source(
        self, data: Any, *, labelled: bool, key: tuple[str, ...] | None = (), delimiter: str | None = None
    ) -> Source:
        """Opens rows as the model's training read them; see `tfwd.data.reading.Reading.open`."""
        reading = self.reading or Reading()
        return reading.open(data, self.schema, labelled=labelled, key=key, delimiter=delimiter)

    def predict(self, data: Any, *, key: Sequence[str] | None = None) -> Any:
        """Answers every row of a frame or a file, in memory; `tfwd.prediction.predict` writes a file.

        Args:
            data: a `pandas.DataFrame`, a `polars.DataFrame`, a `pyarrow.Table`, or what else `Source.open` takes.
                Columns go by name, those that the model does not read are ignored, and None and NaN are missing values.
            key: columns to pass through; by default those of `data.key` that are there.

        Returns:
            A frame with a row a row: the key, then the columns of `tfwd.prediction.predict`. It is of polars where the
            rows are, else of pandas, with the index of the rows.

        Raises:
            DataError: a column is missing, or a value does not fit.
        """
        from tfwd.prediction import predict_frame

        given = (key,) if isinstance(key, str) else key
        return predict_frame(self, data, None if given is None else tuple(dict.fromkeys(given)))

    def evaluate(self, data: Any) -> dict[str, float]:
        """The exact metrics on labelled rows, without those that `data.filter` leaves out.

        They are those of `tfwd.evaluation.evaluate`, by user too where the training ranked items.

        Args:
            data: as in `predict`, with the label.

        Raises:
            DataError: a column is missing, a value or label does not fit, or there are no rows.
        """
        from tfwd.evaluation import evaluate_data

        return evaluate_data(self, data)


def load_scorer(path: str | Path) -> Scorer:
    """Loads what a path holds: a run directory, a `.keras` file, a SavedModel directory or an `.onnx` file.

    Raises:
        RunError: the path is none of these, or was not made by tfwd.
    """
    path = existing(path)
    if path.suffix == ".onnx":
        from tfwd.onnx_scorer import OnnxScorer

        scorer = OnnxScorer(path)
        return Scorer(scorer.schema, scorer.score, scorer.score_chunk, "onnx", scorer.reading)
    if path.suffix == ".keras":
        return keras_scorer(load_model(path))
    saved = _saved_model_folder(path)
    if saved is not None:
        return _saved_model(saved)
    if (path / "run.json").is_file():
        return run_scorer(Run.open(path))
    raise RunError(
        f"{path} is neither a run directory (run.json), a .keras file, a SavedModel (saved_model.pb) nor an .onnx file."
    )


def existing(path: str | Path) -> Path:
    """The path, if something is there to be loaded.

    Raises:
        RunError: nothing is there.
    """
    path = Path(path)
    if not path.exists():
        raise RunError(f"{path} is not there. Give a run directory, a .keras file, a SavedModel or an .onnx file.")
    return path


def run_scorer(run: Run) -> Scorer:
    """The scorer of a run's best model, which reads files as the run's configuration says."""
    return dataclasses.replace(keras_scorer(run.model), reading=Reading.of(run.config))


def keras_scorer(model: Any) -> Scorer:
    """The scorer of a `WideDeep` in memory."""
    import tensorflow as tf

    @tf.function(reduce_retracing=True)
    def answers(inputs: dict[str, tf.Tensor]) -> dict[str, tf.Tensor]:
        found: dict[str, tf.Tensor] = model.answers(model.logits(inputs, training=False))
        return found

    def score(inputs: dict[str, tf.Tensor]) -> Answer:
        return {name: value.numpy() for name, value in answers(inputs).items()}

    by_name, by_tensors = _by_name(model.schema, score), _by_tensors(model.schema, score)
    return Scorer(model.schema, by_name, by_tensors, "keras", model.reading)


def _saved_model_folder(path: Path) -> Path | None:
    """The folder with saved_model.pb: the path itself, or its highest version."""
    if (path / "saved_model.pb").is_file():
        return path
    versions = [child for child in path.iterdir() if child.name.isdecimal()] if path.is_dir() else []
    for child in sorted(versions, key=lambda child: -int(child.name)):
        if (child / "saved_model.pb").is_file():
            return child
    return None


def _saved_model(folder: Path) -> Scorer:
    import tensorflow as tf

    described = of_saved_model(folder)
    try:
        loaded = tf.saved_model.load(str(folder))
    except Exception as error:  # TensorFlow raises what it likes on a damaged folder
        why = (str(error).splitlines() or [type(error).__name__])[0]
        raise RunError(f"{folder} cannot be read as a SavedModel, it may be damaged: {why}") from None
    signature = loaded.signatures.get("serving_default")
    if signature is None:
        raise RunError(f"{folder} is damaged: it has no signature serving_default.")
    _, takes = signature.structured_input_signature
    gives = signature.structured_outputs
    check_graph(
        described.schema,
        folder,
        {name: (_KINDS.get(spec.dtype.name), spec.shape.rank) for name, spec in takes.items()},
        gives,
    )
    if described.schema.task == "multiclass":
        shape = gives["probability"].shape
        check_classes(described.schema, folder, shape[-1] if shape.rank == 2 else None)

    def score(inputs: dict[str, tf.Tensor]) -> Answer:
        answer = signature(**inputs)
        return {name: answer[name].numpy() for name in ("prediction", "probability", "logit") if name in answer}

    # The closures hold `loaded`: its tables go when it goes.
    score.keep = loaded  # type: ignore[attr-defined]
    schema = described.schema
    return Scorer(schema, _by_name(schema, score), _by_tensors(schema, score), "savedmodel", described.reading)


def no_answer(schema: Schema) -> Answer:
    """The answer to no rows."""
    none = np.zeros((0, len(schema.classes)) if schema.task == "multiclass" else 0, np.float32)
    return {"prediction": none} if schema.task == "regression" else {"probability": none, "logit": none}


def _by_name(schema: Schema, score: Callable[[Any], Answer]) -> Callable[[Raw], Answer]:
    """Scores a raw batch with what takes tensors."""
    from tfwd.features.raw_tensors import as_tensor

    def by_name(inputs: Raw) -> Answer:
        arrays = raw_arrays(schema, inputs)
        if not len(next(iter(arrays.values()))):
            return no_answer(schema)
        return score({entry.name: as_tensor(entry, arrays[entry.name]) for entry in schema.inputs})

    return by_name


def _by_tensors(schema: Schema, score: Callable[[Any], Answer]) -> Callable[[Chunk], Answer]:
    """Scores a chunk with what takes tensors: each distinct string crosses into TensorFlow once, as bytes."""
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
            some = chunk.part(start, start + _ROWS)
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
