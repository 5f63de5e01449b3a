"""Validation errors of pydantic, reworded for the person who wrote the YAML file."""

from __future__ import annotations

import types
import typing
from typing import Any

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from tfwd.config.synonyms import meant
from tfwd.config.tree import shown, written
from tfwd.utils.naming import nearest

# The most problems that a message lists; a file of the wrong kind has thousands.
MOST_PROBLEMS = 20
# For a value of a union type, pydantic reports problems for every member.
_MOST_READ = 1000

Path = tuple[int | str, ...]

_TYPES = {
    "int": "a whole number",
    "float": "a number",
    "finite": "a finite number",
    "string": "a string",
    "bool": "true or false",
    "tuple": "a list",
    "list": "a list",
    "dict": "a section of keys",
    "model": "a section of keys",
}
_LIMITS = {
    "greater_than": ("gt", "more than"),
    "greater_than_equal": ("ge", "at least"),
    "less_than": ("lt", "less than"),
    "less_than_equal": ("le", "at most"),
}


def explain(error: ValidationError, model: type[BaseModel], where: str, values: Any = None) -> str:
    """One line per problem: where it is, what was expected, what was received, what would be right.

    Args:
        error: what pydantic raised.
        model: the model that was validated.
        where: the file or preset, for the message.
        values: what was validated; distinguishes the keys of a path from pydantic's own marks.
    """
    problems: dict[Path, list[ErrorDetails]] = {}
    for problem in error.errors(include_url=False)[:_MOST_READ]:
        problems.setdefault(_path(problem, values), []).append(problem)
    # For a union, pydantic reports what is wrong with the value as each of its members. The member whose problem lies
    # deepest is the one that was meant.
    shallow = {path[:length] for path in problems for length in range(len(path))}
    outermost = [path for path in problems if path not in shallow]
    lines = [(f"{written(path)}: " if path else "") + _say(problems[path], model) for path in outermost[:MOST_PROBLEMS]]
    if len(outermost) > MOST_PROBLEMS:
        lines.append("and more.")
    return f"{where}: " + ("\n  " if len(lines) > 1 else "") + "\n  ".join(lines)


def _path(problem: ErrorDetails, values: Any) -> Path:
    """`('features', 0, 'numeric', 'fill')` as `('features', 0, 'fill')`: the marks of unions are pydantic's own."""
    path: list[int | str] = []
    node = values
    *parents, last = (*problem["loc"],) or ("",)
    for part in parents:
        if _has(node, part):
            node = node[part]
            path.append(part)
    if path[-1:] == ["class_weights"] or _has(node, last) or (isinstance(node, dict) and problem["type"] == "missing"):
        path.append(last)
    if problem["type"] == "key":
        path.append(problem["ctx"]["key"])
    return tuple(path)


def _has(node: Any, part: int | str) -> bool:
    return part in node if isinstance(node, dict) else isinstance(node, list | tuple) and isinstance(part, int)


def _say(problems: list[ErrorDetails], model: type[BaseModel]) -> str:
    """What is wrong at one place."""
    # A section's own message says more than that the value is not another member of the union.
    problem = next((problem for problem in problems if problem["type"] == "value_error"), problems[0])
    kind, received = problem["type"], shown(problem["input"])
    if kind == "extra_forbidden":
        *parents, key = problem["loc"]
        sections = _sections(model, tuple(parents))
        place = meant(str(key), [section.__name__ for section in sections])
        if place is not None:
            return f"unknown key. {place}"
        fields = sorted({field for section in sections for field in section.model_fields})
        return f"unknown key.{nearest(str(key), fields)}"
    if kind == "key":
        return problem["msg"]
    if kind == "missing":
        return "required key is missing."
    if kind.startswith("union_tag"):
        tags = [section.model_fields["type"].default for section in _sections(model, problem["loc"])]
        given = problem["input"].get("type") if isinstance(problem["input"], dict) else None
        guess = nearest(given, tags) if isinstance(given, str) else ""
        kinds = f"{', '.join(tags[:-1])} or {tags[-1]}"
        return f"type says what the feature is: {kinds}. Received: {received}.{guess}"
    if kind == "value_error":
        return f"{problem['msg'].removeprefix('Value error, ').removesuffix('.')}. Received: {received}"
    # A violated bound says more than the type, which is right.
    literals = [
        word for p in problems if p["type"] == "literal_error" for word in p["ctx"]["expected"].split("'")[1::2]
    ]
    others = [p for p in problems if p["type"] != "literal_error"]
    others = [p for p in others if p["type"] in _LIMITS] or others
    expected = list(dict.fromkeys([repr(word) for word in literals] + [_expected(p) for p in others]))
    text = " or ".join(filter(None, [", ".join(expected[:-1]), expected[-1]]))
    hint = nearest(problem["input"], literals) if isinstance(problem["input"], str) else ""
    if problem["input"] in (False, "no", "off", "none", "None") and any(
        p["type"].startswith("model_") for p in problems
    ):
        hint = " Did you mean null? In YAML 1.2, no, off and none are strings."
    if expected == [_TYPES["string"]] and isinstance(problem["input"], int | float):
        hint = f" Did you mean '{received}', in quotes?"
    return f"expected {text}. Received: {received}.{hint if hint.startswith(' Did') else ''}"


def _expected(problem: ErrorDetails) -> str:
    kind, context = problem["type"], problem.get("ctx", {})
    if kind in _LIMITS:
        limit, words = _LIMITS[kind]
        return f"{words} {context[limit]}"
    if kind in ("too_short", "too_long"):
        least = kind == "too_short"
        return f"a list of at {'least' if least else 'most'} {context['min_length' if least else 'max_length']}"
    if kind in ("string_too_short", "string_too_long"):
        least = kind == "string_too_short"
        count = context["min_length" if least else "max_length"]
        return f"a string of at {'least' if least else 'most'} {count} character{'s' * (count != 1)}"
    return _TYPES.get(kind.split("_")[0], problem["msg"])


def _sections(model: type[BaseModel], loc: Path) -> list[type[BaseModel]]:
    """The sections that are allowed at a place in the configuration."""
    found: list[type[BaseModel]] = []

    def walk(annotation: Any, rest: Path) -> None:
        for candidate in _models(annotation):
            if not rest:
                found.append(candidate)
            elif rest[0] in candidate.model_fields:
                walk(candidate.model_fields[str(rest[0])].annotation, rest[1:])
            elif (
                candidate.model_fields.get("type") and candidate.model_fields["type"].default == rest[0]
            ) or candidate.__name__ in str(rest[0]):
                walk(candidate, rest[1:])

    walk(model, tuple(part for part in loc if not isinstance(part, int)))
    return found


def _models(annotation: Any) -> list[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    if typing.get_origin(annotation) is not None or isinstance(annotation, types.UnionType):
        return [model for part in typing.get_args(annotation) for model in _models(part)]
    return []
