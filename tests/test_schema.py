"""The schema survives JSON, which is how every export carries it."""

from __future__ import annotations

import dataclasses
import json

from tfwd.schema import MISSING_INTEGER, Input, Schema


def test_survives_json() -> None:
    schemas = [
        Schema(
            (Input("user_id", "user id", "integer"), Input("x", "x", "float")), "binary", "y", ("no", "yes"), "w", "1"
        ),
        Schema((Input("city", "città", "string"),), "regression", "price"),
    ]
    for schema in schemas:
        assert Schema.from_dict(json.loads(json.dumps(schema.to_dict(), ensure_ascii=False))) == schema


def test_every_field_survives() -> None:
    """A field that `from_dict` forgets would be the default of the next version's models."""
    whole = Schema(
        (
            Input("ids", "ids", "integer", 3, "|"),
            Input("shares", "shares", "float", 3, "|", "ids"),
            Input("v", "v", "float", 3, fixed=True),
            Input("at", "at", "integer", moment="%d/%m/%Y"),
            Input("since", "since", "integer", moment=""),
        ),
        "regression",
        "y",
        weight="w",
        version="1",
        counts=True,
    )
    for parts in ([whole], whole.inputs):
        for field in dataclasses.fields(parts[0]):
            assert any(getattr(part, field.name) != field.default for part in parts) or field.name == "classes"
    assert Schema.from_dict(json.loads(json.dumps(whole.to_dict()))) == whole


def test_missing_integer_is_the_least_int64() -> None:
    assert MISSING_INTEGER == -9_223_372_036_854_775_808


def test_a_schema_without_moments_is_read_by_versions_that_know_none() -> None:
    schema = Schema((Input("x", "x", "float"), Input("at", "at", "integer", moment="")), "binary", "y", ("0", "1"))
    assert ["moment" in entry for entry in schema.to_dict()["inputs"]] == [False, True]
