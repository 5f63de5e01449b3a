"""What the wide head adds to the logits of a row: the weights that it reads, by name."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from tfwd.config.features.cross import Cross
from tfwd.features.crossed_keys import with_keys
from tfwd.features.layout import Slot, columns_of, weights_name
from tfwd.features.space import FeatureSpace
from tfwd.inspection.wide_weights import row_namer
from tfwd.model.wide_deep import WideDeep
from tfwd.schema import DTYPES

Transformed = Mapping[str, NDArray[Any]]
BIAS = "bias"


class WideTerm(NamedTuple):
    """A weight of the wide head in a row.

    Attributes:
        feature: the feature that has the weight; `bias` for that of a wide head without a deep one.
        name: the name of the weight, as in `wide_weights`, but a cross is named by what it combines in this row.
        contribution: float64 `(outputs,)`, what it adds to the logits: the weight times the number or the share of a
            bag that it is multiplied by, summed where a bag has a value more than once.
    """

    feature: str
    name: str
    contribution: NDArray[np.float64]


class WideTerms:
    """The terms of the wide head by row.

    Args:
        model: a trained model.
        space: its features and their statistics.
        renamed: turns the name of a feature's value into the one to show; gets the feature and that name.
    """

    def __init__(
        self, model: WideDeep, space: FeatureSpace, renamed: Callable[[str, str], str] = lambda _, name: name
    ) -> None:
        self._model, self._space, self._renamed = model, space, renamed
        transform, self._crosses = with_keys(model.transform)
        specs = {entry.name: tf.TensorSpec(entry.shape, DTYPES[entry.kind]) for entry in model.schema.inputs}
        # As a graph, since Keras takes many times as long to call its layers one by one.
        self._transform = tf.function(lambda raw: transform(raw), input_signature=[specs], autograph=False)
        self._cross_names = [feature.name for feature in space.features if isinstance(feature, Cross)]
        # A form of a number has its own name, which starts with the feature's name; so may another feature's name.
        self._owners = space.number_owners()
        self._namers: dict[str, Callable[[int], str]] = {}
        wide = model.layout.wide
        slots = wide.slots if wide is not None else ()
        self._columns = list(zip(columns_of(slots), (at for slot in slots for at in range(slot.width)), strict=True))

    def transformed(self, raw: Mapping[str, tf.Tensor]) -> dict[str, NDArray[Any]]:
        """Transforms raw inputs into what `of` reads; the transform's outputs are among it."""
        return {name: value.numpy() for name, value in self._transform(dict(raw)).items()}

    def of(self, found: Transformed, features: frozenset[str] | None = None) -> list[list[WideTerm]]:
        """Returns the terms of every row that are not zero, in the order of the tables.

        Args:
            found: the result of `transformed`.
            features: the features whose terms are wanted; all if None, with the bias.
        """
        count = len(next(iter(found.values())))
        rows: list[list[WideTerm]] = [[] for _ in range(count)]
        head = self._model.heads.wide
        if head is None:
            return rows
        scale = float(self._model.heads.logit.scale.numpy())
        if self._columns:
            chosen = [i for i, (slot, _) in enumerate(self._columns) if features is None or slot.feature in features]
            added = scale * self._of_categories(head, found)
            of_rows: list[dict[tuple[str, str], NDArray[np.float64]]] = [{} for _ in range(count)]
            for row, index in np.argwhere(added[:, chosen].any(axis=2)):
                column = chosen[index]
                slot, place = self._columns[column]
                name = self._name(slot, place, int(found["wide_ids"][row, column]), found, int(row))
                sums, key = of_rows[row], (slot.feature, name)
                sums[key] = sums[key] + added[row, column] if key in sums else added[row, column]
            rows = [[WideTerm(*key, value) for key, value in sums.items()] for sums in of_rows]
        for place, column in enumerate(self._model.layout.wide_numeric):
            name = self._model.layout.numeric[column]
            owner = self._owners[name]
            if features is None or owner in features:
                numbers = found["numeric"][:, column, np.newaxis].astype(np.float64)
                terms = scale * numbers * head.kernel.numpy()[place].astype(np.float64)
                for row in np.flatnonzero(terms.any(axis=1)):
                    rows[row].append(WideTerm(owner, name, terms[row]))
        if head.use_bias and features is None:
            bias = scale * head.bias.numpy().astype(np.float64)
            for terms_of_row in rows:
                terms_of_row.append(WideTerm(BIAS, BIAS, bias))
        return rows

    def _of_categories(self, head: Any, found: Transformed) -> NDArray[np.float64]:
        """What each column of the id matrix adds, `(B, columns, outputs)`, in the head's own unit."""
        ids = found["wide_ids"]
        weights: NDArray[np.float64] = tf.gather(head.table.table.value, ids).numpy().astype(np.float64)
        single = ids.shape[1] - head.bag_columns
        if head.bag_columns:
            shares = head.bag_shares(ids[:, single:], found.get(weights_name("wide_ids")))
            if shares is not None:
                weights[:, single:] *= np.asarray(shares, np.float64)[:, :, np.newaxis]
        return weights

    def _name(self, slot: Slot, place: int, table_row: int, found: Transformed, row: int) -> str:
        feature = self._space[slot.feature]
        if not isinstance(feature, Cross):
            return self._value(slot.feature, table_row - slot.start)
        assert self._crosses is not None
        keys = self._crosses.crosses[self._cross_names.index(feature.name)]
        lengths = [range(max(self._crosses.lengths[key], 1)) for key in keys]
        combination = next(itertools.islice(itertools.product(*lengths), place, None))
        ids = found["keys.ids"][row]
        columns = [self._crosses.id_columns[key][at] for key, at in zip(keys, combination, strict=True)]
        values = zip(feature.keys, columns, strict=True)
        return " x ".join(self._value(key, int(ids[column])) for key, column in values)

    def _value(self, name: str, local: int) -> str:
        if name not in self._namers:
            self._namers[name] = row_namer(name, self._space)
        return self._renamed(name, self._namers[name](local))
