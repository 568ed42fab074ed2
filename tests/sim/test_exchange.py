"""What the exchange remembers of an order is what became of it."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from tests.core.world import COIN, START
from tradebot.core.messages import SubmitOrder
from tradebot.core.model import SECOND, AccountModel, Order, OrderKind, Quote, Side
from tradebot.core.ports import Standing
from tradebot.sim.accounts import SimAccount
from tradebot.sim.exchange import Exchange
from tradebot.sim.venue import SimVenue

D = Decimal


def sell(name: str, **terms: Any) -> SubmitOrder:
    return SubmitOrder(
        order=Order(
            client_order_id=name,
            account="main",
            strategy="s",
            instrument="COIN",
            side=Side.SELL,
            qty=D(3),
            ts=START,
            group_id="g",
            **terms,
        )
    )


def test_an_order_whose_sibling_took_the_rest_is_canceled_and_not_filled() -> None:
    sim = SimVenue(
        instruments={"COIN": COIN},
        accounts={"main": SimAccount(model=AccountModel.MARGIN, cash={"USD": D(1000)})},
    )
    exchange = Exchange(sim, "main")
    exchange.send(sell("target", kind=OrderKind.LIMIT, limit_price=D(100)), START)
    exchange.send(sell("stop", kind=OrderKind.STOP, stop_price=D(95)), START)
    exchange.drain()
    for second, bid, size in ((1, 100.0, 2.0), (2, 94.0, 5.0)):
        list(exchange.on_market(Quote("COIN", START + second * SECOND, bid, size, bid + 1, size)))
        exchange.drain()
    found = {name: exchange.find(name) for name in ("target", "stop")}
    assert all(order is not None and order.standing is Standing.CANCELED for order in found.values())
    assert [order and order.filled_qty for order in found.values()] == [D(2), D(1)]
