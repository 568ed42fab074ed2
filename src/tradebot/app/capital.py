"""Deal out an account's first money to its strategies.

Owns what `capital` means, of an account and of a strategy, and the even split of what nobody
declared. Refuses by name what cannot be dealt out.
"""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal

from tradebot.app.misfits import refuse
from tradebot.config.models import Config
from tradebot.config.strategies import Strategy
from tradebot.config.units import Money
from tradebot.errors import ConfigError

ZERO = Decimal(0)
_SHARE = ""  # stands for every asset while only shares are declared

Capital = Decimal | Mapping[str, Decimal]


def capital_of(config: Config, account: str) -> dict[str, Capital]:
    """Return what each strategy gets of an account's first cash; what is not declared is split evenly.

    Shares where only shares are declared, else amounts by asset: an amount of one asset says nothing
    of the others, and an account's own `capital` is all there is to deal out.
    """
    mine = [s for s in config.strategies if s.account == account]
    declared = [s for s in mine if s.capital is not None]
    undeclared = [s.id for s in mine if s.capital is None]
    has_amounts = any(isinstance(s.capital, Money) for s in declared)
    is_share = not has_amounts and config.accounts[account].capital is None
    whole = {_SHARE: Decimal(1)} if is_share else _cash_of(config, account)
    rest = dict(whole)
    found: dict[str, dict[str, Decimal]] = {}
    for strategy in declared:
        found[strategy.id] = part = _declared(strategy, whole, account)
        for asset, amount in part.items():
            rest[asset] -= amount
            if rest[asset] < 0:
                raise _overdrawn(account, asset, whole[asset], whole[asset] - rest[asset])
    if undeclared and not any(rest.values()):
        raise refuse(
            f"strategies.{undeclared[0]}.capital",
            f"nothing of account {account} is left: the other strategies' capital is 100 % of it; "
            "give it a share, and them less, or leave capital out everywhere to share evenly",
        )
    for strategy_id in undeclared:
        found[strategy_id] = {asset: amount / len(undeclared) for asset, amount in rest.items()}
    return {name: part[_SHARE] if is_share else part for name, part in found.items()}


def _cash_of(config: Config, account: str) -> dict[str, Decimal]:
    """Return the cash that strategies may get: all of it, or the account's `capital`."""
    cash = {money.asset: money.amount for money in config.accounts[account].cash}
    cap = config.accounts[account].capital
    if cap is None:
        return cash
    if not cash.get(cap.asset):
        raise refuse(
            f"accounts.{account}.capital", f"must be in the account's cash ({', '.join(cash)}), was {cap}"
        )
    return {cap.asset: min(cash[cap.asset], cap.amount)}


def _declared(strategy: Strategy, whole: Mapping[str, Decimal], account: str) -> dict[str, Decimal]:
    if isinstance(strategy.capital, Money):
        asset = strategy.capital.asset
        if not whole.get(asset):
            message = f"account {account} has no {asset} to take {strategy.capital} from"
            raise refuse(f"strategies.{strategy.id}.capital", message)
        return {asset: strategy.capital.amount}
    share = Decimal(str(strategy.capital))
    return {asset: amount * share for asset, amount in whole.items()}


def _overdrawn(account: str, asset: str, whole: Decimal, asked: Decimal) -> ConfigError:
    if asset == _SHARE:
        message = f"capital shares of account {account} must not exceed 100 %, were {asked:%}"
    else:
        message = (
            f"the strategies' capital must not exceed the {whole.normalize():f} {asset} that account {account} "
            f"may use, was {asked.normalize():f} {asset}"
        )
    return refuse("strategies", message)
