"""The sections of the optimizers: their names, learning rates and options, checked without TensorFlow."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal

from pydantic import ConfigDict, Field, model_validator
from pydantic_core import PydanticCustomError

from tfwd.config.section import LARGEST, MOST, Count, Section, fault
from tfwd.config.tree import shown
from tfwd.errors import ConfigError
from tfwd.utils.naming import nearest

OptimizerName = Literal["sparse_ftrl", "lazy_adam", "adagrad", "rmsprop", "sgd", "ftrl", "adam"]
Rate = Annotated[float, Field(gt=0, le=LARGEST)]

# The default learning rate of each optimizer.
RATES: dict[str, float] = {
    "sparse_ftrl": 0.1,
    "lazy_adam": 0.001,
    "adagrad": 0.05,
    "rmsprop": 0.001,
    "sgd": 0.1,
    "ftrl": 0.1,
    "adam": 0.001,
}

_FTRL = (
    "learning_rate_power",
    "initial_accumulator_value",
    "l1_regularization_strength",
    "l2_regularization_strength",
    "l2_shrinkage_regularization_strength",
    "beta",
)
_ADAM = ("beta_1", "beta_2", "epsilon", "amsgrad")
_CLIPS = ("clipnorm", "clipvalue")
_SPARSE = (*_CLIPS, "l2_regularization_strength")
# Options that need the whole table at every step -> what does the same for the rows of a batch.
DENSE = {
    "global_clipnorm": "Set clipnorm or clipvalue, which act on each variable",
    "weight_decay": "Set the optimizer's own L2, which acts on the rows that a batch touches",
    "use_ema": "Leave it out",
    "gradient_accumulation_steps": "Set a larger batch size",
    "loss_scale_factor": "Leave it out and keep the tables float32",
}
# Details of these options, without effect unless they are set.
DENSE_DETAILS = ("ema_momentum", "ema_overwrite_frequency")
# In addition to the learning rate.
OPTIONS: dict[str, tuple[str, ...]] = {
    "sparse_ftrl": (*_FTRL, *_CLIPS, "kernel"),
    "lazy_adam": (*_ADAM, *_SPARSE),
    "adagrad": ("initial_accumulator_value", "epsilon", *_SPARSE),
    "rmsprop": ("rho", "epsilon", "centered", *_SPARSE),
    "sgd": _SPARSE,
    "ftrl": (*_FTRL, *_CLIPS, *DENSE, *DENSE_DETAILS),
    "adam": (*_ADAM, *_CLIPS, *DENSE, *DENSE_DETAILS),
}
_FTRL_SLOTS: dict[str, str | None] = {"_accumulators": None, "_linears": None}
_ADAM_SLOTS = {"_momentums": None, "_velocities": None, "_velocity_hats": "amsgrad"}
# The numbers that an optimizer keeps for each weight: the attribute of its Keras class -> the option that it needs.
SLOTS: dict[str, dict[str, str | None]] = {
    "sparse_ftrl": _FTRL_SLOTS,
    "lazy_adam": _ADAM_SLOTS,
    "adagrad": {"_accumulators": None},
    "rmsprop": {"_velocities": None, "_average_gradients": "centered"},
    "sgd": {},
    "ftrl": _FTRL_SLOTS,
    "adam": _ADAM_SLOTS,
}
_MOMENTUM = {"sgd": ("momentum", "nesterov"), "rmsprop": ("momentum",)}
_TRUTHS = ("amsgrad", "centered", "use_ema", "nesterov")
_COUNTS = ("gradient_accumulation_steps", "ema_overwrite_frequency")
_SHARES = ("beta_1", "beta_2", "rho", "ema_momentum", "momentum")
_ABOVE_0 = (*_CLIPS, "global_clipnorm", "epsilon", "loss_scale_factor")
_KERNELS = ("auto", "fused", "gather")
# What other libraries call them.
_MEANT = {
    "l1": "l1_regularization_strength",
    "l2": "l2_regularization_strength",
    "l2_shrinkage": "l2_shrinkage_regularization_strength",
    "lr": "learning_rate",
    "eta": "learning_rate",
    "alpha": "learning_rate",
    "eps": "epsilon",
    "betas": "beta_1",
    "clip_norm": "clipnorm",
    "clip_value": "clipvalue",
    "gradient_clip": "clipnorm",
    "max_grad_norm": "clipnorm",
    "accumulator": "initial_accumulator_value",
}


KERAS_SCHEDULES = (
    "CosineDecay",
    "CosineDecayRestarts",
    "ExponentialDecay",
    "InverseTimeDecay",
    "PiecewiseConstantDecay",
    "PolynomialDecay",
)


def _is_of_keras(values: Any) -> bool:
    return isinstance(values, dict) and "keras" in values


def _other_section() -> PydanticCustomError:
    """The error of a section that was meant as another kind, so that the message is about that kind alone."""
    return PydanticCustomError("model_type", "a section of keys")


class KerasScheduleConfig(Section):
    """One of Keras' own schedules: `{keras: ExponentialDecay, initial_learning_rate: 0.01, decay_steps: 1000, ...}`.

    Args:
        keras: its class in `keras.optimizers.schedules`. The other keys are the arguments of that class.
    """

    model_config = ConfigDict(extra="allow")

    keras: Literal[
        "CosineDecay",
        "CosineDecayRestarts",
        "ExponentialDecay",
        "InverseTimeDecay",
        "PiecewiseConstantDecay",
        "PolynomialDecay",
    ]

    @property
    def options(self) -> dict[str, Any]:
        """The arguments of the class."""
        return dict(self.model_extra or {})

    @model_validator(mode="before")
    @classmethod
    def _meant(cls, values: Any) -> Any:
        if isinstance(values, dict) and not _is_of_keras(values):
            raise _other_section()
        return values


class ScheduleConfig(Section):
    """A learning rate that changes with the step; `steps: auto` is the whole training.

    Args:
        schedule: `cosine`, `linear` (both down to `end`), or `exponential` (times `end` after `steps`).
        start: the rate after the warm-up.
        end: the share of `start` that remains at the end.
        warmup: the number of steps in which the rate rises linearly from 0.
        steps: the length of the decay, in steps.
    """

    schedule: Literal["cosine", "linear", "exponential"]
    start: Rate
    end: float = Field(default=0.0, ge=0, le=1)
    warmup: int = Field(default=0, ge=0, le=MOST)
    steps: Count | Literal["auto"] = "auto"

    @model_validator(mode="before")
    @classmethod
    def _meant(cls, values: Any) -> Any:
        if _is_of_keras(values):
            raise _other_section()
        return values

    @model_validator(mode="after")
    def _check(self) -> ScheduleConfig:
        if self.schedule == "exponential" and self.end == 0:
            raise ValueError("an exponential schedule never reaches 0: give an end above 0, as in end: 0.01")
        return self


class OptimizerConfig(Section):
    """An optimizer by name, with its own options in addition to the learning rate (`beta_1`, `clipnorm`, ...).

    Args:
        name: the name of the optimizer.
        learning_rate: a number or a schedule; by default the optimizer's rate in `RATES`.
    """

    model_config = ConfigDict(extra="allow")
    positional: ClassVar[tuple[str, ...]] = ("name", "learning_rate")

    name: OptimizerName
    learning_rate: Rate | ScheduleConfig | KerasScheduleConfig

    if TYPE_CHECKING:

        def __init__(
            self, name: OptimizerName, learning_rate: float | Section | dict[str, Any] | None = None, **options: Any
        ) -> None: ...

    @property
    def options(self) -> dict[str, Any]:
        """The options given in addition to the name and the learning rate."""
        return dict(self.model_extra or {})

    @model_validator(mode="before")
    @classmethod
    def _usual_rate(cls, values: Any) -> Any:
        if isinstance(values, dict) and "name" in values:
            # An unknown name is refused later, with the nearest one, and not for the lack of a rate.
            return {"learning_rate": RATES.get(str(values["name"]), 0.1), **values}
        return values

    @model_validator(mode="after")
    def _check(self) -> OptimizerConfig:
        found = unfit(self.name, self.options)
        if found is not None:
            raise fault(*found)
        return self


def refuse_falling_rate(chosen: OptimizerConfig, where: str) -> None:
    """Refuses a schedule for FTRL, whose weights are sums times the current rate.

    Args:
        chosen: the optimizer.
        where: the path of its section, for the message.

    Raises:
        ConfigError: it is FTRL, and its rate is not a number.
    """
    if chosen.name in ("sparse_ftrl", "ftrl") and not isinstance(chosen.learning_rate, float):
        start = chosen.learning_rate.start if isinstance(chosen.learning_rate, ScheduleConfig) else 0.1
        raise ConfigError(
            f"{where}.learning_rate: {chosen.name} needs a fixed rate: its weights are sums "
            "times the current rate, so that a falling rate would shrink the weights themselves. Its own "
            f"1/sqrt(n) slows every weight down. Give a number, such as {start:g}."
        )


def refuse_decay_of_fixed(chosen: OptimizerConfig, where: str, fixed: Sequence[str]) -> None:
    """Refuses weight decay where rows of a table must stay as they are.

    Args:
        chosen: the optimizer.
        where: the path of its section, for the message.
        fixed: the features whose embeddings do not learn.

    Raises:
        ConfigError: there are such features, and it decays weights.
    """
    if fixed and chosen.options.get("weight_decay"):
        raise ConfigError(
            f"{where}.weight_decay: it pulls every row of a table to zero, those of {fixed[0]!r} too, which has "
            "embedding_trainable: false. Leave weight_decay out."
        )


def unfit(name: str, options: Mapping[str, Any]) -> tuple[str, str] | None:
    """The first option that an optimizer does not have, or whose value would make it fail in a step or later.

    Args:
        name: the name of the optimizer.
        options: its options, without the learning rate.

    Returns:
        The option and what is wrong with it, or None.
    """
    for option, value in options.items():
        text = _fault_of(name, option, value)
        if text is not None:
            return option, text
    clips = [option for option in (*_CLIPS, "global_clipnorm") if options.get(option) is not None]
    return (clips[1], f"expected one way of clipping. Received: {' and '.join(clips)}.") if len(clips) > 1 else None


def _fault_of(name: str, option: str, value: Any) -> str | None:
    if option in _MOMENTUM.get(name, ()):
        advice = "Leave it out, or take 'lazy_adam' for a momentum per touched row."
        reason = f"{name} has none: it would move every row of a table at every step. {advice}"
        return f"{reason} Received: {shown(value)}." if value else None
    if "weight_decay" not in OPTIONS[name] and option in (*DENSE, *DENSE_DETAILS):
        if not value or option in DENSE_DETAILS:
            return None
        return (
            f"{name} updates only the rows that a batch touches, and {option} needs the whole table at every step. "
            f"{DENSE[option]}, or take a dense optimizer ('ftrl', 'adam'). Received: {shown(value)}."
        )
    if option not in OPTIONS[name]:
        known = [*OPTIONS[name], "learning_rate"]
        near = _MEANT.get(option)
        hint = f" Did you mean {near!r}?" if near in known else nearest(option, known)
        return f"the optimizer {name!r} has no option {shown(option)}.{hint}"
    expected = wanted(option, value)
    return None if expected is None else f"expected {expected}. Received: {shown(value)}."


def wanted(option: str, value: Any) -> str | None:
    """What an option's value should have been; None if the value is valid."""
    if option == "kernel":
        return None if value in _KERNELS else "'auto', 'fused' or 'gather'"
    if option in _TRUTHS:
        return None if isinstance(value, bool) else "true or false"
    if value is None and option in (*_CLIPS, *DENSE, *DENSE_DETAILS):
        return None
    if isinstance(value, bool) or not isinstance(value, int | float):
        return "a number"
    if not abs(value) <= LARGEST:
        return "a finite float32 number"
    if option in _COUNTS:
        # Keras treats an accumulation of one step as a mistake.
        least = 2 if option == "gradient_accumulation_steps" else 1
        return None if isinstance(value, int) and value >= least else f"a whole number of at least {least}"
    if option in _SHARES:
        return None if 0 <= value < 1 else "a number from 0 to below 1"
    if option == "learning_rate_power":
        return None if value <= 0 else "a number of at most 0"
    if option in _ABOVE_0:
        return None if value > 0 else "a number above 0"
    return None if value >= 0 else "a number of at least 0"
