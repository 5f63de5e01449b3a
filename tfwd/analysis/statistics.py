"""What is learnt from the training rows before training: vocabularies, quantiles, ranges, the label's base rate."""

from __future__ import annotations

import csv
import dataclasses
import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tfwd.errors import RunError

FORMAT = 1


@dataclass(frozen=True)
class VocabularyStatistics:
    """A vocabulary, by count falling, then by value.

    Attributes:
        values: the categories; integers are formatted in decimal.
        counts: the training rows of each; of lists, how often it stands in those that the model sees.
        missing: training rows without a value.
        unlisted: training rows whose value is too rare (`min_count`) or beyond `max_size`, hence OOV; of lists, such
            values.
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
        quantiles: rising boundaries, each once, when the feature asks for any: the inner n-quantiles.
        boundaries: rising bucket boundaries of a bucketized feature (given, quantiles, or distinct values).
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
        classes: binary `(negative, positive)`, multi-class all classes in order, regression empty.
        shares: the weighted share of each class.
    """

    mean: float
    stddev: float = 1.0
    classes: tuple[str, ...] = ()
    shares: tuple[float, ...] = ()


@dataclass(frozen=True)
class FeatureStatistics:
    """Everything learnt from the training rows, by feature name.

    Attributes:
        rows: the number of training rows.
        label: of the label.
        vocabularies: of each categorical feature that has a vocabulary, learnt or given.
        numerics: of each numeric and bucketized feature.
    """

    rows: int
    label: LabelStatistics
    vocabularies: dict[str, VocabularyStatistics] = field(default_factory=dict)
    numerics: dict[str, NumericStatistics] = field(default_factory=dict)

    def save(self, folder: str | Path) -> None:
        """Writes `statistics.json` and one `vocabulary/<feature>.csv` a vocabulary, readable by a person."""
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
            RunError: a file is missing, or of another version.
        """
        folder = Path(folder)
        try:
            summary = json.loads((folder / "statistics.json").read_text(encoding="utf-8"))
        except FileNotFoundError:
            raise RunError(f"{folder} has no statistics.json: it is not a statistics folder.") from None
        if summary.get("format") != FORMAT:
            raise RunError(f"{folder} has format {summary.get('format')!r}; this version of tfwd reads {FORMAT}.")
        vocabularies = {}
        for name, entry in summary["vocabularies"].items():
            rows = _rows(folder / "vocabulary" / f"{name}.csv")
            vocabularies[name] = VocabularyStatistics(
                values=tuple(value for value, _ in rows),
                counts=tuple(int(count) for _, count in rows),
                missing=entry["missing"],
                unlisted=entry["unlisted"],
            )
        return cls(
            rows=summary["rows"],
            label=LabelStatistics(**_tuples(summary["label"])),
            vocabularies=vocabularies,
            numerics={name: NumericStatistics(**_tuples(value)) for name, value in summary["numerics"].items()},
        )


def _rows(file: Path) -> list[list[str]]:
    # A category may be longer than the 128 KiB that Python's reader takes for a mistake.
    usual = csv.field_size_limit(2**31 - 1)
    try:
        with file.open(encoding="utf-8", newline="") as lines:
            return list(csv.reader(lines))[1:]
    finally:
        csv.field_size_limit(usual)


def _tuples(values: dict[str, Any]) -> dict[str, Any]:
    return {key: tuple(value) if isinstance(value, list) else value for key, value in values.items()}
