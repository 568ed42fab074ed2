"""Describe the places where one can trade, without asking them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tradebot.errors import UsageError

if TYPE_CHECKING:
    from tradebot.adapters.ccxt.capability import Description


def describe_exchange(exchange: str) -> Description:
    """Return what an exchange supports and what is not done there. Raises UsageError for an unknown one."""
    from tradebot.adapters.ccxt.capability import describe
    from tradebot.adapters.ccxt.library import exchanges, open_exchange

    if exchange not in exchanges():
        known = ", ".join(exchanges())
        raise UsageError(
            f"must be one of the exchanges that ccxt streams from, was {exchange!r}; there are {known}"
        )
    return describe(open_exchange(exchange))
