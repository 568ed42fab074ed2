"""What must hold after every step, and once everything is at rest.

Owns the rules, written against what was committed, what left the process and what the venue took; it
keeps its own books and trusts no state that a process holds in memory. Refuses to drive anything.
"""

from __future__ import annotations

from collections.abc import Container, Iterable
from decimal import Decimal

from tests.chaos.limits import LimitsKept
from tests.chaos.venue import Asked, Server
from tradebot.core import facts as f
from tradebot.core.ledger import Key, Ledger
from tradebot.core.messages import CancelOrder, SubmitPair
from tradebot.core.model import Order, OrderKind, Purpose, Side
from tradebot.core.orders import Status
from tradebot.core.quantize import qty_down
from tradebot.core.recorder import is_own_id
from tradebot.core.resting import keeps_away
from tradebot.core.scope import HaltLevel
from tradebot.core.setup import Setup
from tradebot.daemon.halts import Halt, HaltFlag

ZERO = Decimal(0)
_CASH = {(None, "mismatch")}
_GETS_OUT = (Purpose.PROTECT, Purpose.FLATTEN)


class Broken(AssertionError):
    """Something that must hold does not."""


class Auditor:
    """Follows commits and the wire. `restart` with each replayed journal: that is what is on disk."""

    def __init__(self, setup: Setup, instance: str) -> None:
        self._setup = setup
        self._instance = instance
        self._limits = setup.accounts[0].limits
        self.intended: dict[str, Order] = {}
        self.times: list[int] = []
        self.held: dict[Key, Decimal] = {}
        self.resting: dict[Key, str] = {}  # suspended, and why
        self.parents: dict[str, f.ParentOpened] = {}
        self.is_compared = False
        self.sent: dict[str, int] = {}
        self.halts: dict[object, f.HaltSet] = {}
        self.shrunk: dict[Key, str] = {}  # cut down since the target was set
        self.children: dict[str, list[str]] = {}
        self.let_go: dict[str, None] = {}  # by the owner's word, though they may still arrive
        self.amounts = LimitsKept(self._limits, instance)
        self.server: Server | None = None

    def restart(self, ledger: Ledger) -> None:
        """Take over what a journal says when a process has replayed it."""
        self.is_compared = False
        self.amounts.restart(ledger)
        self.intended = {i: r.order for i, r in ledger.orders.items()}
        self.times = list(ledger.order_times)
        self.held = {(s, n): p.qty for s, sub in ledger.subs.items() for n, p in sub.positions.items()}
        self.resting = {
            key: wish.suspended.because for key, wish in ledger.wishes.items() if wish.suspended is not None
        }
        self.parents = {i: p.opened for i, p in ledger.parents.items()}
        self.halts = dict(ledger.halts)

    # --- commits ------------------------------------------------------------------------------------

    def committed(self, facts: Iterable[f.Recorded], durable: bool) -> None:
        """Take facts that are on disk."""
        for recorded in facts:
            fact = recorded.fact
            if isinstance(fact, f.OrderIntended | f.ReplaceRequested):
                if not durable:
                    raise Broken(f"what precedes a command must survive a loss of power, did not: {fact}")
                is_reducing = self._intended(fact.order, recorded.seen)
                self.amounts.committed(fact, is_reducing=is_reducing)
            elif isinstance(fact, f.OrderFilled):
                self._moved((fact.strategy, fact.fill.instrument), fact.qty_signed)
                if not durable:
                    raise Broken(f"a fill must survive a loss of power, did not: {fact}")
            elif isinstance(fact, f.AssignmentMade) and fact.instrument is not None:
                self._moved((fact.strategy, fact.instrument), fact.amount)
            elif isinstance(fact, f.SplitApplied):
                for position in fact.positions:
                    if position.strategy is not None:
                        self.held[position.strategy, fact.instrument] = position.qty
            elif isinstance(fact, f.TargetSuspended):
                self.resting[fact.strategy, fact.instrument] = fact.because
            elif isinstance(fact, f.TargetReleased):
                self.resting.pop((fact.strategy, fact.instrument), None)
            elif isinstance(fact, f.TargetSet):
                self.shrunk.pop((fact.strategy, fact.instrument), None)
            elif isinstance(fact, f.OrderShrunk):
                self.shrunk[fact.strategy, fact.instrument] = fact.reason
            elif isinstance(fact, f.AccountReconciled):
                self.is_compared = True
            elif isinstance(fact, f.ParentOpened):
                self.parents[fact.parent_id] = fact
            elif isinstance(fact, f.UnknownReleased):
                self.let_go[fact.client_order_id] = None
            elif isinstance(fact, f.HaltSet):
                self.halts[fact.scope, fact.rule] = fact
            if not isinstance(fact, f.OrderIntended | f.ReplaceRequested):
                self.amounts.committed(fact)

    def _moved(self, key: Key, qty: Decimal) -> None:
        self.held[key] = self.held.get(key, ZERO) + qty

    def _intended(self, order: Order, seen: int) -> bool:
        """Judge an order that is about to leave; returns whether it only takes back what is held."""
        if order.client_order_id in self.intended:
            raise Broken(f"an id must be given to one order only, was given twice: {order}")
        key = (order.strategy, order.instrument)
        if order.purpose is Purpose.TARGET and self.resting.get(key) is not None:
            raise Broken(f"{key} rests since {self.resting[key]} and must not be traded towards: {order}")
        held = self.held.get(key, ZERO)
        is_against = held * order.side.sign < 0 and order.qty <= abs(held)
        most = self._limits.max_orders_per_day
        if order.purpose is Purpose.TARGET and not is_against and most is not None:
            if len(self.times) >= most:
                raise Broken(f"at most {most} orders a day may be sent, {order} is one more")
        self.intended[order.client_order_id] = order
        self.times.append(seen)
        return is_against

    # --- the wire -----------------------------------------------------------------------------------

    def leaves(self, request: Asked, flag: HaltFlag | None) -> None:
        """Judge a request at the moment a process lets go of it."""
        if isinstance(request, CancelOrder):
            return
        for order in request.orders if isinstance(request, SubmitPair) else (request.order,):
            self._order_leaves(order, flag)

    def _order_leaves(self, order: Order, flag: HaltFlag | None) -> None:
        order_id = order.client_order_id
        if not self.is_compared:
            raise Broken(f"nothing may be sent before the account was compared with the venue, was: {order}")
        if order_id not in self.intended:
            raise Broken(f"nothing may be sent before it is recorded, was: {order}")
        self.sent[order_id] = self.sent.get(order_id, 0) + 1
        if self.sent[order_id] > 1:
            raise Broken(f"an order must be sent once, was sent again: {order}")
        if order.purpose not in _GETS_OUT and flag is not None:
            halt = flag.stops(order)
            if halt is not None:
                raise Broken(f"nothing may be sent under {halt}, was: {order}")

    def arrives(self, order: Order) -> None:
        """Judge an order that the venue is about to take."""
        server = self.server
        assert server is not None
        order_id = order.client_order_id.partition("~")[0]
        if server.taken[order_id] > 1:
            raise Broken(f"the venue must see an id once, saw it again: {order}")
        if order_id not in self.intended:
            return  # of a life that the journal which was put back knows nothing of: nobody counts with it
        if order.parent_id is not None:
            self._child(order, server)
        excess = self.amounts.excess(order, server)
        if excess:
            raise Broken(excess)

    def looks(self) -> None:
        """Judge what the venue holds after something happened there."""
        assert self.server is not None
        seen: dict[tuple[object, ...], Order] = {}
        for working in self.server.exchange.sim.blotter.orders.values():
            order = working.order
            is_known = order.client_order_id.partition("~")[0] in self.intended
            if order.purpose is Purpose.PROTECT and is_known and order.client_order_id not in self.let_go:
                key = (order.strategy, order.instrument, order.kind, order.side)
                if key in seen:
                    raise Broken(f"protection must never be doubled, {order} came beside {seen[key]}")
                seen[key] = order

    def _child(self, order: Order, server: Server) -> None:
        assert order.parent_id is not None
        known = self.children.setdefault(order.parent_id, [])
        done = ZERO
        for order_id in known:
            if order_id in self.let_go or order_id not in self.intended:
                continue
            found = server.exchange.find(order_id)
            if found is not None:
                is_live = order_id in server.exchange.sim.blotter.orders
                done += found.qty if is_live else found.filled_qty
        known.append(order.client_order_id)
        if order.client_order_id in self.let_go:
            return
        most = self.parents[order.parent_id].qty
        if done + order.qty > most:
            raise Broken(f"children must not exceed their parent's {most}, {order} came beside {done}")


def check_books(ledger: Ledger) -> None:
    """Cash, lots and sub-ledgers balance; what an order filled is the sum of its fills."""
    ledger.check()


# --- at rest --------------------------------------------------------------------------------------


def check_rest(
    ledger: Ledger,
    setup: Setup,
    server: Server,
    halts: Iterable[Halt],
    *,
    shrunk: Container[Key],
    acted: Container[str],
) -> None:
    """Everything agrees with the venue, nothing waits for nobody, every position is protected.

    `acted` are instruments whose company split them or paid: there a difference may have stopped the
    symbol, or everything, with both numbers, when trades and a split met.
    """
    rules = {(key.scope.instrument, key.rule) for key in ledger.halts}
    is_forgiven = any(name in acted for name in setup.instruments)
    for name in setup.instruments:
        if not (name in acted and (name, "mismatch") in rules):
            _check_position(ledger, server, name)
    if not (is_forgiven and _CASH & rules):
        _check_cash(ledger, server)
    _check_orders(ledger, server, acted)
    if {h.key: h.level for h in halts} != {s: h.level for s, h in ledger.halts.items()}:
        raise Broken(f"the flag must say what the facts say, {list(halts)} is not {ledger.halts}")
    for spec in setup.strategies:
        for name in spec.instruments:
            key = (spec.id, name)
            _check_protection(ledger, setup, key)
            if key not in shrunk:
                _check_wish(ledger, setup, key)


def _check_position(ledger: Ledger, server: Server, name: str) -> None:
    book = ledger.accounts["main"]
    ours, theirs = book.qty(name), server.exchange.sim.account("main").positions.get(name, ZERO)
    if ours != theirs:
        raise Broken(f"the position must be the venue's {theirs} {name}, was {ours}")


def _check_cash(ledger: Ledger, server: Server) -> None:
    book, theirs = ledger.accounts["main"], server.exchange.sim.account("main").cash
    for asset in sorted({*book.cash, *theirs}):
        if book.cash.get(asset, ZERO) != theirs.get(asset, ZERO):
            raise Broken(f"cash must be the venue's {theirs.get(asset)} {asset}, was {book.cash.get(asset)}")


def _check_orders(ledger: Ledger, server: Server, acted: Container[str]) -> None:
    ours = {i: r for rows in ledger.open.values() for i, r in rows.items()}
    theirs = server.exchange.sim.blotter.orders
    for order_id in theirs:
        if is_own_id(order_id, "tb") and order_id not in ours:
            raise Broken(f"the venue works {order_id}, which is not known to be open here")
    for order_id, record in ours.items():
        if order_id not in theirs and not record.is_absent:
            raise Broken(f"{order_id} is {record.status} here and the venue does not have it")
        if record.status in (Status.PENDING_NEW, Status.PENDING_CANCEL, Status.PENDING_REPLACE):
            if not record.is_absent and not _heir_is_absent(ours, order_id):
                raise Broken(f"nothing may be on its way at rest, {record.order} is {record.status}")
    for record in ledger.orders.values():
        if record.order.instrument in acted:
            continue  # one side counts what filled in today's units, the other in those of then
        found = server.exchange.find(record.order.client_order_id)
        filled = ZERO if found is None else found.filled_qty
        if filled != record.filled_qty:
            raise Broken(f"{record.order} must have filled the venue's {filled}, was {record.filled_qty}")


def _heir_is_absent(ours: dict[str, object], order_id: str) -> bool:
    return any(r.order.replaces == order_id and r.is_absent for r in ours.values())


def _check_protection(ledger: Ledger, setup: Setup, key: Key) -> None:
    exits, held = ledger.wish(key).exits, ledger.subs[key[0]].qty(key[1])
    size = qty_down(abs(held), setup.instruments[key[1]].lot_size)
    resting = [r for r in ledger.open_orders(key) if r.order.purpose is Purpose.PROTECT]
    if ledger.wish(key).exits_lost > 1 or any(r.is_unknown for r in resting):
        return  # the venue refuses it: said and tried again at growing distances
    others = [r.order.side for r in ledger.open_orders(key) if r.order.purpose is not Purpose.PROTECT]
    others += [parent.opened.side for parent in ledger.active_parents(key)]
    if held and keeps_away(setup.resting.beside, Side.of(-held), others):
        return  # it has made way for them
    wanted: dict[OrderKind, Decimal] = {}
    if exits is not None and size:
        for kind, level in (
            (OrderKind.STOP, exits.stop_loss),
            (OrderKind.LIMIT, exits.take_profit),
            (OrderKind.TRAILING_STOP, exits.trailing),
        ):
            if level is not None:
                wanted[kind] = -size if held > 0 else size
    found = [(r.order.kind, r.leaves_signed) for r in resting]
    if setup.resting.pairs and len(wanted) == 2 and len(found) == 1:
        wanted = {
            kind: qty for kind, qty in wanted.items() if kind is found[0][0]
        }  # the other half has ended
    if len(found) != len(wanted) or dict(found) != wanted:
        raise Broken(f"{key} holds {held} and must rest {wanted}, rests {found}")


def _check_wish(ledger: Ledger, setup: Setup, key: Key) -> None:
    """Nobody sits idle: what is wanted is held or worked, or there is a word why not."""
    wish = ledger.wish(key)
    if wish.target is None or wish.quotes is not None or wish.given_up or wish.retry_at is not None:
        return
    if wish.suspended is not None or wish.refused is not None:
        return
    if ledger.halt_level(*key)[0] is not HaltLevel.NONE:
        return
    held, way = ledger.subs[key[0]].qty(key[1]), ZERO
    if any(record.is_unknown for record in ledger.open_orders(key)):
        return  # said, and the owner's to let go of
    for record in ledger.open_orders(key):
        if record.order.purpose is Purpose.TARGET and record.status is not Status.PENDING_REPLACE:
            way += record.leaves_signed
    way += sum((p.unsent for p in ledger.active_parents(key)), ZERO)
    lot = setup.instruments[key[1]].lot_size
    missing = qty_down(wish.wanted_qty - held - way, lot)
    if wish.exits is not None and wish.exits.after_exit == "at_once" and missing * wish.wanted_qty > 0:
        # Bought back at once means once the exit is over: what one took that still works waits for its end.
        exits = (r for r in ledger.open_orders(key) if r.order.purpose is Purpose.PROTECT)
        missing = max(abs(missing) - sum((_taken(ledger, r.order) for r in exits), ZERO), ZERO)
    if missing:
        raise Broken(f"{key} wants {wish.wanted_qty}, holds {held} and works {way}: nothing says why")


def _taken(ledger: Ledger, order: Order) -> Decimal:
    """Return what an order and those whose places it took have traded."""
    before = None if order.replaces is None else ledger.orders[order.replaces].order
    return ledger.orders[order.client_order_id].filled_qty + (
        ZERO if before is None else _taken(ledger, before)
    )
