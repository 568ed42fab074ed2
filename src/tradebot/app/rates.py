"""Say what currencies were worth during a run.

Owns the reading of `rates:`: a fixed amount, or the price of an instrument over time. Refuses a run
whose money could not be added up; before an instrument's first price sizing stops with that reason.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

import numpy as np

from tradebot.app.misfits import base_currency, misfit, refuse, require_none
from tradebot.config.models import Config
from tradebot.config.simulation import BpsFee
from tradebot.config.units import Money
from tradebot.core.happenings import Rate
from tradebot.core.model import Instrument
from tradebot.data.arrays import BarArrays, Floats, Ints
from tradebot.data.catalogue import Catalogue
from tradebot.errors import Problem

if TYPE_CHECKING:
    from tradebot.sim.timeline import Event


def first_rates(config: Config, catalogue: Catalogue, ts: int) -> list[Rate]:
    """Return the rate of every declared asset as known at `ts`."""
    found: list[Rate] = []
    for asset, word in config.rates.items():
        if isinstance(word, Money):
            found.append(Rate(ts=ts, asset=asset, base=word.asset, rate=float(word.amount)))
            continue
        bars, base = _series(catalogue, asset, word)
        row = int(np.searchsorted(bars.ts, ts, side="right")) - 1
        if row >= 0:
            found.append(Rate(ts=ts, asset=asset, base=base, rate=float(bars.close[row])))
    return found


def rate_misfits(
    config: Config, name: str, instruments: Iterable[Instrument], catalogue: Catalogue
) -> list[Problem]:
    """Return what keeps account `name` from being counted in its base: all it holds, gets and pays has a rate."""
    account = config.accounts[name]
    base = base_currency(account)
    fees = config.fees_of(name)
    paid = [fees.asset] if isinstance(fees, BpsFee) and fees.asset not in ("quote", "base") else []
    cash = (money.asset for money in account.cash)
    found: list[Problem] = []
    priced = {
        asset: word.asset if isinstance(word, Money) else _quote_of(catalogue, asset, word)
        for asset, word in config.rates.items()
    }
    for asset in dict.fromkeys([*cash, *(i.quote for i in instruments), *paid]):
        if asset == base:
            continue
        to = priced.get(asset)
        if to is None:
            message = (
                f"is required: account {name} is counted in {base} and gets {asset}; "
                f"write rates: {{{asset}: 1.5 {base}}}, or the instrument whose price it is"
            )
            found.append(misfit(f"rates.{asset}", message))
            continue
        if to != base:
            message = f"must be in {base}, the base of account {name}, was in {to}"
            found.append(misfit(f"rates.{asset}", message))
    return found


def require_rates(
    config: Config, name: str, instruments: Iterable[Instrument], catalogue: Catalogue, start: int
) -> None:
    """Raise ConfigError unless all that account `name` holds, gets and pays has a rate to its base.

    Cash it begins with must have one at `start` (ns UTC); what instruments are priced in, some day.
    """
    require_none(rate_misfits(config, name, instruments, catalogue))
    account = config.accounts[name]
    known = {rate.asset for rate in first_rates(config, catalogue, start)}
    for asset in dict.fromkeys(money.asset for money in account.cash):
        if asset != base_currency(account) and asset not in known:
            raise refuse(
                f"rates.{asset}",
                f"must be known when the run begins, because account {name} holds {asset} then; "
                f"import earlier bars of {config.rates[asset]}, or begin later",
            )


def rate_along(config: Config, catalogue: Catalogue, asset: str, base: str, axis: Ints) -> Floats | float:
    """Return what `asset` is worth in `base` at each moment of `axis`; the first rate before there is any.

    Raises ConfigError when no rate to `base` is declared.
    """
    if asset == base:
        return 1.0
    word = config.rates.get(asset)
    if isinstance(word, Money) and word.asset == base:
        return float(word.amount)
    if word is None or isinstance(word, Money):
        raise refuse(
            f"rates.{asset}", f"is required, to compare with what is priced in {asset}: a rate to {base}"
        )
    bars, to = _series(catalogue, asset, word)
    if to != base:
        raise refuse(f"rates.{asset}", f"must be in {base}, the base of the account, was in {to}")
    rows = np.searchsorted(bars.ts, axis, side="right") - 1
    found: Floats = bars.close[np.maximum(rows, 0)]
    return found


def rate_events(
    config: Config, catalogue: Catalogue, events: list[Event], start: int, end: int
) -> list[Event]:
    """Return `events` with every change of a rate after `start` merged in, by time."""
    moves: list[Event] = []
    for asset, word in config.rates.items():
        if isinstance(word, Money):
            continue
        bars, base = _series(catalogue, asset, word)
        span = bars.between(start, end)
        moves += [
            Rate(ts=ts, asset=asset, base=base, rate=close)
            for ts, close in zip(span.ts.tolist(), span.close.tolist(), strict=True)
        ]
    return sorted([*moves, *events], key=lambda event: event.ts) if moves else events


def _series(catalogue: Catalogue, asset: str, name: str) -> tuple[BarArrays, str]:
    """Return the longest-interval bars of the instrument that prices an asset, and its quote asset."""
    quote = _quote_of(catalogue, asset, name)
    return catalogue.bars(name, catalogue.intervals(name)[-1]), quote


def _quote_of(catalogue: Catalogue, asset: str, name: str) -> str:
    instrument = catalogue.instrument(name)
    if instrument.base != asset:
        raise refuse(
            f"rates.{asset}", f"must be the price of {asset}; {name} is the price of {instrument.base}"
        )
    if not catalogue.intervals(name):
        raise refuse(f"rates.{asset}", f"no bars of {name} are stored; import them first")
    return instrument.quote
