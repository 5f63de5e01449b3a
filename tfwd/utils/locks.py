"""Who writes, and whether that process is still alive: locks of the operating system, which end with the process."""

from __future__ import annotations

import contextlib
import errno
import os
import socket
import stat
from collections.abc import Iterator
from pathlib import Path

try:
    import fcntl
except ImportError:  # pragma: no cover  # Windows, where two writers of one run are not told apart
    fcntl = None  # type: ignore[assignment]


class HeldError(Exception):
    """Another process, or another training of this one, holds the lock.

    Args:
        holder: who, in words.
    """

    def __init__(self, holder: str) -> None:
        super().__init__(holder)
        self.holder = holder


def hold(path: Path) -> int | None:
    """An open file that is locked for as long as it is open, or None if locks are not available.

    Args:
        path: a file or folder that is there.

    Raises:
        BlockingIOError: somebody holds it.
    """
    handle = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
    try:
        if _locked(handle):
            return handle
    except BlockingIOError:
        os.close(handle)
        raise
    os.close(handle)
    return None


def is_abandoned(path: Path) -> bool:
    """Whether a file or folder, which its creator holds while alive, is no longer held."""
    try:
        handle = hold(path)
    except OSError:
        return False
    if handle is None:
        return False
    os.close(handle)
    return True


@contextlib.contextmanager
def only_holder(path: Path) -> Iterator[None]:
    """Holds a lock file, which names its holder and is removed at the end.

    A lock file left by a dead process is taken over: the lock is the system's, not the existence of the file. On a disk
    without locks (some network disks) nobody is kept out.

    Args:
        path: the lock file.

    Raises:
        HeldError: somebody else holds it.
        OSError: the file cannot be made.
    """
    while True:
        handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o666)
        try:
            _locked(handle)
        except BlockingIOError:
            holder = os.read(handle, 500).decode("utf-8", "replace").strip()
            os.close(handle)
            raise HeldError(holder or "another process") from None
        if _is(handle, path):
            found = os.fstat(handle)
            if not stat.S_ISREG(found.st_mode) or found.st_nlink > 1:
                # Anything written to it would also be in another file.
                os.close(handle)
                raise OSError(errno.EMLINK, f"{path.name} is a hard link to another file, or not a file")
            break
        # Its holder has removed it just now.
        os.close(handle)
    try:
        os.truncate(handle, 0)
        os.write(handle, f"process {os.getpid()} on {socket.gethostname()}\n".encode())
        yield
    finally:
        if _is(handle, path):
            path.unlink(missing_ok=True)
        os.close(handle)


def _locked(handle: int) -> bool:
    """Whether an open file could be locked; False on a disk without locks."""
    if fcntl is None:
        return False
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise
    except OSError:
        return False
    return True


def _is(handle: int, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(handle), os.lstat(path))
    except (FileNotFoundError, NotADirectoryError):
        return False
