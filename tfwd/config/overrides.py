"""Changes to a configuration before it is checked: `--set` and paths."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml

from tfwd.config import yaml12
from tfwd.config.features.base import default_name
from tfwd.config.tree import short, shown
from tfwd.errors import ConfigError


def resolve_paths(values: dict[str, Any], folder: Path) -> None:
    """Makes the file paths in a configuration absolute, relative to the folder of its file.

    Args:
        values: the nested dict of a configuration, changed in place. A value that begins with a scheme
            (`census:train`) is not a path.
        folder: the folder that relative paths start from.
    """

    def absolute(node: Any, key: str) -> None:
        value = node.get(key) if isinstance(node, dict) else None
        if isinstance(value, list | tuple):
            node[key] = [resolved(entry) for entry in value]
        elif value is not None:
            node[key] = resolved(value)

    def resolved(value: Any) -> Any:
        if isinstance(value, os.PathLike):
            value = os.fspath(value)
        if not isinstance(value, str) or not value or ":" in value.split("/")[0]:
            return value
        try:
            return str(folder / Path(value).expanduser())
        except RuntimeError:
            raise ConfigError(f"{shown(value)} names the home directory of an unknown user.") from None

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
    """Carries out one `--set`, such as `train.epochs=3` or `features.age.fill=0`.

    Args:
        values: the nested dict of a configuration, changed in place.
        change: a dotted path, `=` and a YAML value.

    Raises:
        ConfigError: it is not of that form, or names an element that a list does not have.
    """
    path, equals, text = change.partition("=")
    if not equals or not path:
        raise ConfigError(f"--set takes KEY=VALUE, as in train.epochs=3. Received: {shown(change)}")
    try:
        value = yaml12.load(text) if text else None
    except yaml.YAMLError as error:
        raise ConfigError(
            f"--set {short(path)}: {shown(text)} is not a YAML value: {yaml12.reason(error, text)}."
        ) from None
    assign(values, path.split("."), value)


def assign(values: dict[str, Any], path: Sequence[str], value: Any) -> None:
    """Sets a value deep in a configuration, in place.

    Args:
        values: the nested dict of a configuration.
        path: keys, and for elements of lists their numbers or the names of features.
        value: the new value; None in place of a feature leaves it out.

    Raises:
        ConfigError: a list has no such element.
    """
    node: Any = values
    *parents, last = path
    for part in parents:
        node = _child(node, part, path)
    if not isinstance(node, list):
        node[last] = value
    elif value is None and parents == ["features"]:
        del node[_index(node, last, path)]
    else:
        node[_index(node, last, path)] = value


def _child(node: Any, part: str, path: Sequence[str]) -> Any:
    if isinstance(node, list):
        index = _index(node, part, path)
        if not isinstance(node[index], dict | list):
            raise ConfigError(f"{short('.'.join(path))}: {shown(part)} is {shown(node[index])}, which has no parts.")
        return node[index]
    child = node.get(part)
    if not isinstance(child, dict | list):
        # `label: income` and `wide_optimizer: ftrl` are short for a section.
        sections = {"label": "column", "wide_optimizer": "name", "deep_optimizer": "name"}
        node[part] = {sections[part]: child} if part in sections and child is not None else {}
    return node[part]


def _index(node: list[Any], part: str, path: Sequence[str]) -> int:
    """Returns an element of a list by its number or, for features, by its name."""
    names = [_name(element) for element in node]
    if part in names:
        return names.index(part)
    # Not isdigit, for which ² is a digit too.
    if re.fullmatch("[0-9]{1,9}", part) and int(part) < len(node):
        return int(part)
    known = short(", ".join(str(name) for name in names if name), 500)
    raise ConfigError(
        f"{short('.'.join(path))}: the list has no element {shown(part)}. "
        + (f"It has 0 to {len(node) - 1}{f', or by name: {known}' if known else ''}." if node else "It is empty.")
    )


def _name(element: Any) -> Any:
    try:
        return default_name(element).get("name") if isinstance(element, dict) else None
    except ValueError:
        # A column whose name is invalid for an input, which is refused when everything is checked.
        return None
