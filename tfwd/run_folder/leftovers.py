"""What killed processes leave in and next to a run directory, and what may be overwritten."""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Iterator
from pathlib import Path

from tfwd.errors import RunError
from tfwd.utils.files import left_beside, left_folders, refuse_existing, remove
from tfwd.utils.locks import HeldError, is_abandoned, only_holder

_FOLDERS = ("statistics", "checkpoints", "logs", "data", "origin", "export")


_FILES = ("model.keras", "run.json", "rows.json", "metrics.json", "history.csv", "warm_start.json", "config.yaml")


LOCK = ".lock"


_CHECKPOINT = re.compile(r"\.(re)?fit-\d+-\d+-[a-z0-9_]{8}")


_HDF5 = b"\x89HDF\r\n\x1a\n"


def _begins(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(len(_HDF5))


@contextlib.contextmanager
def replaced_by(path: Path) -> Iterator[bool]:
    """Yields whether there is a run to replace, and locks it, so that no run that is still training is replaced."""
    refuse_foreign(path)
    if not path.exists():
        yield False
        return
    try:
        with only_holder(path / LOCK):
            yield True
    except HeldError as error:
        raise RunError(f"{path} is being written to by {error.holder}. Stop that first, or choose another.") from None


def refuse_existing_run(path: str | Path) -> Path:
    """Returns the path of a run to be made, if nothing exists there yet.

    Raises:
        RunError: something exists there.
    """
    return refuse_existing(
        path, "Resume it with --resume, replace it with --overwrite (overwrite=True), or choose another --output."
    )


def refuse_foreign(path: str | Path) -> None:
    """Refuses to overwrite anything but a run, or a run that also holds other files.

    Raises:
        RunError: the path is not a run, or holds something that is not part of one.
    """
    path = Path(path)
    if not os.path.lexists(path):
        return
    advice = "Only a run is overwritten. Choose another folder, or remove it yourself."
    if path.is_symlink() or not path.is_dir():
        raise RunError(f"{path} is {'a link' if path.is_symlink() else 'a file'}. {advice}")
    if not (path / "run.json").is_file() or not (path / "config.yaml").is_file():
        raise RunError(f"{path} is not a run directory: it has no run.json and config.yaml. {advice}")
    strange = sorted({entry.name for entry in path.iterdir()} - {*_FILES, *_FOLDERS, LOCK} - _left_in(path))
    if strange:
        raise RunError(
            f"{path} also holds {', '.join(strange[:3])}, which is not part of a run. Move it away, or choose another "
            "folder."
        )


def _left_in(path: Path) -> set[str]:
    return {left.name for name in (*_FILES, *_FOLDERS) for left in left_beside(path / name)}


def remove_beside(path: Path) -> None:
    """Removes what killed trainings left next to a run: a half-made run, half-prepared rows.

    An older run that was about to be replaced, and has no successor, is restored.
    """
    for left in left_folders(path, {*_FILES, *_FOLDERS, LOCK}):
        if (left / LOCK).exists() and not is_abandoned(left / LOCK):
            continue
        if left.name.endswith("-old") and not path.exists() and (left / "run.json").is_file():
            os.rename(left, path)
        else:
            remove(left)
    for left in left_folders(path.with_name(f"{path.name}-data"), {"data"}):
        remove(left)


def remove_leftovers(run: Path) -> None:
    """Removes what a killed process left half-written among the files of the run and next to it."""
    for name in (*_FILES, *_FOLDERS):
        for left in left_beside(run / name):
            remove(left)
    if (run / "checkpoints").is_dir():
        for left in (run / "checkpoints").iterdir():
            if _CHECKPOINT.fullmatch(left.name):
                remove(left)
    for left in run.glob("tmp????????"):
        # Keras writes weights here on their way into a .keras file when memory is short.
        if left.is_file() and not left.is_symlink() and _begins(left) in (b"", _HDF5):
            left.unlink()
    remove_beside(run)


def refuse_links(run: Path) -> None:
    """Refuses a run in which a link leads elsewhere, since writing or removing would affect the link's target.

    Raises:
        RunError: there is such a link; names it.
    """
    own = [run / name for name in (*_FILES, *_FOLDERS)]
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
                f"{path} is a symbolic link to {os.readlink(path)}: a run that is written to may hold none, since "
                "files elsewhere would be changed or removed. Replace it by what it points to."
            )
