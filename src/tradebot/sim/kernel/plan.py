"""Say whether the kernel can replay a strategy, and with which settings.

Owns what is known before the run: which settings are repeated exactly, which are refused and why.
Refuses numba: asking costs nothing. What only the run can tell (a denied order, an account that
runs dry) is told by `run`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from enum import Enum
from typing import NamedTuple

from tradebot.core.events import share_of_capital
from tradebot.core.model import ALWAYS_OPEN, DEFAULT_QUANTUM, AccountModel, Instrument, OrderKind, Tif
from tradebot.core.quantize import LEDGER_CONTEXT, decimal_of
from tradebot.core.setup import AccountSpec, FirstEntry, Limits, Resize, Setup, StrategySpec
from tradebot.core.sizing import FixedNotional, FixedQty, FixedRisk, FractionOfEquity, SizingSpec
from tradebot.core.strategy import BarStrategy
from tradebot.sim.fees import BpsFees, FeeModel, NoFees, PerShareFees, ReceivedAssetFees
from tradebot.sim.kernel import layout as k
from tradebot.sim.latency import NO_LATENCY, LatencyModel
from tradebot.sim.settings import (
    FillSettings,
    ForcePrice,
    IntrabarPath,
    LimitImprove,
    LimitRule,
    MarketAt,
    SameBar,
    StopGap,
    StopThrough,
    TrailLift,
    TrailReference,
)
from tradebot.sim.slippage import (
    BpsSlippage,
    HalfSpread,
    NoSlippage,
    SlippageModel,
    TickSlippage,
    VolumeShareSlippage,
)

_MOST = 2**53
_PRODUCT = 2**62
_MOST_DIGITS = 22  # 10**22 is the largest power of ten that float64 holds exactly
_QUANTUM_DIGITS = 8

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


class _No(Exception):
    """Carries a refusal out of the depths of `plan`."""


class _Grid(NamedTuple):
    digits: int  # of a quantity's unit
    price_digits: int
    mult_digits: int


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
    except _No as no:
        return Refusal(reason=str(no))


def _plan(setup: Setup, strategy: str, venue: Venue, close_at_end: ForcePrice | None) -> Plan:
    spec = next(s for s in setup.strategies if s.id == strategy)
    account = next(a for a in setup.accounts if a.name == spec.account)
    instrument = _only_instrument(setup, spec, account, venue)
    grid = _grid(instrument, venue.fees)
    fields: dict[str, int | float] = {}
    fields |= _grids(instrument, grid)
    fields |= _account(setup, account, spec, instrument, venue)
    fields |= _costs(venue.fees, grid) | _slippage(venue.slippage, instrument)
    fields |= _matching(venue.settings, instrument) | _sizing(spec.sizing)
    fields |= _behaviour(spec) | _limits(account.limits)
    ends = {None: k.LEAVE, ForcePrice.LAST_CLOSE: k.FORCE_CLOSE, ForcePrice.LAST_OPEN: k.FORCE_OPEN}
    fields["end"] = ends[close_at_end]
    _check_latency(venue.latency)
    return Plan(
        instrument=instrument,
        strategy=strategy,
        account=account.name,
        fee_asset=instrument.quote,
        qty_unit=Decimal(1).scaleb(-grid.digits),
        fields=fields,
    )


def _refuse_if(condition: bool, reason: str) -> None:
    if condition:
        raise _No(reason)


def _only_instrument(setup: Setup, spec: StrategySpec, account: AccountSpec, venue: Venue) -> Instrument:
    _refuse_if(len(spec.instruments) != 1, "a strategy of several instruments shares its equity between them")
    name = spec.instruments[0]
    decider = spec.deciders[name]
    _refuse_if(not isinstance(decider, BarStrategy) or decider.together, "only strategies on single bars")
    _refuse_if(bool(decider.inputs()), "further inputs: the engine waits for their bars")
    for other in setup.strategies:
        if other.id == spec.id or other.account != spec.account:
            continue
        _refuse_if(name in other.instruments, f"{other.id} trades {name} in the same account")
        shares = account.model is AccountModel.CASH or account.limits != Limits()
        _refuse_if(shares, f"{other.id} shares the account's cash or limits")
    return setup.instruments[name]


# --- grids ------------------------------------------------------------------------------------------


def _digits(value: Decimal) -> int:
    return max(0, -int(value.normalize().as_tuple().exponent))


def _scaled(value: Decimal, digits: int) -> int:
    whole = LEDGER_CONTEXT.scaleb(value, digits)
    return int(whole)


def _grid(instrument: Instrument, fees: FeeModel) -> _Grid:
    lot = _digits(instrument.lot_size)
    in_base = isinstance(fees, ReceivedAssetFees)
    grid = _Grid(
        max(lot, _QUANTUM_DIGITS) if in_base else lot,
        _digits(instrument.tick_size),
        _digits(instrument.multiplier),
    )
    _refuse_if(grid.digits + grid.price_digits > _MOST_DIGITS, "lot and tick sizes are too fine")
    return grid


def _grids(instrument: Instrument, grid: _Grid) -> dict[str, int | float]:
    tick, lot = _scaled(instrument.tick_size, grid.price_digits), _scaled(instrument.lot_size, grid.digits)
    mult = _scaled(instrument.multiplier, grid.mult_digits)
    # A unit of quantity times a price step, in quanta of cash: num / den.
    power = _QUANTUM_DIGITS - grid.digits - grid.price_digits - grid.mult_digits
    num, den = Decimal(tick * mult).scaleb(power).as_integer_ratio()
    _refuse_if(
        num * den >= _PRODUCT or max(tick, lot, mult) >= _MOST, "the instrument's steps are too coarse"
    )
    return {
        "lot": lot,
        "tick": tick,
        "mult": mult,
        "value_num": num,
        "value_den": den,
        "qty_scale": 10.0**grid.digits,
        "price_scale": 10.0**grid.price_digits,
        "units_scale": 10.0 ** (grid.digits + grid.mult_digits),
        "entry_scale": 10.0 ** (grid.digits + grid.price_digits),
        "multiplier": float(instrument.multiplier),
        "tick_f": float(instrument.tick_size),
        "snap": float(instrument.tick_size) * 1e-6,
        "min_qty": -int(-(instrument.min_qty.scaleb(grid.digits)) // 1),
        "min_notional": float(instrument.min_notional),
        "is_shortable": int(instrument.shortable),
        "fee_unit": 10 ** max(0, grid.digits - _QUANTUM_DIGITS),
    }


# --- account ----------------------------------------------------------------------------------------


def _account(
    setup: Setup, account: AccountSpec, spec: StrategySpec, instrument: Instrument, venue: Venue
) -> dict[str, int | float]:
    quote = instrument.quote
    _refuse_if(quote != account.base_currency, f"{quote} is not the account's base currency")
    others = [asset for asset, amount in account.cash.items() if amount and asset != quote]
    _refuse_if(bool(others), f"the account also holds {', '.join(others)}")
    _refuse_if(account.capital is not None, "the account's capital is capped")
    _refuse_if(bool(account.settle_after), "cash settles later")
    quanta = {setup.quantum(quote), setup.quantum(instrument.base), venue.quantum}
    _refuse_if(quanta != {DEFAULT_QUANTUM}, f"amounts must be in quanta of {DEFAULT_QUANTUM}")
    total = account.cash.get(quote, Decimal(0))
    own = min(share_of_capital(total, spec.capital, DEFAULT_QUANTUM), total)
    _refuse_if(total.scaleb(_QUANTUM_DIGITS) >= _MOST, "the account holds more than 2**53 quanta")
    return {
        "cash": _scaled(own, _QUANTUM_DIGITS),
        "rest_cash": _scaled(total - own, _QUANTUM_DIGITS),
        "is_cash_account": int(account.model is AccountModel.CASH),
    }


def _limits(limits: Limits) -> dict[str, int | float]:
    def or_unset(value: float | None) -> float:
        return -1.0 if value is None else value

    per_day, per_minute = limits.max_orders_per_day, limits.max_orders_per_minute
    return {
        "max_order": or_unset(limits.max_order),
        "max_position": or_unset(limits.max_position),
        "max_gross": or_unset(limits.max_gross),
        "max_loss_total": or_unset(limits.max_drawdown),
        "max_loss_day": or_unset(limits.max_daily_loss),
        "has_breakers": int(limits.max_drawdown is not None or limits.max_daily_loss is not None),
        "orders_per_day": k.UNLIMITED if per_day is None else per_day,
        "orders_per_minute": k.UNLIMITED if per_minute is None else per_minute,
        "times_room": max(per_day or 0, per_minute or 0),
        "day": -1,
    }


# --- costs ------------------------------------------------------------------------------------------


def _rate(bps: Decimal) -> tuple[int, int]:
    num, den = bps.scaleb(-4).as_integer_ratio()
    _refuse_if(abs(num) * den >= 2**40, f"a fee rate of {bps} basis points has too many digits")
    return num, den


def _costs(fees: FeeModel, grid: _Grid) -> dict[str, int | float]:
    if isinstance(fees, NoFees):
        return {"fee_kind": k.NO_FEE}
    if isinstance(fees, BpsFees | ReceivedAssetFees):
        maker, taker = _rate(fees.maker), _rate(fees.taker)
        unit = 10 ** max(0, grid.digits - _QUANTUM_DIGITS)
        _refuse_if(abs(taker[0]) * taker[1] * unit >= _PRODUCT, "the fee's unit is too fine")
        return {
            "fee_kind": k.BPS_FEE if isinstance(fees, BpsFees) else k.RECEIVED_FEE,
            "maker_num": maker[0],
            "maker_den": maker[1],
            "taker_num": taker[0],
            "taker_den": taker[1],
        }
    if isinstance(fees, PerShareFees):
        return _per_share(fees, grid)
    raise _No(f"{type(fees).__name__}: the fee is paid in a third asset")


def _per_share(fees: PerShareFees, grid: _Grid) -> dict[str, int | float]:
    cap = Decimal(0) if fees.cap is None else fees.cap
    digits = max(
        grid.digits + _digits(fees.rate),
        _digits(fees.minimum),
        _QUANTUM_DIGITS + _digits(cap),
        _QUANTUM_DIGITS,
    )
    _refuse_if(digits > 15, "the fee per share has too many digits")
    return {
        "fee_kind": k.PER_SHARE_FEE,
        "share_qty": _scaled(fees.rate, digits - grid.digits),
        "share_min": _scaled(fees.minimum, digits),
        "share_cap": k.UNLIMITED if fees.cap is None else _scaled(cap, digits - _QUANTUM_DIGITS),
        "share_scale": 10 ** (digits - _QUANTUM_DIGITS),
    }


def _slippage(slippage: SlippageModel, instrument: Instrument) -> dict[str, int | float]:
    match slippage:
        case NoSlippage():
            return {"slip_kind": k.NO_SLIP}
        case BpsSlippage():
            return {"slip_kind": k.BPS_SLIP, "slip_bps": slippage.bps}
        case HalfSpread():
            return {"slip_kind": k.HALF_SPREAD_SLIP, "slip_bps": slippage.spread_bps}
        case TickSlippage():
            return {"slip_kind": k.TICK_SLIP, "slip_ticks": slippage.ticks}
        case VolumeShareSlippage():
            return {
                "slip_kind": k.VOLUME_SLIP,
                "impact": slippage.impact,
                "max_share": slippage.max_share,
            }
    raise _No(f"{type(slippage).__name__}: a slippage model that the kernel does not know")


# --- matching ---------------------------------------------------------------------------------------

_WORDS: tuple[tuple[str, Mapping[Enum, int]], ...] = (
    (
        "market_at",
        {
            MarketAt.NEXT_OPEN: k.NEXT_OPEN,
            MarketAt.SAME_CLOSE: k.SAME_CLOSE,
            MarketAt.NEXT_CLOSE: k.NEXT_CLOSE,
        },
    ),
    (
        "limit_rule",
        {
            LimitRule.TOUCH: k.TOUCH,
            LimitRule.PENETRATE: k.PENETRATE,
            LimitRule.CLOSE_ONLY: k.CLOSE_ONLY,
        },
    ),
    (
        "limit_improve",
        {LimitImprove.AT_LIMIT: k.AT_LIMIT, LimitImprove.OPEN_IF_BETTER: k.OPEN_IF_BETTER},
    ),
    (
        "stop_gap",
        {
            StopGap.OPEN_IF_WORSE: k.OPEN_IF_WORSE,
            StopGap.AT_STOP: k.AT_STOP,
            StopGap.FREQTRADE_RULE: k.FREQTRADE_RULE,
            StopGap.CLOSE: k.GAP_CLOSE,
        },
    ),
    (
        "intrabar_path",
        {
            IntrabarPath.WORST_CASE: k.WORST_CASE,
            IntrabarPath.OHLC: k.OHLC,
            IntrabarPath.ADAPTIVE: k.ADAPTIVE,
            IntrabarPath.COLOUR: k.COLOUR,
        },
    ),
)
_FIELDS = {"limit_improve": "improve", "intrabar_path": "path"}


def _matching(rules: FillSettings, instrument: Instrument) -> dict[str, int | float]:
    fields: dict[str, int | float] = {}
    for name, words in _WORDS:
        value = getattr(rules, name)
        _refuse_if(value not in words, f"fill.{name}: {value.value} is the engine's")
        fields[_FIELDS.get(name, name)] = words[value]
    _refuse_if(bool(rules.settle_sessions), "cash settles later")
    penetrates = rules.limit_rule is LimitRule.PENETRATE
    return fields | {
        "beyond": rules.penetrate_ticks * float(instrument.tick_size) if penetrates else 0.0,
        "is_capped": int(rules.volume_cap is not None),
        "cap": 0.0 if rules.volume_cap is None else float(rules.volume_cap),
        "defer": int(rules.same_bar_entry_exit is SameBar.DEFER),
        "lift_before": int(rules.trail_lift is TrailLift.BEFORE_TEST),
        "lift_close": int(rules.trail_reference is TrailReference.CLOSE),
        "reject_through": int(rules.stop_through is StopThrough.REJECT),
        "clip": int(rules.clip_slippage),
    }


def _check_latency(latency: LatencyModel) -> None:
    _refuse_if(latency != NO_LATENCY, "commands take time to arrive")


# --- the strategy -----------------------------------------------------------------------------------


def _sizing(sizing: SizingSpec) -> dict[str, int | float]:
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
    raise _No(f"{type(sizing).__name__}: a size that follows from past bars")


def _behaviour(spec: StrategySpec) -> dict[str, int | float]:
    style, exits = spec.style, spec.exits
    _refuse_if(style.kind is not OrderKind.MARKET, "entries by limit order")
    _refuse_if(style.auction is not None, "orders for the auctions")
    _refuse_if(style.tif is not Tif.GTC, f"orders valid {style.tif.value}")
    _refuse_if(spec.execution.kind != "immediate", f"execution by {spec.execution.kind}")
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


def has_sessions(instrument: Instrument) -> bool:
    """Return whether the instrument's market closes."""
    return instrument.calendar != ALWAYS_OPEN
