"""The schema of a run: the kind of every raw input, decided by what the features need and the data holds."""

from __future__ import annotations

from dataclasses import dataclass, replace

from tfwd.config.config import Config
from tfwd.config.features.bucketized import Bucketized
from tfwd.config.features.categorical import Categorical
from tfwd.config.features.cross import Cross
from tfwd.config.features.datetime import Datetime
from tfwd.config.features.numeric import Numeric
from tfwd.config.labels import text_of
from tfwd.data import lists, moments
from tfwd.data.lists import Items, fixed_length, value_type
from tfwd.data.source import Place, Source
from tfwd.data.sql import INTEGERS, is_bad, is_fractional, is_number, is_scalar
from tfwd.errors import ConfigError
from tfwd.schema import ISO, Input, Kind, Schema


def resolve_schema(config: Config, source: Source) -> Schema:
    """Decides once what every raw input is; training, analysis and every export follow it.

    A numeric or bucketized feature makes its input a float. A categorical one makes it an integer where the data has
    one of up to 64 signed bits, and a string otherwise: for text, truth values, days, moments and every column of a CSV
    file, unless the feature says `dtype`. `identity` needs an integer. A multivalent feature reads lists, or text with
    its delimiter, whose values are judged alike; its input keeps as many as the longest `max_length` on its column.
    Weights are floats, in a list as long as the list of values. A datetime feature makes its input an integer, seconds
    since 1970, from days, moments, text or whole numbers.

    Args:
        config: its features, label and weight.
        source: the training data.

    Returns:
        A schema; `classes` is empty if the training rows decide them (for binary always, for multi-class without
        `data.label.classes`).

    Raises:
        DataError: a column does not exist; names the nearest.
        ConfigError: a feature cannot read its column, two features need different forms of one column, or a feature
            shares the vocabulary of a feature of another kind.
    """
    names = config.input_names()
    readings: dict[str, _Reading] = {}
    for feature in config.features:
        if isinstance(feature, Cross):
            continue
        found = source.require(feature.column, f"the feature {feature.name!r}")
        _put(readings, feature.column, _reading(feature, found, source))
        if isinstance(feature, Categorical) and feature.weights is not None:
            found = source.require(feature.weights, f"the feature {feature.name!r}")
            _put(readings, feature.weights, _reading_of_weights(feature, feature.weights, found, source))
    _check_owners(config, readings)
    label = config.data.label
    found = source.require(label.column, "data.label")
    if config.task == "regression" and not (is_number(found) or found in ("VARCHAR", "BOOLEAN")):
        raise ConfigError(f"data.label: {label.column!r} is {found} in {source.name}; a regression needs numbers.")
    if config.task != "regression" and not (is_number(found) or is_scalar(found)):
        raise ConfigError(f"data.label: {label.column!r} is {found} in {source.name}; a class is text or a number.")
    if config.data.weight is not None:
        found = source.require(config.data.weight, "data.weight")
        if not (is_number(found) or found in ("VARCHAR", "BOOLEAN")):
            raise ConfigError(f"data.weight: {config.data.weight!r} is {found} in {source.name}; a weight is a number.")
    for column in config.data.key:
        source.require(column, "data.key")
    return Schema(
        inputs=tuple(
            Input(
                name=names[column],
                column=column,
                kind=reading.kind,
                length=readings[reading.weighs or column].length,
                delimiter=reading.delimiter,
                weighs=reading.weighs,
                fixed=reading.fixed,
                moment=reading.moment,
            )
            for column, reading in readings.items()
        ),
        task=config.task,
        label=label.column,
        classes=tuple(text_of(value) for value in label.classes or ()),
        weight=config.data.weight,
        counts=config.counts,
    )


@dataclass(frozen=True)
class _Reading:
    """How a feature reads a column; the fields from `kind` on describe the column's input."""

    feature: Numeric | Bucketized | Categorical | Datetime
    kind: Kind
    length: int = 0
    delimiter: str | None = None
    weighs: str | None = None
    fixed: bool = False
    moment: str | None = None


def _put(readings: dict[str, _Reading], column: str, new: _Reading) -> None:
    old = readings.setdefault(column, new)
    both = f"The features {old.feature.name!r} and {new.feature.name!r} both read {column!r}"
    if bool(old.length) != bool(new.length):
        raise ConfigError(
            f"{both}, one as a list and one as a single value, and an input has one form. Give both max_length, or "
            "neither; both shape, or neither."
        )
    if old.fixed != new.fixed or (new.fixed and old.length != new.length):
        raise ConfigError(
            f"{both}, one as {_form(old)} and one as {_form(new)}, and an input has one form. Give both the same shape."
        )
    if old.moment != new.moment:
        raise ConfigError(
            f"{both}, one as {_said(old)} and one as {_said(new)}, and an input has one form. Give the datetime "
            "features the same format; a category of a moment is one of a datetime feature's parts."
        )
    if old.kind != new.kind:
        raise _conflict(both, old, new)
    if old.delimiter != new.delimiter:
        raise ConfigError(f"{both}, one with the delimiter {old.delimiter!r} and one with {new.delimiter!r}.")
    if old.weighs != new.weighs:
        raise ConfigError(
            f"{both}, one as the weights of {old.weighs or 'nothing'} and one as those of {new.weighs or 'nothing'}, "
            "and a list of weights is as long as one column's values. Give each its own column."
        )
    readings[column] = replace(old, length=max(old.length, new.length))


def _said(reading: _Reading) -> str:
    if reading.moment is None:
        return "a value"
    return f"moments of the format {reading.moment!r}" if reading.moment else "moments without a format"


def _form(reading: _Reading) -> str:
    return f"a vector of {reading.length} numbers" if reading.fixed else f"a list of up to {reading.length} values"


def _reading(feature: Numeric | Bucketized | Categorical | Datetime, found: str, source: Source) -> _Reading:
    where = f"The feature {feature.name!r} reads {feature.column!r}, which is {found} in {source.name}"
    if isinstance(feature, Datetime):
        source.refuse_periods(feature.column)
        if not moments.is_moment(found):
            raise ConfigError(f"{where}; a datetime feature needs a day, a moment, text or whole seconds since 1970.")
        return _Reading(feature, "integer", moment=feature.format or ISO)
    if isinstance(feature, Categorical) and feature.max_length is not None:
        items = _items(feature, feature.column, where, source)
        bad = lists.bad(items, "integer") if is_fractional(items.type) else None
        kind = _kind(feature, items.type, where, None if bad is None else source.first(feature.column, *bad))
        return _Reading(feature, kind, feature.max_length, feature.delimiter)
    if isinstance(feature, Numeric) and feature.shape is not None:
        items = _items(feature, feature.column, where, source)
        given = fixed_length(found)
        if given is not None and given != feature.shape:
            raise ConfigError(f"{where}: vectors of {given} numbers, and the feature has shape: {feature.shape}.")
        if not _may_be_number(items.type):
            raise ConfigError(f"{where}; a list of numbers is needed.")
        return _Reading(feature, "float", feature.shape, feature.delimiter, fixed=True)
    if value_type(found) is not None:
        if isinstance(feature, Numeric):
            raise ConfigError(f"{where}: a list. Give the feature shape, how many numbers each has.")
        if isinstance(feature, Categorical):
            raise ConfigError(f"{where}: a list. Give the feature max_length, the most values that are kept of a row.")
        raise ConfigError(f"{where}; a {feature.type} feature needs one number per row.")
    fraction = None
    if isinstance(feature, Categorical) and is_fractional(found):
        condition = is_bad(feature.column, found, "integer")
        fraction = None if condition is None else source.first(feature.column, condition)
    return _Reading(feature, _kind(feature, found, where, fraction))


def _reading_of_weights(feature: Categorical, column: str, found: str, source: Source) -> _Reading:
    where = f"The feature {feature.name!r} takes its weights from {column!r}, which is {found} in {source.name}"
    length, weighs = feature.max_length or 0, None
    if length:
        found, weighs = _items(feature, column, where, source).type, feature.column
    if not _may_be_number(found):
        raise ConfigError(f"{where}; {'a list of numbers is' if length else 'one number per row is'} needed.")
    return _Reading(feature, "float", length, feature.delimiter, weighs)


def _items(feature: Numeric | Categorical, column: str, where: str, source: Source) -> Items:
    items = source.items(column, feature.delimiter)
    if items is None:
        if source.columns[column] == "VARCHAR":
            raise ConfigError(
                f"{where}: give the feature a delimiter, which separates the values of a list in the string."
            )
        key = "shape" if isinstance(feature, Numeric) else "max_length"
        raise ConfigError(f"{where}; {key} needs one list per row, or text with a delimiter.")
    return items


def _may_be_number(found: str) -> bool:
    return is_number(found) or found in ("VARCHAR", "BOOLEAN")


def _check_owners(config: Config, readings: dict[str, _Reading]) -> None:
    categories = {feature.name: feature for feature in config.features if isinstance(feature, Categorical)}
    for feature in categories.values():
        owner = categories.get(feature.owner or "")
        if owner is None:
            continue
        kinds = [readings[one.column].kind for one in (feature, owner)]
        if kinds[0] != kinds[1]:
            raise ConfigError(
                f"The feature {feature.name!r} has the vocabulary of {owner.name!r}, but {feature.column!r} is read as "
                f"{kinds[0]} and {owner.column!r} as {kinds[1]}. Give both the same dtype."
            )


def _kind(feature: Numeric | Bucketized | Categorical, found: str, where: str, fraction: Place | None = None) -> Kind:
    """The kind of a column's input.

    Args:
        feature: what reads it.
        found: the type of its values.
        where: the beginning of a message.
        fraction: the first float that is not an integer. Without one the floats are whole numbers: pandas turns
            integers into floats if any in the column is missing.
    """
    if not isinstance(feature, Categorical):
        if _may_be_number(found):
            return "float"
        raise ConfigError(f"{where}; a {feature.type} feature needs numbers.")
    if is_fractional(found) and (fraction is not None or feature.dtype == "string"):
        found = (
            f"found {fraction.value} in row {fraction.row}" if fraction is not None else "it has no unique string form"
        )
        raise ConfigError(
            f"{where}: a number with a fraction is not a category, {found}. Use a bucketized feature with exact: true, "
            "which makes each distinct value a bucket."
        )
    if is_fractional(found):
        return "integer"
    if not is_scalar(found):
        raise ConfigError(f"{where}; a categorical feature needs one string or whole number per row.")
    if feature.dtype == "string":
        return "string"
    wants_integer = feature.dtype == "integer" or feature.identity is not None
    if wants_integer and not (is_number(found) or found == "VARCHAR"):
        raise ConfigError(f"{where}; dtype: integer and identity need whole numbers.")
    return "integer" if wants_integer or found in INTEGERS else "string"


def _conflict(both: str, one: _Reading, other: _Reading) -> ConfigError:
    category = next(reading.feature for reading in (one, other) if reading.kind != "float")
    if "float" not in (one.kind, other.kind):
        return ConfigError(f"{both}, one as strings and one as integers. Give both the same dtype.")
    return ConfigError(
        f"{both}, one as a number and one as a category, and an input has one type. "
        f"Make {category.name!r} bucketized with exact: true in place of categorical."
    )
