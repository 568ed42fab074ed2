"""Take the venue's word: turn differences that nothing explains into what makes them ours.

Owns what is booked when the owner says that the venue is right. Refuses to decide that it is.
"""

from __future__ import annotations

from collections.abc import Container, Iterable
from decimal import Decimal

from tradebot.core.messages import CashEvent, Input, PositionChanged, Reconciled
from tradebot.core.reconcile import Finding, Verdict


def differs(finding: Finding) -> bool:
    """Return whether a quantity or cash differs, which nothing explains."""
    return finding.verdict in (Verdict.QTY_DIFFERS, Verdict.CASH_DIFFERS)


def is_first_fee(finding: Finding, own: Container[str]) -> bool:
    """Return whether less than nothing is known here of an asset that is not traded with (`own`).

    Only a fee can have taken it, which the venue told: what its owner had of it was none of our business before.
    """
    is_cash = finding.verdict is Verdict.CASH_DIFFERS and finding.what not in own
    return is_cash and Decimal(finding.ours) < 0 <= Decimal(finding.theirs)


def adoption(
    findings: Iterable[Finding], account: str, now: int, key: str, because: str = "adopted"
) -> list[Input]:
    """Return what makes our quantities and cash those of the venue; `key` makes each booked once."""
    messages: list[Input] = []
    for finding in findings:
        ref = f"adopt/{key}/{finding.what}"
        if finding.verdict is Verdict.QTY_DIFFERS:
            qty = Decimal(finding.theirs) - Decimal(finding.ours)
            messages.append(
                PositionChanged(
                    ts=now, account=account, instrument=finding.what, qty_signed=qty, because=because,
                    venue_ref=ref,
                )
            )  # fmt: skip
        elif finding.verdict is Verdict.CASH_DIFFERS:
            amount = Decimal(finding.theirs) - Decimal(finding.ours)
            messages.append(
                CashEvent(
                    ts=now,
                    account=account,
                    asset=finding.what,
                    amount=amount,
                    because=because,
                    venue_ref=ref,
                )
            )
    return [*messages, Reconciled(ts=now, account=account)] if messages else []
