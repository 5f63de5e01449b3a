"""What a training step costs as the wide table grows: `python -m benchmarks.table_size`.

Eight integer columns with uniform values (the hardest case for caches) share a wide table of 10 thousand to 10
million rows; eight small ones are embedded, five numbers and a 256-128-64 tower complete the model. Batches are
prepared before the clock starts, so that the figure is the step: gathers, tower, both updates, metrics.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable

import numpy as np
import tensorflow as tf

import tfwd
from benchmarks.timing import markdown, side_by_side
from tfwd.analysis.statistics import LabelStatistics, NumericStatistics

BATCH, STEPS = 1024, 160


def model_of(rows: int, dim: int = 0) -> tfwd.WideDeep:
    """An untrained model with a wide table of about so many rows.

    Args:
        rows: of the wide table.
        dim: the width of an embedding of as many rows, or 0 for none.
    """
    wide = [tfwd.Categorical(f"c{i}", identity=rows // 8, dtype="integer", embedding=dim or None) for i in range(8)]
    deep = [tfwd.Categorical(f"e{i}", identity=1000, dtype="integer", wide=False, embedding=16) for i in range(8)]
    numbers = [tfwd.Numeric(f"x{i}") for i in range(5)]
    config = tfwd.Config(data=tfwd.DataConfig(label=tfwd.LabelConfig("y")), features=(*wide, *deep, *numbers))
    schema = tfwd.Schema(
        inputs=tuple(
            tfwd.Input(name, name, "float" if name.startswith("x") else "integer") for name in config.input_names()
        ),
        task="binary",
        label="y",
        classes=("0", "1"),
    )
    normal = NumericStatistics(1000, 0, -4.0, 4.0, 0.0, 1.0, 0.0)
    statistics = tfwd.FeatureStatistics(
        rows=1000,
        label=LabelStatistics(0.5, classes=("0", "1")),
        numerics={feature.name: normal for feature in numbers},
    )
    return tfwd.build_model(config, statistics, schema)


def contender(rows: int) -> Callable[[], object]:
    """A model with a wide table of about so many rows; a call trains it for `STEPS` steps."""
    model = model_of(rows)
    model.compile(steps_per_execution=16)
    random = np.random.default_rng(0)
    count = BATCH * STEPS
    raw = {f"c{i}": random.integers(0, rows // 8, count) for i in range(8)}
    raw |= {f"e{i}": random.integers(0, 1000, count) for i in range(8)}
    raw |= {f"x{i}": random.normal(size=count).astype(np.float32) for i in range(5)}
    label = random.integers(0, 2, (count, 1)).astype(np.float32)
    dataset = model.prepare(tf.data.Dataset.from_tensor_slices((raw, label)).batch(BATCH)).cache()
    return lambda: model.fit(dataset, epochs=1, verbose=0)


def main() -> None:
    """Prints the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, nargs="+", default=[10_000, 100_000, 1_000_000, 10_000_000])
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    timings = side_by_side({f"{rows:,}": contender(rows) for rows in options.rows}, options.rounds)
    base = next(iter(timings.values())).median
    table = [[name, timing.spread(1000 / STEPS), f"{timing.median / base:.2f}"] for name, timing in timings.items()]
    print(markdown(["rows of the wide table", "ms a step, median (min to max)", "ratio"], table))


if __name__ == "__main__":
    main()
