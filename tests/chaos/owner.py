"""What the owner does: trades and moves money at the venue by hand, halts, pauses, flattens, resumes.

Owns the acts and what of the account is the owner's alone, which nobody else may touch. Refuses chance:
when and what is drawn by the world.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from decimal import Decimal

from tests.chaos.checks import Broken
from tests.chaos.venue import Server
from tradebot.core.messages import SubmitOrder
from tradebot.core.model import Order, OrderKind, Side
from tradebot.core.scope import EVERYTHING, HaltLevel, Scope
from tradebot.daemon.halts import Halt

D = Decimal
LEVELS = (HaltLevel.PAUSED, HaltLevel.NO_NEW_RISK, HaltLevel.CANCEL_ENTRIES, HaltLevel.FLATTEN)


class Owner:
    """Acts at the venue; `words` are the halts that the owner has set and not lifted."""

    def __init__(self, server: Server, rng: random.Random, saw: Callable[[str], None]) -> None:
        self._server = server
        self._rng = rng
        self._saw = saw
        self._count = 0
        self.resting: dict[str, Decimal] = {}  # own orders far from the market, by id
        self.words: dict[Scope, HaltLevel] = {}

    # --- at the venue -------------------------------------------------------------------------------

    def trade(self) -> None:
        """Buy or sell a little of what strategies trade, too."""
        self._saw("owner traded")
        name = self._rng.choice(["COIN", "GEM"])
        qty = D(self._rng.choice(["1", "2.5", "6"]))
        self._send(name, self._rng.choice(list(Side)), qty, None)

    def rest(self) -> None:
        """Leave an order that never trades and is nobody else's business."""
        self._saw("owner rested an order")
        self.resting[self._send("COIN", Side.BUY, D(3), D(50))] = D(3)

    def transfer(self) -> None:
        self._saw("owner moved money")
        self._server.remember()
        amount = D(self._rng.choice([-700, 1000]))
        self._server.exchange.transfer("USD", amount, "deposit" if amount > 0 else "withdrawal", self._now())

    def _send(self, name: str, side: Side, qty: Decimal, limit: Decimal | None) -> str:
        self._count += 1
        self._server.remember()
        order = Order(
            client_order_id=f"web-{self._count}",
            account="main",
            strategy="",
            instrument=name,
            side=side,
            kind=OrderKind.MARKET if limit is None else OrderKind.LIMIT,
            qty=qty,
            ts=self._now(),
            limit_price=limit,
        )
        self._server.exchange.owner_sends(SubmitOrder(order=order), self._now())
        self._server.exchange.drain()
        return order.client_order_id

    def check(self) -> None:
        """What is the owner's was left alone."""
        working = self._server.exchange.sim.blotter.orders
        for order_id, qty in self.resting.items():
            if order_id not in working or working[order_id].order.qty != qty:
                raise Broken(f"the owner's order {order_id} must be left alone, is gone or changed")

    # --- to the daemon ------------------------------------------------------------------------------

    def word(self) -> Halt:
        """Return a halt to set, or one to lift (level NONE)."""
        if self.words and self._rng.random() < 0.6:
            scope = self._rng.choice(list(self.words))
            self._saw("owner resumed")
            del self.words[scope]
            return self.halt(scope, HaltLevel.NONE)
        scope = self._rng.choice([EVERYTHING, EVERYTHING, Scope("a", None), Scope(None, "COIN")])
        level = self._rng.choice(LEVELS)
        self._saw(f"owner said {level.name.lower()}")
        self.words[scope] = level
        return self.halt(scope, level)

    def halt(self, scope: Scope, level: HaltLevel) -> Halt:
        return Halt(scope=scope, level=level, reason="the owner's word", rule="owner", since=self._now())

    def _now(self) -> int:
        return self._server.now()
