"""The section `export`."""

from __future__ import annotations

from typing import Literal

from pydantic import model_validator

from tfwd.config.section import Section, refuse_twice
from tfwd.utils.naming import is_valid


class ExportConfig(Section):
    """What is exported: the model's name in TF Serving, and the formats."""

    name: str = "wide_deep"
    formats: tuple[Literal["savedmodel", "onnx"], ...] = ("savedmodel", "onnx")

    @model_validator(mode="after")
    def _check(self) -> ExportConfig:
        if not is_valid(self.name):
            raise ValueError("name becomes a folder: letters, digits and _, a letter first")
        refuse_twice("formats", self.formats)
        return self
