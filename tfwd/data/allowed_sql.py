"""What SQL on a row may consist of: a closed list of parts, types and functions.

sqlglot writes some quoted names back without their quotes, such as the type in a CAST and the unit of an EXTRACT. So
a part is allowed by its kind, and each string in it by its position.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from sqlglot import exp

from tfwd.errors import ConfigError

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
    exp.NullSafeEQ,
    exp.NullSafeNEQ,
)
# As DuckDB calls them.
_FUNCTIONS: dict[type[exp.Expression], str] = {
    exp.Lower: "lower",
    exp.Upper: "upper",
    exp.Length: "length",
    exp.Trim: "trim",
    exp.Substring: "substring",
    exp.Replace: "replace",
    exp.Coalesce: "coalesce",
    exp.Nullif: "nullif",
    exp.Abs: "abs",
    exp.Round: "round",
    exp.Floor: "floor",
    exp.Ceil: "ceil",
    exp.Greatest: "greatest",
    exp.Least: "least",
    exp.StartsWith: "starts_with",
    exp.RegexpLike: "regexp_matches",
    exp.Contains: "contains",
    exp.IsNan: "isnan",
    exp.Year: "year",
    exp.Month: "month",
    exp.Day: "day",
    exp.Extract: "extract",
    exp.Hour: "hour",
    exp.DayOfWeek: "dayofweek",
    exp.UnixToTime: "to_timestamp",
    exp.TimeToUnix: "epoch",
    exp.Concat: "concat",
    exp.Left: "left",
    exp.Right: "right",
    exp.Split: "string_split",
    exp.SplitPart: "split_part",
    exp.RegexpExtract: "regexp_extract",
    exp.RegexpReplace: "regexp_replace",
    exp.Ln: "ln",
}
_ALLOWED: tuple[type[exp.Expression], ...] = (*_NODES, *_FUNCTIONS)
_TYPES = frozenset(
    {
        exp.DType.BOOLEAN,
        *(exp.DType.TINYINT, exp.DType.SMALLINT, exp.DType.INT, exp.DType.BIGINT, exp.DType.INT128),
        *(exp.DType.UTINYINT, exp.DType.USMALLINT, exp.DType.UINT, exp.DType.UBIGINT, exp.DType.UINT128),
        *(exp.DType.FLOAT, exp.DType.DOUBLE, exp.DType.DECIMAL),
        *(exp.DType.TEXT, exp.DType.VARCHAR, exp.DType.CHAR, exp.DType.NCHAR, exp.DType.NVARCHAR, exp.DType.UUID),
        *(exp.DType.DATE, exp.DType.TIME, exp.DType.INTERVAL),
        *(exp.DType.TIMESTAMP, exp.DType.TIMESTAMPNTZ, exp.DType.TIMESTAMPTZ),
        *(exp.DType.TIMESTAMP_S, exp.DType.TIMESTAMP_MS, exp.DType.TIMESTAMP_NS),
        exp.DType.ARRAY,
    }
)
_UNITS = frozenset(
    {
        *("century", "day", "dayofweek", "dayofyear", "decade", "dow", "doy"),
        *("epoch", "era", "hour", "isodow", "isoyear", "julian", "microsecond"),
        *("microseconds", "millennium", "millisecond", "milliseconds", "minute", "month", "quarter"),
        *("second", "week", "weekday", "weekofyear", "year", "yearweek"),
    }
)
# Characters that an expression makes from a row: the count for a text column, for other values, and the maximum.
_TEXT, _VALUE, MOST_CHARACTERS = 100, 32, 1_000_000
# Functions that join strings, those that replace parts of one by another, and those that make none longer.
_SUMS = (exp.Concat, exp.DPipe)
_PRODUCTS = (exp.Replace, exp.RegexpReplace)
_PARTS = (
    *(exp.Lower, exp.Upper, exp.Trim, exp.Substring, exp.Left, exp.Right, exp.Split, exp.SplitPart, exp.RegexpExtract),
    *(exp.Coalesce, exp.Nullif, exp.Case, exp.If, exp.Greatest, exp.Least, exp.Paren, exp.Cast, exp.TryCast),
)
_NUMBER = re.compile(r"\d+\.?\d*([eE][+-]?\d+)?|\.\d+([eE][+-]?\d+)?")


def refuse_others(tree: exp.Expression, key: str) -> None:
    """Refuses a tree with a part that is not allowed.

    Args:
        tree: as parsed by sqlglot.
        key: the configuration's key, for messages.

    Raises:
        ConfigError: names the part, and what is allowed.
    """
    for node in tree.walk():
        if isinstance(node, exp.DataType):
            _check_type(node, key)
        elif isinstance(node, exp.Var):
            _check_unit(node, key)
        elif not isinstance(node, _ALLOWED):
            raise ConfigError(
                f"{key}: {_called(node)} is not allowed. It may compare a row's columns, "
                f"calculate with them and use {', '.join(sorted(_FUNCTIONS.values()))}."
            )
        elif not _has_known_texts(node):
            raise ConfigError(f"{key}: {node.this!r} is not allowed there. Write the expression differently.")


def characters(node: exp.Expression, sizes: Mapping[str, int], key: str) -> int:
    """Returns about how long a string an expression makes of a row: a few nested replacements exceed any memory.

    Args:
        node: an expression of allowed parts.
        sizes: the sizes of computed columns, by name in lower case; others are counted as 100.
        key: the configuration's key, for messages.

    Raises:
        ConfigError: the expression or a part of it makes more than a million characters.
    """
    if isinstance(node, exp.Column):
        return sizes.get(node.name.lower(), _TEXT)
    if isinstance(node, exp.Literal):
        return len(node.this)
    inner = [(part.arg_key, characters(part, sizes, key)) for part in node.iter_expressions()]
    lengths = [length for _, length in inner]
    if isinstance(node, _SUMS):
        found = sum(lengths)
    elif isinstance(node, _PRODUCTS):
        named = dict(inner)
        found = named["this"] * max(1, named.get("replacement", 1))
    else:
        found = max(lengths, default=0) if isinstance(node, _PARTS) else _VALUE
    if found > MOST_CHARACTERS:
        raise ConfigError(
            f"{key}: it makes strings of about {found:,} characters, if a column's have {_TEXT}. A value has at most "
            f"{MOST_CHARACTERS:,}: replace or join less in one expression."
        )
    return found


def _check_type(node: exp.DataType, key: str) -> None:
    plain = node.this in _TYPES and not any(
        value for part, value in node.args.items() if part not in ("this", "expressions", "nested")
    )
    inner = node.expressions
    if node.this == exp.DType.ARRAY:
        plain &= len(inner) == 1 and isinstance(inner[0], exp.DataType)
    else:
        plain &= all(isinstance(part, exp.DataTypeParam) and part.this.is_int for part in inner)
    if not plain:
        name = node.args.get("kind") or node.this
        called = name.value if isinstance(name, exp.DType) else str(name)
        raise ConfigError(
            f"{key}: the type {called!r} is not allowed. Cast to boolean, a number (integer, bigint, double, "
            "decimal(10, 2)), varchar, date, time, timestamp, interval, or a list of those, such as integer[]."
        )


def _check_unit(node: exp.Var, key: str) -> None:
    if not isinstance(node.parent, exp.Extract) or node.arg_key != "this":
        raise ConfigError(f"{key}: the word {node.name!r} is not allowed there.")
    if node.name.lower() not in _UNITS:
        raise ConfigError(f"{key}: extract has no part {node.name!r}. Its parts are {', '.join(sorted(_UNITS))}.")


def _has_known_texts(node: exp.Expression) -> bool:
    """Returns whether all strings in a part itself, not in its children, are quoted or known."""
    texts = {name: value for name, value in node.args.items() if isinstance(value, str)}
    if isinstance(node, exp.Literal):
        return texts.keys() == {"this"} and (node.is_string or _NUMBER.fullmatch(node.this) is not None)
    if isinstance(node, exp.Identifier):
        # An identifier of a column, which is written in quotes.
        return texts.keys() == {"this"} and isinstance(node.parent, exp.Column)
    if isinstance(node, exp.Trim):
        return texts.keys() <= {"position"} and node.args.get("position") in (None, "LEADING", "TRAILING", "BOTH")
    return not texts


def _called(node: exp.Expression) -> str:
    if isinstance(node, exp.Query | exp.Subquery):
        return "a query"
    name = node.name if isinstance(node, exp.Anonymous) else type(node).__name__.lower()
    return f"{name}()" if isinstance(node, exp.Func) else name
