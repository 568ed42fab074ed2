"""Stand in for the engine where a strategy is replayed to be checked.

Owns what such a strategy may look at, the fills it is told, and the choice of places to look at.
Refuses proofs: those are `check_bars` and `check_calls`.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from tradebot.core.model import Bar, Fill, Quote, Side
from tradebot.core.quantize import decimal_of
from tradebot.core.strategy import Input, Target

Series = Mapping[Input, Sequence[Bar | Quote]]

EQUITY = 100_000.0
TOLERANCE = 1e-9
COMPARED = 30  # decisions after a restart


@dataclass(slots=True)
class Watch:
    """What a strategy may look at while it is replayed (a `Context`): series up to now, and holdings."""

    instrument: str
    series: Series
    now: int = 0
    muted: bool = False
    missing: tuple[str, ...] = ()
    held: Mapping[str, float] = field(default_factory=dict)

    def position(self, instrument: str | None = None) -> float:
        return self.held.get(instrument or self.instrument, 0.0)

    def price(self, instrument: str | None = None) -> float | None:
        name = instrument or self.instrument
        seen = [item for key in self.series if key.instrument == name and (item := self._last(key))]
        if not seen:
            return None
        last = max(seen, key=lambda item: item.ts)
        return last.close if isinstance(last, Bar) else last.mid

    def equity(self) -> float | None:
        return EQUITY

    def bar(self, interval: int, instrument: str | None = None) -> Bar | None:
        """Return the last closed bar of a series."""
        key = Input(interval, instrument or self.instrument)
        found = self._last(key) if key in self.series else None
        return found if isinstance(found, Bar) else None

    def set_timer(self, key: str, at: int) -> None:
        """Take no timer: market data are all that is shown here."""

    def target(
        self,
        weight: float | None = None,
        qty: float | None = None,
        *,
        reason: str = "",
        instrument: str | None = None,
        **explained: float,
    ) -> Target:
        """Build a target as the engine's context does."""
        return Target(instrument or self.instrument, weight, qty, reason, tuple(explained.items()))

    def _last(self, key: Input) -> Bar | Quote | None:
        items = self.series[key]
        i = bisect_right(items, self.now, key=lambda item: item.ts)
        return items[i - 1] if i else None


def fill_of(instrument: str, signed: float, price: float, ts: int) -> Fill:
    """Return a fill of a signed quantity, as it is told to a strategy."""
    return Fill(
        fill_id=f"check-{ts}",
        client_order_id=f"check-{ts}",
        instrument=instrument,
        side=Side.of(signed),
        qty=decimal_of(abs(signed)),
        price=decimal_of(price),
        ts=ts,
    )


def spread(places: Sequence[int], most: int) -> list[int]:
    """Return at most `most` of some places, evenly spread, the first and the last among them."""
    if len(places) <= most:
        return list(places)
    return [places[round(i * (len(places) - 1) / (most - 1))] for i in range(most)]
