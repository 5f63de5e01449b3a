"""Everything that is learned from the training rows before training."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from tfwd.analysis.labels import label_statistics
from tfwd.analysis.numerics import numerics
from tfwd.analysis.statistics import FeatureStatistics, NumericStatistics
from tfwd.analysis.vocabularies import vocabulary
from tfwd.analysis.workspace import open_workspace
from tfwd.config.config import Config
from tfwd.config.features.bucketized import Bucketized
from tfwd.config.features.categorical import Categorical
from tfwd.config.features.datetime import DatetimePart
from tfwd.config.features.numeric import Numeric
from tfwd.data.rows import Rows
from tfwd.errors import DataError
from tfwd.schema import Kind


def analyze(
    rows: Rows, config: Config, known: Mapping[str, NumericStatistics] | None = None, growing: Collection[str] = ()
) -> FeatureStatistics:
    """Learns vocabularies, quantiles, ranges and the label's classes.

    DuckDB reads the columns of Parquet files and frames directly, or a copy of the rows where a split, a filter or text
    makes that cheaper; the copy spills to disk, so memory does not grow with the rows. The result is the same to the
    last bit whatever the order of the rows, the number of files and the number of threads.

    Args:
        rows: the labelled training rows; their schema may lack classes.
        config: the features, the task and the label.
        known: the statistics of numeric and bucketized features that are not computed again.
        growing: features that already have a vocabulary, which need not gain any new values.

    Returns:
        The statistics; `label.classes` belongs in the schema: `rows.with_classes(statistics.label.classes)`.

    Raises:
        DataError: there are no rows, a value does not fit, a column is missing in every row, a vocabulary is empty,
            or the labels are not what the task needs.
        ConfigError: a given vocabulary cannot be read.
    """
    kinds = {entry.column: entry.kind for entry in rows.schema.inputs}
    known = known or {}
    features = config.model_features
    numbers = [f for f in features if isinstance(f, Numeric | Bucketized) and not known.keys() & {*f.statistics_keys}]
    categories = [
        feature
        for feature in features
        if isinstance(feature, Categorical)
        and feature.hash_bins is None
        and feature.identity is None
        and feature.owner is None
    ]
    with open_workspace(rows, [*numbers, *categories]) as workspace:
        if workspace.rows == 0:
            raise DataError(_no_rows(rows))
        return FeatureStatistics(
            rows=workspace.rows,
            label=label_statistics(workspace, rows, config),
            vocabularies={
                feature.name: vocabulary(workspace, feature, kind_of(feature, kinds), feature.name in growing)
                for feature in categories
            },
            numerics={**numerics(workspace, numbers), **known},
        )


def kind_of(feature: Categorical, kinds: Mapping[str, Kind]) -> Kind:
    """The kind of a feature's values: its input's, or the kind of what is computed from a moment.

    Args:
        feature: one of the model's.
        kinds: the kinds of the inputs, by column.
    """
    return "integer" if isinstance(feature, DatetimePart) else kinds[feature.column]


def _no_rows(rows: Rows) -> str:
    reasons = []
    if rows.source.filter is not None:
        reasons.append("data.filter may leave out all of them")
    if rows.split is not None:
        reasons.append("the validation split may have taken all of them")
    because = f" ({', or '.join(reasons)})" if reasons else ""
    return f"{rows.source.name} has no rows to train on{because}."
