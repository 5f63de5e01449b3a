"""Training: from data to a run directory."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import keras
import tensorflow as tf

from tfwd.config.config import Config
from tfwd.data.labels import weights_of
from tfwd.errors import RunError
from tfwd.features.layout import build_layout
from tfwd.features.space import FeatureSpace
from tfwd.model.ranker import check_activation
from tfwd.optimizers.configured import joint_optimizer
from tfwd.optimizers.instances import with_optimizers
from tfwd.preparation.prepare import prepared_beside
from tfwd.run import Run
from tfwd.run_folder.leftovers import refuse_existing_run, refuse_foreign, remove_beside
from tfwd.training.given import describe, refuse_other
from tfwd.training.session import Session
from tfwd.training.size import least_memory, memory_of, refuse_too_large
from tfwd.training.splits import open_splits
from tfwd.training.warm_start.carry import check_labels
from tfwd.training.warm_start.origin import analyze_from, open_origin, with_widths
from tfwd.utils.console import console

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

    It exports nothing: `export.formats` is for `tfwd train`, which exports the model after training.

    Args:
        config: the whole configuration.
        output: the run directory to create.
        train, validation, test: frames in place of the files that the configuration names.
        tower: your own layer in place of the feed-forward tower, from `(B, inputs)` to `(B, units)`, unbuilt.
        optimizers: a new Keras or tfwd optimizer for each of the heads `wide` and `deep`, in place of the configured
            one; it is written to the run's configuration, so that `resume` needs no optimizer.
        callbacks: Keras callbacks; their logs hold the exact validation metrics, as `val_auc`.
        warm_start_from: a finished run to warm-start from, in place of `train.warm_start_from`.
        overwrite: whether to replace an existing run, as when a notebook cell is run again. The old run stays until
            configuration and data have been checked and read; anything that is not a run is never removed.

    Returns:
        The finished run.

    Raises:
        ConfigError, DataError: the configuration or data is wrong; nothing has been created yet.
        RunError: the directory exists or cannot be created, the run to warm-start from is not a run, or the loss is
        not a number. OSError: the disk became full; `resume` continues when there is room.
    """
    if warm_start_from is not None:
        options = {"warm_start_from": str(Path(warm_start_from).absolute())}
        config = config.model_copy(update={"train": config.train.model_copy(update=options)})
    config = with_optimizers(config, optimizers or {})
    # A misspelt optimizer option or an invalid activation is found here, before the data is read.
    joint_optimizer(config, steps=1)
    if tower is None and "deep" in config.model.heads:
        check_activation(config.model.activation)
    refuse_too_large(least_memory(config, tower is None))
    remove_beside(Path(output))
    if overwrite:
        refuse_foreign(output)
        _refuse_own_sources(config, Path(output))
    else:
        refuse_existing_run(output)
    given = describe({"train": train, "validation": validation, "test": test}, tower, callbacks)
    origin = None
    if config.train.warm_start_from is not None:
        with console.status("Opening the run to warm-start from"):
            origin = open_origin(config.train.warm_start_from, config)
        config = with_widths(config, origin)
    with prepared_beside(output, config, train, validation, test) as folder:
        splits = open_splits(config, train, validation, test, folder)
        if config.ranking is not None and splits.test is not None:
            splits.test.source.require(config.ranking.user, "ranking.user")
        prepare_process(config)
        with console.status("Reading the training rows once for vocabularies and quantiles"):
            statistics = analyze_from(splits.fit, config, origin)
        if origin is not None:
            check_labels(statistics.label.classes, origin)
        splits = splits.with_classes(statistics.label.classes)
        with console.status("Checking the other rows"):
            splits.check()
        if config.train.class_weights is not None:
            weights_of(config.train.class_weights, splits.schema.classes)
        # Tables that would be too large are found before the run is created.
        layout = build_layout(FeatureSpace(config.features, statistics), config.model.heads, splits.schema.outputs)
        refuse_too_large(memory_of(config, layout, tower is None))
        run = Run.create(output, config, folder, origin, given, overwrite)
    with run.writing():
        if run.data is not None:
            # The same files, which are in the run now.
            splits = open_splits(config, prepared=run.data).with_classes(statistics.label.classes)
        run.save_statistics(statistics)
        return Session(run, splits, statistics, tower, callbacks, origin).run_to_end()


def resume(
    output: str | Path,
    *,
    train: pd.DataFrame | None = None,
    validation: pd.DataFrame | None = None,
    test: pd.DataFrame | None = None,
    tower: keras.layers.Layer | None = None,
    callbacks: Sequence[keras.callbacks.Callback] | None = None,
) -> Run:
    """Resumes an interrupted training, with the same result as if it had not been interrupted.

    Args:
        output: the run directory.
        train, validation, test, tower, callbacks: as they were given to `fit`; `callbacks=[]` resumes without the
            callbacks that were given.

    Raises:
        RunError: there is no run, or it is damaged, of a version that this one cannot read, or being written by
            another process; or the arguments differ from those of `fit`, or the rows have changed.
    """
    remove_beside(Path(output))
    run = Run.open(output)
    if run.status == "finished":
        return run
    given = describe({"train": train, "validation": validation, "test": test}, tower, callbacks or ())
    refuse_other(run, given, without_callbacks=callbacks is not None)
    with run.writing():
        if run.status == "finished":  # by the process that has just released it
            return run
        splits = open_splits(run.config, train, validation, test, run.data)
        prepare_process(run.config)
        if run.status == "created":
            run.save_statistics(analyze_from(splits.fit, run.config, run.origin))
        statistics = run.statistics
        splits = splits.with_classes(statistics.label.classes)
        return Session(run, splits, statistics, tower, callbacks or ()).run_to_end()


def _refuse_own_sources(config: Config, output: Path) -> None:
    """Refuses to overwrite data that the training reads."""
    data, place = config.data, output.resolve()
    read = {f"data.{name}": getattr(data, name) for name in ("train", "validation", "test", "path")}
    read |= {f"data.join[{index}].data": join.data for index, join in enumerate(data.join)}
    read["train.warm_start_from"] = config.train.warm_start_from
    files = [(key, path) for key, named in read.items() for path in (named if isinstance(named, tuple) else [named])]
    for key, path in files:
        if path is not None and place in (Path(path).resolve(), *Path(path).resolve().parents):
            raise RunError(f"{key} reads {path} of the run that it would overwrite. Choose another output.")


def prepare_process(config: Config) -> None:
    """Seeds this process, and makes TensorFlow deterministic if requested."""
    keras.utils.set_random_seed(config.train.seed)
    if config.train.deterministic:
        tf.config.experimental.enable_op_determinism()
