"""Counters of all workers, in Prometheus' text format and under TensorFlow Serving's names.

The counters of a worker are numbers in a file that it maps into memory, so that any worker can add up all of them, and
those of a killed one are not lost.
"""

from __future__ import annotations

import json
import mmap
import os
import tempfile
from bisect import bisect_left
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

# Microseconds: TensorFlow Serving's own grow by 1.8 from 10.
BOUNDS = tuple(round(10 * 1.8**power, 3) for power in range(32))
_SLOTS = 4096
_BYTES = 8

Key = tuple[str, tuple[tuple[str, str], ...]]


class Counters:
    """The counters of one worker.

    Args:
        folder: where the workers of a server keep them; a temporary one if None.
    """

    def __init__(self, folder: Path | None = None) -> None:
        self._own = tempfile.TemporaryDirectory(prefix="tfwd-counters-") if folder is None else None
        self.folder = folder or Path(self._own.name)  # type: ignore[union-attr]
        stem = self.folder / f"{os.getpid()}-{os.urandom(4).hex()}"
        self._names = stem.with_suffix(".names").open("a", encoding="utf-8")
        self._file = stem.with_suffix(".values").open("w+b")
        self._file.truncate(_SLOTS * _BYTES)
        self._map = mmap.mmap(self._file.fileno(), 0)
        self._values = memoryview(self._map).cast("d")
        self._slots: dict[Key, int] = {}

    def slot(self, name: str, **labels: str) -> int:
        """Returns the place of a counter, for `add`."""
        key = (name, tuple(sorted(labels.items())))
        found = self._slots.get(key)
        if found is None:
            found = len(self._slots)
            if found == len(self._values):
                self._grow()
            self._names.write(json.dumps([name, labels]) + "\n")
            self._names.flush()
            self._slots[key] = found
        return found

    def add(self, slot: int, value: float = 1.0) -> None:
        """Adds to a counter."""
        self._values[slot] += value

    def histogram(self, name: str, **labels: str) -> Histogram:
        """Returns a histogram of microseconds."""
        return Histogram(self, name, labels)

    def _grow(self) -> None:
        self._values.release()
        self._map.close()
        self._file.truncate(2 * len(self._slots) * _BYTES)
        self._map = mmap.mmap(self._file.fileno(), 0)
        self._values = memoryview(self._map).cast("d")

    def exposition(self) -> bytes:
        """Returns the counters of all workers in Prometheus' text format."""
        return "".join(_lines(self.folder)).encode()

    def close(self) -> None:
        """Releases the files; those of a shared folder stay for the other workers."""
        self._values.release()
        self._map.close()
        self._file.close()
        self._names.close()
        if self._own is not None:
            self._own.cleanup()


class Histogram:
    """How many requests took how long.

    Args:
        counters: where they are counted.
        name: the name of the metric.
        labels: its labels.
    """

    def __init__(self, counters: Counters, name: str, labels: dict[str, str]) -> None:
        self._counters = counters
        bounds = [*(f"{bound:g}" for bound in BOUNDS), "+Inf"]
        self._buckets = [counters.slot(f"{name}_bucket", **labels, le=bound) for bound in bounds]
        self._sum = counters.slot(f"{name}_sum", **labels)

    def observe(self, microseconds: float) -> None:
        """Counts a request."""
        self._counters.add(self._buckets[bisect_left(BOUNDS, microseconds)])
        self._counters.add(self._sum, microseconds)


Labels = tuple[tuple[str, str], ...]


def _lines(folder: Path) -> Iterator[str]:
    """Yields all workers' counters, added up.

    The format is that of Prometheus, "Text-based format". The client library would append `_total` to the names.
    """
    found: dict[str, dict[Labels, float]] = defaultdict(lambda: defaultdict(float))
    for names in sorted(folder.glob("*.names")):
        for (name, labels), value in _read(names):
            found[name][tuple(sorted(labels.items()))] += value
    for name, values in sorted(found.items()):
        if name.endswith("_sum"):
            continue
        base = name.removesuffix("_bucket")
        kind = "histogram" if base != name else "counter"
        yield f"# HELP {base} {HELP.get(base, base)}\n# TYPE {base} {kind}\n"
        if kind == "histogram":
            yield from _histogram(base, values, found[f"{base}_sum"])
        else:
            yield from (_sample(name, labels, value) for labels, value in sorted(values.items()))


def _histogram(name: str, buckets: dict[Labels, float], sums: dict[Labels, float]) -> Iterator[str]:
    by_labels: dict[Labels, dict[str, float]] = defaultdict(dict)
    for labels, value in buckets.items():
        by_labels[tuple(entry for entry in labels if entry[0] != "le")][dict(labels)["le"]] = value
    for labels, counts in sorted(by_labels.items()):
        total = 0.0
        for bound in sorted(counts, key=float):
            total += counts[bound]
            yield _sample(f"{name}_bucket", (*labels, ("le", bound)), total)
        yield _sample(f"{name}_sum", labels, sums.get(labels, 0.0))
        yield _sample(f"{name}_count", labels, total)


def _sample(name: str, labels: Labels, value: float) -> str:
    escaped = str.maketrans({"\\": "\\\\", '"': '\\"', "\n": "\\n"})
    shown = ",".join(f'{key}="{text.translate(escaped)}"' for key, text in labels)
    number = str(int(value)) if value.is_integer() else repr(value)
    return f"{name}{{{shown}}} {number}\n" if shown else f"{name} {number}\n"


def _read(names: Path) -> Iterator[tuple[tuple[str, dict[str, str]], float]]:
    """Yields one worker's counters; a line or number that is just being written is left out."""
    try:
        lines = names.read_text(encoding="utf-8").split("\n")[:-1]
        values = memoryview(names.with_suffix(".values").read_bytes()).cast("d")
    except OSError:
        return
    for line, value in zip(lines, values, strict=False):
        name, labels = json.loads(line)
        yield (name, labels), value


HELP = {
    ":tensorflow:serving:request_count": "Requests by model and status.",
    ":tensorflow:serving:request_latency": "Microseconds from a request's arrival to its answer.",
    ":tensorflow:serving:batching_session:queuing_latency": "Microseconds that a request waited for its batch.",
    "tfwd_rows": "Rows in calls of the model.",
    "tfwd_batches": "Calls of the model.",
    "tfwd_input_values": "Values of requests: unseen in training, missing, or outside the range of the training rows.",
}
