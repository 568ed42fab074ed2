"""Open accounts and give strategies their share of the first money.

Owns what happens once in the life of an account and of a strategy. Later money comes as cash events.
"""

from __future__ import annotations

from tradebot.core import events
from tradebot.core import facts as f
from tradebot.core.books import ZERO
from tradebot.core.messages import CashEvent
from tradebot.core.recorder import Recorder
from tradebot.core.setup import AccountSpec, Setup, StrategySpec


def open_account(recorder: Recorder, spec: AccountSpec) -> None:
    """Record an account and its first money, assigned to nobody yet."""
    now = recorder.now
    recorder.fact(
        f.AccountOpened(ts=now, account=spec.name, model=spec.model, base_currency=spec.base_currency)
    )
    for asset, amount in spec.cash.items():
        event = CashEvent(ts=now, account=spec.name, asset=asset, amount=amount, because="deposit")
        events.cash_moved(recorder, event)


def configure(recorder: Recorder, spec: StrategySpec) -> None:
    """Record the settings a strategy runs with, when they are not those it ran with last."""
    if spec.settings and recorder.ledger.configured.get(spec.id) != (spec.settings, spec.code):
        recorder.fact(
            f.StrategyConfigured(ts=recorder.now, strategy=spec.id, settings=spec.settings, code=spec.code)
        )


def enroll(setup: Setup, recorder: Recorder, spec: StrategySpec) -> None:
    """Record a strategy and the part of the account's first money that its sub-ledger gets."""
    account = recorder.ledger.accounts[spec.account]
    recorder.fact(f.StrategyEnrolled(ts=recorder.now, strategy=spec.id, account=spec.account))
    first = next(a.cash for a in setup.accounts if a.name == spec.account)
    for asset, amount in first.items():
        share = min(
            events.part_of_cash(spec.capital, asset, amount, setup.quantum(asset)),
            account.unassigned.cash.get(asset, ZERO),
        )
        if share > 0:
            recorder.fact(
                f.AssignmentMade(
                    ts=recorder.now, account=spec.account, strategy=spec.id, amount=share, asset=asset
                )
            )
