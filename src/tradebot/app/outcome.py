"""Turn the facts of a run into the result that reports read.

Owns the collecting of fills, refusals and open orders, and the curves: a strategy's equity is
rebuilt from its cash and quantity steps and the prices, in one vectorised pass, so that the run
itself pays nothing for it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from decimal import Context, Decimal

import numpy as np

from tradebot.app.market import Loaded
from tradebot.core import facts as f
from tradebot.core.ledger import Ledger
from tradebot.core.messages import Dividend, Split
from tradebot.core.model import Fill, Instrument, Order, OrderKind, Purpose
from tradebot.core.quantize import LEDGER_CONTEXT, decimal_of
from tradebot.data.arrays import BarArrays
from tradebot.report.result import (
    FillRecord,
    FloatArray,
    OpenOrder,
    Rejection,
    SplitRecord,
    TsArray,
)
from tradebot.sim.timeline import Event


@dataclass(slots=True)
class Steps:
    """How much of one thing a strategy held, and from when on."""

    ts: list[int] = field(default_factory=list)
    value: list[float] = field(default_factory=list)

    def at(self, ts: int, value: float) -> None:
        self.ts.append(ts)
        self.value.append(value)

    def along(self, axis: TsArray) -> FloatArray:
        """Return the value standing at each moment of `axis`, changes of that moment included."""
        steps = np.array(self.ts, dtype=np.int64)
        values = np.concatenate([[0.0], np.array(self.value, dtype=np.float64)])
        found: FloatArray = values[np.searchsorted(steps, axis, side="right")]
        return found


_NUMBER = re.compile(r"\d[\d.,]*(e[+-]?\d+)?")
END_OF_DATA = "end of data"
_ROUNDING = Context(prec=34)  # a fee's worth at a rate is for reading: the books keep the fee itself
EXIT_NAMES = {
    OrderKind.STOP: "stop_loss",
    OrderKind.LIMIT: "take_profit",
    OrderKind.TRAILING_STOP: "trailing_stop",
}


class Collector:
    """Listens to the facts of a run."""

    def __init__(self, ledger: Ledger, instruments: Mapping[str, Instrument]) -> None:
        self._ledger = ledger
        self._instruments = instruments
        self._orders: dict[str, tuple[f.OrderIntended | f.ReplaceRequested, str]] = {}
        self._reasons: dict[tuple[str, str], str] = {}
        self._rests: dict[tuple[str, str], str] = {}
        self.fills: list[FillRecord] = []
        self.splits: list[SplitRecord] = []
        self.denials: dict[str, dict[str, int]] = {}
        self._refusals: dict[tuple[str, str], Rejection] = {}
        self.halts: list[f.HaltSet] = []
        self.failures: list[f.StrategyFailed] = []
        self.bad_data = 0
        self.cash: dict[tuple[str, str], Steps] = {}
        self.owed: dict[tuple[str, str], Steps] = {}
        self.qty: dict[tuple[str, str], Steps] = {}
        self.rates: dict[str, Steps] = {}

    def __call__(self, recorded: f.Recorded) -> None:
        """Take one fact."""
        fact = recorded.fact
        match fact:
            case f.TargetSet():
                self._reasons[fact.strategy, fact.instrument] = _why(fact)
            case f.TargetSuspended():
                self._rests[fact.strategy, fact.instrument] = fact.because
            case f.OrderIntended() | f.ReplaceRequested():
                reason = self._reasons.get((fact.order.strategy, fact.order.instrument), "")
                self._orders[fact.order.client_order_id] = (fact, reason)
            case f.OrderFilled():
                self._filled(fact)
            case f.OrderDenied() | f.Skipped():
                self._count(fact.strategy, fact.rule, 1)
            case f.SkipEnded():
                self._count(fact.strategy, fact.rule, fact.repeats)
            case f.OrderRejected():
                self._rejected(self._ledger.orders[fact.client_order_id].order.strategy, fact)
            case f.HaltSet():
                self.halts.append(fact)
            case f.StrategyFailed():
                self.failures.append(fact)
            case f.BadDataSeen():
                self.bad_data += 1
            case f.SplitApplied():
                self._split(fact)
            case f.RateSet():
                self.rates.setdefault(fact.asset, Steps()).at(fact.ts, fact.rate)
            case f.DividendAccrued():
                self._all_owed(recorded.seen)
            case f.AssignmentMade() | f.CashMoved() | f.DividendPaid() | f.FeeCharged() | f.InterestPaid():
                self._all_cash(recorded.seen)
                self._all_owed(recorded.seen)
            case _:
                pass

    def _count(self, strategy: str, rule: str, times: int) -> None:
        if rule == "session_closed":
            return  # a wait for the open, not a no
        counts = self.denials.setdefault(strategy, {})
        counts[rule] = counts.get(rule, 0) + times

    def _rejected(self, strategy: str, fact: f.OrderRejected) -> None:
        key = strategy, _NUMBER.sub("#", fact.reason)
        known = self._refusals.get(key, Rejection(reason=fact.reason, count=0, first_ts=fact.ts))
        self._refusals[key] = replace(known, count=known.count + 1)

    def rejections(self, strategy: str) -> tuple[Rejection, ...]:
        """Return why the venue refused orders of a strategy: reasons that differ in numbers are one."""
        return tuple(found for (owner, _), found in self._refusals.items() if owner == strategy)

    def _all_cash(self, ts: int) -> None:
        for strategy, sub in self._ledger.subs.items():
            for asset, amount in sub.cash.items():
                self.cash.setdefault((strategy, asset), Steps()).at(ts, float(amount))

    def _all_owed(self, ts: int) -> None:
        """Note what dividends strategies are owed: the price has fallen by them, the cash is to come."""
        owed = dict.fromkeys(self.owed, 0.0)
        for accrued in self._ledger.accrued.values():
            for share in accrued.shares:
                if share.strategy is not None:
                    key = share.strategy, accrued.asset
                    owed[key] = owed.get(key, 0.0) + float(share.amount)
        for key, amount in owed.items():
            self.owed.setdefault(key, Steps()).at(ts, amount)

    def _split(self, fact: f.SplitApplied) -> None:
        ratio = fact.ratio.as_integer_ratio()
        self.splits.append(SplitRecord(instrument=fact.instrument, ts=fact.ts, new=ratio[0], old=ratio[1]))
        for after in fact.positions:
            if after.strategy is not None:
                steps = self.qty.setdefault((after.strategy, fact.instrument), Steps())
                steps.at(fact.ts, float(after.qty))
        self._all_cash(fact.ts)

    def _filled(self, fact: f.OrderFilled) -> None:
        fill, instrument = fact.fill, self._instruments[fact.fill.instrument]
        sub = self._ledger.subs[fact.strategy]
        for asset, _ in fact.cash:
            self.cash.setdefault((fact.strategy, asset), Steps()).at(fact.ts, float(sub.cash[asset]))
        steps = self.qty.setdefault((fact.strategy, fill.instrument), Steps())
        steps.at(fact.ts, float(sub.qty(fill.instrument)))
        order = self._ledger.orders[fill.client_order_id].order
        _, reason = self._orders.get(fill.client_order_id, (None, ""))
        self.fills.append(
            FillRecord(
                fill_id=fill.fill_id,
                # The slices of one parent are one decision, so they are one trade.
                order_id=order.parent_id or fill.client_order_id,
                strategy=fact.strategy,
                instrument=fill.instrument,
                side=fill.side,
                qty=fill.qty,
                price=fill.price,
                ts=fill.ts,
                fee=self._fee_in_quote(fact, instrument),
                fee_asset=fill.fee_asset,
                fee_base_qty=base_qty_of_fee(fill, instrument),
                slippage=slippage_of(fill, instrument),
                multiplier=instrument.multiplier,
                rate=self._rate(instrument.quote, fact.account),
                liquidity=fill.liquidity,
                purpose=order.purpose,
                reason=self._why(order, reason),
                assumed=fill.assumed,
            )
        )

    def _why(self, order: Order, reason: str) -> str:
        """Return why an order existed: the strategy's numbers, or the exit's name."""
        if order.purpose is Purpose.PROTECT:
            return EXIT_NAMES[order.kind]
        if order.purpose is Purpose.FLATTEN:
            because = self._rests.get((order.strategy, order.instrument), "flatten")
            return END_OF_DATA if because == "flatten" else because
        return reason

    def _fee_in_quote(self, fact: f.OrderFilled, instrument: Instrument) -> Decimal:
        fill = fact.fill
        if fill.fee_asset in (instrument.quote, instrument.base):
            return fee_in_quote(fill, instrument)
        worth = LEDGER_CONTEXT.multiply(fill.fee, self._rate(fill.fee_asset, fact.account))
        return _ROUNDING.divide(worth, self._rate(instrument.quote, fact.account))

    def _rate(self, asset: str, account: str) -> Decimal:
        base = self._ledger.accounts[account].base_currency
        return Decimal(1) if asset == base else decimal_of(self._ledger.rates.get((asset, base), 1.0))

    def open_orders(self, strategy: str) -> tuple[OpenOrder, ...]:
        """Return the strategy's orders that were still working at the end."""
        return tuple(
            OpenOrder(
                order_id=r.order.client_order_id,
                strategy=strategy,
                instrument=r.order.instrument,
                side=r.order.side,
                kind=r.order.kind,
                qty=r.qty,
                filled_qty=r.filled_qty,
                price=r.order.limit_price or r.order.stop_price,
                purpose=r.order.purpose,
            )
            for (owner, _), working in self._ledger.open.items()
            if owner == strategy
            for r in working.values()
        )


def _why(fact: f.TargetSet) -> str:
    if fact.reason:
        return fact.reason
    return " ".join(f"{e.name}={e.value:.6g}" for e in fact.explained)


def base_qty_of_fee(fill: Fill, instrument: Instrument) -> Decimal:
    """Return the units of the base asset that the venue kept as its fee."""
    in_base = fill.fee_asset == instrument.base and fill.fee_asset != instrument.quote
    return fill.fee if in_base else Decimal(0)


def fee_in_quote(fill: Fill, instrument: Instrument) -> Decimal:
    """Return a fee's value in the quote asset: one kept in base counts at the fill's price."""
    kept = base_qty_of_fee(fill, instrument)
    return LEDGER_CONTEXT.multiply(kept, fill.price) if kept else fill.fee


def slippage_of(fill: Fill, instrument: Instrument) -> Decimal:
    """Return what the fill model took beside the data's price, in the quote asset."""
    if fill.data_price is None or fill.data_price == fill.price:
        return Decimal(0)
    worse = (fill.price - fill.data_price) * fill.side.sign
    return LEDGER_CONTEXT.multiply(LEDGER_CONTEXT.multiply(worse, fill.qty), instrument.multiplier)


# --- curves ---------------------------------------------------------------------------------------


def prices_of(series: Loaded) -> tuple[TsArray, FloatArray]:
    """Return stamps and closes (or mids) of the traded part of a series."""
    columns, rows = series.columns, series.traded
    if isinstance(columns, BarArrays):
        return columns.ts[rows], columns.close[rows]
    return columns.ts[rows], (columns.bid[rows] + columns.ask[rows]) * 0.5


def axis_of(series: Sequence[Loaded]) -> TsArray:
    """Return the moments at which a curve over these series has a point: all their stamps, once each."""
    stamps: TsArray = np.sort(np.concatenate([s.columns.ts[s.traded] for s in series]), kind="stable")
    # numpy.unique hashes: a sixth of a second for a year of minutes that are in order as they are.
    is_new = np.ones(len(stamps), bool)
    np.not_equal(stamps[1:], stamps[:-1], out=is_new[1:])
    return stamps if is_new.all() else stamps[is_new]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Curves:
    """A strategy's value along an axis, in the base currency; exposures as fractions of equity."""

    equity: FloatArray
    gross: FloatArray
    net: FloatArray


def curves_of(
    collector: Collector,
    strategy: str,
    axis: TsArray,
    series: Sequence[Loaded],
    instruments: Mapping[str, Instrument],
    base: str,
) -> Curves:
    """Rebuild equity and exposure of a strategy along `axis`, in the currency `base`."""

    def rate(asset: str) -> FloatArray | float:
        return 1.0 if asset == base else collector.rates[asset].along(axis)

    equity, gross, net = np.zeros(len(axis)), np.zeros(len(axis)), np.zeros(len(axis))
    for (owner, asset), steps in [*collector.cash.items(), *collector.owed.items()]:
        if owner == strategy:
            equity += steps.along(axis) * rate(asset)
    for one in series:
        held = collector.qty.get((strategy, one.instrument))
        if held is None:
            continue
        instrument = instruments[one.instrument]
        worth = (
            held.along(axis) * prices_along(one, axis) * float(instrument.multiplier) * rate(instrument.quote)
        )
        equity += worth
        net += worth
        gross += np.abs(worth)
    with np.errstate(divide="ignore", invalid="ignore"):
        safe = np.where(equity > 0.0, equity, np.nan)
        return Curves(equity=equity, gross=np.nan_to_num(gross / safe), net=np.nan_to_num(net / safe))


def prices_along(series: Loaded, axis: TsArray) -> FloatArray:
    """Return the price standing at each moment of `axis`; the first one before there is any."""
    stamps, closes = prices_of(series)
    if stamps is axis or np.array_equal(stamps, axis):
        return closes  # the axis of a single series is its own stamps
    place = np.searchsorted(stamps, axis, side="right") - 1
    found: FloatArray = closes[np.maximum(place, 0)]
    return found


def hold_curve(
    capital: float,
    axis: TsArray,
    series: Sequence[Loaded],
    events: Sequence[Event],
    rates: Mapping[str, FloatArray | float],
) -> FloatArray:
    """Return buy and hold: the capital in equal parts at first prices, left alone along `axis`.

    `rates` holds, by instrument, what its quote asset is worth along `axis`. Splits multiply what is
    held; dividends are kept as cash in their currency from the ex-date on. Ignores fees, slippage and
    lot sizes, so it is a little better than anyone could do.
    """
    total = np.zeros(len(axis))
    for one in series:
        price, rate = prices_along(one, axis), np.broadcast_to(rates[one.instrument], axis.shape)
        units = np.full(len(axis), capital / len(series) / (price[0] * rate[0]))
        cash = np.zeros(len(axis))
        for event in events:
            if not isinstance(event, Split | Dividend) or event.instrument != one.instrument:
                continue
            later = axis >= event.ts
            if later.all() or not later.any():
                continue
            if isinstance(event, Split):
                units[later] *= float(event.ratio)
            else:
                cash[later] += units[~later][-1] * float(event.amount)
        total += (units * price + cash) * rate
    return total
