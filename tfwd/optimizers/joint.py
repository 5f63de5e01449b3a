"""One optimizer for both heads: the paper's joint training, each head with its own method."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import keras

from tfwd.errors import ConfigError

_HEADS = {"wide": re.compile(r"(.*/)?wide/.*"), "deep": re.compile(r"(.*/)?deep/.*")}


def head_of(path: str) -> str:
    """Returns the head that a variable belongs to, by its path.

    Args:
        path: `keras.Variable.path`, such as "wide_deep/wide/table".

    Returns:
        "wide" or "deep".

    Raises:
        ConfigError: the path has neither "wide" nor "deep" as a folder, or both.
    """
    heads = [head for head, pattern in _HEADS.items() if pattern.fullmatch(path)]
    if len(heads) == 1:
        return heads[0]
    belongs = "both heads" if heads else "no head"
    raise ConfigError(
        f"The trainable variable {path!r} belongs to {belongs}. Put it under a layer called "
        "'wide' or 'deep' (exactly one of them), or set its layer's trainable=False"
    )


@keras.saving.register_keras_serializable("tfwd")
class JointOptimizer(keras.optimizers.MultiOptimizer):
    """Trains variables under `wide/` with one optimizer and those under `deep/` with another.

    There is no default: every trainable variable belongs to exactly one head that has an optimizer,
    or `build` fails. `variables` lists its own counter and both optimizers' variables, slots
    included. There are two learning rates, so `learning_rate` raises AttributeError, as in Keras:
    read and set `optimizer.wide.learning_rate` and `optimizer.deep.learning_rate`. Keras'
    ReduceLROnPlateau, LearningRateScheduler and TensorBoard do so through `optimizers`; a smaller
    rate scales the weights of FTRL as well, see `SparseFtrl`.

    Args:
        wide: the optimizer of the variables whose path has a folder "wide".
        deep: the optimizer of the variables whose path has a folder "deep".
        name: the name of the optimizer.

    Raises:
        ConfigError: both are missing, or are the same object.
    """

    def __init__(
        self,
        wide: keras.optimizers.Optimizer | None = None,
        deep: keras.optimizers.Optimizer | None = None,
        name: str | None = None,
    ) -> None:
        given = [optimizer for optimizer in (wide, deep) if optimizer is not None]
        if not given:
            raise ConfigError("JointOptimizer needs an optimizer for wide=, for deep=, or for both")
        if wide is deep:
            raise ConfigError("JointOptimizer got the same object for wide= and deep=. Make one for each")
        super().__init__(optimizer_map=self._optimizer_of, name=name)
        # As attributes, so that `tf.train.Checkpoint` and `.keras` files find the slots.
        self.wide = wide
        self.deep = deep
        self._inner_optimizers = given

    def _optimizer_of(self, variable: keras.Variable) -> keras.optimizers.Optimizer:
        head = head_of(variable.path)
        optimizer: keras.optimizers.Optimizer | None = getattr(self, head)
        if optimizer is None:
            raise ConfigError(
                f"The trainable variable {variable.path!r} belongs to the {head} head, which has "
                f"no optimizer. Pass {head}= to JointOptimizer, or set the layer's trainable=False"
            )
        return optimizer

    def save_own_variables(self, store: dict[str, Any]) -> None:
        """Saves its own counter. Keras also saves `wide` and `deep`, as attributes."""
        # MultiOptimizer would write the heads' slots here too, so that a file holds each twice.
        for position, variable in enumerate(self._variables):
            store[str(position)] = variable.numpy()

    def load_own_variables(self, store: Mapping[str, Any]) -> None:
        """Loads what `save_own_variables` saved."""
        for position, variable in enumerate(self._variables):
            variable.assign(store[str(position)])

    def get_config(self) -> dict[str, Any]:
        """Returns the constructor's arguments, for `from_config` and `.keras` files."""
        return {
            "wide": keras.saving.serialize_keras_object(self.wide),
            "deep": keras.saving.serialize_keras_object(self.deep),
            "name": self.name,
        }

    @classmethod
    def from_config(cls, config: Mapping[str, Any], custom_objects: Mapping[str, Any] | None = None) -> JointOptimizer:
        """Makes the optimizer, without its state, from `get_config`."""
        heads = {
            head: keras.saving.deserialize_keras_object(config[head], custom_objects=custom_objects) for head in _HEADS
        }
        return cls(**heads, name=config["name"])
