"""Starts a new model where an older one ended."""

from __future__ import annotations

from tfwd.analysis.statistics import FeatureStatistics
from tfwd.config.config import Config
from tfwd.errors import RunError
from tfwd.features.space import FeatureSpace
from tfwd.model.wide_deep import WideDeep
from tfwd.run_folder.folder import RunFolder
from tfwd.training.warm_start.moves import Mover
from tfwd.training.warm_start.origin import frozen
from tfwd.training.warm_start.report import Report
from tfwd.training.warm_start.slots import Slots


def carry(model: WideDeep, config: Config, statistics: FeatureStatistics, origin: RunFolder) -> Report:
    """Gives a new model what an older run has learned, optimizer state included, by name.

    What the older run does not have stays as in a cold start.

    Args:
        model: the new model, compiled, with its optimizer built.
        config: its configuration.
        statistics: its statistics, as `analyze_from` returned them.
        origin: the older run.

    Returns:
        What was carried over.
    """
    report = Report(
        source=config.train.warm_start_from or str(origin.path),
        frozen=sorted(frozen(config, origin)),
        vocabularies="grow" if config.grows_vocabularies() else "new",
    )
    old = origin.model
    new_side = FeatureSpace(config.features, statistics)
    old_side = FeatureSpace(origin.config.features, origin.statistics)
    mover = Mover(model, old, new_side, old_side, report)
    slots = Slots(model.optimizer, old.optimizer, report)
    trained = {variable.path for variable in model.trainable_variables}
    for move in mover.moves():
        move.new.assign(move.carried(move.new.numpy(), move.old.numpy()))
        if move.new.path in trained:
            slots.carry(move)
    # Its tables are as large as the new ones.
    vars(origin).pop("model", None)
    return report


def check_labels(classes: tuple[str, ...], origin: RunFolder) -> None:
    """Refuses an older run whose positive class is the negative one here.

    Raises:
        RunError: it is.
    """
    before = origin.model.schema.classes
    if origin.config.task == "binary" and len(classes) == 2 and classes != before and set(classes) == set(before):
        raise RunError(
            f"train.warm_start_from: in {origin.path} the positive class is {before[1]!r}, and here it is "
            f"{classes[1]!r}. Set data.label.positive."
        )
