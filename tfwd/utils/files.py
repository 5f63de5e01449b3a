"""Files that appear complete or not at all, what a kill leaves of them, and JSON that is checked when read."""

from __future__ import annotations

import contextlib
import errno
import json
import math
import os
import re
import secrets
import shutil
import stat
from collections.abc import Callable, Collection, Iterator
from pathlib import Path
from typing import Any, NoReturn

from tfwd.errors import RunError
from tfwd.utils.locks import hold, is_abandoned

# The ending of a hidden name: eight characters, as in Python's own temporary names.
_RANDOM = "[a-z0-9_]{8}"
_HIDDEN = re.compile(rf"\..+-{_RANDOM}(-old|\..+)?")
# Far beyond what tfwd writes, far below what fills the memory.
_LONGEST_JSON = 256 * 2**20
_KINDS = {
    "a file": stat.S_ISREG,
    "a folder": stat.S_ISDIR,
    "a pipe": stat.S_ISFIFO,
    "a socket": stat.S_ISSOCK,
    "a device": stat.S_ISCHR,
    "a disk": stat.S_ISBLK,
}
_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


def what_it_is(path: str | Path) -> str | None:
    """What exists at a path, in words; None if nothing does or can."""
    try:
        mode = os.stat(path).st_mode
    except (OSError, ValueError):
        return None
    return next((kind for kind, holds in _KINDS.items() if holds(mode)), None)


def refuse_existing(path: str | Path, advice: str) -> Path:
    """Returns the path of a file or folder to be made, if nothing exists there yet.

    Args:
        path: the path.
        advice: what to do about it, for the message.

    Raises:
        RunError: something exists there.
    """
    path = Path(path)
    if os.path.lexists(path):
        raise RunError(f"{path} exists already. {advice}")
    return path


@contextlib.contextmanager
def file_beside(path: Path) -> Iterator[Path]:
    """A path to write to, in the same folder and with the same ending, renamed to `path` on success.

    It is held while it is written to, so that one that is not held was left by a killed process.
    """
    temporary = _new(path, path.stem, path.suffix, _make_file)
    handle = hold(temporary)
    try:
        yield temporary
        to_disk(temporary)
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)
        if handle is not None:
            os.close(handle)


@contextlib.contextmanager
def folder_beside(path: Path, replace: bool = False) -> Iterator[Path]:
    """A folder to fill, beside `path` and hidden, renamed to `path` on success.

    Args:
        path: the folder to appear.
        replace: whether an existing one is replaced; otherwise it must not exist.

    Raises:
        OSError: it cannot be written, or another process has made it meanwhile.
    """
    with hidden_folder(path) as temporary:
        old = Path(f"{temporary}-old")
        try:
            yield temporary
            for file in temporary.rglob("*"):
                if file.is_file() and not file.is_symlink():
                    to_disk(file)
            if replace and path.exists():
                os.rename(path, old)
            os.rename(temporary, path)
        finally:
            # Also after an interrupt between the two renames.
            if os.path.lexists(old):
                _settle(old, path, replaced=not temporary.exists())


def _settle(old: Path, path: Path, replaced: bool) -> None:
    """Removes the older folder if it was replaced, and otherwise puts it back.

    Raises:
        OSError: meanwhile somebody else made something at its path; says where the older folder is now.
    """
    if not os.path.lexists(path):
        os.rename(old, path)
    elif replaced:
        shutil.rmtree(old, ignore_errors=True)
    else:
        kept = path.with_name(f"{path.name}-{secrets.token_hex(4)}-old")
        os.rename(old, kept)
        raise FileExistsError(
            errno.EEXIST, f"another process has made it meanwhile, and what was there before is now {kept}", str(path)
        )


@contextlib.contextmanager
def hidden_folder(path: Path) -> Iterator[Path]:
    """A new hidden folder beside `path`, held while it is used; if it still exists at the end, it is removed."""
    temporary = _new(path, path.name, "", os.mkdir)
    handle = hold(temporary)
    try:
        yield temporary
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
        if handle is not None:
            os.close(handle)


def _new(path: Path, name: str, ending: str, make: Callable[[Path], None]) -> Path:
    # Not Python's tempfile, whose files nobody else may read, regardless of the umask.
    while True:
        temporary = path.with_name(f".{name}-{secrets.token_hex(4)}{ending}")
        try:
            make(temporary)
        except FileExistsError:
            continue
        return temporary


def _make_file(path: Path) -> None:
    os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666))


def left_beside(path: Path) -> Iterator[Path]:
    """What killed processes left of `file_beside(path)` and `hidden_folder(path)`: hidden, and held by nobody."""
    stem, whole, ending = re.escape(path.stem), re.escape(path.name), re.escape(path.suffix)
    name = re.compile(rf"\.{stem}-{_RANDOM}{ending}|\.{whole}-{_RANDOM}(-old)?")
    if path.parent.is_dir():
        for entry in sorted(path.parent.iterdir()):
            if name.fullmatch(entry.name) and is_abandoned(entry):
                yield entry


def left_folders(path: Path, parts: Collection[str]) -> Iterator[Path]:
    """The folders among `left_beside(path)` that hold nothing but `parts` and unfinished files of them.

    A user's own folder of such a name is kept.
    """
    for left in left_beside(path):
        if left.is_dir() and not left.is_symlink():
            names = {entry.name for entry in left.iterdir() if not _HIDDEN.fullmatch(entry.name)}
            if names <= set(parts):
                yield left


def remove(path: Path) -> None:
    """Removes a file, a link (not its target) or a folder with everything in it."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def link_or_copy(source: Path, target: Path) -> None:
    """Gives a finished file, which is never written to but replaced as a whole, a second name."""
    try:
        os.link(source.resolve(), target)
    except OSError:  # not every file system has links
        shutil.copyfile(source, target)


def to_disk(path: Path) -> None:
    """Waits until the content of a file is on the disk."""
    # A rename may reach the disk before the content of the file: a machine that stops then would leave an empty file.
    with path.open("rb") as file:
        os.fsync(file.fileno())


def write_text(path: Path, text: str) -> None:
    """Writes a text file under a temporary name beside `path` and renames it."""
    with file_beside(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def as_json(values: dict[str, Any]) -> str:
    """Returns values as JSON; an undefined number (NaN) is null, since JSON has no word for it."""

    def plain(value: Any) -> Any:
        if isinstance(value, dict):
            return {name: plain(part) for name, part in value.items()}
        return None if isinstance(value, float) and not math.isfinite(value) else value

    return json.dumps(plain(values), indent=1) + "\n"


def read_json(path: Path, nan: bool = False) -> dict[str, Any]:
    """The object in a JSON file.

    Args:
        path: the file.
        nan: whether NaN and infinity, for which JSON has no word, may be in it.

    Raises:
        RunError: it is not JSON, cannot be read (too long, nested too deep), or is not an object.
        FileNotFoundError, NotADirectoryError: it does not exist.
    """

    def refuse(why: str) -> NoReturn:
        raise RunError(f"{path} is damaged: {why}.") from None

    try:
        if path.stat().st_size > _LONGEST_JSON or not path.is_file():
            refuse("it is too long" if path.is_file() else "it is not a file")
        text = path.read_text(encoding="utf-8")
        found = json.loads(text, parse_constant=None if nan else lambda word: refuse(f"it holds {word}"))
    except UnicodeDecodeError:
        refuse("it is not UTF-8 text")
    except ValueError:
        refuse("it is not JSON")
    except RecursionError:
        refuse("it is nested too deep")
    except (FileNotFoundError, NotADirectoryError):
        raise
    except OSError as error:
        raise RunError(f"{path} cannot be read: {reason(error)}.") from None
    if not isinstance(found, dict):
        refuse(f"expected an object of names and values, found {type(found).__name__}")
    return found


@contextlib.contextmanager
def disk_errors(path: Path) -> Iterator[None]:
    """Turns the error of a full disk into an `OSError`, whatever the writing library raises.

    Args:
        path: what is written, for the message.
    """
    try:
        yield
    except OSError:
        raise
    except Exception as error:
        code = next((code for code in _FULL if os.strerror(code) in str(error)), None)
        if code is None:
            raise
        raise OSError(code, os.strerror(code), str(path)) from None


def reason(error: OSError) -> str:
    """Why the system refused, in words."""
    if error.errno == errno.ENOSPC or os.strerror(errno.ENOSPC) in str(error):
        return "the disk is full"
    return error.strerror or str(error)
