"""Why an item is in a list: what depends on it in the wide head, by name, and what the deep head adds."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from tfwd.config.features.categorical import Categorical
from tfwd.config.features.cross import Cross
from tfwd.config.ranking import RankingConfig, sides
from tfwd.features.layout import Slot, columns_of, weights_name
from tfwd.features.raw_tensors import tensors
from tfwd.features.space import FeatureSpace
from tfwd.inspection.wide_weights import row_names
from tfwd.recommend.catalogue import Raw
from tfwd.recommend.pair_scorer import with_keys
from tfwd.recommend.top_k import ListMaker
from tfwd.run_folder.folder import RunFolder


class Reasons:
    """Names the reasons for items.

    The weights of features of the user alone are the same for every item, and are not a reason. The deep head's share
    is compared with its mean over the catalogue.

    Args:
        run: the run of the model.
        ranking: says what belongs to the item.
        lists: the model and the catalogue.
    """

    def __init__(self, run: RunFolder, ranking: RankingConfig, lists: ListMaker) -> None:
        self._model, self._space = run.model, FeatureSpace(run.config.features, run.statistics)
        self._lists, self._ranking = lists, ranking
        of = sides(self._space.features, ranking)
        self._shown = {name for name, side in of.items() if side != "user"}
        # A form of a number has its own name, which starts with the feature's name; so may another feature's name.
        self._owners = self._space.number_owners()
        self._transform, self._crosses = with_keys(run.model.transform)
        self._names: dict[tuple[str, int], str] = {}
        catalogue = lists.catalogue
        titles = catalogue.titles or [""] * len(catalogue)
        self._titles = {str(i): title for i, title in zip(catalogue.ids.tolist(), titles, strict=True) if title}
        owners = [f for f in self._space.features if isinstance(f, Categorical) and f.column == ranking.item]
        self._items = {self._space.root(feature.name).name for feature in owners}

    def of(self, user: Raw, rows: NDArray[np.integer], count: int) -> list[str]:
        """Returns the reasons for some items for one user, as text.

        Args:
            user: raw inputs, one row.
            rows: rows of the catalogue.
            count: reasons per item, at most.
        """
        catalogue = self._lists.catalogue
        repeated = {name: np.repeat(values, len(rows), axis=0) for name, values in user.items()}
        raw = {**repeated, **{name: values[rows] for name, values in catalogue.inputs.items()}}
        found = {name: value.numpy() for name, value in self._transform(tensors(raw)).items()}
        deep = self._lists.logits(self._lists.user(tensors(user))).deep.numpy()
        above = deep[rows] - deep.mean()
        return [self._text(found, row, float(above[row]), count) for row in range(len(rows))]

    def _text(self, found: dict[str, NDArray[Any]], row: int, deep: float, count: int) -> str:
        reasons = [reason for reason in self._wide(found, row) if reason[0] > 0]
        if deep > 0:
            reasons.append((deep, "deep"))
        reasons.sort(key=lambda reason: -reason[0])
        return "; ".join(f"{name} {value:+.2f}" for value, name in reasons[:count])

    def _wide(self, found: dict[str, NDArray[Any]], row: int) -> list[tuple[float, str]]:
        layout, head = self._model.layout, self._model.heads.wide
        reasons: list[tuple[float, str]] = []
        if head is None:
            return reasons
        if layout.wide is not None:
            assert head.table is not None
            ids = found["wide_ids"][row]
            weights = tf.gather(head.table.table.value, ids).numpy()[:, 0]
            factors = np.ones(len(ids), np.float32)
            single = len(ids) - head.bag_columns
            given = found.get(weights_name("wide_ids"))
            counted = head.bag_shares(ids[None, single:], None if given is None else given[row : row + 1])
            if counted is not None:
                factors[single:] = np.asarray(counted)[0]
            slots = columns_of(layout.wide.slots)
            places = [place for slot in layout.wide.slots for place in range(slot.width)]
            for column, (slot, place) in enumerate(zip(slots, places, strict=True)):
                value = float(weights[column] * factors[column])
                if value and slot.feature in self._shown:
                    reasons.append((value, self._name(slot, place, int(ids[column]), found, row)))
        for place, column in enumerate(layout.wide_numeric):
            name = layout.numeric[column]
            if self._owners[name] in self._shown:
                value = float(found["numeric"][row, column] * head.kernel.numpy()[place, 0])
                reasons.append((value, name))
        return reasons

    def _name(self, slot: Slot, place: int, table_row: int, found: dict[str, NDArray[Any]], row: int) -> str:
        feature = self._space[slot.feature]
        if not isinstance(feature, Cross):
            return self._value(slot.feature, table_row - slot.start)
        crosses = [f for f in self._space.features if isinstance(f, Cross)]
        keys = self._crosses.crosses[crosses.index(feature)]
        lengths = [range(max(self._crosses.lengths[key], 1)) for key in keys]
        combination: Sequence[int] = next(itertools.islice(itertools.product(*lengths), place, None))
        ids = found["keys.ids"][row]
        columns = [self._crosses.id_columns[key][at] for key, at in zip(keys, combination, strict=True)]
        values = zip(feature.keys, columns, strict=True)
        return " x ".join(self._value(key, int(ids[column])) for key, column in values)

    def _value(self, name: str, local: int) -> str:
        """Returns the name of a feature's local id, with a title for an item's id."""
        if (name, local) not in self._names:
            shown = row_names(name, np.array([local]), self._space, self._model)[0]
            feature = self._space[name]
            if isinstance(feature, Categorical) and self._space.root(name).name in self._items:
                given = f"{feature.column}="
                value = shown.removeprefix(given)
                shown = given + self._titles[value] if value in self._titles else shown
            self._names[name, local] = shown
        return self._names[name, local]
