"""Collect from the facts of a run what its result is made of.

Owns the collecting of fills, refusals, halts and open orders, and of the steps in cash, quantity and
rates that curves are rebuilt from.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from decimal import Context, Decimal

import numpy as np

from tradebot.app.outcome import END_OF_DATA, EXIT_NAMES, base_qty_of_fee, fee_in_quote, slippage_of
from tradebot.core import facts as f
from tradebot.core.ledger import Ledger
from tradebot.core.model import Instrument, Order, Purpose
from tradebot.core.quantize import LEDGER_CONTEXT, decimal_of
from tradebot.report.result import FillRecord, FloatArray, OpenOrder, Rejection, SplitRecord, TsArray

_NUMBER = re.compile(r"\d[\d.,]*(e[+-]?\d+)?")
_ROUNDING = Context(prec=34)  # a fee's worth at a rate is for reading: the books keep the fee itself


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
        self.expired: dict[str, int] = {}
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
            case f.OrderExpired():
                owner = self._ledger.orders[fact.client_order_id].order.strategy
                self.expired[owner] = self.expired.get(owner, 0) + 1
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
