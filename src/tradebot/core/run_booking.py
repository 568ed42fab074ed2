"""Book what facts say of runs, of strategies, and of what these have yet to be told.

Owns the put-off: between a run's start and the moment when strategies have their memories back, what
happens is booked but told to nobody, and a run that ends before that moment leaves it to the next one.
Refuses money, which is `booking`'s.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from tradebot.core import facts as f
from tradebot.core.books import AccountBook, SubLedger

if TYPE_CHECKING:
    from tradebot.core.ledger import Ledger

STRATEGY_TIMER = "strategy/"  # what the key of a strategy's own timer begins with


def run_started(ledger: Ledger, fact: f.RunStarted) -> None:
    """Begin a run: what held for the one before is over."""
    ledger.run_id, ledger.epoch = fact.run_id, fact.epoch
    ledger.failed.clear()
    ledger.is_stopping = False
    ledger.needs_reconcile = fact.needs_reconcile
    ledger.reconciled.clear()
    ledger.is_catching_up = fact.catches_up


def reconciled(ledger: Ledger, fact: f.AccountReconciled) -> None:
    """Note that an account was compared with its venue."""
    ledger.reconciled[fact.account] = fact.ts


def trading_stopped(ledger: Ledger, fact: f.TradingStopped) -> None:
    """Begin nothing more."""
    ledger.is_stopping = True


def account_opened(ledger: Ledger, fact: f.AccountOpened) -> None:
    """Open the books of an account."""
    ledger.accounts[fact.account] = AccountBook(fact.account, fact.model, fact.base_currency)


def enrolled(ledger: Ledger, fact: f.StrategyEnrolled) -> None:
    """Open the sub-ledger of a strategy."""
    ledger.subs[fact.strategy] = SubLedger(fact.account, fact.strategy)


def configured(ledger: Ledger, fact: f.StrategyConfigured) -> None:
    """Note the settings of a strategy."""
    ledger.configured[fact.strategy] = (fact.settings, fact.code)


def saved(ledger: Ledger, fact: f.StrategySaved) -> None:
    """Keep a memory until the next one."""
    ledger.saved[fact.strategy, fact.instrument] = fact


def weights_asked(ledger: Ledger, fact: f.WeightsAsked) -> None:
    """Note for which period a portfolio was asked."""
    ledger.periods[fact.strategy, fact.instrument] = fact.period


def failed(ledger: Ledger, fact: f.StrategyFailed) -> None:
    """Note that a strategy is out for this run."""
    ledger.failed[fact.strategy, fact.instrument] = fact.error


def put_off(ledger: Ledger, fact: f.OrderFilled | f.TimerFired | f.SplitPutOff) -> None:
    """Note what a strategy cannot be told before it has its memory back."""
    is_ours = isinstance(fact, f.TimerFired) and not fact.key.startswith(STRATEGY_TIMER)
    if ledger.is_catching_up and not is_ours:
        ledger.untold.append(fact)


def caught_up(ledger: Ledger, fact: f.StrategiesCaughtUp) -> None:
    """Forget what was put off: it is told, and what that left in the memories is saved beside this."""
    ledger.is_catching_up = False
    ledger.untold.clear()
