"""What a training is given besides its configuration: recorded, and required again when it resumes."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

import keras

from tfwd.errors import RunError
from tfwd.run import Run
from tfwd.run_folder.record import FRAMES, Given

# Renumbered in every process, or set by `build`: they do not affect what a layer computes.
_PASSING = ("name", "build_config", "inbound_nodes", "input_layers", "output_layers")


def describe(
    frames: Mapping[str, Any], tower: keras.layers.Layer | None, callbacks: Sequence[keras.callbacks.Callback]
) -> Given:
    """Returns what `run.json` records of frames by split, a tower and callbacks; None if not given."""
    return Given(
        frames=tuple(name for name in FRAMES if frames.get(name) is not None),
        tower=None if tower is None else {"class": _name(tower), "config": _config(tower)},
        callbacks=tuple(map(_name, callbacks)),
    )


def refuse_other(run: Run, now: Given, without_callbacks: bool) -> None:
    """Refuses to resume with anything other than what the training began with: the model would differ.

    Args:
        run: what the training began with.
        now: what is given now.
        without_callbacks: whether the caller asked to resume without callbacks.

    Raises:
        RunError: they differ; the message says what to give, or to leave out.
    """
    began = run.head.given
    if began is None:
        return
    # Prepared rows are in the run: the frames that they were made from are no longer needed.
    frames = began.frames if run.data is None else ()
    missing = [f"{name}=frame" for name in frames if name not in now.frames]
    if began.tower is not None and now.tower is None:
        missing.append(f"tower={_short(began.tower)}(...)")
    if began.callbacks and not now.callbacks and not without_callbacks:
        missing.append(f"callbacks=[{', '.join(f'{_last(name)}(...)' for name in began.callbacks)}]")
    if missing:
        hint = " (callbacks=[] resumes without them)" if missing[-1].startswith("callbacks") else ""
        raise RunError(
            f"{run.path} was started with more than its configuration, and needs that again. Resume it in Python: "
            f"tfwd.resume({str(run.path)!r}, {', '.join(missing)}){hint}"
        )
    strange = [name for name in now.frames if name not in began.frames]
    if strange and run.data is None:
        split = strange[0]
        read = getattr(run.config.data, split) or ("rows of the training data" if split == "validation" else "none")
        raise RunError(
            f"{run.path} was started without a frame for {split}= ({split} rows: {read}). Leave {split}= out."
        )
    if now.tower is not None and began.tower is None:
        raise RunError(f"{run.path} was started without a custom tower. Leave tower= out.")
    if now.tower is not None and began.tower is not None:
        _refuse_tower(run, now.tower, began.tower)


def _refuse_tower(run: Run, now: dict[str, Any], began: dict[str, Any]) -> None:
    if now["class"] != began["class"]:
        raise RunError(f"{run.path} was started with the tower {began['class']}. Received: {now['class']}")
    if now.get("config") != began.get("config"):
        where = _difference(began.get("config"), now.get("config"), "")
        raise RunError(f"{run.path} was started with another {_short(began)}: {where}. Give it the same one.")


def _difference(began: Any, now: Any, path: str) -> str:
    """Returns the first difference between two layer configurations."""
    if isinstance(began, dict) and isinstance(now, dict):
        for key in [*began, *(key for key in now if key not in began)]:
            if began.get(key) != now.get(key):
                return _difference(began.get(key), now.get(key), f"{path}.{key}" if path else key)
    if isinstance(began, list) and isinstance(now, list) and len(began) == len(now):
        index = next(index for index, value in enumerate(began) if value != now[index])
        return _difference(began[index], now[index], f"{path}[{index}]")
    return f"{path or 'its configuration'} was {began!r:.80} and is {now!r:.80}"


def _config(tower: keras.layers.Layer) -> Any:
    """Returns the layer's configuration without what varies between processes; None if it has none to compare."""
    try:
        return _lasting(json.loads(json.dumps(keras.saving.serialize_keras_object(tower)["config"])))
    except Exception:  # get_config is the user's code, and may be missing
        return None


def _lasting(value: Any) -> Any:
    if isinstance(value, dict):
        # A data type is a configuration too, and its name says everything.
        kept = value if value.keys() == {"name"} else {k: inner for k, inner in value.items() if k not in _PASSING}
        return {key: _lasting(inner) for key, inner in kept.items()}
    return [_lasting(inner) for inner in value] if isinstance(value, list) else value


def _name(thing: object) -> str:
    return f"{type(thing).__module__}.{type(thing).__qualname__}"


def _last(name: str) -> str:
    return name.rpartition(".")[2]


def _short(tower: dict[str, Any]) -> str:
    return _last(str(tower["class"]))
