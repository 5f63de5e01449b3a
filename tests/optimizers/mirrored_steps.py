"""Run as a program: the same steps on one device and on two, what came of both printed as JSON.

Before anything else is imported, also what Keras makes of a checkpoint of tfwd, and which classes it knows then.
"""

from __future__ import annotations

import json
import sys
import traceback
from collections.abc import Callable

import keras
import tensorflow as tf

import tfwd  # noqa: F401
from tfwd.registration import CLASSES

# Before anything starts TensorFlow, as a model does.
CPU = tf.config.list_physical_devices("CPU")[0]
tf.config.set_logical_device_configuration(CPU, [tf.config.LogicalDeviceConfiguration()] * 2)

assert "tfwd.model.wide_deep" not in sys.modules
assert "tfwd>WideDeep" in keras.saving.get_custom_objects()
LOADED = keras.saving.load_model(sys.argv[2])
# Whichever class a file names first, all are found from then on; the modules below bring them themselves.
FOUND = {name: keras.saving.get_registered_object(f"tfwd>{name}") for name in CLASSES}
UNKNOWN = [name for name, found in FOUND.items() if found is None or "Stands in" in (found.__doc__ or "")]

# ruff: noqa: E402
import mirrored_table
import numpy as np
from optimizer_cases import click_batches, two_headed_model
from test_row_cost import ROWS, tensors_as_long_as_the_table

from tfwd import optimizers


def train(
    strategy: tf.distribute.Strategy, wide: dict[str, object], deep: dict[str, object]
) -> tuple[list[np.ndarray], list[str]]:
    """Ten steps on global batches of 8; also what the graph of two replicas holds that is as long as a table."""
    with strategy.scope():
        model = two_headed_model(ROWS)
        optimizer = optimizers.JointOptimizer(optimizers.get(**wide), optimizers.get(**deep))
        optimizer.build(model.trainable_variables)

    def replica_step(ids: tf.Tensor, labels: tf.Tensor) -> None:
        with tf.GradientTape() as tape:
            loss = tf.reduce_sum(tf.square(model(ids, training=True) - labels)) / 8.0
        variables = model.trainable_variables
        optimizer.apply(tape.gradient(loss, [v.value for v in variables]), variables)

    count = strategy.num_replicas_in_sync

    @tf.function
    def step(ids: tf.Tensor, labels: tf.Tensor) -> None:
        parts = [
            strategy.experimental_distribute_values_from_function(
                lambda context, values=values: tf.split(values, count)[context.replica_id_in_sync_group]
            )
            for values in (ids, labels)
        ]
        strategy.run(replica_step, args=tuple(parts))

    batches = click_batches(10)
    for ids, labels in batches:
        # Ten steps of one device are done sooner than they are traced.
        (step if count > 1 else replica_step)(tf.constant(ids), tf.constant(labels))
    # Every replica's copy, so that one that was left behind shows.
    copies = [
        copy.numpy()
        for variable in [*model.trainable_variables, *optimizer.variables]
        for copy in strategy.experimental_local_results(variable.value)
    ]
    return copies, tensors_as_long_as_the_table(step, batches[0]) if count > 1 else []


def failure(check: Callable[[tf.distribute.Strategy], None], strategy: tf.distribute.Strategy) -> str:
    """Why a check of `mirrored_table` fails, or nothing."""
    try:
        check(strategy)
    except Exception:
        return traceback.format_exc()
    return ""


def main() -> None:
    """Reads [{"wide": {...}, "deep": {...}}, ...] from the first argument; the second is the checkpoint."""
    # One for all: the collectives of a second one would take the numbers of the first's.
    mirrored = tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])
    steps = []
    for case in json.loads(sys.argv[1]):
        single, _ = train(tf.distribute.get_strategy(), **case)
        double, long = train(mirrored, **case)
        pairs = zip(np.repeat(np.array(single, object), 2), double, strict=True)
        steps.append(
            {
                "difference": max(float(np.abs(one - two).max()) for one, two in pairs),
                "moved": float(np.abs(single[0]).max()),
                "long": long,
            }
        )
    checks = (mirrored_table.check_table, mirrored_table.check_training)
    print(
        json.dumps(
            {
                "loaded": [type(LOADED).__module__, float(sum(np.abs(w).sum() for w in LOADED.get_weights()))],
                "unknown": UNKNOWN,
                "steps": steps,
                **{check.__name__: failure(check, mirrored) for check in checks},
            }
        )
    )


if __name__ == "__main__":
    main()
