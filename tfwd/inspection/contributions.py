"""The logit of a row as a sum: the base rate, the weights of the wide head by name, the deep head by feature.

The wide head is a sum already: its terms are the weights that the row reads, times the numbers that they are multiplied
by. The deep head is not: it is compared with background rows, and each feature has a share in the difference, which
`tfwd.inspection.deep_shares` explains with its sources and its cost.
"""

from __future__ import annotations

import datetime
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from tfwd.analysis.statistics import FeatureStatistics
from tfwd.config.features.base import Feature
from tfwd.config.features.cross import Cross
from tfwd.data.raw import raw_arrays
from tfwd.dates import FIRST_SECOND, LAST_SECOND
from tfwd.features.raw_tensors import tensors
from tfwd.features.space import FeatureSpace, shortest
from tfwd.inspection.deep_shares import DeepShares
from tfwd.inspection.typical_row import typical_row
from tfwd.inspection.wide_terms import WideTerms
from tfwd.model.wide_deep import WideDeep
from tfwd.schema import Input, is_missing

# The most values of a list that a text shows.
_SHOWN = 5


@dataclass(frozen=True)
class Term:
    """A part of a row's logit.

    Attributes:
        head: the head that adds it.
        feature: the feature, a part or number of a datetime as a feature of its own; `bias` for that of a wide head
            without a deep one.
        name: wide: the name of the weight, such as `education=Doctorate x occupation=Sales`; deep: the feature.
        value: what the row has in the feature's columns, as text; for a cross, what it has in those of its keys.
        contribution: float64 `(outputs,)`, what it adds to the logits.
    """

    head: Literal["wide", "deep"]
    feature: str
    name: str
    value: str
    contribution: NDArray[np.float64]


@dataclass(frozen=True)
class Contributions:
    """A row's logits as a sum, each part float64 `(outputs,)`: one logit, or one per class.

    For a regression the logit is the prediction; for counts, its logarithm.

    Attributes:
        base: the logits of the base rate of the training rows, or the mean label.
        background: the deep head's mean logits of the background rows; 0 without a deep head.
        terms: those of the wide head that are not zero, then a term of the deep head for each of its features.
        background_rows: the rows that the deep head is compared with; 0 if it is compared with the typical row, which
            gives other shares, or there is no deep head.
    """

    base: NDArray[np.float64]
    background: NDArray[np.float64]
    terms: tuple[Term, ...]
    background_rows: int = 0

    @property
    def logit(self) -> NDArray[np.float64]:
        """The sum of all parts."""
        return self.base + self.background + sum(term.contribution for term in self.terms)


class Explainer:
    """Splits the logits of rows.

    Args:
        model: a trained model.
        features: the declared features.
        statistics: of the training rows.
        background: raw rows by input with which the deep head's answer is compared, best some tens of training rows;
            the cost grows with their number beyond 16. If None, the row of the most frequent categories and the median
            numbers (`typical_row`).
    """

    def __init__(
        self,
        model: WideDeep,
        features: Sequence[Feature],
        statistics: FeatureStatistics,
        background: Mapping[str, Any] | None = None,
    ) -> None:
        self._model, self._space = model, FeatureSpace(features, statistics)
        self._wide = WideTerms(model, self._space)
        self._by_column = {entry.column: entry for entry in model.schema.inputs}
        self._scale = float(model.heads.logit.scale.numpy())
        self._base: NDArray[np.float64] = model.heads.logit.base.numpy().astype(np.float64)
        self._deep, self._compared = None, 0
        if model.heads.deep is not None:
            rows = raw_arrays(
                model.schema, typical_row(model.schema, self._space) if background is None else background
            )
            self._deep = DeepShares(model, self._space, model.transform(tensors(rows)))
            self._compared = 0 if background is None else len(next(iter(rows.values())))

    def __call__(self, raw: Mapping[str, Any]) -> list[Contributions]:
        """Returns the contributions in each row.

        Args:
            raw: rows by input, as `tfwd.data.raw.raw_arrays` takes them.

        Raises:
            DataError: an input is missing, or a value does not fit.
        """
        arrays = raw_arrays(self._model.schema, raw)
        count = len(next(iter(arrays.values())))
        if not count:
            return []
        found = self._wide.transformed(tensors(arrays))
        wide = self._wide.of(found)
        shares = np.zeros((count, 0, len(self._base)))
        background = np.zeros_like(self._base)
        if self._deep is not None:
            shares = self._scale * self._deep.of(found)
            background = self._scale * self._deep.base
        rows = []
        for row in range(count):
            given = _Values(self._space, self._by_column, arrays, row)
            terms = [
                Term("wide", term.feature, term.name, given.of(term.feature), term.contribution) for term in wide[row]
            ]
            if self._deep is not None:
                for feature, share in zip(self._deep.features, shares[row], strict=True):
                    terms.append(Term("deep", feature, feature, given.of(feature), share))
            rows.append(Contributions(self._base, background, tuple(terms), self._compared))
        return rows


class _Values:
    """The values of a row as text, by feature; each is made once."""

    def __init__(
        self, space: FeatureSpace, inputs: Mapping[str, Input], arrays: Mapping[str, NDArray[Any]], row: int
    ) -> None:
        self._space, self._inputs, self._arrays, self._row = space, inputs, arrays, row
        self._known: dict[str, str] = {}

    def of(self, name: str) -> str:
        feature = self._space.by_name.get(name)
        if feature is None:  # the bias
            return ""
        if name not in self._known:
            if isinstance(feature, Cross):
                self._known[name] = " x ".join(map(self.of, feature.keys))
            else:
                entry = self._inputs[feature.columns[0]]
                self._known[name] = text_of_input(entry, self._arrays[entry.name][self._row])
        return self._known[name]


def text_of_input(entry: Input, value: Any) -> str:
    """Returns an input's value of one row as text for people: `39`, `2024-06-30 14:00`, `a, b, ...`, `missing`.

    Args:
        entry: the input.
        value: a scalar, or `(K,)` for several values.
    """
    if not entry.length:
        return text_of_value(entry, value)
    values = [item for item in np.asarray(value).tolist() if entry.fixed or not is_missing(item)]
    shown = [text_of_value(entry, item) for item in values[-_SHOWN:]]
    more = [f"{len(values) - _SHOWN} more"] if len(values) > _SHOWN else []
    return ", ".join([*more, *shown]) or "none"


def text_of_value(entry: Input, value: Any) -> str:
    """Returns one value of an input as text for people."""
    if is_missing(value):
        return "missing"
    if entry.moment is not None and FIRST_SECOND <= value <= LAST_SECOND:
        epoch = datetime.datetime(1970, 1, 1)
        moment = epoch + datetime.timedelta(seconds=int(value))
        return moment.isoformat(" ").removesuffix(":00").removesuffix(" 00:00")
    return shortest(float(value)) if entry.kind == "float" else str(value)
