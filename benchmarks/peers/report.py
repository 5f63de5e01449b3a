"""What was measured beside the peers, as Markdown tables and a picture."""

from __future__ import annotations

import statistics
from pathlib import Path
from typing import TypedDict

from benchmarks.timing import markdown

BASE = "tfwd"
Rounds = dict[str, list[dict[str, float]]]


class Figures(TypedDict):
    """Everything that was measured.

    Keys:
        rows: training rows of the clicks, by work.
        best: the AUC of the true probabilities.
        runs: by work, contender and round.
    """

    rows: dict[str, int]
    best: float
    runs: dict[str, Rounds]


def median(rounds: list[dict[str, float]], key: str) -> float:
    """The median of one figure over the rounds."""
    return statistics.median(entry[key] for entry in rounds)


def spread(rounds: list[dict[str, float]], key: str) -> str:
    """`median (minimum to maximum)` of seconds."""
    values = [entry[key] for entry in rounds]
    return f"{statistics.median(values):.1f} ({min(values):.1f} to {max(values):.1f})"


def tables(figures: Figures) -> str:
    """The tables, each with a line on what it shows."""
    runs, rows = figures["runs"], figures["rows"]
    every = [entry["load"] for work in runs.values() for rounds in work.values() for entry in rounds]
    count = len(next(iter(runs["clicks"].values())))
    parts = [
        f"Clicks, {rows['clicks']:,} training rows, medians of {count} rounds (minimum to maximum):",
        _speed(runs["clicks"], rows["clicks"]),
        "How many times as fast tfwd is, from Parquet, as ratios of these medians (below 1: slower):",
        _ratios(runs["clicks"]),
        f"tfwd on {rows['more']:,} rows, in the same rounds:",
        _speed(runs["more"], rows["more"]),
        f"Test rows, medians; the true probabilities of the clicks have AUC {figures['best']:.4f}:",
        _quality(runs),
        f"Load of the machine during the rounds: {min(every):.1f} to {max(every):.1f}, "
        f"median {statistics.median(every):.1f}.",
    ]
    return "\n\n".join(parts)


def _speed(runs: Rounds, rows: int) -> str:
    lines = [
        [
            name,
            spread(rounds, "prepare"),
            spread(rounds, "fit"),
            spread(rounds, "whole"),
            f"{rows / median(rounds, 'whole'):,.0f}",
            f"{median(rounds, 'rate'):,.0f}",
        ]
        for name, rounds in runs.items()
    ]
    header = ["", "preparation, s", "fit, s", "whole, s", "rows/s, whole", "rows/s, running"]
    return markdown(header, lines)


def _ratios(runs: Rounds) -> str:
    ours = runs[BASE]

    def times(theirs: float, mine: float) -> str:
        return f"{theirs / mine:.2f}"

    lines = [
        [
            name,
            times(median(rounds, "whole"), median(ours, "whole")),
            times(median(rounds, "fit"), median(ours, "whole")),
            times(median(ours, "rate"), median(rounds, "rate")),
        ]
        for name, rounds in runs.items()
        if name != BASE
    ]
    return markdown(["", "whole against whole", "its fit alone against tfwd's whole", "running"], lines)


def _quality(runs: dict[str, Rounds]) -> str:
    ours = {work: median(runs[work][BASE], "auc") for work in ("clicks", "census")}
    lines = []
    for name in runs["clicks"]:
        line = [name]
        for work in ("clicks", "census"):
            if name not in runs[work]:
                line += ["", "", ""]
                continue
            auc = median(runs[work][name], "auc")
            line += [f"{auc:.4f}", f"{auc - ours[work]:+.4f}", f"{median(runs[work][name], 'log_loss'):.4f}"]
        lines.append(line)
    columns = ["AUC", "to tfwd", "log loss"]
    return markdown(["", *(f"{work}: {name}" for work in ("clicks", "census") for name in columns)], lines)


def picture(figures: Figures, path: Path) -> None:
    """Rows a second of the whole training and of the running one, and what was learned."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    runs, rows = figures["runs"]["clicks"], figures["rows"]["clicks"]
    names = list(runs)[::-1]
    figure, (speed, learned) = plt.subplots(
        1, 2, figsize=(10, 3.6), layout="constrained", sharey=True, width_ratios=(2.2, 1)
    )
    bars = (("once it runs", "#9ec5f8", 0.2), ("whole: from the file to the model", "#1f6feb", -0.2))
    for label, color, shift in bars:
        for height, name in enumerate(names):
            values = [entry["rate"] if shift > 0 else rows / entry["whole"] for entry in runs[name]]
            middle = statistics.median(values)
            speed.barh(height + shift, middle, 0.36, color=color, label=label if height == 0 else None)
            speed.plot((min(values), max(values)), (height + shift,) * 2, color="#333333", linewidth=1)
            speed.annotate(
                f"{middle / 1000:.1f}k",
                (max(max(values), middle), height + shift),
                xytext=(4, 0),
                textcoords="offset points",
                va="center",
                fontsize=8,
            )
    speed.set_yticks(range(len(names)), names)
    speed.set_xlabel(f"rows a second, {rows:,} rows of clicks (median, minimum to maximum)")
    speed.legend(loc="lower right", frameon=False, fontsize=8)
    speed.margins(x=0.12)
    for height, name in enumerate(names):
        learned.scatter(
            [entry["auc"] for entry in runs[name]], [height] * len(runs[name]), s=24, color="#1f6feb", alpha=0.6
        )
    learned.set_xlabel("AUC on test rows, a point a round")
    for axis in (speed, learned):
        axis.spines[["top", "right"]].set_visible(False)
    figure.savefig(path, dpi=144)
