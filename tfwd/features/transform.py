"""The one implementation of every transformation: raw inputs to the ids and numbers that the heads read.

A Keras functional model, built from the declared features and the statistics of the training rows. Training maps it in
`tf.data`, export joins it to the heads.
"""

from __future__ import annotations

import keras

from tfwd.analysis.statistics import FeatureStatistics
from tfwd.features.columns import Bucketized, Categorical, Column, Cross, Numeric
from tfwd.features.layout import Layout, feature_rows, numeric_names
from tfwd.layers.bucketize import Bucketize
from tfwd.layers.cross_features import CrossFeatures
from tfwd.layers.direct_lookup import Fingerprint, HashedLookup, IdentityLookup
from tfwd.layers.fingerprint import vocabulary_fingerprints
from tfwd.layers.join_columns import JoinColumns
from tfwd.layers.numeric_scaling import NumericScaling
from tfwd.layers.table_ids import TableIds
from tfwd.layers.vocabulary_lookup import VocabularyLookup
from tfwd.schema import DTYPES, Schema


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
        `embedding_16_ids`, ...), int32 `one_hot_ids` `(B, features)` and float32 `numeric` `(B, columns)`, as far as
        the layout has them.
    """
    return _Builder(features, statistics, schema, layout).build()


class _Builder:
    """The intermediate tensors of `build_transform`.

    Layers have a dot in their names, which no input has, so that any column name that `tfwd.naming` lets through may
    be an input. The last layers are named as the outputs, which are reserved names.
    """

    def __init__(
        self,
        features: tuple[Column, ...],
        statistics: FeatureStatistics,
        schema: Schema,
        layout: Layout,
    ) -> None:
        self.features, self.statistics, self.layout = features, statistics, layout
        self.by_name = {feature.name: feature for feature in features}
        self.bucketized = [feature for feature in features if isinstance(feature, Bucketized)]
        self.inputs = {
            entry.name: keras.Input((), dtype=DTYPES[entry.kind], name=entry.name) for entry in schema.inputs
        }
        self.kinds = {entry.column: entry.kind for entry in schema.inputs}
        self.names = {entry.column: entry.name for entry in schema.inputs}
        self.categories: dict[str, keras.KerasTensor] = {}
        self.fingerprints: dict[str, keras.KerasTensor] = {}
        self.buckets: keras.KerasTensor = None

    def build(self) -> keras.Model:
        for feature in self.features:
            if isinstance(feature, Categorical):
                self._categorical(feature)
        if self.bucketized:
            self.buckets = self._buckets()
        crosses = [feature for feature in self.features if isinstance(feature, Cross)]
        crossed = self._crosses(crosses) if crosses else None
        return keras.Model(self.inputs, self._outputs(crossed, [cross.name for cross in crosses]), name="transform")

    def _raw(self, column: str) -> keras.KerasTensor:
        return self.inputs[self.names[column]]

    def _categorical(self, feature: Categorical) -> None:
        raw, name = self._raw(feature.column), f"{feature.name}.lookup"
        if feature.hash_bins is not None:
            fingerprint = Fingerprint(name=f"{feature.name}.fingerprint")(raw)
            self.fingerprints[feature.name] = fingerprint
            self.categories[feature.name] = HashedLookup(feature.hash_bins, name=name)(fingerprint)
        elif feature.identity is not None:
            self.categories[feature.name] = IdentityLookup(feature.identity, name=name)(raw)
        else:
            words = self.statistics.vocabularies[feature.name].values
            lookup = VocabularyLookup(len(words), integer=self.kinds[feature.column] == "integer", name=name)
            self.categories[feature.name] = lookup(raw)
            lookup.set_vocabulary(list(words))

    def _buckets(self) -> keras.KerasTensor:
        boundaries = [list(self.statistics.numerics[f.name].boundaries) for f in self.bucketized]
        layer = Bucketize([len(b) for b in boundaries], [f.oov for f in self.bucketized], name="features.buckets")
        raw = [self._raw(feature.column) for feature in self.bucketized]
        buckets = layer(JoinColumns("float32", name="features.bucketized")(raw))
        layer.set_boundaries(boundaries)
        return buckets

    def _with_buckets(self, wanted: list[str]) -> tuple[list[keras.KerasTensor], list[str]]:
        """The ids of features, and the names of their columns: all buckets, which are one matrix, if there are any."""
        names = [name for name in wanted if name in self.categories]
        parts = [self.categories[name] for name in names]
        if any(isinstance(self.by_name[name], Bucketized) for name in wanted):
            parts.append(self.buckets)
            names += [feature.name for feature in self.bucketized]
        return parts, names

    def _crosses(self, crosses: list[Cross]) -> keras.KerasTensor:
        parts, names = self._with_buckets(list(dict.fromkeys(key for cross in crosses for key in cross.keys)))
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
            name="features.crosses",
        )
        keys = [JoinColumns("int64", name="features.keys")(parts)]
        if hashed:
            fingerprints = [self.fingerprints[name] for name in hashed]
            keys.append(JoinColumns("uint64", name="features.fingerprints")(fingerprints))
        crossed = layer(keys)
        layer.set_fingerprints(
            [
                vocabulary_fingerprints(list(self.statistics.vocabularies[name].values))
                for name, has_vocabulary in zip(names, learnt, strict=True)
                if has_vocabulary
            ]
        )
        return crossed

    def _outputs(self, crossed: keras.KerasTensor, crosses: list[str]) -> dict[str, keras.KerasTensor]:
        outputs: dict[str, keras.KerasTensor] = {}
        ranges = {table.ids: table.ranges for table in self.layout.tables}
        if self.layout.one_hot:
            ranges["one_hot_ids"] = self.layout.one_hot
        used = list(dict.fromkeys(member.feature for members in ranges.values() for member in members))
        parts, names = self._with_buckets(used)
        if any(name in crosses for name in used):
            parts.append(crossed)
            names += crosses
        if parts:
            ids = JoinColumns("int32", name="features.ids")(parts)
            for name, members in ranges.items():
                # One-hot features have no table to share, so their ids stay those of the feature.
                starts = [0 if name == "one_hot_ids" else member.start for member in members]
                columns = [names.index(member.feature) for member in members]
                outputs[name] = TableIds(columns, starts, name=name)(ids)
        if self.layout.numeric:
            outputs["numeric"] = self._numeric()
        return outputs

    def _numeric(self) -> keras.KerasTensor:
        sources: list[int] = []
        forms: list[str] = []
        quantiles: list[int] = []
        columns: list[Numeric] = []
        read = set(self.layout.numeric)
        features = [f for f in self.features if isinstance(f, Numeric) and read.issuperset(numeric_names(f))]
        for index, feature in enumerate(features):
            for form in (*feature.normalizations, *["missing"] * feature.missing_indicator):
                sources.append(index)
                forms.append(form)
                columns.append(feature)
                learnt = self.statistics.numerics[feature.name].quantiles
                quantiles.append(len(learnt) if form == "quantile" else 0)
        layer = NumericScaling(sources, forms, quantiles, name="numeric")
        raw = [self._raw(feature.column) for feature in features]
        scaled = layer(JoinColumns("float32", name="features.numbers")(raw))
        layer.set_statistics([(f, self.statistics.numerics[f.name]) for f in columns])
        return scaled
