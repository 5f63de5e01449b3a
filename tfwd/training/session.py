"""One training, from its statistics to its metrics: its phases, their callbacks, and the final evaluation."""

from __future__ import annotations

from collections.abc import Sequence

import keras

from tfwd.analysis.statistics import FeatureStatistics
from tfwd.data.dataset import original_errors
from tfwd.data.rows import Rows
from tfwd.inference.evaluation import BATCH_ROWS, Evaluator, evaluate
from tfwd.inference.tensorflow_scorer import keras_scorer
from tfwd.model.build import build_model
from tfwd.model.finite import refuse_undefined
from tfwd.model.saving import save_model
from tfwd.model.wide_deep import WideDeep
from tfwd.optimizers.configured import joint_optimizer
from tfwd.run import Run
from tfwd.run_folder import background
from tfwd.run_folder.folder import RunFolder
from tfwd.training.autolog import autologged
from tfwd.training.callbacks import BestModel, CallbackChain, ExactValidation, History, ProgressBar, StepCounter
from tfwd.training.checkpoints import Checkpoints, State
from tfwd.training.known_rows import KnownRows
from tfwd.training.plan import next_evaluation, planned_steps, refit_steps
from tfwd.training.splits import Splits
from tfwd.training.stream import CachedIds, Stream, StreamedRows, row_bytes
from tfwd.training.warm_start.carry import carry
from tfwd.training.warm_start.moves import carry_base
from tfwd.utils.console import console, progress
from tfwd.utils.files import as_json, write_text


class Session:
    """A training that writes to a run.

    Args:
        run: the run, which nobody else writes to.
        splits: the rows, their labels encoded.
        statistics: the statistics of the training rows.
        tower: a layer in place of the feed-forward tower, if any.
        callbacks: the user's callbacks.
        origin: the run that it is warm-started from, if that is already open.
    """

    def __init__(
        self,
        run: Run,
        splits: Splits,
        statistics: FeatureStatistics,
        tower: keras.layers.Layer | None,
        callbacks: Sequence[keras.callbacks.Callback],
        origin: RunFolder | None = None,
    ) -> None:
        self._run, self._splits, self._statistics = run, splits, statistics
        self._config = run.config
        self._tower, self._callbacks = tower, list(callbacks)
        self._origin = origin
        self._checkpoints = Checkpoints(run.path / "checkpoints")
        self._rows = KnownRows({name: rows for name, rows in splits.by_name().items() if rows is not None})

    def run_to_end(self) -> Run:
        """Trains from the newest checkpoint, or from new weights, then evaluates; returns the finished run."""
        with original_errors(), autologged(self._run) as loggers:
            self._callbacks += loggers
            if self._run.status == "created":
                self._rows.write(self._run, self._statistics.rows)
                self._keep_background()
            else:
                self._rows.refuse_others(self._run)
            self._run.set_status("training")
            self._run.save_metrics(self._metrics(self._phases()))
            self._run.finish()
            return self._run

    def _keep_background(self) -> None:
        """Keeps some rows for `Run.explainer`, since the run may outlive its data, or go where that is not."""
        if "deep" not in self._config.model.heads:
            return
        source = (self._splits.test or self._splits.fit).source
        rows = background.draw(source, self._splits.schema, background.ROWS, self._config.train.seed)
        if rows is not None:
            background.save(self._run.path, rows)

    def _phases(self) -> State:
        """Runs the fit and, if requested, the refit; returns the progress of the training at its end."""
        resumed = self._checkpoints.load()
        model, state = resumed if resumed else (None, State())
        if state.phase == "fit":
            model, state = self._fit(model, state)
        if self._config.train.refit and self._splits.validation is not None:
            if state.phase == "fit":
                sizes = self._config.train.batch_size, self._splits.fit.count(), self._splits.everything.count()
                total = refit_steps(state.best_step, *sizes)
                model, state = None, State("refit", best_metrics=state.best_metrics, history=state.history, total=total)
            model, state = self._fit(model, state)
            assert model is not None
            save_model(model, self._run.path / "model.keras")
        return state

    def _metrics(self, state: State) -> dict[str, dict[str, float]]:
        """Returns the exact metrics of the run's model, which is the model of the best step, not the last one."""
        metrics: dict[str, dict[str, float]] = {}
        if self._splits.validation is not None:
            metrics["validation"] = state.best_metrics
        if self._splits.test is not None:
            self._rows.refuse_changed("test")
            scorer = keras_scorer(self._run.model)
            with progress() as bar:
                task = bar.add_task("Test", total=self._splits.test.count())
                metrics["test"] = evaluate(
                    scorer, self._splits.test, advance=lambda n: bar.advance(task, n), ranking=self._config.ranking
                )
            refuse_undefined(metrics["test"], "the test rows", state.best_step or state.step)
        return metrics

    def _fit(self, model: WideDeep | None, state: State) -> tuple[WideDeep, State]:
        """Runs one phase: period by period, each with an evaluation and a checkpoint at its end."""
        options = self._config.train
        read = ("train",) if state.phase == "fit" else ("train", "validation")
        origin = None
        if model is None:
            model, origin = self._new_model()
        self._rows.refuse_changed(*read)
        stream = self._stream(model, self._splits.fit if state.phase == "fit" else self._splits.everything)
        planned = planned_steps(options, stream.steps_per_epoch, self._splits.fit.count())
        state.total = state.total or planned
        if not model.compiled:
            model.compile(joint_optimizer(self._config, planned), steps_per_execution=options.steps_per_execution)
        if origin is not None:
            self._warm_start(model, origin)
        period = options.evaluate_every or stream.steps_per_epoch
        model.make_train_function(force=True)
        chain = CallbackChain(self._chain(model, state, period, stream.steps_per_epoch), model)
        model.stop_training = False
        chain.begin()
        try:
            # An evaluation may have stopped the training just before it was interrupted.
            stopped = bool(
                state.phase == "fit" and options.early_stopping and state.waited >= options.early_stopping.patience
            )
            while state.step < state.total and not stopped:
                index, stop = next_evaluation(state.step, period, state.total)
                try:
                    model.fit(
                        stream.steps(state.step, stop),
                        initial_epoch=index,
                        epochs=index + 1,
                        callbacks=chain,
                        shuffle=False,
                        verbose=0,
                    )
                finally:
                    # Whatever else followed from it, this is the cause.
                    if isinstance(stream, StreamedRows):
                        self._rows.refuse_changed(*read)
                best = state.phase == "fit" and state.best_step == state.step
                self._checkpoints.save(model, state, saved=self._run.path / "model.keras" if best else None)
                stopped = model.stop_training
        finally:
            chain.end()
        return model, state

    def _new_model(self) -> tuple[WideDeep, RunFolder | None]:
        """Returns a model with the weights that an uninterrupted training has, and the run to warm-start it from."""
        keras.utils.set_random_seed(self._config.train.seed)
        model = build_model(self._config, self._statistics, self._splits.schema, self._tower)
        origin, self._origin = self._origin or self._run.origin, None
        if origin is not None:
            carry_base(model, origin.model)
        return model, origin

    def _warm_start(self, model: WideDeep, origin: RunFolder) -> None:
        model.optimizer.build(model.trainable_variables)
        report = carry(model, self._config, self._statistics, origin)
        write_text(self._run.path / "warm_start.json", as_json(report.to_dict()))
        for line in report.lines():
            console.print(line, markup=False)

    def _stream(self, model: WideDeep, rows: Rows) -> Stream:
        options = self._config.train
        weights = options.class_weights
        fits = rows.count() * row_bytes(model) <= options.cache_bytes
        if options.cache == "ids" or (options.cache == "auto" and options.epochs > 1 and fits):
            with console.status("Transforming the training rows once"):
                return CachedIds(model, rows, options.batch_size, options.seed, weights)
        return StreamedRows(model, rows, options.batch_size, options.seed, options.shuffle_rows, weights)

    def _chain(
        self, model: WideDeep, state: State, period: int, steps_per_epoch: int
    ) -> list[keras.callbacks.Callback]:
        options, path = self._config.train, self._run.path
        chain: list[keras.callbacks.Callback] = [
            StepCounter(state, self._checkpoints, options.checkpoint_every, period)
        ]
        validated = state.phase == "fit" and self._splits.validation is not None
        if validated:
            assert self._splits.validation is not None
            dataset = model.transformed(self._splits.validation.dataset(BATCH_ROWS))
            fits = self._splits.validation.count() * row_bytes(model) <= options.cache_bytes
            if options.cache != "none" and fits:
                dataset = dataset.cache()
            chain.append(ExactValidation(Evaluator(model, dataset)))
        chain += self._callbacks
        if options.tensorboard:
            chain.append(keras.callbacks.TensorBoard(str(path / "logs" / state.phase), write_graph=False))
        if state.phase == "fit":
            patience = options.early_stopping.patience if options.early_stopping else None
            monitor = self._config.monitor() if validated else None
            chain.append(BestModel(state, path / "model.keras", monitor, patience))
        chain.append(History(state, path / "history.csv", steps_per_epoch, console.print))
        chain.append(ProgressBar(state, state.total, "Training" if state.phase == "fit" else "Refit on all rows"))
        return chain
