"""Where the time of training goes, stage by stage: `python -m benchmarks.stages`.

The work is that of `benchmarks.throughput`. Every figure contains the stages above it in its half of the table, so that
the difference is what a stage adds when it runs alone. In a training the pipeline runs beside the step.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import tensorflow as tf

from benchmarks.throughput import BATCH, Work, prepare
from benchmarks.timing import Timing, markdown, side_by_side
from tfwd.data.dataset import dataset
from tfwd.datasets import clicks
from tfwd.training.spans import Spans
from tfwd.training.stream import READ_ROWS, CachedIds, StreamedRows

STEPS = 64


def pipeline(work: Work) -> dict[str, Callable[[], object]]:
    """A pass over the rows, up to a stage of the pipeline."""
    model, rows = work.model, work.rows
    streamed, cached = StreamedRows(model, rows, BATCH, 0, 100_000, None), CachedIds(model, rows, BATCH, 0, None)
    steps = streamed.steps_per_epoch
    spans = Spans(rows, BATCH, 0, 100_000)
    return {
        "read, decode, shuffle": lambda: _drain(spans.chunks(0, 0, steps)),
        "+ into tensors": lambda: _drain(
            dataset(rows.schema, True, READ_ROWS, lambda: spans.chunks(0, 0, steps), None)
        ),
        "+ transform and batch": lambda: _drain(streamed.steps(0, steps)),
        "cached ids: shuffle and batch": lambda: _drain(cached.steps(0, steps)),
    }


def step(work: Work) -> dict[str, Callable[[], object]]:
    """`STEPS` steps over batches in memory, up to a stage of the step."""
    model = work.model
    batches = list(CachedIds(model, work.rows, BATCH, 0, None).steps(0, STEPS))
    stacked = tf.nest.map_structure(lambda *parts: tf.stack(parts), *batches)
    model.optimizer.build(model.trainable_variables)
    model.build_metrics()
    variables = model.trainable_variables
    wide = [index for index, variable in enumerate(variables) if "wide/" in variable.path]

    def gradients(batch: Any) -> list[Any]:
        inputs, labels = batch
        with tf.GradientTape() as tape:
            _, loss = model._forward(inputs, labels, None, training=True)
        found: list[Any] = tape.gradient(loss, variables)
        return found

    def backward(batch: Any) -> list[Any]:
        return [tf.convert_to_tensor(getattr(part, "values", part)) for part in gradients(batch)]

    def wide_update(batch: Any) -> list[Any]:
        found = gradients(batch)
        model.optimizer.wide.apply([found[index] for index in wide], [variables[index] for index in wide])
        return [tf.convert_to_tensor(getattr(part, "values", part)) for part in found]

    def both_updates(batch: Any) -> list[Any]:
        model.optimizer.apply(gradients(batch), variables)
        return []

    return {
        "gathers, tower: forward": _loop(lambda batch: [model.logits(batch[0], training=True)], stacked),
        "+ backward": _loop(backward, stacked),
        "+ wide update": _loop(wide_update, stacked),
        "+ deep update": _loop(both_updates, stacked),
        "+ metrics": _loop(lambda batch: list(model.train_step(batch).values()), stacked),
    }


def _loop(body: Callable[[Any], list[tf.Tensor]], stacked: Any) -> Callable[[], object]:
    @tf.function(autograph=False)
    def run() -> tf.Tensor:
        def once(index: tf.Tensor, total: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
            kept = body(tf.nest.map_structure(lambda part: part[index], stacked))
            # TensorFlow leaves out what nobody reads.
            return index + 1, total + sum(tf.reshape(part, [-1])[0] for part in kept)

        start = (tf.constant(0), tf.constant(0.0))
        return tf.while_loop(lambda index, _: index < STEPS, once, start, parallel_iterations=1)[1]

    return lambda: run()


def _drain(batches: Iterable[object]) -> None:
    for _ in batches:
        pass


def main() -> None:
    """Prints the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=300_000)
    parser.add_argument("--rounds", type=int, default=7)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        path = str(Path(folder) / "clicks.parquet")
        clicks.write(path, options.rows)
        work = prepare(path)
        parts = [(pipeline(work), options.rows), (step(work), STEPS * BATCH)]
        table = []
        for contenders, count in parts:
            timings = side_by_side(contenders, options.rounds)
            table += [[name, _microseconds(timing, count)] for name, timing in timings.items()]
    print(markdown(["stage", "µs a row, median (min to max)"], table))


def _microseconds(timing: Timing, rows: int) -> str:
    return timing.spread(1e6 / rows)


if __name__ == "__main__":
    main()
