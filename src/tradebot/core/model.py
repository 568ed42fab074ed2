"""Name the things that are traded, seen and held: instruments, bars, quotes, orders, fills.

Owns the nouns and their enums. Refuses behaviour: nothing here decides or changes state.

Time is `int` nanoseconds since the Unix epoch, UTC, and is called `ts`. Market data are
float `NamedTuple`s (built by the million); everything else is a frozen dataclass in Decimal.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from decimal import Decimal
from enum import Enum
from typing import NamedTuple

SECOND = 1_000_000_000
MINUTE = 60 * SECOND
HOUR = 60 * MINUTE
DAY = 24 * HOUR
WEEK = 7 * DAY

DEFAULT_QUANTUM = Decimal("1e-8")


class Side(Enum):
    """Direction of an order or fill."""

    BUY = "buy"
    SELL = "sell"

    @property
    def sign(self) -> int:
        """+1 for a buy, -1 for a sell."""
        return 1 if self is Side.BUY else -1

    @property
    def opposite(self) -> Side:
        return Side.SELL if self is Side.BUY else Side.BUY

    @staticmethod
    def of(signed: Decimal | float) -> Side:
        """Return the side that moves a position by `signed` (which must not be 0)."""
        return Side.BUY if signed > 0 else Side.SELL


class OrderKind(Enum):
    """How an order meets the market."""

    MARKET = "market"
    LIMIT = "limit"
    STOP = "stop"
    STOP_LIMIT = "stop_limit"
    TRAILING_STOP = "trailing_stop"


class Tif(Enum):
    """How long an order lives; AT_OPEN and AT_CLOSE take part in the auction only."""

    DAY = "day"
    GTC = "gtc"
    IOC = "ioc"
    FOK = "fok"
    AT_OPEN = "at_open"
    AT_CLOSE = "at_close"


class Purpose(Enum):
    """Why an order exists. Only TARGET orders count as working towards a target."""

    TARGET = "target"
    PROTECT = "protect"
    HEDGE = "hedge"
    FLATTEN = "flatten"


class Liquidity(Enum):
    """Whether a fill took resting liquidity or was it."""

    MAKER = "maker"
    TAKER = "taker"


class AssetClass(Enum):
    """What an instrument is; derivatives are refused by name until they are modelled."""

    STOCK = "stock"
    CRYPTO = "crypto"
    INDEX = "index"


class AccountModel(Enum):
    """What an account may do with money it does not have.

    CASH: never spends more than it holds, never sells what it does not hold.
    MARGIN: may go short and may spend beyond its cash; limits are the risk rules' business.
    """

    CASH = "cash"
    MARGIN = "margin"


ALWAYS_OPEN = "24/7"


class LotMethod(Enum):
    """Which lot goes first. Brokers default to FIFO; HIFO closes the dearest first."""

    FIFO = "fifo"
    LIFO = "lifo"
    HIFO = "hifo"


@dataclass(frozen=True, slots=True, kw_only=True)
class Instrument:
    """Something that can be held, with the grid its venue puts orders on.

    `id` is unique in a run ("SPX", "BTC/USDT@binance"). Prices are in `quote` per unit of
    `base`; `tick_size`, `lot_size`, `min_qty` in those units; `min_notional` in `quote`.
    `calendar` is an exchange_calendars name ("XNYS") or ALWAYS_OPEN. `multiplier` scales
    notional (1 for spot). `shortable`: whether it can be borrowed and sold short.
    """

    id: str
    base: str
    quote: str
    asset_class: AssetClass
    tick_size: Decimal
    lot_size: Decimal
    min_qty: Decimal = Decimal(0)
    min_notional: Decimal = Decimal(0)
    multiplier: Decimal = Decimal(1)
    shortable: bool = True
    calendar: str = ALWAYS_OPEN


class Bar(NamedTuple):
    """One closed interval of trading. `ts` is the moment it is complete and knowable: its close.

    `interval` in nanoseconds; prices in the quote asset, `volume` in units of the base asset.
    Raw prices: splits are applied by facts, never here.
    """

    instrument: str
    ts: int
    interval: int
    open: float
    high: float
    low: float
    close: float
    volume: float


def rebased(bar: Bar, ratio: float) -> Bar:
    """Return a bar in the units after a split."""
    return bar._replace(
        open=bar.open / ratio,
        high=bar.high / ratio,
        low=bar.low / ratio,
        close=bar.close / ratio,
        volume=bar.volume * ratio,
    )


class Quote(NamedTuple):
    """Best bid and ask at `ts`; quantities in units of the base asset."""

    instrument: str
    ts: int
    bid: float
    bid_qty: float
    ask: float
    ask_qty: float

    @property
    def mid(self) -> float:
        return (self.bid + self.ask) * 0.5


class Level(NamedTuple):
    """One price level of a book or of wanted quotes (float: before `quantize`)."""

    price: float
    qty: float


class Book(NamedTuple):
    """Price levels at `ts`, best first on both sides."""

    instrument: str
    ts: int
    bids: tuple[Level, ...]
    asks: tuple[Level, ...]


MarketData = Bar | Quote | Book


class AssetAmount(NamedTuple):
    """A signed amount of one asset."""

    asset: str
    amount: Decimal


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """A request to trade, fixed for the life of its id.

    `qty` is positive. `trail` is the distance a TRAILING_STOP keeps: a fraction of the price
    when `trail_is_fraction`, else an amount of the quote asset. `expires_at` ends the order at
    that moment whatever `tif` says. `group_id` joins one-cancels-other orders; `activated_by`
    names the order whose fill brings this one to life (bracket legs: the quantity follows the
    filled quantity). `replaces` names the order this one takes over from.
    """

    client_order_id: str
    account: str
    strategy: str
    instrument: str
    side: Side
    kind: OrderKind
    qty: Decimal
    ts: int
    limit_price: Decimal | None = None
    stop_price: Decimal | None = None
    trail: Decimal | None = None
    trail_is_fraction: bool = False
    tif: Tif = Tif.GTC
    expires_at: int | None = None
    purpose: Purpose = Purpose.TARGET
    parent_id: str | None = None
    group_id: str | None = None
    activated_by: str | None = None
    replaces: str | None = None
    reduce_only: bool = False
    post_only: bool = False

    @property
    def qty_signed(self) -> Decimal:
        return self.qty if self.side is Side.BUY else -self.qty


@dataclass(frozen=True, slots=True, kw_only=True)
class Fill:
    """A trade of one of our orders. `fill_id` is the venue's execution id and de-duplicates.

    `qty` is positive; `fee` is what was paid (negative: a rebate) in `fee_asset`.
    `assumed` is True when a worst-case assumption about the path inside a bar decided it.
    `data_price` is what the data said before a fill model made it worse; None for real fills.
    """

    fill_id: str
    client_order_id: str
    instrument: str
    side: Side
    qty: Decimal
    price: Decimal
    ts: int
    fee: Decimal = Decimal(0)
    fee_asset: str = ""
    liquidity: Liquidity = Liquidity.TAKER
    assumed: bool = False
    data_price: Decimal | None = None

    @property
    def qty_signed(self) -> Decimal:
        return self.qty if self.side is Side.BUY else -self.qty


@dataclass(frozen=True, slots=True, kw_only=True)
class ExitRules:
    """Protective exits of a position, as its entry declared them; they stay with the entry.

    Fractions of the average entry price (0.08 = 8 %), `max_bars` in bars of the strategy's
    interval. None = not used. `after_exit`: "next_signal", "at_once", or a number of bars.
    `is_local`: the first three are kept by the engine, which trades when it sees them crossed,
    instead of resting at the venue.
    """

    stop_loss: float | None = None
    take_profit: float | None = None
    trailing: float | None = None
    max_bars: int | None = None
    after_exit: str | int = "next_signal"
    is_local: bool = False

    @property
    def any(self) -> bool:
        return not (
            self.stop_loss is None
            and self.take_profit is None
            and self.trailing is None
            and self.max_bars is None
        )


NO_EXITS = ExitRules()


@dataclass(frozen=True, slots=True, kw_only=True)
class Explained:
    """A named number that led to a decision ("z", 2.31); stored with what was decided."""

    name: str
    value: float


class Compared(NamedTuple):
    """What a rule that let an order pass had compared: `value` with the bound `limit`."""

    rule: str
    value: float
    limit: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Lot:
    """A quantity bought (or sold short) in one go, with what it cost.

    `qty` is signed (negative: short). `basis` is the total cost in the quote asset, fees
    included (for a short: the proceeds, fees taken off, as a negative number).
    """

    lot_id: str
    instrument: str
    qty: Decimal
    basis: Decimal
    opened_ts: int
    order_id: str = ""
    tags: tuple[str, ...] = field(default=())

    def sized(self, qty: Decimal, basis: Decimal) -> Lot:
        """Return the same lot with another quantity and cost."""
        # Not by `replace`: lots are cut at every fill, and this takes half of its time.
        return Lot(
            lot_id=self.lot_id,
            instrument=self.instrument,
            qty=qty,
            basis=basis,
            opened_ts=self.opened_ts,
            order_id=self.order_id,
            tags=self.tags,
        )
