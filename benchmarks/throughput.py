"""Rows a second of a whole first epoch from Parquet, beside the bare tower: `python -m benchmarks.throughput`.

The work: synthetic clicks, 8 string categories (wide, and embedded in 16 columns), 5 numbers, 6 crosses of a
million bins, a 256-128-64 tower, batch 1024, AUC watched. A contender's figure covers reading, transform, gathers,
tower, both updates and metrics; the analysis that comes before is timed by itself. The bare tower trains the same
tower on ready floats of the same width: it is what the machine can do.
"""

from __future__ import annotations

import argparse
import dataclasses
import functools
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf

import tfwd
from benchmarks.timing import markdown, side_by_side
from tfwd.data.dataset import without_autotune
from tfwd.datasets import clicks
from tfwd.layers.deep_head import tower
from tfwd.training.stream import CachedIds, StreamedRows

BATCH = 1024
CROSSES = [("c1", "c2"), ("c3", "c4"), ("c5", "c6"), ("c7", "c8"), ("c1", "c3"), ("c1", "c2", "c3")]


def configuration(path: str) -> tfwd.Config:
    """The work as a configuration."""
    categories = [tfwd.Categorical(f"c{i}", embedding=16) for i in range(1, 9)]
    numbers = [tfwd.Numeric(f"x{i}") for i in range(1, 6)]
    crosses = [tfwd.Cross(keys, 1_000_000) for keys in CROSSES]
    return tfwd.Config(
        data=tfwd.DataConfig(train=path, label=tfwd.LabelConfig(column="clicked"), validation_fraction=0.0),
        features=(*categories, *numbers, *crosses),
        train=tfwd.TrainConfig(batch_size=BATCH, epochs=1, early_stopping=None),
    )


@dataclasses.dataclass(frozen=True)
class Work:
    """The work, ready to train.

    Attributes:
        model: compiled, 16 steps a call.
        rows: the file's.
        analysis: the seconds that its analysis took.
    """

    model: tfwd.WideDeep
    rows: tfwd.Rows
    analysis: float


def prepare(path: str) -> Work:
    """Analyzes a file of clicks and builds the model."""
    config = configuration(path)
    source = tfwd.Source.open(path)
    schema = tfwd.resolve_schema(config, source)
    rows = tfwd.Rows(source, schema)
    started = time.perf_counter()
    statistics = tfwd.analyze(rows, config)
    analysis = time.perf_counter() - started
    classes = statistics.label.classes
    model = tfwd.build_model(config, statistics, dataclasses.replace(schema, classes=classes))
    model.compile(steps_per_execution=16)
    return Work(model, rows.with_classes(classes), analysis)


def bare_towers(rows: int, batches: Sequence[int] = (BATCH,)) -> dict[int, Callable[[], object]]:
    """The tower alone on ready floats, 16 steps a call, with the AUC; by batch size, a call that trains an epoch."""
    width = 8 * 16 + 5
    model = keras.Sequential([keras.Input((width,)), tower((256, 128, 64)), keras.layers.Dense(1)])
    model.compile(
        optimizer=keras.optimizers.Adam(),
        loss=keras.losses.BinaryCrossentropy(from_logits=True),
        metrics=[keras.metrics.AUC(from_logits=True)],
        jit_compile=False,
        steps_per_execution=16,
    )
    random = np.random.default_rng(0)
    inputs = random.normal(size=(rows, width)).astype(np.float32)
    labels = random.integers(0, 2, (rows, 1)).astype(np.float32)
    whole = tf.data.Dataset.from_tensor_slices((inputs, labels))

    def train(batch: int) -> None:
        model.fit(without_autotune(whole.batch(batch).prefetch(2)), epochs=1, verbose=0)

    return {batch: functools.partial(train, batch) for batch in batches}


def main() -> None:
    """Prints the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        path = str(Path(folder) / "clicks.parquet")
        clicks.write(path, options.rows)
        work = prepare(path)
        model, rows, analysis = work.model, work.rows, work.analysis
        streamed = StreamedRows(model, rows, BATCH, 0, 100_000, None)
        cached = CachedIds(model, rows, BATCH, 0, None)
        steps = streamed.steps_per_epoch
        timings = side_by_side(
            {
                "first epoch, from Parquet": lambda: model.fit(streamed.steps(0, steps), verbose=0),
                "later epochs, ids cached": lambda: model.fit(cached.steps(0, steps), verbose=0),
                "bare tower on ready floats": bare_towers(options.rows)[BATCH],
            },
            options.rounds,
        )
    base = timings["bare tower on ready floats"].median
    table = [
        [name, f"{options.rows / timing.median:,.0f}", timing.spread(), f"{base / timing.median:.0%}"]
        for name, timing in timings.items()
    ]
    print(markdown(["work", "rows/s", "seconds, median (min to max)", "of the bare tower"], table))
    print(f"\nAnalysis, once before: {analysis:.1f} s, {options.rows / analysis:,.0f} rows/s.")


if __name__ == "__main__":
    main()
