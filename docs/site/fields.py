"""For the reference: what griffe cannot tell from the source and the docstrings by itself."""

from __future__ import annotations

import re
from typing import Any

import griffe

_ORDER = list(griffe.ParameterKind)


# An entry of a docstring's section that is about several: "    train, validation: frames", with the lines that go on.
_SHARED = re.compile(r"^    (\w+(?:, \w+)+): (.*(?:\n     .*)*)", re.MULTILINE)


class Fields(griffe.Extension):
    """Gives a pydantic model the `__init__` that pydantic makes of it, and each argument an entry of its own."""

    def on_package(self, *, pkg: griffe.Module, loader: griffe.GriffeLoader, **_: Any) -> None:
        self._visit(pkg)
        # What tfwd gives from a package beside it is read there.
        for member in list(pkg.members.values()):
            beside = member.target_path.partition(".")[0] if member.is_alias else pkg.name
            if beside not in loader.modules_collection and (pkg.filepath.parents[1] / beside).is_dir():
                loader.load(beside)

    def _visit(self, parent: griffe.Module | griffe.Class) -> None:
        for member in parent.members.values():
            if member.is_alias:
                continue
            if member.docstring is not None:
                member.docstring.value = _SHARED.sub(_parted, member.docstring.value)
            if isinstance(member, griffe.Module | griffe.Class):
                self._visit(member)
            if isinstance(member, griffe.Class) and _is_model(member):
                member.set_member("__init__", _constructor(member))


def _parted(found: re.Match[str]) -> str:
    return "\n".join(f"    {name}: {found[2]}" for name in found[1].split(", "))


def _is_model(cls: griffe.Class) -> bool:
    return any(str(base) == "BaseModel" for ancestor in (cls, *cls.mro()) for base in ancestor.bases)


def _constructor(cls: griffe.Class) -> griffe.Function:
    fields: dict[str, griffe.Attribute] = {}
    for ancestor in (*reversed(cls.mro()), cls):
        for name, member in ancestor.members.items():
            # A property and a ClassVar are attributes too, but not of this kind.
            if isinstance(member, griffe.Attribute) and member.has_labels("instance-attribute"):
                fields[name] = member
    # What goes without a name is written out in a constructor of the class's own, and the rest there is `**options`.
    written = cls.all_members.get("__init__")
    given = list(written.parameters) if written is not None else []
    kinds = {parameter.name: parameter.kind for parameter in given}
    settings = fields.pop("model_config", None)
    free = settings is not None and "extra='allow'" in str(settings.value)
    parameters = [
        griffe.Parameter(
            name,
            annotation=field.annotation,
            kind=kinds.get(name, griffe.ParameterKind.keyword_only),
            default=_default(field.value),
        )
        for name, field in fields.items()
        if not name.startswith("_") and str(field.annotation) != f"Literal[{field.value}]"
    ]
    # An argument without a default comes before those with one.
    parameters.sort(key=lambda parameter: (_ORDER.index(parameter.kind), parameter.default is not None))
    parameters.extend(p for p in given if free and p.kind is griffe.ParameterKind.var_keyword)
    itself = griffe.Parameter("self", kind=griffe.ParameterKind.positional_only)
    return griffe.Function("__init__", parameters=griffe.Parameters(itself, *parameters), parent=cls)


def _default(value: str | griffe.Expr | None) -> str | griffe.Expr | None:
    if not (isinstance(value, griffe.ExprCall) and str(value.function) == "Field"):
        return value
    for argument in value.arguments:
        if not isinstance(argument, griffe.ExprKeyword):
            return argument
        if argument.name == "default":
            return argument.value
    return None
