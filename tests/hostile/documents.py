"""Runs the blocks of a page as a reader would: `python -m tests.hostile.documents docs/serving.md [HEADING]`.

The blocks of `bash` and `python` up to the heading run in their order, in one shell and one folder; Python blocks find
what earlier ones have made. The block of `text` that follows a block is what it has to print, where a line `...` stands
for any lines. Blocks of `console` show what is not run.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parents[2]
_END = "--- end of block ---"
_PYTHON = """\
import contextlib, io, pathlib
scope = {"__name__": "__main__"}
*before, last = sorted(pathlib.Path(folder).glob("*.py"), key=lambda file: int(file.stem))
for file in before:
    with contextlib.redirect_stdout(io.StringIO()):
        exec(compile(file.read_text(), str(file), "exec"), scope)
exec(compile(last.read_text(), str(last), "exec"), scope)
"""


class Block(NamedTuple):
    """A block that is run, and what it has to print; None if that is not said."""

    language: str
    code: str
    prints: str | None


def blocks(text: str) -> list[Block]:
    """Returns the blocks of a page that are run."""
    found: list[Block] = []
    fences = re.finditer(r"^```(\w*)\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    end = 0
    for fence in fences:
        language, code = fence[1], fence[2]
        if language in ("bash", "python"):
            found.append(Block(language, code, None))
            end = fence.end()
        elif language == "text" and found and not text[end : fence.start()].strip():
            found[-1] = found[-1]._replace(prints=code)
    return found


def run(page: list[Block], folder: Path) -> list[str]:
    """Runs blocks; returns what each printed."""
    code = folder / ".blocks"
    code.mkdir()
    # The packages are there already.
    script = "pip() { :; }\n"
    for number, block in enumerate(page):
        if block.language == "python":
            # Only those so far are in the folder, when the block runs.
            (folder / f".{number}").write_text(block.code, encoding="utf-8")
            program = code / "program"
            program.write_text(f"folder = {str(code)!r}\n{_PYTHON}", encoding="utf-8")
            script += f"mv .{number} .blocks/{number}.py\npython .blocks/program\n"
        else:
            script += block.code
        script += f"echo '{_END}'\n"
    paths = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    environment = {**os.environ, "PATH": paths, "PYTHONPATH": str(ROOT), "TF_CPP_MIN_LOG_LEVEL": "3"}
    # Python's own first entry, so that a folder of the page does not hide a package.
    environment["PYTHONSAFEPATH"] = "1"
    done = subprocess.run(
        ["bash", "-m"], input=script, cwd=folder, env=environment, stdout=subprocess.PIPE, text=True, check=False
    )
    return done.stdout.split(f"{_END}\n")[:-1]


def agrees(printed: str, said: str) -> bool:
    """Whether a block printed what the page says."""
    pattern = "".join("(.*\n)*?" if line == "..." else re.escape(line) + "\n" for line in said.splitlines())
    return re.fullmatch(pattern, printed.rstrip("\n") + "\n") is not None


def main() -> int:
    """Runs a page; 1 if it says what is not so."""
    page, *heading = sys.argv[1:]
    text = (ROOT / page).read_text(encoding="utf-8")
    for one in heading:
        text = text[: text.index(f"\n{one}\n")]
    found = blocks(text)
    with tempfile.TemporaryDirectory() as folder:
        printed = run(found, Path(folder))
    faults = len(found) - len(printed)
    for block, output in zip(found, printed, strict=False):
        if block.prints is not None and not agrees(output, block.prints):
            faults += 1
            print(f"This block:\n{block.code}prints:\n{output}The page says:\n{block.prints}")
    print(
        f"{page}: {len(found)} blocks, {sum(block.prints is not None for block in found)} with output; {faults} faults"
    )
    return int(faults > 0)


if __name__ == "__main__":
    sys.exit(main())
