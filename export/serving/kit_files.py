"""The files of a kit in their folder: each written whole, and gone when the kit no longer has it."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from pathlib import Path

from tfwd.utils.files import remove, write_text

# What the kit before this one has written, a line each.
_LIST = ".files"


def replace(folder: Path, text: Mapping[str, str], others: Collection[str] = ()) -> None:
    """Writes the files of a kit, and removes those that the kit before it wrote and this one does not have.

    What somebody else put into the folder stays.

    Args:
        folder: the kit's.
        text: the content of its files, by path in the folder.
        others: files and folders of the kit that the caller writes.
    """
    for name in sorted(_listed(folder) - {*text, *others}):
        remove(folder / name)
        _remove_empty((folder / name).parent, folder)
    folder.mkdir(parents=True, exist_ok=True)
    write_text(folder / _LIST, "".join(f"{name}\n" for name in sorted({*text, *others})))
    for name, content in text.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        # A server rereads its configuration, and must not find a partial one.
        write_text(folder / name, content)


def clear(folder: Path) -> None:
    """Removes what a kit has written into its folder, and the folder if nothing else is there."""
    if (folder / _LIST).is_file():
        replace(folder, {})
        (folder / _LIST).unlink()
        _remove_empty(folder, folder.parent)


def _listed(folder: Path) -> set[str]:
    try:
        lines = (folder / _LIST).read_text(encoding="utf-8").splitlines()
    except FileNotFoundError:
        return set()
    # Nothing outside of the folder is the kit's, whatever the list says.
    return {line for line in lines if line and not Path(line).is_absolute() and ".." not in Path(line).parts}


def _remove_empty(place: Path, until: Path) -> None:
    """Removes a folder and those above it, up to one that stays, as long as they are empty."""
    while place != until and place.is_dir() and not any(place.iterdir()):
        place.rmdir()
        place = place.parent
