"""Generate cases for both speeds: bars, targets, instrument, account, rules; and run them on each."""

from __future__ import annotations

import random
from dataclasses import dataclass, replace
from decimal import Decimal

import numpy as np

from tradebot.core import facts as f
from tradebot.core.engine import Engine
from tradebot.core.facts import Recorded
from tradebot.core.messages import End, SessionClose, SessionOpen, SetHalt, Slice, Start
from tradebot.core.model import (
    HOUR,
    MINUTE,
    SECOND,
    AccountModel,
    AssetClass,
    Bar,
    ExitRules,
    Instrument,
)
from tradebot.core.scope import HaltLevel
from tradebot.core.setup import AccountSpec, FirstEntry, Limits, Resize, Setup, StrategySpec
from tradebot.core.sizing import FixedNotional, FixedQty, FixedRisk, FractionOfEquity, SizingSpec
from tradebot.core.strategy import BarStrategy, Context, Target
from tradebot.sim.accounts import SimAccount
from tradebot.sim.fees import BpsFees, FeeModel, NoFees, PerShareFees, ReceivedAssetFees, ThirdAssetFees
from tradebot.sim.kernel.plan import Plan, Refusal, Venue, plan
from tradebot.sim.replay import Replay
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
from tradebot.sim.slippage import BpsSlippage, HalfSpread, NoSlippage, TickSlippage, VolumeShareSlippage
from tradebot.sim.venue import SimVenue

D = Decimal
EPOCH = 1_700_000_040 * SECOND  # a full minute, some hours before midnight UTC
NAN = float("nan")


@dataclass(frozen=True, slots=True, kw_only=True)
class Bars:
    """Columns of one series."""

    ts: np.ndarray
    open: np.ndarray
    high: np.ndarray
    low: np.ndarray
    close: np.ndarray
    volume: np.ndarray


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One case, complete: its repr is enough to see what it is about."""

    seed: str
    instrument: Instrument
    model: AccountModel
    cash: Decimal
    capital: Decimal
    sizing: SizingSpec
    exits: ExitRules
    resize: Resize
    band: float
    first_entry: FirstEntry
    limits: Limits
    fills: FillSettings
    fees: FeeModel
    slippage: NoSlippage | BpsSlippage | TickSlippage | HalfSpread | VolumeShareSlippage
    close_at_end: ForcePrice | None
    warm_up: int
    interval: int
    bars: Bars
    targets: np.ndarray
    sessions: tuple[SessionOpen | SessionClose, ...]


class Precomputed(BarStrategy):
    """Says what an array says, bar after bar."""

    def __init__(self, targets: np.ndarray) -> None:
        super().__init__(None)
        self.targets = targets.tolist()
        self.next = 0

    def on_bar(self, ctx: Context, bar: Bar) -> Target | None:
        weight = self.targets[self.next]
        self.next += 1
        return None if weight != weight else Target(bar.instrument, weight)


# --- generating -------------------------------------------------------------------------------------


def make_case(seed: str, bars: int | None = None) -> Case:
    """Return the case of a seed. Most settings are the defaults most of the time."""
    rng = random.Random(seed)
    tick = rng.choice([D("0.01")] * 5 + [D("1e-6"), D("0.0001"), D("0.05"), D("0.5")])
    lot = rng.choice([D(1)] * 3 + [D("0.1"), D("0.001"), D("1e-4"), D("1e-6"), D(5)])
    calendar = "XNYS" if rng.random() < 0.1 else "24/7"
    instrument = Instrument(
        id="X",
        base="X",
        quote="USD",
        asset_class=AssetClass.CRYPTO,
        tick_size=tick,
        lot_size=lot,
        min_notional=D(10) if rng.random() < 0.03 else D(0),
        min_qty=2 * lot if rng.random() < 0.03 else D(0),
        multiplier=D(10) if rng.random() < 0.05 else D(1),
        shortable=rng.random() > 0.03,
        calendar=calendar,
    )
    n = bars or rng.choice([12, 40, 40, 120, 400])
    interval = rng.choice([MINUTE, MINUTE, HOUR])
    level = rng.choice([1.0, 20.0, 100.0, 100.0, 3000.0]) if tick < D("0.05") else rng.choice([100.0, 3000.0])
    columns = make_bars(rng, n, interval, float(tick), level)
    cash_model = rng.random() < 0.15
    long_only = cash_model or rng.random() < 0.35
    sizing = _sizing(rng, level, float(lot), cash_model)
    fees = _fees(rng, long_only)
    case = Case(
        seed=seed,
        instrument=instrument,
        model=AccountModel.CASH if cash_model else AccountModel.MARGIN,
        cash=rng.choice([D(100_000), D("12345.67"), D(1_000_000)]),
        capital=rng.choice([D(1), D(1), D("0.5"), D("0.333")]),
        sizing=sizing,
        exits=_exits(rng),
        resize=rng.choice([Resize.ON_CHANGE] * 6 + [Resize.ALWAYS, Resize.BAND]),
        band=0.05,
        first_entry=rng.choice([FirstEntry.AT_ONCE, FirstEntry.AT_ONCE, FirstEntry.NEXT_SIGNAL]),
        limits=_limits(rng) if rng.random() < 0.08 else Limits(),
        fills=_settings(rng),
        fees=fees,
        slippage=rng.choice(
            [NoSlippage()] * 4
            + [
                BpsSlippage(bps=rng.choice([1.0, 7.5, 50.0])),
                TickSlippage(ticks=rng.choice([1, 3])),
                HalfSpread(spread_bps=12.0),
                VolumeShareSlippage(),
            ]
        ),
        close_at_end=rng.choice([None, None, None, ForcePrice.LAST_CLOSE, ForcePrice.LAST_OPEN])
        if calendar == "24/7"
        else None,
        warm_up=rng.choice([0, 0, 3, 10]),
        interval=interval,
        bars=columns,
        targets=make_targets(rng, n, long_only),
        sessions=(),
    )
    return replace(case, sessions=make_sessions(rng, case)) if calendar != "24/7" else case


def make_bars(rng: random.Random, n: int, interval: int, tick: float, level: float) -> Bars:
    """Return a walk on the tick grid with gaps, spikes, ties, still bars and bars without volume."""
    step = max(1.0, level / tick * rng.choice([0.0005, 0.002, 0.01]))
    close = max(4, round(level / tick))
    rows = []
    for _ in range(n):
        shock = rng.gauss(0, step)
        opened = close + (
            round(rng.gauss(0, step * 4)) if rng.random() < 0.08 else rng.choice([0, 0, 0, 1, -1])
        )
        if rng.random() < 0.02:
            shock *= 12
        close = opened + (0 if rng.random() < 0.1 else round(shock))
        spread = abs(round(rng.gauss(0, step))) if rng.random() > 0.1 else 0
        high, low = max(opened, close) + spread, min(opened, close) - abs(round(rng.gauss(0, step)))
        if rng.random() < 0.02:
            high += round(step * 10)
        opened, high, low, close = (max(2, v) for v in (opened, high, low, close))
        rows.append((opened, max(high, low), min(low, high), close))
    grid = np.array(rows, dtype=np.float64)
    # Dividing by the reciprocal gives the float nearest to the decimal price, as a reader would.
    prices = grid / round(1 / tick) if tick < 1 else grid * tick
    if rng.random() < 0.1:
        prices = prices * (1.0 + rng.choice([1e-7, 1e-3]) * rng.random())  # a feed that is off the grid
        prices[:, 1] = prices.max(axis=1)
        prices[:, 2] = prices.min(axis=1)
    ts = EPOCH + interval * np.cumsum([1 if rng.random() > 0.03 else rng.randint(2, 30) for _ in range(n)])
    volume = [0.0 if rng.random() < 0.08 else round(rng.lognormvariate(3.0, 1.5), 3) for _ in range(n)]
    return Bars(
        ts=ts.astype(np.int64),
        open=np.ascontiguousarray(prices[:, 0]),
        high=np.ascontiguousarray(prices[:, 1]),
        low=np.ascontiguousarray(prices[:, 2]),
        close=np.ascontiguousarray(prices[:, 3]),
        volume=np.array(volume),
    )


def make_targets(rng: random.Random, n: int, long_only: bool) -> np.ndarray:
    """Return weights that stand for a while, flip, rest (NaN) or repeat on every bar."""
    weights = [1.0, 1.0, 0.0, 0.5, 0.25] if long_only else [1.0, -1.0, 0.0, 0.5, -0.3]
    repeats = rng.random() < 0.6
    targets, weight = [], NAN
    pace = rng.choice([0.08, 0.2, 0.5])
    for _ in range(n):
        changed = rng.random() < pace
        if changed:
            weight = rng.choice(weights)
        targets.append(weight if changed or repeats else NAN)
    return np.array(targets, dtype=np.float64)


def _sizing(rng: random.Random, level: float, lot: float, cash_model: bool) -> SizingSpec:
    bound = 0.5 if cash_model else 0.95
    return rng.choice(
        [
            FixedQty(qty=max(lot, round(rng.uniform(1, 60), 2))),
            FixedQty(qty=max(lot, 10.0)),
            FixedNotional(notional=rng.choice([1000.0, 4321.5])),
            FractionOfEquity(fraction=rng.choice([0.1, bound])),
            FractionOfEquity(fraction=bound),
            FixedRisk(risk=0.01, stop=0.02, max_fraction=bound),
        ]
    )


def _exits(rng: random.Random) -> ExitRules:
    def maybe(share: float, values: list[float]) -> float | None:
        return rng.choice(values) if rng.random() < share else None

    return ExitRules(
        stop_loss=maybe(0.45, [0.001, 0.005, 0.02, 0.08]),
        take_profit=maybe(0.4, [0.001, 0.005, 0.03]),
        trailing=maybe(0.35, [0.002, 0.01, 0.05]),
        max_bars=rng.choice([1, 3, 10]) if rng.random() < 0.2 else None,
        after_exit=rng.choice(["next_signal", "next_signal", "at_once", 1, 3]),
    )


def _fees(rng: random.Random, long_only: bool) -> FeeModel:
    bps = BpsFees(maker=rng.choice([D(2), D("-0.5"), D(0)]), taker=rng.choice([D(10), D("4.5"), D("0.25")]))
    in_base = ReceivedAssetFees(maker=D(10), taker=rng.choice([D(10), D("7.5")]))
    return rng.choice(
        [
            NoFees(),
            bps,
            bps,
            PerShareFees(rate=D("0.005"), minimum=D(1), cap=rng.choice([None, D("0.01"), D("0.005")])),
            in_base if long_only or rng.random() < 0.3 else bps,
            ThirdAssetFees(maker=D(1), taker=D(2), asset="BNB", per_quote=D("0.01"))
            if rng.random() < 0.2
            else bps,
        ]
    )


def _limits(rng: random.Random) -> Limits:
    return Limits(
        max_order=rng.choice([None, 5_000.0, 80_000.0]),
        max_position=rng.choice([None, 90_000.0]),
        max_gross=rng.choice([None, 120_000.0]),
        max_drawdown=rng.choice([None, 0.05, 0.3]),
        max_daily_loss=rng.choice([None, 0.02, 0.2]),
        max_orders_per_day=rng.choice([None, 5, 50]),
        max_orders_per_minute=rng.choice([None, 3]),
    )


def _settings(rng: random.Random) -> FillSettings:
    def usually(default: object, *others: object) -> object:
        return default if rng.random() < 0.85 else rng.choice(others)

    return FillSettings(
        market_at=usually(MarketAt.NEXT_OPEN, MarketAt.SAME_CLOSE, MarketAt.NEXT_CLOSE),
        limit_rule=usually(LimitRule.TOUCH, LimitRule.PENETRATE, LimitRule.CLOSE_ONLY),
        limit_improve=usually(LimitImprove.OPEN_IF_BETTER, LimitImprove.AT_LIMIT),
        stop_gap=usually(StopGap.OPEN_IF_WORSE, StopGap.AT_STOP, StopGap.FREQTRADE_RULE, StopGap.CLOSE),
        intrabar_path=usually(
            IntrabarPath.WORST_CASE, IntrabarPath.OHLC, IntrabarPath.ADAPTIVE, IntrabarPath.COLOUR
        ),
        same_bar_entry_exit=usually(SameBar.ALLOW, SameBar.DEFER),
        volume_cap=rng.choice([D("0.1"), D("0.02"), D("0.5")]) if rng.random() < 0.3 else None,
        trail_lift=usually(TrailLift.AFTER_TEST, TrailLift.BEFORE_TEST),
        trail_reference=usually(TrailReference.HIGH_LOW, TrailReference.CLOSE),
        stop_through=usually(StopThrough.TRIGGER_AT_ONCE, StopThrough.REJECT),
        clip_slippage=rng.random() < 0.1,
    )


def make_sessions(rng: random.Random, case: Case) -> tuple[SessionOpen | SessionClose, ...]:
    """Return sessions around runs of bars, sometimes with bars left outside."""
    events: list[SessionOpen | SessionClose] = []
    i, ts, step = 0, case.bars.ts.tolist(), case.interval
    outside = rng.choice([0.01, 0.5])
    while i < len(ts):
        last = min(len(ts) - 1, i + rng.randint(2, 25))
        closes = ts[last]
        events.append(SessionOpen(ts=ts[i] - step + SECOND, calendar="XNYS", closes_at=closes))
        following = ts[last + 1] - step + SECOND if last + 1 < len(ts) else None
        events.append(SessionClose(ts=closes, calendar="XNYS", opens_at=following))
        i = last + 1 + (rng.randint(1, 4) if rng.random() < outside else 0)
    return tuple(events)


# --- running ----------------------------------------------------------------------------------------


def setup_of(case: Case) -> Setup:
    """Return the engine's description of a case."""
    spec = StrategySpec(
        id="s",
        account="main",
        instruments=("X",),
        interval=case.interval,
        deciders={"X": Precomputed(case.targets)},
        sizing=case.sizing,
        capital=case.capital,
        exits=case.exits,
        resize=case.resize,
        band=case.band,
        first_entry=case.first_entry,
    )
    account = AccountSpec(
        name="main", model=case.model, base_currency="USD", cash={"USD": case.cash}, limits=case.limits
    )
    return Setup(instruments={"X": case.instrument}, accounts=(account,), strategies=(spec,), quanta={})


def venue_of(case: Case) -> Venue:
    """Return the simulated venue's settings of a case."""
    return Venue(settings=case.fills, fees=case.fees, slippage=case.slippage)


def plan_of(case: Case) -> Plan | Refusal:
    """Return the kernel's plan of a case."""
    return plan(setup_of(case), "s", venue_of(case), close_at_end=case.close_at_end)


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What both speeds must agree on, exactly."""

    fills: list[tuple[object, ...]]
    suspensions: list[tuple[int, bool, str]]
    cash: Decimal
    position: Decimal
    equity: list[float]
    denials: dict[str, int]
    resting: list[tuple[object, ...]]


class _Listener:
    def __init__(self, case: Case, engine: Engine) -> None:
        rows = case.bars.ts[case.warm_up :].tolist()
        self.rows = {ts: i for i, ts in enumerate(rows)}
        self.engine = engine
        self.fills: list[tuple[object, ...]] = []
        self.suspensions: list[tuple[int, bool, str]] = []
        self.denials: dict[str, int] = {}
        self.refused = ""

    def __call__(self, recorded: Recorded) -> None:
        fact, ledger = recorded.fact, self.engine.ledger
        match fact:
            case f.OrderFilled(fill=fill):
                order = ledger.orders[fill.client_order_id].order
                self.fills.append(
                    (
                        self.rows[fill.ts],
                        order.kind,
                        order.purpose,
                        fill.qty_signed,
                        fill.price,
                        fill.fee,
                        fill.fee_asset,
                        fill.liquidity,
                        fill.assumed,
                        fill.data_price,
                    )
                )
            case f.TargetSuspended():
                self.suspensions.append((self.rows[fact.ts], True, fact.because))
            case f.TargetReleased():
                self.suspensions.append((self.rows[fact.ts], False, fact.because))
            case f.Skipped():
                self.denials[fact.rule] = self.denials.get(fact.rule, 0) + 1
            case f.SkipEnded():
                self.denials[fact.rule] = self.denials.get(fact.rule, 0) + fact.repeats
            case f.OrderDenied() | f.OrderRejected() | f.HaltSet() | f.OrderShrunk():
                if not (isinstance(fact, f.HaltSet) and fact.rule == "owner"):
                    self.refused = self.refused or f"{type(fact).__name__} {fact}"
            case _:
                pass


def run_engine(case: Case) -> tuple[Outcome, str]:
    """Run a case on the reference; also returns the first refusal that the engine met."""
    setup = setup_of(case)
    engine = Engine(setup)
    config = SimAccount(model=case.model, cash={"USD": case.cash})
    venue = SimVenue(
        instruments={"X": case.instrument},
        accounts={"main": config},
        settings=case.fills,
        fees=case.fees,
        slippage=case.slippage,
    )
    listener = _Listener(case, engine)
    replay = Replay(
        engine,
        venue,
        events=case.sessions,
        on_fact=listener,
        close_first=case.fills.market_at is not MarketAt.SAME_CLOSE,
    )
    begin = EPOCH - HOUR
    replay.tell(Start(ts=begin, run_id="r", epoch=1, config_digest="", code_digest=""), begin)
    b = case.bars
    rows = zip(*(a.tolist() for a in (b.ts, b.open, b.high, b.low, b.close, b.volume)), strict=True)
    slices = [Slice(ts, (Bar("X", ts, case.interval, o, h, lo, c, v),)) for ts, o, h, lo, c, v in rows]
    engine.warm_up(slices[: case.warm_up])
    curve: list[float] = []

    def value(_: int) -> None:
        sub, price = engine.ledger.subs["s"], engine.marks["X"]
        held = sub.qty("X") * case.instrument.multiplier
        curve.append(float(sub.cash["USD"]) + float(held) * price)

    replay.run(slices[case.warm_up :], value)
    last = int(b.ts[-1])
    if case.close_at_end is not None:
        replay.tell(SetHalt(ts=last, level=HaltLevel.FLATTEN, reason="end of data"), last)
        if case.sessions:
            replay.tell(SessionOpen(ts=last, calendar="XNYS", closes_at=last), last)
        replay.finish(last)
        venue.force_close("X", case.close_at_end)
        replay.finish(last)
        del curve[-1:]
        value(last)
    replay.tell(End(ts=last, reason="end"), last)
    engine.ledger.check()
    sub = engine.ledger.subs["s"]
    resting = [
        (r.order.kind, r.order.purpose, r.order.side, r.order.qty, r.filled_qty)
        for r in engine.ledger.open_orders(("s", "X"))
    ]
    outcome = Outcome(
        fills=listener.fills,
        suspensions=listener.suspensions,
        cash=sub.cash["USD"],
        position=sub.qty("X"),
        equity=curve,
        denials=listener.denials,
        resting=sorted(resting, key=str),
    )
    return outcome, listener.refused


def run_kernel(case: Case) -> Outcome | Refusal:
    """Run a case on the kernel."""
    from tradebot.sim.kernel.run import Sessions, prepare, run

    made = plan_of(case)
    if isinstance(made, Refusal):
        return made
    sessions = None
    if case.sessions:
        sessions = Sessions(
            np.array([e.ts for e in case.sessions if isinstance(e, SessionOpen)], dtype=np.int64),
            np.array([e.ts for e in case.sessions if isinstance(e, SessionClose)], dtype=np.int64),
            case.interval,
        )
    bars = prepare(case.bars, start=case.warm_up, sessions=sessions)
    result = bars if isinstance(bars, Refusal) else run(made, bars, case.targets)
    if isinstance(result, Refusal):
        return result
    fills: list[tuple[object, ...]] = [
        (
            x.bar,
            x.kind,
            x.purpose,
            x.fill.qty_signed,
            x.fill.price,
            x.fill.fee,
            x.fill.fee_asset or "USD",
            x.fill.liquidity,
            x.fill.assumed,
            x.fill.data_price,
        )
        for x in result.fills
    ]
    return Outcome(
        fills=fills,
        suspensions=[tuple(s) for s in result.suspensions],
        cash=result.cash,
        position=result.position,
        equity=result.equity.tolist(),
        denials=result.denials,
        resting=sorted(((r.kind, r.purpose, r.side, r.qty, r.filled) for r in result.resting), key=str),
    )
