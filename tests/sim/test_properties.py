"""What must hold for any orders on any bars: nothing is made, lost, doubled or overdone."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from decimal import Decimal
from math import floor
from typing import Any

from hypothesis import assume, given
from hypothesis import strategies as st

from tests.sim.stage import COIN, D
from tradebot.core.messages import (
    CancelOrder,
    ReplaceOrder,
    SubmitOrder,
    VenueAcked,
    VenueCanceled,
    VenueExpired,
    VenueFilled,
    VenueRefused,
    VenueReplaced,
    VenueReport,
)
from tradebot.core.model import AccountModel, Bar, Fill, Order, OrderKind, Quote, Side, Tif
from tradebot.sim.accounts import SimAccount
from tradebot.sim.fees import BpsFees, FeeModel, NoFees, PerShareFees, ReceivedAssetFees
from tradebot.sim.latency import FixedLatency
from tradebot.sim.settings import (
    FillSettings,
    IntrabarPath,
    LimitImprove,
    LimitRule,
    MarketAt,
    SameBar,
    StopGap,
    TrailLift,
    TrailReference,
)
from tradebot.sim.venue import SimVenue

START = {"USD": D(10_000)}
ENDED = (VenueRefused, VenueCanceled, VenueExpired, VenueReplaced)

prices = st.integers(90, 110)
settings_of = st.builds(
    FillSettings,
    market_at=st.sampled_from(MarketAt),
    limit_rule=st.sampled_from(LimitRule),
    limit_improve=st.sampled_from(LimitImprove),
    stop_gap=st.sampled_from(StopGap),
    intrabar_path=st.sampled_from(IntrabarPath),
    same_bar_entry_exit=st.sampled_from(SameBar),
    volume_cap=st.sampled_from([None, None, D("0.1"), D("0.5")]),
    trail_lift=st.sampled_from(TrailLift),
    trail_reference=st.sampled_from(TrailReference),
)
fees_of = st.sampled_from(
    [
        NoFees(),
        BpsFees(maker=D("-1"), taker=D("7.5")),
        ReceivedAssetFees(maker=D(10), taker=D(10)),
        PerShareFees(rate=D("0.003"), minimum=D(1), cap=D("0.02")),
    ]
)


@st.composite
def orders(draw: st.DrawFn, members: int = 4) -> dict[str, Any]:
    """The terms of one order; `leg_of` counts back over the orders sent before it."""
    kind = draw(st.sampled_from(OrderKind))
    terms: dict[str, Any] = {
        "kind": kind,
        "side": draw(st.sampled_from(Side)),
        "qty": D(draw(st.integers(1, 20))) / 2,
        "reduce_only": draw(st.booleans()),
        "group_id": draw(st.sampled_from([None, None, "g1", "g2"])),
        "leg_of": draw(st.sampled_from([None, None, None, 1, 2])),
        "life": draw(st.sampled_from([None, None, None, 1, 3])),
    }
    if kind in (OrderKind.LIMIT, OrderKind.STOP_LIMIT):
        terms["limit_price"] = D(draw(prices))
    if kind in (OrderKind.STOP, OrderKind.STOP_LIMIT):
        terms["stop_price"] = D(draw(prices))
    if kind is OrderKind.TRAILING_STOP:
        terms["trail"] = D(draw(st.integers(1, 6)))
    if kind in (OrderKind.MARKET, OrderKind.LIMIT):
        terms["tif"] = draw(st.sampled_from([Tif.GTC, Tif.GTC, Tif.GTC, Tif.IOC, Tif.FOK]))
    return terms


@st.composite
def commands(draw: st.DrawFn) -> tuple[str, Any, int]:
    """("send", terms, 0), ("cancel", None, n-th last order) or ("replace", terms, n-th last order)."""
    what = draw(st.sampled_from(["send", "send", "send", "cancel", "replace"]))
    return what, None if what == "cancel" else draw(orders()), draw(st.integers(1, 4))


@st.composite
def bars(draw: st.DrawFn) -> tuple[float, float, float, float, float]:
    o, c = draw(prices), draw(prices)
    high = max(o, c) + draw(st.integers(0, 5))
    low = min(o, c) - draw(st.integers(0, 5))
    return float(o), float(high), float(low), float(c), float(draw(st.sampled_from([0, 7, 20, 100])))


steps = st.lists(
    st.tuples(bars(), st.lists(commands(), max_size=3), st.lists(commands(), max_size=2)), max_size=8
)


@dataclass
class Run:
    """Plays steps and keeps its own books from the fills alone."""

    venue: SimVenue
    orders: dict[str, Order] = field(default_factory=dict)
    filled: dict[str, Decimal] = field(default_factory=dict)
    reports: list[VenueReport] = field(default_factory=list)
    cash: Decimal = field(default_factory=lambda: START["USD"])
    position: Decimal = field(default_factory=Decimal)
    sent_at: dict[str, int] = field(default_factory=dict)
    bar_fills: list[Fill] = field(default_factory=list)

    def send(self, command: tuple[str, Any, int], now: int) -> None:
        what, terms, back = command
        names = list(self.orders)
        target = names[-back] if len(names) >= back else None
        if what == "cancel":
            if target is not None:
                self.venue.send(CancelOrder(client_order_id=target), now)
            return
        order = self._order(dict(terms), now, names)
        self.orders[order.client_order_id] = order
        self.sent_at[order.client_order_id] = now
        if what == "replace" and target is not None:
            self.venue.send(ReplaceOrder(client_order_id=target, order=order), now)
        else:
            self.venue.send(SubmitOrder(order=order), now)

    def _order(self, terms: dict[str, Any], now: int, names: list[str]) -> Order:
        leg_of, life = terms.pop("leg_of"), terms.pop("life")
        return Order(
            client_order_id=f"o{len(names)}",
            account="main",
            strategy="s",
            instrument="COIN",
            ts=now,
            activated_by=names[-leg_of] if leg_of and len(names) >= leg_of else None,
            expires_at=None if life is None else now + life,
            **terms,
        )

    def take(self, report: VenueReport) -> None:
        self.reports.append(report)
        if isinstance(report, VenueFilled):
            self._book(report.fill)

    def _book(self, fill: Fill) -> None:
        order = self.orders[fill.client_order_id]
        before = self.position
        self.bar_fills.append(fill)
        self.filled[order.client_order_id] = self.filled.get(order.client_order_id, D(0)) + fill.qty
        assert self.filled[order.client_order_id] <= order.qty
        if order.limit_price is not None:
            worse = fill.price - order.limit_price
            assert worse * order.side.sign <= 0, f"limit {order.limit_price} filled at {fill.price}"
        self.cash -= fill.qty_signed * fill.price
        self.position += fill.qty_signed
        if order.reduce_only:
            assert abs(self.position) <= abs(before) and self.position * before >= 0
        if fill.fee_asset == "COIN":
            self.position -= fill.fee
        else:
            self.cash -= fill.fee


def play(
    script: list[Any], settings: FillSettings, fees: FeeModel, model: AccountModel, latency: int = 0
) -> Iterator[tuple[Run, Bar]]:
    """Yield after each bar: commands after its close, and reactions to its fills inside it."""
    venue = SimVenue(
        instruments={"COIN": COIN},
        accounts={"main": SimAccount(model=model, cash=START)},
        settings=settings,
        fees=fees,
        latency=FixedLatency(submit=latency, cancel=latency, replace=latency),
    )
    run = Run(venue)
    for index, (shape, after, inside) in enumerate(script):
        bar = Bar("COIN", index + 1, 1, *shape)
        reactions = list(inside)
        run.bar_fills = []
        for report in venue.on_market(bar):
            run.take(report)
            if isinstance(report, VenueFilled) and reactions:
                run.send(reactions.pop(), bar.ts)
        yield run, bar
        for command in after:
            run.send(command, bar.ts)
        for report in venue.drain():
            run.take(report)


@given(
    script=steps,
    settings=settings_of,
    fees=fees_of,
    model=st.sampled_from(AccountModel),
    latency=st.integers(0, 1),
)
def test_books_balance_and_no_order_overfills(
    script: list[Any], settings: FillSettings, fees: FeeModel, model: AccountModel, latency: int
) -> None:
    for run, _ in play(script, settings, fees, model, latency):
        view = run.venue.account("main")
        assert view.cash["USD"] == run.cash
        assert view.positions.get("COIN", D(0)) == run.position
        if model is AccountModel.CASH:
            assert run.cash >= 0 and run.position >= 0


@given(script=steps, settings=settings_of)
def test_every_order_is_answered_once_and_ends_once(script: list[Any], settings: FillSettings) -> None:
    for run, _ in play(script, settings, NoFees(), AccountModel.MARGIN):
        working = {o.client_order_id for o in run.venue.working("COIN")}
        answered: dict[str, str] = {}
        ended: dict[str, str] = {}
        for report in run.reports:
            name = report.fill.client_order_id if isinstance(report, VenueFilled) else report.client_order_id
            if isinstance(report, VenueAcked):
                assert name not in answered
                answered[name] = "acked"
            elif isinstance(report, VenueFilled):
                assert answered[name] == "acked" and name not in ended, "filled after its end"
            elif isinstance(report, ENDED):
                assert name not in ended
                ended[name] = type(report).__name__
        for name, order in run.orders.items():
            is_filled = run.filled.get(name, D(0)) == order.qty
            known = name in answered or name in ended
            assert not known or (name in working) is not (is_filled or name in ended), name


@given(script=steps, settings=settings_of)
def test_volume_cap_is_shared_and_prices_lie_inside_the_bar(
    script: list[Any], settings: FillSettings
) -> None:
    honest = settings.limit_improve is LimitImprove.OPEN_IF_BETTER and settings.stop_gap in (
        StopGap.OPEN_IF_WORSE,
        StopGap.CLOSE,
    )
    for run, bar in play(script, settings, NoFees(), AccountModel.MARGIN):
        if settings.volume_cap is not None:
            assert sum(f.qty for f in run.bar_fills) <= settings.volume_cap * floor(bar.volume)
        if honest and settings.market_at is not MarketAt.SAME_CLOSE:
            assert all(bar.low <= f.price <= bar.high for f in run.bar_fills)


@given(script=steps, settings=settings_of)
def test_one_cancels_other_orders_trade_no_more_than_the_largest_of_them(
    script: list[Any], settings: FillSettings
) -> None:
    """Members that join a group after something of it traded are new orders, so only full sets count.

    Under same_close a market order trades as it arrives, before its siblings have joined.
    """
    assume(settings.market_at is not MarketAt.SAME_CLOSE)
    for run, _ in play([(s, a, []) for s, a, _ in script], settings, NoFees(), AccountModel.MARGIN):
        for group in ("g1", "g2"):
            joined = [o for o in run.orders.values() if o.group_id == group]
            if len({run.sent_at[o.client_order_id] for o in joined}) == 1:
                traded = sum((run.filled.get(o.client_order_id, D(0)) for o in joined), D(0))
                assert traded <= max(o.qty for o in joined)


@given(script=steps, settings=settings_of, latency=st.integers(0, 2))
def test_an_order_meets_no_price_from_before_it_arrived(
    script: list[Any], settings: FillSettings, latency: int
) -> None:
    """Bars are one ns long, so what arrives at t meets the bar that ends at t + 1 (same close: t)."""
    after_closes = [(shape, after, []) for shape, after, _ in script]
    wait = latency if settings.market_at is MarketAt.SAME_CLOSE else latency + 1
    for run, bar in play(after_closes, settings, NoFees(), AccountModel.MARGIN, latency):
        for fill in run.bar_fills:
            assert fill.ts == bar.ts >= run.sent_at[fill.client_order_id] + wait


@given(script=steps, settings=settings_of, fees=fees_of)
def test_same_commands_and_bars_give_the_same_reports(
    script: list[Any], settings: FillSettings, fees: FeeModel
) -> None:
    first, second = (
        [list(run.reports) for run, _ in play(script, settings, fees, AccountModel.MARGIN)] for _ in "12"
    )
    assert first == second


@given(script=steps)
def test_worst_case_leaves_a_bracket_no_richer_than_any_known_path(script: list[Any]) -> None:
    """Long one unit with stop and target from the open: no path of the same bars sells it lower."""
    sold: dict[IntrabarPath, list[Decimal]] = {}
    for path in (IntrabarPath.WORST_CASE, IntrabarPath.OHLC, IntrabarPath.ADAPTIVE, IntrabarPath.COLOUR):
        venue = SimVenue(
            instruments={"COIN": COIN},
            accounts={"main": SimAccount(model=AccountModel.MARGIN, cash=START)},
            settings=FillSettings(intrabar_path=path),
        )
        base = {"account": "main", "strategy": "s", "instrument": "COIN", "qty": D(1), "ts": 0}
        exits = {"side": Side.SELL, "activated_by": "in", "group_id": "g", "reduce_only": True, **base}
        for order in (
            Order(client_order_id="in", side=Side.BUY, kind=OrderKind.MARKET, **base),
            Order(client_order_id="sl", kind=OrderKind.STOP, stop_price=D(95), **exits),
            Order(client_order_id="tp", kind=OrderKind.LIMIT, limit_price=D(105), **exits),
        ):
            venue.send(SubmitOrder(order=order), 0)
        seen: list[VenueReport] = []
        for index, (shape, _, _) in enumerate(script):
            seen += venue.on_market(Bar("COIN", index + 1, 1, *shape))
        sold[path] = [r.fill.price for r in seen if isinstance(r, VenueFilled) and r.fill.side is Side.SELL]
    worst = sold.pop(IntrabarPath.WORST_CASE)
    assert len(worst) <= 1
    for found in sold.values():
        assert (worst and found and worst[0] <= found[0]) or worst == found


quotes = st.tuples(prices, st.integers(0, 3), st.integers(0, 8), st.integers(0, 8))


@given(
    script=st.lists(st.tuples(quotes, st.lists(commands(), max_size=3)), max_size=8),
    fees=fees_of,
    model=st.sampled_from(AccountModel),
)
def test_quotes_fill_no_more_than_they_show_and_books_balance(
    script: list[Any], fees: FeeModel, model: AccountModel
) -> None:
    venue = SimVenue(
        instruments={"COIN": COIN}, accounts={"main": SimAccount(model=model, cash=START)}, fees=fees
    )
    run = Run(venue)
    for index, ((bid, spread, bid_qty, ask_qty), after) in enumerate(script):
        run.bar_fills = []
        for report in venue.on_market(
            Quote("COIN", index + 1, float(bid), float(bid_qty), float(bid + spread), float(ask_qty))
        ):
            run.take(report)
        for side, shown in ((Side.BUY, ask_qty), (Side.SELL, bid_qty)):
            assert sum(f.qty for f in run.bar_fills if f.side is side) <= shown
        for command in after:
            run.send(command, index + 1)
        for report in venue.drain():
            run.take(report)
        assert venue.account("main").cash["USD"] == run.cash
        assert venue.account("main").positions.get("COIN", D(0)) == run.position
