"""Rows a second of batch prediction, from a Parquet file to a Parquet file: `python -m benchmarks.prediction`.

The work is that of `benchmarks.throughput`. The contenders are
`tfwd.inference.prediction.predict` with the ONNX file, the
`.keras` file and the SavedModel, as `python -m tfwd.predict` runs them once loaded, and `model.predict` of the same
model on a `tf.data.Dataset` of the same file. That dataset is either slices of a DataFrame, batched, as Keras' examples
have it, or a generator of Arrow's batches, the fastest that we know. All of them write their answers as Parquet.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import tensorflow as tf

import tfwd
from benchmarks.scored import Scored, prepare
from benchmarks.timing import markdown, side_by_side
from tfwd.inference.prediction import predict
from tfwd.schema import DTYPES


def sliced(scored: Scored, batch: int) -> Callable[[], tf.data.Dataset]:
    """Batches of the slices of a DataFrame."""
    inputs = scored.model.schema.inputs

    def dataset() -> tf.data.Dataset:
        frame = pd.read_parquet(scored.rows, columns=[entry.name for entry in inputs])
        columns = {
            entry.name: frame[entry.name].to_numpy(np.float32)
            if entry.kind == "float"
            else frame[entry.name].fillna("").to_numpy(object)
            for entry in inputs
        }
        return tf.data.Dataset.from_tensor_slices(columns).batch(batch).prefetch(tf.data.AUTOTUNE)

    return dataset


def generated(scored: Scored, batch: int) -> Callable[[], tf.data.Dataset]:
    """Batches as Arrow reads them."""
    inputs = scored.model.schema.inputs
    names = [entry.name for entry in inputs]
    floats = {entry.name for entry in inputs if entry.kind == "float"}
    signature = {entry.name: tf.TensorSpec([None], DTYPES[entry.kind]) for entry in inputs}

    def batches() -> Iterator[dict[str, Any]]:
        for part in pq.ParquetFile(scored.rows).iter_batches(batch, columns=names):
            yield {
                name: part.column(name).cast(pa.float32()).to_numpy(zero_copy_only=False)
                if name in floats
                else part.column(name).fill_null("").to_numpy(zero_copy_only=False)
                for name in names
            }

    return lambda: tf.data.Dataset.from_generator(batches, output_signature=signature).prefetch(tf.data.AUTOTUNE)


def keras_predict(scored: Scored, dataset: Callable[[], tf.data.Dataset], output: Path) -> Callable[[], object]:
    """`model.predict`, and its answers written."""

    def work() -> None:
        probability = scored.model.predict(dataset(), verbose=0)[:, 0]
        predicted = np.array(scored.model.schema.classes, object)[(probability >= 0.5).astype(int)]
        pq.write_table(pa.table({"probability": probability, "predicted": predicted}), output)

    return work


def main() -> None:
    """Prints the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=300_000)
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        scored = prepare(folder, options.rows)
        source = tfwd.Source.open(scored.rows)
        forms = {"ONNX file": scored.onnx, "`.keras` file": scored.keras, "SavedModel": scored.saved}
        outputs: dict[str, Path] = {}
        contenders: dict[str, Callable[[], object]] = {}
        for number, (form, path) in enumerate(forms.items()):
            work = f"`tfwd.predict`, {form}"
            outputs[work] = folder / f"tfwd{number}.parquet"
            contenders[work] = partial(predict, tfwd.load_scorer(path), source, outputs[work])
        for ways, made, batch in (
            ("slices", sliced, 32),
            ("slices", sliced, 1024),
            ("generator", generated, 1024),
            ("generator", generated, 8192),
        ):
            work = f"`model.predict`, {ways}, batches of {batch:,}"
            outputs[work] = folder / f"{ways}{batch}.parquet"
            contenders[work] = keras_predict(scored, made(scored, batch), outputs[work])
        timings = side_by_side(contenders, options.rounds)
        answers = {work: pq.read_table(path)["probability"].to_numpy() for work, path in outputs.items()}
    reference = answers["`model.predict`, generator, batches of 1,024"]
    first = next(iter(timings.values())).median
    table = [
        [
            work,
            f"{options.rows / timing.median:,.0f}",
            timing.spread(),
            f"{timing.median / first:.1f}",
            f"{np.abs(answers[work] - reference).max():.1e}",
        ]
        for work, timing in timings.items()
    ]
    header = ["work", "rows/s", "seconds, median (min to max)", "ONNX is so many times as fast", "largest difference"]
    print(markdown(header, table))


if __name__ == "__main__":
    main()
