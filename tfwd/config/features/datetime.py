"""A date or a moment: calendar parts as categories, age and angles as numbers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from pydantic import Field, field_validator, model_validator

from tfwd.config.features.base import Embedding, Feature, Normalization, OnColumn, Placed, Width, default_name
from tfwd.config.features.categorical import Categorical
from tfwd.config.features.numeric import Numeric, check_normalization
from tfwd.config.section import Float32, fault, refuse_twice
from tfwd.config.tree import shown
from tfwd.dates import FIRST_SECOND, LAST_SECOND, PARTS, seconds_of
from tfwd.schema import LONGEST_FORMAT, SECONDS, format_fault
from tfwd.utils.naming import LONGEST

Part = Literal["year", "quarter", "month", "week", "day", "weekday", "hour", "minute", "weekend"]
Cycle = Literal["hour", "weekday", "month"]

# The keys of an age, which it has from a numeric feature.
_OF_AGE = ("normalization", "quantiles", "fill", "missing_indicator", "clip")


class DatetimePart(Categorical):
    """A part of a datetime feature: a category like any other, computed in the graph.

    Args:
        source: the data column of the moment.
        part: which part of it.
    """

    kind: ClassVar[str] = "a part of a datetime"

    source: str
    part: Part

    @property
    def columns(self) -> tuple[str, ...]:
        """The data column that it is computed from."""
        return (self.source,)


class DatetimeNumber(Numeric):
    """A number of a datetime feature: its age, or the sine or cosine of a cyclic part.

    Args:
        source: the data column of the moment.
        of: `age`, `sin` or `cos`.
        cycle: for an angle, the part.
        reference: for an age, the moment that it is counted to, in seconds since 1970.
        reference_column: alternatively, the data column of that moment.
    """

    kind: ClassVar[str] = "a number of a datetime"

    source: str
    of: Literal["age", "sin", "cos"]
    cycle: Cycle | None = None
    reference: int | None = None
    reference_column: str | None = None

    @property
    def columns(self) -> tuple[str, ...]:
        """The data columns that it is computed from."""
        return (self.source,) if self.reference_column is None else (self.source, self.reference_column)


class Datetime(OnColumn, Placed):
    """A date or a moment, from which the model reads parts, an age and angles.

    The column holds dates or timestamps, text in ISO 8601 or in a `format`, or whole seconds since 1970; in a request
    for a prediction it is int64 seconds since 1970-01-01 UTC. Moments without a time zone are UTC. A missing moment has
    its own category in each part, and the value of `fill` in numbers. Moments outside the years 1 to 9999 are refused
    in data, and count as missing in a request.

    Each part is a separate feature, called `<name>_<part>`, which a cross may name as a key.

    Args:
        column: the data column.
        format: the format of text, such as `%d/%m/%Y %H:%M`; `seconds` for whole seconds since 1970; None for ISO 8601.
        parts: categories: `year` (of the training rows), `quarter`, `month`, `week` (ISO 8601), `day`, `weekday`
            (ISO 8601, 1 is Monday), `hour`, `minute`, `weekend` (1 on Saturday and Sunday).
        age_in_days: a number: how many days it lies before a day (`2024-06-30`), a moment, or the moment in another
            column that a datetime feature reads; negative after it.
        cyclic: numbers: the sine and cosine of `hour`, `weekday` or `month`, `<name>_<part>_sin` and `_cos`.
        normalization, quantiles, fill, missing_indicator, clip: for the age; see `Numeric`.
        wide: one weight per category in the wide head.
        embedding: a width, or `auto`, for an embedding of each part in the deep head; or a width for some parts,
            such as `{year: 4, week: auto}`.
        one_hot: each part one-hot in the deep head.
    """

    kind: ClassVar[str] = "a datetime"

    type: Literal["datetime"] = "datetime"
    format: str | None = Field(default=None, min_length=1, max_length=LONGEST_FORMAT)
    parts: tuple[Part, ...] = ()
    age_in_days: str | None = Field(default=None, min_length=1)
    cyclic: tuple[Cycle, ...] = ()
    embedding: Embedding | dict[Part, Width] = None
    normalization: Normalization | tuple[Normalization, ...] = "zscore"
    quantiles: int = Field(default=100, ge=2, le=10_000)
    fill: Float32 | Literal["median", "mean"] = "median"
    missing_indicator: bool = False
    clip: bool = True

    _name = model_validator(mode="before")(default_name)

    if TYPE_CHECKING:
        # Defined in each class: type checkers synthesize a different constructor for a class without one.
        def __init__(self, column: str | None = None, /, **options: Any) -> None: ...

    @field_validator("age_in_days", mode="before")
    @classmethod
    def _day(cls, value: Any) -> Any:
        # In Python a day may be a date, as it also is when YAML 1.1 reads it.
        return value.isoformat() if hasattr(value, "isoformat") else value

    @property
    def columns(self) -> tuple[str, ...]:
        """The data columns that the feature reads: its own, and the column of the age's reference."""
        return (self.column,) if self.reference_column is None else (self.column, self.reference_column)

    @property
    def reference_column(self) -> str | None:
        """The column of the moment that the age is counted to, None if that moment is fixed or there is no age."""
        return self.age_in_days if self.age_in_days is not None and seconds_of(self.age_in_days) is None else None

    @model_validator(mode="after")
    def _check(self) -> Datetime:
        refuse_twice("parts", self.parts)
        refuse_twice("cyclic", self.cyclic)
        if not (self.parts or self.cyclic or self.age_in_days):
            raise ValueError(
                "a datetime feature needs at least one part, age or cycle: give parts, such as [month, weekday, hour], "
                "age_in_days or cyclic"
            )
        if isinstance(self.embedding, dict):
            other = next((part for part in self.embedding if part not in self.parts), None)
            if other is not None:
                raise fault("embedding", f"{shown(other)} is not one of the feature's parts. Add it to parts.")
        if any(not (self.wide or self.one_hot or self._width(part)) for part in self.parts):
            raise ValueError("its parts must go somewhere: wide, embedding or one_hot")
        if self.format is not None and self.format != SECONDS:
            found = format_fault(self.format)
            if found is not None:
                raise fault("format", f"{shown(self.format)} {found}.")
        self._check_age()
        self._refuse_without_effect()
        endings = [*self.parts, *["age_in_days"] * bool(self.age_in_days), *(f"{cycle}_sin" for cycle in self.cyclic)]
        longest = f"{self.name}_{max(endings, key=len)}"
        if len(longest) > LONGEST:
            raise ValueError(
                f"a datetime's name leads those of its features, and {shown(longest)} has more than {LONGEST} "
                "characters: give it a shorter `name`"
            )
        return self

    def _check_age(self) -> None:
        if self.age_in_days is None:
            return
        if self.reference_column == self.column:
            raise fault("age_in_days", f"{shown(self.column)} is the feature's own column, from which its age is 0.")
        seconds = seconds_of(self.age_in_days)
        if seconds is not None and not FIRST_SECOND <= seconds <= LAST_SECOND:
            raise fault(
                "age_in_days",
                f"{shown(self.age_in_days)} is outside the years 1 to 9999 in UTC. Give a day or moment in them.",
            )
        check_normalization(self.normalization)

    def _refuse_without_effect(self) -> None:
        for owner, what, keys in (("age_in_days", "the age", _OF_AGE), ("parts", "parts", ("embedding", "one_hot"))):
            given = [key for key in keys if getattr(self, key) != type(self).model_fields[key].default]
            if given and not getattr(self, owner):
                raise fault(
                    given[0],
                    f"it belongs to {what}, and the feature has none: give {owner}, or leave {given[0]} out.",
                )

    def _width(self, part: Part) -> Embedding:
        return self.embedding.get(part) if isinstance(self.embedding, dict) else self.embedding

    def with_widths(self, widths: Mapping[str, int]) -> Feature:
        """The same feature with fixed widths instead of `embedding: auto` of its parts."""
        fixed = {part: widths.get(f"{self.name}_{part}") for part in self.parts if self._width(part) == "auto"}
        chosen = {part: fixed.get(part) or self._width(part) for part in self.parts}
        if not any(fixed.values()):
            return self
        return self.model_copy(update={"embedding": {part: width for part, width in chosen.items() if width}})

    def expanded(self) -> tuple[Feature, ...]:
        """Its parts, its age and its angles, as separate features."""
        made: list[Feature] = []
        for part in self.parts:
            values = None if part == "year" else tuple(range(PARTS[part][0], PARTS[part][0] + PARTS[part][1]))
            name = f"{self.name}_{part}"
            places = {"wide": self.wide, "embedding": self._width(part), "one_hot": self.one_hot}
            options = {"dtype": "integer", "vocabulary": values, **places}
            made.append(DatetimePart(name, name=name, source=self.column, part=part, **options))
        if self.age_in_days is not None:
            name = f"{self.name}_age_in_days"
            options = {key: getattr(self, key) for key in _OF_AGE}
            other = self.reference_column
            reference = None if other is not None else seconds_of(self.age_in_days)
            options |= {"reference": reference, "reference_column": other}
            made.append(DatetimeNumber(name, name=name, source=self.column, of="age", **options))
        for cycle in self.cyclic:
            for of in ("sin", "cos"):
                name = f"{self.name}_{cycle}_{of}"
                angle = {"normalization": "none", "fill": 0.0, "clip": False, "of": of, "cycle": cycle}
                made.append(DatetimeNumber(name, name=name, source=self.column, **angle))
        return tuple(made)
