"""Scalars mean what people mean by them, and come back from a dump as they went in."""

from __future__ import annotations

import math

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from tfwd.config.yaml12 import dump, load

scalars = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text()
values = st.recursive(scalars, lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner), max_leaves=8)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1e-3", 0.001),
        ("-2E5", -200_000.0),
        (".5", 0.5),
        ("1.", 1.0),
        ("12", 12),
        ("-7", -7),
        ("0", 0),
        ("true", True),
        ("False", False),
        ("null", None),
        ("~", None),
        ("", None),
        # Texts, of which YAML 1.1 makes a truth value, an octal number, 750, a day and 1000.
        ("no", "no"),
        ("on", "on"),
        ("00701", "00701"),
        ("12:30", "12:30"),
        ("2020-01-01", "2020-01-01"),
        ("1_000", "1_000"),
        ("0x10", "0x10"),
    ],
)
def test_scalars(text: str, value: object) -> None:
    found = load(f"key: {text}")["key"]
    assert found == value
    assert type(found) is type(value)


def test_not_finite_numbers() -> None:
    assert load("[.inf, -.inf]") == [math.inf, -math.inf]
    assert math.isnan(load(".nan"))


@settings(deadline=None)
@given(values)
def test_what_is_dumped_is_loaded(value: object) -> None:
    found = load(dump({"key": value}))["key"]
    assert found == value
    assert repr(found) == repr(value)


@pytest.mark.parametrize(
    "text", ["no", "yes", "1e-3", "00701", "12:30", "2020-01-01", "<<", "=", "", "true", "~", "1."]
)
def test_texts_that_look_like_something_else(text: str) -> None:
    assert load(dump([text])) == [text]


def test_a_key_that_stands_twice_is_refused() -> None:
    with pytest.raises(yaml.YAMLError, match="the key 'a' occurs twice in one section"):
        load("b: {a: 1, c: 2, a: 3}")


def test_anchors_and_merges() -> None:
    text = "base: &base {type: categorical, embedding: 8}\none: {<<: *base, column: a, embedding: 4}"
    assert load(text)["one"] == {"type": "categorical", "embedding": 4, "column": "a"}


def test_no_objects_are_made() -> None:
    with pytest.raises(yaml.YAMLError):
        load("!!python/object/apply:os.getcwd []")


@pytest.mark.parametrize(
    "text",
    [
        "!!map a",
        "a: !!int one",
        "a: !!timestamp b",
        "a: !!bool x",
        "a: !!float ''",
        "a: !!float 1" + ":1" * 250,
        "a: " + "9" * 5000,
        "[" * 3000,
    ],
)
def test_what_pyyaml_trips_over_is_an_error_of_yaml(text: str) -> None:
    with pytest.raises(yaml.YAMLError):
        load(text)


def test_what_has_too_many_values_is_refused_before_any_is_made() -> None:
    with pytest.raises(yaml.YAMLError, match="more than 500,000 values"):
        load("a: [" + "0," * 600_000 + "]")
