"""The section `model`: the heads and their sizes."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from tfwd.config.section import LARGEST, Section, refuse_twice

Head = Literal["wide", "deep"]


class ModelConfig(Section):
    """The heads and their sizes.

    Args:
        heads: `[wide, deep]`, or one of them.
        hidden_units: the widths of the deep head's layers.
        activation: a Keras activation.
        dropout: the share of units dropped after every hidden layer.
        batch_norm: batch normalization after every hidden layer, before the activation.
        l2: L2 penalty on the kernels of the deep head's dense layers (tables: see the optimizer's
            `l2_regularization_strength`).
        embedding_dropout: the share of the tower's inputs dropped.
        embedding_stddev: the standard deviation of the truncated normal initial embeddings; null is 1 / sqrt(width).
            With a small one, rarely seen values have little influence until they have learned something.
        loss: for a regression, `poisson` if the label is a count: the answer is its expectation, exp(logit), and the
            loss is the Poisson deviance. null is the task's default loss.
    """

    heads: tuple[Head, ...] = Field(default=("wide", "deep"), min_length=1)
    hidden_units: tuple[Annotated[int, Field(ge=1, le=2**31 - 1)], ...] = Field(default=(256, 128, 64), min_length=1)
    activation: str = "relu"
    dropout: float = Field(default=0.0, ge=0, lt=1)
    embedding_dropout: float = Field(default=0.0, ge=0, lt=1)
    embedding_stddev: float | None = Field(default=None, gt=0, le=LARGEST)
    batch_norm: bool = False
    l2: float = Field(default=0.0, ge=0, le=LARGEST)
    loss: Literal["poisson"] | None = None

    @model_validator(mode="after")
    def _check(self) -> ModelConfig:
        refuse_twice("heads", self.heads)
        return self
