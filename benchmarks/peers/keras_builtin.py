"""tfwd's model, pipeline and loop with the optimizers that Keras ships: what is left is what sparse updates give."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import keras

import tfwd
from benchmarks.peers.clock import Clock, contend, stamps
from benchmarks.peers.ours import configuration, predictions
from benchmarks.peers.work import Source, Work
from tfwd.optimizers import JointOptimizer
from tfwd.training.stream import CachedIds, StreamedRows


def run(work: Work, clock: Clock, folder: Path, source: Source, seed: int) -> tuple[Any, Any]:
    """Trains, and predicts the test rows."""
    config = configuration(work, folder / f"train.{source}", seed)
    opened = tfwd.Source.open(config.data.train)
    schema = tfwd.resolve_schema(config, opened)
    rows = tfwd.Rows(opened, schema)
    statistics = tfwd.analyze(rows, config)
    classes = statistics.label.classes
    rows = rows.with_classes(classes)
    keras.utils.set_random_seed(seed)
    model = tfwd.build_model(config, statistics, dataclasses.replace(schema, classes=classes))
    model.compile(
        JointOptimizer(
            wide=keras.optimizers.Ftrl(work.ftrl, initial_accumulator_value=1e-5),
            deep=keras.optimizers.Adam(work.adam),
        ),
        steps_per_execution=config.train.steps_per_execution,
    )
    stream: CachedIds | StreamedRows
    if work.epochs > 1:
        stream = CachedIds(model, rows, work.batch, seed, None)
    else:
        stream = StreamedRows(model, rows, work.batch, seed, config.train.shuffle_rows, None)
    clock.begin_fit()
    steps = stream.steps_per_epoch * work.epochs
    model.fit(stream.steps(0, steps), callbacks=[stamps(keras.callbacks.Callback, clock)], verbose=0)
    clock.end_fit()
    return predictions(model, folder)


if __name__ == "__main__":
    contend(run)
