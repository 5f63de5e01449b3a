"""What each head gives on the census: `python -m benchmarks.census`.

Trains the preset with both heads, the wide head alone and the deep head alone, over several seeds: validation rows
are carved from the official training rows and choose the number of epochs, a refit on all training rows follows,
and the official test rows are read once at the end. Writes the table and a picture.
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
import time
from pathlib import Path

import tfwd
from benchmarks.timing import markdown

HEADS = {"wide & deep": ("wide", "deep"), "wide only": ("wide",), "deep only": ("deep",)}
METRICS = {"auc": "AUC", "log_loss": "log loss", "accuracy": "accuracy"}


def measure(seeds: list[int], preset: str) -> dict[str, list[dict[str, float]]]:
    """The test metrics of every model and seed, with the seconds its training took."""
    results: dict[str, list[dict[str, float]]] = {name: [] for name in HEADS}
    with tempfile.TemporaryDirectory() as folder:
        for seed in seeds:
            for name, heads in HEADS.items():
                config = tfwd.Config.load(preset).replace(model__heads=heads, train__seed=seed)
                started = time.perf_counter()
                run = tfwd.fit(config, Path(folder) / f"{name.replace(' ', '-')}-{seed}")
                seconds = time.perf_counter() - started
                results[name].append({**run.metrics["test"], "seconds": seconds})
    return results


def table(results: dict[str, list[dict[str, float]]]) -> str:
    """Mean and standard deviation over the seeds."""

    def cell(rows: list[dict[str, float]], metric: str) -> str:
        values = [row[metric] for row in rows]
        spread = statistics.stdev(values) if len(values) > 1 else 0.0
        return f"{statistics.mean(values):.4f} ± {spread:.4f}"

    lines = [
        [name, *(cell(rows, metric) for metric in METRICS), f"{statistics.median(row['seconds'] for row in rows):.0f}"]
        for name, rows in results.items()
    ]
    both = results["wide & deep"]
    for name, rows in results.items():
        if rows is not both:
            ahead = [
                sum(
                    (ours[metric] < theirs[metric]) if metric == "log_loss" else (ours[metric] > theirs[metric])
                    for ours, theirs in zip(both, rows, strict=True)
                )
                for metric in METRICS
            ]
            lines.append([f"seeds with both ahead of {name}", *(f"{won} of {len(rows)}" for won in ahead), ""])
    return markdown(["model", *METRICS.values(), "seconds to train"], lines)


def picture(results: dict[str, list[dict[str, float]]], path: Path) -> None:
    """AUC and log loss of every seed and model, beside boosted trees on the same files."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(1, 2, figsize=(9, 2.8), layout="constrained")
    names = list(results)[::-1]
    for axis, metric, better, trees in (
        (axes[0], "auc", "higher is better", 0.9287),
        (axes[1], "log_loss", "lower is better", 0.2748),
    ):
        for height, name in enumerate(names):
            values = [row[metric] for row in results[name]]
            axis.scatter(values, [height] * len(values), s=42, color="#1f6feb", alpha=0.65, linewidths=0)
            axis.annotate(
                f"{statistics.mean(values):.4f}",
                (statistics.mean(values), height),
                xytext=(0, 9),
                bbox={"facecolor": "white", "edgecolor": "none", "pad": 0.5},
                textcoords="offset points",
                ha="center",
                fontsize=9,
            )
        axis.axvline(trees, color="#c0392b", linestyle="--", linewidth=1)
        axis.annotate(
            "CatBoost", (trees, len(names) - 0.02), color="#c0392b", fontsize=9, ha="center", annotation_clip=False
        )
        axis.set_yticks(range(len(names)), names)
        axis.set_ylim(-0.5, len(names) - 0.1)
        axis.set_xlabel(f"{METRICS[metric]} on the census test set ({better})")
        axis.spines[["top", "right"]].set_visible(False)
        axis.margins(x=0.12)
    figure.savefig(path, dpi=144)


def main() -> None:
    """Measures, prints, and writes the results where they are asked for."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2, 3, 4])
    parser.add_argument("--preset", default="census")
    parser.add_argument("--picture", type=Path, help="a .png to write")
    parser.add_argument("--json", type=Path, help="a .json to write the raw figures to")
    options = parser.parse_args()
    results = measure(options.seeds, options.preset)
    print(table(results))
    if options.json:
        options.json.write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")
    if options.picture:
        picture(results, options.picture)


if __name__ == "__main__":
    main()
