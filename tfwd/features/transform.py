"""The one implementation of every transformation: raw inputs to the ids and numbers that the heads read.

A Keras functional model, built from the declared features and the statistics of the training rows. Training maps it in
`tf.data`, export joins it to the heads.
"""

from __future__ import annotations

import keras

from tfwd.analysis.statistics import FeatureStatistics
from tfwd.errors import ConfigError
from tfwd.features.columns import Bucketized, Categorical, Column, Cross, Numeric
from tfwd.features.layout import Layout, feature_rows
from tfwd.layers.bucketize import Bucketize
from tfwd.layers.cross_features import CrossFeatures
from tfwd.layers.direct_lookup import Fingerprint, HashedLookup, IdentityLookup
from tfwd.layers.fingerprint import vocabulary_fingerprints
from tfwd.layers.numeric_scaling import NumericScaling
from tfwd.layers.table_ids import TableIds
from tfwd.layers.vocabulary_lookup import VocabularyLookup
from tfwd.schema import Schema

DTYPES = {"string": "string", "integer": "int64", "float": "float32"}


def build_transform(
    features: tuple[Column, ...], statistics: FeatureStatistics, schema: Schema, layout: Layout
) -> keras.Model:
    """Builds the transform.

    Args:
        features: as declared.
        statistics: of the training rows.
        schema: the raw inputs.
        layout: the rows of the tables.

    Returns:
        A functional model from `{input: (B,)}` to an int32 id matrix `(B, features)` for each table (`wide_ids`,
        `embedding_16_ids`, ...), int32 `one_hot_ids` `(B, features)` and float32 `numeric` `(B, columns)`, as far as the layout has them.

    Raises:
        ConfigError: the raw inputs have the names of the outputs, so that raw and transformed could be confused.
    """
    return _Builder(features, statistics, schema, layout).build()


class _Builder:
    """The intermediate tensors of `build_transform`, by feature name."""

    def __init__(
        self,
        features: tuple[Column, ...],
        statistics: FeatureStatistics,
        schema: Schema,
        layout: Layout,
    ) -> None:
        self.features, self.statistics, self.layout = features, statistics, layout
        self.by_name = {feature.name: feature for feature in features}
        self.inputs = {
            entry.name: keras.Input((), dtype=DTYPES[entry.kind], name=entry.name) for entry in schema.inputs
        }
        self.kinds = {entry.column: entry.kind for entry in schema.inputs}
        self.names = {entry.column: entry.name for entry in schema.inputs}
        self.ids: dict[str, keras.KerasTensor] = {}
        self.fingerprints: dict[str, keras.KerasTensor] = {}

    def build(self) -> keras.Model:
        for feature in self.features:
            if isinstance(feature, Categorical):
                self._categorical(feature)
        self._bucketized([f for f in self.features if isinstance(f, Bucketized)])
        self._crosses([f for f in self.features if isinstance(f, Cross)])
        outputs = self._outputs()
        if set(outputs) == set(self.inputs):
            raise ConfigError(
                f"The raw inputs are named {sorted(self.inputs)}, exactly as the transformed ones. "
                "Rename one in data.names."
            )
        return keras.Model(self.inputs, outputs, name="transform")

    def _raw(self, column: str) -> keras.KerasTensor:
        return self.inputs[self.names[column]]

    def _categorical(self, feature: Categorical) -> None:
        raw = self._raw(feature.column)
        if feature.hash_bins is not None:
            fingerprint = Fingerprint(name=f"{feature.name}_fingerprint")(raw)
            self.fingerprints[feature.name] = fingerprint
            self.ids[feature.name] = HashedLookup(feature.hash_bins, name=f"{feature.name}_lookup")(fingerprint)
        elif feature.identity is not None:
            self.ids[feature.name] = IdentityLookup(feature.identity, name=f"{feature.name}_lookup")(raw)
        else:
            words = self.statistics.vocabularies[feature.name].values
            integer = self.kinds[feature.column] == "integer"
            lookup = VocabularyLookup(len(words), integer=integer, name=f"{feature.name}_lookup")
            self.ids[feature.name] = lookup(raw)
            lookup.set_vocabulary(list(words))

    def _bucketized(self, features: list[Bucketized]) -> None:
        if not features:
            return
        boundaries = [list(self.statistics.numerics[f.name].boundaries) for f in features]
        layer = Bucketize([len(b) for b in boundaries], [f.oov for f in features], name="bucketize")
        buckets = layer(_stack([self._raw(feature.column) for feature in features]))
        layer.set_boundaries(boundaries)
        for index, feature in enumerate(features):
            self.ids[feature.name] = buckets[:, index]

    def _crosses(self, crosses: list[Cross]) -> None:
        if not crosses:
            return
        names = list(dict.fromkeys(key for cross in crosses for key in cross.keys))
        hashed = [name for name in names if name in self.fingerprints]
        column = {name: index for index, name in enumerate(names)}
        # A hashed key enters as its fingerprint, in a column after those of the ids.
        column.update({name: len(names) + index for index, name in enumerate(hashed)})
        learnt = [name in self.statistics.vocabularies for name in names]
        layer = CrossFeatures(
            crosses=[[column[key] for key in cross.keys] for cross in crosses],
            bins=[0 if cross.bins == "exact" else cross.bins for cross in crosses],
            sizes=[feature_rows(self.by_name[name], self.statistics, self.by_name) for name in names],
            vocabularies=learnt,
            hashed=len(hashed),
            name="crosses",
        )
        rest = [_stack([self.fingerprints[name] for name in hashed])] if hashed else []
        crossed = layer([_stack([self.ids[name] for name in names]), *rest])
        layer.set_fingerprints(
            [
                vocabulary_fingerprints(list(self.statistics.vocabularies[name].values))
                for name, has_vocabulary in zip(names, learnt, strict=True)
                if has_vocabulary
            ]
        )
        for index, cross in enumerate(crosses):
            self.ids[cross.name] = crossed[:, index]

    def _outputs(self) -> dict[str, keras.KerasTensor]:
        outputs: dict[str, keras.KerasTensor] = {}
        ranges = {table.ids: table.ranges for table in self.layout.tables}
        if self.layout.one_hot:
            ranges["one_hot_ids"] = self.layout.one_hot
        used = list(dict.fromkeys(r.feature for members in ranges.values() for r in members))
        if used:
            ids = _stack([self.ids[name] for name in used])
            for name, members in ranges.items():
                # One-hot features have no table to share, so their ids stay those of the feature.
                starts = [0 if name == "one_hot_ids" else member.start for member in members]
                columns = [used.index(member.feature) for member in members]
                outputs[name] = TableIds(columns, starts, name=name)(ids)
        if self.layout.numeric:
            outputs["numeric"] = self._numeric([f for f in self.features if isinstance(f, Numeric)])
        return outputs

    def _numeric(self, features: list[Numeric]) -> keras.KerasTensor:
        sources: list[int] = []
        forms: list[str] = []
        quantiles: list[int] = []
        columns: list[Numeric] = []
        for index, feature in enumerate(features):
            for form in (*feature.normalizations, *["missing"] * feature.missing_indicator):
                sources.append(index)
                forms.append(form)
                columns.append(feature)
                learnt = self.statistics.numerics[feature.name].quantiles
                quantiles.append(len(learnt) if form == "quantile" else 0)
        layer = NumericScaling(sources, forms, quantiles, name="numeric_scaling")
        scaled = layer(_stack([self._raw(feature.column) for feature in features]))
        layer.set_statistics([(f, self.statistics.numerics[f.name]) for f in columns])
        return scaled


def _stack(columns: list[keras.KerasTensor]) -> keras.KerasTensor:
    """`(B,)` tensors of one kind to `(B, len)`; ids meet as int64."""
    if any(column.dtype == "int64" for column in columns):
        columns = [keras.ops.cast(column, "int64") for column in columns]
    return keras.ops.stack(columns, axis=1)
