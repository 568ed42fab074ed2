"""What each line of the comparison with a venue means, and what it asks to be booked."""

from __future__ import annotations

from decimal import Decimal

import pytest

from tests.core.world import COIN, D, Script, World, spec
from tradebot.core import facts as f
from tradebot.core import messages as m
from tradebot.core.model import Fill, Order
from tradebot.core.orders import OrderRecord, Status
from tradebot.core.ports import Standing, VenueOrder, VenueSnapshot
from tradebot.core.reconcile import Finding, Question, Verdict, compare_holdings, compare_orders
from tradebot.sim.latency import FixedLatency

NEVER = FixedLatency(submit=10**18, cancel=10**18)


class Case:
    """An engine with one order on its way, to a venue that says what a test says."""

    def __init__(self, qty: float = 10.0) -> None:
        self.world = World(spec(Script(1.0), qty=qty), latency=NEVER, checks_rest=False).bars((100,))
        (self.order,) = (x.order for x in self.world.of(f.OrderIntended))
        self.trades: list[Fill] = []

    @property
    def record(self) -> OrderRecord:
        return self.world.ledger.orders[self.order.client_order_id]

    def acked(self) -> Case:
        order_id = self.order.client_order_id
        self.world.tell(m.VenueAcked(ts=self.world.now, client_order_id=order_id, venue_order_id="v"))
        return self

    def traded(self, qty: str, price: str = "100", ts: int | None = None) -> Case:
        """A trade at the venue that is heard of at once."""
        fill = self.trade(qty, price, ts)
        self.world.tell(m.VenueFilled(ts=fill.ts, fill=fill))
        return self

    def trade(self, qty: str, price: str = "100", ts: int | None = None) -> Fill:
        """A trade that only the venue knows of."""
        order = self.order
        fill = Fill(
            fill_id=f"f{len(self.trades)}",
            client_order_id=order.client_order_id,
            instrument=order.instrument,
            side=order.side,
            qty=D(qty),
            price=D(price),
            ts=self.world.engine.now if ts is None else ts,
        )
        self.trades.append(fill)
        return fill

    def compared(
        self, standing: Standing, filled: str, *, is_told: bool = False, is_back: bool = False
    ) -> list[Finding]:
        """What is found when the venue says this of the order; what it asks for is booked."""
        theirs = _listed(self.order, standing, D(filled))
        is_working = standing is Standing.WORKING
        question = Question(
            ledger=self.world.ledger,
            snapshot=VenueSnapshot(
                ts=self.world.now,
                orders=(theirs,) if is_working else (),
                positions={},
                cash={},
                fills=tuple(self.trades),
                events=(),
                cursor=1,
            ),
            account="main",
            instance="tb",
            instruments={"COIN": COIN},
            found={} if is_working else {self.order.client_order_id: theirs},
            may_judge=lambda order_id: True,
            absence_is_proof=False,
            is_told=lambda order_id: is_told,
            is_back=lambda order_id: is_back,
        )
        found = [x for x in compare_orders(question) if x.what == self.order.client_order_id]
        for finding in found:
            for message in finding.inputs:
                self.world.tell(message)
        return found


def _listed(order: Order, standing: Standing, filled: Decimal) -> VenueOrder:
    return VenueOrder(
        client_order_id=order.client_order_id,
        venue_order_id="v",
        instrument=order.instrument,
        side=order.side,
        kind=order.kind,
        qty=order.qty,
        filled_qty=filled,
        standing=standing,
    )


def _split(case: Case, ratio: str) -> None:
    case.world.tell(m.Split(ts=case.world.now + 1, instrument="COIN", ratio=D(ratio)))


# --- filled there, not here -----------------------------------------------------------------------


def test_an_order_that_the_venue_filled_stays_unknown_until_its_trades_are_shown() -> None:
    case = Case().acked()
    for is_told in (False, True):
        (finding,) = case.compared(Standing.FILLED, "10", is_told=is_told)
        assert (finding.verdict, finding.inputs) == (Verdict.UNKNOWN, ())
    case.trade("10")
    (finding,) = case.compared(Standing.FILLED, "10")
    assert finding.verdict is Verdict.BOOKED
    assert case.record.status is Status.FILLED


def test_of_an_order_that_a_split_met_the_trades_that_are_shown_are_all_there_are() -> None:
    # 5 of 9 traded. At 1 for 2 the venue goes on with whole lots: 2 more, and 4.5 of 4.5 will never be.
    case = Case(9.0).acked().traded("5")
    _split(case, "0.5")
    case.traded("1", "200")
    (finding,) = case.compared(Standing.FILLED, "3")
    assert (finding.verdict, finding.inputs) == (Verdict.UNKNOWN, ())
    (finding,) = case.compared(Standing.FILLED, "3", is_told=True)
    assert finding.verdict is Verdict.OVER
    record = case.record
    assert (record.filled_qty, record.is_open) == (D("3.5"), False)


# --- trades and splits that meet ------------------------------------------------------------------


@pytest.mark.parametrize("ratio", ["4", "0.5"])
def test_trades_from_before_a_split_fill_their_order_however_late_they_come(ratio: str) -> None:
    case = Case().acked().traded("5")
    before = case.world.engine.now
    _split(case, ratio)
    case.traded("5", ts=before)
    record = case.record
    assert (record.filled_qty, record.status) == (10 * D(ratio), Status.FILLED)
    assert case.world.position() == 10 * D(ratio)


@pytest.mark.parametrize("ratio", ["4", "0.5"])
@pytest.mark.parametrize("side", ["before", "after"])
def test_an_order_on_its_way_at_a_split_trades_on_either_side_of_it(ratio: str, side: str) -> None:
    case = Case()
    before = case.world.engine.now
    _split(case, ratio)
    held = 10 * D(ratio) if side == "before" else D(10)
    case.traded("10", ts=before if side == "before" else case.world.engine.now + 5)
    assert case.world.position() == held
    case.compared(Standing.FILLED, "10", is_told=True)
    record = case.record
    assert (record.filled_qty, record.is_open) == (held, False)


def test_a_trade_of_an_ended_order_from_before_a_split_is_booked_in_the_units_after_it() -> None:
    case = Case().acked()
    before = case.world.engine.now
    case.world.tell(m.VenueCanceled(ts=before, client_order_id=case.order.client_order_id, reason=""))
    _split(case, "4")
    case.traded("10", ts=before)
    assert case.world.position() == D(40)


def test_an_order_on_its_way_at_a_split_counts_as_the_larger_of_both() -> None:
    for ratio, counted in (("4", 40), ("0.5", 10)):
        case = Case()
        _split(case, ratio)
        assert case.record.leaves == counted


# --- over here, working there ---------------------------------------------------------------------


def test_an_order_that_was_let_go_of_and_turns_up_is_counted_and_ended() -> None:
    case = Case()
    order_id = case.order.client_order_id
    case.world.tell(m.VenueUnknown(ts=case.world.now, client_order_id=order_id, reason="no answer"))
    case.world.tell(m.ReleaseUnknown(ts=case.world.now, client_order_id=order_id, reason="absent"))
    assert case.record.status is Status.RELEASED
    assert case.compared(Standing.WORKING, "0") == []  # one look may be a late view
    (finding,) = case.compared(Standing.WORKING, "0", is_back=True)
    assert finding.verdict is Verdict.BACK
    assert (case.record.status, case.record.leaves) == (Status.PENDING_CANCEL, D(10))
    assert [x.client_order_id for x in case.world.of(f.CancelRequested)] == [order_id]
    assert case.world.ledger.open_orders(("s", "COIN")).count(case.record) == 1


def test_a_second_word_that_an_order_was_accepted_does_not_bring_it_back() -> None:
    case = Case().acked()
    order_id = case.order.client_order_id
    case.world.tell(m.VenueCanceled(ts=case.world.now, client_order_id=order_id, reason="by the venue"))
    case.acked()
    assert case.record.status is Status.CANCELED
    case.traded("10")
    assert case.compared(Standing.WORKING, "10", is_back=True) == []  # filled: a late view for sure


# --- cash -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("theirs", "step", "differs"),
    [
        ("100000", "0", False),
        ("100000.004", "0", True),
        ("100000.004", "0.01", False),
        ("99999.991", "0.01", False),
        ("100000.01", "0.01", True),
        ("99999.99", "0.01", True),
    ],
)
def test_cash_is_compared_as_exactly_as_the_venue_shows_it(theirs: str, step: str, differs: bool) -> None:
    world = World(spec(Script()), checks_rest=False).bars((100,))
    snapshot = VenueSnapshot(ts=world.now, orders=(), cash={"USD": D(theirs)}, cash_step=D(step))

    found = compare_holdings(world.ledger, snapshot, "main", {})

    assert [f.verdict for f in found] == [Verdict.CASH_DIFFERS] * differs


def test_an_asset_of_fees_that_the_venue_does_not_show_yet_is_no_difference() -> None:
    world = World(spec(Script()), checks_rest=False).bars((100,))
    world.tell(m.CashEvent(ts=world.now, account="main", asset="BNB", amount=D(5), because="held before"))
    for cash, differs in (({}, False), ({"BNB": D(5)}, False), ({"BNB": D(4)}, True)):
        snapshot = VenueSnapshot(ts=world.now, orders=(), cash={"USD": D(100000), **cash})
        found = compare_holdings(world.ledger, snapshot, "main", {})
        assert [f.what for f in found] == ["BNB"] * differs
