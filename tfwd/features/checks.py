"""What must hold between features: names that differ, crosses of keys that exist."""

from __future__ import annotations

from tfwd.errors import ConfigError
from tfwd.features.columns import AnyColumn, Categorical, Cross, Numeric
from tfwd.features.layout import numeric_names
from tfwd.naming import nearest, refuse_case_twins


def check_features(features: tuple[AnyColumn, ...]) -> None:
    """Checks what holds between features: names that differ, crosses of keys that exist.

    Raises:
        ConfigError: names the feature, the key and what would be right.
    """
    by_name: dict[str, AnyColumn] = {}
    for index, feature in enumerate(features):
        if feature.name in by_name:
            raise ConfigError(
                f"features[{index}]: the name {feature.name!r} is taken by another feature. Give one of them a `name`."
            )
        by_name[feature.name] = feature
    refuse_case_twins(by_name, "Features")
    columns: dict[str, str] = {}
    for index, feature in enumerate(features):
        for column in numeric_names(feature) if isinstance(feature, Numeric) else ():
            twin = columns.setdefault(column, feature.name)
            if twin != feature.name:
                raise ConfigError(
                    f"features[{index}]: {feature.name!r} and {twin!r} both make the number {column!r}. "
                    "Give one of them another `name`."
                )
    candidates = [f.name for f in features if not isinstance(f, Cross | Numeric)]
    for index, feature in enumerate(features):
        if not isinstance(feature, Cross):
            continue
        for key in feature.keys:
            if key not in by_name:
                raise ConfigError(
                    f"features[{index}]: the cross {feature.name!r} has an unknown key {key!r}."
                    f"{nearest(key, candidates)}"
                )
            if isinstance(by_name[key], Numeric):
                raise ConfigError(
                    f"features[{index}]: the cross {feature.name!r} has the numeric key {key!r}; "
                    "a number is crossed as buckets. Declare a bucketized feature of it and name that."
                )
            if isinstance(by_name[key], Cross):
                raise ConfigError(
                    f"features[{index}]: the cross {feature.name!r} has the cross {key!r} as a key. Name its keys "
                    "instead: a cross may have any number of keys."
                )
        keys = [by_name[key] for key in feature.keys]
        if feature.bins == "exact" and any(isinstance(key, Categorical) and key.hash_bins is not None for key in keys):
            raise ConfigError(
                f"features[{index}]: bins: exact needs keys with a vocabulary or buckets, and a key of "
                f"{feature.name!r} is hashed. Give a number of bins."
            )
