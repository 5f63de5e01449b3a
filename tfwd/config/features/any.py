"""Any kind of feature, as a configuration lists them."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from tfwd.config.features.bucketized import Bucketized
from tfwd.config.features.categorical import Categorical
from tfwd.config.features.cross import Cross
from tfwd.config.features.numeric import Numeric

AnyFeature = Annotated[Numeric | Bucketized | Categorical | Cross, Field(discriminator="type")]
