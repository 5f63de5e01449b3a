"""What a training step costs as the tables grow: `python -m benchmarks.table_size`.

Eight integer columns with uniform values (the hardest case for caches) share a wide table, eight more an embedding
table of width 16; five numbers and a 256-128-64 tower complete the model. First the wide table grows from 10 thousand
to 100 million rows, then the embedding table from 10 thousand to 10 million, the other staying as it was. Batches are
prepared before the clock starts, so that the figure is the step: gathers, tower, both updates, metrics.
"""

from __future__ import annotations

import argparse
import statistics
from collections.abc import Callable
from pathlib import Path

import numpy as np
import tensorflow as tf

import tfwd
from benchmarks.timing import Timing, markdown, side_by_side
from tfwd.analysis.statistics import LabelStatistics, NumericStatistics

BATCH, STEPS, DIM = 1024, 128, 16
Sizes = tuple[int, int]


def model_of(rows: int, dim: int = 0, embedded: int = 8000) -> tfwd.WideDeep:
    """An untrained model with a wide table of about so many rows.

    Args:
        rows: of the wide table.
        dim: the width of an embedding of as many rows, or 0 for none.
        embedded: rows of the embedding table of width 16.
    """
    wide = [tfwd.Categorical(f"c{i}", identity=rows // 8, dtype="integer", embedding=dim or None) for i in range(8)]
    deep = [
        tfwd.Categorical(f"e{i}", identity=embedded // 8, dtype="integer", wide=False, embedding=DIM) for i in range(8)
    ]
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
    return tfwd.build_model(
        config,
        tfwd.FeatureStatistics(
            rows=1000,
            label=LabelStatistics(0.5, classes=("0", "1")),
            numerics={feature.name: normal for feature in numbers},
        ),
        schema,
    )


def batches(model: tfwd.WideDeep, sizes: Sizes, batch: int = BATCH) -> tf.data.Dataset:
    """`STEPS` prepared batches, kept in memory, of uniform ids in tables of about so many rows, wide and embedding."""
    rows, embedded = sizes
    random = np.random.default_rng(0)
    count = batch * STEPS
    raw = {f"c{i}": random.integers(0, rows // 8, count) for i in range(8)}
    raw |= {f"e{i}": random.integers(0, embedded // 8, count) for i in range(8)}
    raw |= {f"x{i}": random.normal(size=count).astype(np.float32) for i in range(5)}
    label = random.integers(0, 2, (count, 1)).astype(np.float32)
    options = tf.data.Options()
    # At the end of an epoch its thread may sleep for as long again as the epoch took: that is not the step.
    options.autotune.enabled = False
    dataset = tf.data.Dataset.from_tensor_slices((raw, label)).batch(batch)
    return model.transformed(dataset).cache().with_options(options)


def contender(sizes: Sizes) -> Callable[[], object]:
    """A model with tables of about so many rows, wide and embedding; a call trains it for `STEPS` steps."""
    model = model_of(sizes[0], embedded=sizes[1])
    model.compile(steps_per_execution=16)
    dataset = batches(model, sizes)
    return lambda: model.fit(dataset, epochs=1, verbose=0)


def ratio(timing: Timing, base: Timing) -> float:
    """How many times as long as the base: the median of the rounds' own ratios."""
    return statistics.median(ours / theirs for ours, theirs in zip(timing.seconds, base.seconds, strict=True))


def table(what: str, sweep: list[Sizes], grows: int, timings: dict[Sizes, Timing]) -> str:
    """One sweep as a table; `grows` is the place of the size that changes."""
    base = timings[sweep[0]]
    return markdown(
        [what, "ms a step, median (min to max)", "ratio"],
        [
            [f"{sizes[grows]:,}", timings[sizes].spread(1000 / STEPS), f"{ratio(timings[sizes], base):.2f}"]
            for sizes in sweep
        ],
    )


def picture(sweeps: dict[str, tuple[list[Sizes], int]], timings: dict[Sizes, Timing], path: Path) -> None:
    """Milliseconds a step against the rows of the table that grows, each point with its ratio to the first."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    figure, axis = plt.subplots(figsize=(6.4, 3.4), layout="constrained")
    for (what, (sweep, grows)), color, marker in zip(sweeps.items(), ("#1f6feb", "#d9822b"), "os", strict=True):
        rows = [sizes[grows] for sizes in sweep]
        steps = [1000 / STEPS * timings[sizes].median for sizes in sweep]
        axis.plot(rows, steps, color=color, marker=marker, markersize=5, label=what)
        above = marker == "s"
        for x, y, sizes in zip(rows, steps, sweep, strict=True):
            axis.annotate(
                f"{ratio(timings[sizes], timings[sweep[0]]):.2f}x",
                (x, y),
                xytext=(0, 7 if above else -14),
                textcoords="offset points",
                ha="center",
                fontsize=8,
                color=color,
            )
    axis.set_xscale("log")
    axis.set_ylim(0, 1.6 * max(timing.median for timing in timings.values()) * 1000 / STEPS)
    axis.set_xlabel("rows of the table that grows")
    axis.set_ylabel(f"ms a step of {BATCH:,} rows")
    axis.legend(frameon=False, loc="upper left", fontsize=9)
    axis.spines[["top", "right"]].set_visible(False)
    figure.savefig(path, dpi=144)


def main() -> None:
    """Prints the tables, and draws them where that is asked for."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, nargs="+", default=[10_000, 100_000, 1_000_000, 10_000_000, 100_000_000])
    parser.add_argument("--embedded", type=int, nargs="+", default=[10_000, 100_000, 1_000_000, 10_000_000])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--picture", type=Path, help="a .png to write")
    options = parser.parse_args()
    sweeps = {
        "rows of the wide table": ([(rows, options.embedded[0]) for rows in options.rows], 0),
        f"rows of the embedding table of width {DIM}": ([(options.rows[0], rows) for rows in options.embedded], 1),
    }
    each = dict.fromkeys(sizes for sweep, _ in sweeps.values() for sizes in sweep)
    named = {str(sizes): contender(sizes) for sizes in each}
    timings = dict(zip(each, side_by_side(named, options.rounds).values(), strict=True))
    print("\n\n".join(table(what, sweep, grows, timings) for what, (sweep, grows) in sweeps.items()))
    if options.picture:
        picture(sweeps, timings, options.picture)


if __name__ == "__main__":
    main()
