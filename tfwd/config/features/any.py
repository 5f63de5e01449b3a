"""Any kind of feature, as a configuration lists them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated

from pydantic import Field

from tfwd.config.features.base import Feature
from tfwd.config.features.bucketized import Bucketized
from tfwd.config.features.categorical import Categorical
from tfwd.config.features.cross import Cross
from tfwd.config.features.datetime import Datetime
from tfwd.config.features.numeric import Numeric

AnyFeature = Annotated[Numeric | Bucketized | Categorical | Cross | Datetime, Field(discriminator="type")]


def expanded(features: Iterable[Feature]) -> tuple[Feature, ...]:
    """Returns the features that the heads read: those declared, each datetime replaced by its parts and numbers."""
    return tuple(made for feature in features for made in feature.expanded())
