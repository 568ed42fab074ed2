"""Say which settings of a valid configuration cannot be run together, or on these instruments.

Owns the refusals that need two sections, or an instrument, and no bars. Each function returns all it
finds, so that whoever validates can show everything at once and whoever runs raises it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from tradebot.config.models import Account, Config
from tradebot.config.strategies import FixedNotional, Strategy
from tradebot.config.units import Money
from tradebot.core.model import ALWAYS_OPEN, Instrument
from tradebot.errors import ConfigError, Problem


def misfit(key: str, message: str) -> Problem:
    """Return a problem of the file that the command line knows; `key` may name a strategy by its id."""
    return Problem(file="configuration", line=None, key=key, message=message)


def refuse(key: str, message: str) -> ConfigError:
    """Return the error of a setting that is valid but cannot be run."""
    return ConfigError([misfit(key, message)])


def require_none(problems: Sequence[Problem]) -> None:
    """Raise ConfigError if there are problems."""
    if problems:
        raise ConfigError(problems)


def base_currency(account: Account) -> str:
    """Return the currency an account is reported in: its `base`, else its first cash."""
    return account.base or (account.cash[0].asset if account.cash else "USD")


def account_misfits(config: Config, name: str) -> list[Problem]:
    """Return what keeps an account from being simulated."""
    account = config.accounts[name]
    if not account.cash:
        message = "a simulated account needs cash to start with, such as 10000 USD"
        return [misfit(f"accounts.{name}.cash", message)]
    base, limits = base_currency(account), config.limits
    amounts: dict[str, Money | None] = {
        f"accounts.{name}.capital": account.capital,
        "limits.max_order": limits.max_order,
        "limits.max_position": limits.max_position,
        "limits.max_gross": limits.max_gross,
    }
    return [
        misfit(key, f"must be in the account's base currency {base}, was {amount}")
        for key, amount in amounts.items()
        if amount is not None and amount.asset != base
    ]


def strategy_misfits(strategy: Strategy, instruments: Mapping[str, Instrument]) -> list[Problem]:
    """Return what keeps a strategy from being run; `instruments` are those of its own that are known."""
    found: dict[str, str] = {}
    orders, schedule, sizing = strategy.orders, strategy.schedule, strategy.sizing
    if orders.collar is not None and orders.type == "market":
        found["orders.collar"] = (
            "must be absent from market orders, which take any price; write type: limit beside it"
        )
    if orders.at != "next_open" and orders.tif != "gtc":
        found["orders.tif"] = (
            f"must be absent beside at: {orders.at}, an order that lives for the auction only"
        )
    if schedule is not None and (schedule.weekday is not None or schedule.at != "close"):
        found["schedule"] = (
            "weekday and at are not supported yet: the first bar of each period asks the strategy"
        )
    for name in strategy.instruments:
        instrument = instruments.get(name)
        if instrument is None:
            continue
        if orders.at != "next_open" and instrument.calendar == ALWAYS_OPEN:
            found.setdefault(
                "orders.at",
                f"must be next_open for {name}, which trades around the clock and has no auctions, was {orders.at}",
            )
        if isinstance(sizing, FixedNotional) and sizing.notional.asset != instrument.quote:
            found.setdefault(
                "sizing.notional",
                f"must be in {instrument.quote}, which {name} is priced in, was {sizing.notional}",
            )
    return [misfit(f"strategies.{strategy.id}.{key}", message) for key, message in found.items()]
