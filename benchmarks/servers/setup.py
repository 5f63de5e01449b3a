"""Makes the environments of the servers: `python -m benchmarks.servers.setup [NAME ...]`.

They need a Python 3.11, the one that Triton's Python backend has a stub for, and take about 5 GB.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from pathlib import Path

from benchmarks.environments import environment, interpreter

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / ".cache" / "servers"

SESSION = ("numpy==2.4.6", "onnxruntime==1.32.0")
PACKAGES: dict[str, tuple[str, ...]] = {
    # tfwd and the baseline.
    "serve": (
        *SESSION,
        "starlette==1.10.0",
        "uvicorn==0.54.0",
        "uvloop",
        "httptools",
        "orjson==3.13.0",
        "rich",
        "typer",
    ),
    "kserve": (*SESSION, "kserve==0.21.0"),
    "litserve": (*SESSION, "litserve==0.2.19"),
    "bentoml": (*SESSION, "bentoml==1.4.40"),
    "mlserver": (*SESSION, "mlserver==1.7.1"),
    # Carries the server itself, which was built for NumPy 1.
    "triton": ("numpy<2", SESSION[1], "nvidia-pytriton==0.7.0"),
    # The model in Keras needs all of tfwd.
    "fastapi": ("--editable", str(ROOT), "fastapi==0.165.0", "uvicorn==0.54.0", "uvloop", "httptools"),
}


def python(folder: Path, name: str) -> Path:
    """The interpreter of an environment."""
    return interpreter(folder / name)


def make(folder: Path, name: str, base: str) -> None:
    """Makes one environment, or completes it.

    Args:
        folder: of all environments.
        name: of the environment.
        base: the interpreter that it is made from.

    Raises:
        SystemExit: the interpreter is none that all servers run on.
    """
    own = environment(folder / name, base, "The servers")
    install = [str(own), "-m", "pip", "install", "--quiet"]
    subprocess.run([*install, *PACKAGES[name]], check=True)


def main() -> None:
    """Makes what is asked for, or all."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(PACKAGES)}; all by default")
    parser.add_argument("--folder", type=Path, default=FOLDER)
    parser.add_argument("--python", default=sys.executable, help="a Python 3.11")
    options = parser.parse_args()
    unknown = set(options.names) - set(PACKAGES)
    if unknown:
        parser.error(f"no such environment: {', '.join(sorted(unknown))}. There are {', '.join(PACKAGES)}.")
    for name in options.names or PACKAGES:
        print(name, flush=True)
        make(options.folder, name, options.python)


if __name__ == "__main__":
    main()
