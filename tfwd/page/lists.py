"""A user's list of items with its reasons, for a run that ranks; each item leads to its row on the page."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cached_property

from tfwd.data.source import Source
from tfwd.errors import DataError
from tfwd.page.fields import Field, row_of_raw
from tfwd.page.links import query_of
from tfwd.page.markup import answer_text, meter, table, text
from tfwd.recommend.recommender import USERS, file_of, has_catalogue
from tfwd.recommend.requests import find_user, names_of
from tfwd.run import Run

# Users that are offered, the length of a list, and the reasons for an item.
_OFFERED, _ITEMS, _REASONS = 1000, 10, 3


class Lists:
    """The lists of a run.

    Args:
        run: the run.
        fields: the fields of the page.
    """

    def __init__(self, run: Run, fields: Sequence[Field]) -> None:
        self._run, self._fields = run, fields

    @property
    def why_none(self) -> str:
        """Why there are no lists, for people; empty if there are."""
        if self._run.config.ranking is None:
            return "The model does not rank: its configuration has no section ranking."
        if not has_catalogue(self._run):
            return "The run has no catalogue of items: its data was not prepared by the training."
        try:
            file_of(self._run, USERS)
        except DataError:
            return "The run has no users: its data was not prepared by the training."
        return ""

    def warm(self) -> None:
        """Makes a list, if there are any, so that later ones are quick."""
        if not self.why_none:
            for user in self.users()[:1]:
                self.panel(user, False)

    @cached_property
    def _users(self) -> Source:
        return Source.open(str(file_of(self._run, USERS)))

    def users(self) -> list[str]:
        """Returns the first users."""
        return names_of(self._users, self._run.recommender.ranking.user, _OFFERED)

    def panel(self, user: str, include_seen: bool, link: Callable[[str], str] = lambda query: f"?{query}") -> str:
        """Returns the list of a user.

        Args:
            user: the user.
            include_seen: whether to list what the user has seen too.
            link: turns a query string into a link to its row.

        Raises:
            DataError: there is no such user.
        """
        recommender = self._run.recommender
        ranking = recommender.ranking
        request = find_user(self._users, ranking.user, user, hint="")
        found = recommender.recommend(request, k=_ITEMS, include_seen=include_seen)
        if not len(found):
            return "<p>Nothing is left to list: the user has seen every item.</p>"
        items = found[ranking.item].tolist()
        reasons = recommender.reason_lists(request, items, _REASONS)
        pairs = recommender.pairs(request, items)
        titles = (found[ranking.title] if ranking.title in found else found[ranking.item]).tolist()
        rows = []
        for at, (title, score, why) in enumerate(zip(titles, found["score"], reasons, strict=True)):
            query = query_of(self._fields, row_of_raw(self._fields, pairs, at))
            parts = "".join(f"<span>{text(part)}</span>" for part in why)
            schema = self._run.model.schema
            shown = meter(float(score)) if schema.task == "binary" else ""
            rows.append(
                [
                    f'<a href="{text(link(query))}">{at + 1}. {text(title or items[at])}</a>{shown}'
                    f'<span class="reasons">{parts}</span>',
                    f'<span class="amount">{text(answer_text(schema, float(score)))}</span>',
                ]
            )
        caption = f"For {text(ranking.user)} {text(user)}. An item opens its row with everything that gives its answer."
        return table([text(ranking.title or ranking.item), "score"], rows, caption, "why list")
