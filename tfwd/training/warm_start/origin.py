"""The older run: opens and checks it, and adopts its scales of numbers and its vocabularies."""

from __future__ import annotations

import dataclasses
from pathlib import Path

from tfwd.analysis.analyze import analyze, kind_of
from tfwd.analysis.statistics import FeatureStatistics, LabelStatistics, NumericStatistics, VocabularyStatistics
from tfwd.config.config import Config
from tfwd.config.features.bucketized import Bucketized
from tfwd.config.features.categorical import Categorical
from tfwd.config.features.numeric import Numeric
from tfwd.data.labels import class_order
from tfwd.data.rows import Rows
from tfwd.errors import RunError
from tfwd.run_folder.folder import RunFolder
from tfwd.training.warm_start.rows import same_definition


def open_origin(path: str | Path, config: Config) -> RunFolder:
    """Opens the run that a training is warm-started from.

    Args:
        path: a run directory.
        config: the configuration of the new training.

    Raises:
        RunError: there is no such run, its format is another version's, it is not finished or damaged, or it was
            trained for another task.
    """
    try:
        run = RunFolder.open(path)
        if run.status != "finished":
            raise RunError(
                f"{path} is not finished (its status is {run.status!r}). Resume it first: python -m tfwd.train "
                f"--output {path} --resume"
            )
        if run.config.task != config.task:
            raise RunError(f"{path} was trained for task {run.config.task}, and this is {config.task}.")
        if run.config.counts != config.counts:
            ways = ["model.loss: poisson" if one.counts else "the squared error" for one in (run.config, config)]
            raise RunError(f"{path} was trained with {ways[0]}, and this is {ways[1]}: their logits differ.")
        run.refuse_changed()  # loaded here, so that a damaged file is found before any work
    except RunError as error:
        raise RunError(f"train.warm_start_from: {error}") from None
    return run


def with_widths(config: Config, origin: RunFolder) -> Config:
    """Returns the configuration with the older run's widths instead of `embedding: auto`, which depends on the rows."""
    widths = {entry.feature: table.dim for table in origin.model.layout.embeddings for entry in table.ranges}
    return config.model_copy(update={"features": tuple(feature.with_widths(widths) for feature in config.features)})


def analyze_from(rows: Rows, config: Config, origin: RunFolder | None) -> FeatureStatistics:
    """Returns what is learned from the training rows, combined with what an older run knows.

    Boundaries, quantiles and ranges of numbers are the older run's if the feature is declared as before: the inputs of
    the heads keep their meaning. Vocabularies are those of the rows, or with `warm_start_vocabulary: grow` those of the
    older run plus what is new in the rows.

    Args:
        rows: the training rows.
        config: the configuration of the new training.
        origin: the older run, if any.
    """
    if origin is None:
        return analyze(rows, config)
    numbers = frozen(config, origin)
    if not config.grows_vocabularies():
        return analyze(rows, config, numbers)
    growing = growing_from(rows, config, origin)
    return grown(analyze(rows, config, numbers, growing), growing, rows, config, origin)


def growing_from(rows: Rows, config: Config, origin: RunFolder) -> dict[str, VocabularyStatistics]:
    """Returns the older run's learned vocabularies that are extended, by feature."""
    kinds = {entry.column: entry.kind for entry in rows.schema.inputs}
    old_kinds = {entry.column: entry.kind for entry in origin.model.schema.inputs}
    before = {feature.name: feature for feature in origin.config.model_features}
    known, found = origin.statistics.vocabularies, {}
    for feature in config.model_features:
        old = before.get(feature.name)
        if not (isinstance(feature, Categorical) and feature.learned and type(old) is type(feature)):
            continue
        assert isinstance(old, Categorical)
        if old.name in known and kind_of(feature, kinds) == kind_of(old, old_kinds):
            found[feature.name] = known[old.name]
    return found


def frozen(config: Config, origin: RunFolder) -> dict[str, NumericStatistics]:
    """Returns the older statistics of the numeric and bucketized features that are declared as before."""
    before = {feature.name: feature for feature in origin.config.model_features}
    known = origin.statistics.numerics
    return {
        key: known[key]
        for feature in config.model_features
        if isinstance(feature, Numeric | Bucketized) and same_definition(feature, before.get(feature.name))
        for key in feature.statistics_keys
    }


def grown(
    statistics: FeatureStatistics,
    growing: dict[str, VocabularyStatistics],
    rows: Rows,
    config: Config,
    origin: RunFolder,
) -> FeatureStatistics:
    """Returns statistics whose learned vocabularies, and learned classes of a multi-class task, keep the old ones.

    Counts are summed, and `max_size` keeps the most frequent of both.
    """
    vocabularies = dict(statistics.vocabularies)
    kinds = {entry.column: entry.kind for entry in rows.schema.inputs}
    for feature in config.model_features:
        if isinstance(feature, Categorical) and feature.name in growing:
            found, known = vocabularies[feature.name], growing[feature.name]
            integers = kind_of(feature, kinds) == "integer"
            vocabularies[feature.name] = _together(found, known, feature.max_size, integers)
    label = statistics.label
    if config.task == "multiclass" and config.data.label.classes is None:
        label = _classes_together(label, origin.statistics.label)
    return dataclasses.replace(statistics, vocabularies=vocabularies, label=label)


def _together(
    found: VocabularyStatistics, known: VocabularyStatistics, most: int | None, integers: bool
) -> VocabularyStatistics:
    counts = dict(zip(found.values, found.counts, strict=True))
    for value, count in zip(known.values, known.counts, strict=True):
        counts[value] = counts.get(value, 0) + count
    ranked = sorted(counts, key=lambda value: (-counts[value], int(value) if integers else value))
    values = ranked[:most]
    unlisted = sum(counts[value] for value in ranked[len(values) :])
    return VocabularyStatistics(
        values=tuple(values),
        counts=tuple(counts[value] for value in values),
        missing=found.missing + known.missing,
        unlisted=found.unlisted + known.unlisted + unlisted,
    )


def _classes_together(found: LabelStatistics, known: LabelStatistics) -> LabelStatistics:
    shares = dict(zip(found.classes, found.shares, strict=True))
    classes = class_order(list(dict.fromkeys([*found.classes, *known.classes])))
    return dataclasses.replace(found, classes=classes, shares=tuple(shares.get(name, 0.0) for name in classes))
