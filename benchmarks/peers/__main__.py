"""tfwd beside its peers: `python -m benchmarks.peers`, after `python -m benchmarks.peers.setup`.

The same training from the same files, every contender in a process of its own, one after the other, round after round.
Seconds run from the opening of the file to the trained model; imports and the test are not in them. Every round has a
seed of its own. Writes the raw figures, and from them the tables and the picture.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

from benchmarks.documents import put
from benchmarks.peers import data, report, setup

ROOT = Path(__file__).parents[2]


@dataclass(frozen=True)
class Contender:
    """Something that is measured.

    Attributes:
        name: in the tables.
        module: of `benchmarks.peers`.
        environment: of `setup`, or None for the one of tfwd.
        source: the kind of the training file.
    """

    name: str
    module: str
    environment: str | None = None
    source: str = "parquet"

    def run(self, folder: Path, seed: int) -> dict[str, float]:
        """One round; see `clock.Clock.figures` and `work.quality`."""
        python = str(setup.python(self.environment)) if self.environment else sys.executable
        command = [python, "-W", "ignore", "-m", f"benchmarks.peers.{self.module}", str(folder)]
        done = subprocess.run(
            [*command, "--source", self.source, "--seed", str(seed)],
            cwd=ROOT,
            env={**os.environ, "TF_CPP_MIN_LOG_LEVEL": "2", "CUDA_VISIBLE_DEVICES": "-1"},
            capture_output=True,
            text=True,
        )
        if done.returncode:
            raise SystemExit(f"{self.name}: {' '.join(command)} failed:\n{done.stderr[-2000:]}")
        figures: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
        return figures


CONTENDERS = (
    Contender("tfwd", "ours"),
    Contender("tfwd, from CSV", "ours", source="csv"),
    Contender("tfwd with Keras' Ftrl and Adam", "keras_builtin"),
    Contender("tf.estimator 2.15", "estimator", "estimator"),
    Contender("pytorch-widedeep 1.7", "pytorch_widedeep", "pytorch_widedeep"),
    Contender("DeepCTR 0.9.3", "deepctr", "deepctr"),
)
OURS = CONTENDERS[:2]


def measure(options: argparse.Namespace, folder: Path) -> report.Figures:
    """Writes the works, and runs every contender on them in turn."""
    contenders = [entry for entry in CONTENDERS if not options.only or entry.module in options.only]
    for entry in contenders:
        if entry.environment and not setup.python(entry.environment).exists():
            raise SystemExit(
                f"{entry.name} has no environment. Run python -m benchmarks.peers.setup {entry.environment}"
            )
    best = data.write_clicks(folder / "clicks", options.rows)
    data.write_clicks(folder / "more", options.more_rows)
    data.write_census(folder / "census")
    plan = [("clicks", entry) for entry in contenders]
    plan += [("more", entry) for entry in contenders if entry in OURS]
    census = [("census", entry) for entry in contenders if entry.source == "parquet"]
    runs: dict[str, dict[str, list[dict[str, float]]]] = {"clicks": {}, "more": {}, "census": {}}
    figures: report.Figures = {"rows": {"clicks": options.rows, "more": options.more_rows}, "best": best, "runs": runs}
    for number, part in [(number, part) for part in (plan, census) for number in range(options.rounds)]:
        for work, entry in part:
            result = {**entry.run(folder / work, number), "load": os.getloadavg()[0]}
            runs[work].setdefault(entry.name, []).append(result)
            print(number, work, entry.name, {key: round(value, 4) for key, value in result.items()}, flush=True)
            # A measurement that is broken off keeps what it has.
            options.json.write_text(json.dumps(figures, indent=1) + "\n", encoding="utf-8")
    return figures


def main() -> None:
    """Measures, or reads what was measured; prints, and writes what is asked for."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=300_000, help="training rows of the clicks, for all")
    parser.add_argument("--more-rows", type=int, default=1_000_000, help="training rows of the clicks, for tfwd alone")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--only", nargs="+", choices=sorted({entry.module for entry in CONTENDERS}))
    parser.add_argument("--json", type=Path, default=ROOT / ".cache" / "peers" / "figures.json", help="raw figures")
    parser.add_argument("--read", action="store_true", help="measure nothing, read --json")
    parser.add_argument("--picture", type=Path, help="a .png to write")
    parser.add_argument("--document", type=Path, help="a .md whose part between the peers' marks is replaced")
    options = parser.parse_args()
    if options.read:
        figures: report.Figures = json.loads(options.json.read_text(encoding="utf-8"))
    else:
        options.json.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory() as folder:
            figures = measure(options, Path(folder))
    text = report.tables(figures)
    print(text)
    if options.document:
        put(text, "peers", options.document)
    if options.picture:
        report.picture(figures, options.picture)


if __name__ == "__main__":
    main()
