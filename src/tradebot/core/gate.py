"""Let orders out: the single door through which a command to trade leaves the core.

Owns ids, the gathering of what the rules look at, and the facts that precede each command.
Refuses to choose quantities: callers do; the rules may only shrink or deny them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from decimal import Decimal

from tradebot.core import facts as f
from tradebot.core.books import ZERO, AccountBook
from tradebot.core.ledger import Key
from tradebot.core.legs import Leg
from tradebot.core.market import Valuer
from tradebot.core.messages import CancelOrder, ReplaceOrder, SubmitOrder, SubmitPair
from tradebot.core.model import Order, OrderKind, Purpose, Side, Tif
from tradebot.core.orders import OrderRecord, Status
from tradebot.core.recorder import Recorder
from tradebot.core.resting import in_the_way
from tradebot.core.risk import FOR_DATA, WAITING, judge
from tradebot.core.setup import AccountSpec, Setup
from tradebot.core.underway import NOTHING, Way, working
from tradebot.core.view import Denied, Passed, Shrunk, View

# Returns when an instrument's last price was true and how long after it the next one is due (ns).
Lateness = Callable[[str], tuple[int, int]]


class Gate:
    """Builds, judges and sends orders for one engine."""

    def __init__(
        self, setup: Setup, recorder: Recorder, marks: Mapping[str, float], accounts: Mapping[str, Valuer]
    ) -> None:
        self._setup = setup
        self._rec = recorder
        self._ledger = recorder.ledger
        self._marks = marks
        self._accounts = accounts
        self._specs: dict[str, AccountSpec] = {a.name: a for a in setup.accounts}
        self.late: Lateness | None = None  # the intake's; set by the engine, which builds both
        self.waiting: dict[tuple[str, str], Leg] = {}  # for the next price
        self._traders: dict[tuple[str, str], int] = {}
        for spec in setup.strategies:
            for name in spec.instruments:
                key = (spec.account, name)
                self._traders[key] = self._traders.get(key, 0) + 1

    def new_order(
        self,
        leg: Leg,
        side: Side,
        qty: Decimal,
        purpose: Purpose,
        *,
        kind: OrderKind = OrderKind.MARKET,
        tif: Tif = Tif.GTC,
        limit_price: Decimal | None = None,
        stop_price: Decimal | None = None,
        trail: Decimal | None = None,
        parent_id: str | None = None,
        group_id: str | None = None,
        post_only: bool = False,
    ) -> Order:
        """Build an order under a fresh id. Protective and flattening orders only ever reduce.

        A venue judges reduce-only by the account, so it is asked for only where the account's
        position is this strategy's alone: beside an opposite one our exit would be refused.
        """
        only_ours = self._traders[leg.spec.account, leg.instrument.id] == 1
        return Order(
            client_order_id=self._rec.new_order_id(),
            account=leg.spec.account,
            strategy=leg.spec.id,
            instrument=leg.instrument.id,
            side=side,
            kind=kind,
            qty=qty,
            ts=self._rec.now,
            limit_price=limit_price,
            stop_price=stop_price,
            trail=trail,
            trail_is_fraction=trail is not None,
            tif=tif,
            purpose=purpose,
            parent_id=parent_id,
            group_id=group_id,
            reduce_only=only_ours and purpose in (Purpose.PROTECT, Purpose.FLATTEN),
            post_only=post_only,
        )

    def collar_of(self, account: str) -> float | None:
        """Return how far beyond the last price an owner's flatten first reaches; None: to the market."""
        usual = self._setup.flatten_collar
        return None if usual is None else self._specs[account].limits.collar or usual

    def send(self, leg: Leg, order: Order, cause: int = 0) -> Denied | None:
        """Judge an order and send it, perhaps shrunk; returns the word against it, None when it left."""
        order, word = self._judged(leg, order)
        ending = (
            []
            if isinstance(word, Denied)
            else in_the_way(self._setup.resting.beside, order, self._ledger.open_orders(leg.key))
        )
        if ending:
            for record in ending:
                self.cancel(record, "makes way")
            word = Denied(rule="makes_way", reason="waits for the end of an order that rests in its way")
        if isinstance(word, Denied):
            self._deny(leg, order, word)
            return word
        price = self._marks.get(order.instrument, 0.0)
        self._rec.fact(f.OrderIntended(ts=self._rec.now, order=order, price=price, compared=word), cause)
        self._rec.command(SubmitOrder(order=order))
        return None

    def send_pair(self, leg: Leg, target: Order, stop: Order) -> Denied | None:
        """Judge a target and a stop and send both in one request, or neither."""
        price = self._marks.get(target.instrument, 0.0)
        passed: list[f.OrderIntended] = []
        for order in (target, stop):
            order, word = self._judged(leg, order)
            if isinstance(word, Denied):
                self._deny(leg, order, word)
                return word
            passed.append(f.OrderIntended(ts=self._rec.now, order=order, price=price, compared=word))
        for fact in passed:
            self._rec.fact(fact)
        self._rec.command(SubmitPair(target=passed[0].order, stop=passed[1].order))
        return None

    def replace(self, leg: Leg, record: OrderRecord, order: Order) -> Denied | None:
        """Send `order` in the place of a working one; both ids stay tracked until the venue answers.

        At a venue that cannot do that in one step the working one is cancelled only.
        """
        if not self._setup.can_replace:
            self.cancel(record, "replaced")
            return None
        order = replace(order, replaces=record.order.client_order_id)
        order, word = self._judged(leg, order)
        if isinstance(word, Denied):
            self._deny(leg, order, word)
            return word
        old = record.order.client_order_id
        self._rec.fact(f.ReplaceRequested(ts=self._rec.now, client_order_id=old, order=order, compared=word))
        self._rec.command(ReplaceOrder(client_order_id=old, order=order, filled=record.filled_qty))
        return None

    def cancel(self, record: OrderRecord, because: str) -> None:
        """Ask for a working order's end, once."""
        if record.status in (Status.PENDING_CANCEL, Status.PENDING_REPLACE) or not record.is_open:
            return
        order_id = record.order.client_order_id
        self._rec.fact(f.CancelRequested(ts=self._rec.now, client_order_id=order_id, because=because))
        self._rec.command(CancelOrder(client_order_id=order_id))

    def _judged(self, leg: Leg, order: Order) -> tuple[Order, Denied | Passed]:
        while True:
            verdict = judge(self._view(leg, order), order)
            if not isinstance(verdict, Shrunk):
                return order, verdict
            self._rec.fact(
                f.OrderShrunk(
                    ts=self._rec.now,
                    strategy=order.strategy,
                    instrument=order.instrument,
                    side=order.side,
                    asked=order.qty,
                    allowed=verdict.qty,
                    rule=verdict.rule,
                    reason=verdict.reason,
                )
            )
            order = replace(order, qty=verdict.qty)

    def _deny(self, leg: Leg, order: Order, denied: Denied) -> None:
        if denied.rule in FOR_DATA:
            self.waiting[leg.key] = leg
        if leg.skip_rule == denied.rule:
            leg.repeats += 1
            return
        leg.note_skip(self._rec, denied.rule)
        if denied.rule in WAITING:
            self._rec.fact(
                f.Skipped(
                    ts=self._rec.now,
                    strategy=order.strategy,
                    instrument=order.instrument,
                    rule=denied.rule,
                    reason=denied.reason,
                    numbers=denied.numbers,
                )
            )
            return
        self._rec.fact(
            f.OrderDenied(
                ts=self._rec.now,
                strategy=order.strategy,
                instrument=order.instrument,
                side=order.side,
                qty=order.qty,
                rule=denied.rule,
                reason=denied.reason,
                numbers=denied.numbers,
            )
        )

    def _view(self, leg: Leg, order: Order) -> View:
        ledger, name = self._ledger, order.instrument
        account, spec = ledger.accounts[order.account], self._specs[order.account]
        valuer, instrument = self._accounts[order.account], leg.instrument
        alike, reserved = ZERO, 0.0
        ways: dict[str, Way] = {}
        own: dict[Key, Way] = {}
        asked: dict[str, float] = {}
        for key, record, left in working(ledger, order):
            theirs, (owner, other) = record.order, key
            ways[other] = ways.get(other, NOTHING).plus(theirs.side, left)
            own[key] = own.get(key, NOTHING).plus(theirs.side, left)
            if other == name and owner == order.strategy and theirs.side is order.side:
                alike += left
            their_instrument = self._setup.instruments[other]
            price = theirs.limit_price or theirs.stop_price
            if price is not None:
                asked[other] = float(price)
            if theirs.side is Side.BUY and their_instrument.quote == instrument.quote:
                unit = float(price) if price is not None else self._marks.get(other, 0.0)
                reserved += float(left * their_instrument.multiplier) * unit
        prices = self._priced(account, asked)
        return View(
            ledger=ledger,
            instrument=instrument,
            limits=spec.limits,
            model=account.model,
            now=self._rec.now,
            price=self._marks.get(name, 0.0),
            rate=ledger.rates.get((instrument.quote, account.base_currency), 1.0),
            equity=valuer.equity(self._marks) or 0.0,
            held=ledger.subs[order.strategy].qty(name),
            alike=alike,
            account_held=account.qty(name),
            account_way=ways.get(name, NOTHING).of(order.side),
            gross=valuer.gross(prices, ways),
            cash=account.settled(instrument.quote, self._rec.now),
            reserved=reserved,
            capital=None if spec.capital is None else float(spec.capital),
            ours=0.0 if spec.capital is None else self._ours(order.account, own, prices),
            overdue=self._overdue(leg, spec),
            is_open=ledger.is_session_open(instrument.calendar),
            is_allowed=order.instrument in leg.spec.instruments,
        )

    def _priced(self, book: AccountBook, asked: Mapping[str, float]) -> Mapping[str, float]:
        """Return a price for all that is held or works: before the first one of a run, what it cost or asks."""
        if all(name in self._marks for name in (*book.lots, *asked)):
            return self._marks
        cost: dict[str, float] = {}
        for name, lots in book.lots.items():
            qty = float(sum((lot.qty for lot in lots), ZERO) * self._setup.instruments[name].multiplier)
            if qty:
                cost[name] = abs(float(sum((lot.basis for lot in lots), ZERO)) / qty)
        return {**asked, **cost, **self._marks}

    def _ours(self, account: str, ways: Mapping[Key, Way], prices: Mapping[str, float]) -> float:
        """Return what strategies hold of an account or may come to hold, in its base currency."""
        held = {
            (strategy, name): position.qty
            for strategy, sub in self._ledger.subs.items()
            if sub.account == account
            for name, position in sub.positions.items()
        }
        total, base = 0.0, self._ledger.accounts[account].base_currency
        for key in {**held, **ways}:
            instrument = self._setup.instruments[key[1]]
            rate = 1.0 if instrument.quote == base else self._ledger.rates.get((instrument.quote, base), 1.0)
            most = ways.get(key, NOTHING).most(held.get(key, ZERO))
            total += float(most * instrument.multiplier) * prices.get(key[1], 0.0) * rate
        return total

    def _overdue(self, leg: Leg, spec: AccountSpec) -> int:
        """Return how late the next price of an instrument is; a closed session's time does not count."""
        if spec.limits.max_data_age is None or self.late is None:
            return 0
        last, interval = self.late(leg.instrument.id)
        session = self._ledger.sessions.get(leg.instrument.calendar)
        opened = session.ts if isinstance(session, f.SessionOpened) else 0
        return max(self._rec.now - max(last + interval, opened), 0)
