"""What all sections of a configuration have in common, in YAML and in Python."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, model_validator
from pydantic_core import PydanticCustomError

from tfwd.config.messages import explain
from tfwd.config.tree import check_tree, shown
from tfwd.errors import ConfigError

if TYPE_CHECKING:
    from pydantic._internal._model_construction import ModelMetaclass
else:
    ModelMetaclass = type(BaseModel)

# The largest float32: a number beyond it would be infinite in a graph.
LARGEST = 3.4028234663852886e38
# The largest count: the maximum of an int64 column.
MOST = 2**63 - 1

Float32 = Annotated[float, Field(ge=-LARGEST, le=LARGEST)]
Count = Annotated[int, Field(ge=1, le=MOST)]
PathText = Annotated[str, BeforeValidator(lambda value: os.fspath(value) if isinstance(value, os.PathLike) else value)]


class _Checked(ModelMetaclass):
    """Makes a section from Python arguments, and refuses them with the same messages as YAML."""

    def __call__(cls, *given: Any, **options: Any) -> Any:  # noqa: N805
        section: type[Section] = cls  # type: ignore[assignment]
        named = dict(zip(section.positional, given, strict=False))
        twice = sorted(named.keys() & options.keys())
        if len(given) > len(section.positional) or twice:
            by_place = ", ".join(section.positional) or "nothing"
            raise ConfigError(
                f"{cls.__name__} takes {by_place} by position and the rest by name, each once. Received: {len(given)} "
                f"by position{', and by name ' + ', '.join(twice) if twice else ''}."
            )
        values = {**{name: value for name, value in named.items() if value is not None}, **options}
        values = {name: _plain(value) for name, value in values.items()}
        where = cls.__name__ + (f" {values['column']!r}" if isinstance(values.get("column"), str) else "")
        check_tree(values, where)
        try:
            return super().__call__(**values)
        except ValidationError as error:
            raise ConfigError(explain(error, section, where, values)) from None


class Section(BaseModel, metaclass=_Checked):
    """Base of all sections: frozen, no unknown keys, finite numbers.

    Attributes:
        positional: the fields that the constructor takes as positional arguments.

    Raises:
        ConfigError: by the constructor, with the message that the same values in a YAML file would get.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    positional: ClassVar[tuple[str, ...]] = ()

    @model_validator(mode="before")
    @classmethod
    def _refuse_sets(cls, values: Any) -> Any:
        for key, value in values.items() if isinstance(values, dict) else ():
            if isinstance(value, set | frozenset):
                raise ValueError(f"{key} must be a list: the order of a set differs between processes")
        return values

    @classmethod
    def model_validate(cls, obj: Any, **options: Any) -> Self:
        """Checks a nested dict; raises a ConfigError if it is invalid."""
        try:
            return super().model_validate(obj, **options)
        except ValidationError as error:
            raise ConfigError(explain(error, cls, cls.__name__, obj)) from None

    if not TYPE_CHECKING:

        def __setattr__(self, name: str, value: Any) -> None:
            try:
                super().__setattr__(name, value)
            except ValidationError:
                raise ConfigError(_frozen(self)) from None

        def __delattr__(self, name: str) -> None:
            try:
                super().__delattr__(name)
            except ValidationError:
                raise ConfigError(_frozen(self)) from None


def _plain(value: Any) -> Any:
    """Returns values of NumPy and pandas, and iterators, as Python's own lists and scalars."""
    if hasattr(value, "tolist") and not isinstance(value, type):
        return value.tolist()
    return tuple(value) if isinstance(value, Iterator) else value


def fault(key: str, text: str) -> PydanticCustomError:
    """Returns the error that a section raises about one of its keys, so that the message has the key's path."""
    return PydanticCustomError("key", "{text}", {"key": key, "text": text})


def refuse_twice(key: str, names: Iterable[str]) -> None:
    """Refuses a list that contains a name twice, with the `fault` of its key."""
    seen: set[str] = set()
    for name in names:
        if name in seen:
            raise fault(key, f"{shown(name)} is listed twice.")
        seen.add(name)


def truth_values_as_text(values: Any) -> Any:
    """Turns `[true, 1]` into `["true", 1]`, as the data has them: pydantic would turn true into the number 1."""
    if not isinstance(values, list | tuple):
        return values
    return tuple(str(value).lower() if isinstance(value, bool) else value for value in values)


def _frozen(section: Section) -> str:
    return (
        f"{type(section).__name__} is frozen. Make a changed copy: of a Config by "
        "config.replace(train__epochs=3), of a part of it by "
        "section.model_copy(update={...})."
    )
