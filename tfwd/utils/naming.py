"""Names that survive the whole way: data column -> Keras input -> SavedModel signature -> ONNX input.

A data column may be called anything (`user id`, `class`, `città`). Graph inputs may not, so every
column is mapped to an input name once, when the configuration is read, and a clash is refused there.
"""

from __future__ import annotations

import difflib
import keyword
import re
from collections.abc import Iterable

from tfwd.errors import ConfigError

# With an ending, the name of a file: 255 bytes at the most.
LONGEST = 240
_VALID = re.compile(rf"[A-Za-z][A-Za-z0-9_]{{0,{LONGEST - 1}}}")


def is_valid(name: str) -> bool:
    """Whether `name` may be used as an input, signature and file name everywhere.

    Python's keywords and `self` may not: TensorFlow turns a signature's inputs into parameters.
    """
    return _VALID.fullmatch(name) is not None and not _is_taken(name)


def _is_taken(name: str) -> bool:
    return keyword.iskeyword(name) or name == "self"


def input_name(column: str) -> str:
    """The graph input name of a data column: `user id` becomes `user_id`, `2nd` `x2nd` and `class` `class_`.

    Raises:
        ConfigError: no character of the name is valid in a graph, as for `年齢`, or it is too long.
    """
    if len(column) >= LONGEST:
        raise ConfigError(
            f"Column {column[:20] + '...'!r} has a name of {len(column)} characters, too long for a file or a graph's "
            f"input: expected fewer than {LONGEST}. Rename it."
        )
    if is_valid(column):
        return column
    if _is_taken(column):
        return column + "_"
    name = re.sub(r"[^A-Za-z0-9_]", "_", column)
    if not re.search(r"[A-Za-z0-9]", name):
        raise ConfigError(
            f"Column {column!r} has no letter or digit that a graph input may carry. "
            f"Give the feature a `name`, and the input one in data.names, as in {{{column!r}: my_column}}."
        )
    return name if name[0].isalpha() else "x" + name


def nearest(word: str, choices: Iterable[str]) -> str:
    """` Did you mean 'x'?` for the choice closest to `word`, else a list of the choices."""
    options = sorted(set(choices))
    match = difflib.get_close_matches(word, options, n=1, cutoff=0.5)
    if match:
        return f" Did you mean {match[0]!r}?"
    return f" There is: {', '.join(options)}." if options else ""


def refuse_case_twins(names: Iterable[str], what: str) -> None:
    """Refuses two names that differ only in case: SQL and some file systems treat them as one.

    Raises:
        ConfigError: names both twins.
    """
    seen: dict[str, str] = {}
    for name in names:
        twin = seen.setdefault(name.lower(), name)
        if twin != name:
            raise ConfigError(
                f"{what} {twin!r} and {name!r} differ only in case, and SQL and some file systems treat them as one "
                "name. Rename one of them."
            )
