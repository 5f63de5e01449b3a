"""SQL on the columns of a row: parsed, checked to do nothing else, and written out again."""

from __future__ import annotations

from collections.abc import Mapping

import duckdb
import sqlglot
from sqlglot import exp
from sqlglot.errors import SqlglotError
from sqlglot.tokens import TokenType

from tfwd.data.allowed_sql import characters, refuse_others
from tfwd.data.engine import is_one_expression
from tfwd.errors import ConfigError
from tfwd.utils.naming import nearest

# Expressions whose operands have the same type, and those that take only numbers.
_ALIKE = (
    *(exp.EQ, exp.NEQ, exp.GT, exp.GTE, exp.LT, exp.LTE, exp.Between, exp.In),
    *(exp.NullSafeEQ, exp.NullSafeNEQ, exp.Coalesce, exp.Nullif, exp.Greatest, exp.Least),
)
_ARITHMETIC = (exp.Add, exp.Sub, exp.Mul, exp.Div, exp.IntDiv, exp.Mod, exp.Abs, exp.Round, exp.Floor, exp.Ceil)


# The limits of an expression: longer ones, and ones too deep for Python's stack, take seconds to read.
_CHARACTERS, _BRACKETS = 16_384, 64


NO_SIZES: Mapping[str, int] = {}


def checked(
    condition: str, columns: dict[str, str], key: str = "data.filter", sizes: Mapping[str, int] = NO_SIZES
) -> str:
    """Returns the SQL of `measured`, without the length."""
    return measured(condition, columns, key, sizes)[0]


def measured(condition: str, columns: dict[str, str], key: str, sizes: Mapping[str, int]) -> tuple[str, int]:
    """Returns the SQL with every column quoted and every function known to depend on its row alone, and its size.

    Text that is compared with a number is read as a number, since all columns of a CSV file are text. The size is
    about how long a string the SQL makes from a row.

    Args:
        condition: as the user wrote it: a condition, or the value of a column.
        columns: column -> DuckDB type.
        key: the configuration's key, for messages.
        sizes: about how long the strings of computed columns are, by name in lower case.

    Raises:
        ConfigError: it is not SQL on a row, names an unknown column, or holds anything other than comparisons,
            arithmetic and a few functions of the row's own values.
    """
    shown = _shown(condition, key)
    try:
        tree = _parsed(condition, shown, key)
        refuse_others(tree, key)
        size = characters(tree, sizes, key)
        by_name = {column.lower(): column for column in columns}
        for column in list(tree.find_all(exp.Column)):
            if column.table or column.name.lower() not in by_name:
                name = column.sql(dialect="duckdb").replace('"', "") if column.table else column.name
                raise ConfigError(f"{key}: there is no column {name!r}.{nearest(name, columns)}")
            column.set("this", exp.to_identifier(by_name[column.name.lower()], quoted=True))
        written = _with_numbers(tree, columns).sql(dialect="duckdb", comments=False)
        # The written SQL is parsed and checked again: it is what will run.
        refuse_others(_parsed(written, shown, key), key)
        alone = is_one_expression(written)
    except (RecursionError, duckdb.ParserException) as error:
        if isinstance(error, RecursionError) or "depth" in str(error):
            raise _too_deep(shown, key) from None
        alone = False
    if not alone:
        raise ConfigError(f"{key}: {shown} must be one SQL expression, as in rating != 3.")
    return written, size


def reads(expression: str, key: str) -> set[str]:
    """Returns the columns that an expression reads, in lower case; `checked` may find some of them missing.

    Raises:
        ConfigError: it is not an SQL expression.
    """
    shown = _shown(expression, key)
    try:
        return {column.name.lower() for column in _parsed(expression, shown, key).find_all(exp.Column)}
    except RecursionError:
        raise _too_deep(shown, key) from None


def _shown(expression: str, key: str) -> str:
    """Returns an expression for messages; refuses one that is too long."""
    shown = repr(expression if len(expression) <= 200 else expression[:197] + "...")
    if len(expression) > _CHARACTERS:
        raise ConfigError(
            f"{key}: {shown} has {len(expression):,} characters. An expression has at most {_CHARACTERS:,}: put a long "
            "list of values into a table and add it with data.join."
        )
    return shown


def _too_deep(shown: str, key: str) -> ConfigError:
    return ConfigError(f"{key}: {shown} is nested too deeply. Write it with fewer levels.")


def _parsed(text: str, shown: str, key: str) -> exp.Expression:
    try:
        tokens = sqlglot.tokenize(text, read="duckdb")
        # For each bracket, sqlglot looks at everything before it.
        if sum(token.token_type == TokenType.L_BRACKET for token in tokens) > _BRACKETS:
            raise _too_deep(shown, key)
        trees = sqlglot.parse(text, read="duckdb")
    except SqlglotError as error:
        reason = str(error).splitlines()[0].split(". Line")[0]
        raise ConfigError(
            f"{key}: {shown} is not an SQL expression ({reason}). "
            'A column whose name has spaces or is an SQL keyword is put in double quotes, as in "user id" = 3.'
        ) from None
    if len(trees) != 1 or trees[0] is None:
        raise ConfigError(f"{key}: {shown} must be one SQL expression, as in rating != 3.")
    return trees[0]


def _with_numbers(tree: exp.Expression, columns: dict[str, str]) -> exp.Expression:
    for column in list(tree.find_all(exp.Column)):
        if columns[column.name] != "VARCHAR":
            continue
        node: exp.Expression = column
        while isinstance(node.parent, exp.Paren | exp.Neg):
            node = node.parent
        parent = node.parent
        others = [part for part in parent.iter_expressions() if part is not node] if parent else []
        compared = isinstance(parent, _ALIKE) and any(_is_numeric(part) for part in others)
        if compared or isinstance(parent, _ARITHMETIC):
            number = exp.cast(exp.Nullif(this=column.copy(), expression=exp.Literal.string("")), "DOUBLE")
            column.replace(number)
    return tree


def _is_numeric(node: exp.Expression) -> bool:
    while isinstance(node, exp.Paren | exp.Neg):
        node = node.this
    return isinstance(node, _ARITHMETIC) or (isinstance(node, exp.Literal) and not node.is_string)
