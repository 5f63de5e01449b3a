"""The schema: which raw inputs a model takes and what it answers, resolved once and carried by every export."""

from __future__ import annotations

import dataclasses
import math
import re
from dataclasses import dataclass
from typing import Any, Literal

from tfwd.dates import ISO, LONGEST_FORMAT, SECONDS, format_fault

Kind = Literal["string", "integer", "float"]

# The type of each kind in a graph, by its name in both Keras and TensorFlow.
DTYPES: dict[Kind, str] = {"string": "string", "integer": "int64", "float": "float32"}

TASKS = ("binary", "multiclass", "regression")
# The most values per row that the description of a model may declare.
LONGEST_LIST = 2**20
# A missing integer on its way into a graph: int64 has no null, and nobody's category is this number.
MISSING_INTEGER = -(2**63)
# The missing value of each kind, as a graph takes it.
MISSING: dict[Kind, Any] = {"string": "", "integer": MISSING_INTEGER, "float": math.nan}
# An ONNX input with this ending takes the 64-bit fingerprints of the input before it.
FINGERPRINT_SUFFIX = "_fingerprint"
# What no input may be called: the matrices of a model and its answers.
_RESERVED = re.compile(r"(wide|embedding_\d+|one_hot)_(ids|weights)|numeric|probability|logit|prediction|classes")
# Fingerprint64(""), FarmHash's k2 constant: what stands there for a missing value.
EMPTY_FINGERPRINT = 0x9AE16A3B2F90404F


@dataclass(frozen=True)
class Input:
    """One raw input of the model: a scalar per example `(B,)`, or several values `(B, K)`.

    Attributes:
        name: its name in the graph: Keras input, signature argument, ONNX input.
        column: the data column it comes from.
        kind: `string` (missing: ""), `integer` (int64; missing: `MISSING_INTEGER`) or `float` (float32;
            missing: NaN).
        length: 0 for a scalar; for a vector, its length. Otherwise the most values per example, of which the latest are
            kept. In `(B, K)` they are in their natural order, the oldest first, and the missing value is padding; K
            may be any number.
        delimiter: what separates the values in a column of text; None if the column holds lists.
        weighs: for several weights, the column of the values that they weigh, in the same order.
        fixed: whether every example has `length` values, as a vector: K is `length`, and nothing is padding.
        moment: for an integer that is seconds since 1970-01-01 UTC, its format as text in the data: a format of
            strptime, `seconds`, or "" for ISO 8601; None for any other input.
    """

    name: str
    column: str
    kind: Kind
    length: int = 0
    delimiter: str | None = None
    weighs: str | None = None
    fixed: bool = False
    moment: str | None = None

    @property
    def shape(self) -> tuple[int | None, ...]:
        """The shape of the graph's input: `(None,)`, `(None, None)` for several values, `(None, n)` for a vector."""
        if self.fixed:
            return (None, self.length)
        return (None, None) if self.length else (None,)


@dataclass(frozen=True)
class Schema:
    """The raw inputs and the answer of a model.

    Attributes:
        inputs: the raw inputs in order.
        task: `binary`, `multiclass` or `regression`.
        label: the label's column.
        classes: binary `(negative, positive)`, multi-class all classes in order, regression empty.
        weight: the column of example weights, if any.
        version: the version of tfwd that made the model.
        counts: for a regression, whether the label is a count (at least 0) and the answer its expectation, exp(logit).
    """

    inputs: tuple[Input, ...]
    task: Literal["binary", "multiclass", "regression"]
    label: str
    classes: tuple[str, ...] = ()
    weight: str | None = None
    version: str = ""
    counts: bool = False

    @property
    def measures(self) -> str:
        """What selects the metrics: the task, or `counts`."""
        return "counts" if self.counts else self.task

    @property
    def width(self) -> int:
        """The number of values in a row's inputs."""
        return sum(max(entry.length, 1) for entry in self.inputs)

    @property
    def outputs(self) -> int:
        """The number of logits: one per class for a multi-class task, else 1."""
        return len(self.classes) if self.task == "multiclass" else 1

    @property
    def answer(self) -> str:
        """The name of the main answer: `prediction` for a regression, else `probability`."""
        return "prediction" if self.task == "regression" else "probability"

    @property
    def answer_names(self) -> tuple[str, ...]:
        """All answers of an export in order: `prediction`, or `probability`, `logit` and, if multi-class, `classes`."""
        if self.task == "regression":
            return (self.answer,)
        return (self.answer, "logit", "classes") if self.task == "multiclass" else (self.answer, "logit")

    def source(self, name: str) -> Input | None:
        """Returns the raw input that a graph's input takes, as its values or as their fingerprints; None if none."""
        known = {entry.name: entry for entry in self.inputs}
        return known.get(name) or known.get(name.removesuffix(FINGERPRINT_SUFFIX))

    def to_dict(self) -> dict[str, Any]:
        """Returns a JSON-able dict that `from_dict` reads, as do versions before 0.5 if no input is a moment."""
        found = dataclasses.asdict(self)
        found["inputs"] = [{k: v for k, v in entry.items() if (k, v) != ("moment", None)} for entry in found["inputs"]]
        return found

    @classmethod
    def from_dict(cls, values: Any) -> Schema:
        """Returns the schema that `to_dict` wrote, of this version or an older one.

        Raises:
            ValueError: it is invalid; says which key is wrong, what was expected and what was found.
        """
        entries = _section(values, "schema", cls)
        given = entries["inputs"]
        if not isinstance(given, list | tuple) or not given:
            raise ValueError(f"schema.inputs: expected a list of at least one input. Received: {_shown(given)}")
        inputs = tuple(_input(entry, f"schema.inputs[{index}]") for index, entry in enumerate(given))
        for key in ("name", "column"):
            found = [getattr(entry, key) for entry in inputs]
            twin = next((text for index, text in enumerate(found) if text in found[:index]), None)
            if twin is not None:
                raise ValueError(f"schema.inputs: two inputs have the {key} {twin!r}.")
        lists = {entry.column for entry in inputs if entry.length and entry.weighs is None}
        for entry in inputs:
            if entry.weighs is not None and (entry.kind != "float" or not entry.length or entry.weighs not in lists):
                raise ValueError(
                    f"schema.inputs: {entry.name!r} weighs {entry.weighs!r}, which is not a list of values."
                )
        task = _one_of(entries["task"], "schema.task", TASKS)
        classes = entries.get("classes", ())
        if not isinstance(classes, list | tuple):
            raise ValueError(f"schema.classes: expected a list. Received: {_shown(classes)}")
        classes = tuple(_text(name, f"schema.classes[{index}]") for index, name in enumerate(classes))
        right = {"binary": len(classes) == 2, "multiclass": len(classes) >= 2, "regression": not classes}[task]
        if not right or len(set(classes)) != len(classes):
            raise ValueError(f"schema.classes: {list(classes)} cannot be the classes of the task {task}.")
        counts = entries.get("counts", False)
        if not isinstance(counts, bool) or (counts and task != "regression"):
            raise ValueError(
                f"schema.counts: expected true or false, and true only for a regression. Received: {_shown(counts)}"
            )
        weight = entries.get("weight")
        return cls(
            inputs=inputs,
            task=task,
            label=_text(entries["label"], "schema.label"),
            classes=classes,
            weight=None if weight is None else _text(weight, "schema.weight"),
            version=_text(entries.get("version", ""), "schema.version"),
            counts=counts,
        )


def is_reserved(name: str) -> bool:
    """Returns whether no raw input may have a name, because one of the model's own matrices or answers has it."""
    return _RESERVED.fullmatch(name) is not None


def is_missing(value: Any) -> bool:
    """Returns whether a string, an integer or a float, as a graph takes it, is the missing value of its kind."""
    return value == "" if isinstance(value, str) else bool(value != value or value == MISSING_INTEGER)


def _input(values: Any, where: str) -> Input:
    entries = _section(values, where, Input)
    length, delimiter, weighs = entries.get("length", 0), entries.get("delimiter"), entries.get("weighs")
    if not isinstance(length, int) or isinstance(length, bool) or not 0 <= length <= LONGEST_LIST:
        raise ValueError(
            f"{where}.length: expected a whole number from 0 to {LONGEST_LIST}. Received: {_shown(length)}"
        )
    if delimiter is not None and not (_text(delimiter, f"{where}.delimiter") and length):
        raise ValueError(
            f"{where}.delimiter: expected null, or a text, and only for a list. Received: {_shown(delimiter)}"
        )
    fixed = entries.get("fixed", False)
    if not isinstance(fixed, bool) or (fixed and not (length and entries["kind"] == "float" and weighs is None)):
        raise ValueError(
            f"{where}.fixed: expected true or false, and true only for a list of numbers. Received: {_shown(fixed)}"
        )
    moment = entries.get("moment")
    if moment is not None and (length or entries["kind"] != "integer"):
        raise ValueError(
            f"{where}.moment: expected null, or a format, and only for a single integer. Received: {_shown(moment)}"
        )
    if moment not in (None, SECONDS, ISO):
        _check_format(_text(moment, f"{where}.moment"), f"{where}.moment")
    return Input(
        name=_text(entries["name"], f"{where}.name"),
        column=_text(entries["column"], f"{where}.column"),
        kind=_one_of(entries["kind"], f"{where}.kind", tuple(DTYPES)),
        length=length,
        delimiter=delimiter,
        weighs=None if weighs is None else _text(weighs, f"{where}.weighs"),
        fixed=fixed,
        moment=moment,
    )


def _check_format(format: str, where: str) -> None:
    if len(format) > LONGEST_FORMAT:
        raise ValueError(f"{where}: expected at most {LONGEST_FORMAT} characters. Received {len(format):,}.")
    found = format_fault(format)
    if found is not None:
        raise ValueError(f"{where}: {_shown(format)} {found}.")


def _section(values: Any, where: str, kind: type[Any]) -> dict[str, Any]:
    """Returns the keys of a section that describes a dataclass: exactly those that it needs."""
    if not isinstance(values, dict):
        raise ValueError(f"{where}: expected a section of keys. Received: {_shown(values)}")
    fields = {field.name: field.default is dataclasses.MISSING for field in dataclasses.fields(kind)}
    for key in values:
        if key not in fields:
            raise ValueError(f"{where}: unknown key {_shown(key)}.")
    for key, needed in fields.items():
        if needed and key not in values:
            raise ValueError(f"{where}: the required key {key!r} is missing.")
    return values


def _text(value: Any, where: str) -> str:
    try:
        if isinstance(value, str) and value.encode() is not None:
            return value
    except UnicodeEncodeError:
        pass  # half of a surrogate pair, which JSON can say and no file can hold
    raise ValueError(f"{where}: expected a string. Received: {_shown(value)}")


def _one_of(value: Any, where: str, choices: tuple[Any, ...]) -> Any:
    if not isinstance(value, str) or value not in choices:
        raise ValueError(f"{where}: expected {', '.join(choices)}. Received: {_shown(value)}")
    return value


def _shown(value: Any) -> str:
    text = ascii(value)
    return text if len(text) <= 120 else text[:117] + "..."
