"""What the study compares: changes to a preset, by name."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import tfwd
from tfwd.config.features.any import AnyFeature
from tfwd.config.features.cross import Cross

BOTH, WIDE, DEEP = "wide & deep", "wide only", "deep only"
PARTS = ("heads", "cross", "history", "dropout", "optimizers")
# The registry's names of the optimizers, and four learning rates of each, a factor of four apart.
RATES: dict[str, dict[str, tuple[float, ...]]] = {
    "wide": {
        "sgd": (0.05, 0.2, 0.8, 3.2),
        "lazy_adam": (0.0005, 0.002, 0.008, 0.032),
        "adagrad": (0.005, 0.02, 0.08, 0.32),
        "sparse_ftrl": (0.005, 0.02, 0.08, 0.32),
    },
    "deep": {
        "sgd": (0.02, 0.08, 0.32, 1.28),
        "lazy_adam": (0.0005, 0.002, 0.008, 0.032),
        "adagrad": (0.005, 0.02, 0.08, 0.32),
        "sparse_ftrl": (0.005, 0.02, 0.08, 0.32),
    },
}


@dataclass(frozen=True)
class Study:
    """A data set of the study.

    Attributes:
        preset: the configuration that all variants change.
        metrics: of the test rows, name in metrics.json -> heading.
        seen: name -> columns whose combination is counted in the training rows; a list counts by each of its values.
        crosses: what the part `cross` takes out: name -> whether a cross of these keys goes.
        history: the column of what a user did before, which the part `history` takes out with all that reads it.
        accumulator: where the sums of squared gradients of AdaGrad and FTRL start, as those of the preset's FTRL.
        l2: of the embeddings in the preset, which the optimizers of the deep head keep.
    """

    preset: str
    metrics: dict[str, str]
    seen: dict[str, tuple[str, ...]]
    crosses: dict[str, Callable[[tuple[str, ...]], bool]]
    history: str | None = None
    accumulator: float = 1e-5
    l2: float = 0.0


STUDIES = {
    "census": Study(
        "census",
        {"auc": "AUC", "log_loss": "log loss"},
        {
            "age, education, occupation and relationship": ("age", "education", "occupation", "relationship"),
            "the same, workclass and hours": (
                "age",
                "education",
                "occupation",
                "relationship",
                "workclass",
                "hours_per_week",
            ),
        },
        {"without crosses": lambda keys: True},
    ),
    "movielens": Study(
        "movielens",
        {"auc": "AUC", "log_loss": "log loss", "ndcg_at_10": "NDCG@10", "gauc": "GAUC"},
        {
            "the movie": ("movie_id",),
            "the user": ("user_id",),
            "age, gender and the movie": ("age", "gender", "movie_id"),
            "a liked movie and the movie": ("liked", "movie_id"),
        },
        {
            "without liked x movie": lambda keys: set(keys) == {"liked", "movie_id"},
            "without crosses": lambda keys: True,
        },
        history="liked",
        accumulator=1e-9,
        l2=1e-4,
    ),
}


@dataclass(frozen=True)
class Variant:
    """A preset with changes.

    Attributes:
        name: unique in a study.
        part: of the study that it belongs to.
        changes: as `Config.replace` takes them.
        without: whether a feature is left out.
    """

    name: str
    part: str
    changes: dict[str, Any] = field(default_factory=dict)
    without: Callable[[AnyFeature], bool] | None = None

    def of(self, config: tfwd.Config, seed: int) -> tfwd.Config:
        """The changed configuration. A refit is left out: all models see the same training rows."""
        if self.without is not None:
            dropped = self.without
            kept = [feature for feature in config.features if not dropped(feature)]
            config = config.model_copy(update={"features": tuple(kept)})
        return config.replace(
            train__seed=seed, train__refit=False, train__tensorboard=False, export__formats=[], **self.changes
        )


def _crosses(goes: Callable[[tuple[str, ...]], bool]) -> Callable[[AnyFeature], bool]:
    """Whether a feature is a cross of keys that go."""
    return lambda feature: isinstance(feature, Cross) and goes(feature.keys)


def _readers(column: str) -> Callable[[AnyFeature], bool]:
    """Whether a feature reads a column, itself or as a key of the same name."""
    return lambda feature: column in (feature.keys if isinstance(feature, Cross) else feature.columns)


def optimizer_name(head: str, optimizer: str, rate: float) -> str:
    """The name of the variant in which a head has this optimizer and rate."""
    return f"{head}: {optimizer} {rate:g}"


def _optimizer(study: Study, head: str, name: str, rate: float) -> dict[str, Any]:
    """An optimizer section of the configuration."""
    options: dict[str, Any] = {"name": name, "learning_rate": rate}
    if name in ("adagrad", "sparse_ftrl"):
        options["initial_accumulator_value"] = study.accumulator
    if name == "adagrad":
        # It is added to the sum, and Keras' 1e-7 would be where a smaller one starts.
        options["epsilon"] = min(1e-7, study.accumulator / 100)
    if head == "deep" and study.l2:
        # FTRL's own L2 is on another scale. Its shrinkage has the gradient of the others' L2, on the tower too.
        kind = "l2_shrinkage" if name == "sparse_ftrl" else "l2"
        options[f"{kind}_regularization_strength"] = study.l2
    return options


def variants(study: Study, parts: tuple[str, ...]) -> Iterator[Variant]:
    """The models of some parts of a study; those of `heads` come first."""
    if "heads" in parts:
        yield Variant(BOTH, "heads")
        yield Variant(WIDE, "heads", {"model__heads": ["wide"]})
        yield Variant(DEEP, "heads", {"model__heads": ["deep"]})
    if "cross" in parts:
        for name, goes in study.crosses.items():
            yield Variant(f"{BOTH}, {name}", "cross", without=_crosses(goes))
            yield Variant(f"{WIDE}, {name}", "cross", {"model__heads": ["wide"]}, _crosses(goes))
    if "history" in parts and study.history:
        without = _readers(study.history)
        yield Variant(f"{BOTH}, without history", "history", without=without)
        yield Variant(f"{DEEP}, without history", "history", {"model__heads": ["deep"]}, without)
    if "dropout" in parts:
        for share in (0.0, 0.2):
            changes = {"model__dropout": share, "model__embedding_dropout": share}
            yield Variant(f"{BOTH}, dropout {share:g}", "dropout", changes)
            yield Variant(f"{DEEP}, dropout {share:g}", "dropout", {**changes, "model__heads": ["deep"]})
    if "optimizers" in parts:
        for head, optimizers in RATES.items():
            for optimizer, rates in optimizers.items():
                for rate in rates:
                    change = {f"train__{head}_optimizer": _optimizer(study, head, optimizer, rate)}
                    yield Variant(optimizer_name(head, optimizer, rate), "optimizers", change)
