"""The run directory: everything that a training leaves, readable at any moment.

    config.yaml      the complete configuration, from which the run can be repeated
    run.json         format, version of tfwd, how far the run is, what the training was given beside its configuration
    rows.json        what each split was: its files, the number of its rows, their fingerprint
    statistics/      what was learnt from the training rows
    model.keras      the full state of the best step, optimizer slots included
    metrics.json     exact metrics: {"validation": {...}, "test": {...}}
    history.csv      a line an evaluation
    checkpoints/     the full state of the last step
    data/            the prepared rows, where the configuration asks for preparation
    origin/          while it trains, what is needed of the run that it goes on from
    warm_start.json  what was carried over from that run
    logs/            TensorBoard

Files are written beside and renamed, so that a crash leaves the last whole one.
"""

from __future__ import annotations

import contextlib
import dataclasses
import os
import re
import shutil
import sys
from collections.abc import Iterator, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from numpy.typing import NDArray

import tfwd.version
from tfwd.analysis.statistics import FeatureStatistics
from tfwd.config import Config
from tfwd.data.provenance import Provenance
from tfwd.errors import ConfigError, RunError
from tfwd.run_head import Given, Head
from tfwd.utils.files import (
    as_json,
    disk_errors,
    folder_beside,
    hidden_folder,
    left_beside,
    left_folders,
    link_or_copy,
    read_json,
    reason,
    refuse_existing,
    remove,
    to_disk,
    write_text,
)
from tfwd.utils.locks import HeldError, is_abandoned, only_holder

if TYPE_CHECKING:
    import pandas as pd

    from tfwd.data.source import Source
    from tfwd.model import WideDeep
    from tfwd.recommend.recommender import Recommender
    from tfwd.scoring import Scorer

_FOLDERS = ("statistics", "checkpoints", "logs", "data", "origin", "export")
_FILES = ("model.keras", "run.json", "rows.json", "metrics.json", "history.csv", "warm_start.json", "config.yaml")
_LOCK = ".lock"
_CHECKPOINT = re.compile(r"\.(re)?fit-\d+-\d+-[a-z0-9_]{8}")
_HDF5 = b"\x89HDF\r\n\x1a\n"


class Run:
    """A run directory that exists. Make one with `Run.create`, read one with `Run.open`.

    Args:
        path: the directory.
        config: its configuration.
    """

    def __init__(self, path: Path, config: Config) -> None:
        self.path, self.config = path, config

    def __repr__(self) -> str:
        return f"Run({str(self.path)!r})"

    @classmethod
    def create(
        cls,
        path: str | Path,
        config: Config,
        data: Path | None = None,
        origin: Run | None = None,
        given: Given | None = None,
        overwrite: bool = False,
    ) -> Run:
        """Makes the directory, with its configuration in it.

        Args:
            path: the directory.
            config: the whole configuration.
            data: a folder of prepared rows, which the run takes.
            origin: the run that it goes on from, of which it keeps what it needs.
            given: what the training was given beside the configuration.
            overwrite: whether a run that is there is replaced; see `refuse_foreign`.

        Raises:
            RunError: something is there already, or the place cannot be written to.
        """
        path = Path(path) if overwrite else refuse_existing(path)
        # The run is resumed from any folder, and its configuration lies in another one than the paths in it meant.
        run = cls(path, config.absolute())
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            with (
                _replaced(path) if overwrite else contextlib.nullcontext(False) as replaced,
                # What has come since nothing was there is somebody else's, and stays.
                folder_beside(path, replaced) as temporary,
            ):
                (temporary / "config.yaml").write_text(run.config.dump(), encoding="utf-8")
                (temporary / "run.json").write_text(Head("created", given=given).dump(), encoding="utf-8")
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
    def open(cls, path: str | Path) -> Run:
        """Opens a run that was made before.

        Raises:
            RunError: the path is no run, a damaged one, or one of a version that this one cannot read.
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
        """How far the run is: `created`, `training` or `finished`."""
        return self.head.status

    def set_status(self, status: str) -> None:
        """Records how far the run is."""
        self._set(status=status)

    def set_exported(self, format: str, place: str) -> None:
        """Records where in `export/` the model goes in a format, before it goes there."""
        self._set(exported={**self.head.exported, format: place})

    def _set(self, **changes: Any) -> None:
        dataclasses.replace(self.head, version=tfwd.version.__version__, **changes).save(self.path)

    @cached_property
    def model(self) -> WideDeep:
        """The model of the best step, compiled as it was trained.

        Raises:
            RunError: training has not come to a first evaluation yet, or the file is damaged.
        """
        return load_model(self.path / "model.keras")

    @cached_property
    def statistics(self) -> FeatureStatistics:
        """What was learnt from the training rows; read once.

        Raises:
            RunError: a file is missing, damaged or of another version.
        """
        return FeatureStatistics.load(self.path / "statistics")

    def wide_weights(self, nonzero: bool = True) -> pd.DataFrame:
        """The named weights of the wide head, the heaviest first; see `tfwd.wide_weights`."""
        from tfwd.inspection import wide_weights

        self.refuse_changed()
        return wide_weights(self.model, self.config.features, self.statistics, nonzero)

    def refuse_changed(self) -> None:
        """Looks whether the features of `config.yaml` and the statistics are those that the model was made of.

        Raises:
            RunError: they are not, or one of the three files is missing or damaged.
        """
        from tfwd.features.layout import build_layout

        model, features, statistics = self.model, self.config.features, self.statistics
        try:
            same = build_layout(features, statistics, self.config.model.heads, model.schema.outputs) == model.layout
        except (LookupError, ConfigError):
            same = False
        if not same:
            raise RunError(
                f"{self.path}: the features of config.yaml with the statistics make other tables than model.keras has: "
                "one of them was changed after the training. Bring the file back, or train again."
            )

    def recommend(
        self, users: Any, *, k: int | None = None, candidates: Sequence[Any] | None = None, include_seen: bool = False
    ) -> pd.DataFrame:
        """The best items of the run's catalogue for some users; see `tfwd.Recommender.recommend`."""
        return self._recommender.recommend(users, k=k, candidates=candidates, include_seen=include_seen)

    @cached_property
    def _recommender(self) -> Recommender:
        from tfwd.recommend.recommender import Recommender

        return Recommender(self)

    def predict(self, data: Any, *, key: Sequence[str] | None = None) -> Any:
        """Answers every row of a frame, or of a file, as a frame in memory; see `tfwd.Scorer.predict`."""
        return self._scorer.predict(data, key=key)

    def evaluate(self, data: Any) -> dict[str, float]:
        """The exact metrics on a frame, or a file, of labelled rows; see `tfwd.Scorer.evaluate`."""
        return self._scorer.evaluate(data)

    @cached_property
    def _scorer(self) -> Scorer:
        from tfwd.scoring import run_scorer

        return run_scorer(self)

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
        for part, values in found.items():
            if not isinstance(values, dict) or not all(_is_metric(value) for value in values.values()):
                raise RunError(f"{path} is damaged: {part} is no object of numbers. Take it away, or train again.")
        return found

    @property
    def data(self) -> Path | None:
        """The folder of the prepared rows, or None where the sources are read as they are."""
        return self.path / "data" if (self.path / "data").is_dir() else None

    @cached_property
    def origin(self) -> Run | None:
        """What is kept of the run that this one goes on from, while it trains; None where it began anew. Read once."""
        return Run.open(self.path / "origin") if (self.path / "origin").is_dir() else None

    @property
    def provenance(self) -> Provenance | None:
        """What each split of the training was; None of a run before version 0.4, of which it is not known.

        Raises:
            RunError: the file is damaged.
        """
        return Provenance.load(self.path / "rows.json")

    def rows(self, part: Literal["train", "test"]) -> str | tuple[str, ...] | None:
        """Where the rows of a part are, prepared or not; None where they are nowhere, or came from a frame.

        A tuple where the configuration names several files.
        """
        if self.data is not None:
            file = self.data / f"{part}.parquet"
            return str(file) if file.is_file() else None
        return None if self.was_frame(part) else getattr(self.config.data, part)

    def was_frame(self, part: str) -> bool:
        """Whether the training was given a frame, which it does not have, for `train`, `validation` or `test`."""
        given = self.head.given
        return given is not None and part in given.frames

    def source(self) -> Source | None:
        """The run's test data, or else its training data, as the training read it.

        None where the run was trained on frames, whose rows it does not have.

        Raises:
            DataError: the file is gone.
        """
        from tfwd.data.source import Source

        data, path = self.config.data, self.rows("test") or self.rows("train")
        if path is None:
            return None
        if self.data is not None:
            return Source.open(path)
        return Source.open(path, csv=data.csv, format=data.format, filter=data.filter)

    def sample(self, count: int) -> dict[str, NDArray[Any]] | None:
        """The first raw rows of the run's test data, or else of its training data: `{input: (N,)}`, N at most `count`.

        None where the run was trained on frames, whose rows it does not have.

        Raises:
            DataError: the file is gone, or has changed its columns.
        """
        from tfwd.data.rows import Rows

        source = self.source()
        if source is None:
            return None
        batch = next(Rows(source, self.model.schema, labelled=False).batches(count), None)
        return None if batch is None else batch.inputs

    def save_statistics(self, statistics: FeatureStatistics) -> None:
        """Writes the statistics, in place of earlier ones."""
        with folder_beside(self.path / "statistics", replace=True) as temporary:
            statistics.save(temporary)
        self.__dict__["statistics"] = statistics

    def save_metrics(self, metrics: dict[str, dict[str, float]]) -> None:
        """Writes metrics.json."""
        write_text(self.path / "metrics.json", as_json(metrics))

    def finish(self) -> None:
        """Records the end of the training, after which nothing of an older run is needed."""
        remove(self.path / "origin")
        self.__dict__.pop("origin", None)
        self.set_status("finished")

    @contextlib.contextmanager
    def writing(self) -> Iterator[None]:
        """Keeps all others from writing to the run; what a killed one left half-written is removed first.

        Raises:
            RunError: another process writes to it, or a link in it leads elsewhere.
        """
        self._refuse_links()
        with contextlib.ExitStack() as stack:
            try:
                stack.enter_context(only_holder(self.path / _LOCK))
            except HeldError as error:
                raise RunError(
                    f"{self.path} is being written to by {error.holder}. Wait until it is done, or stop it first."
                ) from None
            except OSError as error:
                raise RunError(f"{self.path} cannot be written to: {reason(error)}.") from None
            self.remove_leftovers()
            yield

    def remove_leftovers(self) -> None:
        """Removes what a killed process left half-written among the files of the run and beside it."""
        for name in (*_FILES, *_FOLDERS):
            for left in left_beside(self.path / name):
                remove(left)
        if (self.path / "checkpoints").is_dir():
            for left in (self.path / "checkpoints").iterdir():
                if _CHECKPOINT.fullmatch(left.name):
                    remove(left)
        for left in self.path.glob("tmp????????"):
            # What Keras writes weights to on their way into a .keras file, where memory is short.
            if left.is_file() and not left.is_symlink() and _begins(left) in (b"", _HDF5):
                left.unlink()
        remove_beside(self.path)

    def _refuse_links(self) -> None:
        """Refuses a run in which a link leads elsewhere: what is written to it, or removed from it, would be there."""
        own = [self.path / name for name in (*_FILES, *_FOLDERS)]
        below = (
            Path(folder) / name
            for top in own
            if not top.is_symlink()
            for folder, folders, files in os.walk(top)
            for name in (*folders, *files)
        )
        for path in (*own, *below):
            if path.is_symlink():
                raise RunError(
                    f"{path} is a symbolic link to {os.readlink(path)}: a run that is written to holds none, since "
                    "what is written or removed would be elsewhere. Put what it leads to in its place."
                )


def _begins(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(len(_HDF5))


def _is_metric(value: Any) -> bool:
    if value is None:
        return True
    # A whole number beyond any float can be read, and not printed.
    return isinstance(value, int | float) and not isinstance(value, bool) and not abs(value) > sys.float_info.max


def _keep(run: Run, folder: Path) -> None:
    """What a training needs of an older run, as a run directory of its own."""
    folder.mkdir()
    for name in ("config.yaml", "run.json"):
        shutil.copyfile(run.path / name, folder / name)
    run.statistics.save(folder / "statistics")
    link_or_copy(run.path / "model.keras", folder / "model.keras")


@contextlib.contextmanager
def _replaced(path: Path) -> Iterator[bool]:
    """Whether there is a run to be replaced; it is held, so that no training that goes on in it is."""
    refuse_foreign(path)
    if not path.exists():
        yield False
        return
    try:
        with only_holder(path / _LOCK):
            yield True
    except HeldError as error:
        raise RunError(f"{path} is being written to by {error.holder}. Stop that first, or choose another.") from None


def refuse_foreign(path: str | Path) -> None:
    """Refuses to overwrite anything but a run, and a run in which somebody keeps other things too.

    Raises:
        RunError: the path is no run, or holds what is no part of one.
    """
    path = Path(path)
    if not os.path.lexists(path):
        return
    advice = "Only a run is overwritten. Choose another folder, or remove it yourself."
    if path.is_symlink() or not path.is_dir():
        raise RunError(f"{path} is {'a link' if path.is_symlink() else 'a file'}. {advice}")
    if not (path / "run.json").is_file() or not (path / "config.yaml").is_file():
        raise RunError(f"{path} is not a run directory: it has no run.json and config.yaml. {advice}")
    strange = sorted({entry.name for entry in path.iterdir()} - {*_FILES, *_FOLDERS, _LOCK} - _left_in(path))
    if strange:
        raise RunError(
            f"{path} also holds {', '.join(strange[:3])}, which is no part of a run. Move it away, or choose another "
            "folder."
        )


def _left_in(path: Path) -> set[str]:
    return {left.name for name in (*_FILES, *_FOLDERS) for left in left_beside(path / name)}


def remove_beside(path: Path) -> None:
    """Removes what killed trainings left beside a run: a run half-made, rows half-prepared.

    An older run that was about to be replaced, and has no successor, is put back.
    """
    for left in left_folders(path, {*_FILES, *_FOLDERS, _LOCK}):
        if (left / _LOCK).exists() and not is_abandoned(left / _LOCK):
            continue
        if left.name.endswith("-old") and not path.exists() and (left / "run.json").is_file():
            os.rename(left, path)
        else:
            remove(left)
    for left in left_folders(path.with_name(f"{path.name}-data"), {"data"}):
        remove(left)


def load_model(path: str | Path) -> WideDeep:
    """Loads a `.keras` file in Keras' safe mode.

    Raises:
        RunError: there is none, it is damaged, or it holds another kind of model.
    """
    import keras

    from tfwd.model import WideDeep

    path = Path(path)
    if not path.is_file():
        raise RunError(f"{path} is not there. In a run it means that the training has not come to an evaluation yet.")
    try:
        model = keras.saving.load_model(path)
    except Exception as error:  # zip, HDF5 and Keras raise what they like on a damaged file
        why = (str(error).splitlines() or [type(error).__name__])[0]
        raise RunError(f"{path} cannot be read as a Keras model, it may be damaged: {why}") from None
    if not isinstance(model, WideDeep):
        raise RunError(f"{path} holds a {type(model).__name__}, not a tfwd.WideDeep.")
    return model


def save_model(model: WideDeep, path: Path) -> None:
    """Writes a `.keras` file beside and renames it: whoever reads sees the old one or the new one, whole."""
    # In a folder of its own, where Keras' own temporary files go too.
    with hidden_folder(path) as temporary, disk_errors(path):
        model.save(temporary / path.name)
        to_disk(temporary / path.name)
        os.replace(temporary / path.name, path)
