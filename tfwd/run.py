"""The run directory: everything that a training leaves, readable at any moment.

    config.yaml      the complete configuration, from which the run can be repeated
    run.json         format, version of tfwd, how far the run is
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
import errno
import json
import math
import os
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from numpy.typing import NDArray

import tfwd.version
from tfwd.analysis.statistics import FeatureStatistics
from tfwd.config import Config
from tfwd.errors import RunError

if TYPE_CHECKING:
    import pandas as pd

    from tfwd.data.source import Source
    from tfwd.model import WideDeep
    from tfwd.recommend.recommender import Recommender

FORMAT = 3


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
    def create(cls, path: str | Path, config: Config, data: Path | None = None, origin: Run | None = None) -> Run:
        """Makes the directory, with its configuration in it.

        Args:
            path: the directory.
            config: the whole configuration.
            data: a folder of prepared rows, which the run takes.
            origin: the run that it goes on from, of which it keeps what it needs.

        Raises:
            RunError: something is there already, or the place cannot be written to.
        """
        path = refuse_existing(path)
        # The run is resumed from any folder, and its configuration lies in another one than the paths in it meant.
        run = cls(path, config.absolute())
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            with folder_beside(path) as temporary:
                (temporary / "config.yaml").write_text(run.config.dump(), encoding="utf-8")
                (temporary / "run.json").write_text(_head("created"), encoding="utf-8")
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
            RunError: the path is no run, or one of a version that this one cannot read.
        """
        path = Path(path)
        try:
            head = json.loads((path / "run.json").read_text(encoding="utf-8"))
        except (FileNotFoundError, NotADirectoryError):
            raise RunError(f"{path} is not a run directory: it has no run.json.") from None
        except ValueError:
            raise RunError(f"{path}/run.json is damaged: it is not JSON.") from None
        if not isinstance(head, dict) or head.get("format") != FORMAT or "status" not in head:
            found = head.get("format") if isinstance(head, dict) else head
            raise RunError(
                f"{path} was written by tfwd {_version(head)} in run format {found!r}; "
                f"this is tfwd {tfwd.version.__version__}, which reads format {FORMAT}. "
                "Train again, or use that version."
            )
        return cls(path, Config.load(path / "config.yaml"))

    @property
    def status(self) -> str:
        """How far the run is: `created`, `training` or `finished`."""
        return str(json.loads((self.path / "run.json").read_text(encoding="utf-8"))["status"])

    def set_status(self, status: str) -> None:
        """Records how far the run is."""
        write_text(self.path / "run.json", _head(status))

    @cached_property
    def model(self) -> WideDeep:
        """The model of the best step, compiled as it was trained.

        Raises:
            RunError: training has not come to a first evaluation yet, or the file is damaged.
        """
        return load_model(self.path / "model.keras")

    @property
    def statistics(self) -> FeatureStatistics:
        """What was learnt from the training rows.

        Raises:
            RunError: a file is missing, damaged or of another version.
        """
        try:
            return FeatureStatistics.load(self.path / "statistics")
        except (ValueError, KeyError, TypeError, OSError) as error:
            raise RunError(f"{self.path / 'statistics'} is damaged: {error!r}. Train again.") from None

    def wide_weights(self, nonzero: bool = True) -> pd.DataFrame:
        """The named weights of the wide head, the heaviest first; see `tfwd.wide_weights`."""
        from tfwd.inspection import wide_weights

        return wide_weights(self.model, self.config.features, self.statistics, nonzero)

    def recommend(
        self, users: Any, *, k: int | None = None, candidates: Sequence[Any] | None = None, include_seen: bool = False
    ) -> pd.DataFrame:
        """The best items of the run's catalogue for some users; see `tfwd.Recommender.recommend`."""
        return self._recommender.recommend(users, k=k, candidates=candidates, include_seen=include_seen)

    @cached_property
    def _recommender(self) -> Recommender:
        from tfwd.recommend.recommender import Recommender

        return Recommender(self)

    @property
    def metrics(self) -> dict[str, dict[str, float]]:
        """The contents of metrics.json; empty before the end of the training."""
        path = self.path / "metrics.json"
        return dict(json.loads(path.read_text(encoding="utf-8"))) if path.is_file() else {}

    @property
    def data(self) -> Path | None:
        """The folder of the prepared rows, or None where the sources are read as they are."""
        return self.path / "data" if (self.path / "data").is_dir() else None

    @property
    def origin(self) -> Run | None:
        """What is kept of the run that this one goes on from, while it trains; None where it began anew."""
        return Run.open(self.path / "origin") if (self.path / "origin").is_dir() else None

    def rows(self, part: Literal["train", "test"]) -> str | None:
        """Where the rows of a part are, prepared or not; None where they are nowhere, or came from a frame."""
        if self.data is not None:
            file = self.data / f"{part}.parquet"
            return str(file) if file.is_file() else None
        return self.config.data.test if part == "test" else self.config.data.train

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

    def save_metrics(self, metrics: dict[str, dict[str, float]]) -> None:
        """Writes metrics.json."""
        write_text(self.path / "metrics.json", as_json(metrics))

    def finish(self) -> None:
        """Records the end of the training, after which nothing of an older run is needed."""
        if (self.path / "origin").is_dir():
            shutil.rmtree(self.path / "origin")
        self.set_status("finished")

    def remove_leftovers(self) -> None:
        """Removes what a killed process left half-written beside the files of the run."""
        own = [f".{name}-*" for name in ("model", "run", "metrics", "history", "statistics")]
        for pattern in (*own, "checkpoints/.fit-*", "checkpoints/.refit-*"):
            for left in self.path.glob(pattern):
                shutil.rmtree(left) if left.is_dir() else left.unlink()


def _keep(run: Run, folder: Path) -> None:
    """What a training needs of an older run, as a run directory of its own."""
    folder.mkdir()
    for name in ("config.yaml", "run.json"):
        shutil.copyfile(run.path / name, folder / name)
    shutil.copytree(run.path / "statistics", folder / "statistics")
    link_or_copy(run.path / "model.keras", folder / "model.keras")


def refuse_existing(path: str | Path, advice: str = "Resume it with --resume, or choose another --output.") -> Path:
    """The path of a run or folder to be made, if nothing is there yet.

    Raises:
        RunError: something is.
    """
    path = Path(path)
    if path.exists():
        raise RunError(f"{path} exists already. {advice}")
    return path


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
    with file_beside(path) as temporary:
        model.save(temporary)


@contextlib.contextmanager
def file_beside(path: Path) -> Iterator[Path]:
    """A path to write to, in the same folder and with the same ending, renamed to `path` when all went well."""
    handle, name = tempfile.mkstemp(prefix=f".{path.stem}-", suffix=path.suffix, dir=path.parent)
    os.close(handle)
    temporary = Path(name)
    try:
        yield temporary
        temporary.chmod(0o644)
        _to_disk(temporary)
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


@contextlib.contextmanager
def folder_beside(path: Path, replace: bool = False) -> Iterator[Path]:
    """A folder to fill, beside `path` and hidden, renamed to `path` when all went well.

    Args:
        path: the folder to appear.
        replace: whether one that is there is replaced; otherwise it must not be there.
    """
    temporary = Path(tempfile.mkdtemp(prefix=f".{path.name}-", dir=path.parent))
    old = Path(f"{temporary}-old")
    try:
        yield temporary
        temporary.chmod(0o755)
        for file in temporary.rglob("*"):
            if file.is_file():
                _to_disk(file)
        if replace and path.exists():
            os.rename(path, old)
        os.rename(temporary, path)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
        shutil.rmtree(old, ignore_errors=True)


def link_or_copy(source: Path, target: Path) -> None:
    """Gives a finished file, which is never written to but replaced as a whole, a second name."""
    try:
        os.link(source, target)
    except OSError:  # not every file system has links
        shutil.copyfile(source, target)


def _to_disk(path: Path) -> None:
    # A rename may reach the disk before what the file holds: a machine that stops then would leave an empty file.
    with path.open("rb") as file:
        os.fsync(file.fileno())


def write_text(path: Path, text: str) -> None:
    """Writes a text file beside and renames it."""
    with file_beside(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def as_json(values: dict[str, Any]) -> str:
    """JSON of metrics; one that is undefined (NaN) is null, since JSON has no word for it."""

    def plain(value: Any) -> Any:
        if isinstance(value, dict):
            return {name: plain(part) for name, part in value.items()}
        return None if isinstance(value, float) and not math.isfinite(value) else value

    return json.dumps(plain(values), indent=1) + "\n"


def reason(error: OSError) -> str:
    """Why the system refused, in words."""
    if error.errno == errno.ENOSPC or "No space left" in str(error):
        return "the disk is full"
    return error.strerror or str(error)


def _head(status: str) -> str:
    head = {"format": FORMAT, "version": tfwd.version.__version__, "status": status}
    return json.dumps(head, indent=1) + "\n"


def _version(head: Any) -> str:
    return str(head.get("version", "of an unknown version")) if isinstance(head, dict) else "of an unknown version"
