"""Tampered metadata: each description that a run or an export carries, changed by a seed, then loaded as a user does.

`python -m tests.hostile.metadata --count 16`

What comes out is an answer or an error of tfwd that names the file, never another exception.
"""

from __future__ import annotations

import contextlib
import io
import json
import random
import shutil
import sys
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import onnx
import yaml

from tests.hostile.tally import Tally, arguments, track
from tfwd.errors import TfwdError

sys.path.insert(0, str(Path(__file__).parent.parent))

VALUES = [
    None,
    True,
    -1,
    0,
    2**70,
    1e308,
    float("nan"),
    "",
    "x",
    "../../x",
    [],
    {},
    [[]],
    {"a": {}},
    "é\u0000",
    [1] * 3,
]


def mutated(draw: random.Random, value: Any) -> Any:
    """A value of JSON with one thing changed somewhere in it."""
    if isinstance(value, dict) and value and draw.random() < 0.85:
        key = draw.choice(list(value))
        how = draw.random()
        if how < 0.2:
            return {name: entry for name, entry in value.items() if name != key}
        if how < 0.3:
            return {**value, draw.choice(["extra", "", "__class__", key + "_"]): draw.choice(VALUES)}
        return {**value, key: mutated(draw, value[key])}
    if isinstance(value, list) and value and draw.random() < 0.85:
        place = draw.randrange(len(value))
        how = draw.random()
        if how < 0.2:
            return value[:place] + value[place + 1 :]
        if how < 0.4:
            return [*value, value[place]]
        return [*value[:place], mutated(draw, value[place]), *value[place + 1 :]]
    return draw.choice(VALUES)


def tampered(draw: random.Random, text: str, dump: Callable[[Any], str], load: Callable[[str], Any]) -> str:
    """A text with its content changed, or the text itself damaged."""
    how = draw.random()
    if how < 0.7:
        return dump(mutated(draw, load(text)))
    if how < 0.8:
        return text[: draw.randrange(len(text))]
    if how < 0.85:
        return "[" * 100_000
    if how < 0.9:
        return ""
    place = draw.randrange(len(text))
    return text[:place] + draw.choice(['"', "{", "\x00", "\ufffd", "9" * 5000, "NaN"]) + text[place + 1 :]


def use(path: Path, rows: Path) -> None:
    """What a user does with a run or an export.

    Raises:
        TfwdError: it was refused.
    """
    from command_line import tfwd

    from tfwd.run import Run

    if (path / "run.json").is_file():
        run = Run.open(path)
        _ = run.status, run.metrics, run.statistics, run.model
        run.wide_weights()
    said = io.StringIO()
    with contextlib.redirect_stderr(said), contextlib.redirect_stdout(said):
        status = tfwd("evaluate", path, "--data", rows)
    if status:
        raise TfwdError(said.getvalue() or f"Exit status {status}.")


def _texts(run: Path, version: Path) -> dict[str, tuple[Path, Path]]:
    """The descriptions of a run and a SavedModel in files of their own: name -> file, what is loaded."""
    found = {file.name: (file, run) for file in sorted(run.glob("*.json")) + sorted(run.glob("statistics/*.json"))}
    found["config.yaml"] = (run / "config.yaml", run)
    found["tfwd.json"] = (version / "assets.extra" / "tfwd.json", version)
    return found


def run(count: int, first: int = 0, show: bool = False, made: Mapping[str, Path] | None = None) -> Tally:
    """`count` tamperings of each description; `made` has exports of any model that are there already, and its rows."""
    from census_cases import copy_of_trained, files

    from export.pipeline import export_run
    from tfwd.run import Run

    tally = Tally("tamperings", 10)
    census = files()["test.csv"]
    with tempfile.TemporaryDirectory() as place:
        whole = Path(place) / "whole"
        kept = copy_of_trained(whole / "run")
        if made is None:
            config = kept / "config.yaml"
            config.write_text(config.read_text().replace("formats: []", "formats: [savedmodel, onnx]"))
            export_run(Run.open(kept))
            exports = kept / "export"
            made = {"savedmodel": exports / "wide_deep" / "1", "onnx": exports / "wide_deep.onnx", "rows": census}
        shutil.copytree(made["savedmodel"], whole / "savedmodel")
        rows = {"savedmodel": made["rows"], "run": census}
        names = list(_texts(kept, whole / "savedmodel"))
        copy = Path(place) / "copy"
        for name in track(names, "Files", disable=not show):
            for seed in range(first, first + count):
                shutil.rmtree(copy, ignore_errors=True)
                shutil.copytree(whole, copy)
                file, loaded = _texts(copy / "run", copy / "savedmodel")[name]
                draw = random.Random(f"{name} {seed}")
                dump, load = (yaml.safe_dump, yaml.safe_load) if name.endswith(".yaml") else (json.dumps, json.loads)
                file.write_text(tampered(draw, file.read_text(), dump, load), encoding="utf-8", errors="surrogatepass")
                tally.attempt(f"{name}, seed {seed}", lambda loaded=loaded: use(loaded, rows[loaded.name]))
        original = onnx.load(made["onnx"])
        for entry in track(range(len(original.metadata_props)), "ONNX", disable=not show):
            for seed in range(first, first + count):
                model = onnx.ModelProto.FromString(original.SerializeToString())
                described = model.metadata_props[entry]
                draw = random.Random(f"{described.key} {seed}")
                load = json.loads if described.value.startswith(("{", "[")) else str
                described.value = tampered(draw, described.value, json.dumps, load)
                file = Path(place) / "tampered.onnx"
                file.write_bytes(model.SerializeToString())
                tally.attempt(f"{described.key}, seed {seed}", lambda file=file: use(file, made["rows"]))
    return tally


if __name__ == "__main__":
    given = arguments(__doc__, 16)
    raise SystemExit(run(given.count, given.first, show=True).close(given.refusals))
