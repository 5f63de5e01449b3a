"""Fields say what the training rows hold, and a row goes through the form and through a link unchanged."""

from __future__ import annotations

import csv
from typing import Any

import numpy as np
import page_cases
import pytest
import small_run_cases
from hypothesis import given, settings
from hypothesis import strategies as st

from tfwd.config.features.any import expanded
from tfwd.errors import DataError
from tfwd.features.space import FeatureSpace
from tfwd.page.fields import Field, fields_of, row_of_raw
from tfwd.page.links import query_of, rows_of
from tfwd.run import Run
from tfwd.schema import MISSING_INTEGER, Input


def fields(run: Run) -> dict[str, Field]:
    made = fields_of(run.model.schema, FeatureSpace(run.config.features, run.statistics))
    return {field.label: field for field in made}


@pytest.fixture(scope="module")
def hostile() -> dict[str, Field]:
    return fields(page_cases.hostile())


def test_vocabularies_are_in_the_order_of_their_counts() -> None:
    run = small_run_cases.trained()
    found = fields(run)
    with (run.path / "statistics" / "vocabulary" / "occupation.csv").open(encoding="utf-8", newline="") as file:
        counts = {row["value"]: int(row["count"]) for row in csv.DictReader(file)}
    values = found["occupation"].values
    assert set(values) == set(counts)
    assert [counts[value] for value in values] == sorted(counts.values(), reverse=True)
    assert found["occupation"].info.startswith(f"{len(counts)} known, ")
    assert (found["age"].kind, found["age"].whole) == ("number", True)


def test_a_given_vocabulary_too_begins_with_what_is_frequent(hostile: dict[str, Field]) -> None:
    values = hostile["city"].values
    assert len(values) == page_cases.CATEGORIES
    rows = set(page_cases.frame()["city"])
    seen = [value in rows for value in values[:300]]
    assert all(seen)


def test_ranges_and_kinds(hostile: dict[str, Field]) -> None:
    table = page_cases.frame()
    price, age, seen = hostile["price"], hostile["age"], hostile["seen"]
    assert table["price"].min() <= price.low <= price.high <= table["price"].max()
    assert not price.whole
    assert (age.low, age.high) == (18.0, 69.0)
    # Days as float32 are exact to some seconds.
    stamps = table["seen"].astype("datetime64[s]").astype(np.int64)
    assert stamps.min() - 60 <= seen.low <= seen.high <= stamps.max() + 60
    assert seen.range_text == "2024-01-01 to 2024-05-29"
    assert {name: field.kind for name, field in hostile.items()} == {
        page_cases.COLUMN: "category",
        "city": "category",
        "url": "category",
        "level": "category",
        "tags": "categories",
        "tag_weights": "numbers",
        "price": "number",
        "point": "numbers",
        "age": "number",
        "seen": "moment",
    }
    assert hostile["level"].values == ("0", "1", "2", "3", "4")
    assert (hostile["url"].values, hostile["url"].low) == ((), None)
    assert len(expanded(page_cases.hostile().config.features)) > len(page_cases.FEATURES)


@pytest.mark.parametrize(
    ("label", "given", "value"),
    [
        ("age", 39, 39.0),
        ("age", "39.5", 39.5),
        ("age", 0.1, 0.1),
        ("age", None, None),
        ("age", "missing", None),
        ("age", "1e400", None),
        ("city", "", None),
        ("city", None, None),
        ("city", "missing", "missing"),
        ("level", "3", 3),
        ("level", " -7 ", -7),
        ("tags", ["a", "", "a"], ["a", "a"]),
        ("tags", None, []),
        ("tags", "one", ["one"]),
        ("tag_weights", "1, 0.5; missing 2", [1.0, 0.5, None, 2.0]),
        ("tag_weights", "", []),
        ("point", "[1, -2]", [1.0, -2.0]),
        ("point", "", [None, None]),
        ("seen", "2024-06-30", 1719705600),
        ("seen", "2024-06-30 14:00+02:00", 1719748800),
        ("seen", " ", None),
    ],
)
def test_what_stands_in_the_form_is_read(hostile: dict[str, Field], label: str, given: Any, value: Any) -> None:
    field = hostile[label]
    assert field.read(given) == value
    assert field.read(field.written(value)) == value


@pytest.mark.parametrize(
    ("label", "given", "said"),
    [
        ("age", "old", "age takes a number. Received: 'old'"),
        ("level", "3.5", "level takes a whole number. Received: '3.5'"),
        ("level", str(2**63), "level takes a whole number of 64 bits"),
        ("point", "1", "point takes 2 numbers, separated by commas. Received: '1'"),
        ("seen", "yesterday", "seen takes a date or a moment"),
        ("seen", "2024-13-01", "such as 2024-06-30"),
        ("tag_weights", "1, x, 2", "tag_weights takes a number. Received: 'x'"),
        ("seen", "1, " * 100, "Received: '1, 1,"),
    ],
)
def test_what_is_no_value_is_refused_by_name(hostile: dict[str, Field], label: str, given: str, said: str) -> None:
    with pytest.raises(DataError) as caught:
        hostile[label].read(given)
    assert said in str(caught.value)
    assert len(str(caught.value)) < 200


def test_what_training_has_not_seen_is_noted(hostile: dict[str, Field]) -> None:
    assert hostile["age"].notes(39.0) == hostile["age"].notes(None) == []
    assert hostile["age"].notes(70.0) == ["age: 70 lies outside of the training range, 18 to 69."]
    assert hostile["city"].notes(f"city {page_cases.CATEGORIES - 1}") == []
    (note,) = hostile["city"].notes("CITY 9999")
    assert note.startswith("city: “CITY 9999” was not seen in training")
    assert "“city 9999”" in note
    (note,) = hostile["tags"].notes(["x", "y", "z", "w", "50%"])
    assert "“x”, “y”, “z” and 1 more" in note
    assert hostile["url"].notes("anything") == []
    assert hostile["level"].notes(9)


def test_raw_rows_lose_their_padding_and_keep_weights_beside_their_values() -> None:
    made = (
        Field(Input("tags", "tags", "string", 4), "categories"),
        Field(Input("shares", "shares", "float", 4, weighs="tags"), "numbers"),
        Field(Input("when", "when", "integer", moment=""), "moment"),
        Field(Input("point", "point", "float", 2, fixed=True), "numbers"),
    )
    raw = {
        "tags": np.array([["a", "", "b", ""], ["", "", "", ""], ["a", "b", "", ""]], object),
        "shares": np.array([[0.1, 9.0, np.nan, np.nan], [np.nan] * 4, [np.nan] * 4], np.float32),
        "when": np.array([5, MISSING_INTEGER, 0]),
        "point": np.array([[1.5, np.nan], [0, 0], [0, 0]], np.float32),
    }
    assert row_of_raw(made, raw, 0) == {"tags": ["a", "b"], "shares": [0.1, None], "when": 5, "point": [1.5, None]}
    assert row_of_raw(made, raw, 1) == {"tags": [], "shares": [], "when": None, "point": [0.0, 0.0]}
    assert row_of_raw(made, raw, 2)["shares"] == []


TEXTS = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=12)
NUMBERS = st.none() | st.floats(-1e6, 1e6, width=32).map(lambda number: float(str(np.float32(number))))
ROWS = st.fixed_dictionaries(
    {
        page_cases.COLUMN: st.none() | TEXTS | st.sampled_from(page_cases.VALUES),
        "city": st.none() | TEXTS,
        "url": st.none() | TEXTS,
        "level": st.none() | st.integers(-(2**63) + 1, 2**63 - 1),
        "tags": st.lists(TEXTS | st.sampled_from(page_cases.VALUES), max_size=5),
        "tag_weights": st.lists(NUMBERS, max_size=4),
        "price": NUMBERS,
        "point": st.lists(NUMBERS, min_size=2, max_size=2),
        "age": NUMBERS,
        "seen": st.none() | st.integers(-62_135_596_800, 253_402_300_799),
    }
)


@settings(max_examples=150, deadline=None)
@given(row=ROWS, kept=st.none() | ROWS)
def test_a_link_holds_a_row_whatever_is_in_it(hostile: dict[str, Field], row: Any, kept: Any) -> None:
    made = list(hostile.values())

    def by_name(values: Any) -> Any:
        return None if values is None else {field.name: values[field.label] for field in made}

    query = query_of(made, by_name(row), by_name(kept))
    assert query.isascii()
    otherwise = {field.name: field.read(None) for field in made}
    assert rows_of(f"?{query}", made, otherwise) == (by_name(row), by_name(kept), [])


def test_a_broken_link_opens_as_far_as_it_can_be_read(hostile: dict[str, Field]) -> None:
    made = list(hostile.values())
    otherwise = {field.name: field.read(None) for field in made} | {"age": 50.0}
    query = "age=old&level=2&nope=1&<script>=2&__theme=dark&city=%FF%FE&price&point=1&kept.level=x&tags=a"
    row, kept, wrong = rows_of(query, made, otherwise)
    assert (row["age"], row["level"], row["tags"], row["price"]) == (50.0, 2, ["a"], None)
    assert row["city"] == "\ufffd\ufffd"
    assert kept is not None
    assert kept["level"] is None
    assert wrong == [
        "The link names what the model does not read: nope, <script>.",
        "The link is wrong: point takes 2 numbers, separated by commas. Received: '1'",
        "The link is wrong: age takes a number. Received: 'old'",
        "The link is wrong: level takes a whole number. Received: 'x'",
    ]
    assert rows_of("", made, otherwise) == (otherwise, None, [])
    assert rows_of("&".join(["age=1"] * 100_001), made, otherwise)[2] == ["The link cannot be read."]
    assert rows_of("age=1&age=2", made, otherwise)[0]["age"] == 2.0
