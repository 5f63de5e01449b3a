"""MovieLens as GroupLens publishes it, in the columns that TensorFlow Datasets gives it.

GroupLens allows research with the data and not its redistribution, so none of it is here: a folder or zip of ml-100k,
ml-1m, ml-20m, ml-25m or ml-latest-small is read in place.
"""

from __future__ import annotations

import hashlib
import tempfile
import zipfile
import zlib
from pathlib import Path

from tfwd.data.engine import connect
from tfwd.data.failures import reading
from tfwd.data.paths import PlainFiles
from tfwd.data.sql import literal
from tfwd.errors import DataError
from tfwd.utils.console import console

# MD5 of the files of ml-1m, on which the published results were obtained.
_MD5 = {
    "ratings.dat": "a89aa3591bc97d6d4e0c89459ff39362",
    "users.dat": "681c0711d0d4548cd3d4718a49c2dcd8",
    "movies.dat": "ef9fd9ff8d1b33faf73e2122c371e910",
}
_FILES = {
    "1m": {"ratings": "ratings.dat", "users": "users.dat", "movies": "movies.dat"},
    "100k": {"ratings": "u.data", "users": "u.user", "movies": "u.item"},
    "csv": {"ratings": "ratings.csv", "movies": "movies.csv"},
}
# The numbering of occupations in the README of ml-1m.
_OCCUPATIONS_1M = (
    *("other/not specified", "academic/educator", "artist", "clerical/admin", "college/grad student"),
    *("customer service", "doctor/health care", "executive/managerial", "farmer", "homemaker", "K-12 student"),
    *("lawyer", "programmer", "retired", "sales/marketing", "scientist", "self-employed", "technician/engineer"),
    *("tradesman/craftsman", "unemployed", "writer"),
)
_LABELS_1M = {"college/grad student": "student", "K-12 student": "student"}
_LABELS_100K = {
    "administrator": "clerical/admin",
    "doctor": "doctor/health care",
    "educator": "academic/educator",
    "engineer": "technician/engineer",
    "executive": "executive/managerial",
    "healthcare": "doctor/health care",
    "marketing": "sales/marketing",
    "none": "other/not specified",
    "other": "other/not specified",
    "salesman": "sales/marketing",
    "technician": "technician/engineer",
}
_GENRES_100K = (
    *("Unknown", "Action", "Adventure", "Animation", "Children", "Comedy", "Crime", "Documentary", "Drama"),
    *("Fantasy", "Film-Noir", "Horror", "Musical", "Mystery", "Romance", "Sci-Fi", "Thriller", "War", "Western"),
)


def is_original(path: str) -> bool:
    """Returns whether a folder or zip holds the files of GroupLens."""
    return bool(_forms(_names(path)))


def write(path: str, table: str, file: Path) -> None:
    """Writes the ratings, with users and movies joined, or the movies, as Parquet.

    Args:
        path: GroupLens' folder or zip.
        table: the name in TFDS, such as `1m-ratings` or `100k-movies`.
        file: the Parquet file to write: the columns of `tfds:movielens/TABLE`, in the order of GroupLens' file.

    Raises:
        DataError: the copy is a different size of MovieLens, or damaged.
    """
    forms = _forms(_names(path))
    size, _, what = table.rpartition("-")
    form = size if size in ("1m", "100k") else "csv"
    if what not in ("ratings", "movies") or form not in forms:
        there = ", ".join(name for found in forms for name in _FILES[found].values())
        raise DataError(f"data.path: {path} holds the files {there}, which are not those of movielens/{table}.")
    with tempfile.TemporaryDirectory(prefix="tfwd-movielens-") as work:
        folder = _folder(path, form, size, Path(work))
        if form == "1m":
            _compare(folder, path)
        # The folder may have a name that DuckDB takes for a pattern.
        plain = PlainFiles([str(folder)])
        folder = Path(plain.paths[0])
        movies = _movies(folder, form)
        query = movies if what == "movies" else _ratings(folder, form, movies)
        with reading(str(path)):
            reads = [str(folder / name) for name in _FILES[form].values()]
            connection = connect(reads, writes=[file.parent])
            connection.execute(f"COPY ({query}) TO {literal(str(file))} (FORMAT parquet, COMPRESSION zstd)")


def _names(path: str) -> list[str]:
    if Path(path).is_dir():
        return [str(entry.relative_to(path)) for entry in Path(path).glob("*")] + [
            str(entry.relative_to(path)) for entry in Path(path).glob("ml-*/*")
        ]
    if not zipfile.is_zipfile(path):
        return []
    with zipfile.ZipFile(path) as archive:
        return archive.namelist()


def _forms(names: list[str]) -> list[str]:
    """Returns the forms whose files are all in one folder."""
    folders: dict[Path, set[str]] = {}
    for name in names:
        folders.setdefault(Path(name).parent, set()).add(Path(name).name)
    return [form for form, files in _FILES.items() if any(there >= set(files.values()) for there in folders.values())]


def _folder(path: str, form: str, size: str, work: Path) -> Path:
    """Returns the folder that holds the files, unpacked if necessary."""
    files = set(_FILES[form].values())
    if Path(path).is_dir():
        # Of several sizes in one folder, the requested one.
        folders = [Path(path), Path(path) / f"ml-{size}", *sorted(Path(path).glob("ml-*"))]
        return next(folder for folder in folders if all((folder / name).is_file() for name in files))
    try:
        with zipfile.ZipFile(path) as archive:
            for name in archive.namelist():
                if Path(name).name in files:
                    (work / Path(name).name).write_bytes(archive.read(name))
    except (zipfile.BadZipFile, zlib.error, EOFError) as error:
        raise DataError(f"data.path: {path} is not a complete zip file: {error}. Download it again.") from None
    return work


def _compare(folder: Path, path: str) -> None:
    for name, expected in _MD5.items():
        if hashlib.md5((folder / name).read_bytes()).hexdigest() != expected:
            console.print(
                f"{name} in {path} is not the file that GroupLens publishes: results will differ from others'.",
                markup=False,
            )


def _read(folder: Path, name: str, delimiter: str, columns: str) -> str:
    types = ", ".join(f"{literal(column)}: 'VARCHAR'" for column in columns.split())
    return (
        f"read_csv({literal(str(folder / name))}, delim={literal(delimiter)}, header=false, quote='', escape='', "
        f"encoding='latin-1', columns={{{types}}}, auto_detect=false, strict_mode=false)"
    )


def _cases(column: str, names: dict[str, str]) -> str:
    cases = " ".join(f"WHEN {literal(name)} THEN {literal(label)}" for name, label in names.items())
    return f"CASE {column} {cases} ELSE {column} END"


def _movies(folder: Path, form: str) -> str:
    if form == "1m":
        source = _read(folder, "movies.dat", "::", "movie_id movie_title genres")
        # TensorFlow Datasets uses the later datasets' name of this genre.
        genres = "string_split(replace(genres, 'Children''s', 'Children'), '|')"
        return f"SELECT {genres} AS movie_genres, movie_id, movie_title FROM {source}"
    if form == "100k":
        flags = [f"g{index}" for index in range(len(_GENRES_100K))]
        source = _read(folder, "u.item", "|", "movie_id movie_title released video url " + " ".join(flags))
        chosen = ", ".join(
            f"CASE WHEN {flag} = '1' THEN {literal(name)} END" for flag, name in zip(flags, _GENRES_100K, strict=True)
        )
        genres = f"list_filter([{chosen}], lambda genre: genre IS NOT NULL)"
        return f"SELECT {genres} AS movie_genres, movie_id, movie_title FROM {source}"
    return (
        "SELECT string_split(genres, '|') AS movie_genres, movieId AS movie_id, title AS movie_title "
        f"FROM read_csv({literal(str(folder / 'movies.csv'))}, header=true, quote='\"', all_varchar=true)"
    )


def _ratings(folder: Path, form: str, movies: str) -> str:
    if form == "csv":
        source = f"read_csv({literal(str(folder / 'ratings.csv'))}, header=true, all_varchar=true)"
        return _ordered(
            "movie_genres, r.movieId AS movie_id, movie_title, CAST(timestamp AS BIGINT) AS timestamp, "
            "r.userId AS user_id, CAST(r.rating AS FLOAT) AS user_rating",
            source,
            f"JOIN ({movies}) AS m ON r.movieId = m.movie_id",
        )
    if form == "1m":
        users = _read(folder, "users.dat", "::", "user_id gender age occupation zip")
        names = "[" + ", ".join(map(literal, _OCCUPATIONS_1M)) + "]"
        text = f"{names}[CAST(occupation AS INTEGER) + 1]"
        label, bucket, extra = _cases(text, _LABELS_1M), "CAST(age AS FLOAT)", ""
        source = _read(folder, "ratings.dat", "::", "user_id movie_id rating timestamp")
    else:
        users = _read(folder, "u.user", "|", "user_id age gender occupation zip")
        text, label, extra = "occupation", _cases("occupation", _LABELS_100K), "CAST(age AS FLOAT) AS raw_user_age, "
        steps = " ".join(f"WHEN CAST(age AS INTEGER) >= {step} THEN {step}" for step in (56, 50, 45, 35, 25, 18))
        bucket = f"CAST(CASE {steps} ELSE 1 END AS FLOAT)"
        source = _read(folder, "u.data", "\t", "user_id movie_id rating timestamp")
    return _ordered(
        f"{bucket} AS bucketized_user_age, movie_genres, r.movie_id, movie_title, {extra}"
        f"CAST(timestamp AS BIGINT) AS timestamp, gender = 'M' AS user_gender, r.user_id, {label} AS "
        f"user_occupation_label, {text} AS user_occupation_text, CAST(rating AS FLOAT) AS user_rating, "
        "zip AS user_zip_code",
        source,
        f"JOIN ({movies}) AS m ON r.movie_id = m.movie_id JOIN {users} AS u ON r.user_id = u.user_id",
    )


def _ordered(columns: str, source: str, joins: str) -> str:
    numbered = f"(SELECT row_number() OVER () AS place, * FROM {source})"
    return f"SELECT {columns} FROM {numbered} AS r {joins} ORDER BY r.place"
