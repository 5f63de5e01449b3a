"""Why an item is in a list: what depends on it in the wide head, by name, and what the deep head adds."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from tfwd.config.features.categorical import Categorical
from tfwd.config.ranking import RankingConfig, sides
from tfwd.features.raw_tensors import tensors
from tfwd.features.space import FeatureSpace
from tfwd.inspection.wide_terms import WideTerms
from tfwd.recommend.catalogue import Raw
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
        self._space, self._lists = FeatureSpace(run.config.features, run.statistics), lists
        self._scale = float(run.model.heads.logit.scale.numpy())
        of = sides(self._space.features, ranking)
        self._shown = frozenset(name for name, side in of.items() if side != "user")
        catalogue = lists.catalogue
        titles = catalogue.titles or [""] * len(catalogue)
        self._titles = {str(i): title for i, title in zip(catalogue.ids.tolist(), titles, strict=True) if title}
        owners = [f for f in self._space.features if isinstance(f, Categorical) and f.column == ranking.item]
        self._items = {self._space.root(feature.name).name for feature in owners}
        self._wide = WideTerms(run.model, self._space, self._titled)

    def of(self, user: Raw, rows: NDArray[np.integer], count: int) -> list[list[str]]:
        """Returns the reasons for some items for one user, the largest first, each as text.

        Args:
            user: raw inputs, one row.
            rows: rows of the catalogue.
            count: reasons per item, at most.
        """
        wide = self.wide(user, rows)
        deep = self._scale * self._lists.logits(self._lists.user(tensors(user))).deep.numpy()
        above = deep[rows] - deep.mean()
        return [_texts(reasons, float(more), count) for reasons, more in zip(wide, above, strict=True)]

    def wide(self, user: Raw, rows: NDArray[np.integer]) -> list[list[tuple[float, str]]]:
        """Returns for some items and one user what the wide head adds that depends on the item, with its name."""
        repeated = {name: np.repeat(values, len(rows), axis=0) for name, values in user.items()}
        raw = {**repeated, **{name: values[rows] for name, values in self._lists.catalogue.inputs.items()}}
        found = self._wide.of(self._wide.transformed(tensors(raw)), self._shown)
        return [[(float(term.contribution[0]), term.name) for term in terms] for terms in found]

    def _titled(self, name: str, shown: str) -> str:
        """Returns the name of a feature's value, with a title for an item's id."""
        feature = self._space[name]
        if not isinstance(feature, Categorical) or self._space.root(name).name not in self._items:
            return shown
        given = f"{feature.column}="
        value = shown.removeprefix(given)
        return given + self._titles[value] if value in self._titles else shown


def _texts(wide: list[tuple[float, str]], deep: float, count: int) -> list[str]:
    reasons = [reason for reason in wide if reason[0] > 0]
    if deep > 0:
        reasons.append((deep, "deep"))
    reasons.sort(key=lambda reason: -reason[0])
    return [f"{name} {value:+.2f}" for value, name in reasons[:count]]
