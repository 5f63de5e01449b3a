"""The inputs of a model as fields of a form: what a person may choose from, and what is written there.

A value of a row is plain Python here: text or a whole number for a category, seconds since 1970 for a moment, a number,
None for what is missing; a list of these for an input of several values.
"""

from __future__ import annotations

import dataclasses
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from tfwd.config.features.bucketized import Bucketized
from tfwd.config.features.categorical import Categorical
from tfwd.config.features.datetime import DatetimeNumber, DatetimePart
from tfwd.config.features.numeric import Numeric
from tfwd.dates import FIRST_SECOND, LAST_SECOND, seconds_of
from tfwd.errors import DataError
from tfwd.features.space import FeatureSpace, shortest
from tfwd.inspection.contributions import text_of_value
from tfwd.schema import Input, Schema, is_missing

Value = str | int | float | None
Row = dict[str, Value | list[Value]]
Kind = Literal["category", "categories", "number", "numbers", "moment"]

_DAY = 86_400
# Over fewer whole numbers a range may as well be one of fractions, such as 0 to 1.
_MANY = 10
# The most integers of an `identity` that are listed as categories.
_LISTED = 1000
# Values that are shown for one that was not seen.
_NEAR = 3
_APART = re.compile(r"[,;\s]+")


@dataclass(frozen=True)
class Field:
    """An input of the model on the page.

    Attributes:
        entry: the input.
        kind: which values it takes.
        values: the known categories, the most frequent first.
        low, high: the range of the training rows, for a moment in seconds; None if nothing was learned.
        whole: whether the numbers of the training rows seem to be whole ones, such as ages.
        info: what the training rows say about it, in a line.
    """

    entry: Input
    kind: Kind
    values: tuple[str, ...] = ()
    low: float | None = None
    high: float | None = None
    whole: bool = False
    info: str = ""

    @property
    def name(self) -> str:
        """The name of the input."""
        return self.entry.name

    @property
    def label(self) -> str:
        """What a person knows it by: the data column."""
        return self.entry.column

    def read(self, given: Any) -> Value | list[Value]:
        """Turns what stands in the form into a value.

        Raises:
            DataError: it is none; names the field.
        """
        if self.kind == "categories":
            items = [given] if isinstance(given, str) else given or []
            return [value for item in items if (value := self._category(item)) is not None]
        if self.kind == "numbers":
            return self._numbers(given)
        if self.kind == "category":
            return self._category(given)
        return self._moment(given) if self.kind == "moment" else self._number(given)

    def written(self, value: Value | Sequence[Value]) -> Any:
        """Turns a value into what stands in the form."""
        if self.kind == "categories":
            return [str(item) for item in _listed(value)]
        if self.kind == "numbers":
            return ", ".join(self.shown(item) if item is not None else "missing" for item in _listed(value))
        if self.kind == "number":
            return value
        return "" if value is None else self.shown(value)

    def shown(self, value: Any) -> str:
        """Returns a single value as text for people."""
        return "missing" if value is None else text_of_value(self.entry, value)

    def shown_all(self, value: Value | Sequence[Value]) -> str:
        """Returns a value, or all of a list, as text for people."""
        if not self.entry.length:
            return self.shown(value)
        return ", ".join(map(self.shown, _listed(value))) or "none"

    def linked(self, value: Value | Sequence[Value]) -> list[str]:
        """Turns a value into texts that `read` takes: one, or for categories as many as there are, at least one."""
        if self.kind == "categories":
            return self.written(value) or [""]
        return ["" if value is None else self.written(value) if self.kind == "numbers" else self.shown(value)]

    def notes(self, value: Value | Sequence[Value]) -> list[str]:
        """Returns sentences about what the training rows do not have."""
        if self.kind in ("category", "categories") and self.values:
            known = set(self.values)
            unseen = [text for item in _listed(value) if (text := str(item)) not in known]
            return [self._unseen(unseen)] if unseen else []
        if self.kind in ("number", "moment") and value is not None and self.low is not None and self.high is not None:
            assert isinstance(value, int | float)
            if not self.low <= value <= self.high:
                return [f"{self.label}: {self.shown(value)} lies outside of the training range, {self.range_text}."]
        return []

    def _unseen(self, unseen: list[str]) -> str:
        part = unseen[0].lower()
        near = [value for value in self.values if part in value.lower()][:_NEAR]
        hint = f" Seen was, among others: {_quoted(near)}." if near else ""
        return f"{self.label}: {_quoted(unseen)} was not seen in training, and counts as any other unseen value.{hint}"

    @property
    def range_text(self) -> str:
        """The training range as text."""
        if self.low is None or self.high is None:
            return ""
        if self.kind == "moment":
            low, high = (self.shown(round(edge)).partition(" ")[0] for edge in (self.low, self.high))
            return f"{low} to {high}"
        return f"{self.shown(self.low)} to {self.shown(self.high)}"

    def _category(self, given: Any) -> Value:
        if given is None or given == "":
            return None
        if self.entry.kind != "integer":
            return str(given)
        try:
            number = int(str(given).strip())
        except ValueError:
            raise self._refuse(given, "a whole number") from None
        if not -(2**63) < number < 2**63:
            raise self._refuse(given, "a whole number of 64 bits")
        return number

    def _number(self, given: Any) -> float | None:
        if given is None or (isinstance(given, str) and given.strip().lower() in ("", "missing", "nan", "none")):
            return None
        try:
            number = float(given)
        except (TypeError, ValueError, OverflowError):
            raise self._refuse(given, "a number") from None
        return _rounded(number)

    def _numbers(self, given: Any) -> list[Value]:
        items = _APART.split(given.strip(" [],;\t\n")) if isinstance(given, str) else list(given or [])
        values: list[Value] = [self._number(item) for item in items if item != ""]
        if self.entry.fixed and not values:
            return [None] * self.entry.length
        if self.entry.fixed and len(values) != self.entry.length:
            raise self._refuse(given, f"{self.entry.length} numbers, separated by commas")
        return values

    def _moment(self, given: Any) -> int | None:
        text = str(given or "").strip()
        if not text or text.lower() == "missing":
            return None
        seconds = seconds_of(text)
        if seconds is None:
            raise self._refuse(given, "a date or a moment (UTC), such as 2024-06-30 or 2024-06-30 14:00")
        return seconds

    def _refuse(self, given: Any, wanted: str) -> DataError:
        text = repr(given)
        return DataError(f"{self.label} takes {wanted}. Received: {text if len(text) <= 80 else text[:77] + '...'}")


def row_of_raw(fields: Sequence[Field], raw: Mapping[str, Any], index: int) -> Row:
    """Turns a row of a raw batch into values; lists are without their padding and gaps."""
    row: Row = {}
    kept: dict[str, list[int]] = {}
    for field in fields:
        given = raw[field.name][index]
        if not field.entry.length:
            row[field.name] = _plain(given)
            continue
        values = [_plain(item) for item in given]
        if field.kind == "categories":
            kept[field.label] = [at for at, item in enumerate(values) if item is not None]
            values = [item for item in values if item is not None]
        row[field.name] = values
    for field in fields:
        if field.entry.weighs is not None:
            given = row[field.name]
            assert isinstance(given, list)
            weights = [given[at] if at < len(given) else None for at in kept[field.entry.weighs]]
            row[field.name] = weights if any(weight is not None for weight in weights) else []
    return row


def fields_of(schema: Schema, space: FeatureSpace, outside: Mapping[str, str] | None = None) -> tuple[Field, ...]:
    """Returns the fields of a model, in the order of its inputs.

    Args:
        schema: the raw inputs.
        space: the features and what was learned about them.
        outside: for inputs that are computed before the model, by name, how.
    """
    found = []
    for entry in schema.inputs:
        field, how = _field(entry, space), (outside or {}).get(entry.name)
        if how:
            field = dataclasses.replace(field, info="; ".join(filter(None, [field.info, f"computed as {how}"])))
        found.append(field)
    return tuple(found)


def _field(entry: Input, space: FeatureSpace) -> Field:
    if entry.moment is not None:
        return _moment_field(entry, space)
    if entry.weighs is not None or entry.fixed:
        size = f"{entry.length} numbers" if entry.fixed else f"the weights of {entry.weighs}; 1 each if empty"
        return Field(entry, "numbers", info=size)
    numbers = [f for f in space.features if isinstance(f, Numeric | Bucketized) and entry.column in f.columns]
    categories = [f for f in space.features if isinstance(f, Categorical) and f.column == entry.column]
    if categories:
        return _category_field(entry, categories, space)
    learned = [found for f in numbers if (found := space.statistics.numerics.get(f.name)) is not None]
    if not learned:
        return Field(entry, "number")
    one = learned[0]
    low, high = (float(shortest(edge)) for edge in (min(s.minimum for s in learned), max(s.maximum for s in learned)))
    whole = high - low >= _MANY and all(float(x).is_integer() for x in (low, high, one.median, *one.quantiles))
    field = Field(entry, "number", low=low, high=high, whole=whole)
    info = [f"{field.range_text} in training", f"median {shortest(one.median)}"]
    info += _missing(one.missing, one.count + one.missing)
    return dataclasses.replace(field, info=", ".join(info))


def _category_field(entry: Input, categories: Sequence[Categorical], space: FeatureSpace) -> Field:
    field = Field(entry, "categories" if entry.length else "category")
    several = [f"up to {entry.length}, the latest last"] if entry.length else []
    for feature in categories:
        owner = space.root(feature.name)
        learned = space.statistics.vocabularies.get(owner.name)
        if learned is not None:
            counted = sorted(zip(learned.counts, learned.values, strict=True), key=lambda pair: -pair[0])
            info = [f"{len(counted):,} known", *several]
            if owner is feature and not entry.length:
                info += _missing(learned.missing, space.statistics.rows)
            return dataclasses.replace(field, values=tuple(value for _, value in counted), info=", ".join(info))
    owner = space.root(categories[0].name)
    assert isinstance(owner, Categorical)
    if owner.identity is None:
        return dataclasses.replace(field, info=", ".join(["any value: the model hashes it", *several]))
    known = tuple(map(str, range(owner.identity))) if owner.identity <= _LISTED else ()
    return dataclasses.replace(field, values=known, info=f"whole numbers from 0 to {owner.identity - 1:,}")


def _moment_field(entry: Input, space: FeatureSpace) -> Field:
    low: float | None = None
    high: float | None = None
    for feature in space.features:
        if isinstance(feature, DatetimeNumber) and feature.source == entry.column and feature.reference is not None:
            age = space.statistics.numerics.get(feature.name)
            if feature.of == "age" and age is not None:
                low, high = feature.reference - age.maximum * _DAY, feature.reference - age.minimum * _DAY
        elif isinstance(feature, DatetimePart) and feature.source == entry.column and feature.part == "year":
            years = space.statistics.vocabularies.get(feature.name)
            if low is None and years is not None and years.values:
                known = [int(year) for year in years.values]
                low, high = seconds_of(f"{min(known):04}-01-01"), seconds_of(f"{max(known):04}-12-31T23:59:59")
    if low is not None and high is not None:
        low, high = max(low, FIRST_SECOND), min(high, LAST_SECOND)
    field = Field(entry, "moment", low=low, high=high)
    info = [f"{field.range_text} in training"] if low is not None else []
    return dataclasses.replace(field, info=", ".join([*info, "a date, or a moment in UTC"]))


def _missing(missing: int, rows: int) -> list[str]:
    return [f"{missing / rows:.0%} missing" if missing / rows >= 0.01 else "few missing"] if missing else []


def _listed(value: Any) -> list[Any]:
    if value is None:
        return []
    return list(value) if isinstance(value, list | tuple) else [value]


def _plain(value: Any) -> Value:
    item: Value = value.item() if hasattr(value, "item") else value
    if is_missing(item):
        return None
    return _rounded(item) if isinstance(item, float) else item


def _rounded(number: float) -> float | None:
    """The shortest decimal of a number as float32, which the model reads; None for what counts as missing."""
    text = shortest(number)
    return float(text) if math.isfinite(float(text)) else None


def _quoted(texts: Sequence[str]) -> str:
    shown = ", ".join(f"“{text}”" for text in texts[:3])
    return f"{shown} and {len(texts) - 3} more" if len(texts) > 3 else shown
