"""SQL on the columns of a row: parsed, checked to be nothing else, and written out again."""

from __future__ import annotations

import sqlglot
from sqlglot import exp
from sqlglot.errors import SqlglotError

from tfwd.errors import ConfigError
from tfwd.naming import nearest

_NODES: tuple[type[exp.Expression], ...] = (
    exp.Column,
    exp.Identifier,
    exp.Literal,
    exp.Boolean,
    exp.Null,
    exp.Paren,
    exp.Tuple,
    exp.And,
    exp.Or,
    exp.Not,
    exp.Neg,
    exp.EQ,
    exp.NEQ,
    exp.GT,
    exp.GTE,
    exp.LT,
    exp.LTE,
    exp.Is,
    exp.In,
    exp.Between,
    exp.Like,
    exp.ILike,
    exp.Escape,
    exp.Add,
    exp.Sub,
    exp.Mul,
    exp.Div,
    exp.IntDiv,
    exp.Mod,
    exp.DPipe,
    exp.Cast,
    exp.TryCast,
    exp.DataType,
    exp.DataTypeParam,
    exp.Case,
    exp.If,
    exp.Var,
    exp.NullSafeEQ,
    exp.NullSafeNEQ,
)
_FUNCTIONS: tuple[type[exp.Expression], ...] = (
    exp.Lower,
    exp.Upper,
    exp.Length,
    exp.Trim,
    exp.Substring,
    exp.Replace,
    exp.Coalesce,
    exp.Nullif,
    exp.Abs,
    exp.Round,
    exp.Floor,
    exp.Ceil,
    exp.Greatest,
    exp.Least,
    exp.StartsWith,
    exp.RegexpLike,
    exp.Contains,
    exp.IsNan,
    exp.Year,
    exp.Month,
    exp.Day,
    exp.Extract,
    exp.Hour,
    exp.DayOfWeek,
    exp.UnixToTime,
    exp.TimeToUnix,
    exp.Concat,
    exp.Left,
    exp.Right,
    exp.Split,
    exp.SplitPart,
    exp.RegexpExtract,
    exp.RegexpReplace,
    exp.Ln,
)
# What takes operands of one type, and what takes numbers only.
_ALIKE = (
    *(exp.EQ, exp.NEQ, exp.GT, exp.GTE, exp.LT, exp.LTE, exp.Between, exp.In),
    *(exp.NullSafeEQ, exp.NullSafeNEQ, exp.Coalesce, exp.Nullif, exp.Greatest, exp.Least),
)
_ARITHMETIC = (exp.Add, exp.Sub, exp.Mul, exp.Div, exp.IntDiv, exp.Mod, exp.Abs, exp.Round, exp.Floor, exp.Ceil)


def checked(condition: str, columns: dict[str, str], key: str = "data.filter") -> str:
    """The SQL in which every column is quoted and every function is known to look at its row alone.

    Text that is compared with a number is read as a number, since all columns of a CSV file are text.

    Args:
        condition: as the user wrote it: a condition, or the value of a column.
        columns: column -> DuckDB type.
        key: of the configuration, for messages.

    Raises:
        ConfigError: it is no SQL of a row, names an unknown column, or holds anything beside comparisons,
            arithmetic and a few functions of the row's own values.
    """
    try:
        trees = sqlglot.parse(condition, read="duckdb")
    except SqlglotError as error:
        reason = str(error).splitlines()[0].split(". Line")[0]
        raise ConfigError(
            f"{key}: {condition!r} is not an SQL expression ({reason}). "
            'A column whose name has spaces or is a word of SQL is put in double quotes, as in "user id" = 3.'
        ) from None
    tree = trees[0] if len(trees) == 1 else None
    if tree is None:
        raise ConfigError(f"{key}: {condition!r} must be one SQL expression, as in rating != 3.")
    for node in tree.walk():
        if not isinstance(node, _NODES + _FUNCTIONS):
            raise ConfigError(
                f"{key}: {_called(node)} is not allowed. It may compare a row's columns, "
                f"calculate with them and use {', '.join(sorted(f.sql_name().lower() for f in _FUNCTIONS))}."
            )
    by_name = {column.lower(): column for column in columns}
    for column in list(tree.find_all(exp.Column)):
        if column.table or column.name.lower() not in by_name:
            name = column.sql(dialect="duckdb").replace('"', "") if column.table else column.name
            raise ConfigError(f"{key}: there is no column {name!r}.{nearest(name, columns)}")
        column.set("this", exp.to_identifier(by_name[column.name.lower()], quoted=True))
    return _with_numbers(tree, columns).sql(dialect="duckdb", comments=False)


def _called(node: exp.Expression) -> str:
    if isinstance(node, exp.Query | exp.Subquery):
        return "a query"
    name = node.name if isinstance(node, exp.Anonymous) else type(node).__name__.lower()
    return f"{name}()" if isinstance(node, exp.Func) else name


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
