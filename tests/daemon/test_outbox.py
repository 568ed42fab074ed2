"""What goes wrong while sending is never lost."""

import asyncio
from decimal import Decimal

import pytest

from tradebot.core.messages import (
    CancelOrder,
    Input,
    ReplaceOrder,
    SubmitOrder,
    VenueCancelRefused,
    VenueRefused,
    VenueReport,
)
from tradebot.core.model import Order, OrderKind, Side
from tradebot.core.ports import IdPolicy, VenueOrder, VenueSnapshot
from tradebot.daemon.clock import DataClock
from tradebot.daemon.halts import HaltFlag
from tradebot.daemon.outbox import Outbox
from tradebot.errors import VenueUnreachable


class BrokenVenue:
    """A venue whose adapter has a mistake."""

    account = "main"
    id_policy = IdPolicy.FOR_EVER
    absence_is_proof = False

    def listen(self, sink: object) -> None:
        """Has nothing to say."""

    async def submit(self, order: Order) -> VenueReport | None:
        raise KeyError("orderId")

    async def cancel(self, client_order_id: str) -> VenueReport | None:
        return None

    async def replace(self, command: ReplaceOrder) -> tuple[VenueReport, ...]:
        return ()

    async def snapshot(self, since: int) -> VenueSnapshot:
        raise VenueUnreachable("never")

    async def find(self, client_order_id: str) -> VenueOrder | None:
        return None


class SlowVenue(BrokenVenue):
    """A venue that takes nothing in until it is let."""

    def __init__(self) -> None:
        self.may_go = asyncio.Event()
        self.came: list[str] = []

    async def submit(self, order: Order) -> VenueReport | None:
        self.came.append(order.client_order_id)
        await self.may_go.wait()
        return None

    async def cancel(self, client_order_id: str) -> VenueReport | None:
        self.came.append(f"cancel {client_order_id}")
        return None

    async def replace(self, command: ReplaceOrder) -> tuple[VenueReport, ...]:
        self.came.append(f"replace {command.client_order_id}")
        return ()


def an_order(order_id: str, replaces: str | None = None) -> Order:
    return Order(
        client_order_id=order_id,
        account="main",
        strategy="s",
        instrument="COIN",
        side=Side.BUY,
        kind=OrderKind.MARKET,
        qty=Decimal(1),
        ts=0,
        replaces=replaces,
    )


async def test_an_order_that_waits_to_be_sent_is_taken_back_and_never_leaves() -> None:
    venue, said = SlowVenue(), list[Input]()
    outbox = Outbox(venue, DataClock(), HaltFlag(None), said.append)
    outbox.put(SubmitOrder(order=an_order("tb1")))
    await asyncio.sleep(0)
    outbox.put(SubmitOrder(order=an_order("tb2")))
    outbox.put(ReplaceOrder(client_order_id="tb1", order=an_order("tb3", replaces="tb1")))
    for order_id in ("tb2", "tb3", "tb1"):
        outbox.put(CancelOrder(client_order_id=order_id))
    venue.may_go.set()
    await outbox.idle()
    assert venue.came == ["tb1", "cancel tb1"]  # the first may have arrived: its end is asked for
    told = [(type(x), getattr(x, "client_order_id", "")) for x in said]
    assert told == [(VenueRefused, "tb2"), (VenueCancelRefused, "tb1"), (VenueRefused, "tb3")]


async def test_what_an_adapter_raises_while_sending_reaches_whoever_watches() -> None:
    outbox = Outbox(BrokenVenue(), DataClock(), HaltFlag(None), lambda message: None)
    watching = asyncio.create_task(outbox.failed())
    outbox.put(SubmitOrder(order=an_order("tb1")))
    with pytest.raises(KeyError):
        await watching
    with pytest.raises(KeyError):
        await outbox.idle()
