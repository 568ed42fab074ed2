"""Answer how it came about: decisions, the facts behind an order, runs and the gaps between them.

Owns the ways from one fact to the others that belong to it. Refuses wording: it returns facts.
"""

from __future__ import annotations

from decimal import Decimal
from itertools import pairwise
from typing import NamedTuple

from tradebot.core import facts as f
from tradebot.core.codec import decode
from tradebot.core.facts import Fact, Recorded, StrategyConfigured
from tradebot.store import connect
from tradebot.store.journal import RUN_PREFIX
from tradebot.store.views import OrderRow, Views, fills, positions

_FACT = "SELECT seq, seen, cause, kind, version, data FROM journal"
_WISHES = (f.TargetSet, f.QuotesSet, f.TargetSuspended)
_PARENT = (f.ParentOpened, f.ParentProgressed, f.ParentClosed)


class Run(NamedTuple):
    """One life of the daemon. `ended` None = it was killed or still lives.

    `alive_until` is the last moment it is known to have lived (all ns UTC).
    """

    seq: int
    run_id: str
    epoch: int
    started: int
    ended: int | None
    reason: str | None
    config_digest: str
    code_digest: str
    alive_until: int


class Gap(NamedTuple):
    """A time in which nothing ran; `was_ended` False = the run before was killed."""

    down_from: int
    up_at: int
    run_id: str
    was_ended: bool


def fact_at(views: Views, seq: int) -> Recorded | None:
    """Return the fact with that seq, None when there is none or it was cut."""
    return next(iter(_facts(views, "seq = ?", seq)), None)


def decisions(
    views: Views, strategy: str, instrument: str, *, at: int | None = None, limit: int = -1
) -> tuple[Recorded, ...]:
    """Return what was decided about an instrument at or before `at` (ns UTC), newest first.

    That is: what the strategy wanted, and everything that kept it from being done, data that was
    refused and a strategy that failed included.
    """
    scopes = " UNION ALL ".join(
        ["SELECT seq, ts FROM decisions WHERE strategy = ? AND instrument = ? AND ts <= ?"] * 3
    )
    until = at if at is not None else 2**63 - 1
    query = (
        "SELECT j.seq, j.seen, j.cause, j.kind, j.version, j.data FROM journal j "
        f"JOIN ({scopes}) d ON d.seq = j.seq ORDER BY d.ts DESC, d.seq DESC LIMIT ?"
    )
    names = ((strategy, instrument), (strategy, ""), ("", instrument))
    values = (*(value for pair in names for value in (*pair, until)), limit)
    with connect.explained(views.path, "reading"):
        return tuple(_recorded(row) for row in views.db.execute(query, values).fetchall())


def held(views: Views, strategy: str, instrument: str, at: int) -> Decimal | None:
    """Return the signed quantity that a strategy held at `at` (ns UTC), None when that cannot be told.

    Fills say so, unless something else moved it since: a split, an assignment.
    """
    rows = [p for p in positions(views, strategy=strategy) if p.instrument == instrument]
    now = sum((row.qty for row in rows), Decimal(0))
    if at >= views.last_seen():
        return now
    traded = fills(views, strategy=strategy, instrument=instrument)
    moved = [(row.ts, row.qty if row.side == "buy" else -row.qty) for row in traded]
    if sum((qty for _, qty in moved), Decimal(0)) != now:
        return None
    return sum((qty for ts, qty in moved if ts <= at), Decimal(0))


def behind(views: Views, order: OrderRow) -> tuple[Recorded, ...]:
    """Return the facts behind an order, in order: the wish, what became of it, the order's own facts.

    What was cut from the journal is missing. Causes are followed as far as they were recorded.
    """
    found: dict[int, Recorded] = {}
    wish = _wish_before(views, order)
    begin = order.first_seq if wish is None else wish.seq
    if wish is not None:
        found[wish.seq] = wish
        for one in _between(views, order, begin):
            found[one.seq] = one
    if order.parent is not None:
        kinds = ",".join(f"'{kind.__name__}'" for kind in _PARENT)
        where = f"kind IN ({kinds}) AND seq BETWEEN ? AND ? AND instr(data, ?)"
        for one in _facts(views, where, begin, order.last_seq, f'"{order.parent}"'):
            found[one.seq] = one
    # An order's id stands in every fact about it, and none of them lies outside of these two.
    for one in _facts(
        views, "seq BETWEEN ? AND ? AND instr(data, ?)", order.first_seq, order.last_seq, f'"{order.id}"'
    ):
        found[one.seq] = one
    waiting = [one.cause for one in found.values() if one.cause]
    while waiting:
        cause = fact_at(views, waiting.pop())
        if cause is not None and cause.seq not in found:
            found[cause.seq] = cause
            waiting += [cause.cause] if cause.cause else []
    return tuple(one for _, one in sorted(found.items()))


def _wish_before(views: Views, order: OrderRow) -> Recorded | None:
    """Return what the strategy wanted when the order was made."""
    kinds = ",".join(f"'{kind.__name__}'" for kind in _WISHES)
    query = (
        f"seq = (SELECT max(seq) FROM decisions WHERE strategy = ? AND instrument = ? AND kind IN ({kinds}) "
        "AND seq < ?)"
    )
    return next(iter(_facts(views, query, order.strategy, order.instrument, order.first_seq)), None)


def _between(views: Views, order: OrderRow, begin: int) -> tuple[Recorded, ...]:
    """Return what stood in the way of the wish, or made it smaller, before the order left."""
    query = "seq IN (SELECT seq FROM decisions WHERE strategy = ? AND instrument = ? AND seq BETWEEN ? AND ?)"
    return _facts(views, query, order.strategy, order.instrument, begin, order.first_seq)


def runs(views: Views) -> tuple[Run, ...]:
    """Return the runs, oldest first."""
    query = (
        "SELECT r.seq, r.run_id, r.epoch, r.started, r.ended, r.reason, r.config_digest, r.code_digest, "
        "max(coalesce(p.ts, 0), coalesce((SELECT j.seen FROM journal j WHERE j.seq < coalesce("
        "(SELECT min(n.seq) FROM runs n WHERE n.seq > r.seq), 9223372036854775807) "
        "ORDER BY j.seq DESC LIMIT 1), 0)) "
        "FROM runs r LEFT JOIN progress p ON p.stream = ? || r.run_id ORDER BY r.seq"
    )
    return views.ask(Run, query, (RUN_PREFIX,))


def gaps(views: Views) -> tuple[Gap, ...]:
    """Return the times between runs, oldest first."""
    lived = runs(views)
    return tuple(
        Gap(
            before.alive_until if before.ended is None else before.ended,
            after.started,
            before.run_id,
            before.ended is not None,
        )
        for before, after in pairwise(lived)
    )


def configured(views: Views) -> tuple[StrategyConfigured, ...]:
    """Return every setting that strategies have run with, oldest first."""
    found = (recorded.fact for recorded in _facts(views, "kind = 'StrategyConfigured'"))
    return tuple(fact for fact in found if isinstance(fact, StrategyConfigured))


def _facts(views: Views, where: str, *values: object) -> tuple[Recorded, ...]:
    with connect.explained(views.path, "reading"):
        rows = views.db.execute(f"{_FACT} WHERE {where} ORDER BY seq", values).fetchall()
    return tuple(_recorded(row) for row in rows)


def _recorded(row: tuple[int, int, int, str, int, str]) -> Recorded:
    seq, seen, cause, kind, version, data = row
    fact: Fact = decode(kind, version, data)
    return Recorded(seq, seen, cause, fact)
