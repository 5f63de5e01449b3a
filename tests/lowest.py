"""The lowest versions that setup.py allows, as constraints for pip: `python tests/lowest.py > lowest.txt`.

`make test-lowest` installs them in an environment of its own and runs the export tests there. A bound of `>=1.22` is
tested as 1.22 with its last patch; one of `>=18` as 18.0.
"""

from __future__ import annotations

import ast
import re
from pathlib import Path

SETUP = Path(__file__).parent.parent / "setup.py"
_BOUND = re.compile(r"([A-Za-z0-9._-]+)(?:\[[^\]]*\])?>=([0-9.]+)(?:,.*)?")


def requirements(setup: str) -> list[str]:
    """What the text of a setup.py requires: its literal `install_requires`."""
    keywords = [entry for node in ast.walk(ast.parse(setup)) if isinstance(node, ast.Call) for entry in node.keywords]
    (found,) = (ast.literal_eval(entry.value) for entry in keywords if entry.arg == "install_requires")
    return list(found)


def constraint(requirement: str) -> str:
    """The lowest version of a requirement.

    Raises:
        ValueError: it has no lower bound, so that any version would do.
    """
    found = _BOUND.fullmatch(requirement)
    if found is None:
        raise ValueError(f"setup.py: expected NAME>=VERSION, so that the lowest is known. Received: {requirement!r}")
    name, version = found.groups()
    return f"{name}=={version if '.' in version else f'{version}.0'}.*"


if __name__ == "__main__":
    for requirement in requirements(SETUP.read_text(encoding="utf-8")):
        print(constraint(requirement))
