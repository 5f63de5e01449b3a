"""The schema of a run: the kind of every raw input, from what the features need and what the data holds."""

from __future__ import annotations

from tfwd.config import Config
from tfwd.data.labels import text_of
from tfwd.data.source import Source
from tfwd.data.sql import INTEGERS, is_fractional, is_number, is_scalar
from tfwd.errors import ConfigError
from tfwd.features.columns import Bucketized, Categorical, Cross, Numeric
from tfwd.schema import Input, Kind, Schema


def resolve_schema(config: Config, source: Source) -> Schema:
    """Decides once what every raw input is; training, analysis and every export follow it.

    A numeric or bucketized feature makes its input a float. A categorical one makes it an integer where the data has
    one of up to 64 signed bits, and a string otherwise: text, truth values, days, moments, and every column of a CSV
    file, unless the feature says `dtype`. `identity` needs an integer.

    Args:
        config: its features, label and weight.
        source: the training data.

    Returns:
        A schema; `classes` is empty where the training rows decide (all of binary, and multi-class without
        `data.label.classes`).

    Raises:
        DataError: a column is not there; names the nearest.
        ConfigError: a feature cannot read its column, or two features need different kinds of one column.
    """
    names = config.input_names()
    kinds: dict[str, Kind] = {}
    first: dict[str, Numeric | Bucketized | Categorical] = {}
    for feature in config.features:
        if isinstance(feature, Cross):
            continue
        found = source.require(feature.column, f"the feature {feature.name!r}")
        kind = _kind(feature, found, source.name)
        twin = first.setdefault(feature.column, feature)
        if kinds.setdefault(feature.column, kind) != kind:
            raise _conflict(feature.column, twin, feature)
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
        inputs=tuple(Input(name=names[column], column=column, kind=kind) for column, kind in kinds.items()),
        task=config.task,
        label=label.column,
        classes=tuple(text_of(value) for value in label.classes or ()),
        weight=config.data.weight,
    )


def _kind(feature: Numeric | Bucketized | Categorical, found: str, name: str) -> Kind:
    where = f"The feature {feature.name!r} reads {feature.column!r}, which is {found} in {name}"
    if not isinstance(feature, Categorical):
        if is_number(found) or found in ("VARCHAR", "BOOLEAN"):
            return "float"
        raise ConfigError(f"{where}; a {feature.type} feature needs numbers.")
    if is_fractional(found):
        raise ConfigError(
            f"{where}: a number with a fraction is no category. Use a bucketized feature with exact: true, "
            "which makes each distinct value a bucket."
        )
    if not is_scalar(found):
        raise ConfigError(f"{where}; a categorical feature needs one text or whole number a row.")
    if feature.dtype == "string":
        return "string"
    wants_integer = feature.dtype == "integer" or feature.identity is not None
    if wants_integer and not (is_number(found) or found == "VARCHAR"):
        raise ConfigError(f"{where}; dtype: integer and identity need whole numbers.")
    return "integer" if wants_integer or found in INTEGERS else "string"


def _conflict(
    column: str, one: Numeric | Bucketized | Categorical, other: Numeric | Bucketized | Categorical
) -> ConfigError:
    both = f"The features {one.name!r} and {other.name!r} both read {column!r}"
    if isinstance(one, Categorical) and isinstance(other, Categorical):
        return ConfigError(f"{both}, one as strings and one as integers. Give both the same dtype.")
    category = one if isinstance(one, Categorical) else other
    return ConfigError(
        f"{both}, one as a number and one as a category, and an input has one type. "
        f"Make {category.name!r} bucketized with exact: true in place of categorical."
    )
