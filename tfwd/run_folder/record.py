"""`run.json`: the format of a run directory, its status, what its training was given besides the configuration."""

from __future__ import annotations

import dataclasses
import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import tfwd.version
from tfwd.config.config import Config
from tfwd.config.features.datetime import Datetime
from tfwd.errors import RunError
from tfwd.utils.files import read_json, write_text

# The formats that are read, the newest last. 4 may have datetime features, which versions before 0.5 cannot read; all
# else is as in 3.
FORMATS = (3, 4)
FORMAT = FORMATS[-1]
STATUSES = ("created", "training", "finished")
FRAMES = ("train", "validation", "test")


@dataclass(frozen=True)
class Given:
    """What a training was given besides its configuration, and needs again when it resumes.

    Attributes:
        frames: which of `train`, `validation` and `test` were frames.
        tower: `{"class": ..., "config": ...}` of the user's own tower; the config is None if it has none.
        callbacks: the classes of the callbacks.
    """

    frames: tuple[str, ...] = ()
    tower: dict[str, Any] | None = None
    callbacks: tuple[str, ...] = ()


@dataclass(frozen=True)
class Head:
    """The contents of `run.json`.

    Attributes:
        version: the version of tfwd that wrote the record last.
        status: the status of the run.
        format: the format of the run, which it keeps.
        given: what was given besides the configuration; None for a run before version 0.4, which did not record it.
        exported: format -> where in `export/` it goes; decided before it is written, so that an interrupted export
            is not written twice.
    """

    status: str
    version: str = tfwd.version.__version__
    given: Given | None = None
    exported: dict[str, str] = field(default_factory=dict)
    format: int = FORMAT

    @classmethod
    def load(cls, path: Path) -> Head:
        """Reads the `run.json` of a run directory.

        Raises:
            RunError: it is missing, damaged, or of a version that this one cannot read.
        """
        try:
            found = read_json(path / "run.json")
        except (FileNotFoundError, NotADirectoryError):
            raise RunError(f"{path} is not a run directory: it has no run.json.") from None
        written = found.get("format")
        if type(written) is not int or written not in FORMATS or "status" not in found:
            version = found.get("version")
            raise RunError(
                f"{path} was written by tfwd {version if isinstance(version, str) else 'of an unknown version'} in run "
                f"format {_short(written)}; this is tfwd {tfwd.version.__version__}, which reads the formats "
                f"{FORMATS[0]} to {FORMAT}. Train again, or use that version."
            )
        return cls(
            format=written,
            version=str(found.get("version")),
            status=_checked(path, "status", found["status"], found["status"] in STATUSES, " or ".join(STATUSES)),
            given=_given(path, found["given"]) if "given" in found else None,
            exported=_checked(
                path, "exported", found.get("exported", {}), _is_texts(found.get("exported", {})), "names and strings"
            ),
        )

    def save(self, path: Path) -> None:
        """Writes the `run.json` of a run directory."""
        write_text(path / "run.json", self.dump())

    def dump(self) -> str:
        """Returns the text of `run.json`."""
        values: dict[str, Any] = {"format": self.format, "version": self.version, "status": self.status}
        if self.given is not None:
            values["given"] = dataclasses.asdict(self.given)
        if self.exported:
            values["exported"] = self.exported
        return json.dumps(values, indent=1) + "\n"


def format_of(config: Config) -> int:
    """Returns the oldest format that has all of a run, so that older versions of tfwd can open it."""
    return FORMAT if any(isinstance(feature, Datetime) for feature in config.features) else 3


def _given(path: Path, found: Any) -> Given:
    _checked(path, "given", found, isinstance(found, dict) and set(found) <= {"frames", "tower", "callbacks"}, "")
    frames, callbacks, tower = found.get("frames", []), found.get("callbacks", []), found.get("tower")
    fits = isinstance(frames, list) and all(name in FRAMES for name in frames)
    _checked(path, "given.frames", frames, fits, f"some of {', '.join(FRAMES)}")
    fits = isinstance(callbacks, list) and all(isinstance(name, str) for name in callbacks)
    _checked(path, "given.callbacks", callbacks, fits, "the names of classes")
    fits = tower is None or (isinstance(tower, dict) and isinstance(tower.get("class"), str))
    _checked(path, "given.tower", tower, fits, "null, or a class and its config")
    return Given(tuple(frames), tower, tuple(callbacks))


def _is_texts(found: Any) -> bool:
    return isinstance(found, dict) and all(isinstance(value, str) for value in found.values())


def _checked(path: Path, key: str, found: Any, fits: bool, expected: str) -> Any:
    if not fits:
        raise RunError(
            f"{path / 'run.json'} is damaged: {key} is {expected or 'something else'}. Received: {_short(found)}"
        )
    return found


def _short(value: Any) -> str:
    try:
        text = repr(value)
    except RecursionError:
        text = f"a {type(value).__name__}"
    return text if len(text) <= 80 else f"{text[:77]}..."
