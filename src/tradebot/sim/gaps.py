"""Change bars the way some engines do before they match them (`data.gap_policy`).

`keep` is the default and changes nothing. The others exist to repeat what peers do; both hide
what really happened, so results on them are not for trading decisions.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from enum import Enum

from tradebot.core.model import Bar


class GapPolicy(Enum):
    """KEEP, JESSE_BRIDGE (opens are moved to the previous close), FILL_FORWARD (missing bars are made up)."""

    KEEP = "keep"
    JESSE_BRIDGE = "jesse_bridge"
    FILL_FORWARD = "fill_forward"


class FilledBar(Bar):
    """A bar that never traded: the last close carried forward, volume 0. No order fills on it."""

    __slots__ = ()


def apply_gap_policy(bars: Iterable[Bar], policy: GapPolicy) -> Iterator[Bar]:
    """Return the bars of one instrument, in order of time, under `policy`.

    FILL_FORWARD makes up every missing multiple of the bar's own interval, nights and holidays
    included: meant for markets that never close.
    """
    if policy is GapPolicy.JESSE_BRIDGE:
        return _bridge(bars)
    return _fill_forward(bars) if policy is GapPolicy.FILL_FORWARD else iter(bars)


def _bridge(bars: Iterable[Bar]) -> Iterator[Bar]:
    last: Bar | None = None
    for bar in bars:
        if last is None:
            yield bar
        else:
            at = last.close
            yield bar._replace(open=at, high=max(bar.high, at), low=min(bar.low, at))
        last = bar


def _fill_forward(bars: Iterable[Bar]) -> Iterator[Bar]:
    last: Bar | None = None
    for bar in bars:
        if last is not None and bar.interval > 0:
            at = last.close
            for ts in range(last.ts + bar.interval, bar.ts, bar.interval):
                yield FilledBar(bar.instrument, ts, bar.interval, at, at, at, at, 0.0)
        yield bar
        last = bar
