"""Say whether the kernel can replay a strategy, and with which settings.

Owns what is known before the run: which settings are repeated exactly, which are refused and why.
Refuses numba: asking costs nothing. What only the run can tell (a denied order, an account that
runs dry) is told by `run`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal

from tradebot.core.model import DEFAULT_QUANTUM, AccountModel, Instrument, OrderKind, Tif
from tradebot.core.quantize import decimal_of
from tradebot.core.setup import AccountSpec, FirstEntry, Limits, Resize, Setup, StrategySpec, part_of_cash
from tradebot.core.sizing import FixedNotional, FixedQty, FixedRisk, FractionOfEquity, SizingSpec
from tradebot.core.strategy import BarStrategy
from tradebot.sim.fees import FeeModel, NoFees
from tradebot.sim.kernel import layout as k
from tradebot.sim.kernel.terms import (
    MOST,
    QUANTUM_DIGITS,
    Fields,
    Unfit,
    cost_fields,
    grid_fields,
    grid_of,
    matching_fields,
    refuse_if,
    scaled,
    slippage_fields,
)
from tradebot.sim.latency import NO_DELAYS, NO_LATENCY, Delays, LatencyModel
from tradebot.sim.settings import FillSettings, ForcePrice
from tradebot.sim.slippage import NoSlippage, SlippageModel

_DEFAULTS, _NO_FEES, _NO_SLIPPAGE = FillSettings(), NoFees(), NoSlippage()


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusal:
    """Why the engine must run. `bar` is the row at which it showed, None when settings say so."""

    reason: str
    bar: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Venue:
    """The simulated venue's settings, as they are given to `SimVenue`."""

    settings: FillSettings = _DEFAULTS
    fees: FeeModel = _NO_FEES
    slippage: SlippageModel = _NO_SLIPPAGE
    latency: LatencyModel = NO_LATENCY
    delays: Delays = NO_DELAYS
    quantum: Decimal = DEFAULT_QUANTUM


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """A run that the kernel can make: `fields` are the settings in its record.

    `qty_unit` and `tick` turn the kernel's whole numbers into Decimals.
    """

    instrument: Instrument
    strategy: str
    account: str
    fee_asset: str
    qty_unit: Decimal
    fields: Mapping[str, int | float]


def plan(
    setup: Setup,
    strategy: str,
    venue: Venue,
    *,
    close_at_end: ForcePrice | None = None,
) -> Plan | Refusal:
    """Return how the kernel would run `strategy`, or why it cannot.

    `close_at_end`: what is held at the end is closed at that price; None leaves it open. It means
    what the engine does when the owner's FLATTEN is followed by `SimVenue.force_close`.
    """
    try:
        return _plan(setup, strategy, venue, close_at_end)
    except Unfit as no:
        return Refusal(reason=str(no))


def _plan(setup: Setup, strategy: str, venue: Venue, close_at_end: ForcePrice | None) -> Plan:
    spec = next(s for s in setup.strategies if s.id == strategy)
    account = next(a for a in setup.accounts if a.name == spec.account)
    instrument = _only_instrument(setup, spec, account, venue)
    refuse_if(venue.latency != NO_LATENCY, "commands take time to arrive")
    refuse_if(venue.delays != NO_DELAYS, "data or reports take time to arrive")
    grid = grid_of(instrument, venue.fees)
    fields: Fields = {}
    fields |= grid_fields(instrument, grid)
    fields |= _account(setup, account, spec, instrument, venue)
    fields |= cost_fields(venue.fees, grid) | slippage_fields(venue.slippage, instrument)
    fields |= matching_fields(venue.settings, instrument) | _sizing(spec.sizing)
    fields |= _behaviour(spec) | _limits(account, instrument)
    exits = fields["has_stop"] or fields["has_limit"] or fields["has_trail"]
    at_close = fields["market_at"] == k.SAME_CLOSE
    fields["needs_range"] = int(
        exits or fields["is_capped"] or at_close or fields["slip_kind"] == k.VOLUME_SLIP
    )
    fields["needs_time"] = int(fields["times_room"] or fields["has_breakers"])
    ends = {None: k.LEAVE, ForcePrice.LAST_CLOSE: k.FORCE_CLOSE, ForcePrice.LAST_OPEN: k.FORCE_OPEN}
    fields["end"] = ends[close_at_end]
    return Plan(
        instrument=instrument,
        strategy=strategy,
        account=account.name,
        fee_asset=instrument.quote,
        qty_unit=Decimal(1).scaleb(-grid.digits),
        fields=fields,
    )


def _only_instrument(setup: Setup, spec: StrategySpec, account: AccountSpec, venue: Venue) -> Instrument:
    refuse_if(len(spec.instruments) != 1, "a strategy of several instruments shares its equity between them")
    name = spec.instruments[0]
    decider = spec.deciders[name]
    refuse_if(not isinstance(decider, BarStrategy) or decider.together, "only strategies on single bars")
    refuse_if(bool(decider.inputs()), "further inputs: the engine waits for their bars")
    for other in setup.strategies:
        if other.id == spec.id or other.account != spec.account:
            continue
        refuse_if(name in other.instruments, f"{other.id} trades {name} in the same account")
        shares = account.model is AccountModel.CASH or account.limits != Limits()
        refuse_if(shares, f"{other.id} shares the account's cash or limits")
    return setup.instruments[name]


# --- account ----------------------------------------------------------------------------------------


def _account(
    setup: Setup, account: AccountSpec, spec: StrategySpec, instrument: Instrument, venue: Venue
) -> Fields:
    quote = instrument.quote
    refuse_if(quote != account.base_currency, f"{quote} is not the account's base currency")
    others = [asset for asset, amount in account.cash.items() if amount and asset != quote]
    refuse_if(bool(others), f"the account also holds {', '.join(others)}")
    refuse_if(account.capital is not None, "the account's capital is capped")
    refuse_if(bool(account.settle_after), "cash settles later")
    quanta = {setup.quantum(quote), setup.quantum(instrument.base), venue.quantum}
    refuse_if(quanta != {DEFAULT_QUANTUM}, f"amounts must be in quanta of {DEFAULT_QUANTUM}")
    total = account.cash.get(quote, Decimal(0))
    own = part_of_cash(spec.capital, quote, total, DEFAULT_QUANTUM)
    refuse_if(total.scaleb(QUANTUM_DIGITS) >= MOST, "the account holds more than 2**53 quanta")
    return {
        "cash": scaled(own, QUANTUM_DIGITS),
        "rest_cash": scaled(total - own, QUANTUM_DIGITS),
        "is_cash_account": int(account.model is AccountModel.CASH),
    }


_LIMITS = (
    "max_order",
    "max_position",
    "max_gross",
    "max_drawdown",
    "max_daily_loss",
    "max_orders_per_day",
    "max_orders_per_minute",
)


def _limits(account: AccountSpec, instrument: Instrument) -> Fields:
    def or_unset(value: float | None) -> float:
        return -1.0 if value is None else value

    limits = account.limits
    bare = Limits(**{name: getattr(limits, name) for name in _LIMITS})
    refuse_if(limits != bare or account.capital is not None, "a limit that only the engine keeps")
    is_cash = account.model is AccountModel.CASH
    per_day, per_minute = limits.max_orders_per_day, limits.max_orders_per_minute
    return {
        "max_order": or_unset(limits.max_order),
        "max_position": or_unset(limits.max_position),
        "max_gross": or_unset(limits.max_gross),
        "max_loss_total": or_unset(limits.max_drawdown),
        "max_loss_day": or_unset(limits.max_daily_loss),
        "is_limited": int(limits != Limits() or is_cash or not instrument.shortable),
        "has_breakers": int(limits.max_drawdown is not None or limits.max_daily_loss is not None),
        "orders_per_day": k.UNLIMITED if per_day is None else per_day,
        "orders_per_minute": k.UNLIMITED if per_minute is None else per_minute,
        "times_room": max(per_day or 0, per_minute or 0),
        "day": -1,
    }


# --- the strategy -----------------------------------------------------------------------------------


def _sizing(sizing: SizingSpec) -> Fields:
    match sizing:
        case FixedQty():
            return {"sizing": k.FIXED_QTY, "size_qty": float(sizing.qty)}
        case FixedNotional():
            return {"sizing": k.FIXED_NOTIONAL, "size_notional": float(sizing.notional)}
        case FractionOfEquity():
            return {"sizing": k.FRACTION_OF_EQUITY, "fraction": sizing.fraction}
        case FixedRisk(stop=stop, atr_multiple=None) if stop:
            return {
                "sizing": k.FIXED_RISK,
                "risk": sizing.risk,
                "risk_stop": stop,
                "max_fraction": sizing.max_fraction,
            }
    raise Unfit(f"{type(sizing).__name__}: a size that follows from past bars")


def _behaviour(spec: StrategySpec) -> Fields:
    style, exits = spec.style, spec.exits
    refuse_if(style.kind is not OrderKind.MARKET, "entries by limit order")
    refuse_if(style.auction is not None, "orders for the auctions")
    refuse_if(style.tif is not Tif.GTC, f"orders valid {style.tif.value}")
    refuse_if(spec.execution.kind != "immediate", f"execution by {spec.execution.kind}")
    refuse_if(exits.is_local, "exits kept by the engine")
    after = exits.after_exit
    words = {"next_signal": k.UNLIMITED, "at_once": k.AT_ONCE}
    resizes = {Resize.ON_CHANGE: k.ON_CHANGE, Resize.ALWAYS: k.ALWAYS, Resize.BAND: k.RESIZE_BAND}
    return {
        "resize": resizes[spec.resize],
        "band": spec.band,
        "next_signal": int(spec.first_entry is FirstEntry.NEXT_SIGNAL),
        "has_stop": int(exits.stop_loss is not None),
        "has_limit": int(exits.take_profit is not None),
        "has_trail": int(exits.trailing is not None),
        "stop_loss": exits.stop_loss or 0.0,
        "take_profit": exits.take_profit or 0.0,
        "trailing": 0.0 if exits.trailing is None else float(decimal_of(exits.trailing)),
        "max_bars": k.UNLIMITED if exits.max_bars is None else exits.max_bars,
        "after_bars": after if isinstance(after, int) else words[after],
    }
