"""A number, or a vector of them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, Literal

from pydantic import Field, model_validator

from tfwd.config.features.base import (
    MAX_SHAPE,
    Normalization,
    OnColumn,
    default_name,
)
from tfwd.config.section import Float32, fault
from tfwd.config.tree import shown


class Numeric(OnColumn):
    """A number, or a vector of them, as one or several real inputs of the heads.

    Values are float32, clipped to the range seen in training unless `clip` is false; NaN and infinities become `fill`.

    Args:
        column: the data column.
        shape: the length of a vector, if the column holds lists of that many numbers. Each of its numbers is treated
            as a separate column, with its own mean, quantiles, range and `fill`.
        delimiter: what separates the numbers in a string; None for a column of lists.
        normalization: one or several of `none`, `zscore`, `minmax` (to [0, 1]), `log`
            (log(1 + x - min), then z-scored) and `quantile`: value -> (i - 1) / (n - 1) for the i-th of n quantiles
            (Cheng et al. 2016, section 4.1); quantiles with the same value count once.
        quantiles: n of the quantile mapping.
        fill: what a missing value becomes before normalization: the `median` or `mean` of
            the training rows, or a number.
        missing_indicator: adds an input that is 1 where the value was missing, else 0.
        clip: whether a value outside the range of the training rows becomes the nearest end of that range. If not, it
            is normalized unclipped, up to 1e18 in absolute value, which float32 can square; `quantile` still gives
            only 0 to 1, and `log` nothing below its value of the smallest.
        wide: whether the wide head reads it.
        deep: whether the deep head reads it.
    """

    kind: ClassVar[str] = "numeric"

    type: Literal["numeric"] = "numeric"
    shape: int | None = Field(default=None, ge=1, le=MAX_SHAPE)
    delimiter: str | None = Field(default=None, min_length=1)
    normalization: Normalization | tuple[Normalization, ...] = "zscore"
    quantiles: int = Field(default=100, ge=2, le=10_000)
    fill: Float32 | Literal["median", "mean"] = "median"
    missing_indicator: bool = False
    clip: bool = True
    wide: bool = False
    deep: bool = True

    _name = model_validator(mode="before")(default_name)

    if TYPE_CHECKING:
        # Defined in each class: type checkers synthesize a different constructor for a class without one.
        def __init__(self, column: str | None = None, /, **options: Any) -> None: ...

    @property
    def normalizations(self) -> tuple[Normalization, ...]:
        """The normalizations as a tuple, whichever way they were given."""
        return (self.normalization,) if isinstance(self.normalization, str) else self.normalization

    @property
    def statistics_keys(self) -> tuple[str, ...]:
        """The keys of its numbers' statistics: its name, or for a vector `name[0]`, `name[1]`, ..."""
        return (self.name,) if self.shape is None else tuple(f"{self.name}[{place}]" for place in range(self.shape))

    @property
    def numbers(self) -> list[str]:
        """The names of its columns in the numeric matrix: its own, or `<name>_<form>`, and `<name>_missing`.

        For a vector, the names for `<name>_0` come first, then those for `<name>_1`, and so on.
        """
        forms = self.normalizations
        found = []
        for name in [self.name] if self.shape is None else [f"{self.name}_{place}" for place in range(self.shape)]:
            found += [name] if len(forms) == 1 else [f"{name}_{form}" for form in forms]
            found += [f"{name}_missing"] * self.missing_indicator
        return found

    @model_validator(mode="after")
    def _check(self) -> Numeric:
        if self.shape is None and self.delimiter is not None:
            raise ValueError("a delimiter separates the numbers of a vector: give shape, how many they are")
        check_normalization(self.normalization)
        if not (self.wide or self.deep):
            raise ValueError("a numeric feature must go to wide, to deep, or to both")
        return self


def check_normalization(normalization: Normalization | tuple[Normalization, ...]) -> None:
    """Refuses an empty list of normalizations, or one that names one twice, with the `fault` of its key."""
    if not normalization or (not isinstance(normalization, str) and len(set(normalization)) != len(normalization)):
        raise fault(
            "normalization",
            f"expected at least one form, each of them once, such as zscore. Received: {shown(list(normalization))}.",
        )
