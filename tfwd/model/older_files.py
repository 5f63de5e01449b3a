"""Reads what `.keras` files of older versions store differently."""

from __future__ import annotations

from typing import Any


def inputs_by_name(part: dict[str, Any]) -> dict[str, Any]:
    """Returns a saved functional model with its inputs as a list: 0.3.0 saved a dict, which Keras sorts by its keys."""
    inputs = part["config"]["input_layers"]
    if not isinstance(inputs, dict):
        return part
    return {**part, "config": {**part["config"], "input_layers": list(inputs.values())}}
