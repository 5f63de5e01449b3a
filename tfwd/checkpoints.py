"""How far a training is, and the checkpoints from which it goes on."""

from __future__ import annotations

import dataclasses
import json
import shutil
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from tfwd.errors import RunError
from tfwd.run import folder_beside, link_or_copy, load_model

if TYPE_CHECKING:
    from tfwd.model import WideDeep


@dataclass
class State:
    """How far a training is; saved with every checkpoint.

    Attributes:
        phase: `fit`, or `refit` on training and validation rows together.
        step: global steps done in this phase.
        evaluations: evaluations done in this phase.
        best: the best value of the monitored metric, None before the first evaluation.
        best_step: the step it was reached at.
        best_metrics: all validation metrics there.
        waited: evaluations since then.
        total: steps of this phase, at the most.
        history: a dict an evaluation, both phases.
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
    """Full states of the last step, a folder each, of which the newest is kept.

    Args:
        folder: the run's `checkpoints`.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def save(self, model: WideDeep, state: State, totals: bool = False, saved: Path | None = None) -> None:
        """Writes a whole checkpoint, then removes the older ones.

        Args:
            model: compiled.
            state: how far the training is.
            saved: a file that holds the model as it is now, so that it need not be written again.
            totals: also what the metrics have counted since the last evaluation, for a checkpoint between two.
        """
        name = f"{state.phase}-{state.step:012d}-{state.evaluations:06d}"
        if (self.folder / name).exists():
            return
        older = self._found()
        with folder_beside(self.folder / name) as temporary:
            if saved is None:
                model.save(temporary / "model.keras")
            else:
                link_or_copy(saved, temporary / "model.keras")
            if totals:
                np.savez(temporary / "totals.npz", *(variable.numpy() for variable in model.metrics_variables))
            (temporary / "state.json").write_text(json.dumps(dataclasses.asdict(state)), encoding="utf-8")
        for folder in older:
            shutil.rmtree(folder)

    def load(self) -> tuple[WideDeep, State] | None:
        """The newest checkpoint, or None."""
        found = self._found()
        if not found:
            return None
        try:
            state = State(**json.loads((found[-1] / "state.json").read_text(encoding="utf-8")))
        except (ValueError, TypeError):
            raise RunError(f"{found[-1] / 'state.json'} is damaged: this run cannot go on. Train again.") from None
        return load_model(found[-1] / "model.keras"), state

    def totals(self) -> list[NDArray[Any]] | None:
        """What the metrics had counted at the newest checkpoint since the evaluation before it."""
        found = self._found()
        if not found or not (found[-1] / "totals.npz").is_file():
            return None
        with np.load(found[-1] / "totals.npz") as arrays:
            return [arrays[f"arr_{index}"] for index in range(len(arrays.files))]

    def _found(self) -> list[Path]:
        # "fit-..." sorts before "refit-...", and the numbers have a fixed width. What a kill left half-written is
        # hidden.
        return sorted(path for path in self.folder.glob("[!.]*") if (path / "state.json").is_file())
