"""What a warm start carried over, for people and as JSON."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field
from typing import Any

from tfwd.training.warm_start.rows import Match

Counts = dict[str, int]


@dataclass
class Report:
    """What was carried over; `to_dict` is `warm_start.json`.

    Attributes:
        source: the older run.
        tables: table -> feature -> rows `carried`, `new` and `gone`, and `why` nothing is carried where that is so.
            `one_hot` is not a table but the columns that the tower reads.
        numbers: head -> the numeric inputs carried, new and gone.
        tower: for each variable of the tower and the last layer, whether it is `carried`, and `why` not.
        classes: the classes of a multi-class task.
        optimizers: head -> whether its state is `carried`, `why` not, and the `steps` that it counts.
        frozen: the features whose boundaries, quantiles and ranges are the older run's.
        vocabularies: `new` or `grow`.
    """

    source: str = ""
    tables: dict[str, dict[str, dict[str, Any]]] = field(default_factory=dict)
    numbers: dict[str, Counts] = field(default_factory=dict)
    tower: list[dict[str, str]] = field(default_factory=list)
    classes: Counts | None = None
    optimizers: dict[str, dict[str, Any]] = field(default_factory=dict)
    frozen: list[str] = field(default_factory=list)
    vocabularies: str = "new"

    def add_table(self, table: str, feature: str, match: Match) -> None:
        """Counts the rows of a feature in a table."""
        carried = len(match.new)
        counts: dict[str, Any] = {
            "carried": carried,
            "new": match.rows - carried,
            "gone": match.old_rows - carried,
        }
        if match.reason is not None:
            counts["why"] = match.reason
        self.tables.setdefault(table, {})[feature] = counts

    def to_dict(self) -> dict[str, Any]:
        """Returns a dict that can be written as JSON."""
        values = dataclasses.asdict(self)
        if self.classes is None:
            del values["classes"]
        return {"from": values.pop("source"), **values}

    def lines(self) -> list[str]:
        """Returns a summary of the report as lines."""
        lines = [f"Warm start from {self.source}:"]
        for table, features in self.tables.items():
            carried, new, gone = (sum(entry[key] for entry in features.values()) for key in ("carried", "new", "gone"))
            lines.append(f"  {table}: {carried:,} rows carried, {new:,} new, {gone:,} gone")
        for what, counts in (*((f"{head} numbers", c) for head, c in self.numbers.items()), ("classes", self.classes)):
            if counts is not None:
                lines.append(f"  {what}: {counts['carried']} carried, {counts['new']} new, {counts['gone']} gone")
        if self.tower:
            carried = sum(entry["carried"] != "no" for entry in self.tower)
            lines.append(f"  tower: {carried} of {len(self.tower)} weights carried")
            partly = [f"{entry['layer']} ({entry['carried']})" for entry in self.tower if " of " in entry["carried"]]
            if partly:
                lines.append(f"    in part: {', '.join(partly)}")
        fresh: dict[str, str] = {}
        for features in self.tables.values():
            fresh |= {feature: entry["why"] for feature, entry in features.items() if "why" in entry}
        fresh |= {entry["layer"]: entry["why"] for entry in self.tower if entry["why"]}
        lines += [f"    not carried: {name} ({why})" for name, why in fresh.items()]
        for head, entry in self.optimizers.items():
            state = {"yes": "carried", "no": "fresh"}[entry["carried"]]
            lines.append(f"  {head} optimizer: {state}" + (f" ({entry['why']})" if entry["why"] else ""))
        return lines
