"""Training: data in, a run directory out."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import keras
import tensorflow as tf

from tfwd.analysis.statistics import FeatureStatistics
from tfwd.config.config import Config
from tfwd.data.dataset import original_errors
from tfwd.data.labels import weights_of
from tfwd.data.provenance import Provenance, SplitMark, marks
from tfwd.data.rows import Rows
from tfwd.errors import DataError, RunError
from tfwd.features.layout import build_layout
from tfwd.inference.evaluation import BATCH_ROWS, Evaluator, evaluate
from tfwd.inference.tensorflow_scorer import keras_scorer
from tfwd.model.finite import refuse_undefined
from tfwd.model.ranker import check_activation
from tfwd.model.saving import save_model
from tfwd.model.wide_deep import WideDeep, build_model
from tfwd.optimizers.configured import joint_optimizer
from tfwd.optimizers.instances import with_optimizers
from tfwd.preparation.prepare import prepared_beside
from tfwd.run import Run
from tfwd.run_folder.folder import RunFolder
from tfwd.run_folder.leftovers import refuse_foreign, remove_beside
from tfwd.training.autolog import autologged
from tfwd.training.callbacks import BestModel, ExactValidation, History, ProgressBar, StepCounter
from tfwd.training.checkpoints import Checkpoints, State
from tfwd.training.given import describe, refuse_other
from tfwd.training.size import least_parts, parts_of, refuse_too_large
from tfwd.training.splits import Parts, open_parts
from tfwd.training.stream import CachedIds, Stream, StreamedRows, row_bytes
from tfwd.training.warm_start.carry import carry, carry_base, check_labels
from tfwd.training.warm_start.origin import analyze_from, open_origin, with_widths
from tfwd.utils.console import console, progress
from tfwd.utils.files import as_json, refuse_existing, write_text

if TYPE_CHECKING:
    import pandas as pd


def fit(
    config: Config,
    output: str | Path,
    *,
    train: pd.DataFrame | None = None,
    validation: pd.DataFrame | None = None,
    test: pd.DataFrame | None = None,
    tower: keras.layers.Layer | None = None,
    optimizers: Mapping[str, keras.optimizers.Optimizer] | None = None,
    callbacks: Sequence[keras.callbacks.Callback] = (),
    warm_start_from: str | Path | None = None,
    overwrite: bool = False,
) -> Run:
    """Trains a model as a configuration says, and evaluates it.

    It exports nothing: `export.formats` is for `tfwd train`, which exports what this has trained.

    Args:
        config: the whole configuration.
        output: the run directory to make.
        train, validation, test: frames in place of the files that the configuration names.
        tower: a layer of your own in place of the feed-forward tower, from `(B, inputs)` to `(B, units)`, unbuilt.
        optimizers: for the heads `wide` and `deep` a new optimizer of Keras or tfwd, in place of what the configuration
            says; the run's configuration then says it, so that `resume` needs no optimizer.
        callbacks: Keras callbacks; their logs hold the exact validation metrics, as `val_auc`.
        warm_start_from: a finished run to go on from, in place of `train.warm_start_from`.
        overwrite: replace a run that is there, as a notebook's cell does that is run again. The old one stays until
            configuration and data were checked and read; what is no run is never removed.

    Returns:
        The finished run.

    Raises:
        ConfigError, DataError: before anything is made.
        RunError: the directory exists or cannot be made, the run to go on from is none, or the loss is not a number.
        OSError: the disk became full in the middle; `resume` goes on when there is room.
    """
    if warm_start_from is not None:
        options = {"warm_start_from": str(Path(warm_start_from).absolute())}
        config = config.model_copy(update={"train": config.train.model_copy(update=options)})
    config = with_optimizers(config, optimizers or {})
    # A misspelt option of an optimizer or a wrong activation is found here, not after the data was read.
    joint_optimizer(config, steps=1)
    if tower is None and "deep" in config.model.heads:
        check_activation(config.model.activation)
    refuse_too_large(least_parts(config, tower is None))
    remove_beside(Path(output))
    if overwrite:
        refuse_foreign(output)
        _refuse_own_sources(config, Path(output))
    else:
        refuse_existing(output)
    given = describe({"train": train, "validation": validation, "test": test}, tower, callbacks)
    origin = None
    if config.train.warm_start_from is not None:
        with console.status("Opening the run to go on from"):
            origin = open_origin(config.train.warm_start_from, config)
        config = with_widths(config, origin)
    with prepared_beside(output, config, train, validation, test) as folder:
        parts = open_parts(config, train, validation, test, folder)
        if config.ranking is not None and parts.test is not None:
            parts.test.source.require(config.ranking.user, "ranking.user")
        prepare_process(config)
        with console.status("Reading the training rows once for vocabularies and quantiles"):
            statistics = analyze_from(parts.fit, config, origin)
        if origin is not None:
            check_labels(statistics.label.classes, origin)
        parts = parts.with_classes(statistics.label.classes)
        with console.status("Checking the other rows"):
            parts.check()
        if config.train.class_weights is not None:
            weights_of(config.train.class_weights, parts.schema.classes)
        # Tables that would be too large are found before there is a run.
        layout = build_layout(config.features, statistics, config.model.heads, parts.schema.outputs)
        refuse_too_large(parts_of(config, layout, tower is None))
        run = Run.create(output, config, folder, origin, given, overwrite)
    with run.writing():
        if run.data is not None:
            # The same files, which lie in the run now.
            parts = open_parts(config, prepared=run.data).with_classes(statistics.label.classes)
        run.save_statistics(statistics)
        return _Training(run, parts, statistics, tower, callbacks, origin).go()


def resume(
    output: str | Path,
    *,
    train: pd.DataFrame | None = None,
    validation: pd.DataFrame | None = None,
    test: pd.DataFrame | None = None,
    tower: keras.layers.Layer | None = None,
    callbacks: Sequence[keras.callbacks.Callback] | None = None,
) -> Run:
    """Goes on with a training that was broken off, to the same end as if it had not been.

    Args:
        output: the run directory.
        train, validation, test, tower, callbacks: as they were given to `fit`; `callbacks=[]` goes on without those
            that were.

    Raises:
        RunError: no run, one of a version that this one cannot read, a damaged one, or one that another process
            writes to; or something else was given than to `fit`, or the rows are other ones than they were.
    """
    remove_beside(Path(output))
    run = Run.open(output)
    if run.status == "finished":
        return run
    given = describe({"train": train, "validation": validation, "test": test}, tower, callbacks or ())
    refuse_other(run, given, without_callbacks=callbacks is not None)
    with run.writing():
        if run.status == "finished":  # by the process that has let go of it just now
            return run
        parts = open_parts(run.config, train, validation, test, run.data)
        prepare_process(run.config)
        if run.status == "created":
            run.save_statistics(analyze_from(parts.fit, run.config, run.origin))
        statistics = run.statistics
        parts = parts.with_classes(statistics.label.classes)
        return _Training(run, parts, statistics, tower, callbacks or ()).go()


def _refuse_own_sources(config: Config, output: Path) -> None:
    """Refuses to overwrite what is read."""
    data, place = config.data, output.resolve()
    read = {f"data.{name}": getattr(data, name) for name in ("train", "validation", "test", "path")}
    read |= {f"data.join[{index}].data": join.data for index, join in enumerate(data.join)}
    read["train.warm_start_from"] = config.train.warm_start_from
    files = [(key, path) for key, named in read.items() for path in (named if isinstance(named, tuple) else [named])]
    for key, path in files:
        if path is not None and place in (Path(path).resolve(), *Path(path).resolve().parents):
            raise RunError(f"{key} reads {path} of the run that it would overwrite. Choose another output.")


def prepare_process(config: Config) -> None:
    """Seeds this process, and makes TensorFlow deterministic if that is asked for."""
    keras.utils.set_random_seed(config.train.seed)
    if config.train.deterministic:
        tf.config.experimental.enable_op_determinism()


class _Training:
    """One training, from its statistics to its metrics."""

    def __init__(
        self,
        run: Run,
        parts: Parts,
        statistics: FeatureStatistics,
        tower: keras.layers.Layer | None,
        callbacks: Sequence[keras.callbacks.Callback],
        origin: RunFolder | None = None,
    ) -> None:
        self.run, self.parts, self.statistics = run, parts, statistics
        self.config = run.config
        self.tower, self.callbacks = tower, list(callbacks)
        self.origin = origin
        self.checkpoints = Checkpoints(run.path / "checkpoints")

    def go(self) -> Run:
        with original_errors(), autologged(self.run) as loggers:
            self.callbacks += loggers
            return self._go()

    def _go(self) -> Run:
        self._know_rows()
        self.run.set_status("training")
        resumed = self.checkpoints.load()
        model, state = resumed if resumed else (None, State())
        if state.phase == "fit":
            model, state = self._fit(model, state)
        if self.config.train.refit and self.parts.validation is not None:
            if state.phase == "fit":
                model = None
                state = State("refit", best_metrics=state.best_metrics, history=state.history, total=self._refit(state))
            model, state = self._fit(model, state)
            assert model is not None
            save_model(model, self.run.path / "model.keras")
        metrics: dict[str, dict[str, float]] = {}
        if self.parts.validation is not None:
            metrics["validation"] = state.best_metrics
        if self.parts.test is not None:
            self._refuse_changed("test")
            # The run's model is that of the best step, not of the last one.
            scorer = keras_scorer(self.run.model)
            with progress() as bar:
                task = bar.add_task("Test", total=self.parts.test.count())
                metrics["test"] = evaluate(
                    scorer, self.parts.test, advance=lambda n: bar.advance(task, n), ranking=self.config.ranking
                )
            refuse_undefined(metrics["test"], "the test rows", state.best_step or state.step)
        self.run.save_metrics(metrics)
        self.run.finish()
        return self.run

    def _know_rows(self) -> None:
        """Writes down what the splits are, or refuses to go on with others."""
        splits = {name: rows for name, rows in self.parts.splits().items() if rows is not None}
        self.marks = {name: marks(rows) for name, rows in splits.items()}
        if self.run.status == "created":
            with console.status("Taking the fingerprint of the rows"):
                found = Provenance({name: SplitMark.of(rows) for name, rows in splits.items()})
            counted = found.splits["train"].fingerprint.rows
            if counted != self.statistics.rows:
                raise DataError(
                    f"{self.parts.fit.source.name} has changed while it was read: {self.statistics.rows:,} training "
                    f"rows, then {counted:,}. Train on a file that nobody writes to."
                )
            found.save(self.run.path / "rows.json")
            return
        known = self.run.provenance
        for name, mark in known.splits.items() if known else ():
            if name not in splits:
                raise RunError(f"{self.run.path} was begun with {name} rows, and now there are none. Put them back.")
            with console.status("Comparing the rows with those that the training began with"):
                difference = mark.difference(splits[name])
            if difference is not None:
                raise RunError(
                    f"The {name} rows of {self.run.path} are not those that it was begun with: "
                    f"{splits[name].source.name} has {difference}. Put those back, or train anew."
                )

    def _refuse_changed(self, *names: str) -> None:
        """Looks at the files of some splits, which are to be read again or were read just now.

        Raises:
            DataError: one has changed, or is gone.
        """
        for mark in (mark for name in names for mark in self.marks.get(name, ())):
            change = mark.change()
            if change is not None:
                raise DataError(
                    f"{change}, while the training was reading it. Train anew on a file that stays as it is."
                )

    def _refit(self, state: State) -> int:
        """The steps of the refit: as many passes over all rows as validation chose over its own."""
        batch = self.config.train.batch_size
        passes = state.best_step / math.ceil(self.parts.fit.count() / batch)
        return max(1, round(passes * math.ceil(self.parts.everything.count() / batch)))

    def _planned(self, steps_per_epoch: int) -> int:
        """The steps that the configuration asks for, of the rows of either phase: schedules end there.

        A refit has more rows than the first fit, and as many more steps.
        """
        options = self.config.train
        steps = options.epochs * steps_per_epoch
        if options.max_steps is None:
            return steps
        own = math.ceil(self.parts.fit.count() / options.batch_size)
        return min(steps, math.ceil(options.max_steps * steps_per_epoch / own))

    def _fit(self, model: WideDeep | None, state: State) -> tuple[WideDeep, State]:
        options = self.config.train
        rows = self.parts.fit if state.phase == "fit" else self.parts.everything
        origin = None
        if model is None:
            # New weights, equal to those that a training left alone would have begun with.
            keras.utils.set_random_seed(options.seed)
            model = build_model(self.config, self.statistics, self.parts.schema, self.tower)
            origin, self.origin = self.origin or self.run.origin, None
            if origin is not None:
                carry_base(model, origin.model)
        read = ("train",) if state.phase == "fit" else ("train", "validation")
        self._refuse_changed(*read)
        stream = self._stream(model, rows)
        planned = self._planned(stream.steps_per_epoch)
        state.total = state.total or planned
        if not model.compiled:
            model.compile(joint_optimizer(self.config, planned), steps_per_execution=options.steps_per_execution)
        if origin is not None:
            self._warm_start(model, origin)
        period = options.evaluate_every or stream.steps_per_epoch
        model.make_train_function(force=True)
        chain = _Chain(self._callbacks(model, state, period, stream.steps_per_epoch), model)
        model.stop_training = False
        chain.begin()
        try:
            # An evaluation may have stopped the training just before it was broken off.
            stopped = bool(
                state.phase == "fit" and options.early_stopping and state.waited >= options.early_stopping.patience
            )
            while state.step < state.total and not stopped:
                index = state.step // period
                stop = min((index + 1) * period, state.total)
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
                    # Whatever else came of it, that is why.
                    if isinstance(stream, StreamedRows):
                        self._refuse_changed(*read)
                best = state.phase == "fit" and state.best_step == state.step
                self.checkpoints.save(model, state, saved=self.run.path / "model.keras" if best else None)
                stopped = model.stop_training
        finally:
            chain.end()
        return model, state

    def _warm_start(self, model: WideDeep, origin: RunFolder) -> None:
        model.optimizer.build(model.trainable_variables)
        report = carry(model, self.config, self.statistics, origin)
        write_text(self.run.path / "warm_start.json", as_json(report.to_dict()))
        for line in report.lines():
            console.print(line, markup=False)

    def _stream(self, model: WideDeep, rows: Rows) -> Stream:
        options = self.config.train
        weights = options.class_weights
        fits = rows.count() * row_bytes(model) <= options.cache_bytes
        if options.cache == "ids" or (options.cache == "auto" and options.epochs > 1 and fits):
            with console.status("Transforming the training rows once"):
                return CachedIds(model, rows, options.batch_size, options.seed, weights)
        return StreamedRows(model, rows, options.batch_size, options.seed, options.shuffle_rows, weights)

    def _callbacks(
        self, model: WideDeep, state: State, period: int, steps_per_epoch: int
    ) -> list[keras.callbacks.Callback]:
        options, path = self.config.train, self.run.path
        chain: list[keras.callbacks.Callback] = [StepCounter(state, self.checkpoints, options.checkpoint_every, period)]
        validated = state.phase == "fit" and self.parts.validation is not None
        if validated:
            assert self.parts.validation is not None
            dataset = model.prepare(self.parts.validation.dataset(BATCH_ROWS))
            fits = self.parts.validation.count() * row_bytes(model) <= options.cache_bytes
            if options.cache != "none" and fits:
                dataset = dataset.cache()
            chain.append(ExactValidation(Evaluator(model, dataset)))
        chain += self.callbacks
        if options.tensorboard:
            chain.append(keras.callbacks.TensorBoard(str(path / "logs" / state.phase), write_graph=False))
        if state.phase == "fit":
            patience = options.early_stopping.patience if options.early_stopping else None
            monitor = self.config.monitor() if validated else None
            chain.append(BestModel(state, path / "model.keras", monitor, patience))
        chain.append(History(state, path / "history.csv", steps_per_epoch, console.print))
        chain.append(ProgressBar(state, state.total, "Training" if state.phase == "fit" else "Refit on all rows"))
        return chain


class _Chain(keras.callbacks.CallbackList):
    """Callbacks whose training begins and ends once, although `fit` is called for every evaluation."""

    def __init__(self, callbacks: list[keras.callbacks.Callback], model: WideDeep) -> None:
        super().__init__(callbacks, add_history=True, add_progbar=False, model=model)

    def begin(self) -> None:
        """The one beginning."""
        super().on_train_begin()

    def end(self) -> None:
        """The one end."""
        super().on_train_end()

    def on_train_begin(self, logs: Any = None) -> None:
        """Not at every call of `fit`."""

    def on_train_end(self, logs: Any = None) -> None:
        """Not at every call of `fit`."""
