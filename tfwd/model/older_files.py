"""What `.keras` files of older versions say in another way."""

from __future__ import annotations

from typing import Any


def inputs_by_name(part: dict[str, Any]) -> dict[str, Any]:
    """A functional model as saved, its inputs a list: version 0.3.0 saved a dict, which Keras takes by sorted place."""
    inputs = part["config"]["input_layers"]
    if not isinstance(inputs, dict):
        return part
    return {**part, "config": {**part["config"], "input_layers": list(inputs.values())}}
