"""The run directory: everything that a training writes, readable at any moment.

    config.yaml      the complete configuration, from which the run can be repeated
    run.json         format, tfwd version, status, what the training was given besides its configuration
    rows.json        what each split was: its files, the number of its rows, their fingerprint
    statistics/      what was learned from the training rows, and 64 rows to compare with (background.parquet)
    model.keras      the full state of the best step, optimizer slots included
    metrics.json     exact metrics: {"validation": {...}, "test": {...}}
    history.csv      one line per evaluation
    checkpoints/     the full state of the last step
    data/            the prepared rows, if the configuration asks for preparation
    origin/          during training, what is needed from the run that it is warm-started from
    warm_start.json  what was carried over from that run
    logs/            TensorBoard

Files are written under a temporary name and renamed, so that a crash leaves the last complete one.
"""

from __future__ import annotations

import contextlib
import dataclasses
import shutil
import sys
from collections.abc import Iterator
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import tfwd.version
from tfwd.analysis.statistics import FeatureStatistics
from tfwd.config.config import Config
from tfwd.data.provenance import Provenance
from tfwd.errors import ConfigError, RunError
from tfwd.features.layout import build_layout
from tfwd.features.space import FeatureSpace
from tfwd.run_folder.leftovers import LOCK, refuse_existing_run, refuse_links, remove_leftovers, replaced_by
from tfwd.run_folder.record import Given, Head, format_of
from tfwd.utils.files import (
    as_json,
    folder_beside,
    link_or_copy,
    read_json,
    reason,
    remove,
    write_text,
)
from tfwd.utils.locks import HeldError, only_holder

if TYPE_CHECKING:
    from tfwd.model.wide_deep import WideDeep


class RunFolder:
    """An existing run directory. `create` makes one, `open` reads one.

    Args:
        path: the directory.
        config: its configuration.
    """

    def __init__(self, path: Path, config: Config) -> None:
        self.path, self.config = path, config

    def __repr__(self) -> str:
        return f"{type(self).__name__}({str(self.path)!r})"

    @classmethod
    def create(
        cls,
        path: str | Path,
        config: Config,
        data: Path | None = None,
        origin: RunFolder | None = None,
        given: Given | None = None,
        overwrite: bool = False,
    ) -> Self:
        """Creates the directory, with its configuration in it.

        Args:
            path: the directory.
            config: the whole configuration.
            data: a folder of prepared rows, which is moved into the run.
            origin: the run that it is warm-started from; the run keeps what it needs from it.
            given: what the training was given besides the configuration.
            overwrite: whether an existing run is replaced; see `refuse_foreign`.

        Raises:
            RunError: the path exists already, or cannot be written to.
        """
        path = Path(path) if overwrite else refuse_existing_run(path)
        # A run can be resumed from any folder, and its configuration is no longer where its paths are relative to.
        run = cls(path, config.absolute())
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            with (
                replaced_by(path) if overwrite else contextlib.nullcontext(False) as replaced,
                # What has appeared since the check is somebody else's, and stays.
                folder_beside(path, replaced) as temporary,
            ):
                (temporary / "config.yaml").write_text(run.config.dump(), encoding="utf-8")
                (temporary / "run.json").write_text(
                    Head("created", given=given, format=format_of(run.config)).dump(), encoding="utf-8"
                )
                for name in ("statistics", "checkpoints", "logs"):
                    (temporary / name).mkdir()
                if data is not None:
                    shutil.move(data, temporary / "data")
                if origin is not None:
                    _keep(origin, temporary / "origin")
        except OSError as error:
            raise RunError(f"The run cannot be made in {path}: {reason(error)}.") from None
        return run

    @classmethod
    def open(cls, path: str | Path) -> Self:
        """Opens an existing run.

        Raises:
            RunError: the path is not a run, or the run is damaged or of a version that this one cannot read.
        """
        path = Path(path)
        Head.load(path)
        return cls(path, Config.load(path / "config.yaml"))

    @property
    def head(self) -> Head:
        """The contents of `run.json`."""
        return Head.load(self.path)

    @property
    def status(self) -> str:
        """The status of the run: `created`, `training` or `finished`."""
        return self.head.status

    def set_status(self, status: str) -> None:
        """Records the status of the run."""
        self._set(status=status)

    def set_exported(self, format: str, place: str) -> None:
        """Records where in `export/` the model goes in a format, before it is written."""
        self._set(exported={**self.head.exported, format: place})

    def _set(self, **changes: Any) -> None:
        dataclasses.replace(self.head, version=tfwd.version.__version__, **changes).save(self.path)

    @cached_property
    def model(self) -> WideDeep:
        """The model of the best step, compiled as it was trained.

        Raises:
            RunError: training has not reached its first evaluation yet, or the file is damaged.
        """
        # Imported here, as it brings TensorFlow.
        from tfwd.model.saving import load_model

        return load_model(self.path / "model.keras")

    @cached_property
    def statistics(self) -> FeatureStatistics:
        """What was learned from the training rows; read once.

        Raises:
            RunError: a file is missing, damaged or of another version.
        """
        return FeatureStatistics.load(self.path / "statistics")

    def refuse_changed(self) -> None:
        """Checks that the features of `config.yaml` and the statistics are those that the model was built from.

        Raises:
            RunError: they are not, or one of the three files is missing or damaged.
        """
        model, space = self.model, FeatureSpace(self.config.features, self.statistics)
        try:
            same = build_layout(space, self.config.model.heads, model.schema.outputs) == model.layout
        except (LookupError, ConfigError):
            same = False
        if not same:
            raise RunError(
                f"{self.path}: the features of config.yaml with the statistics make other tables than model.keras has: "
                "one of them was changed after the training. Restore the file, or train again."
            )

    @property
    def metrics(self) -> dict[str, dict[str, float]]:
        """The contents of metrics.json; empty before the end of the training.

        Raises:
            RunError: the file is damaged.
        """
        path = self.path / "metrics.json"
        try:
            found = read_json(path)
        except FileNotFoundError:
            return {}
        for split, values in found.items():
            if not isinstance(values, dict) or not all(_is_metric(value) for value in values.values()):
                raise RunError(f"{path} is damaged: {split} is not an object of numbers. Remove it, or train again.")
        return found

    @property
    def data(self) -> Path | None:
        """The folder of the prepared rows, or None if the sources are read directly."""
        return self.path / "data" if (self.path / "data").is_dir() else None

    @cached_property
    def origin(self) -> RunFolder | None:
        """What is kept, during training, of the run to warm-start from; None for a cold start. Read once."""
        return RunFolder.open(self.path / "origin") if (self.path / "origin").is_dir() else None

    @property
    def provenance(self) -> Provenance | None:
        """What each split of the training was; None for a run before version 0.4, which did not record it.

        Raises:
            RunError: the file is damaged.
        """
        return Provenance.load(self.path / "rows.json")

    def save_statistics(self, statistics: FeatureStatistics) -> None:
        """Writes the statistics, replacing earlier ones."""
        with folder_beside(self.path / "statistics", replace=True) as temporary:
            statistics.save(temporary)
        self.__dict__["statistics"] = statistics

    def save_metrics(self, metrics: dict[str, dict[str, float]]) -> None:
        """Writes metrics.json."""
        write_text(self.path / "metrics.json", as_json(metrics))

    def finish(self) -> None:
        """Records the end of the training, after which the older run is no longer needed."""
        remove(self.path / "origin")
        self.__dict__.pop("origin", None)
        self.set_status("finished")

    @contextlib.contextmanager
    def writing(self) -> Iterator[None]:
        """Locks the run against other writers; first removes what a killed one left half-written.

        Raises:
            RunError: another process writes to it, or a link in it leads elsewhere.
        """
        refuse_links(self.path)
        with contextlib.ExitStack() as stack:
            try:
                stack.enter_context(only_holder(self.path / LOCK))
            except HeldError as error:
                raise RunError(
                    f"{self.path} is being written to by {error.holder}. Wait until it is done, or stop it first."
                ) from None
            except OSError as error:
                raise RunError(f"{self.path} cannot be written to: {reason(error)}.") from None
            remove_leftovers(self.path)
            yield


def _is_metric(value: Any) -> bool:
    if value is None:
        return True
    # An integer beyond any float can be read, but not printed.
    return isinstance(value, int | float) and not isinstance(value, bool) and not abs(value) > sys.float_info.max


def _keep(run: RunFolder, folder: Path) -> None:
    """Copies what a training needs from an older run, as a separate run directory."""
    folder.mkdir()
    for name in ("config.yaml", "run.json"):
        shutil.copyfile(run.path / name, folder / name)
    run.statistics.save(folder / "statistics")
    link_or_copy(run.path / "model.keras", folder / "model.keras")
