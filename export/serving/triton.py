"""The kit of Triton: model repositories of the ONNX files, in the forms in which Triton can run them.

- `onnxruntime`: the whole model in Triton's ONNX Runtime backend, on the CPU.
- `ensemble`: for a GPU: the transform, which works on strings, on the CPU, and the ranker on the GPU.
- `python`: the whole model in Triton's Python backend, which any Triton has.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from string import Template
from typing import NamedTuple

from export.serving import kit_files, triton_config
from export.serving.found import ONNX, RANKER, TRANSFORM, Version, kits_folder, missing, newest, versions
from export.serving.settings import Settings, template
from export.serving.triton_config import Instances, Signature
from tfwd.errors import ExportError
from tfwd.utils.files import folder_beside, left_beside, link_or_copy, remove, write_text

FOLDER = "triton"
ROWS = 256
_CONFIG = "config.pbtxt"
_CODES = {"STRING": "BYTES"}
_SHOWN = {"STRING": '""', "FP16": "0.0", "FP32": "0.0", "FP64": "0.0", "BOOL": "False"}
_DTYPES = {"STRING": "object", "FP16": "np.float16", "FP32": "np.float32", "FP64": "np.float64", "BOOL": "bool"}


class Form(NamedTuple):
    """A form of the repositories.

    Attributes:
        name: its folder.
        what: runs a model, for the page.
        needs: what a server needs for it.
        holds: what a version has to hold.
        fill: writes a version into the repository.
    """

    name: str
    what: str
    needs: str
    holds: Callable[[Version], object]
    fill: Callable[[Path, Version, Settings], None]


def write(output: str | Path, settings: Settings | None = None) -> Path:
    """Writes `OUT/serving/triton`: a model repository in each form for which there are files, and a page.

    Args:
        output: the folder of all models: `NAME/VERSION/` with `model.onnx`, and for the ensemble also
            `model.transform.onnx` and `model.ranker.onnx`.
        settings: the choices; by default those for this machine.

    Returns:
        `OUT/serving/triton`.

    Raises:
        ExportError: there is no ONNX file in the folder, or one that Triton cannot take.
    """
    output, settings = Path(output), settings or Settings()
    models = versions(output)
    by_form = {form: newest(models, form.holds) for form in FORMS}
    if not any(by_form.values()):
        raise no_onnx(output, models)
    folder = kits_folder(output, FOLDER)
    folder.mkdir(parents=True, exist_ok=True)
    for form, last in by_form.items():
        place = folder / form.name
        for left in left_beside(place):
            remove(left)
        if last:
            with folder_beside(place, replace=True) as repository:
                for version in last.values():
                    form.fill(repository, version, settings)
        elif place.exists():
            # Of models that are no longer there.
            remove(place)
    written = {form: last for form, last in by_form.items() if last}
    text = {"Dockerfile": _dockerfile(settings), "README.md": _page(folder, written, settings)}
    kit_files.replace(folder, text, others=[form.name for form in written])
    return folder


def no_onnx(output: Path, models: dict[str, list[Version]]) -> Exception:
    """Returns the error of a folder without an ONNX model."""
    return missing(
        output,
        [found[-1] for found in models.values()],
        "ONNX models",
        ONNX,
        f"python -m export.onnx RUN --output {{output}}/{{name}}/{{version}}/{ONNX}",
    )


def _whole(repository: Path, version: Version, settings: Settings) -> None:
    assert version.onnx is not None
    found = triton_config.signature(version.onnx)
    config = triton_config.model(version.name, found, "onnxruntime", ONNX, ROWS, Instances(settings.cores))
    _model(repository / version.name, version.number, config, version.onnx)


def _python(repository: Path, version: Version, settings: Settings) -> None:
    assert version.onnx is not None
    found = triton_config.signature(version.onnx)
    python_model(repository, version.name, version.number, version.onnx, found, settings.cores)


def python_model(repository: Path, name: str, number: int, file: Path, found: Signature, instances: int) -> None:
    """Writes a model for the Python backend into a repository.

    Args:
        repository: the folder of models.
        name: the model's.
        number: its version.
        file: the ONNX file.
        found: its inputs and outputs.
        instances: how many processes run it.
    """
    config = triton_config.model(name, found, "python", "model.py", ROWS, Instances(instances))
    _model(repository / name, number, config, file)
    script = Template(template("triton/model.py.in")).substitute(name=name, file=file.name)
    write_text(repository / name / str(number) / "model.py", script)


def _ensemble(repository: Path, version: Version, settings: Settings) -> None:
    assert version.onnx is not None
    assert version.halves is not None
    names = [f"{version.name}_transform", f"{version.name}_ranker"]
    found = [triton_config.signature(file) for file in version.halves]
    steps = list(zip(names, found, strict=True))
    config = triton_config.ensemble(version.name, triton_config.signature(version.onnx), steps, ROWS)
    instances = Instances(settings.cores), Instances(1, "KIND_GPU")
    for (name, half), file, copies in zip(steps, version.halves, instances, strict=True):
        text = triton_config.model(name, half, "onnxruntime", file.name, ROWS, copies)
        _model(repository / name, version.number, text, file)
    _model(repository / version.name, version.number, config, None)


FORMS = (
    Form("onnxruntime", "Triton's ONNX Runtime backend, on the CPU", "nothing", lambda v: v.onnx, _whole),
    Form(
        "ensemble",
        "the same backend: the transform on the CPU, the ranker on the GPU",
        f"an NVIDIA GPU; `{TRANSFORM}` and `{RANKER}` of `python -m export.onnx RUN --split`",
        lambda v: v.halves,
        _ensemble,
    ),
    Form("python", "Triton's Python backend, on the CPU", "onnxruntime in the image", lambda v: v.onnx, _python),
)


def _model(folder: Path, number: int, config: str, file: Path | None) -> None:
    """Writes a model's folder: its configuration, and a version with the ONNX file and the tables beside that."""
    if folder.exists():
        raise ExportError(f"Two models would be called {folder.name} in {folder.parent.name}. Rename one of them.")
    place = folder / str(number)
    place.mkdir(parents=True)
    write_text(folder / _CONFIG, config)
    if file is not None:
        for part in (file, file.with_name(f"{file.name}.data")):
            if part.is_file():
                link_or_copy(part, place / part.name)


def _dockerfile(settings: Settings) -> str:
    return Template(template("triton/Dockerfile")).substitute(image=settings.triton_image, folder=FOLDER)


def _page(folder: Path, written: dict[Form, dict[str, Version]], settings: Settings) -> str:
    first = next(iter(written))
    version = next(iter(written[first].values()))
    assert version.onnx is not None
    found = triton_config.signature(version.onnx)
    return Template(template("triton/README.md")).substitute(
        names=", ".join(sorted({name for found in written.values() for name in found})),
        rows=ROWS,
        forms="\n".join(f"| `{form.name}` | {form.what} | {form.needs} |" for form in written),
        folder=folder.resolve(),
        first=first.name,
        image=settings.triton_image,
        name=version.name,
        columns="\n".join(_shown(tensor) for tensor in found.inputs),
        answer=found.outputs[0].name,
    )


def _shown(tensor: triton_config.Tensor) -> str:
    """Returns an input of the example: one row of a missing or zero value."""
    shape = (1, *(max(dim, 1) for dim in tensor.seen))
    value, dtype = _SHOWN.get(tensor.kind, "0"), _DTYPES.get(tensor.kind, f"np.{tensor.kind.lower()}")
    code = _CODES.get(tensor.kind, tensor.kind)
    return f'        "{tensor.name}": ("{code}", np.full({shape}, {value}, {dtype})),'
