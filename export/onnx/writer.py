"""ONNX: one file from raw features to probabilities, for any ONNX runtime; also as two halves, for a GPU.

`python -m export.onnx RUN`
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import onnx

from export.onnx import protobuf as wire
from export.onnx import storage
from export.onnx.conversion import convert
from export.onnx.cuda import without_kernel
from export.onnx.gate import check_whole, refuse_nonstandard
from export.onnx.halves import half_files, halve
from export.onnx.parts import publish, refuse_others
from export.onnx.recommend import ListsFile, NoListsError
from export.onnx.small_transform import rounds
from export.onnx.storage import Storage
from export.parity import compare as parity
from export.parity.answers import tables
from export.parity.session import rounds_name, table_name
from export.serving.found import refuse_version_of_kits
from tfwd.errors import ExportError
from tfwd.inference import metadata
from tfwd.inference.metadata import HALVES, LISTS
from tfwd.model.wide_deep import WideDeep
from tfwd.recommend.top_k import ListMaker
from tfwd.server.lists import lists_beside
from tfwd.utils.files import disk_errors, hidden_folder, left_folders, remove

# A protobuf message is limited to 2 GiB; 64 MiB of that are reserved, besides the size of everything but the tables.
INLINE_BYTES = 2**31 - 2**26
_MESSAGE_BYTES = 2**31 - 1
_PAGE = 2**16


@dataclass(frozen=True)
class Written:
    """What `write` wrote.

    Attributes:
        file: the ONNX file.
        storages: how each table is stored in it.
        difference: the largest difference found between a probability or prediction and the model's: rounding, or what
            half-precision tables lose.
        halves: the files of the two halves, if they were asked for.
        on_cpu: the operations of the second half for which ONNX Runtime has no kernel on a GPU.
        lists: the file of lists, if they were given and ONNX can compute them.
        no_lists: why there is none although they were given.
    """

    file: Path
    storages: tuple[Storage, ...]
    difference: float
    halves: tuple[Path, Path] | None = None
    on_cpu: tuple[str, ...] = ()
    lists: Path | None = None
    no_lists: str = ""

    def report(self) -> list[str]:
        """Returns what is unusual about the file, one sentence each."""
        lines = [
            f"The wide table is stored sparsely, {form.sparse_bytes / 1e3:,.0f} kB instead of "
            f"{form.dense_bytes / 1e3:,.0f}: {form.nonzero:,} of {form.numbers:,} numbers are not zero."
            for form in self.storages
            if form.sparse
        ]
        if any(form.half for form in self.storages):
            lines.append(f"Half precision changes the answers on these rows by {self.difference:.1e} at most.")
        if self.halves is not None:
            lines.append(f"Its halves, verified alike: {self.halves[0]} for a CPU, {self.halves[1]} for a GPU.")
        if self.on_cpu:
            lines.append(f"ONNX Runtime runs on the CPU, as it has no kernel for a GPU: {', '.join(self.on_cpu)}.")
        if self.lists is not None:
            lines.append(f"Its lists, verified for real and hostile users: {self.lists}.")
        if self.no_lists:
            lines.append(f"No file of lists: {self.no_lists}")
        return lines


def save(
    model: WideDeep,
    output_file: str | Path,
    *,
    fingerprint_inputs: bool = False,
    sparse_wide: bool | None = None,
    half_tables: bool = False,
    split: bool = False,
    ranges: Mapping[str, Sequence[float]] | None = None,
    lists: ListMaker | None = None,
    k: int = 10,
    rows: Mapping[str, Any] | None = None,
) -> Path:
    """Writes a model as an ONNX file, compared with the model row by row before it appears.

    Opset 18, no domains but `ai.onnx` and `ai.onnx.ml`.

    Inputs are the raw features by name, `(B,)`: string, int64 (missing: -2^63) and float32 (missing: NaN). Outputs
    are those of `export.parity.answers.answers`. The metadata holds `tfwd_schema`, `tfwd_reading`, `tfwd_layout`,
    `tfwd_tables`, `tfwd_version` and, if they are given, `tfwd_ranges`. Tables that a protobuf message cannot hold
    (2 GB) are written next to the file, as `<output_file>.data`. In Python give strings as arrays of `object`: NumPy's
    fixed-width strings end at a NUL, and bytes are silently OOV.

    Args:
        model: a trained model.
        output_file: the file to write; an existing file is replaced.
        fingerprint_inputs: whether features with hash_bins enter as int64 `<input>_fingerprint`; see
            `tfwd.layers.direct_lookup.fingerprints`.
        sparse_wide: whether to store only the nonzero numbers of the wide table. None decides: sparse from 1 MiB on if
            at most a quarter is nonzero. The answers are the same; ONNX Runtime unpacks it when it loads the file.
        half_tables: whether to store the tables in half precision, with the answers of the rounded tables.
        split: whether to write the two halves of the model too, whose names `export.onnx.half_files` returns. The
            first maps the raw inputs to the ids and numbers that the heads read, `transform/<output>`; the second,
            which runs on a GPU, maps these to the answers. Without it, the halves of an older file of this name are
            removed.
        ranges: the smallest and largest training value of numeric inputs by name, as
            `tfwd.features.ranges.input_ranges` returns them.
        lists: writes the file of lists over their catalogue too, `NAME.recommend.onnx` for `NAME.onnx`; see
            `export.onnx.recommend`. Without it, that of an older file of this name is removed.
        k: the length of a list by default.
        rows: real raw rows by input, for the comparison.

    Returns:
        The file.

    Raises:
        ExportError: ONNX cannot compute a feature, a table cannot be stored as requested, the lists are of another
            model, a file of the name of a part is something else, the file is of a model with the name of the serving
            kits, or a file disagrees with the model.
    """
    written = write(
        model,
        output_file,
        fingerprint_inputs=fingerprint_inputs,
        sparse_wide=sparse_wide,
        half_tables=half_tables,
        split=split,
        ranges=ranges,
        lists=lists,
        k=k,
        rows=rows,
    )
    return written.file


def write(
    model: WideDeep,
    output_file: str | Path,
    *,
    fingerprint_inputs: bool = False,
    sparse_wide: bool | None = None,
    half_tables: bool = False,
    split: bool = False,
    ranges: Mapping[str, Sequence[float]] | None = None,
    lists: ListMaker | None = None,
    k: int = 10,
    rows: Mapping[str, Any] | None = None,
) -> Written:
    """Does what `save` does, and returns details about the file."""
    variables = {name: variable.value for name, variable in tables(model.ranker).items()}
    if sparse_wide and "wide" not in variables:
        raise ExportError("The model has no wide table that could be sparse. Leave sparse_wide (--sparse-wide) out.")
    if half_tables and not variables:
        raise ExportError("The model has no tables. Leave half_tables (--half-tables) out.")
    if lists is not None and lists.model is not model:
        raise ExportError("The lists belong to another model than the one to save: make them from this one.")
    target = Path(output_file)
    refuse_version_of_kits(target)
    files: dict[str | None, Path] = {None: target, LISTS: lists_beside(target)}
    files |= zip(HALVES, half_files(target), strict=True)
    asked = [*(HALVES if split else ()), *((LISTS,) if lists is not None else ())]
    refuse_others(files[part] for part in asked)
    described = _described(model, ranges)
    proto = convert(model, fingerprint_inputs)
    graphs: dict[str | None, onnx.ModelProto] = {None: proto}
    if split:
        graphs |= zip(HALVES, halve(proto, model.schema), strict=True)
    on_cpu = without_kernel(graphs[HALVES[1]]) if split else []
    for entry in [entry for entry in proto.graph.output if "/" in entry.name]:
        proto.graph.output.remove(entry)
    del proto
    of_lists, no_lists = None, ""
    try:
        if lists is not None:
            of_lists = ListsFile.of(lists, k, fingerprint_inputs, half_tables)
            graphs[LISTS] = of_lists.proto
    except NoListsError as error:
        no_lists = str(error)
    storages = tuple(storage.choose(name, table, half_tables, sparse_wide) for name, table in variables.items())
    described |= {"tables": {form.name: form.to_dict() for form in storages}}
    target.parent.mkdir(parents=True, exist_ok=True)
    names = {file.name + ending for file in files.values() for ending in ("", ".data")}
    for left in left_folders(target.parent / "tmp", names):
        remove(left)
    with hidden_folder(target.parent / "tmp") as staging, disk_errors(target):
        staged = {part: staging / files[part].name for part in graphs}
        for part, file in staged.items():
            graph, streamed, facts = graphs.pop(part), [], described
            if part == LISTS and of_lists is not None:
                streamed, facts = list(of_lists.streamed()), {**described, **of_lists.facts}
            _describe(graph, facts, part, model.schema.version)
            # Each part has what it reads of the tables and the rounds.
            streamed += [*_tables(graph.graph, variables, storages), *_rounds(graph.graph, model)]
            _write(graph, streamed, file)
            del graph, streamed  # including what is stored sparsely
        check_whole(model.schema, staged[None], fingerprint_inputs)
        difference = parity.check_onnx(model, staged[None], rows)
        if split:
            first, second = (staged[part] for part in HALVES)
            for file in (first, second):
                refuse_nonstandard(file)
            parity.check_halves(model, first, second, rows)
        if of_lists is not None:
            of_lists.check(staged[LISTS], rows)
        with hidden_folder(target.parent / "tmp") as aside:
            publish(staged, files, aside)
    halves = half_files(target) if split else None
    beside = None if of_lists is None else files[LISTS]
    return Written(target, storages, difference, halves, tuple(on_cpu), beside, no_lists)


def _described(model: WideDeep, ranges: Mapping[str, Sequence[float]] | None) -> dict[str, Any]:
    """Returns the metadata of all files, as JSON values.

    Raises:
        ExportError: the ranges are not those of numeric inputs.
    """
    try:
        checked = metadata.checked_ranges(dict(ranges or {}), model.schema)
    except ValueError as error:
        raise ExportError(str(error)) from None
    found = {**metadata.facts(model.schema, model.reading), "layout": model.layout.to_dict()}
    return {**found, **({"ranges": checked} if checked else {})}


def _describe(proto: onnx.ModelProto, described: Mapping[str, Any], part: str | None, version: str) -> None:
    """Puts the metadata into a graph; `part` is None for a whole model."""
    # The second half takes no raw inputs.
    kept = {key: value for key, value in described.items() if (key, part) != ("ranges", HALVES[1])}
    properties = {f"{metadata.PREFIX}{key}": json.dumps(value, ensure_ascii=False) for key, value in kept.items()}
    more = {} if part is None else {metadata.PART: part}
    onnx.helper.set_model_props(proto, {**properties, "tfwd_version": version, **more})
    proto.producer_name, proto.producer_version, proto.doc_string = "tfwd", version, ""


def _tables(
    graph: onnx.GraphProto, variables: Mapping[str, Any], storages: tuple[Storage, ...]
) -> Iterator[wire.Streamed]:
    """Removes the tables' stand-ins from the graph; yields the tables to stream in their place."""
    held = {entry.name for entry in graph.initializer}
    for form in storages:
        if table_name(form.name) not in held:
            continue
        table = variables[form.name]
        head = storage.make_room(graph, form, table)
        if head is not None:
            parts = (part.tobytes() for part in storage.numbers(form.name, table, form.half))
            yield wire.Streamed(head, form.dense_bytes, parts)


def _rounds(graph: onnx.GraphProto, model: WideDeep) -> Iterator[wire.Streamed]:
    """Like `_tables`, for the rounds of crosses: what each category of their keys contributes to a hash."""
    held = {rounds_name(name): variable for name, variable in rounds(model.transform).items()}
    for index in reversed(range(len(graph.initializer))):
        entry = graph.initializer[index]
        if entry.name in held:
            numbers = held[entry.name].numpy().astype("<u8", copy=False)
            head = onnx.TensorProto(name=entry.name, data_type=entry.data_type, dims=numbers.shape)
            del graph.initializer[index]
            yield wire.Streamed(head, numbers.nbytes, iter([numbers.tobytes()]))


def _write(proto: onnx.ModelProto, streamed: list[wire.Streamed], file: Path) -> None:
    """Writes the file with what is streamed into it, or next to it if a message could not hold that."""
    size = proto.ByteSize()
    if size > _MESSAGE_BYTES:
        raise ExportError(
            f"The vocabularies take {size / 1e9:.1f} GB, and an ONNX file holds 2 GB beside its tables. Keep fewer "
            "categories with min_count or max_size, or hash them with hash_bins."
        )
    if sum(tensor.size for tensor in streamed) + size > INLINE_BYTES:
        for tensor in streamed:
            _append(tensor.head, tensor.parts, file.with_name(f"{file.name}.data"))
            proto.graph.initializer.append(tensor.head)
        streamed = []
    wire.write(file, proto, streamed)


def _append(tensor: onnx.TensorProto, parts: Iterable[bytes], data: Path) -> None:
    with data.open("ab") as file:
        # At the start of a page, so that a runtime can map it.
        start = -(-file.tell() // _PAGE) * _PAGE
        file.truncate(start)
        file.seek(start)
        file.writelines(parts)
        size = file.tell() - start
    tensor.data_location = onnx.TensorProto.EXTERNAL
    for key, value in {"location": data.name, "offset": start, "length": size}.items():
        tensor.external_data.add(key=key, value=str(value))
