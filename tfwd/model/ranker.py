"""The ranker: turns transformed ids and numbers into logits, the sum of the wide head and the deep head."""

from __future__ import annotations

import zlib
from dataclasses import dataclass

import keras
import numpy as np
from numpy.typing import NDArray

from tfwd.config.config import Config
from tfwd.config.features.base import Embedded, Feature, Initializer
from tfwd.config.model import ModelConfig
from tfwd.errors import ConfigError
from tfwd.features.layout import Layout, Slot, bag_columns, weights_name
from tfwd.layers.deep_head import DeepHead, tower
from tfwd.layers.logit_sum import LogitSum
from tfwd.layers.wide_head import WideHead
from tfwd.utils.naming import nearest


@dataclass(frozen=True)
class Heads:
    """The layers of a ranker.

    Neither a tuple nor attributes of the model, whose weights Keras would save under these names, not the ranker's.

    Attributes:
        wide: the wide head, if there is one.
        deep: the deep head, if there is one.
        logit: their sum.
    """

    wide: WideHead | None
    deep: DeepHead | None
    logit: LogitSum

    @classmethod
    def of(cls, ranker: keras.Model) -> Heads:
        """Returns the layers of a ranker."""
        layers = {layer.name: layer for layer in ranker.layers}
        return cls(layers.get("wide"), layers.get("deep"), layers["logit"])


def build_ranker(
    layout: Layout,
    model: ModelConfig,
    outputs: int = 1,
    seed: int = 0,
    own_tower: keras.layers.Layer | None = None,
) -> keras.Model:
    """Builds the ranker.

    Args:
        layout: the tables and columns.
        model: the heads and their sizes.
        outputs: the number of logits: 1, or the number of classes.
        seed: the seed of the initial weights and the dropout.
        own_tower: a layer from `(B, inputs)` to `(B, units)` in place of the feed-forward tower.

    Returns:
        A functional model from the transform's outputs to logits `(B, outputs)`. The paths of the heads' variables
        contain `wide/` and `deep/`.
    """
    inputs = {}
    for name, slots in layout.matrices.items():
        inputs[name] = keras.Input((sum(slot.width for slot in slots),), dtype="int32", name=name)
        if any(slot.weighted for slot in slots):
            weights = weights_name(name)
            inputs[weights] = keras.Input((bag_columns(slots),), dtype="float32", name=weights)
    if layout.numeric:
        inputs["numeric"] = keras.Input((len(layout.numeric),), dtype="float32", name="numeric")
    logits = []
    if "wide" in model.heads:
        rows = layout.wide.rows if layout.wide else 0
        bags = bags_of(layout.wide.slots) if layout.wide else ()
        use_bias = "deep" not in model.heads
        head = WideHead(rows, outputs, layout.wide_numeric, use_bias=use_bias, bags=bags, name="wide")
        read = {"wide_ids", "wide_weights"} | ({"numeric"} if layout.wide_numeric else set())
        logits.append(head({name: inputs[name] for name in inputs if name in read}))
    if "deep" in model.heads:
        if own_tower is None:
            check_activation(model.activation)
            body = tower(model.hidden_units, model.activation, model.dropout, model.batch_norm, model.l2, seed)
        else:
            body = under_deep(own_tower)
        deep = {name: slots for name, slots in layout.matrices.items() if name != "wide_ids"}
        head = DeepHead(
            {table.name: (table.rows, table.dim) for table in layout.embeddings},
            tuple(entry.rows for entry in layout.one_hot),
            layout.deep_numeric,
            body,
            outputs,
            model.embedding_dropout,
            seed,
            {name.removesuffix("_ids"): bags_of(slots) for name, slots in deep.items() if bags_of(slots)},
            embedding_stddev=model.embedding_stddev,
            fixed={table.name: fixed for table in layout.embeddings if any(fixed := fixed_of(table.slots))},
            name="deep",
        )
        read = {*deep, *map(weights_name, deep)}
        read |= {"numeric"} if layout.deep_numeric else set()
        logits.append(head({name: inputs[name] for name in inputs if name in read}))
    # A list, as in the transform: Keras matches its inputs by name.
    return keras.Model(list(inputs.values()), LogitSum(outputs, name="logit")(logits), name="ranker")


def bags_of(slots: tuple[Slot, ...]) -> tuple[tuple[int, str], ...]:
    """Returns the widths and combiners of the bags among the slots of an id matrix."""
    return tuple((slot.width, slot.combiner) for slot in slots if slot.bag)


def fixed_of(slots: tuple[Slot, ...]) -> tuple[int, int]:
    """Returns how many slots of one value, and how many bags, read rows that do not learn."""
    fixed = [slot for slot in slots if not slot.trainable]
    return sum(not slot.bag for slot in fixed), sum(slot.bag for slot in fixed)


def start_embeddings(ranker: keras.Model, layout: Layout, config: Config) -> None:
    """Initializes the embeddings that declare an initializer, from the seed and the feature's name."""
    by_name = {feature.name: feature for feature in config.model_features}
    for table in layout.embeddings:
        own = [entry for entry in table.ranges if starts_otherwise(by_name[entry.feature])]
        if not own:
            continue
        deep = Heads.of(ranker).deep
        assert deep is not None
        variable = next(e for e in deep.embeddings if e.name == table.name).table
        values = variable.numpy()
        for entry in own:
            feature = by_name[entry.feature]
            assert isinstance(feature, Embedded)
            scale = feature.embedding_scale or config.model.embedding_stddev or table.dim**-0.5
            seed = (config.train.seed + zlib.crc32(entry.feature.encode())) % 2**31
            rows = first_rows(feature.embedding_initializer or "truncated_normal", scale, seed, (entry.rows, table.dim))
            values[entry.start : entry.start + entry.rows] = rows
        variable.assign(values)


def starts_otherwise(feature: Feature) -> bool:
    """Returns whether a feature declares an initializer for its embedding."""
    if not isinstance(feature, Embedded):
        return False
    return feature.embedding_initializer is not None or feature.embedding_scale is not None


def first_rows(kind: Initializer, scale: float, seed: int, shape: tuple[int, int]) -> NDArray[np.float32]:
    """Returns initial rows of an embedding, float32.

    Args:
        kind: the distribution.
        scale: its standard deviation before truncation at two of them, or for `uniform` the largest absolute value.
        seed: the seed of the draw.
        shape: the number of rows and the width.
    """
    makers = {
        "truncated_normal": lambda: keras.initializers.TruncatedNormal(stddev=scale, seed=seed),
        "normal": lambda: keras.initializers.RandomNormal(stddev=scale, seed=seed),
        "uniform": lambda: keras.initializers.RandomUniform(-scale, scale, seed=seed),
        "zeros": keras.initializers.Zeros,
    }
    return np.asarray(makers[kind]()(shape, "float32"), np.float32)


def under_deep(own_tower: keras.layers.Layer) -> keras.layers.Layer:
    """Returns the tower itself, or a copy with equal weights if it was already built.

    The paths of its variables determine which head's optimizer trains them, and are fixed when they are made: a
    functional model, or a layer that was called, has made its variables outside of the deep head.
    """
    if not own_tower.built:
        return own_tower
    with keras.name_scope("deep"), keras.name_scope("tower"):
        copy = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(own_tower))
        if not copy.built:
            copy.build_from_config(own_tower.get_build_config())
    copy.set_weights(own_tower.get_weights())
    return copy


def check_activation(name: str) -> None:
    """Refuses an activation that Keras does not know; checked here, since a configuration is read without Keras.

    Raises:
        ConfigError: names the nearest one; or the activation needs arguments, or changes the layer's width.
    """
    try:
        function = keras.activations.get(name)
    except ValueError:
        known = [key for key, value in vars(keras.activations).items() if callable(value) and key.islower()]
        raise ConfigError(f"model.activation: Keras has no activation {name!r}.{nearest(name, known)}") from None
    values = keras.ops.zeros((1, 2))
    try:
        kept = function(values).shape == values.shape
    except TypeError:
        kept = False
    if not kept:
        raise ConfigError(
            f"model.activation: {name!r} is not elementwise, as a layer's activation must be. Take another, such as "
            "'relu', or pass fit a custom tower."
        )
