"""Rows a second by the size of the batch: `python -m benchmarks.batch_size`.

The work of `benchmarks.throughput`: synthetic clicks, streamed from Parquet or from cached ids, beside the bare tower
on ready floats at the same batch size. Part of a step costs the same whatever the batch is; here one sees how much.
"""

from __future__ import annotations

import argparse
import functools
import tempfile
from collections.abc import Callable
from pathlib import Path

from benchmarks.throughput import bare_towers, prepare
from benchmarks.timing import Timing, markdown, side_by_side
from tfwd.datasets import clicks
from tfwd.training.stream import CachedIds, Stream, StreamedRows

WIDTH = 8 * 16 + 5
WORKS = ("streamed from Parquet", "ids cached", "bare tower")


def epochs(path: str, batches: list[int]) -> dict[str, dict[int, Callable[[], object]]]:
    """One model of tfwd's; by road and batch size, a call that trains it for an epoch of the file."""
    work = prepare(path)
    model, rows = work.model, work.rows

    def train(stream: Stream) -> None:
        model.fit(stream.steps(0, stream.steps_per_epoch), verbose=0)

    calls: dict[str, dict[int, Callable[[], object]]] = {work: {} for work in WORKS[:2]}
    for batch in batches:
        calls[WORKS[0]][batch] = functools.partial(train, StreamedRows(model, rows, batch, 0, 100_000, None))
        calls[WORKS[1]][batch] = functools.partial(train, CachedIds(model, rows, batch, 0, None))
    return calls


def picture(rates: dict[str, dict[int, float]], path: Path) -> None:
    """Rows a second against the batch size."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    figure, axis = plt.subplots(figsize=(6.4, 3.4), layout="constrained")
    for (work, by_batch), color, marker in zip(rates.items(), ("#1f6feb", "#9ec5f8", "#888888"), "os^", strict=True):
        axis.plot([*by_batch], [rate / 1000 for rate in by_batch.values()], color=color, marker=marker, label=work)
    sizes = list(next(iter(rates.values())))
    axis.set_xscale("log", base=2)
    axis.set_xticks(sizes, [f"{size:,}" for size in sizes])
    axis.set_ylim(0, 1.3 * max(max(by_batch.values()) for by_batch in rates.values()) / 1000)
    axis.set_xlabel("rows a batch")
    axis.set_ylabel("thousand rows a second")
    axis.legend(frameon=False, loc="upper left", ncols=3, fontsize=9)
    axis.spines[["top", "right"]].set_visible(False)
    figure.savefig(path, dpi=144)


def table(timings: dict[tuple[str, int], Timing], rows: int, batches: list[int]) -> str:
    """A line a batch size: rows a second of each work, and tfwd's share of the bare tower's."""

    def cell(work: str, batch: int) -> str:
        timing, base = timings[work, batch], timings[WORKS[2], batch]
        rate = f"{rows / timing.median:,.0f}"
        return rate if work == WORKS[2] else f"{rate} ({base.median / timing.median:.0%})"

    header = ["rows a batch", *(f"{work}, rows/s" for work in WORKS)]
    return markdown(header, [[f"{batch:,}", *(cell(work, batch) for work in WORKS)] for batch in batches])


def main() -> None:
    """Prints the table, and draws it where that is asked for."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=200_000)
    parser.add_argument("--batches", type=int, nargs="+", default=[256, 512, 1024, 2048, 4096, 8192])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--picture", type=Path, help="a .png to write")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        path = str(Path(folder) / "clicks.parquet")
        clicks.write(path, options.rows)
        calls = {**epochs(path, options.batches), WORKS[2]: bare_towers(options.rows, options.batches)}
        keys = [(work, batch) for batch in options.batches for work in WORKS]
        named = {f"{work} {batch}": calls[work][batch] for work, batch in keys}
        timings = dict(zip(keys, side_by_side(named, options.rounds).values(), strict=True))
    print(table(timings, options.rows, options.batches))
    if options.picture:
        rates = {
            work: {batch: options.rows / timings[work, batch].median for batch in options.batches} for work in WORKS
        }
        picture(rates, options.picture)


if __name__ == "__main__":
    main()
