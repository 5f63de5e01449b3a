"""What watching costs a training step: `python -m benchmarks.metric_cost`.

The model of `benchmarks.table_size` with small tables is trained with the metrics of a binary task, with the accuracy
alone, and with none. The loss is kept in all three.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable

import keras

from benchmarks.table_size import BATCH, STEPS, batches, model_of, ratio
from benchmarks.timing import markdown, side_by_side
from tfwd.model.losses import task_metrics

ROWS = 10_000


def contender(metrics: list[keras.metrics.Metric], batch: int) -> Callable[[], object]:
    """A model with these metrics; a call trains it for `STEPS` steps."""
    model = model_of(ROWS, embedded=ROWS)
    model.compile(metrics=metrics, steps_per_execution=16)
    dataset = batches(model, (ROWS, ROWS), batch)
    return lambda: model.fit(dataset, epochs=1, verbose=0)


def main() -> None:
    """Prints the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--batch", type=int, default=BATCH)
    parser.add_argument("--rounds", type=int, default=11)
    options = parser.parse_args()
    schema = model_of(ROWS, embedded=ROWS).schema
    watched = {
        "no metric": [],
        "accuracy": [keras.metrics.BinaryAccuracy(name="accuracy")],
        "AUC and accuracy, as by default": task_metrics(schema),
    }
    timings = side_by_side(
        {name: contender(metrics, options.batch) for name, metrics in watched.items()}, options.rounds
    )
    base = timings["no metric"]
    table = [[name, timing.spread(1000 / STEPS), f"{ratio(timing, base) - 1:+.1%}"] for name, timing in timings.items()]
    print(markdown(["watched", "ms a step, median (min to max)", "added to a step"], table))


if __name__ == "__main__":
    main()
