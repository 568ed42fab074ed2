"""Turn corporate actions and cash events into facts.

Owns splits, dividends and explained cash. A split never signals: lots, positions, targets and
exits are re-based before the first bar of the ex-day and basis stays as it was; the fraction of
a share that the grid cannot hold is paid out at the last price.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from decimal import Decimal

from tradebot.core import facts as f
from tradebot.core.books import ZERO, AccountBook, SubLedger
from tradebot.core.facts import StrategyShare
from tradebot.core.ledger import Ledger
from tradebot.core.messages import CashEvent, Dividend, SetTimer, Split
from tradebot.core.model import Instrument, Lot
from tradebot.core.quantize import money, price_nearest, qty_down
from tradebot.core.recorder import Recorder
from tradebot.core.setup import Setup


def _holders(ledger: Ledger, account: str, instrument: str) -> list[tuple[str | None, Decimal]]:
    """Return (strategy or None, signed quantity) of every sub-ledger that holds the instrument."""
    subs: list[SubLedger] = [s for s in ledger.subs.values() if s.account == account]
    subs.append(ledger.accounts[account].unassigned)
    return [(s.strategy, s.qty(instrument)) for s in subs if s.qty(instrument)]


def dividend_accrued(setup: Setup, recorder: Recorder, dividend: Dividend) -> None:
    """Record what every sub-ledger is owed; the money comes when it is paid."""
    ledger, instrument = recorder.ledger, setup.instruments[dividend.instrument]
    quantum = setup.quantum(instrument.quote)
    for account in ledger.accounts.values():
        shares = tuple(
            StrategyShare(strategy, money(qty * dividend.amount, quantum))
            for strategy, qty in _holders(ledger, account.name, dividend.instrument)
        )
        if not shares:
            continue
        recorder.fact(
            f.DividendAccrued(
                ts=recorder.now,
                account=account.name,
                instrument=dividend.instrument,
                asset=instrument.quote,
                per_share=dividend.amount,
                shares=shares,
                pays_at=dividend.pays_at,
            )
        )
        key = f"dividend/{account.name}/{dividend.instrument}/{dividend.ts}"
        recorder.fact(f.TimerSet(ts=recorder.now, key=key, at=dividend.pays_at))
        recorder.command(SetTimer(key=key, at=dividend.pays_at))


def dividend_paid(recorder: Recorder, account: str, instrument: str) -> None:
    """Record the payment of the oldest accrual."""
    owed = recorder.ledger.accrued[account, instrument][0]
    recorder.fact(
        f.DividendPaid(
            ts=recorder.now, account=account, instrument=instrument, asset=owed.asset, shares=owed.shares
        )
    )


def split_applied(setup: Setup, recorder: Recorder, split: Split, marks: Mapping[str, float]) -> None:
    """Re-base every account's lots and sub-ledger quantities."""
    instrument = setup.instruments[split.instrument]
    mark = marks.get(split.instrument, 0.0)
    for account in recorder.ledger.accounts.values():
        if not account.lots.get(split.instrument):
            continue
        held = _holders(recorder.ledger, account.name, split.instrument)
        after = [(s, qty_down(qty * split.ratio, instrument.lot_size)) for s, qty in held]
        price = price_nearest(mark, instrument.tick_size)
        quantum = setup.quantum(instrument.quote)
        lieu = tuple(
            StrategyShare(s, money((qty * split.ratio - new) * price / split.ratio, quantum))
            for (s, qty), (_, new) in zip(held, after, strict=True)
            if qty * split.ratio != new
        )
        total = sum((qty for _, qty in after), ZERO)
        recorder.fact(
            f.SplitApplied(
                ts=recorder.now,
                account=account.name,
                instrument=split.instrument,
                ratio=split.ratio,
                lots=_rebased(account, instrument, split.ratio, total),
                positions=tuple(StrategyShare(s, qty) for s, qty in after),
                cash_in_lieu=lieu,
                asset=instrument.quote,
            )
        )


def _rebased(account: AccountBook, instrument: Instrument, ratio: Decimal, total: Decimal) -> tuple[Lot, ...]:
    """Return the lots times `ratio`; what the grid cannot hold comes off the newest lots."""
    lots = [replace(lot, qty=lot.qty * ratio) for lot in account.lots[instrument.id]]
    excess = sum((lot.qty for lot in lots), ZERO) - total
    kept: list[Lot] = []
    for lot in reversed(lots):
        cut = min(abs(excess), abs(lot.qty)) * (1 if lot.qty > 0 else -1)
        excess -= cut
        if lot.qty - cut:
            kept.append(replace(lot, qty=lot.qty - cut))
    return tuple(reversed(kept))


def share_of_capital(amount: Decimal, share: Decimal, quantum: Decimal) -> Decimal:
    """Return a strategy's part of an account's first money, to the quantum."""
    return money(amount * share, quantum)


def cash_moved(recorder: Recorder, event: CashEvent) -> None:
    """Record cash that moved at the venue for a reason it explains."""
    recorder.fact(
        f.CashMoved(
            ts=recorder.now,
            account=event.account,
            asset=event.asset,
            amount=event.amount,
            because=event.because,
            strategy=event.strategy,
            settles_at=recorder.now,
        )
    )
