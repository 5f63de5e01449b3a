"""Metrics of ranked lists, one list per user, computed from sorted rows.

Rows of one user with equal scores have no order. A metric is the expected value over all their possible orders
(McSherry and Najork 2008), so that it depends neither on the order of the file nor on chance.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from tfwd.metrics.running_sums import Sums

Array = NDArray[Any]


class ListMetrics:
    """Sums the metrics of users who come in blocks.

    For labels that are 0 or 1: `gauc`, the AUC of each user who has both, weighted by the user's rows (Zhu et al.
    2017); and the means over the users with a positive row of `recall_at_k` (the share of the user's positives that are
    in the first k), `hit_rate_at_k` (whether any is) and `mrr` (1 / the place of the first positive). For labels that
    are numbers of at least 0, including 0 and 1: `ndcg_at_k`, whose gain is the label and whose discount is
    1 / log2(place + 1) (Jarvelin and Kekalainen 2002), the mean over the users with any gain. For all users:
    `coverage_at_k`, the share of the items that are in the first k of anybody's list.

    Args:
        k: the length of a list.
        items: the number of items.
        binary: whether labels are 0 and 1.
    """

    def __init__(self, k: int, items: int, binary: bool) -> None:
        self._k, self._binary = k, binary
        self._users, self._valid = 0, True
        self._gains, self._hits, self._areas = Sums(1), Sums(3), Sums(1)
        # For each item, the logarithm of the chance that no list has it.
        self._unseen = np.zeros(items)

    def add(self, users: Array, items: Array, labels: Array, scores: Array) -> None:
        """Adds all rows of some users.

        Args:
            users: `(N,)`, rows of the same user side by side.
            items: `(N,)`, integers from 0.
            labels: `(N,)`.
            scores: `(N,)`, descending within a user.
        """
        if not len(users):
            return
        lists = _Lists(users, scores, self._k)
        self._users += len(lists.user_starts)
        self._cover(lists, items)
        self._valid &= bool((labels >= 0).all())
        self._add_gains(lists, labels.astype(np.float64))
        if self._binary:
            self._add_binary(lists, labels > 0)

    def result(self) -> dict[str, float]:
        """Returns the metrics; NaN where no user has what a metric needs."""
        k = self._k
        found: dict[str, float] = {"users": self._users}
        if self._binary:
            recall, hit_rate, mrr = self._hits.means()
            found["gauc"] = self._areas.means()[0]
        found[f"ndcg_at_{k}"] = self._gains.means()[0] if self._valid else float("nan")
        if self._binary:
            found |= {f"recall_at_{k}": recall, f"hit_rate_at_{k}": hit_rate, "mrr": mrr}
        found[f"coverage_at_{k}"] = float(-np.expm1(self._unseen).mean()) if len(self._unseen) else float("nan")
        return found

    def _cover(self, lists: _Lists, items: Array) -> None:
        with np.errstate(divide="ignore"):
            missed = np.log1p(-lists.per_row(lists.shown / lists.sizes))
        self._unseen += np.bincount(items, missed, len(self._unseen))

    def _add_gains(self, lists: _Lists, labels: Array) -> None:
        means = lists.in_groups(labels) / lists.sizes
        gained = lists.of_groups(means * lists.in_groups(lists.discounts))
        best = np.lexsort((-labels, lists.user))
        ideal = lists.in_users(labels[best] * lists.discounts)
        some = ideal > 0
        self._gains.add([gained[some] / ideal[some]], None)

    def _add_binary(self, lists: _Lists, positive: Array) -> None:
        hits = lists.in_groups(positive.astype(np.float64))
        positives = lists.of_groups(hits)
        before = lists.before(hits)
        rows = lists.user_sizes.astype(np.float64)
        both = (positives > 0) & (positives < rows)
        area = lists.of_groups((lists.sizes - hits) * (before + 0.5 * hits))
        self._areas.add([area[both] / (positives * (rows - positives))[both]], rows[both])
        some = positives > 0
        found = lists.of_groups(hits * lists.shown / lists.sizes)
        # The groups that hold the first positive of a user, one per user who has any.
        first = np.flatnonzero((hits > 0) & (before == 0))
        hit, reciprocal = _first_hits(lists, first, hits[first].astype(np.int64))
        self._hits.add([found[some] / positives[some], hit, reciprocal], None)


class _Lists:
    """Users' lists, and their groups of rows with the same score.

    Attributes:
        user: `(N,)`, the number of the user in this block.
        user_starts, user_sizes: `(U,)`.
        starts, sizes: `(G,)`, of the groups.
        offsets: `(G,)`, the number of the user's rows before the group.
        shown: `(G,)`, how many of the first k places the group takes.
        discounts: `(N,)`, the discount of each row's place, 0 after the first k.
    """

    def __init__(self, users: Array, scores: Array, k: int) -> None:
        count = len(users)
        new_user = np.concatenate([[True], users[1:] != users[:-1]])
        new_group = new_user | np.concatenate([[True], scores[1:] != scores[:-1]])
        self.user_starts, self.starts = np.flatnonzero(new_user), np.flatnonzero(new_group)
        self.user_sizes = np.diff(self.user_starts, append=count)
        self.sizes = np.diff(self.starts, append=count)
        self.user = np.cumsum(new_user) - 1
        self._group_users = self.user[self.starts]
        self._first_groups = np.searchsorted(self.starts, self.user_starts)
        self.offsets = self.starts - self.user_starts[self._group_users]
        self.shown = np.clip(k - self.offsets, 0, self.sizes)
        places = np.arange(count) - self.user_starts[self.user]
        self.discounts = np.where(places < k, 1.0 / np.log2(places + 2.0), 0.0)

    def in_groups(self, values: Array) -> Array:
        """Returns the sums of rows' values by group."""
        return np.add.reduceat(values, self.starts)

    def in_users(self, values: Array) -> Array:
        """Returns the sums of rows' values by user."""
        return np.add.reduceat(values, self.user_starts)

    def of_groups(self, values: Array) -> Array:
        """Returns the sums of groups' values by user."""
        return np.add.reduceat(values, self._first_groups)

    def before(self, values: Array) -> Array:
        """Returns for each group the sum of the whole-number values of the user's groups before it."""
        passed = np.cumsum(values) - values
        return passed - passed[self._first_groups][self._group_users]

    def per_row(self, values: Array) -> Array:
        """Returns groups' values at their rows."""
        return np.repeat(values, self.sizes)


def _first_hits(lists: _Lists, groups: Array, hits: Array) -> tuple[Array, Array]:
    """Returns the chance that a positive of a group is shown, and the expected reciprocal of the first one's place.

    In a random order of n rows, r of them positive, the first j contain none with the chance C(n - r, j) / C(n, j).

    Args:
        lists: the lists.
        groups: which groups.
        hits: the r of each.
    """
    sizes, offsets = lists.sizes[groups], lists.offsets[groups]
    logs = np.concatenate([[0.0], np.cumsum(np.log(np.arange(1, sizes.max(initial=0) + 1)))])

    def none_in(n: Array, r: Array, j: Array) -> Array:
        possible = j <= n - r
        rest = np.where(possible, n - r - j, 0)
        return np.where(possible, np.exp(logs[n - r] + logs[n - j] - logs[rest] - logs[n]), 0.0)

    hit = 1.0 - none_in(sizes, hits, lists.shown[groups])
    ends = np.cumsum(sizes)
    position = np.arange(ends[-1] if len(ends) else 0) - np.repeat(ends - sizes, sizes)
    n, r = np.repeat(sizes, sizes), np.repeat(hits, sizes)
    chance = none_in(n, r, position) * r / (n - position)
    reciprocal = chance / (np.repeat(offsets, sizes) + position + 1)
    return hit, np.add.reduceat(reciprocal, ends - sizes) if len(ends) else hit
