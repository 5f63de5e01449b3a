"""The one implementation of every transformation: raw inputs to the ids and numbers that the heads read.

It is a Keras functional model, built from the declared features and the training rows' statistics. Training maps it in
`tf.data`, export joins it to the heads.
"""

from __future__ import annotations

import keras

from tfwd.analysis.scales import exponent_of
from tfwd.config.features.base import OnColumn
from tfwd.config.features.bucketized import Bucketized
from tfwd.config.features.categorical import Categorical, root
from tfwd.config.features.cross import Cross
from tfwd.config.features.datetime import DatetimeNumber, DatetimePart
from tfwd.config.features.numeric import Numeric
from tfwd.features.layout import Layout, Slot, bag_columns, columns_of, weights_name
from tfwd.features.scaling import scales_of
from tfwd.features.space import FeatureSpace
from tfwd.layers.bag_weights import UNWEIGHTED, BagWeights
from tfwd.layers.bucketize import Bucketize
from tfwd.layers.cross_features import CrossFeatures
from tfwd.layers.datetime_parts import AgeInDays, CyclicalEncoding, DatetimeParts
from tfwd.layers.direct_lookup import Fingerprint, HashedLookup, IdentityLookup
from tfwd.layers.fingerprint import vocabulary_fingerprints
from tfwd.layers.join_columns import JoinColumns
from tfwd.layers.latest_values import LatestValues
from tfwd.layers.numeric_scaling import NumericScaling, Scales
from tfwd.layers.table_ids import TableIds
from tfwd.layers.vocabulary_lookup import MISSING_ID, VocabularyLookup
from tfwd.schema import DTYPES, Schema


def build_transform(space: FeatureSpace, schema: Schema, layout: Layout) -> keras.Model:
    """Builds the transform.

    Args:
        space: the features, and what was learned about them.
        schema: the raw inputs.
        layout: the rows of the tables.

    Returns:
        A functional model from `{input: (B,)}`, or `(B, K)` where there are several values, to those of these outputs
        that the layout has: an int32 id matrix `(B, columns)` per table (`wide_ids`, `embedding_16_ids`, ...), int32
        `one_hot_ids` `(B, columns)`, where values have weights float32 `wide_weights` and so on with one column per
        column of bags, and float32 `numeric` `(B, columns)`.
    """
    return _Builder(space, schema, layout).build()


class _Builder:
    """The intermediate tensors of `build_transform`.

    Layers have a dot in their names, which no input has, so that any column name that `tfwd.utils.naming` accepts may
    be an input. The last layers have the names of the outputs, which are reserved.
    """

    def __init__(self, space: FeatureSpace, schema: Schema, layout: Layout) -> None:
        self.space, self.features, self.statistics, self.layout = space, space.features, space.statistics, layout
        self.bucketized = [feature for feature in space.features if isinstance(feature, Bucketized)]
        self.inputs = {
            entry.name: keras.Input(entry.shape[1:], dtype=DTYPES[entry.kind], name=entry.name)
            for entry in schema.inputs
        }
        self.names = {entry.column: entry.name for entry in schema.inputs}
        # What features read that is not an input: a part of a moment, an age.
        self.computed = self._moments()
        self.categories: dict[str, keras.KerasTensor] = {}
        self.fingerprints: dict[str, keras.KerasTensor] = {}
        self.weights: dict[str, keras.KerasTensor] = {}
        self.buckets: keras.KerasTensor = None

    def build(self) -> keras.Model:
        for feature in self.features:
            if isinstance(feature, Categorical):
                self._categorical(feature)
        if self.bucketized:
            self.buckets = self._buckets()
        crosses = [feature for feature in self.features if isinstance(feature, Cross)]
        crossed = self._crosses(crosses) if crosses else None
        outputs = self._outputs(crossed, [cross.name for cross in crosses])
        # Keras would match the inputs of a dict by the order of its sorted keys, whatever their names; with a list it
        # matches them by name.
        return keras.Model(list(self.inputs.values()), outputs, name="transform")

    def _raw(self, column: str) -> keras.KerasTensor:
        return self.inputs[self.names[column]]

    def _values(self, feature: OnColumn) -> keras.KerasTensor:
        """What a feature looks up or scales: its input, or what is computed from one."""
        return self.computed[feature.name] if feature.name in self.computed else self._raw(feature.column)

    def _moments(self) -> dict[str, keras.KerasTensor]:
        """The parts and numbers of datetime features by name; the parts of a column are computed together."""
        found: dict[str, keras.KerasTensor] = {}
        wanted: dict[str, dict[str, None]] = {}
        for feature in self.features:
            if isinstance(feature, DatetimePart | DatetimeNumber):
                part = feature.part if isinstance(feature, DatetimePart) else feature.cycle
                wanted.setdefault(feature.source, {}).update({part: None} if part else {})
        parts = {
            column: DatetimeParts(list(names), name=f"{self.names[column]}.parts")(self._raw(column))
            for column, names in wanted.items()
            if names
        }
        angles: dict[tuple[str, str], list[keras.KerasTensor]] = {}
        for feature in self.features:
            if isinstance(feature, DatetimePart):
                found[feature.name] = parts[feature.source][feature.part]
            elif isinstance(feature, DatetimeNumber) and feature.cycle is not None:
                key = (feature.source, feature.cycle)
                if key not in angles:
                    name = f"{self.names[feature.source]}.{feature.cycle}_angle"
                    angles[key] = CyclicalEncoding(feature.cycle, name=name)(parts[feature.source][feature.cycle])
                found[feature.name] = angles[key][feature.of == "cos"]
            elif isinstance(feature, DatetimeNumber):
                moments = [self._raw(column) for column in feature.columns]
                age = AgeInDays(feature.reference, name=f"{feature.name}.age")
                found[feature.name] = age(moments if len(moments) > 1 else moments[0])
        return found

    def _categorical(self, feature: Categorical) -> None:
        raw, name = self._values(feature), f"{feature.name}.lookup"
        owner = root(feature, self.space.by_name)
        fingerprint = None
        if owner.hash_bins is not None:
            fingerprint = Fingerprint(name=f"{feature.name}.fingerprint")(raw)
            ids, missing = HashedLookup(owner.hash_bins, name=name)(fingerprint), owner.hash_bins
        elif owner.identity is not None:
            ids, missing = IdentityLookup(owner.identity, name=name)(raw), owner.identity + 1
        else:
            words = self.statistics.vocabularies[owner.name].values
            lookup = VocabularyLookup(len(words), integer=raw.dtype == "int64", name=name)
            ids, missing = lookup(raw), MISSING_ID
            lookup.set_vocabulary(list(words))
        weights = None if feature.weights is None else self._raw(feature.weights)
        if feature.max_length is not None:
            belonging = [tensor for tensor in (fingerprint, weights) if tensor is not None]
            latest = LatestValues(feature.max_length, missing, name=f"{feature.name}.latest")
            ids, *belonging = latest([ids, *belonging])
            weights = belonging.pop() if weights is not None else None
            fingerprint = belonging.pop() if fingerprint is not None else None
        self.categories[feature.name] = ids
        if fingerprint is not None:
            self.fingerprints[feature.name] = fingerprint
        if weights is not None:
            self.weights[feature.name] = weights

    def _buckets(self) -> keras.KerasTensor:
        boundaries = [list(self.statistics.numerics[f.name].boundaries) for f in self.bucketized]
        layer = Bucketize([len(b) for b in boundaries], [f.oov for f in self.bucketized], name="features.buckets")
        raw = [self._raw(feature.column) for feature in self.bucketized]
        buckets = layer(JoinColumns("float32", name="features.bucketized")(raw))
        layer.set_boundaries(boundaries)
        return buckets

    def _with_buckets(self, wanted: list[str]) -> tuple[list[keras.KerasTensor], list[str]]:
        """The ids of features and the names of their columns; buckets are one matrix, so one adds all of them."""
        names = [name for name in wanted if name in self.categories]
        parts = [self.categories[name] for name in names]
        if any(isinstance(self.space[name], Bucketized) for name in wanted):
            parts.append(self.buckets)
            names += [feature.name for feature in self.bucketized]
        return parts, names

    def _crosses(self, crosses: list[Cross]) -> keras.KerasTensor:
        parts, names = self._with_buckets(list(dict.fromkeys(key for cross in crosses for key in cross.keys)))
        hashed = [name for name in names if name in self.fingerprints]
        words = [self.space.vocabulary(name) for name in names]
        layer = CrossFeatures(
            crosses=[[names.index(key) for key in cross.keys] for cross in crosses],
            bins=[0 if cross.bins == "exact" else cross.bins for cross in crosses],
            sizes=[self.space.rows(name) for name in names],
            vocabularies=[found is not None for found in words],
            hashed=[names.index(name) for name in hashed],
            lengths=[self.space.length(name) or 0 for name in names],
            name="features.crosses",
        )
        keys = [JoinColumns("int64", name="features.keys")(parts)]
        if hashed:
            fingerprints = [self.fingerprints[name] for name in hashed]
            keys.append(JoinColumns("uint64", name="features.fingerprints")(fingerprints))
        crossed = layer(keys)
        layer.set_fingerprints([vocabulary_fingerprints(list(found)) for found in words if found is not None])
        return crossed

    def _outputs(self, crossed: keras.KerasTensor, crosses: list[str]) -> dict[str, keras.KerasTensor]:
        outputs: dict[str, keras.KerasTensor] = {}
        matrices = self.layout.matrices
        used = list(dict.fromkeys(slot.feature for slots in matrices.values() for slot in slots))
        parts, names = self._with_buckets(used)
        if any(name in crosses for name in used):
            parts.append(crossed)
            names += crosses
        first: dict[str, int] = {}
        count = 0
        for name in names:
            first[name] = count
            count += self.space.length(name) or 1
        if parts:
            ids = JoinColumns("int32", name="features.ids")(parts)
            for name, slots in matrices.items():
                columns = [first[slot.feature] + place for slot in slots for place in range(slot.width)]
                starts = [slot.start for slot in columns_of(slots)]
                # A category with a weight is a bag of one value, which is never absent.
                outputs[name] = TableIds(columns, starts, bag_columns(slots), name=name)(ids)
        for name, slots in matrices.items():
            if any(slot.weighted for slot in slots):
                outputs[weights_name(name)] = self._bag_weights(weights_name(name), slots)
        if self.layout.numeric:
            outputs["numeric"] = self._numeric()
        return outputs

    def _bag_weights(self, name: str, slots: tuple[Slot, ...]) -> keras.KerasTensor:
        columns: list[int] = []
        read = []
        count = 0
        for slot in slots:
            if slot.weighted:
                read.append(self.weights[slot.feature])
                columns += range(count, count + slot.width)
                count += slot.width
            elif slot.bag:
                columns += [UNWEIGHTED] * slot.width
        return BagWeights(columns, name=name)(JoinColumns("float32", name=f"features.{name}")(read))

    def _numeric(self) -> keras.KerasTensor:
        sources: list[int] = []
        forms: list[str] = []
        quantiles: list[int] = []
        exponents: list[int] = []
        scales: list[Scales] = []
        read = set(self.layout.numeric)
        features = [f for f in self.features if isinstance(f, Numeric) and read.issuperset(f.numbers)]
        place = 0
        for feature in features:
            for key in feature.statistics_keys:
                learned = self.statistics.numerics[key]
                for form in (*feature.normalizations, *["missing"] * feature.missing_indicator):
                    sources.append(place)
                    forms.append(form)
                    quantiles.append(len(learned.quantiles) if form == "quantile" else 0)
                    exponents.append(exponent_of(form, feature, learned))
                    scales.append(scales_of(form, exponents[-1], feature, learned))
                place += 1
        layer = NumericScaling(sources, forms, quantiles, exponents, name="numeric")
        raw = [self._values(feature) for feature in features]
        scaled = layer(JoinColumns("float32", name="features.numbers")(raw))
        layer.set_scales(scales)
        return scaled
