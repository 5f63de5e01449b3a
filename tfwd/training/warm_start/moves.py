"""Which rows and columns of an older model's variables go where in the variables of a new one."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import keras
import numpy as np
from numpy.typing import NDArray

from tfwd.config.features.numeric import Numeric
from tfwd.features.layout import Block, Table
from tfwd.features.space import FeatureSpace
from tfwd.model.wide_deep import WideDeep
from tfwd.training.warm_start.report import Counts, Report
from tfwd.training.warm_start.rows import Ids, Match, match_rows, same_definition

Pairs = tuple[Ids, Ids]


@dataclass(frozen=True)
class Move:
    """The values that a variable takes from an older one, and its slots from the older slots.

    Attributes:
        new: the new variable.
        old: the older variable.
        pairs: for each axis the positions in the new variable and those in the older one, None for a whole axis.
    """

    new: keras.Variable
    old: keras.Variable
    pairs: tuple[Pairs | None, ...]

    def carried(self, new: NDArray, old: NDArray) -> NDArray:
        """Returns the new array, of the variable or one of its slots, with what it takes from the older one."""
        if all(pair is None for pair in self.pairs):
            return old
        axes = [pair or (np.arange(size),) * 2 for pair, size in zip(self.pairs, new.shape, strict=True)]
        result = new.copy()
        result[np.ix_(*(pair[0] for pair in axes))] = old[np.ix_(*(pair[1] for pair in axes))]
        return result

    def mask(self) -> NDArray[np.bool_]:
        """Returns which numbers of the new variable are carried over."""
        ones = np.ones(self.old.shape, bool)
        return self.carried(np.zeros(self.new.shape, bool), ones)


class Mover:
    """Finds the moves between two models, and reports them.

    Args:
        new, old: the models, with the same task.
        new_space, old_space: their features and what was learned about them.
        report: the report to fill.
    """

    def __init__(
        self, new: WideDeep, old: WideDeep, new_space: FeatureSpace, old_space: FeatureSpace, report: Report
    ) -> None:
        self.new, self.old = new, old
        self.new_space, self.old_space, self.report = new_space, old_space, report
        self.classes = self._match_classes()
        self._matches: dict[str, Match] = {}

    def moves(self) -> Iterator[Move]:
        """Returns all moves, of trained variables and of those of normalization layers."""
        yield from self._wide()
        yield from self._deep()
        yield from self._output_bias()
        self._report_gone()

    def _match_classes(self) -> Pairs | None:
        """Returns the logits that both models have: the single one, or those of the classes of the same name."""
        if self.new.schema.task != "multiclass":
            return None
        new, old = self.new.schema.classes, self.old.schema.classes
        common = [name for name in new if name in old]
        self.report.classes = _counts(len(common), len(new), len(old))
        if new == old:
            return None
        return np.array([new.index(name) for name in common]), np.array([old.index(name) for name in common])

    def _match(self, name: str) -> Match:
        if name not in self._matches:
            self._matches[name] = match_rows(name, self.new_space, self.old_space)
        return self._matches[name]

    def _wide(self) -> Iterator[Move]:
        new, old = self.new.heads.wide, self.old.heads.wide
        if new is None:
            return
        if self.new.layout.wide is not None:
            table = None if old is None else self.old.layout.wide
            places = self._table_rows(self.new.layout.wide, [] if table is None else [table])
            if old is not None and table is not None:
                assert new.table is not None
                assert old.table is not None
                yield Move(new.table.table, old.table.table, (places[table.name], self.classes))
        if new.numeric:
            names = [self.new.layout.numeric[index] for index in new.numeric]
            known = [] if old is None else [self.old.layout.numeric[index] for index in old.numeric]
            found = self._numbers(names, known)
            self.report.numbers["wide"] = _counts(len(found[0]), len(names), len(known))
            if old is not None and len(found[0]):
                yield Move(new.kernel, old.kernel, (found, self.classes))

    def _numbers(self, names: list[str], known: list[str]) -> Pairs:
        """Returns the positions of the numbers that both models have and scale alike."""
        alike: set[str] = set()
        for name, feature in self.new_space.by_name.items():
            if not isinstance(feature, Numeric) or not same_definition(feature, self.old_space.by_name.get(name)):
                continue
            numerics, before = self.new_space.statistics.numerics, self.old_space.statistics.numerics
            if all(numerics[key] == before[key] for key in feature.statistics_keys):
                alike.update(feature.numbers)
        common = [name for name in names if name in known and name in alike]
        return (
            np.array([names.index(name) for name in common], np.int64),
            np.array([known.index(name) for name in common], np.int64),
        )

    def _table_rows(self, table: Table, olds: list[Table]) -> dict[str, Pairs]:
        """Returns the rows of a table that are taken from each older table, by the older table's name."""
        where = {entry.feature: (old, entry) for old in olds for entry in old.ranges}
        padding = np.zeros(1, np.int64)
        places: dict[str, list[Pairs]] = {old.name: [(padding, padding)] for old in olds}
        for entry in table.ranges:
            match = self._match(entry.feature)
            if match.reason is None and entry.feature not in where:
                match = Match.none(entry.rows, 0, "had no place there")
            if match.reason is None:
                old, before = where[entry.feature]
                if old.dim != table.dim and table.name != "wide":
                    match = Match.none(entry.rows, before.rows, f"had the width {old.dim}, has {table.dim}")
                else:
                    places[old.name].append((match.new + entry.start, match.old + before.start))
            self.report.add_table(table.name, entry.feature, match)
        return {name: _joined(pairs) for name, pairs in places.items()}

    def _deep(self) -> Iterator[Move]:
        new, old = self.new.heads.deep, self.old.heads.deep
        if new is None:
            return
        olds = [] if old is None else list(self.old.layout.embeddings)
        tables = {layer.name: layer.table for layer in new.embeddings}
        old_tables = {} if old is None else {layer.name: layer.table for layer in old.embeddings}
        for table in self.new.layout.embeddings:
            places = self._table_rows(table, olds)
            # There is one table per width.
            if table.name in places:
                yield Move(tables[table.name], old_tables[table.name], (places[table.name], None))
        if old is None:
            self.report.tower.append({"layer": "all", "carried": "no", "why": "there was no deep head"})
            return
        yield from self._tower(new, old)

    def _tower(self, new: keras.layers.Layer, old: keras.layers.Layer) -> Iterator[Move]:
        inputs, width, old_width = self._tower_inputs()
        first, old_first = _first_kernel(new.tower), _first_kernel(old.tower)
        weights = _floats(new.tower)
        known = {**_same_weights(weights, _floats(old.tower)), new.logits.kernel.path: old.logits.kernel}
        # A tower whose first layer is unknown must read the same inputs as before; otherwise it is a different tower.
        whole = len(inputs[0]) == width == old_width and np.array_equal(*inputs)
        for variable in [*weights, new.logits.kernel]:
            before = known.get(variable.path)
            pairs: list[Pairs | None] = [None] * len(variable.shape)
            shape, old_shape = list(variable.shape), None if before is None else list(before.shape)
            if variable is new.logits.kernel:
                pairs[-1] = self.classes
                shape, old_shape = shape[:-1], old_shape and old_shape[:-1]
            read_by_name = variable is first and before is old_first and before is not None
            if read_by_name:
                pairs[0] = None if whole else inputs
                shape, old_shape = shape[1:], old_shape and old_shape[1:]
            if before is None:
                why = "had no place there"
            elif shape != old_shape:
                why = f"had the shape {tuple(before.shape)}, has {tuple(variable.shape)}"
            elif first is None and not whole:
                why = "the inputs of a custom tower have changed"
            else:
                why = ""
                assert before is not None
                yield Move(variable, before, tuple(pairs))
            part = read_by_name and len(inputs[0]) < width
            carried = "no" if why else f"{len(inputs[0])} of {width} inputs" if part else "yes"
            self.report.tower.append({"layer": variable.path.removeprefix("deep/"), "carried": carried, "why": why})

    def _tower_inputs(self) -> tuple[Pairs, int, int]:
        """Returns the columns that the tower shares with the older one, and how many columns either has."""
        blocks = {(block.kind, block.name): block for block in self.new.layout.tower_blocks()}
        old_blocks = {(block.kind, block.name): block for block in self.old.layout.tower_blocks()}
        found: list[Pairs] = []
        for (kind, name), block in blocks.items():
            if kind != "number" and (kind, name) not in old_blocks:
                if kind == "one_hot":
                    self.report.add_table("one_hot", name, Match.none(block.size, 0, "had no place there"))
                continue
            if kind == "one_hot":
                match = self._match(name)
                self.report.add_table("one_hot", name, match)
                found.append((match.new + block.start, match.old + old_blocks[kind, name].start))
            elif kind == "embedding":
                before = old_blocks[kind, name]
                if block.size == before.size and self._match(self.new_space.embedded_as(name).name).reason is None:
                    columns = np.arange(block.size)
                    found.append((columns + block.start, columns + before.start))
        names, known = _numbers_of(blocks), _numbers_of(old_blocks)
        alike = self._numbers(names, known)
        if names:
            self.report.numbers["deep"] = _counts(len(alike[0]), len(names), len(known))
        new_starts = np.array([blocks["number", name].start for name in names], np.int64)
        old_starts = np.array([old_blocks["number", name].start for name in known], np.int64)
        found.append((new_starts[alike[0]], old_starts[alike[1]]))
        return _joined(found), _width(blocks.values()), _width(old_blocks.values())

    def _report_gone(self) -> None:
        """Reports the features whose rows are no longer in any table."""
        for wide in (True, False):
            kept = {e.feature for t in self.new.layout.tables if (t.name == "wide") == wide for e in t.ranges}
            for table in self.old.layout.tables:
                for entry in table.ranges if (table.name == "wide") == wide else ():
                    if entry.feature not in kept:
                        match = Match.none(0, entry.rows, "no longer exists")
                        self.report.add_table(table.name, entry.feature, match)

    def _output_bias(self) -> Iterator[Move]:
        new, old = output_bias(self.new), output_bias(self.old)
        if new is not None and old is not None:
            yield Move(new, old, (self.classes,))


def output_bias(model: WideDeep) -> keras.Variable | None:
    """Returns the bias of the logits: the deep head's, or the wide head's where there is no deep head."""
    deep, wide = model.heads.deep, model.heads.wide
    return deep.logits.bias if deep is not None else wide.bias if wide is not None and wide.use_bias else None


def carry_base(new: WideDeep, old: WideDeep) -> None:
    """Starts the logits where the older model's start, and in its unit; new classes start at their own shares."""
    to, given = new.heads.logit, old.heads.logit
    base = to.base.numpy()
    for index, name in enumerate(new.schema.classes if len(base) > 1 else ("",)):
        if len(base) == 1:
            base[index] = given.base.numpy()[0]
        elif name in old.schema.classes:
            base[index] = given.base.numpy()[old.schema.classes.index(name)]
    to.set_base(base.tolist(), float(given.scale.numpy()))


def _first_kernel(tower: keras.layers.Layer) -> keras.Variable | None:
    """Returns the first kernel of a feed-forward tower, one row per input; None for another kind of tower."""
    layers = tower.layers if isinstance(tower, keras.Sequential) else [tower]
    return layers[0].kernel if layers and type(layers[0]) is keras.layers.Dense else None


def _floats(tower: keras.layers.Layer) -> list[keras.Variable]:
    return [variable for variable in tower.variables if str(variable.dtype).startswith("float")]


def _same_weights(new: list[keras.Variable], old: list[keras.Variable]) -> dict[str, keras.Variable]:
    """Returns the older weight of each path: by position if both towers are alike, as Keras numbers unnamed layers."""
    kinds, old_kinds = ([(variable.name, len(variable.shape)) for variable in weights] for weights in (new, old))
    if kinds == old_kinds:
        return {variable.path: before for variable, before in zip(new, old, strict=True)}
    return {variable.path: variable for variable in old}


def _numbers_of(blocks: Iterable[tuple[str, str]]) -> list[str]:
    return [name for kind, name in blocks if kind == "number"]


def _width(blocks: Iterable[Block]) -> int:
    return sum(block.size for block in blocks)


def _joined(pairs: list[Pairs]) -> Pairs:
    return np.concatenate([pair[0] for pair in pairs]), np.concatenate([pair[1] for pair in pairs])


def _counts(carried: int, rows: int, old_rows: int) -> Counts:
    return {"carried": carried, "new": rows - carried, "gone": old_rows - carried}
