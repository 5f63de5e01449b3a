"""SQL of a configuration reaches nothing but the rows: what it may be made of, and what a connection can reach."""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
import sqlglot
import yaml
from preparation_cases import config, log, made
from sqlglot import exp

import tfwd
from tfwd.analysis.analyze import analyze
from tfwd.config.ranking import RankingConfig
from tfwd.data import Rows, Source, resolve_schema
from tfwd.data.engine import connect, is_one_expression, one
from tfwd.data.filters import checked
from tfwd.errors import ConfigError, DataError, TfwdError
from tfwd.metrics.by_user import UserMetrics

ROOT = Path(tfwd.__file__).parents[1]
COLUMNS = {"name": "VARCHAR", "x": "BIGINT", "user id": "VARCHAR", "day": "TIMESTAMP", "part": "DOUBLE"}
# What sqlglot 30 writes back without the quotes that it stood in, or did.
RAW = [
    "CAST(name AS main.\"varchar) IS NULL); COPY (SELECT 1) TO 'FILE' (FORMAT csv, USE_TMP_FILE false); --\")",
    'TRY_CAST(name AS "a"."b) IS NULL); COPY (SELECT 1) TO \'FILE\' (FORMAT csv, USE_TMP_FILE false); --")',
    "name::\"x) IS NULL); COPY (SELECT 1) TO 'FILE' (FORMAT csv, USE_TMP_FILE false); --\"",
    "EXTRACT(\"day FROM day) = 1); COPY (SELECT 1) TO 'FILE' (FORMAT csv, USE_TMP_FILE false); --\" FROM day) = 1",
    "CAST(name AS main.\"varchar) = (SELECT content FROM read_text('FILE')) OR (1=1\") IS NULL",
]


@pytest.fixture
def secret(tmp_path: Path) -> Path:
    """A file that nobody asked to be read or written."""
    path = tmp_path / "secret.csv"
    path.write_text("name,y\nhidden,1\n")
    return path


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """The file that is asked for."""
    path = tmp_path / "data.csv"
    path.write_text("name,x,day,y\na,1,2020-01-01,0\nb,2,2021-01-01,1\n")
    return path


def _filter(source: Path, sql: str) -> object:
    return Source.open(source, filter=sql)


def _column(source: Path, sql: str) -> object:
    return made(config({"columns": {"made": sql}}), train=log().rename(columns={"user": "name", "at": "day"}))


def _where(source: Path, sql: str) -> object:
    history = {"name": "liked", "user": "name", "item": "item", "time": "day", "where": sql}
    return made(config({"history": history}), train=log().rename(columns={"user": "name", "at": "day"}))


@pytest.mark.parametrize("sql", RAW)
@pytest.mark.parametrize(
    ("run", "key"),
    [(_filter, "data.filter"), (_column, "data.columns.made"), (_where, "data.history.liked.where")],
)
def test_nothing_is_written_or_read_by_names_in_quotes(
    sql: str, run: Callable[[Path, str], object], key: str, source: Path, secret: Path
) -> None:
    before = secret.read_text(), source.read_text()
    for file in (secret, source):
        with pytest.raises(ConfigError, match=f"^{re.escape(key)}: .*(not allowed|extract has no part)"):
            run(source, sql.replace("FILE", str(file)))
    assert (secret.read_text(), source.read_text()) == before


@pytest.mark.parametrize(
    ("sql", "part", "allowed"),
    [
        ("x::enum('a') = 'a'", "'ENUM'", "integer"),
        ("x::struct(a int) IS NULL", "'STRUCT'", "integer"),
        ("x::map(int, int) IS NULL", "'MAP'", "integer"),
        ("x::int[3] IS NULL", "'ARRAY'", "integer[]"),
        ("x::json IS NULL", "'JSON'", "varchar"),
        ("x::foo IS NULL", "'foo'", "varchar"),
        ("CAST(x AS main.foo) IS NULL", "'main.foo'", "varchar"),
        ("extract(nothing FROM day) = 1", "'NOTHING'", "quarter"),
        ("ceil(x TO day) = 1", "'day'", ""),
        ("name COLLATE nocase = 'a'", "collate", "lower"),
        ("1e < x", "'1e'", ""),
        ("log(x) > 1", "log()", "ln"),
        ("x: 1", "alias", "abs"),
    ],
)
def test_the_part_that_is_not_allowed_is_named_and_what_is(sql: str, part: str, allowed: str) -> None:
    with pytest.raises(ConfigError) as caught:
        checked(sql, COLUMNS, "data.columns.made")
    assert str(caught.value).startswith("data.columns.made: ")
    assert part in str(caught.value)
    assert allowed in str(caught.value)


@pytest.mark.parametrize(
    "sql",
    [
        "x::decimal(10, 2) > 1 AND cast(string_split(name, '|') as varchar[]) IS NOT NULL",
        "CAST(x AS varchar(10)) || name",
        'x::"varchar"',
        "cast(string_split(name, 'b') as varchar[])",
        "day + cast('1 day' as interval)",
        "extract('day' FROM day)",
        'extract("year" FROM day) + extract(QUARTER FROM day)',
        "extract(epoch FROM day) + extract(dow FROM day)",
        "trim(leading 'a' FROM name)",
        "name = 'it''s -- ; /*' OR name = '\\'",
        '"user id" = \'u"1\'',
        "CASE x WHEN 1 THEN 'one' ELSE 'more' END",
        "(x, 1) = (1, 1)",
        "date '2020-06-01' < day AND day < timestamp '2022-01-01'",
        "regexp_replace(name, 'a', '\\\\', 'g')",
        "substring(name FROM 1 FOR 1)",
        "coalesce(nullif(name, 'a'), 'none')",
        "1_000 + .5 + 1. + 1e3",
        "epoch(to_timestamp(x) + cast('1 hour' as interval))",
        "name ILIKE 'A%' OR name ~ '^b'",
        "x // 2 % 2 + part / 2",
        "name IS NOT DISTINCT FROM NULL",
        "epoch(day) - dayofweek(day)",
        "NOT x IN (1, 3) OR name NOT LIKE '%z' ESCAPE '#'",
    ],
)
def test_what_is_allowed_means_what_it_meant(sql: str) -> None:
    """DuckDB's own answer to the text as it stands is the oracle."""
    connection = duckdb.connect()
    connection.execute("SET TimeZone = 'UTC'")
    connection.execute(
        "CREATE TABLE t AS SELECT * FROM (VALUES ('a', 1, 'u\"1', TIMESTAMP '2020-01-01 10:00:00', 0.5), "
        "('b', 2, 'u2', TIMESTAMP '2021-05-04 03:02:01', 1.5), (NULL, 3, NULL, NULL, NULL)) "
        'AS v(name, x, "user id", day, part)'
    )
    wanted = connection.sql(f"SELECT ({sql}) AS made FROM t").fetchall()
    assert connection.sql(f"SELECT ({checked(sql, COLUMNS)}) AS made FROM t").fetchall() == wanted
    assert len({str(row) for row in wanted}) > 1 or sql.startswith("1_000")


def _expressions() -> list[str]:
    """The SQL of all presets, of the benchmarks' configurations and of the documents."""
    texts = [
        path.read_text()
        for folder in ("tfwd/config/presets", "benchmarks/configs")
        for path in (ROOT / folder).glob("*")
    ]
    for page in (*(ROOT / "docs").glob("*.md"), ROOT / "README.md"):
        texts += re.findall(r"```yaml\n(.*?)```", page.read_text(), re.DOTALL)
    found: list[str] = []
    for text in texts:
        values = yaml.safe_load(text)
        data = values.get("data") if isinstance(values, dict) else None
        if isinstance(data, dict):
            histories = data.get("history") or []
            histories = [histories] if isinstance(histories, dict) else histories
            given = [data.get("filter"), *(data.get("columns") or {}).values(), *(h.get("where") for h in histories)]
            found += [str(sql) for sql in given if sql is not None]
    return found


def test_the_sql_of_presets_and_documents_is_allowed() -> None:
    expressions = _expressions()
    assert len(expressions) > 15, expressions
    for sql in expressions:
        names = {found.name for found in sqlglot.parse_one(sql, read="duckdb").find_all(exp.Column)}
        assert is_one_expression(checked(sql, dict.fromkeys(names, "VARCHAR")))


@pytest.mark.parametrize(
    "sql",
    [
        "NOT " * 4000 + "x",
        "(" * 5000 + "x" + ")" * 5000,
        "- " * 5000 + "x",
        "+".join(["x"] * 2000),
        "CASE WHEN " * 1500 + "x",
        "lower(" * 2500 + "x",
        "x" + "[1]" * 5000,
        "x::int" + "[]" * 5000,
        "x" + "::int" * 1500,
        "[" * 10_000,
        "{" * 10_000,
    ],
)
def test_sql_that_is_nested_without_end_is_refused(sql: str) -> None:
    with pytest.raises(ConfigError, match=r"^data\.filter: .{1,250} is nested too deeply"):
        checked(sql, COLUMNS)


def test_the_longest_sql() -> None:
    listed = f"x IN ({', '.join(map(str, range(2000)))})"
    assert checked(listed, COLUMNS) == listed.replace("x", '"x"')
    with pytest.raises(ConfigError, match=r"has 50,005 characters\. An expression has at most 16,384: .* data\.join"):
        checked(f"x = {'1' * 50_001}", COLUMNS)


@pytest.mark.parametrize(
    ("sql", "whole"),
    [
        ("x = 1", True),
        ("x = 1) UNION SELECT (2", False),
        ("1 FROM t", False),
        ("x = 1; DROP TABLE t", False),
        ("1); COPY (SELECT 1) TO ('x'", False),
        ("x IS NULL); COPY (SELECT 1) TO 'x'; --", False),
    ],
)
def test_one_expression_for_duckdb_itself(sql: str, whole: bool) -> None:
    try:
        assert is_one_expression(sql) is whole
    except duckdb.ParserException:
        assert not whole


# From here on the first wall is thought away: any SQL is run.


def test_of_several_statements_none_is_run(source: Path) -> None:
    """A source is writable for DuckDB, as all that it may read: what stands behind a query must not run."""
    before = source.read_text()
    opened = Source.open(source)
    opened.filter = f"1=1); COPY (SELECT 1) TO '{source}' (FORMAT csv, USE_TMP_FILE false); --"
    with pytest.raises(ConfigError, match="Expected one SQL statement"):
        list(opened.stream("*"))
    assert source.read_text() == before
    connection = connect([str(source)])
    connection.execute(f"COPY (SELECT 1) TO '{source}' (FORMAT csv, USE_TMP_FILE false)")
    assert source.read_text() != before, "DuckDB tells reading from writing now: say so in tfwd.data.engine"


BARRED = [
    "SELECT * FROM read_text('SECRET')",
    "SELECT * FROM read_csv('SECRET')",
    "SELECT * FROM 'SECRET'",
    "SELECT * FROM glob('FOLDER/*')",
    "SELECT * FROM read_csv('FOLDER/*.csv')",
    "SELECT * FROM read_text('/etc/passwd')",
    "SELECT * FROM read_text('FOLDER/LINK')",
    "SELECT * FROM read_text('FOLDER/x/../secret.csv')",
    "COPY (SELECT 1) TO 'SECRET'",
    "COPY (SELECT 1) TO 'SECRET' (FORMAT csv, USE_TMP_FILE false)",
    "COPY (SELECT 1) TO 'FOLDER/new.csv' (USE_TMP_FILE false)",
    "EXPORT DATABASE 'FOLDER/all'",
    "ATTACH 'FOLDER/x.db'",
    "INSTALL httpfs",
    "LOAD httpfs",
    "SELECT * FROM read_csv('http://127.0.0.1:9/x.csv')",
    "SELECT * FROM read_csv('https://127.0.0.1:9/x.csv')",
    "SELECT * FROM read_parquet('s3://bucket/x.parquet')",
    "SELECT * FROM read_parquet('hf://datasets/x/y.parquet')",
    "SELECT * FROM frame",
    "SET enable_external_access = true",
    "SET lock_configuration = false",
    "SET allowed_directories = ['/']",
    "SET memory_limit = '1TB'",
    "SET temp_directory = 'FOLDER'",
    "RESET lock_configuration",
    "PRAGMA enable_external_access",
]


@pytest.mark.parametrize("query", BARRED)
def test_a_connection_reaches_the_files_that_it_was_opened_for(query: str, source: Path, secret: Path) -> None:
    link = source.parent / "link.csv"
    link.symlink_to(secret)
    frame = pd.DataFrame({"x": [1]})
    assert len(frame) == 1, "here for the query to find by name"
    files = sorted(source.parent.iterdir())
    connection = connect([str(source)])
    text = query.replace("SECRET", str(secret)).replace("FOLDER", str(source.parent)).replace("LINK", link.name)
    with pytest.raises(duckdb.Error) as caught:
        connection.cursor().execute(text).fetchall()
    assert not isinstance(caught.value, duckdb.ParserException), "the query itself is wrong"
    assert sorted(source.parent.iterdir()) == files
    assert connection.cursor().sql(f"SELECT count(*) FROM read_csv('{source}')").fetchall() == [(2,)]


def test_a_folder_to_write_in_and_nothing_beside_it(tmp_path: Path, secret: Path) -> None:
    inside, temporary = tmp_path / "in", tmp_path / "temporary"
    inside.mkdir(), temporary.mkdir()
    (inside / "out.csv").symlink_to(secret)
    before = secret.read_text()
    connection = connect(writes=[inside], temporary=temporary)
    connection.execute(f"COPY (SELECT 1 AS a) TO '{inside}/made.parquet'")
    assert connection.sql(f"FROM '{inside}/made.parquet'").fetchall() == [(1,)]
    for path in (f"{inside}/../secret.csv", f"{inside}-side.csv", f"{inside}/out.csv"):
        with pytest.raises(duckdb.PermissionException):
            connection.execute(f"COPY (SELECT 1) TO '{path}' (FORMAT csv, USE_TMP_FILE false)")
    assert secret.read_text() == before


def test_a_link_that_was_opened_is_read_and_one_that_was_bent_is_not(source: Path, secret: Path) -> None:
    link = source.parent / "link.csv"
    link.symlink_to(source)
    opened = Source.open(link)
    assert sum(batch.num_rows for batch in opened.stream("*")) == 2
    link.unlink()
    link.symlink_to(secret)
    with pytest.raises(duckdb.PermissionException):
        opened.connect().sql(opened.select("*")).fetchall()
    with pytest.raises(DataError, match="has changed since it was opened"):
        list(opened.stream("*"))
    # A link to a link in a folder that is one.
    (source.parent / "folder").symlink_to(source.parent)
    (source.parent / "twice.csv").symlink_to(source.parent / "folder" / "once.csv")
    (source.parent / "once.csv").symlink_to("data.csv")
    assert sum(batch.num_rows for batch in Source.open(source.parent / "twice.csv").stream("*")) == 2


NAMES = [
    "a",
    "b[1]",
    "c*",
    "d'",
    "e\\f",
    "g?",
    "h{1,2}",
    "i\\[1]",
    'q"q',
    "new\nline",
    "~x",
    "p%20",
    "#",
    "a;b",
    "s3:x",
]


@pytest.mark.parametrize("form", ["csv", "csv.gz", "parquet"])
def test_files_and_folders_of_any_name(tmp_path: Path, form: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Beside each lies what its name, read as a pattern, would find."""
    frame = pd.DataFrame({"name": ["x", "y"], "y": [0, 1]})

    def write(path: Path, table: pd.DataFrame) -> None:
        path.parent.mkdir(exist_ok=True)
        table.to_parquet(path) if form == "parquet" else table.to_csv(path, index=False)

    for decoy in ("b1", "cc", "gg", "h1", "h2", "i1", "i[1]", "x"):
        write(tmp_path / f"{decoy}.{form}", pd.DataFrame({"wrong": [1]}))
    monkeypatch.chdir(tmp_path)
    for index, name in enumerate(NAMES):
        path = [Path(f"{name}.{form}"), Path(name, f"x.{form}"), tmp_path / name / f"{name}.{form}"][
            (index + len(form)) % 3
        ]
        write(path, frame)
        opened = Source.open(path)
        whole = pa.Table.from_batches(list(opened.stream("*", block=opened.blocks()[0])))
        assert whole.to_pydict() == {"name": ["x", "y"], "y": ["0", "1"] if form != "parquet" else [0, 1]}
        place = opened.first("name", "name = 'y'")
        assert place is not None
        assert (place.file, place.row) == (str(path), 2)


@pytest.mark.parametrize("name", ["it's", "back\\slash", "br[a]ck", "st*r"])
def test_preparation_and_temporary_files_in_folders_of_any_name(
    tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / name
    folder.mkdir()
    log().to_parquet(folder / f"{name}.parquet")
    chosen = config({"train": str(folder / f"{name}.parquet"), "columns": {"good": "stars > 3"}})
    monkeypatch.setenv("TMPDIR", str(folder) if name == "it's" else str(tmp_path))
    monkeypatch.setattr("tempfile.tempdir", None)
    from tfwd.preparation.prepare import prepare

    (folder / "out").mkdir()
    assert prepare(chosen, folder / "out") == {"train": 400}
    opened = Source.open(folder / "out" / "train.parquet")
    assert sum(batch.num_rows for batch in opened.stream("good")) == 400


@pytest.mark.parametrize("name", ["it's", "back\\slash", "br[a]ck"])
def test_analysis_and_metrics_with_a_temporary_folder_of_any_name(
    tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / name).mkdir()
    monkeypatch.setenv("TMPDIR", str(tmp_path / name))
    monkeypatch.setattr("tempfile.tempdir", None)
    frame = pd.DataFrame({"stars": ["5", "1"] * 4, "item": [1, 2] * 4})
    chosen = config()
    opened = Source.open(frame)
    found = analyze(Rows(opened, resolve_schema(chosen, opened)), chosen)
    assert found.vocabularies["item"].values == ("1", "2")
    metrics = UserMetrics(RankingConfig(user="user", item="item"), True)
    metrics.add(pa.table({"user": [1, 1], "item": [1, 2]}), np.array([0, 1]), np.array([0.1, 0.9]))
    assert metrics.result()["mrr"] == 1.0
    assert os.listdir(tmp_path / name) == []


def test_a_temporary_folder_in_which_no_link_has_a_plain_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "t[1]").mkdir()
    (tmp_path / "a[1].csv").write_text("x\n1\n")
    monkeypatch.setenv("TMPDIR", str(tmp_path / "t[1]"))
    monkeypatch.setattr("tempfile.tempdir", None)
    with pytest.raises(TfwdError, match=r"a\[1\]\.csv cannot be read: .* Set TMPDIR to a folder"):
        Source.open(tmp_path / "a[1].csv")


def test_links_to_files_are_removed_with_their_source(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "t").mkdir()
    (tmp_path / "a[1].csv").write_text("x\n1\n")
    monkeypatch.setenv("TMPDIR", str(tmp_path / "t"))
    monkeypatch.setattr("tempfile.tempdir", None)
    opened = Source.open(tmp_path / "a[1].csv")
    assert len(os.listdir(tmp_path / "t")) == 1
    del opened
    assert os.listdir(tmp_path / "t") == []


def test_what_memory_has_no_room_for_goes_to_the_temporary_folder(tmp_path: Path) -> None:
    query = "CREATE TABLE t AS SELECT i, md5(i::VARCHAR) AS text FROM range(800_000) AS r(i)"
    connection = connect(temporary=tmp_path, settings={"memory_limit": "30MB", "threads": "2"})
    connection.execute(query)
    assert any(entry.stat().st_size for entry in tmp_path.iterdir()), "nothing was too large for memory"
    ordered = connection.sql("SELECT i FROM t ORDER BY text LIMIT 1").fetchall()
    assert ordered == duckdb.sql("SELECT i FROM range(800_000) AS r(i) ORDER BY md5(i::VARCHAR) LIMIT 1").fetchall()
    connection.close()
    with pytest.raises(duckdb.OutOfMemoryException):
        connect(settings={"memory_limit": "30MB"}).execute(query)


@pytest.mark.parametrize("reads", [lambda f: f, pa.Table.from_pandas])
def test_a_frame_is_registered(reads: Callable[[pd.DataFrame], Any]) -> None:
    opened = Source.open(reads(pd.DataFrame({"name": ["a", "b"], "x": [1, 2]})), filter="x > 1")
    assert [batch.to_pydict() for batch in opened.stream("name")] == [{"name": ["b"]}]


def test_every_database_is_opened_by_the_one_function() -> None:
    opened = [
        str(path.relative_to(ROOT))
        for path in sorted([*(ROOT / "tfwd").rglob("*.py"), *(ROOT / "export").rglob("*.py")])
        if re.search(r"duckdb\.(connect|sql|query|execute|from_\w+|read_\w+)\(|ibis\.duckdb", path.read_text())
    ]
    assert opened == ["tfwd/data/engine.py"]


def test_one_is_one() -> None:
    connection = connect()
    assert connection.sql(one(connection, "SELECT 1; ")).fetchall() == [(1,)]
    with pytest.raises(ConfigError, match=r"Expected one SQL statement\. Received 2"):
        one(connection, "SELECT 1; SELECT 2")


LONG, GROWN = "a" * 1000, "regexp_replace(name, '.', name, 'g')"


@pytest.mark.parametrize(
    "sql",
    [
        f"length(replace(replace('{LONG}', 'a', '{LONG}'), 'a', '{LONG}')) > 1",
        f"length(regexp_replace(regexp_replace({GROWN}, '.', name, 'g'), '.', name, 'g')) > 1",
        f"length(concat({', '.join(['replace(name, name, replace(name, name, name))'] * 2)})) > 1",
    ],
)
def test_texts_that_grow_beyond_any_memory_are_refused_unread(sql: str, source: Path) -> None:
    with pytest.raises(ConfigError, match=r"data\.filter: it makes strings of about [0-9,]+ characters"):
        Source.open(source, filter=sql)


def test_computed_columns_that_double_each_other_are_refused(source: Path) -> None:
    columns = {"c0": "name || name"} | {f"c{index + 1}": f"c{index} || c{index}" for index in range(30)}
    with pytest.raises(ConfigError, match=r"data\.columns\.c13: it makes strings of about 1,638,400 characters"):
        Source.open(source).computing(columns)


def test_texts_that_are_replaced_in_earnest() -> None:
    for sql in (
        "replace(replace(name, ' ', ''), '-', name) = 'a'",
        "regexp_replace(name, '[0-9]', '#', 'g') || name = 'b'",
    ):
        checked(sql, COLUMNS)


@pytest.mark.parametrize("sql", ["regexp_matches(name, '(')", "CAST(x AS BIGINT) // (CAST(x AS BIGINT) - 1) = 1"])
def test_a_filter_that_fails_is_told_as_that(sql: str, source: Path) -> None:
    schema = tfwd.Schema((tfwd.schema.Input("name", "name", "string"),), "binary", "y", classes=("0", "1"))
    with pytest.raises((ConfigError, DataError), match=r"data\.filter") as caught:
        Rows(Source.open(source, filter=sql), schema).count()
    assert "TRY" not in str(caught.value)
