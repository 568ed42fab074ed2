"""Describe a finished run: the one thing that reports, metrics and the run store read.

Owns the record types. The driver that ran the backtest (or the paper account) fills them in;
nothing here computes a figure or touches a file.

Curves are float (they are looked at); fills, trades and costs are Decimal (they are money).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from enum import Enum

import numpy as np
import numpy.typing as npt

from tradebot.core.model import Instrument, Liquidity, OrderKind, Purpose, Side
from tradebot.errors import InvariantError

FloatArray = npt.NDArray[np.float64]
TsArray = npt.NDArray[np.int64]


class RunMode(Enum):
    """What kind of money the run moved; always shown, typed out."""

    BACKTEST = "backtest"
    PAPER = "paper"
    LIVE = "live"


@dataclass(frozen=True, slots=True, kw_only=True)
class StrategyRef:
    """A strategy that took part: its permanent id, where its class is, the parameters it ran with."""

    id: str
    class_path: str = ""
    params: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class FillRecord:
    """One fill with what a report needs to value it.

    `fee` is the fee's value in the instrument's quote asset, whatever it was paid in (negative:
    a rebate). When it was withheld from the base asset, `fee_base_qty` says how many units:
    the position then changed by `qty` (signed) minus `fee_base_qty`, and no cash paid the fee.
    `slippage` is what the fill model took against the data price, in the quote asset
    (positive: a cost, already inside `price`). `rate` is the base currency per unit of the
    quote asset at `ts`. `reason` is why the order existed ("z=2.31", "stop_loss").
    """

    fill_id: str
    order_id: str
    strategy: str
    instrument: str
    side: Side
    qty: Decimal
    price: Decimal
    ts: int
    fee: Decimal = Decimal(0)
    fee_asset: str = ""
    fee_base_qty: Decimal = Decimal(0)
    slippage: Decimal = Decimal(0)
    multiplier: Decimal = Decimal(1)
    rate: Decimal = Decimal(1)
    liquidity: Liquidity = Liquidity.TAKER
    purpose: Purpose = Purpose.TARGET
    reason: str = ""
    assumed: bool = False

    @property
    def notional(self) -> Decimal:
        """Value traded, in the quote asset, never negative."""
        return self.qty * self.price * self.multiplier


@dataclass(frozen=True, slots=True, kw_only=True)
class SplitRecord:
    """`new` units took the place of `old` units of an instrument, before any fill at or after `ts`."""

    instrument: str
    ts: int
    new: int
    old: int


@dataclass(frozen=True, slots=True, kw_only=True)
class TradeRecord:
    """A round trip: what one entry order opened and one exit order closed (see `round_trips`).

    `side` is the entry's (BUY: a long). `entry_value`, `exit_value`, `fees`, `pnl` are exact and
    in the quote asset; `pnl` is net of all fees, `pnl_base` the same in the base currency at the
    exit's rate. The prices are averages over partial fills, rounded for reading. The exit fields
    and `pnl` are None while the trade is open. `bars_held` counts bar closes after the entry up
    to the exit. `assumed` is True when a worst-case assumption decided one of its fills.
    """

    strategy: str
    instrument: str
    side: Side
    qty: Decimal
    entry_ts: int
    entry_price: Decimal
    entry_value: Decimal
    exit_ts: int | None = None
    exit_price: Decimal | None = None
    exit_value: Decimal | None = None
    fees: Decimal = Decimal(0)
    pnl: Decimal | None = None
    pnl_base: Decimal | None = None
    bars_held: int | None = None
    entry_reason: str = ""
    exit_reason: str = ""
    assumed: bool = False

    @property
    def is_open(self) -> bool:
        return self.exit_ts is None

    @property
    def cost(self) -> Decimal:
        """What the entry took from cash, fees included (negative: a short's proceeds)."""
        return self.entry_value * self.side.sign + self.fees

    @property
    def return_on_entry(self) -> float | None:
        """Net P&L as a fraction of the entry's value; None while open or at a value of zero."""
        if self.pnl is None or not self.entry_value:
            return None
        return float(self.pnl) / float(self.entry_value)


@dataclass(frozen=True, slots=True, kw_only=True)
class Costs:
    """What trading cost over the run, in the base currency; positive numbers are costs."""

    fees: Decimal = Decimal(0)
    slippage: Decimal = Decimal(0)
    financing: Decimal = Decimal(0)

    @property
    def total(self) -> Decimal:
        return self.fees + self.slippage + self.financing


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenOrder:
    """An order that was still working when the run ended."""

    order_id: str
    strategy: str
    instrument: str
    side: Side
    kind: OrderKind
    qty: Decimal
    filled_qty: Decimal = Decimal(0)
    price: Decimal | None = None
    purpose: Purpose = Purpose.TARGET


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Candles:
    """Prices of one instrument for the chart, already resampled to a readable number.

    `ts` is the close of each candle (ns UTC); `interval` is the usual span of one in ns.
    """

    instrument: str
    interval: int
    ts: TsArray
    open: FloatArray
    high: FloatArray
    low: FloatArray
    close: FloatArray


@dataclass(frozen=True, slots=True, kw_only=True)
class Rejection:
    """Orders that the venue refused for one kind of reason, in the words (and numbers) of the first."""

    reason: str
    count: int
    first_ts: int


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class RunResult:
    """A finished run.

    `equity[i]` is the account's value in `base_currency` at `equity_ts[i]` (strictly increasing,
    ns UTC), after every fill up to then. The first point is the capital before the first trade.
    `benchmark_equity` holds the same capital in `benchmark_name` at the same moments.
    `exposure` is the gross value of positions over equity, `net_exposure` the signed one.
    `interval` is that of the bars in ns, 0 for a run on quotes. `time_zone` is an IANA name used
    for showing times. `data_label` is "" for market data, else what they are ("SYNTHETIC",
    "SAMPLE"). `assumed_fills` counts the fills that a worst-case assumption decided.
    `assumptions` are sentences on how fills were decided. `denials` counts by rule what
    was wished and not sent, `rejections` what the venue refused. `trials` is how many parameter sets were tried to arrive at this run (1: no search).
    Deposits and withdrawals are not modelled: a run with flows needs flow-adjusted equity here.
    """

    run_id: str
    label: str
    mode: RunMode
    strategies: tuple[StrategyRef, ...]
    instruments: tuple[Instrument, ...]
    interval: int
    start_ts: int
    end_ts: int
    base_currency: str
    data_source: str
    equity_ts: TsArray
    equity: FloatArray
    data_label: str = ""
    time_zone: str = "UTC"
    benchmark_name: str = "buy & hold"
    benchmark_equity: FloatArray | None = None
    exposure: FloatArray | None = None
    net_exposure: FloatArray | None = None
    candles: tuple[Candles, ...] = ()
    trades: tuple[TradeRecord, ...] = ()
    fills: tuple[FillRecord, ...] = ()
    costs: Costs = field(default_factory=Costs)
    assumed_fills: int = 0
    open_orders: tuple[OpenOrder, ...] = ()
    warnings: tuple[str, ...] = ()
    assumptions: tuple[str, ...] = ()
    check_verdict: str = ""
    repeat_command: str = ""
    config_digest: str = ""
    code_digest: str = ""
    data_digest: str = ""
    denials: Mapping[str, int] = field(default_factory=dict)
    rejections: tuple[Rejection, ...] = ()
    trials: int = 1
    created_ts: int = 0
    elapsed_s: float = 0.0
    version: str = ""

    def __post_init__(self) -> None:
        size = len(self.equity_ts)
        if size == 0:
            raise InvariantError(
                f"run {self.run_id}: equity must have at least the starting point, was empty"
            )
        for name in ("equity", "benchmark_equity", "exposure", "net_exposure"):
            curve: FloatArray | None = getattr(self, name)
            if curve is not None and len(curve) != size:
                raise InvariantError(
                    f"run {self.run_id}: {name} must have one value per equity_ts ({size}), had {len(curve)}"
                )
            if curve is not None and not np.isfinite(curve).all():
                raise InvariantError(f"run {self.run_id}: {name} must be finite, has NaN or infinity")
        if size > 1 and not (self.equity_ts[1:] > self.equity_ts[:-1]).all():
            raise InvariantError(f"run {self.run_id}: equity_ts must be strictly increasing")

    @property
    def closed_trades(self) -> tuple[TradeRecord, ...]:
        return tuple(t for t in self.trades if not t.is_open)


def costs_of(fills: tuple[FillRecord, ...]) -> Costs:
    """Add up fees and slippage of `fills` in the base currency, each at its own fill's rate."""
    fees = sum((f.fee * f.rate for f in fills), Decimal(0))
    slippage = sum((f.slippage * f.rate for f in fills), Decimal(0))
    return Costs(fees=fees, slippage=slippage)
