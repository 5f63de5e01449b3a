"""The SQL that makes typed rows of a source's columns, and where a value stands that does not fit."""

from __future__ import annotations

from tfwd.data.failures import explain, is_conversion
from tfwd.data.labels import is_missing
from tfwd.data.source import Source
from tfwd.data.sql import as_double, as_float, as_text, identifier, is_bad, is_fractional, literal, typed
from tfwd.errors import DataError
from tfwd.schema import Input, Kind, Schema


class Query:
    """Typed columns of a source, and the errors about their values.

    Args:
        source: where the rows come from.
        schema: what they must be.
        labelled: read label and weight.
        key: columns to pass through.

    Raises:
        DataError: a column is missing, or holds what its input cannot be.
    """

    def __init__(self, source: Source, schema: Schema, labelled: bool, key: tuple[str, ...]) -> None:
        self.source = source
        self.schema = schema
        self.labelled = labelled
        self.key = key
        for entry in schema.inputs:
            _check_kind(entry, source.require(entry.column, f"the input {entry.name!r}"), source.name)
        for column in key:
            source.require(column, "data.key")
        if labelled:
            source.require(schema.label, "the label")
            if schema.weight is not None:
                source.require(schema.weight, "the weight")

    def expressions(self, *, nulls: bool = False) -> dict[str, str]:
        """The typed columns: `x0`, `x1`, ... for the inputs, `label`, `weight`, `k0`, ... for the key.

        Args:
            nulls: leave missing inputs NULL.
        """
        columns = self.source.columns
        found = {
            f"x{index}": typed(entry.column, columns[entry.column], entry.kind, nulls=nulls)
            for index, entry in enumerate(self.schema.inputs)
        }
        if self.labelled:
            found["label"] = self._label()
            if self.schema.weight is not None:
                found["weight"] = as_float(self.schema.weight, columns[self.schema.weight])
        found.update({f"k{index}": identifier(column) for index, column in enumerate(self.key)})
        return found

    def error(self, error: BaseException) -> DataError:
        """The error to raise in place of the engine's: for a value of the wrong kind, with its place."""
        if is_conversion(error):
            for column, kind in self._read_as().items():
                bad = is_bad(column, self.source.columns[column], kind)
                place = self.source.first(column, bad) if bad else None
                if place:
                    expected = "a whole number of 64 bits" if kind == "integer" else "a number"
                    return DataError(
                        f"{place.part}, row {place.row}, column {column!r}: expected {expected}, found {place.value!r}."
                    )
            if self.source.filter is not None:
                reason = str(error).splitlines()[0].partition("Error: ")[2].rstrip(".")
                return DataError(f"data.filter cannot be told for every row of {self.source.name}: {reason}.")
        return explain(error, self.source.name)

    def refuse_label(self, text: str | None) -> DataError:
        """The error for a label's text that is missing or no class, with its first place."""
        same = f"{self._label()} IS NOT DISTINCT FROM {'NULL' if text is None else literal(text)}"
        where, _ = self._find(self.schema.label, same)
        if is_missing(text):
            return DataError(f"{where}: the label is missing. Leave such rows out with data.filter.")
        classes = ", ".join(map(repr, self.schema.classes))
        return DataError(f"{where}: the label {text!r} is none of the classes {classes}.")

    def refuse_number_as_label(self) -> DataError:
        """The error for a label to regress on that is missing or infinite, with its first place."""
        where, found = self._find(self.schema.label, _not_finite(f"TRY_CAST({self._label()} AS FLOAT)"))
        return DataError(f"{where}: the label must be a finite number, found {found}.")

    def refuse_weight(self) -> DataError:
        """The error for a weight that is negative or missing, with its first place."""
        assert self.schema.weight is not None
        weight = as_float(self.schema.weight, self.source.columns[self.schema.weight])
        where, found = self._find(self.schema.weight, f"{_not_finite(weight)} OR {weight} < 0")
        return DataError(f"{where}: a weight is a finite number of at least 0, found {found}.")

    def _label(self) -> str:
        form = as_double if self.schema.task == "regression" else as_text
        return form(self.schema.label, self.source.columns[self.schema.label])

    def _find(self, column: str, condition: str) -> tuple[str, str]:
        place = self.source.first(column, condition)
        if place is None:
            return f"{self.source.name}, column {column!r}", "another"
        return f"{place.part}, row {place.row}, column {column!r}", place.value or "nothing"

    def _read_as(self) -> dict[str, Kind]:
        columns = {entry.column: entry.kind for entry in self.schema.inputs}
        if self.labelled and self.schema.task == "regression":
            columns[self.schema.label] = "float"
        if self.labelled and self.schema.weight is not None:
            columns[self.schema.weight] = "float"
        return columns


def _not_finite(value: str) -> str:
    return f"{value} IS NULL OR NOT isfinite({value})"


def _check_kind(entry: Input, found: str, name: str) -> None:
    if entry.kind == "string" and is_fractional(found):
        raise DataError(
            f"Column {entry.column!r} is {found} in {name}, and the model takes text for it: "
            "a number with a fraction has no one text. Convert the column to text or to whole numbers."
        )
