"""Bounds on a configuration's values, checked before use: how many, how deep, which strings and keys.

With YAML's anchors ten lines make a tree of billions of values, which stays small only until something walks it.
"""

from __future__ import annotations

from typing import Any

from tfwd.errors import ConfigError

MAX_DEPTH = 32
MAX_VALUES = 1_000_000
MAX_DIGITS = 300
_MAX_TEXT = 1_000_000


def written(path: tuple[Any, ...]) -> str:
    """Returns a path as a person writes it: `features[0].column`."""
    text = "".join(f"[{part}]" if isinstance(part, int) else f".{short(str(part), 60)}" for part in path)
    return text.removeprefix(".") or "configuration"


def short(text: str, length: int = 120) -> str:
    """Returns a string of at most `length` characters, which shows where it was cut and is safe to print."""
    cut = text if len(text) <= length else text[: length - 3] + "..."
    return cut if cut.isprintable() else "".join(sign if sign.isprintable() else repr(sign)[1:-1] for sign in cut)


def shown(value: Any) -> str:
    """Returns a value for a message: short, and safe to print whatever it holds."""
    return short(_repr(value, 4))


def _repr(value: Any, depth: int) -> str:
    """Returns `repr` of as much as a message shows: for a deep or branching value, repr itself would not end."""
    if isinstance(value, str):
        return repr(value[:200])
    if isinstance(value, int) and abs(value) >= 10**200:
        return f"a number of {value.bit_length()} bits"
    if isinstance(value, dict):
        # Twelve entries are more than a message shows.
        parts = [f"{_repr(k, 1)}: {_repr(v, depth - 1)}" for k, v in _first(value.items())] if depth else ["..."]
        return "{" + ", ".join(parts) + "}"
    if type(value) in (list, tuple):
        parts = [_repr(entry, depth - 1) for entry in _first(value)] if depth else ["..."]
        opened, closed = "[]" if isinstance(value, list) else "()"
        return opened + ", ".join(parts) + ("," if closed == ")" and len(parts) == 1 else "") + closed
    return repr(value)


def _first(values: Any) -> list[Any]:
    return [value for value, _ in zip(values, range(12), strict=False)]


def check_tree(values: Any, where: str) -> None:
    """Refuses anything but a tree of reasonable size, with strings that can be written and keys that are strings.

    Args:
        values: nested dicts, lists and scalars; anything else is left alone.
        where: the file or class, for the message.

    Raises:
        ConfigError: names the path of the key.
    """
    path: list[Any] = []
    # What is known of a list or section that is shared by several places: its total number of values and its levels.
    known: dict[int, tuple[int, int]] = {}

    def refuse(fault: str) -> ConfigError:
        return ConfigError(f"{where}: {written(tuple(path[:8]))}: {fault}")

    def check(node: Any) -> tuple[int, int]:
        if isinstance(node, str):
            _check_text(node, refuse)
        elif isinstance(node, int) and abs(node) >= 10**MAX_DIGITS:
            raise refuse(f"expected a number of at most {MAX_DIGITS} digits. Received: {shown(node)}.")
        if not isinstance(node, dict | list | tuple):
            return 1, 0
        size, levels = known.get(id(node)) or walk(node)
        known[id(node)] = size, levels
        if len(path) + levels > MAX_DEPTH:
            raise refuse(f"expected at most {MAX_DEPTH} levels of sections and lists, one inside the other.")
        return size, levels

    def walk(node: Any) -> tuple[int, int]:
        if len(path) >= MAX_DEPTH:
            raise refuse(f"expected at most {MAX_DEPTH} levels of sections and lists, one inside the other.")
        size, levels, named = 1, 0, isinstance(node, dict)
        for key, value in node.items() if named else enumerate(node):
            if named and not isinstance(key, str) and not (path[-1:] == ["class_weights"] and _is_label(key)):
                raise refuse(f"keys are strings. Received the key {shown(key)} beside {shown(value)}.")
            path.append(key)
            if named and isinstance(key, str):
                _check_text(key, refuse)
            more, below = check(value)
            path.pop()
            size, levels = size + more, max(levels, below)
            if size > MAX_VALUES:
                raise refuse(
                    f"expected at most {MAX_VALUES:,} values in all, repeated ones (anchors) counted each time."
                )
        return size, levels + 1

    check(values)


def unshared(values: Any) -> Any:
    """Returns a copy in which no dict or list is shared by two places, as YAML's anchors make them."""
    if isinstance(values, dict):
        return {key: unshared(value) for key, value in values.items()}
    return [unshared(value) for value in values] if isinstance(values, list) else values


def _is_label(key: Any) -> bool:
    # YAML reads the labels 0 and 1 as numbers, and true as a truth value.
    return isinstance(key, int | float)


def _check_text(text: str, refuse: Any) -> None:
    if text.isascii() and "\0" not in text and len(text) <= _MAX_TEXT:
        return
    if len(text) > _MAX_TEXT:
        raise refuse(f"expected a string of at most {_MAX_TEXT:,} characters. Received one of {len(text):,}.")
    if "\0" in text:
        raise refuse(f"expected a string without the character NUL. Received: {shown(text)}.")
    try:
        text.encode("utf-8")
    except UnicodeEncodeError as error:
        raise refuse(
            f"expected a string that can be written as UTF-8, without half a pair of surrogates, as character "
            f"{error.start + 1} is. Received: {shown(text)}."
        ) from None
