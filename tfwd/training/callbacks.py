"""What happens during training: exact metrics, the best model, early stopping, progress display."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras

from tfwd.errors import RunError
from tfwd.inference.evaluation import Evaluator
from tfwd.metrics.tasks import HIGHER_IS_BETTER
from tfwd.model.finite import refuse_broken, refuse_step, refuse_undefined
from tfwd.model.saving import save_model
from tfwd.model.wide_deep import WideDeep
from tfwd.training.checkpoints import Checkpoints, State
from tfwd.utils.console import progress
from tfwd.utils.files import write_text


class ExactValidation(keras.callbacks.Callback):
    """Adds the exact metrics on the validation rows to an epoch's logs, as `val_auc` and so on.

    Args:
        evaluator: evaluates the validation rows.
    """

    def __init__(self, evaluator: Evaluator) -> None:
        super().__init__()
        self._evaluator = evaluator

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Evaluates."""
        if logs is not None:
            found = self._evaluator()
            refuse_undefined(found, "the validation rows", int(self.model.optimizer.iterations))
            logs.update({f"val_{name}": value for name, value in found.items() if name != "rows"})


class StepCounter(keras.callbacks.Callback):
    """Counts steps, checkpoints between evaluations, and stops on a loss that is not a number.

    Args:
        state: is updated.
        checkpoints: where to save.
        every: steps between checkpoints, or None.
        period: steps between evaluations; each evaluation is followed by its own checkpoint.
    """

    def __init__(self, state: State, checkpoints: Checkpoints, every: int | None, period: int) -> None:
        super().__init__()
        self._state, self._checkpoints, self._every, self._period = state, checkpoints, every, period
        self._saved = state.step
        self._totals = checkpoints.totals() if state.step % period else None

    def on_epoch_begin(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Restores what the metrics had counted if the training was interrupted between two evaluations."""
        if self._totals is not None:
            self.model.build_metrics()
            variables = self.model.metrics_variables
            if [tuple(variable.shape) for variable in variables] != [total.shape for total in self._totals]:
                raise RunError(
                    f"{self._checkpoints.folder}: the newest totals.npz is damaged: it does not belong to this model's "
                    "metrics. This run cannot be resumed: train again."
                )
            for variable, value in zip(variables, self._totals, strict=True):
                variable.assign(value)
            self._totals = None

    def on_train_batch_end(self, batch: int, logs: dict[str, Any] | None = None) -> None:
        """Runs after every call of the compiled loop."""
        self._state.step = int(self.model.optimizer.iterations)
        loss = float((logs or {}).get("loss", 0.0))
        if not math.isfinite(loss):
            refuse_step(self.model, (), self._state.step, loss)
        # At the end of a period the evaluation comes first: a training that resumes from here would skip it.
        between = self._state.step % self._period and self._state.step < self._state.total
        if self._every and between and self._state.step - self._saved >= self._every:
            self._checkpoints.save(self.model, self._state, totals=True)
            self._saved = self._state.step


class BestModel(keras.callbacks.Callback):
    """Keeps the full state of the best step as `model.keras`, and stops after too long without a better one.

    Args:
        state: holds the best value.
        path: the path of `model.keras`.
        monitor: a metric of the validation rows; None keeps the last step.
        patience: evaluations without a better one before stopping; None never stops.
    """

    def __init__(self, state: State, path: Path, monitor: str | None, patience: int | None) -> None:
        super().__init__()
        self._state, self._path, self._monitor, self._patience = state, path, monitor, patience

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Compares, saves, counts."""
        state, logs = self._state, logs or {}
        value = float(logs[f"val_{self._monitor}"]) if self._monitor else None
        if value is None or self._better(value):
            refuse_broken(self.model, state.step)
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
        # A metric may be undefined, such as the AUC of a single class: any value is better than none.
        if self._state.best is None or math.isnan(self._state.best):
            return True
        assert self._monitor is not None
        return value > self._state.best if HIGHER_IS_BETTER[self._monitor] else value < self._state.best


class History(keras.callbacks.Callback):
    """Writes `history.csv`, one line per evaluation, and a line to the console.

    Args:
        state: holds the history.
        path: the path of `history.csv`.
        steps_per_epoch: steps per pass over the rows; an evaluation need not fall at the end of a pass.
        say: shows a line to the user.
    """

    def __init__(self, state: State, path: Path, steps_per_epoch: int, say: Callable[[str], None]) -> None:
        super().__init__()
        self._state, self._path, self._steps_per_epoch, self._say = state, path, steps_per_epoch, say

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Records an evaluation. Keras counts evaluations; the epoch recorded is the pass that it falls in, or ends."""
        epoch = max(-(-self._state.step // self._steps_per_epoch), 1)
        numbers = {name: float(value) for name, value in (logs or {}).items()}
        line = {"phase": self._state.phase, "epoch": epoch, "step": self._state.step, **numbers}
        self._state.history.append(line)
        self._state.evaluations += 1
        buffer = io.StringIO()
        columns = list(dict.fromkeys(name for entry in self._state.history for name in entry))
        writer = csv.DictWriter(buffer, columns)
        writer.writeheader()
        writer.writerows(self._state.history)
        write_text(self._path, buffer.getvalue())
        self._say(self._line(epoch, numbers))

    def _line(self, epoch: int, numbers: dict[str, float]) -> str:
        state = self._state
        trained = _shown({name: value for name, value in numbers.items() if not name.startswith("val_")})
        validated = _shown({name[4:]: value for name, value in numbers.items() if name.startswith("val_")})
        line = f"{'refit, ' * (state.phase == 'refit')}epoch {epoch}, step {state.step:,}: training {trained}"
        best = validated and state.phase == "fit" and state.best_step == state.step
        return f"{line} | validation {validated}{' (best)' * bool(best)}" if validated else line


def _shown(numbers: dict[str, float]) -> str:
    # The mean prediction is worth a look at the end, but not a place in every line.
    names = sorted((name for name in numbers if not name.startswith("mean_")), key=lambda name: "loss" not in name)
    return "  ".join(f"{name} {numbers[name]:{'.4g' if numbers[name] >= 10 else '.4f'}}" for name in names)


class ProgressBar(keras.callbacks.Callback):
    """A progress bar over the steps of a phase.

    Args:
        state: the step.
        total: steps of the phase, at most.
        label: the text shown before the bar.
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
        """Removes the bar."""
        self._progress.stop()


class CallbackChain(keras.callbacks.CallbackList):
    """Callbacks for which training begins and ends once, although `fit` is called for every evaluation."""

    def __init__(self, callbacks: list[keras.callbacks.Callback], model: WideDeep) -> None:
        super().__init__(callbacks, add_history=True, add_progbar=False, model=model)

    def begin(self) -> None:
        """Runs `on_train_begin` of the callbacks, once."""
        super().on_train_begin()

    def end(self) -> None:
        """Runs `on_train_end` of the callbacks, once."""
        super().on_train_end()

    def on_train_begin(self, logs: Any = None) -> None:
        """Not at every call of `fit`."""

    def on_train_end(self, logs: Any = None) -> None:
        """Not at every call of `fit`."""
