"""Changes to a configuration before it is checked: `--set` and paths."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml

from tfwd import config_yaml
from tfwd.errors import ConfigError
from tfwd.features.columns import default_name


def resolve_paths(values: dict[str, Any], folder: Path) -> None:
    """Makes the file paths in a configuration absolute, beside the file they stand in.

    Args:
        values: the nested dict of a configuration, changed in place. What begins with a scheme (`census:train`) is
            no path.
        folder: what relative paths are relative to.
    """

    def absolute(node: Any, key: str) -> None:
        value = node.get(key) if isinstance(node, dict) else None
        if isinstance(value, str) and value and ":" not in value.split("/")[0]:
            node[key] = str(folder / Path(value).expanduser())

    data = values.get("data")
    for key in ("train", "path", "validation", "test"):
        absolute(data, key)
    absolute(values.get("train"), "warm_start_from")
    joins = data.get("join") if isinstance(data, dict) else None
    for join in joins if isinstance(joins, list) else [joins]:
        absolute(join, "data")
    features = values.get("features")
    for feature in features if isinstance(features, list) else []:
        absolute(feature, "vocabulary_file")


def override(values: dict[str, Any], change: str) -> None:
    """Carries out one `--set`, as `train.epochs=3` or `features.age.fill=0`.

    Args:
        values: the nested dict of a configuration, changed in place.
        change: a dotted path, `=` and a YAML value.

    Raises:
        ConfigError: it is not of that form, or names an element that a list does not have.
    """
    path, equals, text = change.partition("=")
    if not equals or not path:
        raise ConfigError(f"--set takes KEY=VALUE, as in train.epochs=3. Received: {change!r}")
    try:
        value = config_yaml.load(text) if text else None
    except yaml.YAMLError:
        raise ConfigError(f"--set {path}: {text!r} is not a YAML value.") from None
    assign(values, path.split("."), value)


def assign(values: dict[str, Any], path: Sequence[str], value: Any) -> None:
    """Sets a value deep in a configuration, in place.

    Args:
        values: the nested dict of a configuration.
        path: keys, and for elements of lists their numbers or the feature's names.
        value: the new value.

    Raises:
        ConfigError: a list has no such element.
    """
    node: Any = values
    *parents, last = path
    for part in parents:
        node = _child(node, part, path)
    node[_index(node, last, path) if isinstance(node, list) else last] = value


def _child(node: Any, part: str, path: Sequence[str]) -> Any:
    if isinstance(node, list):
        index = _index(node, part, path)
        if not isinstance(node[index], dict | list):
            raise ConfigError(f"{'.'.join(path)}: {part!r} is {node[index]!r}, which has no parts.")
        return node[index]
    child = node.get(part)
    if not isinstance(child, dict | list):
        # `label: income` and `wide_optimizer: ftrl` are short for a section.
        short = {"label": "column", "wide_optimizer": "name", "deep_optimizer": "name"}
        node[part] = {short[part]: child} if part in short and child is not None else {}
    return node[part]


def _index(node: list[Any], part: str, path: Sequence[str]) -> int:
    """An element of a list by its number or, for features, by its name."""
    names = [default_name(element).get("name") if isinstance(element, dict) else None for element in node]
    if part in names:
        return names.index(part)
    if part.isdigit() and int(part) < len(node):
        return int(part)
    known = ", ".join(str(name) for name in names if name)
    raise ConfigError(
        f"{'.'.join(path)}: the list has no element {part!r}. "
        f"It has 0 to {len(node) - 1}{f', or by name: {known}' if known else ''}."
    )
