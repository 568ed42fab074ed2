"""Be the venue of a paper account: the simulated exchange behind the async venue port, kept on disk.

Owns the order of logging, taking effect and telling. It is driven by a timeline, like the backtest's
venue, and asked by the runner, like a real one. Refuses matching and models: those are `sim`'s.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TypeVar, cast

from tradebot.core.forms import Plain, from_plain, to_plain
from tradebot.core.messages import (
    CancelOrder,
    Dividend,
    ReplaceOrder,
    SessionClose,
    SessionOpen,
    Split,
    SubmitOrder,
    SubmitPair,
    VenueReport,
)
from tradebot.core.model import Bar, Order, Quote
from tradebot.core.ports import Clock, IdPolicy, VenueOrder, VenueSnapshot
from tradebot.daemon.paperfile import Logged, PaperFile
from tradebot.sim.exchange import Exchange
from tradebot.sim.state import dump, load, request_of
from tradebot.sim.venue import Request

_LONG = 256  # calls after which the state is written anew

_MARKET: dict[str, type[Bar | Quote]] = {"Bar": Bar, "Quote": Quote}
E = TypeVar("E", SessionOpen | SessionClose, Split, Dividend)
_EVENTS: dict[str, type[SessionOpen | SessionClose | Split | Dividend]] = {
    c.__name__: c for c in (SessionOpen, SessionClose, Split, Dividend)
}


class PaperVenue:
    """One paper account. `file` None keeps nothing: a venue that outlives the daemon by other means."""

    id_policy = IdPolicy.FOR_EVER
    absence_is_proof = True

    def __init__(self, exchange: Exchange, clock: Clock, file: PaperFile | None = None) -> None:
        self.exchange = exchange
        self.account = exchange.account
        self._clock = clock
        self._file = file
        self._sink: Callable[[VenueReport], None] | None = None
        self._told: int | None = None  # reports of the running bar that were told, None outside
        self._done: dict[str, int] = {}  # how far each stream of data and events has come here
        if file is not None:
            self._recall(file)

    # --- in the timeline --------------------------------------------------------------------------

    @property
    def has_work(self) -> Callable[[str], bool]:
        return self.exchange.has_work

    @property
    def mark(self) -> Callable[[str, Bar | Quote], None]:
        return self.exchange.mark

    def on_market(self, item: Bar | Quote) -> Iterator[VenueReport]:
        """Let orders meet `item`, unless they have: a bar is met once, whatever happens to the daemon."""
        if not self._is_new(_stream(item), item.ts):
            return
        self._compact()
        self._log(Logged("market", None, [type(item).__name__, *cast("tuple[Plain, ...]", tuple(item))]))
        self._told = 0
        try:
            for report in self.exchange.on_market(item):
                if not self._told:
                    self._make_good()
                self._told += 1
                yield report
        finally:
            self._told = None
        self._make_good()

    def drain(self) -> list[VenueReport]:
        reports = self.exchange.drain()
        if reports:
            self._make_good()
        return reports

    def on_session(self, event: SessionOpen | SessionClose) -> None:
        self._event(event, f"session/{event.calendar}", self.exchange.on_session)

    def on_split(self, event: Split) -> None:
        self._event(event, f"split/{event.instrument}", self.exchange.on_split)

    def on_dividend(self, event: Dividend) -> None:
        self._event(event, f"dividend/{event.instrument}", self.exchange.on_dividend)

    def advance(self, now: int) -> None:
        self._log(Logged("advance", None, now))
        self.exchange.advance(now)

    # --- the port ---------------------------------------------------------------------------------

    def listen(self, sink: Callable[[VenueReport], None]) -> None:
        """Hand reports to `sink` as they come; without one they wait for `drain`."""
        self._sink = sink

    async def submit(self, order: Order) -> VenueReport | None:
        self._send(SubmitOrder(order=order))
        return None

    async def submit_pair(self, pair: SubmitPair) -> tuple[VenueReport, ...]:
        for order in pair.orders:
            self._send(SubmitOrder(order=order))
        return ()

    async def cancel(self, client_order_id: str) -> VenueReport | None:
        self._send(CancelOrder(client_order_id=client_order_id))
        return None

    async def replace(self, command: ReplaceOrder) -> tuple[VenueReport, ...]:
        self._send(command)
        return ()

    async def snapshot(self, since: int) -> VenueSnapshot:
        return self.exchange.snapshot(self._clock.now(), since)

    async def find(self, client_order_id: str) -> VenueOrder | None:
        return self.exchange.find(client_order_id)

    def close(self) -> None:
        """Write the state at rest and let go of the file."""
        if self._file is not None:
            self._compact(long=0)
            self._file.close()

    # --- order of logging, taking effect, telling ---------------------------------------------------

    def _send(self, command: Request) -> None:
        now = self._clock.now()
        if self._told is None:
            self._compact()
        kind = type(command)
        self._log(Logged("send", self._told, [kind.__name__, to_plain(kind, command), now]))
        self.exchange.send(command, now)
        if self._sink is not None and self._told is None:
            for report in self.drain():
                self._sink(report)

    def _event(self, event: E, stream: str, happen: Callable[[E], None]) -> None:
        if self._is_new(stream, event.ts):
            kind = type(event)
            self._log(Logged("event", None, [kind.__name__, to_plain(kind, event)]))
            happen(event)

    def _is_new(self, stream: str, ts: int) -> bool:
        if self._done.get(stream, -1) >= ts:
            return False
        self._done[stream] = ts
        return True

    def _log(self, call: Logged) -> None:
        if self._file is not None:
            self._file.log(call)

    def _make_good(self) -> None:
        if self._file is None:
            return
        news = self.exchange.news()
        fills = len(self.exchange.fills) - len(news.fills)
        self._file.make_good(news, fills, len(self.exchange.events) - len(news.events))
        self.exchange.put_away(self._file)

    def _compact(self, long: int = _LONG) -> None:
        file, exchange = self._file, self.exchange
        if file is None or file.length < max(long, 1) or not exchange.sim.is_at_rest:
            return
        self._make_good()
        state: dict[str, Plain] = {"done": dict[str, Plain](self._done), "sim": dump(exchange.sim)}
        file.compact(state, len(exchange.fills), len(exchange.events))

    # --- after a restart ----------------------------------------------------------------------------

    def _recall(self, file: PaperFile) -> None:
        state = file.state()
        if state is not None:
            load(self.exchange.sim, cast("dict[str, Plain]", state["sim"]))
            self._done = {k: cast(int, v) for k, v in cast("dict[str, Plain]", state["done"]).items()}
        self.exchange.go_on(file, *file.history())
        self.exchange.recall_working()
        running: Iterator[VenueReport] = iter(())
        met = 0
        for call in file.calls():
            if call.after is None:
                _finish(running)
                running, met = iter(()), 0
                self.exchange.drain()
            while call.after is not None and met < call.after:
                next(running)
                met += 1
            running = self._again(call) or running
        _finish(running)  # what the killed daemon was not told is asked for like everything else
        self.exchange.drain()

    def _again(self, call: Logged) -> Iterator[VenueReport] | None:
        """Make a logged call take effect once more; returns the bar that it opened, if it did."""
        if call.kind == "advance":
            self.exchange.advance(cast(int, call.data))
            return None
        data = cast("list[Plain]", call.data)
        name = str(data[0])
        if call.kind == "market":
            item = _MARKET[name]._make(data[1:])
            self._done[_stream(item)] = item.ts
            return self.exchange.on_market(item)
        if call.kind == "send":
            self.exchange.send(request_of(name, data[1]), cast(int, data[2]))
            return None
        self._event_again(from_plain(_EVENTS[name], data[1]))
        return None

    def _event_again(self, event: object) -> None:
        if isinstance(event, SessionOpen | SessionClose):
            self._done[f"session/{event.calendar}"] = event.ts
            self.exchange.on_session(event)
        elif isinstance(event, Split):
            self._done[f"split/{event.instrument}"] = event.ts
            self.exchange.on_split(event)
        elif isinstance(event, Dividend):
            self._done[f"dividend/{event.instrument}"] = event.ts
            self.exchange.on_dividend(event)


def _stream(item: Bar | Quote) -> str:
    return f"{item.instrument}/{item.interval if isinstance(item, Bar) else 0}"


def _finish(running: Iterator[VenueReport]) -> None:
    for _ in running:
        pass
