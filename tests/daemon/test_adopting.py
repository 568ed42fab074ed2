"""Orders under our own ids that the journal never heard of: they stop the account until their owner takes them."""

from collections.abc import AsyncIterator
from decimal import Decimal
from pathlib import Path

import pytest_asyncio

from tests.core.world import COIN, START
from tests.daemon.desk import Desk, opened_desk
from tradebot.core import facts as f
from tradebot.core.messages import SubmitOrder
from tradebot.core.model import Order, OrderKind, Side
from tradebot.core.reconcile import Verdict
from tradebot.core.rules import ANOTHER_LIFE, MISMATCH
from tradebot.core.scope import HaltKey, HaltLevel, Scope
from tradebot.daemon.adopting import adopt

ACCOUNT = HaltKey(Scope(account="main"), ANOTHER_LIFE)


@pytest_asyncio.fixture
async def desk(tmp_path: Path) -> AsyncIterator[Desk]:
    async with opened_desk(tmp_path) as opened:
        yield opened


def stranger(kind: OrderKind, limit: str | None) -> SubmitOrder:
    return SubmitOrder(
        order=Order(
            client_order_id="tb1vvvvvvv0007",
            account="main",
            strategy="a",
            instrument=COIN.id,
            side=Side.BUY,
            kind=kind,
            qty=Decimal(2),
            ts=START,
            limit_price=None if limit is None else Decimal(limit),
        )
    )


async def test_an_order_of_another_life_that_arrives_late_stops_the_account_until_it_is_taken(
    desk: Desk,
) -> None:
    reconciler, ledger = desk.account.parts.reconciler, desk.runner.engine.ledger
    desk.venue.exchange.owner_sends(stranger(OrderKind.LIMIT, "50"), START)
    for _ in range(2):
        await reconciler.look()
    (halt,) = (
        r.fact for r in desk.kept if isinstance(r.fact, f.HaltSet)
    )  # said once, however often it is seen
    assert (halt.scope, halt.rule, halt.level) == (*ACCOUNT, HaltLevel.NO_NEW_RISK)
    assert "tb1vvvvvvv0007" in halt.reason and "tradebot reconcile --adopt" in halt.reason
    assert desk.venue_working() == 1  # left alone: it may be somebody else's who is right
    await desk.bar(1)
    assert desk.working() == 0

    taken, ended = await adopt(desk.account, "key")

    assert [finding.verdict for finding in taken] == [Verdict.FROM_ANOTHER_LIFE]
    assert list(ended) == [ACCOUNT]
    assert desk.venue_working() == 0
    assert ledger.halts.keys() == {ACCOUNT}  # lifted by whoever asked, who says why


async def test_what_an_order_of_another_life_traded_is_nobodys_once_it_is_taken(desk: Desk) -> None:
    reconciler, ledger = desk.account.parts.reconciler, desk.runner.engine.ledger
    desk.venue.exchange.owner_sends(stranger(OrderKind.MARKET, None), START)
    await desk.bar(1)
    await desk.bar(2)
    await reconciler.look()
    assert {ACCOUNT, HaltKey(Scope(None, COIN.id), MISMATCH)} <= ledger.halts.keys()

    _, ended = await adopt(desk.account, "key")

    assert {key.rule for key in ended} == {ANOTHER_LIFE, MISMATCH}
    assert set(ended) == ledger.halts.keys()  # the quantity and the cash that it left are explained now, too
    assert ledger.accounts["main"].unassigned.qty(COIN.id) == 2
    assert await reconciler.look() == ()
