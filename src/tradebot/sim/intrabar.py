"""Choose which order acts next between a bar's open and its close.

Owns the choice only, as pure functions over candidates (order, the price at which it acts); the
rules they follow are written down in `bars`.
"""

from __future__ import annotations

from collections.abc import Iterable

from tradebot.core.model import Bar
from tradebot.sim.settings import IntrabarPath
from tradebot.sim.working import Alive, Role, Working

Candidate = tuple[Working, float]


def path_of(rule: IntrabarPath, bar: Bar) -> tuple[float, ...] | None:
    """Return the assumed path as prices, None when no path is assumed."""
    if rule in (IntrabarPath.WORST_CASE, IntrabarPath.FINER_BARS):
        return None
    if rule is IntrabarPath.OHLC:
        high_first = True
    elif rule is IntrabarPath.ADAPTIVE:
        high_first = bar.high - bar.open < bar.open - bar.low
    else:
        high_first = bar.close < bar.open
    extremes = (bar.high, bar.low) if high_first else (bar.low, bar.high)
    return (bar.open, *extremes, bar.close)


def next_on_leg(candidates: Iterable[Candidate], q: float, end: float) -> Candidate | None:
    """Return the first order that a straight line from `q` to `end` meets."""
    lo, hi, is_up = min(q, end), max(q, end), end >= q
    met = [
        (w, level)
        for w, level in candidates
        if (w.is_buy == is_up) == (w.role is Role.STOP) and lo - w.snap <= level <= hi + w.snap
    ]
    return _nearest(met, q)


def next_worst(candidates: Iterable[Candidate], q: float, bar: Bar) -> tuple[Working, float, bool] | None:
    """Return the next event of the worst case from price `q`: order, price, is it an assumption."""
    stops: list[Candidate] = []
    limits: list[Candidate] = []
    for w, level in candidates:
        whole = w.role is Role.STOP or w.alive is Alive.OPEN
        lo, hi = (bar.low, bar.high) if whole else w.must
        if lo - w.snap <= level <= hi + w.snap:
            (stops if w.role is Role.STOP else limits).append((w, level))
    blockers: dict[str, None] = {}
    free: list[Candidate] = []
    for w, level in limits:
        blocking = [s.client_order_id for s, at in stops if _rivals(w, s) and not _on_way(q, level, at)]
        blockers.update(dict.fromkeys(blocking))
        if not blocking:
            free.append((w, level))
    # A blocked limit waits for a stop that can act itself, so somebody always can.
    chosen = _nearest([*stops, *free], q)
    if chosen is None:
        return None
    w, level = chosen
    if w.role is Role.STOP:
        uncertain = w.alive is Alive.MID and not w.must[0] - w.snap <= level <= w.must[1] + w.snap
        assumed = uncertain or w.client_order_id in blockers
    else:
        assumed = False
    return w, level, assumed or any(_sibling_across(w, level, o, at, q) for o, at in (*stops, *limits))


def _nearest(candidates: list[Candidate], q: float) -> Candidate | None:
    best: tuple[float, bool, int] | None = None
    chosen: Candidate | None = None
    for w, level in candidates:
        key = (abs(level - q), w.role is not Role.STOP, w.seq)
        if best is None or key < best:
            best, chosen = key, (w, level)
    return chosen


def _rivals(limit: Working, stop: Working) -> bool:
    a, b = limit.order, stop.order
    if a.account != b.account:
        return False
    return a.side is b.side or (a.group_id is not None and a.group_id == b.group_id)


def _sibling_across(w: Working, level: float, other: Working, at: float, q: float) -> bool:
    """Return whether `other` would have cancelled `w`, had the price gone the other way first."""
    a, b = w.order, other.order
    if a.group_id is None or a.group_id != b.group_id or a.account != b.account:
        return False
    return (level - q) * (at - q) < 0


def _on_way(q: float, level: float, to: float) -> bool:
    """Return whether the way from `q` to `to` passes `level` before it arrives."""
    return q >= level > to or q <= level < to
