"""Makes the environments of the peers: `python -m benchmarks.peers.setup [NAME ...]`.

They need a Python 3.11, the last one that TensorFlow 2.12 and 2.15 know; about 9 GB in all, most of it CUDA libraries
that PyTorch brings and this does not use.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from pathlib import Path

from benchmarks.environments import environment, interpreter

ENVIRONMENTS = Path(__file__).parents[2] / ".cache" / "peers"

# A second list is installed without its requirements.
PACKAGES: dict[str, tuple[tuple[str, ...], ...]] = {
    "estimator": (
        ("tensorflow==2.15.1", "tensorflow-estimator==2.15.0", "numpy<2", "pandas==2.2.3", "pyarrow==15.0.2"),
    ),
    "pytorch_widedeep": (
        ("torch==2.14.1", "torchvision==0.29.1", "pytorch-widedeep==1.7.0", "pandas==2.2.3", "pyarrow==15.0.2"),
    ),
    # DeepCTR uses parts of TensorFlow that 2.13 removed, and asks for an h5py that has no wheel for Python 3.11.
    "deepctr": (
        ("tensorflow==2.12.1", "pandas==2.2.3", "pyarrow==15.0.2", "requests"),
        ("deepctr==0.9.3",),
    ),
}


def python(name: str) -> Path:
    """The interpreter of an environment."""
    return interpreter(ENVIRONMENTS / name)


def make(name: str, base: str) -> None:
    """Makes one environment, or completes it.

    Args:
        name: of the environment.
        base: the interpreter that it is made from.

    Raises:
        SystemExit: the interpreter is none that the peers run on.
    """
    own = environment(ENVIRONMENTS / name, base, "The peers")
    for number, packages in enumerate(PACKAGES[name]):
        options = ["--no-deps"] if number else []
        subprocess.run([str(own), "-m", "pip", "install", "--quiet", *options, *packages], check=True)


def main() -> None:
    """Makes what is asked for, or all."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(PACKAGES)}; all by default")
    parser.add_argument("--python", default=sys.executable, help="a Python 3.11")
    options = parser.parse_args()
    unknown = set(options.names) - set(PACKAGES)
    if unknown:
        parser.error(f"no such environment: {', '.join(sorted(unknown))}. There are {', '.join(PACKAGES)}.")
    for name in options.names or PACKAGES:
        print(name)
        make(name, options.python)


if __name__ == "__main__":
    main()
