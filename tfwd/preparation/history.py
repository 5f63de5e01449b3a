"""The items of a user's earlier events, point-in-time correct: for each row, nothing of its own time or later.

The listed events of a user are numbered by time (ties by item) and cut into pieces of the maximum length of a list.
An event that is preceded by `known` listed events finds its list in the piece that contains number `known` and the one
before it: two short lists per row, however long the log is, made by sorting, grouping and joining, all of which DuckDB
does on disk when memory runs out.
"""

from __future__ import annotations

import ibis
import ibis.expr.types as ir


def histories(events: ir.Table, length: int) -> ir.Table:
    """Returns the history of each event.

    Args:
        events: one row per event: `row` (a unique number), `user`, `item`, `time`, and whether it is `listed` in the
            histories of later events. An event without a user, an item or a time is in no history, and one without a
            user or a time has none.
        length: the maximum number of items in a list.

    Returns:
        `row` and `history`, a list: the items of the last `length` listed events of the user whose time is less than
        the event's, by time, then item. Rows with an empty history are left out.
    """
    placed = events.filter(events.user.notnull() & events.time.notnull())
    counted = (placed.listed & placed.item.notnull()).fill_null(False).cast("int64")
    until = ibis.range_window(group_by=placed.user, order_by=placed.time, preceding=None, following=0)
    same = ibis.window(group_by=[placed.user, placed.time])
    known = placed.select("row", "user", known=counted.sum().over(until) - counted.sum().over(same))
    known = known.filter(known.known > 0)
    known = known.mutate(piece=((known.known - 1) // length).cast("int64"))
    pieces = _pieces(_numbered(events), length)
    joined = known.join(pieces, [known.user == pieces.user, known.piece == pieces.piece])
    joined = joined.select("row", "known", "piece", "before", "items")
    # Positions in both pieces concatenated: the first piece is full, or there is none.
    together = ibis.coalesce(joined.before, joined["items"][0:0]).concat(joined["items"])
    end = joined.known - joined.piece * length + ibis.coalesce(joined.before.length(), 0)
    return joined.select("row", history=together[ibis.greatest(end - length, 0) : end])


def latest(events: ir.Table, length: int) -> ir.Table:
    """Returns the history that the next event of each user would have.

    Args:
        events, length: as in `histories`.

    Returns:
        `user` and `history`; users with an empty history are left out.
    """
    numbered = _numbered(events)
    total = numbered.number.max().over(ibis.window(group_by=numbered.user))
    kept = numbered.mutate(total=total)
    kept = kept.filter(kept.number > kept.total - length)
    return kept.group_by("user").aggregate(history=kept["item"].collect(order_by=kept.number))


def _numbered(events: ir.Table) -> ir.Table:
    """Returns the listed events of each user, numbered from 0 by time and item."""
    listed = events.filter(events.listed & events.user.notnull() & events.time.notnull() & events["item"].notnull())
    order = ibis.window(group_by=listed.user, order_by=[listed.time, listed["item"]])
    return listed.select("user", "item", number=ibis.row_number().over(order))


def _pieces(numbered: ir.Table, length: int) -> ir.Table:
    """Returns `user`, `piece`, the `items` of the piece and those of the piece `before`."""
    numbered = numbered.mutate(piece=(numbered.number // length).cast("int64"))
    pieces = numbered.group_by(["user", "piece"]).aggregate(items=numbered["item"].collect(order_by=numbered.number))
    order = ibis.window(group_by=pieces.user, order_by=pieces.piece)
    return pieces.mutate(before=pieces["items"].lag(1).over(order))
