"""The micro-cases of who fills where: our default for each, and each alternative they name."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from tradebot.core.messages import CancelOrder, SubmitOrder, VenueFilled, VenueReport
from tradebot.core.model import (
    AccountModel,
    AssetClass,
    Bar,
    Fill,
    Instrument,
    Order,
    OrderKind,
    Purpose,
    Side,
)
from tradebot.sim.accounts import SimAccount
from tradebot.sim.fees import BpsFees, FeeModel, NoFees, PerShareFees
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
from tradebot.sim.venue import SimVenue

GOLDEN = json.loads((Path(__file__).parents[1] / "golden" / "fills.json").read_text())
X = Instrument(
    id="X",
    base="X",
    quote="USD",
    asset_class=AssetClass.CRYPTO,
    tick_size=Decimal("0.01"),
    lot_size=Decimal("0.01"),
)

# Which sides of a case a worst-case assumption decided, by order; all other fills are certain.
ASSUMED = {
    "sl-and-tp-in-one-bar-green": ["A.sl"],
    "sl-and-tp-in-one-bar-red": ["A.sl"],
    "sl-and-tp-in-one-bar-doji": ["A.sl"],
    "short-sl-and-tp-in-one-bar": ["A.sl"],
    "stop-entry-stop-loss-same-bar": ["A.sl"],
}


def scenarios() -> Iterator[Any]:
    for case in GOLDEN["cases"]:
        expected = case["recommended"]
        yield pytest.param(case, case["settings"], expected, id=case["id"])
        for other in expected.get("alternatives", ()):
            name = ",".join(f"{k}={v}" for k, v in other["settings"].items())
            yield pytest.param(
                case, {**case["settings"], **other["settings"]}, other, id=f"{case['id']}[{name}]"
            )


@pytest.mark.parametrize(("case", "settings", "expected"), list(scenarios()))
def test_case_fills_as_recorded(
    case: dict[str, Any], settings: dict[str, Any], expected: dict[str, Any]
) -> None:
    run = play(case, {**GOLDEN["defaults"], **settings})
    assert run.fills == [(f["order"], f["bar"], dec(f["price"]), dec(f["qty"])) for f in expected["fills"]]
    assert run.cash == Decimal(expected["end_cash"])
    assert run.equity == Decimal(expected["end_equity"])
    if "fees" in expected:
        assert run.fees == Decimal(expected["fees"])
        assert run.qty == Decimal(expected["end_qty"])
        assert run.assumed == ASSUMED.get(case["id"], [])


def test_every_case_and_setting_of_the_golden_file_is_played() -> None:
    assert len(GOLDEN["cases"]) == 48
    assert len(list(scenarios())) == 48 + 45


@dataclass
class Run:
    fills: list[tuple[str, int, Decimal, Decimal]] = field(default_factory=list)
    assumed: list[str] = field(default_factory=list)
    fees: Decimal = Decimal(0)
    cash: Decimal = Decimal(0)
    qty: Decimal = Decimal(0)
    equity: Decimal = Decimal(0)

    def take(self, reports: list[VenueReport]) -> None:
        for report in reports:
            if isinstance(report, VenueFilled):
                self._book(report.fill)

    def _book(self, fill: Fill) -> None:
        self.fills.append((fill.client_order_id, fill.ts, fill.price, fill.qty_signed))
        self.fees += fill.fee
        if fill.assumed:
            self.assumed.append(fill.client_order_id)


def play(case: dict[str, Any], settings: dict[str, Any]) -> Run:
    model = AccountModel.CASH if settings["account"] == "cash" else AccountModel.MARGIN
    venue = SimVenue(
        instruments={"X": X},
        accounts={"main": SimAccount(model=model, cash={"USD": dec(case["cash"])})},
        settings=fill_settings(settings),
        fees=fee_model(settings["fees"]),
    )
    run = Run()
    for index, (o, h, lo, c, v) in enumerate(case["bars"]):
        bar = Bar("X", index, 1, float(o), float(h), float(lo), float(c), float(v))
        if venue.has_work("X"):
            run.take(list(venue.on_market(bar)))
        else:
            venue.mark(bar.instrument, bar)
        for wanted in (w for w in case["orders"] if w["after"] == index):
            send(venue, wanted, index)
        run.take(venue.drain())
    if settings["close_open_positions_at_end"] == "force":
        held = venue.account("main").positions.get("X", Decimal(0))
        venue.send(SubmitOrder(order=closing("end", held, len(case["bars"]) - 1)), len(case["bars"]) - 1)
        venue.force_close("X", ForcePrice(settings.get("end.price", "last_close")))
        run.take(venue.drain())
    books = venue.account("main")
    run.cash, run.qty = books.cash["USD"], books.positions.get("X", Decimal(0))
    run.equity = run.cash + run.qty * dec(case["bars"][-1][3])
    return run


def send(venue: SimVenue, wanted: dict[str, Any], now: int) -> None:
    if "cancel" in wanted:
        venue.send(CancelOrder(client_order_id=wanted["cancel"]), now)
        return
    if wanted["type"] == "close":
        held = venue.account("main").positions.get("X", Decimal(0))
        venue.send(SubmitOrder(order=closing(wanted["id"], held, now)), now)
        return
    life = wanted.get("good_for_bars")
    entry = Order(
        client_order_id=wanted["id"],
        account="main",
        strategy="s",
        instrument="X",
        side=Side(wanted["side"]),
        kind=OrderKind(wanted["type"]),
        qty=dec(wanted["qty"]),
        ts=now,
        limit_price=maybe(wanted.get("limit")),
        stop_price=maybe(wanted.get("stop")),
        expires_at=None if life is None else now + life,
        group_id=wanted.get("oco"),
    )
    venue.send(SubmitOrder(order=entry), now)
    if "sl" in wanted:
        venue.send(SubmitOrder(order=leg(entry, "sl", OrderKind.STOP, stop_price=dec(wanted["sl"]))), now)
    if "tp" in wanted:
        venue.send(SubmitOrder(order=leg(entry, "tp", OrderKind.LIMIT, limit_price=dec(wanted["tp"]))), now)
    if "trail_pct" in wanted:
        trail = dec(wanted["trail_pct"]) / 100
        order = leg(entry, "trail", OrderKind.TRAILING_STOP, trail=trail, trail_is_fraction=True)
        venue.send(SubmitOrder(order=order), now)


def leg(entry: Order, name: str, kind: OrderKind, **terms: Any) -> Order:
    parent = entry.client_order_id
    return Order(
        client_order_id=f"{parent}.{name}",
        account="main",
        strategy="s",
        instrument="X",
        side=entry.side.opposite,
        kind=kind,
        qty=entry.qty,
        ts=entry.ts,
        purpose=Purpose.PROTECT,
        group_id=f"{parent}.exits",
        activated_by=parent,
        reduce_only=True,
        **terms,
    )


def closing(name: str, held: Decimal, now: int) -> Order:
    return Order(
        client_order_id=name,
        account="main",
        strategy="s",
        instrument="X",
        side=Side.of(-held),
        kind=OrderKind.MARKET,
        qty=abs(held),
        ts=now,
        purpose=Purpose.FLATTEN,
        reduce_only=True,
    )


def fill_settings(settings: dict[str, Any]) -> FillSettings:
    rule = re.fullmatch(r"(\w+?)(?:\((\d+)\))?", settings["fill.limit_rule"])
    assert rule is not None
    cap = settings["fill.volume_cap"]
    return FillSettings(
        market_at=MarketAt(settings["fill.market_at"]),
        limit_rule=LimitRule(rule[1]),
        penetrate_ticks=int(rule[2] or 1),
        limit_improve=LimitImprove(settings["fill.limit_improve"]),
        stop_gap=StopGap(settings["fill.stop_gap"]),
        intrabar_path=IntrabarPath(settings["fill.intrabar_path"]),
        same_bar_entry_exit=SameBar(settings["fill.same_bar_entry_exit"]),
        volume_cap=None if cap == "none" else dec(cap),
        trail_lift=TrailLift(settings["trail.lift"]),
        trail_reference=TrailReference(settings["trail.reference"]),
        stop_through=StopThrough(settings["order.stop_through"]),
    )


def fee_model(fees: dict[str, Any]) -> FeeModel:
    if fees["kind"] == "bps":
        return BpsFees(maker=dec(fees["bps"]), taker=dec(fees["bps"]))
    if fees["kind"] == "per_share":
        return PerShareFees(rate=dec(fees["rate"]), minimum=dec(fees["min"]))
    return NoFees()


def dec(value: float | str) -> Decimal:
    return Decimal(str(value))


def maybe(value: float | None) -> Decimal | None:
    return None if value is None else dec(value)
