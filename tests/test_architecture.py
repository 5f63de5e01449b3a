"""Imports run downward, from room to room as docs/architecture.md orders them, and in no circle."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parent.parent
DOCUMENT = "docs/architecture.md"
# What `python -m tfwd.train` and `import tfwd` find: it stands on top of all rooms, after the last of the table.
TOP = {"tfwd", *(f"tfwd.{name}" for name in ("__main__", "train", "evaluate", "predict", "rank", "prepare", "serve"))}
# The one room of tfwd that may import the package `export`.
KNOWS_EXPORT = {"cli"}


def order(prefix: str = "") -> list[str]:
    """The rooms in the order of the document's table, the lowest first; with `export.` those in that package."""
    text = (ROOT / DOCUMENT).read_text(encoding="utf-8")
    return re.findall(rf"^\| `({re.escape(prefix)}\w+)` \|", text, re.MULTILINE)


@cache
def modules() -> dict[str, Path]:
    found = (path for top in ("tfwd", "export") for path in sorted((ROOT / top).rglob("*.py")))
    return {".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__"): path for path in found}


def room(module: str) -> str:
    if module in TOP:
        return "top"
    return "export" if module.split(".")[0] == "export" else module.split(".")[1]


def room_of_export(module: str) -> str:
    return ".".join(module.split(".")[:2])


@cache
def imports() -> dict[str, set[str]]:
    return {module: set(_imported(module, path)) - {module} for module, path in modules().items()}


def _imported(module: str, path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
        if isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{module} has a relative import; name the module whole"
            names = [f"{node.module}.{alias.name}" for alias in node.names]
        for name in names:
            while name and name not in modules():
                name = name.rpartition(".")[0]
            if name:
                yield name


def test_every_room_has_a_place_in_the_order() -> None:
    rooms = {room(module) for module in modules() if module not in TOP}
    assert rooms == set(order()), f"{DOCUMENT} and the folders differ: {rooms ^ set(order())}"


def test_no_room_imports_one_further_down_the_table() -> None:
    place = {name: number for number, name in enumerate([*order(), room("tfwd")])}
    wrong = [
        f"{module} (room {room(module)}) imports {other} (room {room(other)}), which stands further down the table"
        for module, others in imports().items()
        for other in sorted(others)
        if place[room(other)] > place[room(module)]
    ]
    wrong += [
        f"{module} (room {room(module)}) imports {other}: of tfwd only cli knows export"
        for module, others in imports().items()
        for other in sorted(others)
        if module not in TOP and module.startswith("tfwd.") and other.startswith("export")
        if room(module) not in KNOWS_EXPORT
    ]
    assert not wrong, f"{DOCUMENT}: a room imports only from the rooms before it in the table.\n" + "\n".join(wrong)


def test_export_has_an_order_of_its_own() -> None:
    # `python -m export.onnx` is a command, on top of all.
    inside = [module for module in modules() if module.startswith("export.") and not module.endswith(".__main__")]
    place = {name: number for number, name in enumerate(order("export."))}
    assert {room_of_export(module) for module in inside} == set(place), f"{DOCUMENT} and the folders of export differ"
    wrong = [
        f"{module} imports {other}, which stands further down the table of export"
        for module in inside
        for other in sorted(imports()[module] & set(inside))
        if place[room_of_export(other)] > place[room_of_export(module)]
    ]
    assert not wrong, f"{DOCUMENT}: in export as in tfwd, imports run downward.\n" + "\n".join(wrong)


def test_no_modules_import_each_other_in_a_circle() -> None:
    left = {module: set(others) for module, others in imports().items()}
    while leaves := [module for module, others in left.items() if not others & left.keys()]:
        for module in leaves:
            del left[module]
    # What is left imports a circle, or is in one: without what nothing in it imports, the circles remain.
    while tops := [module for module in left if not any(module in others for others in left.values())]:
        for module in tops:
            del left[module]
    assert not left, f"{DOCUMENT}: no circles. These modules are in one, or between two: {', '.join(sorted(left))}"


def test_the_top_is_short_and_no_module_is_long() -> None:
    folders = [path.name for path in (ROOT / "tfwd").iterdir() if (path / "__init__.py").is_file()]
    beside = list((ROOT / "tfwd").glob("*.py"))
    assert len(beside) <= 16, f"modules at the top of tfwd/: {len(beside)}"
    assert len(folders) <= 21, f"folders at the top of tfwd/: {len(folders)}"
    lengths = {module: len(path.read_text(encoding="utf-8").splitlines()) for module, path in modules().items()}
    assert not {module: length for module, length in lengths.items() if length > 350}
