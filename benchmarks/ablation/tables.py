"""The study's figures as Markdown: mean and standard deviation over the seeds."""

from __future__ import annotations

import statistics
from typing import Any

from benchmarks.ablation.variants import BOTH, DEEP, PARTS, RATES, WIDE, Study, optimizer_name, variants
from benchmarks.documents import mean_and_spread
from benchmarks.timing import markdown

Runs = dict[str, dict[str, dict[str, Any]]]


def values(runs: Runs, name: str, metric: str, part: str = "test") -> list[float]:
    """A metric of a model, a value a seed."""
    return [float(figures[part][metric]) for figures in runs.get(name, {}).values()]


def best_rate(runs: Runs, head: str, optimizer: str) -> float | None:
    """The learning rate whose mean log loss of the validation rows is the lowest, of those that were measured."""
    measured = {
        rate: statistics.mean(losses)
        for rate in RATES[head][optimizer]
        if (losses := values(runs, optimizer_name(head, optimizer, rate), "log_loss", "validation"))
    }
    return min(measured, key=measured.__getitem__) if measured else None


def tables(study: Study, runs: Runs) -> str:
    """All tables of a data set."""
    rows = [
        [variant.name, str(len(runs[variant.name])), *_metrics(study, runs, variant.name), _size(runs, variant.name)]
        for variant in variants(study, PARTS)
        if variant.part != "optimizers" and runs.get(variant.name)
    ]
    header = ["model", "seeds", *study.metrics.values(), "wide weights not 0"]
    found = [markdown(header, rows)]
    for head, optimizers in RATES.items():
        lines = []
        for optimizer in optimizers:
            rate = best_rate(runs, head, optimizer)
            if rate is not None:
                name = optimizer_name(head, optimizer, rate)
                own = [optimizer, f"{rate:g}", str(len(runs[name])), *_metrics(study, runs, name)]
                lines.append([*own, _size(runs, name)] if head == "wide" else own)
        if lines:
            header = [f"{head} head by", "best rate", "seeds", *study.metrics.values()]
            found.append(markdown(header + ["wide weights not 0"] * (head == "wide"), lines))
    found += [
        seen_table(runs, what) for what in study.seen if any("seen" in seed for seed in runs.get(BOTH, {}).values())
    ]
    return "\n\n".join(found) + "\n"


def _metrics(study: Study, runs: Runs, name: str) -> list[str]:
    return [mean_and_spread(values(runs, name, metric)) for metric in study.metrics]


def _size(runs: Runs, name: str) -> str:
    sizes = [figures["weights_not_zero"] for figures in runs[name].values() if "weights_not_zero" in figures]
    return f"{statistics.mean(sizes):,.0f}" if sizes else ""


def seen_values(runs: Runs, name: str, what: str, bin: str, metric: str) -> list[float]:
    """A metric of a model on the test rows of a bin, a value a seed."""
    return [figures["seen"][what][bin][metric] for figures in runs[name].values() if bin in figures["seen"][what]]


def bins(runs: Runs, what: str) -> dict[str, int]:
    """The bins that have figures, with their test rows."""
    first = next(iter(runs[BOTH].values()))
    return {bin: figures["rows"] for bin, figures in first["seen"][what].items()}


def seen_table(runs: Runs, what: str) -> str:
    """Log loss and AUC of the test rows by how often was seen what they are about, a bin a line."""
    names = [name for name in (BOTH, WIDE, DEEP) if runs.get(name)]
    lines = [
        [
            bin,
            f"{count:,}",
            *(mean_and_spread(seen_values(runs, name, what, bin, "log_loss")) for name in names),
            *(mean_and_spread(seen_values(runs, name, what, bin, "auc")) for name in names),
        ]
        for bin, count in bins(runs, what).items()
    ]
    header = [f"training rows with {what}", "test rows"]
    return markdown(header + [f"log loss, {n}" for n in names] + [f"AUC, {n}" for n in names], lines)
