"""What goes wrong while sending is never lost."""

import asyncio
from decimal import Decimal

import pytest

from tradebot.core.messages import ReplaceOrder, SubmitOrder, VenueReport
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


async def test_what_an_adapter_raises_while_sending_reaches_whoever_watches() -> None:
    outbox = Outbox(BrokenVenue(), DataClock(), HaltFlag(None), lambda message: None)
    watching = asyncio.create_task(outbox.failed())
    order = Order(
        client_order_id="tb1",
        account="main",
        strategy="s",
        instrument="COIN",
        side=Side.BUY,
        kind=OrderKind.MARKET,
        qty=Decimal(1),
        ts=0,
    )
    outbox.put(SubmitOrder(order=order))
    with pytest.raises(KeyError):
        await watching
    with pytest.raises(KeyError):
        await outbox.idle()
