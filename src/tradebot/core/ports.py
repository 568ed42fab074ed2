"""Name what the engine's surroundings must offer: a venue that is asked, a feed, clocks, timers.

Owns the shapes that a venue answers in and market data arrive in. Refuses wire formats and waiting:
adapters translate into these, the daemon decides how long to wait.

The venue port never raises for the fate of an order: what cannot be told is `VenueUnknown`. Reading
(`snapshot`, `find`, everything of a feed but `run`) may raise VenueUnreachable, because nothing depends
on a read having happened.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from enum import Enum
from typing import NamedTuple, Protocol

from tradebot.core.messages import CashEvent, Dividend, ReplaceOrder, Split, SubmitPair, VenueReport
from tradebot.core.model import Bar, Book, Fill, Instrument, Order, OrderKind, Quote, Side
from tradebot.core.resting import Resting


class IdPolicy(Enum):
    """For how long a venue keeps a client order id unique; an unknown order is re-sent under none."""

    FOR_EVER = "for_ever"
    WHILE_OPEN = "while_open"
    NONE = "none"


class Standing(Enum):
    """What a venue says an order is."""

    WORKING = "working"
    FILLED = "filled"
    CANCELED = "canceled"
    EXPIRED = "expired"
    REJECTED = "rejected"
    REPLACED = "replaced"


@dataclass(frozen=True, slots=True, kw_only=True)
class VenueOrder:
    """An order as the venue has it. `client_order_id` is empty for one without; `qty` in today's units.

    `by` is the order that replaced it. `is_triggered`: a stop that was elected.
    """

    client_order_id: str
    venue_order_id: str
    instrument: str
    side: Side
    kind: OrderKind
    qty: Decimal
    filled_qty: Decimal
    standing: Standing
    limit_price: Decimal | None = None
    stop_price: Decimal | None = None
    by: str = ""
    reason: str = ""
    is_triggered: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class VenueSnapshot:
    """Everything a venue says of one account at `ts`.

    `orders` are the working ones, ours and others'. `positions` are signed, without zeros; `cash` the
    total by asset. `fills` and `events` are those since the asked cursor, oldest first; a fill's
    `client_order_id` may be nobody's. `cursor` is what to ask with next time. `cash_step`: cash is shown in
    multiples of this, which exact amounts may lie between (0: it is exact).
    """

    ts: int
    orders: tuple[VenueOrder, ...]
    positions: dict[str, Decimal] = field(default_factory=dict)
    cash: dict[str, Decimal] = field(default_factory=dict)
    fills: tuple[Fill, ...] = ()
    events: tuple[CashEvent, ...] = ()
    cursor: int = 0
    cash_step: Decimal = Decimal(0)


class Venue(Protocol):
    """One account at one venue. All times ns UTC.

    `absence_is_proof`: an order that the venue does not know has never arrived and never will; true
    only of a venue in this process, where nothing can be on its way.
    """

    account: str
    id_policy: IdPolicy
    absence_is_proof: bool

    def listen(self, sink: Callable[[VenueReport], None]) -> None:
        """Hand every report to `sink` as it comes. A stream is a hint; what counts is read."""

    async def submit(self, order: Order) -> VenueReport | None:
        """Send an order once; None: its fate comes as a report."""

    async def submit_pair(self, pair: SubmitPair) -> tuple[VenueReport, ...]:
        """Send a target and its stop in one request, once; what is not told comes as reports."""

    async def cancel(self, client_order_id: str) -> VenueReport | None:
        """Cancel a working order; None: its fate comes as a report."""

    async def replace(self, command: ReplaceOrder) -> tuple[VenueReport, ...]:
        """Put an order in another's place; empty: both fates come as reports."""

    async def snapshot(self, since: int) -> VenueSnapshot:
        """Read the account, with what happened since a cursor (0: all that the venue remembers).

        Raises VenueUnreachable.
        """

    async def find(self, client_order_id: str) -> VenueOrder | None:
        """Look an order up by id in open orders and history. Raises VenueUnreachable."""


# --- what comes over a live connection ------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Connected:
    """A connection stands, subscribed and admitted. What happened before it was not heard: it is read."""

    ts: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Disconnected:
    """A connection was lost; its owner dials again by itself."""

    ts: int
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class AuthFailed:
    """The keys are not accepted. Terminal: nobody dials again before the owner has set them right."""

    ts: int
    reason: str


LinkEvent = Connected | Disconnected | AuthFailed


class Trading(Enum):
    """What a venue lets one do with an instrument at present."""

    OPEN = "open"
    HALTED = "halted"
    CANCEL_ONLY = "cancel_only"


@dataclass(frozen=True, slots=True, kw_only=True)
class SymbolStatus:
    """What a venue says of an instrument; said again only when it changes."""

    ts: int
    instrument: str
    trading: Trading
    reason: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class BarClosed:
    """A bar that is complete at its venue; never a forming one.

    `feed` names whose trades are in it ("iex", "sip", "binance"); `is_partial_volume`: those are not all of
    the market's. `is_correction`: it says otherwise what a bar said before.
    """

    bar: Bar
    feed: str
    is_partial_volume: bool = False
    is_correction: bool = False


FeedEvent = BarClosed | Quote | Book | SymbolStatus | LinkEvent


class Series(NamedTuple):
    """What is followed: bars of `interval` ns of an instrument, or its quotes (0)."""

    instrument: str
    interval: int


class Feed(Protocol):
    """Live market data of one place, and its past. All times ns UTC.

    Every reading raises VenueUnreachable or RateLimited when there is no answer within the adapter's
    deadline. `name` is what the owner calls it ("alpaca/iex", "binance").
    """

    name: str

    async def instruments(self, names: Sequence[str]) -> dict[str, Instrument]:
        """Return what the venue says of these. Raises ConfigError naming those it does not trade."""

    def streams(self, series: Series) -> bool:
        """Return whether `run` gives this series; bars of other intervals are asked of `history`."""

    async def run(self, wanted: Sequence[Series], sink: Callable[[FeedEvent], None]) -> None:
        """Hand over what comes, in the event loop, until cancelled.

        Of series that it does not stream it tells the status of their instruments, and stands all the same.
        Connects, subscribes, and dials again with growing pauses by itself; `Connected` comes once the
        subscription stands, `Disconnected` with each loss. Returns only after `AuthFailed`.
        """

    async def history(self, series: Series, start: int, end: int) -> Sequence[BarClosed]:
        """Return the closed bars with start < ts <= end, oldest first, over as many pages as it takes.

        Raises ConfigError for an interval that the venue does not have.
        """

    async def actions(self, names: Sequence[str], start: int, end: int) -> Sequence[Split | Dividend]:
        """Return corporate actions with start < ts <= end, oldest first; empty where there are none."""

    async def offset(self) -> int:
        """Return by how many ns the venue's clock is ahead of ours (negative: behind)."""

    async def close(self) -> None:
        """Let go of connections and threads."""


class LiveVenue(Venue, Protocol):
    """A venue over a wire: it can be lost, and has a clock of its own.

    Its cursors are moments (ns UTC): a start asks for what came since its last fact, with a day to spare.
    `can_replace`: `replace` is one atomic step there. Where it is not, nothing asks for it: the engine
    cancels, and sends anew once the cancel is confirmed. `resting`: how it keeps protective orders.
    """

    can_replace: bool
    resting: Resting

    async def run(self, sink: Callable[[LinkEvent], None]) -> None:
        """Keep the private stream up until cancelled; its reports go where `listen` said.

        `sink` is called in the event loop. Each `Connected` leads to a look at everything before anything
        is sent. Returns only after `AuthFailed`.
        """

    def cannot_rest(self, kind: OrderKind, instrument: Instrument) -> str:
        """Return why a protective order of this kind cannot rest there; "" when it can."""

    async def offset(self) -> int:
        """Return by how many ns the venue's clock is ahead of ours. Raises VenueUnreachable."""

    async def close(self) -> None:
        """Let go of connections and threads."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Connection:
    """What an adapter is opened with.

    Adapters are named by the configuration's word (`place`: "alpaca", an exchange's id). Each is a package with
    a module `opening` that offers `open_feed(connection) -> Feed` and `open_venue(connection, instruments) ->
    LiveVenue`; neither connects or waits. `account` is our name of the account, `mode` "paper" or "live", `feed` the
    place's own word for its data ("iex"; "" the usual one), `account_id` what the venue's own id of the
    account must be ("" is not compared). `is_fractional`: parts of a share are traded, where the place has
    them. `url` is a loopback address instead of the venue's own; keys are
    empty where none are needed.
    """

    place: str
    account: str
    mode: str
    feed: str = ""
    account_id: str = ""
    url: str = ""
    key: str = field(default="", repr=False)
    secret: str = field(default="", repr=False)
    passphrase: str = field(default="", repr=False)
    is_fractional: bool = False


class Clock(Protocol):
    """Says what time it is where the market data come from."""

    def now(self) -> int:
        """Return ns UTC."""


class Timers(Protocol):
    """Wakes the engine: `TimerDue(key)` at `at`, once; a key set again takes the first one's place."""

    def set_timer(self, key: str, at: int) -> None: ...
