"""What lists of items are made from: the catalogue, and each user as a request today would describe them."""

from __future__ import annotations

import json

from tfwd.config.config import Config
from tfwd.config.preparation import HistoryConfig
from tfwd.data.computed import key_of
from tfwd.data.filters import reads
from tfwd.data.scans import COMPUTED
from tfwd.data.source import Source
from tfwd.data.sql import FLOATS, identifier, literal
from tfwd.preparation.database import Database
from tfwd.preparation.history import latest
from tfwd.preparation.log import LOG, add, compute, load_table
from tfwd.preparation.split import require_time


def items(database: Database, config: Config, tables: list[Source], row: str) -> str:
    """Returns the query of the catalogue: `item`, `title` and `item_columns`, one row per item, ordered by item.

    The items are those of the log, as of their last event, and those of a table that is joined on the item: items that
    nobody has rated yet can still be recommended.

    Args:
        database: holds the log.
        config: a configuration with a ranking section.
        tables: those of `data.join`.
        row: the column that numbers the rows.
    """
    ranking = config.ranking
    assert ranking is not None
    known = database.columns(LOG)
    wanted = list(dict.fromkeys([*([ranking.title] if ranking.title else []), *ranking.item_columns]))
    item, order = identifier(ranking.item), _order(database, config, row)
    last = ", ".join(f"arg_max_null({identifier(column)}, {order}) AS {identifier(column)}" for column in wanted)
    seen = f"SELECT {item}{', ' + last if last else ''} FROM {LOG} WHERE {item} IS NOT NULL GROUP BY 1"
    _unseen(database, config, tables)
    there = database.columns("unseen")
    values = [
        f"CAST({identifier(column) if column in there else 'NULL'} AS {known[column]}) AS {identifier(column)}"
        for column in [ranking.item, *wanted]
    ]
    return f"SELECT * FROM ({seen} UNION ALL BY NAME SELECT {', '.join(values)} FROM unseen) ORDER BY {item}"


def _unseen(database: Database, config: Config, tables: list[Source]) -> None:
    """Makes the table `unseen`: the items that only joined tables have, with all that is known about the item alone."""
    assert config.ranking is not None
    name = config.ranking.item
    item, kind = identifier(name), database.columns(LOG)[name]
    replaced = name in config.data.columns
    joined = [
        (f"data.join[{index}]", table)
        for index, (join, table) in enumerate(zip(config.data.join, tables, strict=True))
        if join.on == name
    ]
    # Joined tables have the items as they are before one is computed from another.
    given = joined[0][1].columns.get(name, kind) if replaced and joined else kind
    database.create("unseen", f"SELECT CAST({item} AS {given}) AS {item} FROM {LOG} LIMIT 0", "data.join")
    for key, table in joined:
        load_table(database, table, name, key)
        database.run(f"INSERT INTO unseen SELECT CAST({item} AS {given}) FROM joined WHERE {item} IS NOT NULL", key)
    seen = f"SELECT {item} FROM {LOG} WHERE {item} IS NOT NULL"
    known = f"SELECT DISTINCT {item} FROM unseen"
    database.create("unseen", known if replaced else f"{known} WHERE {item} NOT IN ({seen})")
    for key, table in joined:
        add(database, "unseen", table, name, key, "the catalogue")
    for column, expression in config.data.columns.items():
        if reads(expression, key_of(column)) <= {known.lower() for known in database.columns("unseen")}:
            compute(database, "unseen", column, expression)
        elif column == name:
            # Identifying an item takes more than its own columns: items without events cannot be identified.
            database.create("unseen", "SELECT * FROM unseen LIMIT 0")
    if replaced:
        first = f"row_number() OVER (PARTITION BY {item}) = 1"
        new = f"CAST({item} AS {kind}) NOT IN ({seen})"
        database.create("unseen", f"SELECT * FROM unseen WHERE {item} IS NOT NULL AND {new} QUALIFY {first}")


def users(database: Database, config: Config, row: str) -> str:
    """Returns the query of the users: `user`, the columns that features read, as of the last event, histories, `seen`.

    Args:
        database: holds the log and, for each history, the events it was made from.
        config: a configuration with a ranking section.
        row: the column that numbers the rows.
    """
    ranking = config.ranking
    assert ranking is not None
    made = {history.name for history in config.data.history}
    of_item = {ranking.item, ranking.title, *ranking.item_columns}
    known = database.columns(LOG)
    columns = [name for name in config.input_names() if name not in of_item | made | {ranking.user} and name in known]
    user, item, order = identifier(ranking.user), identifier(ranking.item), _order(database, config, row)
    last = [f"arg_max_null({identifier(column)}, {order}) AS {identifier(column)}" for column in columns]
    seen = f"list(DISTINCT {item} ORDER BY {item}) FILTER (WHERE {item} IS NOT NULL) AS seen"
    grouped = f"SELECT {', '.join([user, *last, seen])} FROM {LOG} WHERE {user} IS NOT NULL GROUP BY 1"
    selected, joins = ["u.*"], ""
    for index, history in enumerate(config.data.history):
        database.create(f"latest_{index}", latest(database.table(f"events_{index}"), history.length))
        listed = f"{known[history.item]}[]"
        selected.append(f"coalesce(h{index}.history, CAST([] AS {listed})) AS {identifier(history.name)}")
        whose = f"u.{user}"
        if history.user != ranking.user:
            # A list that is not the user's own, for example a household's: that of the user's last event.
            owner = f'arg_max_null({identifier(history.user)}, {order}) AS "owner"'
            owners = f'SELECT {user} AS "user", {owner} FROM {LOG} WHERE {user} IS NOT NULL GROUP BY 1'
            joins += f' LEFT JOIN ({owners}) AS o{index} ON u.{user} = o{index}."user"'
            whose = f'o{index}."owner"'
        joins += f' LEFT JOIN latest_{index} AS h{index} ON {whose} = h{index}."user"'
    return f"SELECT {', '.join(selected)} FROM ({grouped}) AS u{joins} ORDER BY u.{user}"


def events(database: Database, history: HistoryConfig, listed: str, row: str) -> str:
    """Returns the query of the events of a history, with the columns that `tfwd.preparation.history` takes."""
    time = _time(database, history.time)
    return (
        f'SELECT {identifier(row)} AS "row", {identifier(history.user)} AS "user", '
        f'{identifier(history.item)} AS "item", {time} AS "time", {listed} AS listed FROM {LOG}'
    )


def _time(database: Database, column: str) -> str:
    """Returns the SQL of the time of an event, NULL where it is invalid."""
    time = identifier(column)
    return f"CASE WHEN NOT isnan({time}) THEN {time} END" if database.columns(LOG)[column] in FLOATS else time


def _order(database: Database, config: Config, row: str) -> str:
    """Returns the SQL that orders events: by time if the configuration names it, then by position in the log."""
    place = identifier(row)
    if config.data.event_time is None:
        return place
    time = _time(database, require_time(database, LOG, config.data.event_time, "data"))
    # An event without a time comes before all others.
    return f"row({time} IS NOT NULL, {time}, {place})"


def copy(database: Database, query: str, path: str, computed: dict[str, str] | None = None) -> None:
    """Writes the rows of a query as Parquet, in order, and marks the columns that were computed."""
    mark = f", KV_METADATA {{{COMPUTED}: {literal(json.dumps(computed))}}}" if computed is not None else ""
    options = f"FORMAT parquet, COMPRESSION zstd, ROW_GROUP_SIZE 65536{mark}"
    database.run(f"COPY ({query}) TO {literal(path)} ({options})")
