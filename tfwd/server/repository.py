"""The models that a server has loaded: new versions are loaded and warm before they are asked, old ones are dropped."""

from __future__ import annotations

import asyncio
import gc
import logging
import time
import weakref
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, Protocol

from tfwd.errors import TfwdError
from tfwd.schema import Schema
from tfwd.server import values
from tfwd.server.batcher import Batcher
from tfwd.server.drift import Watch
from tfwd.server.metrics import Counters
from tfwd.server.model_files import Place, Stamp, find
from tfwd.server.request_error import RequestError
from tfwd.server.settings import Settings
from tfwd.server.signature import Signature

_LOG = logging.getLogger("tfwd.server")

# TensorFlow Serving tries a version again after this time; here it also is when its file changes.
_RETRY_SECONDS = 60.0
_WARM_ROWS = (1, 2, 32)

State = Literal["LOADING", "AVAILABLE", "UNLOADING", "END"]


class Model(Protocol):
    """A loaded model."""

    @property
    def kind(self) -> str:
        """What answers: `onnx` or `tensorflow`."""

    @property
    def schema(self) -> Schema:
        """The raw inputs and the answer."""

    @property
    def signatures(self) -> Mapping[str, Signature]:
        """What can be asked, by name."""

    @property
    def watch(self) -> Watch | None:
        """Counts unusual values, if the model can tell."""


@dataclass
class Version:
    """One version of a model, loaded.

    Attributes:
        name: the model's name.
        number: the version.
        model: the model.
        batchers: what answers, by signature.
        header: the number, as the header X-Model-Version says it.
    """

    name: str
    number: int
    model: Model
    batchers: dict[str, Batcher]
    header: bytes

    def batcher(self, signature: str) -> Batcher:
        """Returns what answers a signature.

        Raises:
            RequestError: there is no such signature.
        """
        found = self.batchers.get(signature)
        if found is None and signature == "recommend":
            raise RequestError(
                "The model makes no lists: it has no signature recommend, nor a file of lists beside its ONNX file. "
                "python -m export.onnx writes that file for a run whose configuration has a section ranking."
            )
        if found is None:
            known = ", ".join(sorted(self.batchers))
            raise RequestError(
                f'Serving signature name: "{signature:.100}" not found in signature def. The model has: {known}'
            )
        return found


@dataclass
class _Known:
    """A version that has been seen on disk."""

    place: Place
    stamp: Stamp
    state: State
    error: str = ""
    since: float = field(default_factory=time.monotonic)
    # What the files of a version that answers have become, when they were looked at last.
    changed: Stamp | None = None


class Repository:
    """All models of a server.

    Args:
        settings: where they are.
        counters: where requests are counted.
    """

    def __init__(self, settings: Settings, counters: Counters) -> None:
        self._settings, self._counters = settings, counters
        self._threads = ThreadPoolExecutor(2, "tfwd-model")
        self._loader = ThreadPoolExecutor(1, "tfwd-loader")
        self._loaded: dict[str, dict[int, Version]] = {}
        self._known: dict[str, dict[int, _Known]] = {}
        self._dropped: list[weakref.ref[Model]] = []
        self._was_ready = False

    @property
    def unready(self) -> str:
        """Why requests are not answered yet, "" if they are.

        At first every model that is there has to have a version that answers. What comes later, and cannot be loaded,
        takes nothing away from the others.
        """
        missing = sorted(name for name in self._known if not self._loaded.get(name))
        if not any(self._loaded.values()):
            return "No model is loaded yet."
        if missing and not self._was_ready:
            return f"Not loaded yet: {', '.join(missing)}"
        self._was_ready = True
        return ""

    def missing(self) -> list[str]:
        """Returns what was asked for and is not there; it may come."""
        found = [
            f"{name} has no version {number}, which --label calls {label}."
            for name, labels in self._settings.labels.items()
            for label, number in labels.items()
            if number not in self._known.get(name, {})
        ]
        if not self._known:
            found.append(
                f"{self._settings.model} holds no model yet. Expected: NAME/VERSION/model.onnx, or a SavedModel as "
                "NAME/VERSION, where VERSION is a number."
            )
        return found

    def get(self, name: str, number: int | None = None, label: str | None = None) -> Version:
        """Returns a version: the newest, if neither a number nor a label is given.

        Raises:
            RequestError: there is none.
        """
        versions = self._loaded.get(name, {})
        if label is not None:
            number = self._settings.labels.get(name, {}).get(label)
            if number is None:
                raise RequestError(f"Unrecognized servable version label: {label:.100}", 404 if not versions else 400)
        if number is None:
            if versions:
                return versions[max(versions)]
            raise RequestError(f"Servable not found for request: Latest({name:.100})", 404)
        found = versions.get(number)
        if found is None:
            raise RequestError(f"Servable not found for request: Specific({name:.100}, {number})", 404)
        return found

    def numbers(self, name: str) -> list[int]:
        """Returns the versions of a model that answer."""
        return sorted(self._loaded.get(name, {}))

    def status(self, name: str, number: int | None, label: str | None) -> list[dict[str, Any]]:
        """Returns the states of the versions of a model, the newest first, as TensorFlow Serving's status says them."""
        known = self._known.get(name, {})
        if label is not None:
            number = self.get(name, None, label).number
        chosen = [n for n in sorted(known, reverse=True) if number in (None, n)]
        if not chosen:
            which = "" if number is None else f" with version {number}"
            raise RequestError(f"Could not find any versions of model {name:.100}{which}", 404)
        return [
            {
                "version": str(n),
                "state": known[n].state,
                "status": {
                    "error_code": "INTERNAL" if known[n].error else "OK",
                    "error_message": known[n].error,
                },
            }
            for n in chosen
        ]

    async def refresh(self) -> None:
        """Looks at the disk once: loads what is new, then drops what is old.

        Raises:
            ConfigError: the model's path holds nothing that can be served.
        """
        found = find(self._settings.model, self._settings.name, self._settings.backend)
        for name, versions in found.items():
            for number, place in sorted(self._chosen(name, versions).items()):
                if self._is_new(name, number, place):
                    await self._load(name, number, place)
        # Chosen again, as what could not be loaded takes no place of what answers.
        wanted = {name: self._chosen(name, versions) for name, versions in found.items()}
        for name in list(self._known):
            for number in list(self._known[name]):
                if number not in wanted.get(name, {}):
                    self._drop(name, number)
        if any(dropped() is not None for dropped in self._dropped):
            gc.unfreeze()  # what was dropped is among it
            _settle()
            self._dropped = [dropped for dropped in self._dropped if dropped() is not None]

    def _chosen(self, name: str, versions: dict[int, Place]) -> dict[int, Place]:
        """Returns the versions to serve: the newest of those that can be loaded, those with a label, and the broken."""
        known = self._known.get(name, {})
        broken = {number for number in versions if number in known and known[number].state == "END"}
        newest = sorted(set(versions) - broken)[-self._settings.keep_versions :]
        # Newer ones may be mended.
        again = {number for number in broken if not newest or number > newest[0]}
        labelled = set(self._settings.labels.get(name, {}).values())
        return {number: place for number, place in versions.items() if number in {*newest, *again, *labelled}}

    def _is_new(self, name: str, number: int, place: Place) -> bool:
        known = self._known.get(name, {}).get(number)
        if known is None:
            return True
        stamp = place.stamp()
        if known.state != "AVAILABLE":
            return known.stamp != stamp or time.monotonic() - known.since > _RETRY_SECONDS
        if known.place == place and known.stamp == stamp:
            known.changed = None
            return False
        # Seen twice: files that are written where others were are not complete when they first differ.
        same, known.changed = known.changed == stamp, stamp
        return same

    async def _load(self, name: str, number: int, place: Place) -> None:
        older = self._known.get(name, {}).get(number)
        answers = number in self._loaded.get(name, {})
        known = _Known(place, place.stamp(), "LOADING")
        if not answers:
            self._known.setdefault(name, {})[number] = known
        loop = asyncio.get_running_loop()
        begun = time.monotonic()
        try:
            model = await loop.run_in_executor(self._loader, _load, place)
        except Exception as error:  # a file from somebody else may fail in any way; the others go on
            known.state, known.error = "END", str(error) if isinstance(error, TfwdError) else repr(error)
            _LOG.error("%s version %d cannot be loaded: %s", name, number, known.error)
            if answers and older is not None:
                older.stamp, older.changed = known.stamp, None  # what answers goes on, until the files change again
            return
        if answers:
            self._forget(self._loaded[name][number])
        self._loaded.setdefault(name, {})[number] = self._version(name, number, model)
        self._known[name][number] = known
        known.state = "AVAILABLE"
        _settle()
        _LOG.info("%s version %d is served from %s (%.1f s)", name, number, place.path, time.monotonic() - begun)

    def _version(self, name: str, number: int, model: Model) -> Version:
        rows = self._counters.slot("tfwd_rows", model_name=name, version=str(number))
        batches = self._counters.slot("tfwd_batches", model_name=name, version=str(number))
        waits = self._counters.histogram(":tensorflow:serving:batching_session:queuing_latency", model_name=name)

        def called(count: int, waited: list[float]) -> None:
            self._counters.add(rows, count)
            self._counters.add(batches)
            for microseconds in waited:
                waits.observe(microseconds)

        settings = self._settings
        batchers = {
            key: Batcher(signature, settings.batching, settings.limits.seconds, self._threads, called)
            for key, signature in model.signatures.items()
        }
        return Version(name, number, model, batchers, str(number).encode())

    def _drop(self, name: str, number: int) -> None:
        # Requests that have it go on with it; it is freed after the last.
        dropped = self._loaded.get(name, {}).pop(number, None)
        del self._known[name][number]
        if not self._known[name]:
            del self._known[name]
            self._loaded.pop(name, None)
        if dropped is not None:
            self._forget(dropped)
            _LOG.info("%s version %d is no longer served", name, number)

    def _forget(self, version: Version) -> None:
        self._count(version)
        self._dropped.append(weakref.ref(version.model))

    def count(self) -> None:
        """Brings the counters of unusual values up to date."""
        for versions in self._loaded.values():
            for version in versions.values():
                self._count(version)

    def _count(self, version: Version) -> None:
        watch = version.model.watch
        if watch is None:
            return
        watch.count()
        for (entry, kind), count in watch.taken().items():
            slot = self._counters.slot("tfwd_input_values", model_name=version.name, input=entry, kind=kind)
            self._counters.add(slot, count)

    def close(self) -> None:
        """Stops the threads."""
        self._loader.shutdown(wait=False, cancel_futures=True)
        self._threads.shutdown(wait=False, cancel_futures=True)


def _settle() -> None:
    """Has the collector look no more at what is there now, as models stay; nor at what it has passed over before."""
    gc.collect()
    gc.freeze()


def _load(place: Place) -> Model:
    """Loads a model and asks it once for each size of batch, as the first calls are slow."""
    model: Model
    if place.backend == "onnx":
        from tfwd.server.onnx_model import OnnxModel

        model = OnnxModel(Path(place.path))
    else:
        from tfwd.server.tensorflow_model import TensorflowModel

        model = TensorflowModel(Path(place.path))
    for signature in model.signatures.values():
        for rows in _WARM_ROWS if signature.merges else _WARM_ROWS[:1]:
            given = [spec for spec in signature.inputs if spec.name not in signature.defaults]
            signature.run({spec.name: values.nothing(spec, rows) for spec in given} | dict(signature.defaults))
    if model.watch is not None:
        model.watch.forget()
    return model
