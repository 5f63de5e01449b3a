"""The label over the training rows: its classes, their shares, its mean."""

from __future__ import annotations

import math
import re
from fractions import Fraction

import ibis
import ibis.expr.types as ir

from tfwd.analysis.exact_sum import BITS, exponent, scaled_sum, unscaled
from tfwd.analysis.statistics import LabelStatistics
from tfwd.analysis.workspace import Workspace
from tfwd.config.config import Config
from tfwd.config.labels import text_of
from tfwd.data.labels import LARGEST_LABEL, LARGEST_WEIGHT, PLAIN, LabelCoder, class_order, is_missing
from tfwd.data.rows import Rows
from tfwd.errors import DataError

_SHOWN = 5
# More distinct numbers than this are likely to be counts or measurements, not class names.
_CLASSES = 20


def label_statistics(workspace: Workspace, rows: Rows, config: Config) -> LabelStatistics:
    """Computes the statistics of the label over the training rows.

    Raises:
        DataError: a label or weight is missing or not what the task needs, or all labels are one class.
    """
    weight = _weight(workspace, rows)
    if config.task == "regression":
        return _regression(workspace, rows, weight)
    shares = _by_class(workspace, rows, weight)
    classes: tuple[str, ...]
    if config.task == "binary":
        classes = _binary_classes(list(shares), config, rows)
    elif rows.schema.classes:
        classes = rows.schema.classes
        coder = LabelCoder(classes)
        for text in shares:
            if coder.code(text) < 0:
                raise rows.query.refuse_label(text)
    else:
        classes = class_order(list(shares))
        fraction = next(filter(_has_fraction, classes), None)
        if fraction is not None and len(classes) > _CLASSES and all(map(_is_number, classes)):
            raise DataError(
                f"The label {rows.schema.label!r} of {rows.source.name} holds {len(classes)} numbers with a fraction, "
                f"as {fraction}: to predict a number set task: regression. If they are classes, name them in "
                "data.label.classes."
            )
    if len(shares) < 2:
        raise DataError(
            f"The label {rows.schema.label!r} is {next(iter(shares))!r} in all {workspace.rows} training rows of "
            f"{rows.source.name}: a classifier needs two classes."
        )
    total = sum(shares.values())
    if not total:
        raise DataError(f"All weights in {rows.schema.weight!r} are 0.")
    parts = tuple(float(shares.get(value, Fraction(0)) / total) for value in classes)
    return LabelStatistics(mean=parts[1] if config.task == "binary" else 0.0, classes=classes, shares=parts)


def _weight(workspace: Workspace, rows: Rows) -> tuple[ir.FloatingValue, int]:
    """The weight of a row and its exponent for `scaled_sum`; the weight is 1 where none is declared."""
    if rows.schema.weight is None:
        return ibis.literal(1.0, type="float64"), exponent(1.0)
    weight = workspace.table.weight.cast("float64")
    bad = weight.isnull() | weight.isnan() | weight.isinf() | (weight < 0) | (weight > LARGEST_WEIGHT)
    asked = workspace.table.aggregate(bad=bad.sum(), largest=weight.max())
    answer = workspace.record(asked)
    if answer["bad"]:
        raise rows.query.refuse_weight()
    return weight, exponent(answer["largest"])


def _regression(workspace: Workspace, rows: Rows, weight: tuple[ir.FloatingValue, int]) -> LabelStatistics:
    # As the model sees it, in float32.
    label = workspace.table.label.try_cast("float32").cast("float64")
    bad = label.isnull() | label.isnan() | (label.abs() > LARGEST_LABEL)
    if rows.schema.counts:
        bad = bad | (label < 0)
    answer = workspace.record(workspace.table.aggregate(bad=bad.sum(), low=label.min(), high=label.max()))
    if answer["bad"]:
        raise rows.query.refuse_number_as_label()
    total = _total(workspace, *weight, 1.0)
    if not total:
        raise DataError(f"All weights in {rows.schema.weight!r} are 0.")
    largest = max(abs(answer["low"]), abs(answer["high"]))
    mean = float(_total(workspace, weight[0] * label, weight[1], largest) / total)
    if rows.schema.counts and not mean:
        raise DataError(
            f"The label {rows.schema.label!r} is 0 in all training rows of {rows.source.name} that have a "
            "weight: there is no count to learn."
        )
    deviation = label - ibis.literal(mean, type="float64")
    furthest = max(answer["high"] - mean, mean - answer["low"]) * 1.001
    variance = float(_total(workspace, weight[0] * deviation * deviation, weight[1], furthest**2) / total)
    return LabelStatistics(mean=mean, stddev=math.sqrt(variance))


def _total(workspace: Workspace, values: ir.FloatingValue, weight_exponent: int, largest: float) -> Fraction:
    power = exponent(largest) + weight_exponent - BITS
    summed = workspace.table.select(tfwd_value=values)
    answer = workspace.record(summed.aggregate(total=scaled_sum(summed.tfwd_value, power)))
    return unscaled(answer["total"], power)


def _by_class(workspace: Workspace, rows: Rows, weight: tuple[ir.FloatingValue, int]) -> dict[str, Fraction]:
    """The summed weight of each class, by its string; strings that name the same class are added up."""
    weighted = workspace.table.select("label", tfwd_value=weight[0])
    grouped = weighted.group_by("label").aggregate(total=scaled_sum(weighted.tfwd_value, weight[1]))
    answer = workspace.pairs(grouped.order_by("label"))
    sums: dict[str, Fraction] = {}
    for value, total in answer:
        text = None if value is None else str(value)
        if text is None or is_missing(text):
            raise rows.query.refuse_label(text)
        key = text_of(text)
        sums[key] = sums.get(key, Fraction(0)) + unscaled(total, weight[1])
    return sums


def _is_number(text: str) -> bool:
    return re.fullmatch(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?", text) is not None


def _has_fraction(text: str) -> bool:
    return _is_number(text) and float(text) % 1 != 0


def _other_task(found: list[str]) -> str:
    if all(map(_is_number, found)) and (any(map(_has_fraction, found)) or len(found) > _CLASSES):
        return "regression to predict a number, or task: multiclass"
    return "multiclass"


def _binary_classes(found: list[str], config: Config, rows: Rows) -> tuple[str, str]:
    positive = config.data.label.positive
    where = f"The label {rows.schema.label!r} of {rows.source.name}"
    shown = ", ".join(map(repr, class_order(found)[:_SHOWN])) + (", ..." if len(found) > _SHOWN else "")
    if positive is None:
        for pair in PLAIN:
            if set(found) <= set(pair):
                return pair
        raise DataError(
            f"{where} holds {shown}. Name the positive class with data.label.positive"
            + (f", or set task: {_other_task(found)}." if len(found) > 2 else ".")
        )
    wanted = text_of(positive)
    if wanted not in found:
        raise DataError(f"{where} holds {shown}, not data.label.positive, {positive!r}.")
    others = [value for value in found if value != wanted]
    if len(others) > 1:
        raise DataError(
            f"{where} must hold two values for task: binary. It holds {len(found)}: {shown}. "
            f"Leave rows out with data.filter, or set task: {_other_task(found)}."
        )
    return (others[0] if others else "", wanted)
