"""A run: what a training has left in a directory, and everything that can be done with it."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any

from tfwd.data.rows import Rows
from tfwd.run_folder.folder import RunFolder

if TYPE_CHECKING:
    import pandas as pd

    from tfwd.inference.scorer import Scorer
    from tfwd.inspection.contributions import Contributions, Explainer
    from tfwd.recommend.recommender import Recommender


# Rows that are explained at a time, and rows that the deep head's answer is compared with.
_EXPLAINED = 256
_BACKGROUND = 64


class Run(RunFolder):
    """A run: its directory, and the answers of its model.

    Make one with `tfwd.fit`, read one with `Run.open`. The contents of its folder are described in `RunFolder`.

    Args:
        path: the directory.
        config: its configuration.
    """

    def wide_weights(self, nonzero: bool = True) -> pd.DataFrame:
        """The named weights of the wide head, the heaviest first; see `tfwd.wide_weights`."""
        from tfwd.inspection.wide_weights import wide_weights

        self.refuse_changed()
        return wide_weights(self.model, self.config.features, self.statistics, nonzero)

    def contributions(self, data: Any) -> list[Contributions]:
        """The logit of every row of a frame or a file as a sum: base rate, named weights, the deep head by feature.

        Memory grows with the rows; `explainer` splits raw batches.

        Args:
            data: rows as `predict` takes them.
        """
        rows = Rows(self._scorer.source(data, labelled=False), self.model.schema, labelled=False)
        return [row for batch in rows.batches(_EXPLAINED) for row in self.explainer(batch.inputs)]

    @cached_property
    def explainer(self) -> Explainer:
        """What splits the logits of raw rows; it compares the deep head with some training rows, if the run has any.

        Raises:
            RunError: the run was changed after the training.
        """
        from tfwd.inspection.contributions import Explainer

        self.refuse_changed()
        return Explainer(self.model, self.config.features, self.statistics, self.drawn(_BACKGROUND))

    def recommend(
        self, users: Any, *, k: int | None = None, candidates: Sequence[Any] | None = None, include_seen: bool = False
    ) -> pd.DataFrame:
        """The best items of the run's catalogue for some users; see `tfwd.Recommender.recommend`."""
        return self._recommender.recommend(users, k=k, candidates=candidates, include_seen=include_seen)

    @cached_property
    def _recommender(self) -> Recommender:
        from tfwd.recommend.recommender import Recommender

        return Recommender(self)

    def predict(self, data: Any, *, key: Sequence[str] | None = None) -> Any:
        """The answers for all rows of a frame or a file, as a frame in memory; see `tfwd.Scorer.predict`."""
        return self._scorer.predict(data, key=key)

    def evaluate(self, data: Any) -> dict[str, float]:
        """The exact metrics on a frame or a file of labelled rows; see `tfwd.Scorer.evaluate`."""
        return self._scorer.evaluate(data)

    @cached_property
    def _scorer(self) -> Scorer:
        from tfwd.inference.load import run_scorer

        return run_scorer(self)
