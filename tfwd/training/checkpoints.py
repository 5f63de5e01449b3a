"""The progress of a training, and the checkpoints from which it resumes."""

from __future__ import annotations

import dataclasses
import json
import re
import shutil
import zipfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from tfwd.errors import RunError
from tfwd.model.finite import refuse_broken
from tfwd.model.saving import load_model
from tfwd.utils.files import disk_errors, folder_beside, link_or_copy, read_json

if TYPE_CHECKING:
    from tfwd.model.wide_deep import WideDeep


_NAME = re.compile(r"(re)?fit-\d+-\d+")


@dataclass
class State:
    """The progress of a training; saved with every checkpoint.

    Attributes:
        phase: `fit`, or `refit` on training and validation rows together.
        step: global steps done in this phase.
        evaluations: evaluations done in this phase.
        best: the best value of the monitored metric, None before the first evaluation.
        best_step: the step it was reached at.
        best_metrics: all validation metrics there.
        waited: evaluations since then.
        total: steps of this phase, at most.
        history: one dict per evaluation, both phases.
    """

    phase: str = "fit"
    step: int = 0
    evaluations: int = 0
    best: float | None = None
    best_step: int = 0
    best_metrics: dict[str, float] = field(default_factory=dict)
    waited: int = 0
    total: int = 0
    history: list[dict[str, Any]] = field(default_factory=list)


class Checkpoints:
    """Full states of the last step, one folder per checkpoint; only the newest is kept.

    Args:
        folder: the run's `checkpoints` folder.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def save(self, model: WideDeep, state: State, totals: bool = False, saved: Path | None = None) -> None:
        """Writes a whole checkpoint, then removes the older ones.

        Args:
            model: the compiled model.
            state: the progress of the training.
            saved: a file that already holds the model in its current state, so that it need not be written again.
            totals: whether to save what the metrics have counted since the last evaluation too, for a checkpoint
                between two evaluations.
        """
        name = f"{state.phase}-{state.step:012d}-{state.evaluations:06d}"
        if (self.folder / name).exists():
            return
        older = self._found()
        with folder_beside(self.folder / name) as temporary, disk_errors(self.folder / name):
            if saved is None:
                refuse_broken(model, state.step)
                model.save(temporary / "model.keras")
            else:
                link_or_copy(saved, temporary / "model.keras")
            if totals:
                np.savez(temporary / "totals.npz", *(variable.numpy() for variable in model.metrics_variables))
            (temporary / "state.json").write_text(json.dumps(dataclasses.asdict(state)), encoding="utf-8")
        for folder in older:
            shutil.rmtree(folder)

    def load(self) -> tuple[WideDeep, State] | None:
        """Returns the newest checkpoint, or None."""
        state = self.state()
        return None if state is None else (load_model(self._found()[-1] / "model.keras"), state)

    def state(self) -> State | None:
        """Returns the progress of the training at the newest checkpoint, or None."""
        found = self._found()
        return _state(found[-1] / "state.json") if found else None

    def totals(self) -> list[NDArray[Any]] | None:
        """Returns what the metrics had counted between the last evaluation and the newest checkpoint."""
        found = self._found()
        if not found or not (found[-1] / "totals.npz").is_file():
            return None
        try:
            with np.load(found[-1] / "totals.npz") as arrays:
                return [arrays[f"arr_{index}"] for index in range(len(arrays.files))]
        except (ValueError, KeyError, EOFError, OSError, zipfile.BadZipFile):
            raise _damaged(found[-1] / "totals.npz", "it does not hold the arrays that it should") from None

    def _found(self) -> list[Path]:
        # "fit-..." sorts before "refit-...", and the numbers have a fixed width. What a killed process left
        # half-written is hidden. A visible one was complete; if it no longer is, the training must not start over.
        return sorted(path for path in self.folder.glob("*fit-*") if _NAME.fullmatch(path.name))


def _state(file: Path) -> State:
    """Reads the progress of a training.

    Raises:
        RunError: the file is damaged.
    """
    # The metrics of an evaluation may be undefined, such as the AUC of a single class.
    try:
        found = read_json(file, nan=True)
    except (FileNotFoundError, NotADirectoryError):
        raise _damaged(file, "it does not exist") from None
    except RunError as error:
        raise RunError(f"{error} This run cannot be resumed: train again.") from None
    fields = {entry.name for entry in dataclasses.fields(State)}
    if set(found) != fields:
        raise _damaged(file, f"expected {', '.join(sorted(fields))}")
    steps = ("step", "evaluations", "best_step", "waited", "total")
    fits = {
        "phase": found["phase"] in ("fit", "refit"),
        "best": found["best"] is None or _is_number(found["best"]),
        "best_metrics": _are_numbers(found["best_metrics"]),
        "history": isinstance(found["history"], list) and all(map(_is_line, found["history"])),
        **{key: type(found[key]) is int and 0 <= found[key] < 2**63 for key in steps},
    }
    for key, fit in fits.items():
        if not fit:
            raise _damaged(file, f"{key} is {found[key]!r:.80}")
    return State(**found)


def _is_number(value: Any) -> bool:
    return type(value) in (int, float)


def _are_numbers(values: Any) -> bool:
    return isinstance(values, dict) and all(map(_is_number, values.values()))


def _is_line(line: Any) -> bool:
    numbers = {key: value for key, value in line.items() if key != "phase"} if isinstance(line, dict) else None
    return _are_numbers(numbers) and line.get("phase") in ("fit", "refit") and {"epoch", "step"} <= set(line)


def _damaged(file: Path, why: str) -> RunError:
    return RunError(f"{file} is damaged: {why}. This run cannot be resumed: train again.")
