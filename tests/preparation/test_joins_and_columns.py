"""Joined tables and computed columns against pandas, and what is refused of them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from preparation_cases import config, log, made, numbers

from tfwd.errors import ConfigError, DataError

ITEMS = pd.DataFrame({"item": range(5, 40), "title": [f"No. {n}" for n in range(5, 40)], "price": range(35)})
ITEMS["stars"] = 9


@pytest.fixture
def write(tmp_path: Path) -> Any:
    """Writes a table to join and says its path."""

    def to(frame: pd.DataFrame, name: str = "items.parquet") -> str:
        path = tmp_path / name
        frame.to_csv(path, index=False) if name.endswith(".csv") else frame.to_parquet(path)
        return str(path)

    return to


def same(found: pd.Series[Any], wanted: pd.Series[Any]) -> bool:
    """Whether two columns have one value in every row, or none; a number in text is that number."""

    def plain(value: Any) -> Any:
        try:
            return None if pd.isna(value) else float(value)
        except ValueError:
            return value

    return list(map(plain, found)) == list(map(plain, wanted))


@pytest.mark.parametrize(
    ("name", "kind"),
    [("parquet", "Int64"), ("parquet", "Float64"), ("parquet", "string"), ("csv", "Int64"), ("csv", "string")],
)
def test_a_join_keeps_the_rows_and_adds_what_is_not_there(write: Any, name: str, kind: str) -> None:
    frame = log()
    wanted = frame.merge(ITEMS.drop(columns="stars"), on="item", how="left")
    frame["item"] = frame["item"].astype(kind)  # type: ignore[call-overload]
    table = write(ITEMS, f"items.{name}")
    found = made(config({"join": {"data": table, "on": "item"}}), train=frame)["train"]
    assert numbers(found) == list(range(len(frame)))
    for column in ("title", "price", "stars"):
        assert same(found[column], wanted[column]), column
    assert wanted["title"].isna().sum() > 20, "some rows have no item, or one that is not in the table"


def test_several_joins_one_on_the_column_of_another(write: Any) -> None:
    shelves = pd.DataFrame({"price": range(35), "shelf": [f"s{n % 4}" for n in range(35)]})
    joins = [{"data": write(ITEMS), "on": "item"}, {"data": write(shelves, "shelves.csv"), "on": "price"}]
    frame = log()
    found = made(config({"join": joins}), train=frame)["train"]
    wanted = frame.merge(ITEMS.drop(columns="stars"), on="item", how="left").merge(shelves, on="price", how="left")
    assert same(found["shelf"], wanted["shelf"])


def test_joins_that_cannot_be(write: Any) -> None:
    frame = log()

    def refused(table: pd.DataFrame, message: str, on: str = "item", name: str = "items.parquet") -> None:
        with pytest.raises(DataError) as caught:
            made(config({"join": [{"data": write(table, name), "on": on}]}), train=frame)
        assert message in str(caught.value)

    twice = pd.concat([ITEMS, ITEMS[ITEMS["item"] == 7]])
    refused(twice, "items.parquet has 2 rows of item = 7, and a row can be joined with one. Keep one row per key.")
    refused(ITEMS, "data.join[0]: DataFrame has no column 'itm' to join", on="itm")
    refused(ITEMS.rename(columns={"item": "id"}), "items.parquet has no column 'item', which data.join[0].on reads.")
    refused(ITEMS.rename(columns={"price": "USER"}), "'USER' of")
    strangers = ITEMS.assign(item=ITEMS["item"] + 0.5)
    refused(strangers, "no item of DataFrame, such as '0', is in", name="items.csv")
    refused(strangers, ", which has '10.5'. They are BIGINT and VARCHAR.", name="items.csv")
    with pytest.raises(DataError, match="There is no file"):
        made(config({"join": {"data": "nowhere.csv", "on": "item"}}), train=frame)


def test_columns_are_computed_in_order_of_all_that_is_there(write: Any) -> None:
    columns = {
        "stars": "stars * 2",
        "cents": "price * 100",
        "half": "stars / 4",
        "kind": "case when cents > 1000 and half >= 2 then 'dear' else left(title, 2) end",
        "hour": "extract(hour from to_timestamp(at * 3600))",
    }
    found = made(config({"join": {"data": write(ITEMS), "on": "item"}, "columns": columns}), train=log())["train"]
    frame = log().merge(ITEMS.drop(columns="stars"), on="item", how="left")
    assert same(found["stars"], frame["stars"] * 2)
    assert same(found["half"], frame["stars"] / 2)
    dear = ((frame["price"] * 100 > 1000) & (frame["stars"] / 2 >= 2)).fillna(False)
    assert same(found["kind"], frame["title"].str[:2].where(~dear, "dear"))
    assert same(found["hour"], frame["at"] % 24)
    added = ["title", "price", "cents", "half", "kind", "hour"]
    assert list(found.columns) == ["user", "item", "at", "stars", "number", *added]


def test_columns_of_every_source() -> None:
    train, test = log(100, seed=1), log(50, seed=2)
    found = made(config({"columns": {"good": "stars > 3"}, "filter": "good"}), train=train, test=test)
    assert {name: len(frame) for name, frame in found.items()} == {
        "train": int((train["stars"] > 3).sum()),
        "test": int((test["stars"] > 3).sum()),
    }


@pytest.mark.parametrize(
    ("sql", "error", "message"),
    [
        ("(select max(stars) from log)", ConfigError, "not allowed"),
        ("stars in (select 1)", ConfigError, "not allowed"),
        ("max(stars)", ConfigError, "not allowed"),
        ("row_number() over (order by at)", ConfigError, "not allowed"),
        ("random()", ConfigError, "not allowed"),
        ("read_text('/etc/hostname')", ConfigError, "not allowed"),
        ("stars; drop table log", ConfigError, "must be one SQL expression"),
        ("stras + 1", ConfigError, "there is no column 'stras'. Did you mean 'stars'?"),
        ("row______ + 1", ConfigError, "there is no column 'row______'"),
        ("stars +", ConfigError, "is not an SQL expression"),
        ("left(stars, 'x')", ConfigError, "cannot be computed for the rows of DataFrame"),
        ("cast(stars as foo)", ConfigError, "the type 'foo' is not allowed. Cast to boolean"),
        ("regexp_extract(user, '(')", ConfigError, "cannot be computed for the rows of DataFrame"),
        ("cast(user as integer)", DataError, "cannot be computed for the rows of DataFrame: Could not convert string"),
    ],
)
def test_columns_that_cannot_be(sql: str, error: type[Exception], message: str) -> None:
    with pytest.raises(error) as caught:
        made(config({"columns": {"made": sql}}), train=log())
    assert str(caught.value).startswith("data.columns.made")
    assert message in str(caught.value)


def test_names_of_columns_that_cannot_be() -> None:
    with pytest.raises(ConfigError, match=r"data\.columns\.Stars differs from the column 'stars' only in case"):
        made(config({"columns": {"Stars": "1"}}), train=log())
    history = {"name": "x", "user": "user", "item": "item", "time": "at"}
    with pytest.raises(ConfigError, match="columns and history both make a column named 'x'"):
        config({"columns": {"x": "1"}, "history": history})
    with pytest.raises(ConfigError, match=r"data\.history: 'x' is listed twice"):
        config({"history": [history, history]})


def test_a_log_without_rows() -> None:
    with pytest.raises(DataError, match=r"No train rows come out of DataFrame: it has no rows\."):
        made(config({"columns": {"made": "1"}}), train=log().head(0))
    with pytest.raises(DataError, match=r"No train rows come out of DataFrame: data\.filter leaves none\."):
        made(config({"columns": {"made": "1"}, "filter": "stars > 5"}), train=log())


def test_a_damaged_table_is_named(tmp_path: Path) -> None:
    (tmp_path / "items.csv").write_text("item,title\n1,a\n2,b,c\n")
    path = tmp_path / "items.parquet"
    ITEMS.to_parquet(path)
    whole = path.read_bytes()
    path.write_bytes(whole[:10] + bytes(60) + whole[70:])
    for name, message in (("items.csv", ", line 3: expected 2 fields, found 3"), ("items.parquet", "Parquet file")):
        with pytest.raises(DataError) as caught:
            made(config({"join": {"data": str(tmp_path / name), "on": "item"}}), train=log())
        assert str(caught.value).startswith(str(tmp_path / name))
        assert message in str(caught.value)
