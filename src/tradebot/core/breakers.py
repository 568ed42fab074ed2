"""Watch equity against the loss limits and stop new risk when one is crossed.

Owns the drawdown and daily-loss breakers and the start of a day (UTC). A day begins with the
last prices of the day before, so that a loss its first bar brings is the day's. The drawdown
breaker latches until the owner lifts it, the daily one until the next day. Deposits and
withdrawals move the marks they are measured from, so that taking money out is not a loss.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from decimal import Decimal

from tradebot.core import facts as f
from tradebot.core.market import Valuer
from tradebot.core.messages import CashEvent
from tradebot.core.model import DAY, Explained
from tradebot.core.recorder import Recorder
from tradebot.core.rules import MAX_DAILY_LOSS, MAX_DRAWDOWN
from tradebot.core.scope import HaltKey, HaltLevel, Scope
from tradebot.core.setup import Limits, Setup

# Sums of floats may differ in the last bits; a limit met to within this share is not crossed.
_SLACK = 1e-9

# Cash that comes or goes for one of these is gain or loss; anything else is a flow.
EARNED = ("dividend", "interest", "fee")


class Breakers:
    """Checks every account that has loss limits, once per slice of market data."""

    def __init__(
        self, setup: Setup, recorder: Recorder, accounts: Mapping[str, Valuer], marks: Mapping[str, float]
    ) -> None:
        self._rec = recorder
        self._ledger = recorder.ledger
        self._accounts = accounts
        self._marks = marks
        self._instruments = setup.instruments
        self._remembers = setup.remembers
        self._limits: dict[str, Limits] = {
            a.name: a.limits
            for a in setup.accounts
            if a.limits.max_drawdown is not None or a.limits.max_daily_loss is not None
        }
        self._names = tuple(a.name for a in setup.accounts)
        self._peaks: dict[str, float] = {}
        self.watch_at = 0  # nothing to watch before this moment
        self._day = -1

    def begin(self) -> None:
        """Begin a new day where due; call it before the first prices of the day are known."""
        day = self._rec.now // DAY
        if day != self._day:
            self._begin_day(day)

    def watch(self) -> None:
        """Compare equity with the limits."""
        self.begin()  # for an account whose equity was not known before this slice
        for name, limits in self._limits.items():
            self._check(name, limits)

    def flow(self, event: CashEvent) -> None:
        """Move the marks of an account by money that came or went without being earned or lost."""
        if event.because not in EARNED:
            self._shift(event.account, event.strategy, event.asset, float(event.amount))

    def moved(self, account: str, instrument: str, qty_signed: Decimal) -> None:
        """Move the marks of an account by what a transferred quantity is worth."""
        mark = self._marks.get(instrument)
        if mark is not None:
            traded = self._instruments[instrument]
            worth = float(qty_signed * traded.multiplier) * mark
            self._shift(account, None, traded.quote, worth)

    def _shift(self, account: str, strategy: str | None, asset: str, amount: float) -> None:
        known, valuer = self._ledger.days.get(account), self._accounts.get(account)
        if known is None or valuer is None or not valuer.counts(strategy):
            return
        rate = valuer.rate(asset)
        if rate is None:
            return  # equity is unknown without it, so nothing is compared either
        amount *= rate
        peak = self._peaks[account] = self._peaks.get(account, known.peak) + amount
        equity = known.equity + amount
        self._rec.fact(
            f.DayStarted(ts=self._rec.now, account=account, day=known.day, equity=equity, peak=peak)
        )

    def _begin_day(self, day: int) -> None:
        is_complete = True
        for name in self._names:
            known = self._ledger.days.get(name)
            if known is not None and known.day >= day:
                self._peaks.setdefault(name, known.peak)
                continue
            valuer = self._accounts.get(name)
            equity = None if valuer is None else valuer.equity(self._marks)
            if equity is None:
                is_complete = False  # a price is still missing: the day begins when it is there
                continue
            before = self._peaks.get(name, known.peak if known is not None else equity)
            peak = max(before, equity)
            self._end_daily_halt(name)
            self._peaks[name] = peak
            self._rec.fact(f.DayStarted(ts=self._rec.now, account=name, day=day, equity=equity, peak=peak))
        if not is_complete:
            return
        self._day = day
        if not self._limits:
            self.watch_at = (day + 1) * DAY

    def _end_daily_halt(self, account: str) -> None:
        """A daily loss limit counts anew with the day; a drawdown waits for the owner."""
        scope = Scope(account=account)
        if HaltKey(scope, MAX_DAILY_LOSS) in self._ledger.halts:
            self._rec.fact(
                f.HaltSet(
                    ts=self._rec.now,
                    level=HaltLevel.NONE,
                    scope=scope,
                    reason="a new day",
                    rule=MAX_DAILY_LOSS,
                )
            )

    def _check(self, name: str, limits: Limits) -> None:
        valuer = self._accounts.get(name)
        equity = None if valuer is None else valuer.equity(self._marks)
        started = self._ledger.days.get(name)
        if equity is None or started is None:
            return
        peak = self._peaks[name]
        if equity > peak:
            self._peaks[name] = peak = equity
            if self._remembers and limits.max_drawdown is not None:
                self._rec.fact(replace(started, ts=self._rec.now, peak=peak))
        for rule, limit, base in (
            (MAX_DRAWDOWN, limits.max_drawdown, peak),
            (MAX_DAILY_LOSS, limits.max_daily_loss, started.equity),
        ):
            if limit is None or base <= 0.0:
                continue
            loss = 1.0 - equity / base
            if loss > limit + _SLACK:
                self._trip(name, rule, limit, loss)

    def _trip(self, name: str, rule: str, limit: float, loss: float) -> None:
        scope = Scope(account=name)
        if HaltKey(scope, rule) in self._ledger.halts:
            return
        self._rec.fact(
            f.HaltSet(
                ts=self._rec.now,
                level=HaltLevel.NO_NEW_RISK,
                scope=scope,
                reason=f"{rule} of account {name} is {limit:.4g}, was {loss:.4g}",
                rule=rule,
                numbers=(Explained(name="limit", value=limit), Explained(name="loss", value=loss)),
            )
        )
