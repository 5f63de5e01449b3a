"""A run: what a training has left in a directory, and everything that can be done with it."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal

from numpy.typing import NDArray

from tfwd.data.rows import Rows
from tfwd.data.source import Source
from tfwd.errors import DataError
from tfwd.run_folder import background
from tfwd.run_folder.folder import RunFolder

if TYPE_CHECKING:
    import pandas as pd

    from tfwd.inference.scorer import Scorer
    from tfwd.inspection.contributions import Contributions, Explainer
    from tfwd.recommend.recommender import Recommender


# Rows that are explained at a time.
_EXPLAINED = 256


class Run(RunFolder):
    """A run: its directory, the answers of its model, and the rows that it was trained on.

    Make one with `tfwd.fit`, read one with `Run.open`. The contents of its folder are described in `RunFolder`.

    Args:
        path: the directory.
        config: its configuration.
    """

    def wide_weights(self, nonzero: bool = True) -> pd.DataFrame:
        """Returns the named weights of the wide head, the heaviest first; see `tfwd.wide_weights`."""
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
        """What splits the logits of raw rows.

        It compares the deep head with rows that the training kept, or that are drawn from the run's data, or else with
        the typical row; `Contributions.background_rows` tells which.

        Raises:
            RunError: the run was changed after the training, or the rows that it kept are damaged.
        """
        from tfwd.inspection.contributions import Explainer

        self.refuse_changed()
        rows = None
        if self.model.heads.deep is not None:
            kept = background.load(self.path, self.model.schema)
            rows = self.drawn(background.ROWS) if kept is None else kept
        return Explainer(self.model, self.config.features, self.statistics, rows)

    def recommend(
        self, users: Any, *, k: int | None = None, candidates: Sequence[Any] | None = None, include_seen: bool = False
    ) -> pd.DataFrame:
        """Returns the best items of the run's catalogue for some users; see `tfwd.Recommender.recommend`."""
        return self.recommender.recommend(users, k=k, candidates=candidates, include_seen=include_seen)

    @cached_property
    def recommender(self) -> Recommender:
        """What makes lists of the items of the run's catalogue; made once.

        Raises:
            ConfigError: the run's configuration has no section `ranking`.
            DataError: the run has no catalogue.
        """
        from tfwd.recommend.recommender import Recommender

        return Recommender(self)

    def predict(self, data: Any, *, key: Sequence[str] | None = None) -> Any:
        """Returns the answers for all rows of a frame or a file, as a frame in memory; see `tfwd.Scorer.predict`."""
        return self._scorer.predict(data, key=key)

    def evaluate(self, data: Any) -> dict[str, float]:
        """Returns the exact metrics on a frame or a file of labelled rows; see `tfwd.Scorer.evaluate`."""
        return self._scorer.evaluate(data)

    @cached_property
    def _scorer(self) -> Scorer:
        from tfwd.inference.load import run_scorer

        return run_scorer(self)

    def rows(self, split: Literal["train", "test"]) -> str | tuple[str, ...] | None:
        """Returns where the rows of a split are, prepared or not; None if there are none, or they came from a frame.

        It is a tuple if the configuration names several files.
        """
        if self.data is not None:
            file = self.data / f"{split}.parquet"
            return str(file) if file.is_file() else None
        return None if self.was_frame(split) else getattr(self.config.data, split)

    def was_frame(self, split: str) -> bool:
        """Returns whether `train`, `validation` or `test` was given as a frame, which the run does not keep."""
        given = self.head.given
        return given is not None and split in given.frames

    def source(self) -> Source | None:
        """Returns the run's test data, or else its training data, as the training read it.

        It is None if the run was trained on frames, whose rows it does not keep.

        Raises:
            DataError: the file is missing.
        """
        data, path = self.config.data, self.rows("test") or self.rows("train")
        if path is None:
            return None
        if self.data is not None:
            return Source.open(path)
        return Source.open(path, csv=data.csv, format=data.format, filter=data.filter)

    def sample(self, count: int) -> dict[str, NDArray[Any]] | None:
        """Returns the first raw rows of the test, or else the training data: `{input: (N,)}`, N at most `count`.

        It is None if the run was trained on frames, whose rows it does not keep.

        Raises:
            DataError: the file is missing, or its columns have changed.
        """
        source = self.source()
        if source is None:
            return None
        batch = next(Rows(source, self.model.schema, labelled=False).batches(count), None)
        return None if batch is None else batch.inputs

    def drawn(self, count: int) -> dict[str, NDArray[Any]] | None:
        """Returns raw rows of the data of `source`, drawn with the seed of the training: `{input: (N,)}`.

        It is None if there are none, or the run has outlived them.

        Args:
            count: the most rows.
        """
        try:
            source = self.source()
            if source is None:
                return None
            return background.draw(source, self.model.schema, count, self.config.train.seed)
        except DataError:
            return None
