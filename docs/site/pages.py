"""Collect the pages of the documentation site in one folder: `python docs/site/pages.py build/pages`.

The README, the changelog, `docs/` and the notebooks link to each other and to files of the repository by relative
paths, as they lie. This lays them out as pages of a site, with the same links leading to the same things, and adds a
reference page for each group of public names. What it writes is Markdown, for which a site generator needs no hook.
"""

from __future__ import annotations

import ast
import base64
import json
import os
import re
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]

# The reference, a page for each group. A public name that is in no group, or in two, stops the build.
GROUPS: dict[str, tuple[str, ...]] = {
    "Configuration": (
        "Config",
        "DataConfig",
        "LabelConfig",
        "CsvConfig",
        "ModelConfig",
        "TrainConfig",
        "OptimizerConfig",
        "ScheduleConfig",
        "EarlyStoppingConfig",
        "ExportConfig",
        "RankingConfig",
    ),
    "Features": ("Numeric", "Bucketized", "Categorical", "Cross", "Datetime"),
    "Data": ("Source", "Rows", "Schema", "Input", "resolve_schema", "analyze", "FeatureStatistics"),
    "Training": ("fit", "resume", "Run", "load_model"),
    "Model": ("build_model", "WideDeep", "wide_weights"),
    "Optimizers": ("JointOptimizer", "SparseFtrl", "LazyAdam", "SparseAdagrad", "SparseRmsprop", "SparseSgd"),
    "Export": ("export_savedmodel", "export_onnx"),
    "Scoring": ("load_scorer", "Scorer"),
    "Recommending": ("Recommender",),
    "Errors": ("TfwdError", "ConfigError", "DataError", "ExportError", "RunError"),
}

FENCE = re.compile(r" *(`{3,}|~{3,})")
# A code span, which is left alone, or the target of a link or an image.
LINK = re.compile(r"(?P<code>(?P<ticks>`+)[^`].*?(?P=ticks)(?!`))|(?P<open>\]\()(?P<target>[^()\s]+)(?P<close>\))")
EXTERNAL = re.compile(r"[a-z][a-z0-9+.-]*:", re.IGNORECASE)
LANGUAGES = {".yaml": "yaml", ".yml": "yaml", ".py": "python", ".toml": "toml", ".json": "json"}


def public_names() -> list[str]:
    """The names of `tfwd.__all__`, read without importing tfwd, which would import TensorFlow."""
    stub = ROOT / "tfwd" / "__init__.pyi"
    tree = ast.parse((stub if stub.exists() else stub.with_suffix(".py")).read_text(encoding="utf-8"))
    for node in tree.body:
        if isinstance(node, ast.Assign) and any(isinstance(t, ast.Name) and t.id == "__all__" for t in node.targets):
            names = ast.literal_eval(node.value)
            break
    else:
        # A stub exports what it imports under the same name again.
        imports = [node for node in tree.body if isinstance(node, ast.ImportFrom)]
        names = [alias.asname for node in imports for alias in node.names if alias.asname == alias.name]
    return [name for name in names if name and not name.startswith("_")]


def check_groups() -> None:
    grouped = [name for names in GROUPS.values() for name in names]
    public = public_names()
    twice = sorted({name for name in grouped if grouped.count(name) > 1})
    wrong = {
        "in no group of GROUPS": sorted(set(public) - set(grouped)),
        "in GROUPS, but not in tfwd.__all__": sorted(set(grouped) - set(public)),
        "in GROUPS more than once": twice,
    }
    faults = [f"{', '.join(names)}: {what}" for what, names in wrong.items() if names]
    if faults:
        raise SystemExit("docs/site/pages.py: " + "; ".join(faults))


def sources() -> dict[str, str]:
    """Each file of the repository that is a page, and the page that it becomes."""
    pages = {"README.md": "index.md"}
    pages |= {file.name: file.name.lower() for file in sorted(ROOT.glob("*.md")) if file.name != "README.md"}
    pages |= {
        file.relative_to(ROOT).as_posix(): file.relative_to(ROOT / "docs").as_posix()
        for file in sorted((ROOT / "docs").rglob("*.md"))
    }
    pages |= {
        file.relative_to(ROOT).as_posix(): f"notebooks/{file.stem}.md"
        for file in sorted((ROOT / "notebooks").glob("*.ipynb"))
    }
    return pages


def outside_code(text: str) -> Iterator[tuple[str, bool]]:
    """The lines of a Markdown text, each with whether it is prose: neither in a fenced block nor its fence."""
    fence = ""
    for line in text.splitlines(keepends=True):
        found = FENCE.match(line)
        if fence:
            yield line, False
            if found and found[1].startswith(fence) and not line.strip().strip(fence[0]):
                fence = ""
        elif found:
            fence = found[1]
            yield line, False
        else:
            yield line, True


def links(text: str) -> Iterator[str]:
    """The targets of all links and images of a Markdown text that stay in the repository."""
    for line, prose in outside_code(text):
        for found in LINK.finditer(line) if prose else ():
            if found["target"] and not EXTERNAL.match(found["target"]):
                yield found["target"]


class Site:
    """The folder of pages, while it is written."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.pages = sources()

    def write(self, page: str, text: str) -> None:
        path = self.folder / page
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")

    def rewritten(self, text: str, source: str) -> str:
        """The text with the links of `source`, a file of the repository, turned to those of its page."""

        def turned(found: re.Match[str]) -> str:
            target = found["target"]
            if not target or target.startswith("#") or EXTERNAL.match(target):
                return found[0]
            path, mark, anchor = target.partition("#")
            linked = os.path.normpath(os.path.join(os.path.dirname(source), path))
            here = os.path.dirname(self.pages[source]) or "."
            return found["open"] + os.path.relpath(self.place(linked, source), here) + mark + anchor + found["close"]

        return "".join(LINK.sub(turned, line) if prose else line for line, prose in outside_code(text))

    def place(self, linked: str, source: str) -> str:
        """Where the site has a file of the repository; one that is no page yet becomes a page or is copied."""
        if linked in self.pages:
            return self.pages[linked]
        file = ROOT / linked
        if not file.is_file():
            raise SystemExit(f"{source}: there is no {linked}.")
        if file.suffix in (".png", ".svg", ".jpg"):
            copy = linked.removeprefix("docs/")
            (self.folder / copy).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(file, self.folder / copy)
            return copy
        self.pages[linked] = f"files/{linked.removesuffix('.md')}.md"
        text = file.read_text(encoding="utf-8")
        if file.suffix == ".md":
            self.write(self.pages[linked], self.rewritten(text, linked))
        else:
            language = LANGUAGES.get(file.suffix, "text")
            self.write(self.pages[linked], f"# {linked}\n\n```{language}\n{text.rstrip()}\n```\n")
        return self.pages[linked]

    def add_documents(self) -> None:
        for source, page in list(self.pages.items()):
            text = (ROOT / source).read_text(encoding="utf-8")
            if source.endswith(".ipynb"):
                text = self.notebook(json.loads(text), page)
            self.write(page, self.rewritten(text, source))

    def notebook(self, notebook: dict[str, Any], page: str) -> str:
        """A notebook as Markdown, with the outputs that it was saved with."""
        parts = []
        for number, cell in enumerate(notebook["cells"]):
            source = "".join(cell["source"])
            if cell["cell_type"] == "markdown":
                parts.append(source)
            elif source.strip():
                parts.append(f"```python\n{source.rstrip()}\n```")
                outputs = enumerate(cell["outputs"])
                parts.extend(self.output(output, f"{Path(page).stem}-{number}-{i}.png", page) for i, output in outputs)
        text = "\n\n".join(part for part in parts if part) + "\n"
        # Lines that were displayed one by one, as the progress of a training, are one block.
        return re.sub(r"\n*</code></pre>\n+<pre><code>", "\n", text)

    def output(self, output: dict[str, Any], picture: str, page: str) -> str:
        data = output.get("data", {})
        if "image/png" in data:
            path = self.folder / Path(page).parent / "images" / picture
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(base64.b64decode("".join(data["image/png"])))
            # Not a Markdown image: that would be looked for in the repository.
            return f'<img alt="What the cell above draws" src="images/{picture}">'
        if "text/html" in data:
            html = "".join(data["text/html"])
            if not re.sub(r"<[^>]*>", "", html).strip():
                return ""
            # Without its own style and class, pandas' table looks and scrolls as the other tables do.
            html = re.sub(r"<style.*?</style>", "", html, flags=re.DOTALL)
            html = html.replace('<table border="1" class="dataframe">', "<table>")
            # And what a command printed with colours looks as other code does.
            html = re.sub(r"<pre[^>]*>", "<pre><code>", html).replace("</pre>", "</code></pre>")
            return re.sub(r"\n\s*\n", "\n", html).strip()
        if "text/markdown" in data:
            return "".join(data["text/markdown"])
        text = "".join(output.get("text", data.get("text/plain", "")))
        return f"```{{.text .output}}\n{text.rstrip()}\n```"

    def add_reference(self) -> None:
        check_groups()
        index = ["# Reference", "", "Everything that `import tfwd` gives, made from the docstrings.", ""]
        for group, names in GROUPS.items():
            page = f"{group.lower()}.md"
            blocks = "\n\n".join(f"::: tfwd.{name}" for name in names)
            self.write(f"reference/{page}", f"# {group}\n\n{blocks}\n")
            listed = ", ".join(f"[`{name}`]({page}#tfwd.{name})" for name in names)
            index.append(f"- [{group}]({page}): {listed}")
        self.write("reference/index.md", "\n".join(index) + "\n")

    def add_styles(self) -> None:
        for file in sorted(Path(__file__).parent.glob("*.css")):
            shutil.copyfile(file, self.folder / file.name)


def build(folder: Path) -> None:
    shutil.rmtree(folder, ignore_errors=True)
    site = Site(folder)
    site.add_documents()
    site.add_reference()
    site.add_styles()


if __name__ == "__main__":
    build(Path(sys.argv[1]))
