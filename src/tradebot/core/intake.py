"""Take market data in: marks first, then everybody who follows what came.

Owns the routing of a slice and the refusal of data that cannot be true. `glide` is the hot loop of
a backtest and written for speed; `take` is the rule that it follows.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

from tradebot.core.breakers import Breakers
from tradebot.core.callers import Callers
from tradebot.core.facts import BadDataSeen
from tradebot.core.legs import Leg, Seat
from tradebot.core.lookout import Lookout
from tradebot.core.market import problem_of
from tradebot.core.messages import Slice
from tradebot.core.model import Bar, Book, MarketData, Quote
from tradebot.core.recorder import Recorder

_TOP = 1e300  # a price above it cannot be multiplied by anything


class Intake:
    """Applies all market data of one instant, then has the strategies called that follow it."""

    __slots__ = (
        "_bar_seats",
        "_breakers",
        "_callers",
        "_lone",
        "_lookout",
        "_marks",
        "_quote_seats",
        "_quoted",
        "_rec",
        "_work",
        "waiting",
    )

    def __init__(
        self,
        recorder: Recorder,
        breakers: Breakers,
        callers: Callers,
        marks: dict[str, float],
        *,
        lookout: Lookout,
        waiting: dict[tuple[str, str], Leg],
        work: Callable[[Leg], None],
    ) -> None:
        """`waiting` are the legs that the gate keeps back for want of a price; `work` works one again."""
        self._rec = recorder
        self._breakers = breakers
        self._callers = callers
        self._marks = marks
        self._lookout = lookout
        self.waiting = waiting
        self._work = work
        self._quoted: dict[str, int] = {}  # when the last quote was
        self._bar_seats: dict[str, list[Seat]] = {}
        self._quote_seats: dict[str, list[Seat]] = {}
        self._lone: dict[str, Seat] = {}  # who alone follows an instrument, and nothing else

    def seat(self, seats: Iterable[Seat]) -> None:
        """Have these called with what they need from here on."""
        for seat in seats:
            table = self._quote_seats if seat.is_quoting else self._bar_seats
            for name in dict.fromkeys(need[0] for need in seat.needs):
                table.setdefault(name, []).append(seat)
        self._lone = {
            name: followers[0]
            for name, followers in self._bar_seats.items()
            if len(followers) == 1
            and followers[0].is_single
            and name not in self._quote_seats
            and name not in self._lookout.watched
        }

    def glide(
        self, feed: Iterator[Slice], until: int, mark: Callable[[str, Bar], None]
    ) -> tuple[Slice | None, bool]:
        """Take bars that come one by one to a strategy each, as long as nothing follows from them.

        The hot loop of a backtest: what `take` does, without a call for each step. `mark` is told
        every bar taken. Returns the slice that ended it (None: the feed did) and whether it was
        taken: one at `until` or later, or one that is not as simple, is not.
        """
        rec, breakers, marks, lone = self._rec, self._breakers, self._marks, self._lone
        facts, commands, call = rec.facts, rec.commands, self._callers.call_single
        for piece in feed:
            now, items = piece
            bar = items[0]
            seat = lone.get(bar[0])
            if seat is None or not isinstance(bar, Bar) or len(items) > 1 or not rec.now <= now < until:
                return piece, False
            name, ts, interval, open_, high, low, close, volume = bar
            last = seat.bar
            if not (
                0.0 < low <= high < _TOP
                and 0.0 < open_ < _TOP
                and 0.0 < close < _TOP
                and 0.0 <= volume < _TOP
                and interval == seat.interval
                and (last is None or last[1] < ts)
            ):
                return piece, False
            rec.now = now
            mark(name, bar)
            is_watched = now >= breakers.watch_at
            if is_watched:
                breakers.begin()
            marks[name] = close
            if is_watched:
                breakers.watch()
            seat.bar = bar
            call(seat)
            if facts or commands:
                return piece, True
        return None, False

    def take(self, piece: Slice) -> None:
        """Take a slice."""
        items = piece.items
        is_watched = self._rec.now >= self._breakers.watch_at and not self._rec.is_muted
        if is_watched:
            self._breakers.begin()
        due, quoted, priced = self._mark(items)
        if self.waiting and not self._rec.is_muted:
            self._work_waiting()
        if is_watched:
            self._breakers.watch()
        if priced and not self._rec.is_muted:
            for price in priced:
                self._lookout.look(price)
        for seat in due:
            if seat.is_single:
                self._callers.call_single(seat)
            else:
                self._callers.call_round(seat)
        for item in quoted:
            for seat in self._quote_seats.get(item.instrument, ()):
                self._callers.call_quote(seat, item)

    def _work_waiting(self) -> None:
        """Work what waited for a price again, now that some have come."""
        waiting = list(self.waiting.values())
        self.waiting.clear()
        for leg in waiting:
            self._work(leg)

    def last_of(self, instrument: str) -> tuple[int, int]:
        """Return when the last price of an instrument was true, and how long after it the next is due (ns)."""
        last, interval = self._quoted.get(instrument, 0), 0
        for seat in self._bar_seats.get(instrument, ()):
            bars = [seat.bar] if seat.is_single else [b for n, b in seat.bars.items() if n[0] == instrument]
            for bar in bars:
                if bar is not None and bar.ts > last:
                    last, interval = bar.ts, bar.interval
        return last, interval

    def _mark(
        self, items: tuple[MarketData, ...]
    ) -> tuple[list[Seat], list[Quote | Book], list[Bar | Quote]]:
        """Note all prices.

        Returns the seats whose bars are complete, the quotes that can be true, and what somebody is
        on the lookout for.
        """
        due: list[Seat] = []
        quoted: list[Quote | Book] = []
        priced: list[Bar | Quote] = []
        watched = self._lookout.watched
        for item in items:
            if isinstance(item, Bar):
                problem = problem_of(item) or self._follow(item, due)
                if problem:
                    self._bad(item.instrument, problem)
                else:
                    self._marks[item.instrument] = item.close
                    if item.instrument in watched:
                        priced.append(item)
            elif isinstance(item, Quote):
                problem = problem_of(item)
                if problem:
                    self._bad(item.instrument, problem)
                    continue
                self._marks[item.instrument] = (item.bid + item.ask) * 0.5
                self._quoted[item.instrument] = item.ts
                quoted.append(item)
                if item.instrument in watched:
                    priced.append(item)
            else:
                quoted.append(item)
        return due, quoted, priced

    def _follow(self, bar: Bar, due: list[Seat]) -> str:
        """Hand a bar to the seats that wait for it; returns why not, empty when it was taken."""
        for seat in self._bar_seats.get(bar.instrument, ()):
            if seat.is_single and seat.interval != bar.interval:
                continue
            last = seat.bar if seat.is_single else seat.bars.get((bar.instrument, bar.interval))
            if last is not None and bar.ts <= last.ts:
                return f"a bar must be later than the last one at {last.ts}, was at {bar.ts}"
            if seat.is_single:
                seat.bar = bar
                due.append(seat)
            elif self._callers.arrive(seat, bar):
                due.append(seat)
        return ""

    def _bad(self, instrument: str, problem: str) -> None:
        if not self._rec.is_muted:
            self._rec.fact(BadDataSeen(ts=self._rec.now, instrument=instrument, problem=problem))
