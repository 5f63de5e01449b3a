"""The schema survives JSON, which is how every export carries it."""

from __future__ import annotations

import dataclasses
import json
import re
from typing import Any

import numpy as np
import pytest

from tfwd.schema import DTYPES, MISSING, MISSING_INTEGER, Input, Schema, is_missing, is_reserved


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


@pytest.mark.parametrize(
    ("moment", "message"),
    [
        (7, "schema.inputs[0].moment: expected a string. Received: 7"),
        ("%Q", "schema.inputs[0].moment: '%Q' holds '%Q', and these are the directives: %a %A"),
        ("%H:%M", "schema.inputs[0].moment: '%H:%M' does not determine a day: it needs %Y (or %y), %m (or %b) and %d"),
        ("hello", "schema.inputs[0].moment: 'hello' does not determine a day"),
        ("%Y-%m-%d" + " " * 93, "schema.inputs[0].moment: expected at most 100 characters. Received 101."),
        ("%Y-%m-%d" * 100_000, "schema.inputs[0].moment: expected at most 100 characters. Received 800,000."),
    ],
)
def test_a_moment_that_no_configuration_could_have_is_refused(moment: Any, message: str) -> None:
    """Metadata that were tampered with: rows would be blamed for what the format cannot read."""
    values = Schema((Input("at", "at", "integer", moment=""),), "binary", "y", ("0", "1")).to_dict()
    for good in ("", "seconds", "%d/%m/%Y", "%Y-%m-%d" + " " * 92):
        values["inputs"][0]["moment"] = good
        assert Schema.from_dict(values).inputs[0].moment == good
    values["inputs"][0]["moment"] = moment
    with pytest.raises(ValueError, match=f"^{re.escape(message)}") as caught:
        Schema.from_dict(values)
    assert len(str(caught.value)) < 500


@pytest.mark.parametrize(
    ("schema", "names"),
    [
        (Schema((), "binary", "y", ("no", "yes")), ("probability", "logit")),
        (Schema((), "multiclass", "y", ("a", "b", "c")), ("probability", "logit", "classes")),
        (Schema((), "regression", "y"), ("prediction",)),
        (Schema((), "regression", "y", counts=True), ("prediction",)),
    ],
)
def test_the_main_answer_stands_first(schema: Schema, names: tuple[str, ...]) -> None:
    assert schema.answer_names == names
    assert schema.answer == names[0]


def test_what_is_missing_of_each_kind_is_told_from_what_is_there() -> None:
    assert all(is_missing(MISSING[kind]) for kind in DTYPES)
    assert is_missing(np.float32(np.nan))
    assert is_missing(np.int64(MISSING_INTEGER))
    assert not any(map(is_missing, (" ", "nan", 0, MISSING_INTEGER + 1, 0.0, np.inf)))


@pytest.mark.parametrize("name", ["wide_ids", "one_hot_ids", "embedding_16_ids", "numeric", "probability", "logit"])
def test_names_of_the_models_own_are_reserved(name: str) -> None:
    assert is_reserved(name)
    assert not is_reserved(name + "_")
    assert not is_reserved("my_" + name)
