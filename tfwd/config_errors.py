"""What pydantic refuses, said the way a person who wrote the YAML file would say it."""

from __future__ import annotations

import types
import typing
from typing import Any

from pydantic import BaseModel, ValidationError

from tfwd.naming import nearest


def explain(error: ValidationError, model: type[BaseModel], where: str) -> str:
    """One line a problem: where it is, what was expected, what was received, what would be right.

    Args:
        error: what pydantic raised.
        model: the model that was validated.
        where: the file or preset, for the message.
    """
    lines = []
    for problem in error.errors(include_url=False):
        path = _path(problem["loc"], model)
        kind = problem["type"]
        if kind == "extra_forbidden":
            *parents, key = problem["loc"]
            fields = _fields(model, tuple(parents))
            lines.append(f"{path}: unknown key.{nearest(str(key), fields)}")
        elif kind == "missing":
            lines.append(f"{path}: this key is needed and not there.")
        elif kind in ("union_tag_not_found", "union_tag_invalid"):
            lines.append(
                f"{path}: type says what the feature is: numeric, bucketized, categorical or cross. "
                f"Received: {problem['input']!r}"
            )
        else:
            message = problem["msg"].removeprefix("Value error, ")
            lines.append(f"{path}: {message}. Received: {_short(problem['input'])}")
    return f"{where}: " + ("\n  " if len(lines) > 1 else "") + "\n  ".join(dict.fromkeys(lines))


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 120 else text[:117] + "..."


def _path(loc: tuple[int | str, ...], model: type[BaseModel]) -> str:
    """`('features', 0, 'numeric', 'fill')` as `features[0].fill`: union tags are pydantic's, not the user's."""
    parts: list[str] = []
    for position, part in enumerate(loc):
        if isinstance(part, int):
            parts.append(f"[{part}]")
        elif (
            (position and isinstance(loc[position - 1], int) and loc[0] == "features" and position == 2)
            or part in _TAGS
            or part.startswith(("literal[", "constrained-", "function-"))
        ):
            continue
        else:
            parts.append(f".{part}" if parts else part)
    return "".join(parts) or "configuration"


_TAGS = {"float", "int", "str", "bool", "tuple", "ScheduleConfig", "is-instance"}


def _fields(model: type[BaseModel], loc: tuple[int | str, ...]) -> list[str]:
    """The keys that would be right at a place in the configuration."""
    found: set[str] = set()

    def walk(annotation: Any, rest: tuple[int | str, ...]) -> None:
        for candidate in _models(annotation):
            if not rest:
                found.update(candidate.model_fields)
            elif rest[0] in candidate.model_fields:
                walk(candidate.model_fields[str(rest[0])].annotation, rest[1:])
            elif (
                candidate.model_fields.get("type") and candidate.model_fields["type"].default == rest[0]
            ) or candidate.__name__ == rest[0]:
                walk(candidate, rest[1:])

    walk(model, tuple(part for part in loc if not isinstance(part, int)))
    return sorted(found)


def _models(annotation: Any) -> list[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    if typing.get_origin(annotation) is not None or isinstance(annotation, types.UnionType):
        return [model for part in typing.get_args(annotation) for model in _models(part)]
    return []
