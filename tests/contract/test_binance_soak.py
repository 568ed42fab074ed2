"""Hours of a market in minutes: an account on the emulated Binance whose wire, stream and process break at random."""

from __future__ import annotations

import json
import random
from collections import Counter
from decimal import Decimal
from pathlib import Path

from tests.conftest import PROVING
from tests.contract.binances import BinanceDesk, binance_desk
from tests.emulators.binance.exchanges import ORDERS
from tradebot.core import facts as f
from tradebot.core.ports import Standing
from tradebot.emulators.faults import Fault, FaultKind
from tradebot.emulators.wire import SocketFault
from tradebot.sim.fees import ReceivedAssetFees

MINUTES = 600 if PROVING else 45
POST, GET = f"POST {ORDERS}", "GET /api/v3/*"
# Of an order that never arrived nobody can say so for a minute, and then its symbol waits for the owner: that
# is proven elsewhere. Here the exchange has taken, or refused, what is in doubt.
FAULTS = [
    Fault(route=POST, kind=FaultKind.DROP, after=True),
    Fault(route=POST, kind=FaultKind.TRUNCATE, after=True),
    Fault(route=POST, kind=FaultKind.HTML, after=True),
    Fault(route=POST, kind=FaultKind.STATUS, status=504, after=True),
    Fault(route=POST, kind=FaultKind.STATUS, status=400, body=json.dumps({"code": -2010, "msg": "Market is closed."})),
    Fault(route=GET, kind=FaultKind.STATUS, status=502, times=2),
    Fault(route=GET, kind=FaultKind.HTML),
    Fault(route=GET, kind=FaultKind.DELAY, seconds=0.1, times=3),
]  # fmt: skip


async def test_books_are_the_exchanges_after_hours_of_breaking(tmp_path: Path, rng: random.Random) -> None:
    fees = ReceivedAssetFees(maker=Decimal("0.01"), taker=Decimal(10))
    async with binance_desk(tmp_path, fees=fees) as here:
        await here.start()
        for _ in range(MINUTES):
            await disturb(here, rng)
            await here.minute(round(rng.uniform(97.0, 103.0), 2))
            here.wire.faults.clear()
            if rng.random() < 0.05:
                await here.kill()
                await here.start()
        await calm(here)

        orders = Counter(state.order.client_order_id for state in here.house.orders)
        assert all(count == 1 for count in orders.values())
        books = here.house.books()
        assert here.qty() == books.positions.get(here.instrument.id, 0)
        assert here.cash() == books.cash["USD"]
        fills = [r.fact.fill.fill_id for r in here.facts if isinstance(r.fact, f.OrderFilled)]
        assert len(fills) == len(set(fills)) == len(here.house.exchange.fills) > MINUTES // 20
        assert not here.house.working() or here.ledger.open


async def disturb(here: BinanceDesk, rng: random.Random) -> None:
    """Break something, or nothing."""
    what = rng.random()
    if what < 0.35:
        here.wire.faults.add(rng.choice(FAULTS))
    elif what < 0.45:
        for socket in here.wire.on(rng.choice(("user", "market", "*"))):
            await socket.suffer(rng.choice((SocketFault.DROP, SocketFault.CLOSE)))
    elif what < 0.5:
        for socket in here.wire.on("user"):
            await socket.suffer(rng.choice((SocketFault.DUPLICATE, SocketFault.REORDER)), count=2)
    elif what < 0.55:
        here.face.sockets.terminate()
    await here.until(lambda: not here.rules() & {"disconnected"})


async def calm(here: BinanceDesk) -> None:
    """Let everything be found that was missed."""
    for socket in here.wire.on("*"):
        await socket.suffer(SocketFault.HEAL)
    for _ in range(3):
        await here.look()
    assert not [s for s in here.house.working() if s.standing is not Standing.WORKING]
