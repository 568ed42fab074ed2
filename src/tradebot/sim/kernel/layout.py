"""Lay out what compiled code works on: one record of state and settings, five orders, one log.

The fields of `State` and `Order` are the fields of the records: the annotations below are read to
build them. Amounts are integers: cash in quanta of 1e-8, quantities in units of 10**-digits (`lot`
says how many make a lot), prices in ticks. Words are the numbered choices of enums elsewhere.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]


class Order(Protocol):
    """One working order, as `sim.working.Working`; flags are 0 or 1."""

    on: int
    kind: int
    seq: int
    side: int
    qty: int
    filled: int
    reduced: int
    role: int
    alive: int
    fresh: int
    tried: int
    takes: int
    price: int
    has_level: int
    notional: int
    fee: int
    number: int
    decided: int
    since: int
    reducing: int
    level: float
    reference: float
    must_low: float
    must_high: float


Orders = Sequence[Order]


class State(Protocol):
    """What is true so far, and the settings of the run."""

    # where the run stands
    status: int
    bailed_at: int
    now: int
    now_ts: int
    phase: int
    is_closed: int
    arrived: int
    is_ending: int
    code: int
    needs_time: int
    needs_range: int
    # money and position
    cash: int
    pos: int
    entry_qty: int
    entry_notional: int
    opened: int
    cash_f: float
    units_f: float
    mark: float
    last_mark: float
    # target and suspension
    is_live: int
    has_target: int
    weight: float
    wanted: int
    fee_qty: int
    target_bar: int
    suspended: int
    suspended_bar: int
    suspended_bars: int
    # orders
    next_seq: int
    sent: int
    busy: int
    quiet_low: float
    quiet_high: float
    lift_low: float
    lift_high: float
    # the bar being matched
    bar_open: float
    bar_high: float
    bar_low: float
    bar_close: float
    bar_volume: float
    q: float
    certain_low: float
    certain_high: float
    data_price: int
    budget_bar: int
    budget: int
    used: int
    # logs and counts
    fills: int
    events: int
    too_small: int
    weight_range: int
    no_equity: int
    session_closed: int
    # equity
    day: int
    peak: float
    day_equity: float
    max_drawdown: float
    top: float
    floor: float

    # --- settings: grids
    lot: int
    tick: int
    value_num: int
    value_den: int
    mult: int
    qty_scale: float
    price_scale: float
    units_scale: float
    entry_scale: float
    multiplier: float
    tick_f: float
    snap: float
    # costs
    fee_kind: int
    maker_num: int
    maker_den: int
    taker_num: int
    taker_den: int
    fee_unit: int
    share_qty: int
    share_min: int
    share_cap: int
    share_scale: int
    slip_kind: int
    slip_ticks: int
    slip_bps: float
    impact: float
    max_share: float
    clip: int
    # matching
    market_at: int
    limit_rule: int
    improve: int
    stop_gap: int
    path: int
    defer: int
    lift_before: int
    lift_close: int
    reject_through: int
    is_capped: int
    cap: float
    beyond: float
    end: int
    # the strategy
    sizing: int
    size_qty: float
    size_notional: float
    fraction: float
    risk: float
    risk_stop: float
    max_fraction: float
    resize: int
    band: float
    next_signal: int
    has_stop: int
    has_limit: int
    has_trail: int
    stop_loss: float
    take_profit: float
    trailing: float
    max_bars: int
    after_bars: int
    # account and limits
    is_cash_account: int
    is_shortable: int
    rest_cash: int
    min_qty: int
    min_notional: float
    max_order: float
    max_position: float
    max_gross: float
    orders_per_day: int
    orders_per_minute: int
    has_breakers: int
    is_limited: int
    max_loss_total: float
    max_loss_day: float
    # the log: a ring of order times, then fills, then events
    times_room: int
    fills_at: int
    fills_end: int
    events_at: int
    events_end: int


def _record(fields: type) -> np.dtype[Any]:
    kinds = {"int": "i8", "float": "f8"}
    return np.dtype([(name, kinds[kind]) for name, kind in fields.__annotations__.items()], align=True)


ORDER = _record(Order)
STATE = _record(State)

# --- words ------------------------------------------------------------------------------------------

# Order.kind, which is also its place in the table: a leg never has two of a kind. Towards a target
# and flattening are at market, the others protect.
TARGET, FLATTEN, STOP, LIMIT, TRAIL = 0, 1, 2, 3, 4
KINDS = 5
NOBODY = -1

# Order.role and Order.alive, as in sim.working; State.phase is one of the latter
AS_MARKET, AS_LIMIT, AS_STOP = 0, 1, 2
NOT_MATCHING, ASLEEP, OPEN, MID = -1, 0, 1, 2

NO_FEE, BPS_FEE, RECEIVED_FEE, PER_SHARE_FEE = 0, 1, 2, 3
NO_SLIP, BPS_SLIP, TICK_SLIP, HALF_SPREAD_SLIP, VOLUME_SLIP = 0, 1, 2, 3, 4
NEXT_OPEN, SAME_CLOSE, NEXT_CLOSE = 0, 1, 2
TOUCH, PENETRATE, CLOSE_ONLY = 0, 1, 2
AT_LIMIT, OPEN_IF_BETTER = 0, 1
OPEN_IF_WORSE, AT_STOP, FREQTRADE_RULE, GAP_CLOSE = 0, 1, 2, 3
WORST_CASE, OHLC, ADAPTIVE, COLOUR = 0, 1, 2, 3
FIXED_QTY, FIXED_NOTIONAL, FRACTION_OF_EQUITY, FIXED_RISK = 0, 1, 2, 3
ON_CHANGE, ALWAYS, RESIZE_BAND = 0, 1, 2
LEAVE, FORCE_CLOSE, FORCE_OPEN = 0, 1, 2
CLOSED, OPENED, OUTSIDE = 1, 2, 4  # bits per bar: closed after it; opened before it; closed all through
UNLIMITED = -1  # a limit or a number of bars that is not set
AT_ONCE = -2  # State.after_bars: a protective exit does not suspend

# State.suspended (a protective exit: the order's kind), and what the event log tells
BY_STOP, BY_LIMIT, BY_TRAIL, BY_TIME, BY_START, BY_FLATTEN = 2, 3, 4, 5, 6, 7
RELEASED_BY_SIGNAL, RELEASED_BY_BARS = 8, 9

# --- rows of the log ----------------------------------------------------------------------------------

FILL_WIDTH = 13
(F_BAR, F_NUMBER, F_KIND, F_QTY, F_PRICE, F_FEE, F_IN_BASE, F_IS_MAKER) = range(8)
(F_IS_ASSUMED, F_DECIDED, F_CASH, F_POS, F_DATA_PRICE) = range(8, 13)
EVENT_WIDTH = 2

# --- State.status: DONE, or why the engine must run -----------------------------------------------------

DONE = 0
MORE_ROOM = 1
REASONS = {
    3: "an order would be denied: minimum quantity or notional",
    4: "an order would be denied: short selling",
    5: "an order would be denied: buying power",
    6: "an order would be denied or cut: max_order, max_position or max_gross",
    7: "an order would be denied: orders per minute or day",
    8: "a loss limit would be crossed",
    9: "a protective price would not be above 0",
    10: "the venue would refuse a stop that is already through",
    11: "a fill price would not be above 0",
    12: "the account could not carry a fill",
    13: "a reduce-only order would find nothing to reduce",
    14: "a short's exit is paid in the base asset",
    15: "a number would leave the range that float64 and int64 hold exactly",
    16: "two decisions of one bar meet at its close",
    17: "a flattening order is under way while the position changed",
}
(BELOW_MINIMUM, DENIED_SHORT, NO_BUYING_POWER, OVER_LIMIT, TOO_MANY_ORDERS) = range(3, 8)
(LOSS_LIMIT, BAD_EXIT_PRICE, STOP_REJECTED, BAD_FILL_PRICE, CANNOT_CARRY, NOTHING_TO_REDUCE) = range(8, 14)
(SHORT_EXIT_IN_BASE, TOO_LARGE, CLOSE_CROSSING, FLATTEN_CROSSING) = range(14, 18)
