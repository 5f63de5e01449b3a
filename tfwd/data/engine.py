"""DuckDB connections that reach the files they are opened for, and nothing else on the machine or the network.

SQL of a configuration is checked before it runs (`tfwd.data.filters`). This is the second wall: whatever SQL gets
through, no other file is read or written, no extension is loaded, no host is contacted, and no setting changes that.
"""

from __future__ import annotations

import ctypes
import functools
import os
import weakref
from collections.abc import Iterable, Mapping
from pathlib import Path

import duckdb

from tfwd.data.paths import is_text
from tfwd.data.sql import literal
from tfwd.errors import ConfigError

NO_SETTINGS: Mapping[str, str | bool] = {}
_UNITS = {"bytes": 0, "KiB": 10, "MiB": 20, "GiB": 30, "TiB": 40}
_OPEN: weakref.WeakSet[duckdb.DuckDBPyConnection] = weakref.WeakSet()


def _keep_open() -> None:
    """Keeps the databases of the parent to the end of a forked process.

    Their threads are not in it, and to take a database down there without them crashes, or waits for ever.
    """
    for connection in _OPEN:
        ctypes.pythonapi.Py_IncRef(ctypes.py_object(connection))


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_keep_open)


def connect(
    reads: Iterable[str] = (),
    *,
    writes: Iterable[str | Path] = (),
    temporary: str | Path | None = None,
    settings: Mapping[str, str | bool] = NO_SETTINGS,
) -> duckdb.DuckDBPyConnection:
    """Returns a database in memory whose settings are locked.

    Frames and Arrow tables must be registered: a query finds none by the name of a Python variable.

    Args:
        reads: the files that queries read, under the names in `tfwd.data.paths`. For a link, its present target is
            allowed, not where it may point later.
        writes: folders in which files are read and written.
        temporary: the folder for spilling to disk; None, or a name with a backslash, keeps everything in memory.
        settings: DuckDB's settings by name, such as `{"memory_limit": "1GB"}`: they can't be changed later.
    """
    connection = duckdb.connect()
    _OPEN.add(connection)
    # The hour of a moment must not depend on the machine's time zone; set globally, for the connection's cursors too.
    connection.execute("SET GLOBAL TimeZone = 'UTC'")
    files = ", ".join(literal(name) for file in reads for name in _allowed(file))
    folders = ", ".join(literal(os.path.realpath(folder)) for folder in writes)
    place = "" if temporary is None else os.path.realpath(temporary)
    locked = {
        **settings,
        # DuckDB turns a backslash into a slash, which names no existing folder.
        "temp_directory": "" if "\\" in place else place,
        "autoinstall_known_extensions": False,
        "autoload_known_extensions": False,
        "allow_community_extensions": False,
    }
    for name, value in locked.items():
        connection.execute(f"SET {name} = {str(value).lower() if isinstance(value, bool) else literal(value)}")
    connection.execute(f"SET allowed_paths = [{files}]")
    connection.execute(f"SET allowed_directories = [{folders}]")
    connection.execute("SET enable_external_access = false")
    connection.execute("SET lock_configuration = true")
    return connection


def _allowed(file: str) -> list[str]:
    """Returns the names under which a file is allowed: its real path, links resolved, and its name in queries."""
    real = os.path.realpath(file)
    # A backslash is a slash here, so that another file would be allowed: such a file is reached through its link.
    return [file] if "\\" in real or not is_text(real) else [real, file]


def one(connection: duckdb.DuckDBPyConnection, query: str) -> duckdb.Statement:
    """Returns the one statement of a query, to run in place of the string: `sql` and `execute` run all that it holds.

    Raises:
        duckdb.Error: it is not a statement.
        ConfigError: it holds several statements.
    """
    statements = connection.extract_statements(query)
    if len(statements) != 1:
        raise ConfigError(f"Expected one SQL statement. Received {len(statements)}: {query}")
    return statements[0]


def is_one_expression(sql: str) -> bool:
    """Returns whether DuckDB itself reads SQL as one expression, alone after SELECT with and without parentheses.

    Raises:
        duckdb.Error: it cannot parse the SQL.
    """
    for query in (f"SELECT {sql}", f"SELECT ({sql})"):
        statements = in_memory().extract_statements(query)
        if [statement.type for statement in statements] != [duckdb.StatementType.SELECT]:
            return False
    return True


@functools.cache
def threads_and_memory() -> tuple[int, int]:
    """Returns DuckDB's own choice for this machine: threads, and bytes of memory."""
    query = "SELECT current_setting('threads'), current_setting('memory_limit')"
    threads, most = in_memory().execute(query).fetchall()[0]
    size, unit = most.split()
    return threads, int(float(size) * 2 ** _UNITS[unit])


def in_memory() -> duckdb.DuckDBPyConnection:
    """Returns a connection of its own to the database that reads no file, which the process makes once.

    To make a database takes some 40 ms. What is registered in a connection is seen by it alone; a table would be seen
    by all.
    """
    return _of_process(os.getpid()).cursor()


@functools.cache
def _of_process(process: int) -> duckdb.DuckDBPyConnection:
    return connect()
