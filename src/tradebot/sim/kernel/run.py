"""Run the kernel over arrays and hand its log back as fills.

The first run loads the compiled code (see the package). Owns the borders: arrays in, exact Decimals
out, sessions turned into flags, logs grown when they were too short.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal
from functools import cached_property
from typing import Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from tradebot.core.model import Fill, Liquidity, OrderKind, Purpose, Side
from tradebot.errors import InvariantError
from tradebot.native import Code, Native
from tradebot.sim.kernel import layout as k
from tradebot.sim.kernel.layout import Floats, Ints
from tradebot.sim.kernel.plan import Plan, Refusal

_COLUMNS = ("ts", "open", "high", "low", "close", "volume")
_TOP = 1e300  # as the engine's: a price above it cannot be multiplied by anything
_NEVER = np.iinfo(np.int64).min
_QUANTUM = Decimal("1e-8")
_NO_INTS: Ints = np.empty(0, dtype=np.int64)
_NO_FLOATS: Floats = np.empty(0, dtype=np.float64)
_KINDS = {
    k.TARGET: (OrderKind.MARKET, Purpose.TARGET),
    k.FLATTEN: (OrderKind.MARKET, Purpose.FLATTEN),
    k.STOP: (OrderKind.STOP, Purpose.PROTECT),
    k.LIMIT: (OrderKind.LIMIT, Purpose.PROTECT),
    k.TRAIL: (OrderKind.TRAILING_STOP, Purpose.PROTECT),
}
_EVENTS = {
    k.BY_STOP: "stop_loss",
    k.BY_LIMIT: "take_profit",
    k.BY_TRAIL: "trailing_stop",
    k.BY_TIME: "time",
    k.BY_START: "standing at start",
    k.BY_FLATTEN: "flatten",
    k.RELEASED_BY_SIGNAL: "target changed",
    k.RELEASED_BY_BARS: "bars passed",
}


def _compile() -> Code:
    from tradebot.sim.kernel import entry, jit

    return jit.compiled(entry.replay, k.REPLAY)


replay = Native("replay", k.REPLAY, sources=("tradebot.sim.kernel",), compile_code=_compile)


class Columns(Protocol):
    """Bars of one series as contiguous arrays of equal length, int64 `ts` (close, ns UTC), else float64."""

    @property
    def ts(self) -> Ints: ...
    @property
    def open(self) -> Floats: ...
    @property
    def high(self) -> Floats: ...
    @property
    def low(self) -> Floats: ...
    @property
    def close(self) -> Floats: ...
    @property
    def volume(self) -> Floats: ...


class Sessions(NamedTuple):
    """Opens and closes of the instrument's calendar over the run, in ns UTC, rising; how long its bars are."""

    opens: Ints
    closes: Ints
    interval: int


class KernelFill(NamedTuple):
    """A fill with what led to it. `bar` and `decided` are rows: where it filled, where the target was set."""

    bar: int
    decided: int
    kind: OrderKind
    purpose: Purpose
    fill: Fill


class Suspension(NamedTuple):
    """A target was suspended, or released, at the close of row `bar` or inside it."""

    bar: int
    is_start: bool
    because: str


class Resting(NamedTuple):
    """An order still working at the end; `price` is the limit or stop, None at market."""

    kind: OrderKind
    purpose: Purpose
    side: Side
    qty: Decimal
    filled: Decimal
    price: Decimal | None


@dataclass(frozen=True, kw_only=True, eq=False)
class KernelRun:
    """What a run gave. Arrays first; Decimals are made when asked for.

    `equity` is the strategy's cash plus holdings at each bar's close, float64 as the engine values
    it (empty when it was not asked for); `max_drawdown` a fraction of the highest equity so far.
    `log` has a row per fill (see `layout.F_*`), amounts as whole numbers.
    """

    plan: Plan
    ts: Ints
    log: Ints
    events: Ints
    orders: NDArray[Any]
    equity: Floats
    max_drawdown: float
    cash: Decimal
    position: Decimal
    denials: dict[str, int]

    def __len__(self) -> int:
        return len(self.log)

    @cached_property
    def fills(self) -> tuple[KernelFill, ...]:
        """Fills in order, exact. Ids are numbers by order of appearance."""
        return tuple(self._fills())

    def _fills(self) -> Iterator[KernelFill]:
        instrument, unit = self.plan.instrument, self.plan.qty_unit
        stamps = self.ts[self.log[:, k.F_BAR]].tolist()
        for number, (row, ts) in enumerate(zip(self.log.tolist(), stamps, strict=True), start=1):
            kind, purpose = _KINDS[row[k.F_KIND]]
            fill = Fill(
                fill_id=f"f{number}",
                client_order_id=f"k{row[k.F_NUMBER]}",
                instrument=instrument.id,
                side=Side.BUY if row[k.F_QTY] > 0 else Side.SELL,
                qty=abs(row[k.F_QTY]) * unit,
                price=row[k.F_PRICE] * instrument.tick_size,
                ts=ts,
                fee=row[k.F_FEE] * _QUANTUM,
                fee_asset=instrument.base if row[k.F_IN_BASE] else instrument.quote,
                liquidity=Liquidity.MAKER if row[k.F_IS_MAKER] else Liquidity.TAKER,
                assumed=bool(row[k.F_IS_ASSUMED]),
                data_price=row[k.F_DATA_PRICE] * instrument.tick_size,
            )
            yield KernelFill(row[k.F_BAR], row[k.F_DECIDED], kind, purpose, fill)

    @property
    def position_after(self) -> Floats:
        """The signed quantity held after each fill, as floats."""
        held: Floats = self.log[:, k.F_POS] / float(1 / self.plan.qty_unit)
        return held

    @cached_property
    def suspensions(self) -> tuple[Suspension, ...]:
        """Suspensions and releases in order, in the engine's words."""
        return tuple(
            Suspension(bar, what < k.RELEASED_BY_SIGNAL, _EVENTS[what]) for bar, what in self.events.tolist()
        )

    @property
    def resting(self) -> tuple[Resting, ...]:
        """Orders still working at the end, by arrival."""
        unit, tick = self.plan.qty_unit, self.plan.instrument.tick_size
        found = sorted((w for w in self.orders if w["on"]), key=lambda w: int(w["seq"]))
        rows = []
        for w in found:
            kind, purpose = _KINDS[int(w["kind"])]
            rows.append(
                Resting(
                    kind,
                    purpose,
                    Side.BUY if w["side"] > 0 else Side.SELL,
                    int(w["qty"]) * unit,
                    int(w["filled"]) * unit,
                    None if kind is OrderKind.MARKET else int(w["price"]) * tick,
                )
            )
        return tuple(rows)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Prepared:
    """Bars that were checked and cut once, for any number of runs. Made by `prepare`.

    `start` rows of the targets lie before the first bar: what the strategy said while it warmed up.
    """

    start: int
    ts: Ints
    open: Floats
    high: Floats
    low: Floats
    close: Floats
    volume: Floats
    sessions: Sessions | None

    def __len__(self) -> int:
        return len(self.ts)


def prepare(bars: Columns, *, start: int = 0, sessions: Sessions | None = None) -> Prepared | Refusal:
    """Check bars from row `start` on; `sessions` is needed when the instrument's market closes.

    Bars that cannot be true, or do not rise in time, are the engine's: it says which and goes on.
    Raises InvariantError for columns that do not fit together.
    """
    columns = {name: getattr(bars, name) for name in _COLUMNS}
    if any(c.ndim != 1 or len(c) != len(bars.ts) for c in columns.values()):
        shapes = {name: c.shape for name, c in columns.items()}
        raise InvariantError(f"bars must be flat columns of one length, were {shapes}")
    cut = {name: np.ascontiguousarray(c[start:]) for name, c in columns.items()}
    if len(cut["ts"]):
        # A comparison with NaN is false, and the least of numbers with a NaN among them is NaN.
        prices = [cut[name] for name in _COLUMNS[1:5]]
        is_true = all(p.min() > 0.0 and p.max() < _TOP for p in prices)
        is_true &= bool((cut["low"] <= cut["high"]).all())
        if not (is_true and cut["volume"].min() >= 0.0 and cut["volume"].max() < _TOP):
            return Refusal(reason="a bar cannot be true (prices above 0, low <= high, volume 0 or more)")
        if len(cut["ts"]) > 1 and np.diff(cut["ts"]).min() <= 0:
            return Refusal(reason="time stamps must rise from bar to bar")
    return Prepared(start=start, sessions=sessions, **cut)


def run(plan: Plan, bars: Prepared, targets: Floats, *, equity: bool = True) -> KernelRun | Refusal:
    """Replay prepared bars; `targets` are wanted weights, one per row that was given to `prepare`.

    NaN keeps what was wanted. Raises InvariantError when there are more or fewer targets than rows.
    """
    if targets.shape != (bars.start + len(bars),):
        raise InvariantError(f"targets must be {bars.start + len(bars)} numbers, were {targets.shape}")
    said = targets[: bars.start]
    said = said[~np.isnan(said)]
    flags = _NO_INTS
    if bars.sessions is not None:
        same_close = plan.fields["market_at"] == k.SAME_CLOSE
        if same_close and np.isin(bars.ts, bars.sessions.opens).any():
            return Refusal(reason="decisions on a close at which a session opens")
        flags = _session_flags(bars.ts, bars.sessions, decides_first=same_close)
        if plan.fields["times_room"]:
            return Refusal(reason="limits on the number of orders need the moment a session opens")
    curve = np.empty(len(bars)) if equity else _NO_FLOATS
    muted = float(said[-1]) if len(said) else float("nan")
    own = np.ascontiguousarray(targets[bars.start :], dtype=np.float64)
    return _attempts(plan, bars, own, flags, muted, curve)


def _attempts(
    plan: Plan, bars: Prepared, targets: Floats, flags: Ints, muted: float, curve: Floats
) -> KernelRun | Refusal:
    columns = (bars.ts, bars.open, bars.high, bars.low, bars.close, bars.volume)
    rows = 4096
    while True:
        state, orders, log = _fresh(plan, rows)
        replay(state, orders, log, *columns, targets, flags, muted, curve)
        m = state[0]
        if m["status"] != k.MORE_ROOM:
            break
        rows *= 8
    if m["status"] != k.DONE:
        return Refusal(reason=k.REASONS[int(m["status"])], bar=int(m["bailed_at"]))
    fills = log[m["fills_at"] :][: m["fills"] * k.FILL_WIDTH].reshape(-1, k.FILL_WIDTH)
    events = log[m["events_at"] :][: m["events"] * k.EVENT_WIDTH].reshape(-1, k.EVENT_WIDTH)
    counts = {
        "too_small": int(m["too_small"]),
        "weight_range": int(m["weight_range"]),
        "no_equity": int(m["no_equity"]),
        "session_closed": int(m["session_closed"]),
    }
    return KernelRun(
        plan=plan,
        ts=bars.ts,
        log=fills.copy(),
        events=events.copy(),
        orders=orders,
        equity=curve,
        max_drawdown=float(m["max_drawdown"]),
        cash=int(m["cash"]) * _QUANTUM,
        position=int(m["pos"]) * plan.qty_unit,
        denials={rule: count for rule, count in counts.items() if count},
    )


def _fresh(plan: Plan, rows: int) -> tuple[NDArray[Any], NDArray[Any], Ints]:
    """Return a new record, an empty order table and a log for `rows` fills."""
    state, orders = np.zeros(1, k.STATE), np.zeros(k.KINDS, k.ORDER)
    m = state[0]
    for name, value in plan.fields.items():
        m[name] = value
    m["phase"] = k.NOT_MATCHING
    m["budget_bar"] = -1
    m["peak"] = -np.inf
    m["fills_at"] = m["times_room"]
    m["fills_end"] = m["events_at"] = m["fills_at"] + rows * k.FILL_WIDTH
    m["events_end"] = m["events_at"] + rows * 2 * k.EVENT_WIDTH
    orders["kind"] = np.arange(k.KINDS)
    orders["reference"] = np.nan
    return state, orders, np.empty(int(m["events_end"]), dtype=np.int64)


def _session_flags(ts: Ints, sessions: Sessions, *, decides_first: bool) -> Ints:
    """Return per bar whether the market is closed after it, opened before it, and was closed all through it.

    `decides_first`: decisions on a closing bar come before the close (`same_close`).
    """
    opened = np.searchsorted(sessions.opens, ts, side="right")
    over = np.searchsorted(sessions.closes, ts, side="left" if decides_first else "right")
    opens, closes = np.append(_NEVER, sessions.opens), np.append(_NEVER, sessions.closes)
    # Before the first session is known the engine takes the market for open.
    is_closed = (closes[over] > opens[opened]) & (over > 0)
    has_opened = np.diff(opened, prepend=0) > 0
    flags: Ints = is_closed * k.CLOSED + has_opened * k.OPENED + _outside(ts, sessions) * k.OUTSIDE
    return flags.astype(np.int64)


def _outside(ts: Ints, sessions: Sessions) -> NDArray[np.bool_]:
    """Return which bars no session has a part of (`sim.sessions.Session.has`)."""
    is_known = np.searchsorted(sessions.opens, ts, side="right") > 0
    begun = np.searchsorted(sessions.opens, ts, side="left")
    closes = np.append(_NEVER, sessions.closes)
    outside: NDArray[np.bool_] = is_known & (ts - sessions.interval >= closes[begun])
    return outside
