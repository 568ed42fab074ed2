"""Say at which price a protective exit gets out.

Owns the arithmetic of levels, for exits that rest at the venue (`guard`) and for those that the
engine keeps (`lookout`). Levels are measured from the average entry price without fees, a trailing
one from the best price since, and lie on the venue's grid, never earlier than declared.
"""

from __future__ import annotations

from decimal import Decimal

from tradebot.core.model import ExitRules, Side
from tradebot.core.quantize import price_for, stop_price_for


def stop_of(exits: ExitRules, out: Side, entry: float, tick: Decimal) -> Decimal | None:
    """Return the stop's level; `out` is the side that closes the position. None: not declared."""
    if exits.stop_loss is None:
        return None
    return stop_price_for(out, entry * (1.0 + out.sign * exits.stop_loss), tick)


def target_of(exits: ExitRules, out: Side, entry: float, tick: Decimal) -> Decimal | None:
    """Return the level at which a gain is taken. None: not declared."""
    if exits.take_profit is None:
        return None
    return price_for(out, entry * (1.0 - out.sign * exits.take_profit), tick)


def trail_of(exits: ExitRules, out: Side, best: float, tick: Decimal) -> Decimal | None:
    """Return the level that a trailing stop has come to. None: not declared."""
    if exits.trailing is None:
        return None
    return stop_price_for(out, best * (1.0 + out.sign * exits.trailing), tick)
