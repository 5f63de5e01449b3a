"""What is learned from the training rows before training: vocabularies, quantiles, ranges, the label's base rate."""

from __future__ import annotations

import csv
import dataclasses
import itertools
import json
import math
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tfwd.errors import RunError
from tfwd.utils.files import read_json

FORMAT = 1


@dataclass(frozen=True)
class VocabularyStatistics:
    """A vocabulary, by descending count, then by value.

    Attributes:
        values: the categories; integers are formatted in decimal.
        counts: the training rows of each; for lists, how often it occurs in the values that the model sees.
        missing: training rows without a value.
        unlisted: training rows whose value is too rare (`min_count`) or beyond `max_size`, hence OOV; for lists, the
            number of such values.
    """

    values: tuple[str, ...]
    counts: tuple[int, ...]
    missing: int = 0
    unlisted: int = 0


@dataclass(frozen=True)
class NumericStatistics:
    """A number's range and shape over the finite training values, in float32 precision.

    Attributes:
        count: training rows with a finite value.
        missing: training rows without one (NULL, NaN, infinite).
        minimum, maximum, mean, stddev, median: of the finite values; `stddev` is of the population.
        log_mean, log_stddev: of log(1 + x - minimum).
        quantiles: ascending, distinct boundaries, if the feature asks for any: the inner n-quantiles.
        boundaries: ascending bucket boundaries of a bucketized feature (given, quantiles, or distinct values).
    """

    count: int
    missing: int
    minimum: float
    maximum: float
    mean: float
    stddev: float
    median: float
    log_mean: float = 0.0
    log_stddev: float = 1.0
    quantiles: tuple[float, ...] = ()
    boundaries: tuple[float, ...] = ()


@dataclass(frozen=True)
class LabelStatistics:
    """The label over the training rows.

    Attributes:
        mean: weighted mean: the base rate (binary), the mean value (regression), 0 for multi-class.
        stddev: population standard deviation (regression), else 1.
        classes: `(negative, positive)` (binary), all classes in order (multi-class), empty (regression).
        shares: the weighted share of each class.
    """

    mean: float
    stddev: float = 1.0
    classes: tuple[str, ...] = ()
    shares: tuple[float, ...] = ()


@dataclass(frozen=True)
class FeatureStatistics:
    """Everything learned from the training rows, by feature name.

    Attributes:
        rows: the number of training rows.
        label: the statistics of the label.
        vocabularies: those of the categorical features that have a vocabulary, learned or given.
        numerics: those of the numeric and bucketized features; for a vector `v`, of each number `v[0]`, `v[1]`, ...
    """

    rows: int
    label: LabelStatistics
    vocabularies: dict[str, VocabularyStatistics] = field(default_factory=dict)
    numerics: dict[str, NumericStatistics] = field(default_factory=dict)

    def save(self, folder: str | Path) -> None:
        """Writes `statistics.json` and a human-readable `vocabulary/<feature>.csv` per vocabulary."""
        folder = Path(folder)
        (folder / "vocabulary").mkdir(parents=True, exist_ok=True)
        for name, vocabulary in self.vocabularies.items():
            with (folder / "vocabulary" / f"{name}.csv").open("w", encoding="utf-8", newline="") as file:
                writer = csv.writer(file, quoting=csv.QUOTE_NONNUMERIC)
                writer.writerow(["value", "count"])
                writer.writerows(zip(vocabulary.values, vocabulary.counts, strict=True))
        summary: dict[str, Any] = {
            "format": FORMAT,
            "rows": self.rows,
            "label": dataclasses.asdict(self.label),
            "numerics": {name: dataclasses.asdict(value) for name, value in self.numerics.items()},
            "vocabularies": {
                name: {"size": len(value.values), "missing": value.missing, "unlisted": value.unlisted}
                for name, value in self.vocabularies.items()
            },
        }
        text = json.dumps(summary, indent=1, ensure_ascii=False)
        (folder / "statistics.json").write_text(text + "\n", encoding="utf-8")

    @classmethod
    def load(cls, folder: str | Path) -> FeatureStatistics:
        """Reads what `save` wrote; the result is equal to what was saved.

        Raises:
            RunError: a file is missing, or was written by another version.
        """
        folder = Path(folder)
        file = folder / "statistics.json"
        try:
            summary = read_json(file)
        except (FileNotFoundError, NotADirectoryError):
            raise RunError(f"{folder} has no statistics.json: it is not a statistics folder.") from None
        if summary.get("format") != FORMAT:
            raise RunError(f"{folder} has format {summary.get('format')!r:.80}; this version of tfwd reads {FORMAT}.")
        try:
            return cls(
                rows=_count(summary["rows"]),
                label=_filled(LabelStatistics, summary["label"]),
                vocabularies={
                    name: _vocabulary(folder / "vocabulary" / f"{_plain(name)}.csv", entry)
                    for name, entry in summary["vocabularies"].items()
                },
                numerics={name: _filled(NumericStatistics, value) for name, value in summary["numerics"].items()},
            )
        except (ValueError, KeyError, TypeError, AttributeError, OverflowError) as error:
            raise RunError(f"{file} is damaged: {str(error) or repr(error):.200}. Train again.") from None


def _vocabulary(file: Path, entry: dict[str, Any]) -> VocabularyStatistics:
    """Reads a vocabulary from its file.

    Raises:
        RunError: the file is missing or damaged.
        ValueError, KeyError, TypeError: the entry is damaged.
    """
    size, missing, unlisted = (_count(entry[key]) for key in ("size", "missing", "unlisted"))
    try:
        rows = _rows(file)
        found = VocabularyStatistics(
            values=tuple(value for value, _ in rows),
            counts=tuple(_count(int(count)) for _, count in rows),
            missing=missing,
            unlisted=unlisted,
        )
    except (ValueError, csv.Error, OSError) as error:
        raise RunError(f"{file} is damaged: {error!s:.200}. Train again.") from None
    if len(rows) != size or len(set(found.values)) != size:
        raise RunError(f"{file} is damaged: expected {size:,} values, each once, found {len(rows):,}. Train again.")
    return found


def _filled(kind: type[Any], values: dict[str, Any]) -> Any:
    """Makes a dataclass of numbers and tuples from its JSON values, which must have the types of the fields.

    Raises:
        TypeError, ValueError: a value is of another type.
    """
    fields = {entry.name: str(entry.type) for entry in dataclasses.fields(kind)}
    for name, value in values.items():
        kept = fields.get(name, "no field")
        if kept == "int":
            _count(value)
        elif kept == "float":
            _finite(value)
        elif isinstance(value, list) and kept == "tuple[str, ...]":
            fits = all(isinstance(part, str) for part in value) and len(set(value)) == len(value)
            if not fits:
                raise ValueError(f"{name} are not distinct strings")
        elif isinstance(value, list) and kept == "tuple[float, ...]":
            numbers = [_finite(part) for part in value]
            if name != "shares" and any(after <= before for before, after in itertools.pairwise(numbers)):
                raise ValueError(f"{name} are not increasing")
        else:
            raise ValueError(f"{name} is {type(value).__name__}, which is not a {kept}")
    return kind(**{name: tuple(value) if isinstance(value, list) else value for name, value in values.items()})


def _count(value: Any) -> int:
    if type(value) is not int or not 0 <= value < 2**63:
        raise ValueError(f"expected a number of rows, found {value!r:.80}")
    return value


def _finite(value: Any) -> float:
    if type(value) not in (int, float) or not math.isfinite(value):
        raise ValueError(f"expected a finite number, found {value!r:.80}")
    return float(value)


def _plain(name: str) -> str:
    if Path(name).name != name:
        raise ValueError(f"{name!r:.80} is not a feature's name")
    return name


def _rows(file: Path) -> list[list[str]]:
    # A category may be longer than 128 KiB, the default limit of Python's reader.
    usual = csv.field_size_limit(2**31 - 1)
    try:
        with file.open(encoding="utf-8", newline="") as lines:
            return list(csv.reader(lines))[1:]
    finally:
        csv.field_size_limit(usual)
