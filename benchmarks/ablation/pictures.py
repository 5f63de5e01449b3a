"""The study's pictures: models beside each other, learning rates, and what was seen often and never."""

from __future__ import annotations

import statistics
from pathlib import Path
from typing import Any

from benchmarks.ablation.tables import Runs, bins, seen_values, values
from benchmarks.ablation.variants import BOTH, DEEP, PARTS, RATES, WIDE, Study, optimizer_name, variants

BLUE, RED, GREEN, ORANGE = "#1f6feb", "#c0392b", "#2d8a4e", "#d98218"
HEAD_COLOURS = {BOTH: BLUE, WIDE: RED, DEEP: GREEN}
OPTIMIZER_COLOURS = {"sgd": ORANGE, "lazy_adam": BLUE, "adagrad": GREEN, "sparse_ftrl": RED}
OPTIMIZER_NAMES = {"sgd": "SGD", "lazy_adam": "Adam", "adagrad": "AdaGrad", "sparse_ftrl": "FTRL"}


def draw(dataset: str, study: Study, runs: Runs, folder: Path) -> None:
    """Writes `ablation_<dataset>_models.png`, `_rates.png` and `_seen.png`, of what there are figures for."""
    import matplotlib

    matplotlib.use("Agg")
    for what, picture in (("models", models), ("rates", rates), ("seen", seen)):
        figure = picture(study, runs)
        if figure is not None:
            figure.savefig(folder / f"ablation_{dataset}_{what}.png", dpi=144)


def models(study: Study, runs: Runs) -> Any:
    """A row a model, a dot a seed, a panel a metric."""
    import matplotlib.pyplot as plt

    names = [v.name for v in variants(study, PARTS) if v.part != "optimizers" and runs.get(v.name)][::-1]
    if not names:
        return None
    rows = -(-len(study.metrics) // 2)
    figure, axes = plt.subplots(
        rows, 2, figsize=(9.6, (0.7 + 0.36 * len(names)) * rows), sharey=True, layout="constrained"
    )
    for axis, (metric, heading) in zip(axes.flat, study.metrics.items(), strict=True):
        for height, name in enumerate(names):
            numbers = values(runs, name, metric)
            colour = HEAD_COLOURS[name.split(",")[0]]
            axis.scatter(numbers, [height] * len(numbers), s=34, color=colour, alpha=0.55, linewidths=0)
            axis.scatter([statistics.mean(numbers)], [height], s=110, color=colour, marker="|")
        axis.set_yticks(range(len(names)), names)
        axis.set_xlabel(f"{heading} ({'lower' if metric == 'log_loss' else 'higher'} is better)")
        axis.grid(axis="y", color="#eeeeee")
        axis.set_axisbelow(True)
        axis.locator_params(axis="x", nbins=5)
        axis.spines[["top", "right", "left"]].set_visible(False)
        axis.tick_params(axis="y", length=0)
        axis.set_ylim(-0.6, len(names) - 0.4)
        axis.margins(x=0.1)
    return figure


def rates(study: Study, runs: Runs) -> Any:
    """Log loss of the test rows against the learning rate, an optimizer a line, a head a panel."""
    import matplotlib.pyplot as plt

    if not any(name.startswith(("wide:", "deep:")) for name in runs):
        return None
    figure, axes = plt.subplots(1, 2, figsize=(10, 3.8), sharey=True, layout="constrained")
    lowest: list[float] = []
    for axis, (head, optimizers) in zip(axes, RATES.items(), strict=True):
        for optimizer, grid in optimizers.items():
            found = [(r, n) for r in grid if (n := values(runs, optimizer_name(head, optimizer, r), "log_loss"))]
            if not found:
                continue
            means = [statistics.mean(numbers) for _, numbers in found]
            lowest += means
            colour = OPTIMIZER_COLOURS[optimizer]
            steps = [rate for rate, _ in found]
            # AdaGrad is drawn broad: on it lies FTRL, which without L1 and L2 is the same.
            width = 4.5 if optimizer == "adagrad" else 1.5
            axis.plot(steps, means, marker="o", ms=4, lw=width, color=colour, label=OPTIMIZER_NAMES[optimizer])
            axis.fill_between(
                steps,
                [min(numbers) for _, numbers in found],
                [max(numbers) for _, numbers in found],
                color=colour,
                alpha=0.18,
                linewidth=0,
            )
        axis.set_title(f"{head} head; the other one as in the preset", fontsize=10)
        axis.set_xscale("log")
        axis.set_xlabel("learning rate")
        axis.spines[["top", "right"]].set_visible(False)
        axis.grid(color="#eeeeee")
        axis.legend(frameon=False, fontsize=9)
    # A rate that is far too high would flatten all other lines.
    best = min(lowest)
    axes[0].set_ylim(best - 0.004, min(max(lowest), best + 0.08) + 0.004)
    axes[0].set_ylabel("log loss, test rows")
    return figure


def seen(study: Study, runs: Runs) -> Any:
    """How far each head alone is behind both, by how often was seen what a row is about."""
    import matplotlib.pyplot as plt

    if not all("seen" in figures for name in HEAD_COLOURS for figures in runs.get(name, {"": {}}).values()):
        return None
    lines = -(-len(study.seen) // 2)
    figure, axes = plt.subplots(lines, 2, figsize=(9.6, 3.4 * lines), sharey=True, layout="constrained")
    for axis, what in zip(axes.flat, study.seen, strict=True):
        rows = bins(runs, what)
        for shift, name in ((-0.08, WIDE), (0.08, DEEP)):
            for place, bin in enumerate(rows):
                both = seen_values(runs, BOTH, what, bin, "log_loss")
                alone = seen_values(runs, name, what, bin, "log_loss")
                differences = [one - other for one, other in zip(alone, both, strict=False)]
                axis.scatter(
                    [place + shift] * len(differences), differences, s=26, color=HEAD_COLOURS[name], alpha=0.6,
                    linewidths=0, label=name if not place else None,
                )  # fmt: skip
                axis.scatter(
                    [place + shift], [statistics.mean(differences)], s=140, color=HEAD_COLOURS[name], marker="_"
                )
        axis.axhline(0, color=BLUE, linewidth=1)
        axis.set_xticks(range(len(rows)), [f"{bin}\n{number:,}" for bin, number in rows.items()], fontsize=8)
        axis.set_title(what, fontsize=10)
        axis.set_xlabel("times in the training rows, and test rows")
        axis.spines[["top", "right"]].set_visible(False)
    figure.supylabel(f"log loss above that of {BOTH}", fontsize=10)
    axes.flat[0].legend(frameon=False, fontsize=9)
    return figure
