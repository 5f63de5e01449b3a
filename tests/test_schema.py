"""The schema survives JSON, which is how every export carries it."""

from __future__ import annotations

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


def test_missing_integer_is_the_least_int64() -> None:
    assert MISSING_INTEGER == -9_223_372_036_854_775_808
