"""What happens after an evaluation while training: exact metrics, the best model, early stopping, the progress shown."""

from __future__ import annotations

import csv
import dataclasses
import io
import json
import math
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import keras
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeRemainingColumn

from tfwd.console import console
from tfwd.errors import RunError
from tfwd.evaluation import Evaluator
from tfwd.metrics import HIGHER_IS_BETTER
from tfwd.run import folder_beside, load_model, save_model, write_text

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
    """Full states of the last step, `step-<n>` folders of which the newest is kept.

    Args:
        folder: the run's `checkpoints`.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def save(self, model: WideDeep, state: State) -> None:
        """Writes a whole checkpoint, then removes the older ones."""
        name = f"{state.phase}-{state.step:012d}-{state.evaluations:06d}"
        if (self.folder / name).exists():
            return
        older = self._found()
        with folder_beside(self.folder / name) as temporary:
            model.save(temporary / "model.keras")
            (temporary / "state.json").write_text(json.dumps(dataclasses.asdict(state)), encoding="utf-8")
        for folder in older:
            for file in folder.iterdir():
                file.unlink()
            folder.rmdir()

    def load(self) -> tuple[WideDeep, State] | None:
        """The newest checkpoint, or None."""
        found = self._found()
        if not found:
            return None
        state = State(**json.loads((found[-1] / "state.json").read_text(encoding="utf-8")))
        return load_model(found[-1] / "model.keras"), state

    def _found(self) -> list[Path]:
        # "fit-..." sorts before "refit-...", and the numbers have a fixed width.
        return sorted(path for path in self.folder.iterdir() if (path / "state.json").is_file())


class ExactValidation(keras.callbacks.Callback):
    """Adds the exact metrics on the validation rows to an epoch's logs, as `val_auc` and so on.

    Args:
        evaluator: of the validation rows.
    """

    def __init__(self, evaluator: Evaluator) -> None:
        super().__init__()
        self._evaluator = evaluator

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Evaluates."""
        if logs is not None:
            logs.update({f"val_{name}": value for name, value in self._evaluator().items() if name != "rows"})


class StepCounter(keras.callbacks.Callback):
    """Counts steps, checkpoints between evaluations, and stops on a loss that is not a number.

    Args:
        state: is counted up.
        checkpoints: where to save, or None.
        every: steps between checkpoints, or None.
    """

    def __init__(self, state: State, checkpoints: Checkpoints, every: int | None) -> None:
        super().__init__()
        self._state, self._checkpoints, self._every = state, checkpoints, every
        self._saved = state.step

    def on_train_batch_end(self, batch: int, logs: dict[str, Any] | None = None) -> None:
        """After every call of the compiled loop."""
        self._state.step = int(self.model.optimizer.iterations)
        loss = float((logs or {}).get("loss", 0.0))
        if not math.isfinite(loss):
            raise RunError(
                f"The loss is {loss} at step {self._state.step}. Lower the learning rates "
                "(train.wide_optimizer.learning_rate, train.deep_optimizer.learning_rate) or set their clipnorm."
            )
        if self._every and self._state.step - self._saved >= self._every:
            self._checkpoints.save(self.model, self._state)
            self._saved = self._state.step


class BestModel(keras.callbacks.Callback):
    """Keeps the full state of the best step as `model.keras`, and stops when there was no better one for long.

    Args:
        state: holds the best value.
        path: of `model.keras`.
        monitor: a metric of the validation rows; None keeps the last step.
        patience: evaluations without a better one before stopping; None never stops.
    """

    def __init__(self, state: State, path: Path, monitor: str | None, patience: int | None) -> None:
        super().__init__()
        self._state, self._path, self._monitor, self._patience = state, path, monitor, patience

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Compares, saves, counts."""
        state, logs = self._state, logs or {}
        state.evaluations += 1
        value = float(logs[f"val_{self._monitor}"]) if self._monitor else None
        if value is None or self._better(value):
            save_model(self.model, self._path)
            state.best, state.best_step, state.waited = value, state.step, 0
            state.best_metrics = {
                name.removeprefix("val_"): float(logs[name]) for name in logs if name.startswith("val_")
            }
        else:
            state.waited += 1
            if self._patience and state.waited >= self._patience:
                self.model.stop_training = True

    def _better(self, value: float) -> bool:
        if self._state.best is None:
            return True
        assert self._monitor is not None
        return value > self._state.best if HIGHER_IS_BETTER[self._monitor] else value < self._state.best


class History(keras.callbacks.Callback):
    """Writes `history.csv`, a line an evaluation, and a line to the console.

    Args:
        state: holds the history.
        path: of `history.csv`.
        say: shows a line to the person who waits.
    """

    def __init__(self, state: State, path: Path, say: Callable[[str], None]) -> None:
        super().__init__()
        self._state, self._path, self._say = state, path, say

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Records the epoch."""
        numbers = {name: float(value) for name, value in (logs or {}).items()}
        line = {"phase": self._state.phase, "epoch": epoch + 1, "step": self._state.step, **numbers}
        self._state.history.append(line)
        buffer = io.StringIO()
        columns = list(dict.fromkeys(name for entry in self._state.history for name in entry))
        writer = csv.DictWriter(buffer, columns)
        writer.writeheader()
        writer.writerows(self._state.history)
        write_text(self._path, buffer.getvalue())
        shown = "  ".join(f"{name} {value:.4f}" for name, value in numbers.items() if name != "val_mean_label")
        self._say(f"{self._state.phase} epoch {epoch + 1}  {shown}")


class ProgressBar(keras.callbacks.Callback):
    """A progress bar over the steps of a phase.

    Args:
        state: the step.
        total: steps of the phase, at the most.
        label: what is shown before the bar.
    """

    def __init__(self, state: State, total: int, label: str) -> None:
        super().__init__()
        self._state, self._total = state, total
        self._progress = progress()
        self._task = self._progress.add_task(label, total=total, completed=state.step)

    def on_train_begin(self, logs: dict[str, Any] | None = None) -> None:
        """Shows the bar."""
        self._progress.start()

    def on_train_batch_end(self, batch: int, logs: dict[str, Any] | None = None) -> None:
        """Moves the bar."""
        self._progress.update(self._task, completed=min(self._state.step, self._total))

    def on_train_end(self, logs: dict[str, Any] | None = None) -> None:
        """Takes the bar away."""
        self._progress.stop()


def progress() -> Progress:
    """The progress bar of all commands: on a terminal only, gone when done."""
    return Progress(
        SpinnerColumn(),
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        console=console,
        transient=True,
        disable=not console.is_terminal,
    )
