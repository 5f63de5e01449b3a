"""An exported ONNX file or its halves: names, and ONNX Runtime on them, including values inside the graph."""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from pathlib import Path

import numpy as np
import onnx

from export.parity.rows import Rows
from tfwd.errors import ExportError, first_line
from tfwd.inference.onnx_session import new_session, onnxruntime, with_fingerprints
from tfwd.utils.files import hidden_folder, link_or_copy

_FLOAT = onnx.TensorProto.FLOAT
# The prefix of names that no input can have, as inputs have no slash.
_CHECK = "check/"
_DTYPES = {"tensor(string)": object, "tensor(int64)": np.int64, "tensor(float)": np.float32, "tensor(int32)": np.int32}


def table_name(table: str) -> str:
    """Returns the name of the initializer that holds a table; no input can have it, as inputs have no slash."""
    return f"tables/{table}"


def rounds_name(rounds: str) -> str:
    """Returns the initializer of rounds of crosses, by their name in `export.onnx.small_transform.rounds`."""
    return f"rounds/{rounds}"


def transform_name(output: str) -> str:
    """Returns the name of the value inside the graph that is an output of the transform."""
    return f"transform/{output}"


def open_session(file: Path, transformed: tuple[str, ...] = (), tables: tuple[str, ...] = ()) -> OnnxSession:
    """Opens an exported file in ONNX Runtime, unchanged except for more outputs.

    Args:
        file: a file that `export.onnx.save` wrote, with any external data next to it.
        transformed: outputs of the transform to return as well.
        tables: tables to return rows of.

    Raises:
        ExportError: the file cannot be read.
    """
    more = onnx.ModelProto()
    outputs = [
        (transform_name(name), onnx.TensorProto.INT32 if name.endswith("_ids") else _FLOAT) for name in transformed
    ]
    for name in tables:
        # From any type and any form to float32.
        rows, stored, result = f"{_CHECK}{name}/rows", f"{_CHECK}{name}/stored", f"{_CHECK}{name}"
        more.graph.input.append(onnx.helper.make_tensor_value_info(rows, onnx.TensorProto.INT32, (f"{name}_rows",)))
        more.graph.node.append(onnx.helper.make_node("Gather", [table_name(name), rows], [stored]))
        more.graph.node.append(onnx.helper.make_node("Cast", [stored], [result], to=_FLOAT))
        outputs.append((result, _FLOAT))
    more.graph.output.extend(onnx.helper.make_tensor_value_info(name, kind, None) for name, kind in outputs)
    # ONNX Runtime keeps the bytes that it is given in memory, but not a file; a published file is not written to.
    beside = os.access(file.parent, os.W_OK)
    with hidden_folder(file.parent / "tmp") if beside else tempfile.TemporaryDirectory(prefix=".tmp-") as own:
        copy = Path(own) / file.name
        shutil.copyfile(file, copy)
        data = file.with_name(f"{file.name}.data")
        if data.exists():
            # ONNX Runtime 1.22 looks for it next to the copy, whatever folder it is given. No symbolic link where a run
            # may be: one left by a killed process would keep the run from being resumed.
            if beside:
                link_or_copy(data, copy.with_name(data.name))
            else:
                copy.with_name(data.name).symlink_to(data.resolve())
        with copy.open("ab") as out:
            # Protobuf merges two messages in a row, so that the file need not be parsed.
            out.write(more.SerializeToString())
        try:
            session = new_session(copy, file.parent)
        except Exception as error:  # its own classes, without a common base
            why = first_line(error)
            raise ExportError(f"{file} cannot be read as an ONNX model: {why}") from None
        return OnnxSession(session, file)


class OnnxSession:
    """ONNX Runtime on raw rows.

    Args:
        session: the result of `open_session`.
        file: the file, for messages.
    """

    def __init__(self, session: onnxruntime.InferenceSession, file: Path) -> None:
        self._session, self.file = session, file
        # Of an input's dimensions only that of a vector is a number.
        self._nothing = {
            e.name: np.zeros([d if isinstance(d, int) else 0 for d in e.shape], _DTYPES[e.type])
            for e in session.get_inputs()
        }
        self._outputs = [entry.name for entry in session.get_outputs() if not entry.name.startswith(_CHECK)]
        self.inputs = [name for name in self._nothing if not name.startswith(_CHECK)]

    @property
    def half(self) -> bool:
        """Whether the tables are stored in half precision."""
        found = self._session.get_modelmeta().custom_metadata_map.get("tfwd_tables", "")
        try:
            return any(fact["dtype"] == "float16" for fact in json.loads(found).values())
        except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
            raise ExportError(f"{self.file} is damaged: its metadata has no readable tfwd_tables.") from None

    def run(self, rows: Rows) -> dict[str, np.ndarray]:
        """Returns the outputs for rows as `as_rows` makes them, those of the transform under its own names."""
        values = self._session.run(self._outputs, self._nothing | with_fingerprints(self.inputs, rows))
        return {name.removeprefix("transform/"): value for name, value in zip(self._outputs, values, strict=True)}

    def table(self, name: str, start: int, stop: int) -> np.ndarray:
        """Returns rows of a table as the graph reads them, float32 `(stop - start, dim)`."""
        rows = {f"{_CHECK}{name}/rows": np.arange(start, stop, dtype=np.int32)}
        return np.asarray(self._session.run([f"{_CHECK}{name}"], self._nothing | rows)[0])


class JoinedSession:
    """ONNX Runtime on raw rows by the two halves of a model, one after the other; used like an `OnnxSession`.

    Args:
        first, second: the halves; see `export.onnx.halves.halve`.
        tables: tables to return rows of.

    Raises:
        ExportError: a file cannot be read.
    """

    def __init__(self, first: Path, second: Path, tables: tuple[str, ...] = ()) -> None:
        self._first, self._second = open_session(first), open_session(second, tables=tables)

    @property
    def half(self) -> bool:
        """Whether the tables are stored in half precision."""
        return self._second.half

    def run(self, rows: Rows) -> dict[str, np.ndarray]:
        """Returns the outputs of both halves, those of the transform under its own names."""
        found = self._first.run(rows)
        return found | self._second.run({transform_name(name): values for name, values in found.items()})

    def table(self, name: str, start: int, stop: int) -> np.ndarray:
        """Returns rows of a table as the second half reads them, float32 `(stop - start, dim)`."""
        return self._second.table(name, start, stop)
