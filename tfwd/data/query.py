"""The SQL that makes typed rows from a source's columns, and the place of a value that does not fit."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple

from tfwd.data import lists, moments
from tfwd.data.failures import explain, is_conversion
from tfwd.data.labels import LARGEST_LABEL, LARGEST_WEIGHT, is_missing
from tfwd.data.lists import Items, value_type
from tfwd.data.source import Source
from tfwd.data.sql import as_double, as_float, as_text, identifier, is_bad, is_fractional, literal, typed
from tfwd.errors import DataError
from tfwd.schema import MISSING_INTEGER, Input, Kind, Schema

# The most classes in a message.
_SHOWN = 20
# What other programs write for a missing value.
_MISSING_MARKS = frozenset(
    {"na", "n/a", "#n/a", "<na>", "null", "none", "nil", "?", "-", "--", ".", "missing", "unknown", "\\n"}
)


class _Refusal(NamedTuple):
    """Rows that cannot be read: where they are, and the message about the first."""

    column: str
    condition: str
    expected: str
    found: str | None = None
    quoted: bool = True
    moment: str | None = None


class Query:
    """Typed columns of a source, and the errors about their values.

    Args:
        source: where the rows come from.
        schema: what the rows must be.
        labelled: whether to read label and weight.
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
            self._check(entry)
        for column in key:
            source.require(column, "data.key")
        if labelled:
            source.require(schema.label, "the label")
            if schema.weight is not None:
                source.require(schema.weight, "the weight")

    def expressions(self, *, nulls: bool = False) -> dict[str, str]:
        """The typed columns: `x0`, `x1`, ... for the inputs, `label`, `weight`, `k0`, ... for the key.

        Args:
            nulls: whether to leave missing inputs NULL.
        """
        columns = self.source.columns
        found = {f"x{index}": self._input(entry, nulls) for index, entry in enumerate(self.schema.inputs)}
        if self.labelled:
            found["label"] = self._label()
            if self.schema.weight is not None:
                found["weight"] = as_float(self.schema.weight, columns[self.schema.weight])
        found.update({f"k{index}": identifier(column) for index, column in enumerate(self.key)})
        return found

    def error(self, error: BaseException) -> DataError:
        """The error to raise in place of the engine's: for a value of the wrong kind, with its place."""
        fault = self.source.fault()
        if fault is not None:
            return fault
        if is_conversion(error):
            for refusal in self._refusals():
                place = self.source.first(refusal.column, refusal.condition, refusal.found)
                if place:
                    found = repr(place.value) if refusal.quoted else place.value
                    where = f"{place.file}, row {place.row}, column {refusal.column!r}"
                    advice = self._advice(refusal, place.value or "")
                    return DataError(f"{where}: expected {refusal.expected}, found {found}.{advice}")
        if self.source.filter is not None and (is_conversion(error) or self.source.filter_fails()):
            return self._unfiltered(error)
        return explain(error, self.source.name)

    def _advice(self, refusal: _Refusal, value: str) -> str:
        advice = _advice(value, self.source.is_csv) if refusal.quoted else ""
        if refusal.moment is None:
            return advice
        return advice or moments.advice(value, self.source.columns[refusal.column], refusal.moment)

    def _unfiltered(self, error: BaseException) -> DataError:
        # After the first sentence comes DuckDB's advice, with SQL that is not allowed in a configuration.
        reason = str(error).splitlines()[0].partition("Error: ")[2].split(". ")[0].split(" in expression (")[0]
        return DataError(f"data.filter cannot be evaluated for every row of {self.source.name}: {reason.rstrip('.')}.")

    def refuse_label(self, text: str | None) -> DataError:
        """The error for a label that is missing or not a class, with the place of the first."""
        same = f"{self._label()} IS NOT DISTINCT FROM {'NULL' if text is None else literal(text)}"
        where, _ = self._find(self.schema.label, same)
        if is_missing(text):
            return DataError(f"{where}: the label is missing. Leave such rows out with data.filter.")
        classes = ", ".join(map(repr, self.schema.classes[:_SHOWN])) + ", ..." * (len(self.schema.classes) > _SHOWN)
        cure = "Leave such rows out with data.filter"
        if self.schema.task == "multiclass":
            cure = f"A class is in the training rows, or named in data.label.classes. {cure}"
        return DataError(f"{where}: the label {text!r} is not one of the classes {classes}. {cure}.")

    def refuse_number_as_label(self) -> DataError:
        """The error for a regression label that is missing, too large or not a count, with the place of the first."""
        label = f"TRY_CAST({self._label()} AS FLOAT)"
        bad, wanted = f"{_not_finite(label)} OR abs({label}) > {LARGEST_LABEL:g}", "a finite number"
        if self.schema.counts:
            bad, wanted = f"{bad} OR {label} < 0", "a finite number of at least 0, as model.loss: poisson needs it"
        where, found = self._find(self.schema.label, bad)
        most = f"at most {LARGEST_LABEL:g} in absolute value"
        return DataError(f"{where}: the label must be {wanted}, {most}, found {found}.")

    def refuse_weight(self) -> DataError:
        """The error for a weight that is negative, missing or too large, with the place of the first."""
        assert self.schema.weight is not None
        weight = as_float(self.schema.weight, self.source.columns[self.schema.weight])
        bad = f"{_not_finite(weight)} OR {weight} < 0 OR {weight} > {LARGEST_WEIGHT:g}"
        where, found = self._find(self.schema.weight, bad)
        return DataError(
            f"{where}: a weight is a finite number of at least 0 and at most {LARGEST_WEIGHT:g}, found {found}."
        )

    def _label(self) -> str:
        form = as_double if self.schema.task == "regression" else as_text
        return form(self.schema.label, self.source.columns[self.schema.label])

    def _find(self, column: str, condition: str) -> tuple[str, str]:
        place = self.source.first(column, condition)
        if place is None:
            return f"{self.source.name}, column {column!r}", "another"
        return f"{place.file}, row {place.row}, column {column!r}", place.value or "nothing"

    def _input(self, entry: Input, nulls: bool) -> str:
        if entry.moment is not None:
            value = moments.seconds(entry.column, self.source.columns[entry.column], entry.moment)
            return value if nulls else f"coalesce({value}, CAST({literal(str(MISSING_INTEGER))} AS BIGINT))"
        if not entry.length:
            return typed(entry.column, self.source.columns[entry.column], entry.kind, nulls=nulls)
        given = self._items(entry)
        if entry.fixed:
            return lists.vector(given, entry.length)
        if entry.weighs is None:
            return lists.values(given, entry.kind, entry.length)
        of = self._weighed(entry)
        return lists.weights(given, self._items(of), of.kind, entry.length)

    def _items(self, entry: Input) -> Items:
        given = self.source.items(entry.column, entry.delimiter)
        if given is None and not self.source.has_values(entry.column):
            kind = {"string": "VARCHAR", "integer": "BIGINT", "float": "DOUBLE"}[entry.kind]
            return Items(f"CAST(NULL AS {kind}[])", kind)
        if given is None:
            form = "lists" if entry.delimiter is None else f"lists, or text whose values {entry.delimiter!r} parts,"
            raise DataError(
                f"Column {entry.column!r} is {self.source.columns[entry.column]} in {self.source.name}, and the model "
                f"takes {form} for it."
            )
        return given

    def _weighed(self, entry: Input) -> Input:
        return next(other for other in self.schema.inputs if other.column == entry.weighs)

    def _check(self, entry: Input) -> None:
        found = self.source.require(entry.column, f"the input {entry.name!r}")
        if entry.moment is not None:
            self.source.refuse_periods(entry.column)
        where = f"Column {entry.column!r} is {found} in {self.source.name}, and the model takes"
        if entry.length:
            found = self._items(entry).type
        elif entry.moment is not None:
            # A column without any value may have any type.
            if not moments.is_moment(found) and self.source.has_values(entry.column):
                raise DataError(f"{where} a day, a moment, text or whole seconds since 1970 for it.")
        elif value_type(found) is not None:
            raise DataError(f"{where} one value per row for it, not a list.")
        if entry.kind == "string" and is_fractional(found) and entry.length:
            raise DataError(
                f"{where} text for it: a number with a fraction has no unique string form. Convert the column to "
                "text or to "
                "whole numbers."
            )

    def _refusals(self) -> Iterator[_Refusal]:
        for entry in self.schema.inputs:
            if entry.moment is not None:
                found = self.source.columns[entry.column]
                bad_moment = moments.is_bad_moment(entry.column, found, entry.moment)
                yield _Refusal(entry.column, bad_moment, moments.expected(found, entry.moment), moment=entry.moment)
            elif entry.length:
                given = self._items(entry)
                bad = lists.bad(given, entry.kind)
                if bad is not None:
                    yield _Refusal(entry.column, bad[0], _expected(entry.kind), bad[1])
                if entry.fixed:
                    other, found = lists.is_other_length(given, entry.length), lists.length_text(given)
                    wanted = f"{entry.length} numbers, or none where the vector is missing"
                    yield _Refusal(entry.column, other, wanted, found, quoted=False)
                if entry.weighs is not None:
                    of = self._items(self._weighed(entry))
                    wanted = f"a weight for each value of {entry.weighs!r}"
                    uneven, found = lists.are_uneven(given, of), lists.uneven_text(given, of)
                    yield _Refusal(entry.column, uneven, wanted, found, quoted=False)
            else:
                yield from self._refusal(entry.column, entry.kind)
        if self.labelled and self.schema.task == "regression":
            yield from self._refusal(self.schema.label, "float")
        if self.labelled and self.schema.weight is not None:
            yield from self._refusal(self.schema.weight, "float")

    def _refusal(self, column: str, kind: Kind) -> Iterator[_Refusal]:
        bad = is_bad(column, self.source.columns[column], kind)
        if bad is not None:
            yield _Refusal(column, bad, _expected(kind))


def _not_finite(value: str) -> str:
    return f"{value} IS NULL OR NOT isfinite({value})"


def _advice(value: str, is_csv: bool) -> str:
    """What a value that is not a number may stand for."""
    if value.strip().lower() in _MISSING_MARKS:
        cure = f"name it in data.csv.null, as null: ['', {value!r}]" if is_csv else "write it as null"
        return f" If it stands for a missing value, {cure}."
    if re.fullmatch(r"[+-]?\d+,\d+", value):
        return " Write decimals with a point."
    if re.fullmatch(r"-0*9223372036854775808", value):
        return " This value stands for a missing integer inside tfwd: write missing integers as null."
    return ""


def _expected(kind: Kind) -> str:
    return {
        "string": "text or a whole number, as a number with a fraction has no unique string form",
        "integer": "a 64-bit integer",
        "float": "a number",
    }[kind]
