"""How a file becomes the rows that a model takes: the part of a configuration in the exports, and its use."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import Any, Literal

from pydantic import Field

from tfwd.config.config import Config
from tfwd.config.data import CsvConfig
from tfwd.config.ranking import RankingConfig
from tfwd.config.section import Section
from tfwd.config.tree import check_tree
from tfwd.data.computed import key_of
from tfwd.data.files import known_ending
from tfwd.data.filters import reads
from tfwd.data.frames import is_frame, names, with_only
from tfwd.data.source import Source, no_column
from tfwd.errors import ConfigError, DataError
from tfwd.schema import SINCE_1970, Schema


class Reading(Section):
    """What reading a file needs from a configuration in addition to the schema.

    It is stored with a model in `.keras` files, SavedModels and ONNX files, so that all read a file as the run does.

    Args:
        csv: the dialect.
        format: the format of files whose names don't tell it.
        filter: which rows are evaluated; see `data.filter`.
        columns: computed columns; see `data.columns`.
        key: columns that are passed through.
        joins: the columns by which tables were joined; what these add is in no single file.
        histories: the list columns of earlier events, which are in no single file either.
        ranking: adds the metrics by user.
    """

    csv: CsvConfig = CsvConfig()
    format: Literal["auto", "csv", "parquet", "tfrecord"] = "auto"
    filter: str | None = None
    columns: dict[str, str] = Field(default_factory=dict)
    key: tuple[str, ...] = ()
    joins: tuple[str, ...] = ()
    histories: tuple[str, ...] = ()
    ranking: RankingConfig | None = None

    @classmethod
    def of(cls, config: Config) -> Reading:
        """The part of a configuration that says how files are read."""
        data = config.data
        return cls(
            csv=data.csv,
            format=data.format,
            filter=data.filter,
            columns=data.columns,
            key=data.key,
            joins=tuple(join.on for join in data.join),
            histories=tuple(history.name for history in data.history),
            ranking=config.ranking,
        )

    def to_dict(self) -> dict[str, Any]:
        """A JSON-able dict that `from_dict` reads."""
        return self.model_dump(mode="json")

    @classmethod
    def from_dict(cls, values: Any) -> Reading:
        """The reading that `to_dict` wrote.

        Raises:
            ValueError: it is invalid; says where.
        """
        try:
            check_tree(values, "reading")
            return cls.model_validate(values)
        except ConfigError as error:
            raise ValueError(str(error).replace("Reading", "reading", 1)) from None

    def open(
        self,
        data: Any,
        schema: Schema,
        *,
        labelled: bool,
        key: tuple[str, ...] | None = (),
        delimiter: str | None = None,
        everything: bool = False,
    ) -> Source:
        """Opens rows as the training read them; if labelled, without the rows that the training left out.

        The columns of `data.columns` that are needed are computed, unless a preparation wrote the file, or the rows
        have such a column but not what it is computed from. Columns that nothing reads are ignored.

        Args:
            data: as `Source.open` takes it.
            schema: the schema of the model.
            labelled: whether the label is needed and the filter applies, as for an evaluation.
            key: columns to pass through; None for those of the reading that exist.
            delimiter: the delimiter of a CSV file, in place of the dialect's.
            everything: compute all columns that can be, for another model that may read them.

        Raises:
            DataError: a column is missing and cannot be computed, or there is no such file.
            ConfigError: an SQL expression does not fit the columns.
        """
        condition = self.filter if labelled else None
        filtered = set() if condition is None else reads(condition, "data.filter")
        needed = {entry.column: f"the input {entry.name!r}" for entry in schema.inputs}
        needed.update(dict.fromkeys(key or (), "data.key"))
        useful = [*(self.key if key is None else ()), *(self.columns if everything else ())]
        if labelled:
            needed |= {schema.label: "the label"} | ({} if schema.weight is None else {schema.weight: "the weight"})
            useful += [self.ranking.user, self.ranking.item] if self.ranking is not None else []
        needed = {**needed, **{column: "data.filter" for column in sorted(filtered) if column not in needed}}
        wanted = {column.lower() for column in (*needed, *useful)}
        if is_frame(data):
            chosen, raw = self._plan(names(data), wanted, {})
            self._refuse_missing("DataFrame", {*names(data), *chosen}, needed)
            source = Source.open(with_only(data, raw))
        else:
            csv = self.csv if delimiter is None else self.csv.model_copy(update={"delimiter": delimiter})
            # A file whose name does not tell its format, such as adult.data, has the format of the training file.
            named = not isinstance(data, str | Path) or known_ending(str(data))
            source = Source.open(data, csv=csv, format="auto" if named else self.format)
            chosen, _ = self._plan(source.columns, wanted, self._prepared(source))
            self._refuse_missing(source.name, {*source.columns, *chosen}, needed)
        return source.computing(chosen, condition)

    def metrics_by_user(self, source: Source) -> RankingConfig | None:
        """The ranking section, if there is one and the rows have its user."""
        ranking = self.ranking
        return ranking if ranking is not None and ranking.user in source.columns else None

    def outside(self, schema: Schema) -> list[str]:
        """The inputs that are computed before the graph, so that its caller must send them: one line per input."""
        lines = []
        for entry in schema.inputs:
            if entry.column in self.histories:
                lines.append(f"{entry.name}: the user's earlier events, as data.history.{entry.column} lists them")
            elif entry.column in self.columns:
                unit = "" if entry.moment is None else f", in {SINCE_1970}"
                lines.append(f"{entry.name}: {self.columns[entry.column]}{unit}")
            elif entry.moment is not None:
                lines.append(f"{entry.name}: {entry.column!r} in {SINCE_1970}")
        if self.joins:
            lines.append(
                f"what data.join adds from other tables by {' and by '.join(self.joins)}, where a feature reads it"
            )
        return lines

    def _plan(
        self, there: Collection[str], wanted: set[str], prepared: Mapping[str, str]
    ) -> tuple[dict[str, str], set[str]]:
        """The columns to compute, in order, and the columns read from the rows; only the latter in lower case."""
        known = {column.lower() for column in there}
        possible: list[tuple[str, str, set[str]]] = []
        for name, sql in self.columns.items():
            read = reads(sql, key_of(name))
            if not (name in prepared and name in there) and read <= known:
                possible.append((name, sql, read))
                known.add(name.lower())
        chosen: dict[str, str] = {}
        for name, sql, read in reversed(possible):
            if name.lower() in wanted:
                chosen[name] = sql
                wanted = wanted - {name.lower()} | read
        return dict(reversed(chosen.items())), wanted

    def _prepared(self, source: Source) -> Mapping[str, str]:
        """The columns that a preparation has computed already.

        Raises:
            DataError: it has computed one of them differently.
        """
        if not source.computed and all(_in_a_run(name) for name in source.file_names):
            # From a version that left no mark in its files.
            return self.columns
        for name, sql in source.computed.items():
            if name in source.columns and self.columns.get(name, sql) != sql:
                raise DataError(
                    f"{source.name} was prepared with {key_of(name)} = {sql}, and the model reads "
                    f"{self.columns[name]}. Give the rows that it was prepared from, or prepare them again."
                )
        return source.computed

    def _refuse_missing(self, name: str, there: set[str], needed: Mapping[str, str]) -> None:
        """Refuses rows without a needed column; one message lists all columns that only prepared rows have."""
        lower = {column.lower() for column in there}
        # SQL ignores case, so the columns that a filter reads are in lower case here.
        missing = [c for c, what in needed.items() if c not in there and (what != "data.filter" or c not in lower)]
        lines = [line for column in missing for line in self._why(column, there)]
        if lines:
            raise DataError(
                f"{name} lacks columns that the model reads:\n  " + "\n  ".join(lines) + "\n"
                "Add these columns to the rows, or give prepared rows, such as those in RUN/data or from python -m "
                "tfwd.prepare."
            )
        for column in missing:
            raise no_column(name, there, column, needed[column])

    def _why(self, column: str, there: Collection[str]) -> Iterator[str]:
        if column in self.histories:
            yield f"{column!r}: data.history makes it from a user's earlier events, which no single row has"
        elif column in self.columns:
            sql = self.columns[column]
            known = {name.lower() for name in there}
            absent = ", ".join(map(repr, sorted(reads(sql, key_of(column)) - known)))
            yield f"{column!r}: {key_of(column)} computes it as {sql}, and there is no {absent}"
        elif self.joins:
            by = ", ".join(map(repr, self.joins))
            yield f"{column!r}: neither there nor computed; data.join adds columns from other tables by {by}"


def _in_a_run(file: str) -> bool:
    """Whether a file was prepared by a training for its run."""
    folder = Path(file).resolve().parent
    return folder.name == "data" and (folder.parent / "run.json").is_file()
