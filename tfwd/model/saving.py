"""Reads `.keras` files in Keras' safe mode, and writes them to a temporary folder before renaming."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from tfwd.errors import RunError, first_line
from tfwd.utils.files import (
    disk_errors,
    hidden_folder,
    to_disk,
)

if TYPE_CHECKING:
    from tfwd.model.wide_deep import WideDeep


def load_model(path: str | Path) -> WideDeep:
    """Loads a `.keras` file in Keras' safe mode.

    Raises:
        RunError: the file is missing or damaged, or holds another kind of model.
    """
    import keras

    from tfwd.model.wide_deep import WideDeep

    path = Path(path)
    if not path.is_file():
        raise RunError(
            f"{path} does not exist. In a run it means that the training has not reached its first evaluation yet."
        )
    try:
        model = keras.saving.load_model(path)
    except Exception as error:  # zip, HDF5 and Keras raise errors of any type on a damaged file
        why = first_line(error)
        raise RunError(f"{path} cannot be read as a Keras model, it may be damaged: {why}") from None
    if not isinstance(model, WideDeep):
        raise RunError(f"{path} holds a {type(model).__name__}, not a tfwd.WideDeep.")
    return model


def save_model(model: WideDeep, path: Path) -> None:
    """Writes a temporary `.keras` file and renames it, so that readers see a complete old or new file."""
    # In a separate folder, where Keras' own temporary files go too.
    with hidden_folder(path) as temporary, disk_errors(path):
        model.save(temporary / path.name)
        to_disk(temporary / path.name)
        os.replace(temporary / path.name, path)
