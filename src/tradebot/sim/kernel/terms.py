"""Turn the simulated venue's settings and grids into the kernel's numbers.

Owns which models the kernel repeats: every fee model but the one in a third asset, every slippage,
every fill rule but finer bars. What it cannot repeat exactly raises `Unfit` with the reason.
"""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from enum import Enum
from typing import NamedTuple

from tradebot.core.model import Instrument
from tradebot.core.quantize import LEDGER_CONTEXT
from tradebot.sim.fees import BpsFees, FeeModel, NoFees, PerShareFees, ReceivedAssetFees
from tradebot.sim.kernel import layout as k
from tradebot.sim.settings import (
    FillSettings,
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

MOST = 2**53
_PRODUCT = 2**62
_MOST_DIGITS = 22  # 10**22 is the largest power of ten that float64 holds exactly
QUANTUM_DIGITS = 8

Fields = dict[str, int | float]


class Unfit(Exception):
    """Says why the engine must run."""


class Grid(NamedTuple):
    """Decimal digits of a quantity's unit, of the tick and of the multiplier."""

    digits: int
    price_digits: int
    mult_digits: int


def refuse_if(condition: bool, reason: str) -> None:
    """Raise Unfit for a condition that the kernel does not repeat."""
    if condition:
        raise Unfit(reason)


# --- grids ------------------------------------------------------------------------------------------


def _digits(value: Decimal) -> int:
    return max(0, -int(value.normalize().as_tuple().exponent))


def scaled(value: Decimal, digits: int) -> int:
    """Return `value` times 10**digits, which must be whole."""
    whole = LEDGER_CONTEXT.scaleb(value, digits)
    return int(whole)


def grid_of(instrument: Instrument, fees: FeeModel) -> Grid:
    """Return how fine the whole numbers of a run must be."""
    lot = _digits(instrument.lot_size)
    in_base = isinstance(fees, ReceivedAssetFees)
    grid = Grid(
        max(lot, QUANTUM_DIGITS) if in_base else lot,
        _digits(instrument.tick_size),
        _digits(instrument.multiplier),
    )
    refuse_if(grid.digits + grid.price_digits > _MOST_DIGITS, "lot and tick sizes are too fine")
    return grid


def grid_fields(instrument: Instrument, grid: Grid) -> Fields:
    """Return the grids of quantity, price and money."""
    tick, lot = scaled(instrument.tick_size, grid.price_digits), scaled(instrument.lot_size, grid.digits)
    mult = scaled(instrument.multiplier, grid.mult_digits)
    # A unit of quantity times a price step, in quanta of cash: num / den.
    power = QUANTUM_DIGITS - grid.digits - grid.price_digits - grid.mult_digits
    num, den = Decimal(tick * mult).scaleb(power).as_integer_ratio()
    refuse_if(num * den >= _PRODUCT or max(tick, lot, mult) >= MOST, "the instrument's steps are too coarse")
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
        "fee_unit": 10 ** max(0, grid.digits - QUANTUM_DIGITS),
    }


# --- costs ------------------------------------------------------------------------------------------


def _rate(bps: Decimal) -> tuple[int, int]:
    num, den = bps.scaleb(-4).as_integer_ratio()
    refuse_if(abs(num) * den >= 2**40, f"a fee rate of {bps} basis points has too many digits")
    return num, den


def cost_fields(fees: FeeModel, grid: Grid) -> Fields:
    """Return the terms of a fee model."""
    if isinstance(fees, NoFees):
        return {"fee_kind": k.NO_FEE}
    if isinstance(fees, BpsFees | ReceivedAssetFees):
        maker, taker = _rate(fees.maker), _rate(fees.taker)
        unit = 10 ** max(0, grid.digits - QUANTUM_DIGITS)
        refuse_if(abs(taker[0]) * taker[1] * unit >= _PRODUCT, "the fee's unit is too fine")
        return {
            "fee_kind": k.BPS_FEE if isinstance(fees, BpsFees) else k.RECEIVED_FEE,
            "maker_num": maker[0],
            "maker_den": maker[1],
            "taker_num": taker[0],
            "taker_den": taker[1],
        }
    if isinstance(fees, PerShareFees):
        return _per_share(fees, grid)
    raise Unfit(f"{type(fees).__name__}: the fee is paid in a third asset")


def _per_share(fees: PerShareFees, grid: Grid) -> Fields:
    cap = Decimal(0) if fees.cap is None else fees.cap
    digits = max(
        grid.digits + _digits(fees.rate),
        _digits(fees.minimum),
        QUANTUM_DIGITS + _digits(cap),
        QUANTUM_DIGITS,
    )
    refuse_if(digits > 15, "the fee per share has too many digits")
    return {
        "fee_kind": k.PER_SHARE_FEE,
        "share_qty": scaled(fees.rate, digits - grid.digits),
        "share_min": scaled(fees.minimum, digits),
        "share_cap": k.UNLIMITED if fees.cap is None else scaled(cap, digits - QUANTUM_DIGITS),
        "share_scale": 10 ** (digits - QUANTUM_DIGITS),
    }


def slippage_fields(slippage: SlippageModel, instrument: Instrument) -> Fields:
    """Return the terms of a slippage model."""
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
    raise Unfit(f"{type(slippage).__name__}: a slippage model that the kernel does not know")


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


def matching_fields(rules: FillSettings, instrument: Instrument) -> Fields:
    """Return the fill rules."""
    fields: Fields = {}
    for name, words in _WORDS:
        value = getattr(rules, name)
        refuse_if(value not in words, f"fill.{name}: {value.value} is the engine's")
        fields[_FIELDS.get(name, name)] = words[value]
    refuse_if(bool(rules.settle_sessions), "cash settles later")
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
