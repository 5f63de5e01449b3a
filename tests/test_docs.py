"""The pages of the documentation: links that lead somewhere, a navigation that names each page, a group for each name.

`make docs` checks the built site; this needs nothing that it needs.
"""

from __future__ import annotations

import ast
import importlib.util
import json
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest
import yaml

ROOT = Path(__file__).parent.parent


def site_pages() -> ModuleType:
    spec = importlib.util.spec_from_file_location("site_pages", ROOT / "docs" / "site" / "pages.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


pages = site_pages()


def text_of(source: str) -> str:
    """The Markdown of a page or of a notebook's cells."""
    text = (ROOT / source).read_text(encoding="utf-8")
    if not source.endswith(".ipynb"):
        return text
    cells = [cell for cell in json.loads(text)["cells"] if cell["cell_type"] == "markdown"]
    return "\n\n".join("".join(cell["source"]) for cell in cells)


def anchors(text: str) -> set[str]:
    """The anchors of the headings, as the code host makes them."""
    found: set[str] = set()
    for line, prose in pages.outside_code(text):
        if prose and (heading := re.match(r"#+ +(.*)", line)):
            title = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading[1].strip())
            slug = re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-")
            again = sum(1 for anchor in found if re.fullmatch(rf"{re.escape(slug)}(-\d+)?", anchor))
            found.add(f"{slug}-{again}" if slug in found else slug)
    return found


def navigated(entry: object) -> Iterator[str]:
    if isinstance(entry, str):
        yield entry
    elif isinstance(entry, dict | list):
        for part in entry.values() if isinstance(entry, dict) else entry:
            yield from navigated(part)


class _Settings(yaml.SafeLoader):
    """mkdocs.yml calls functions of Python by tags, which are nothing here."""


_Settings.add_multi_constructor("tag:yaml.org,2002:python/", lambda *_: None)


@pytest.mark.parametrize("source", sorted(pages.sources()))
def test_the_links_of_a_page_lead_to_files_and_headings(source: str) -> None:
    for target in pages.links(text_of(source)):
        path, _, anchor = target.partition("#")
        file = (ROOT / source).parent / path if path else ROOT / source
        assert file.is_file(), f"{source} links to {target}: there is no such file"
        assert file.resolve().is_relative_to(ROOT), f"{source} links to {target}, outside of the repository"
        if anchor:
            known = anchors(text_of(file.resolve().relative_to(ROOT).as_posix()))
            assert anchor in known, f"{source} links to {target}: there is no such heading"


def test_the_navigation_names_each_page_once() -> None:
    settings = yaml.load((ROOT / "mkdocs.yml").read_text(encoding="utf-8"), Loader=_Settings)
    named = list(navigated(settings["nav"]))
    reference = {"reference/index.md", *(f"reference/{group.lower()}.md" for group in pages.GROUPS)}
    assert sorted(named) == sorted({*pages.sources().values(), *reference})


def test_each_public_name_has_a_place_in_the_reference() -> None:
    pages.check_groups()


def test_the_public_names_are_read_from_a_stub_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pages, "ROOT", tmp_path)
    (tmp_path / "tfwd").mkdir()
    (tmp_path / "tfwd" / "__init__.py").write_text("__getattr__, __dir__, __all__ = attach_stub(__name__, __file__)\n")
    stub = tmp_path / "tfwd" / "__init__.pyi"
    stub.write_text("from tfwd.somewhere import A as A, B as B\nfrom tfwd.version import __version__ as __version__\n")
    assert pages.public_names() == ["A", "B"]
    stub.write_text('from tfwd.somewhere import A as A, B\n__all__ = ["A", "__version__"]\n')
    assert pages.public_names() == ["A"]


def test_a_link_is_turned_to_the_page_that_the_file_becomes(tmp_path: Path) -> None:
    site = pages.Site(tmp_path)
    text = "[a](../README.md#in-python) `[b](../README.md)` ![c](images/census.png) [d](https://x.org) [e](#f)\n"
    turned = "[a](index.md#in-python) `[b](../README.md)` ![c](images/census.png) [d](https://x.org) [e](#f)\n"
    assert site.rewritten(text, "docs/study.md") == turned
    assert site.rewritten(f"```\n{text}```\n", "docs/study.md") == f"```\n{text}```\n"
    assert site.rewritten("[a](../docs/study.md)", "notebooks/study.ipynb") == "[a](../study.md)"
    assert site.rewritten("[a](../LICENSE)", "docs/study.md") == "[a](files/LICENSE.md)"
    assert (tmp_path / "images" / "census.png").is_file()


def test_collecting_the_pages_imports_neither_tfwd_nor_tensorflow() -> None:
    tree = ast.parse((ROOT / "docs" / "site" / "pages.py").read_text(encoding="utf-8"))
    imported = {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}
    imported |= {str(node.module) for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    assert {name.partition(".")[0] for name in imported} <= sys.stdlib_module_names
