"""An estimate of the memory that a model takes in training: what the machine can't hold is refused at once.

A float32 table takes its weights and what its optimizer keeps per weight; a dense layer takes its gradient too.
"""

from __future__ import annotations

import itertools
import os
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, cast

from tfwd.config.features.base import Embedding, Feature
from tfwd.config.features.bucketized import Bucketized
from tfwd.config.features.categorical import Categorical, root
from tfwd.config.features.cross import Cross
from tfwd.config.features.numeric import Numeric
from tfwd.config.optimizers import SLOTS, OptimizerConfig
from tfwd.errors import ConfigError
from tfwd.features.layout import Layout
from tfwd.features.space import embedding_width

if TYPE_CHECKING:
    from tfwd.config.config import Config


_FLOAT = 4


class MemoryUse(NamedTuple):
    """Something that takes memory: the path of the key that sets its size, a description, and the bytes in training."""

    key: str
    what: str
    bytes: int


def least_memory(config: Config, tower: bool = True) -> list[MemoryUse]:
    """Returns what a model will take at least, judging by the configuration alone.

    Args:
        config: the whole configuration.
        tower: whether the tower is the configured one, not the user's own.
    """
    by_name: dict[str, Feature] = {feature.name: feature for feature in config.model_features}
    train, heads = config.train, config.model.heads
    outputs = len(config.data.label.classes or ()) or 1
    uses: list[MemoryUse] = []
    inputs = 0
    places = [(index, feature) for index, whole in enumerate(config.features) for feature in whole.expanded()]
    for index, feature in places:
        if isinstance(feature, Numeric):
            inputs += len(feature.numbers) if feature.deep else 0
            continue
        assert isinstance(feature, Bucketized | Categorical | Cross)
        key, rows = f"features[{index}] ({feature.name!r})", feature.known_rows(by_name)
        if feature.wide and "wide" in heads:
            copies = _copies(train.wide_optimizer)
            uses.append(MemoryUse(key, f"{rows:,} rows in the wide head", rows * outputs * _FLOAT * copies))
        if feature.embedding and "deep" in heads:
            shares = isinstance(feature, Categorical) and feature.embedding_of is not None
            owner = root(feature, by_name) if shares and isinstance(feature, Categorical) else feature
            width = embedding_width(cast(Embedding, owner.embedding), rows)
            inputs += width
            if not shares:
                copies = _copies(train.deep_optimizer) if feature.embedding_trainable else 1
                uses.append(MemoryUse(key, f"{rows:,} embeddings of {width}", rows * width * _FLOAT * copies))
        if feature.one_hot and "deep" in heads:
            inputs += rows
    return uses + _tower(config, inputs, tower)


def memory_of(config: Config, layout: Layout, tower: bool = True) -> list[MemoryUse]:
    """Returns what a model takes, now that the training rows are known; see `least_memory`."""
    train = config.train
    uses = []
    for table in layout.tables:
        optimizer = train.wide_optimizer if table.name == "wide" else train.deep_optimizer
        size = table.rows * table.dim * _FLOAT * _copies(optimizer)
        largest = max(table.ranges, key=lambda entry: entry.rows, default=None)
        most = f", {largest.rows:,} of them those of {largest.feature!r}" if largest else ""
        uses.append(MemoryUse(f"the table {table.name!r}", f"{table.rows:,} rows of {table.dim}{most}", size))
    inputs = sum(len(table.slots) * table.dim for table in layout.embeddings)
    inputs += sum(entry.rows for entry in layout.one_hot) + len(layout.deep_numeric)
    return uses + _tower(config, inputs, tower)


def refuse_too_large(uses: list[MemoryUse], memory: int | None = None) -> None:
    """Refuses a model that this machine cannot hold.

    Args:
        uses: what takes memory.
        memory: the machine's memory, in bytes; by default that of this machine.

    Raises:
        ConfigError: it is too large; names the largest of them.
    """
    memory = machine_memory() if memory is None else memory
    needed = sum(use.bytes for use in uses)
    if needed <= memory:
        return
    largest = sorted(uses, key=lambda use: -use.bytes)[:3]
    said = "; ".join(f"{use.key}: {use.what}, {_gibibytes(use.bytes)}" for use in largest if use.bytes)
    raise ConfigError(
        f"The model needs at least {_gibibytes(needed)} of memory in training, including the state of its optimizers, "
        f"and this machine has {_gibibytes(memory)}. Make it smaller. The largest are {said}."
    )


def machine_memory() -> int:
    """Returns the bytes of memory that this process may use: the machine's, or its container's."""
    sizes = [os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")]
    for name in ("memory.max", "memory/memory.limit_in_bytes"):
        try:
            text = (Path("/sys/fs/cgroup") / name).read_text().strip()
        except OSError:
            continue
        sizes += [int(text)] if text.isdecimal() else []
    return min(size for size in sizes if size > 0)


def _tower(config: Config, inputs: int, own: bool) -> list[MemoryUse]:
    if "deep" not in config.model.heads or not own:
        return []
    copies = _copies(config.train.deep_optimizer) + 1
    widths = [inputs, *config.model.hidden_units]
    return [
        MemoryUse(f"model.hidden_units[{index}]", f"{rows:,} x {columns:,} weights", rows * columns * _FLOAT * copies)
        for index, (rows, columns) in enumerate(itertools.pairwise(widths))
    ]


def _copies(optimizer: OptimizerConfig) -> int:
    """Returns how many numbers a weight takes, including itself."""
    slots = SLOTS[optimizer.name].values()
    kept = sum(option is None or bool(optimizer.options.get(option)) for option in slots)
    return 1 + kept + bool(optimizer.options.get("use_ema"))


def _gibibytes(size: int) -> str:
    return f"{size / 2**30:,.1f} GiB"
