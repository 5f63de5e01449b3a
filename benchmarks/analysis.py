"""What learning the vocabularies and moments takes, beside Keras' own layers: `python -m benchmarks.analysis`.

The work: 8 string categories and 5 numbers of synthetic clicks in Parquet. `tfwd.analyze` learns the vocabularies,
means, variances, and also medians, the moments of the logarithms and the label's base rate. Keras' side is
`StringLookup.adapt` and `Normalization.adapt`, a layer a column, once with the columns streamed in batches, as `adapt`
is documented for data that doesn't fit, and once with each column whole in memory. Both sides begin at the file, and
must agree.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import keras
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import tensorflow as tf

import tfwd
from benchmarks.throughput import configuration
from benchmarks.timing import markdown, side_by_side
from tfwd.datasets import clicks

BATCH = 8192
CATEGORIES = [f"c{i}" for i in range(1, 9)]
NUMBERS = [f"x{i}" for i in range(1, 6)]

Layers = dict[str, keras.layers.Layer]


def analysis(path: str) -> tfwd.FeatureStatistics:
    """tfwd's side, from the file."""
    config = configuration(path)
    source = tfwd.Source.open(path)
    return tfwd.analyze(tfwd.Rows(source, tfwd.resolve_schema(config, source)), config)


def adapted_streaming(path: str) -> Layers:
    """Keras' side, one column after the other in batches of `BATCH` through `tf.data`."""
    layers = _layers()
    for name, layer in layers.items():
        dtype = tf.string if name in CATEGORIES else tf.float32

        def batches(name: str = name) -> Iterator[np.ndarray]:
            for batch in pq.ParquetFile(path).iter_batches(BATCH, columns=[name]):
                yield _array(batch.column(0))

        dataset = tf.data.Dataset.from_generator(batches, output_signature=tf.TensorSpec([None], dtype))
        if dtype == tf.float32:
            dataset = dataset.map(lambda batch: batch[:, None])
        layer.adapt(dataset.prefetch(2))
    return layers


def adapted_in_memory(path: str) -> Layers:
    """Keras' side, each column as one array."""
    layers = _layers()
    table = pq.read_table(path, columns=list(layers))
    for name, layer in layers.items():
        column = _array(table[name].combine_chunks())
        layer.adapt(tf.constant(column) if name in CATEGORIES else column[:, None])
    return layers


def adapted_as_documented(path: str) -> Layers:
    """Keras' side as its guide to structured data writes it: a frame in batches of 32, mapped to a column a layer."""
    layers = _layers()
    frame = pd.read_parquet(path, columns=list(layers))
    columns = {name: _array(pa.array(frame[name])) for name in layers}
    dataset = tf.data.Dataset.from_tensor_slices(columns).batch(32)
    for name, layer in layers.items():
        layer.adapt(dataset.map(lambda batch, name=name: batch[name] if name in CATEGORIES else batch[name][:, None]))
    return layers


def check(statistics: tfwd.FeatureStatistics, layers: Layers) -> None:
    """Refuses to go on unless both sides learned the same.

    Equal counts are ordered by value rising in tfwd and falling in Keras; sums of float32 differ in the last digits.
    """
    for name in CATEGORIES:
        ours = statistics.vocabularies[name]
        counted = sorted(zip(ours.counts, ours.values, strict=True), reverse=True)
        theirs = layers[name].get_vocabulary(include_special_tokens=False)
        assert [value for _, value in counted] == theirs, f"{name}: the vocabularies differ"
    for name in NUMBERS:
        numbers, layer = statistics.numerics[name], layers[name]
        mean, variance = float(np.squeeze(layer.mean)), float(np.squeeze(layer.variance))
        assert abs(numbers.mean - mean) <= 1e-4 * numbers.stddev, f"{name}: mean {numbers.mean} against {mean}"
        ratio = variance / numbers.stddev**2
        assert abs(ratio - 1) <= 1e-4, f"{name}: Keras' variance is {ratio} of tfwd's"


def _layers() -> Layers:
    categories: Layers = {name: keras.layers.StringLookup() for name in CATEGORIES}
    return categories | {name: keras.layers.Normalization(axis=-1) for name in NUMBERS}


def _array(column: pa.Array) -> np.ndarray:
    # TensorFlow takes bytes faster than str.
    if pa.types.is_string(column.type):
        column = column.cast(pa.binary())
    array: np.ndarray = column.to_numpy(zero_copy_only=False)
    return array


def main() -> None:
    """Prints the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--documented", action="store_true", help="also as Keras' guide writes it, which takes long")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        path = str(Path(folder) / "clicks.parquet")
        clicks.write(path, options.rows)
        statistics = analysis(path)
        check(statistics, adapted_streaming(path))
        check(statistics, adapted_in_memory(path))
        contenders: dict[str, Callable[[], object]] = {
            "`tfwd.analyze`": lambda: analysis(path),
            "Keras' `adapt`, streaming": lambda: adapted_streaming(path),
            "Keras' `adapt`, columns in memory": lambda: adapted_in_memory(path),
        }
        if options.documented:
            contenders["Keras' `adapt`, batches of 32"] = lambda: adapted_as_documented(path)
        timings = side_by_side(contenders, options.rounds)
    base = timings["`tfwd.analyze`"].median
    table = [
        [name, f"{options.rows / timing.median:,.0f}", timing.spread(), f"{timing.median / base:.1f}"]
        for name, timing in timings.items()
    ]
    print(markdown(["learning from the file", "rows/s", "seconds, median (min to max)", "times tfwd's"], table))
    print("\nSame vocabularies in the same order, means and variances within 1e-4: checked.")


if __name__ == "__main__":
    main()
