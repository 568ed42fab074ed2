"""Tell which rows of the derived tables a fact changes.

Owns that knowledge, fact kind by fact kind. Refuses amounts: what a row then holds is read from the
ledger, which alone books facts.
"""

from __future__ import annotations

from collections.abc import Callable

from tradebot.core import facts as f
from tradebot.core.ledger import Ledger

NOBODY = ""  # how a missing strategy or instrument is written in a key

# seq of the first and of the last fact about an order, and when that one happened; 0 = not in this batch
OrderSpan = tuple[int, int, int]


class Touched:
    """The rows to write anew, in the order in which they were first touched."""

    __slots__ = ("cash", "instruments", "ledger", "lots", "orders", "positions", "seq", "wishes")

    def __init__(self, ledger: Ledger) -> None:
        self.ledger = ledger
        self.seq = 0
        self.orders: dict[str, OrderSpan] = {}
        self.positions: dict[tuple[str, str, str], None] = {}
        self.cash: dict[tuple[str, str, str], None] = {}
        self.lots: dict[tuple[str, str], dict[str, None]] = {}
        self.instruments: dict[tuple[str, str], None] = {}  # whose lots are all to be written anew
        self.wishes: dict[tuple[str, str], None] = {}

    def add(self, recorded: f.Recorded) -> None:
        """Note what a fact changes. The ledger may know later facts already."""
        self.seq = recorded.seq
        mark = _MARKS.get(type(recorded.fact))
        if mark is not None:
            mark(self, recorded.fact)

    def everything(self) -> None:
        """Note every row that the ledger can fill, apart from orders: facts name those one by one."""
        for name, account in self.ledger.accounts.items():
            for instrument in account.lots:
                self.instruments[name, instrument] = None
        subs = [*self.ledger.subs.values(), *(a.unassigned for a in self.ledger.accounts.values())]
        for sub in subs:
            for asset in sub.cash:
                self.cash[sub.account, sub.strategy or NOBODY, asset] = None
            for instrument in sub.positions:
                self.positions[sub.account, sub.strategy or NOBODY, instrument] = None
        for key in self.ledger.wishes:
            self.wishes[key] = None

    # --- what the marks are made of ---------------------------------------------------------------

    def begun(self, order_id: str, ts: int) -> None:
        self.orders[order_id] = (self.seq, self.seq, ts)

    def ordered(self, order_id: str, ts: int) -> None:
        first = self.orders[order_id][0] if order_id in self.orders else 0
        self.orders[order_id] = (first, self.seq, ts)

    def beside(self, order_id: str) -> None:
        """An order changed because of another one's fact: it is no news of its own."""
        self.orders.setdefault(order_id, (0, 0, 0))

    def moved(self, account: str, strategy: str | None, asset: str) -> None:
        self.cash[account, strategy or NOBODY, asset] = None

    def held(self, account: str, strategy: str | None, instrument: str) -> None:
        self.positions[account, strategy or NOBODY, instrument] = None

    def lot(self, account: str, instrument: str, lot_id: str) -> None:
        self.lots.setdefault((account, instrument), {})[lot_id] = None

    def wished(self, strategy: str, instrument: str) -> None:
        self.wishes[strategy, instrument] = None


# --- orders ---------------------------------------------------------------------------------------


def _intended(t: Touched, fact: f.OrderIntended | f.ReplaceRequested) -> None:
    if isinstance(fact, f.ReplaceRequested):
        t.ordered(fact.client_order_id, fact.ts)
    else:
        t.wished(fact.order.strategy, fact.order.instrument)
    t.begun(fact.order.client_order_id, fact.ts)


_OfOrder = (
    f.OrderAccepted
    | f.OrderRejected
    | f.OrderReplaced
    | f.OrderCanceled
    | f.OrderExpired
    | f.OrderTriggered
    | f.SubmitUnknown
    | f.SubmitAbsent
    | f.UnknownReleased
    | f.OrderReopened
    | f.CancelRequested
    | f.CancelRefused
)


def _of_order(t: Touched, fact: _OfOrder) -> None:
    t.ordered(fact.client_order_id, fact.ts)


def _filled(t: Touched, fact: f.OrderFilled) -> None:
    fill = fact.fill
    t.ordered(fill.client_order_id, fact.ts)
    order = t.ledger.orders[fill.client_order_id].order
    # A fill also makes one-cancels-other siblings smaller, and the order under way in its place.
    if order.group_id is not None:
        for sibling in t.ledger.groups.get(order.group_id, ()):
            t.beside(sibling.order.client_order_id)
    for heir in t.ledger.open.get((order.strategy, order.instrument), {}).values():
        if heir.order.replaces == order.client_order_id:
            t.beside(heir.order.client_order_id)
    for asset, _ in fact.cash:
        t.moved(fact.account, fact.strategy, asset)
    t.held(fact.account, fact.strategy, fill.instrument)
    _lots(t, fact.account, fill.instrument, fact)


def _lots(t: Touched, account: str, instrument: str, fact: f.OrderFilled | f.PositionAdjusted) -> None:
    for part in fact.closed:
        t.lot(account, instrument, part.lot_id)
    if fact.opened is not None:
        t.lot(account, instrument, fact.opened.lot_id)


# --- money ----------------------------------------------------------------------------------------


def _cash(t: Touched, fact: f.CashMoved | f.FeeCharged | f.InterestPaid) -> None:
    t.moved(fact.account, fact.strategy, fact.asset)


def _assigned(t: Touched, fact: f.AssignmentMade) -> None:
    for strategy in (fact.strategy, None):
        if fact.asset is not None:
            t.moved(fact.account, strategy, fact.asset)
        if fact.instrument is not None:
            t.held(fact.account, strategy, fact.instrument)


def _dividend_paid(t: Touched, fact: f.DividendPaid) -> None:
    for strategy, _ in fact.shares:
        t.moved(fact.account, strategy, fact.asset)


def _split(t: Touched, fact: f.SplitApplied) -> None:
    t.instruments[fact.account, fact.instrument] = None
    for order in fact.orders:
        t.ordered(order.client_order_id, fact.ts)
    for position in fact.positions:
        t.held(fact.account, position.strategy, fact.instrument)
    for strategy, _ in fact.cash_in_lieu:
        t.moved(fact.account, strategy, fact.asset)


def _basis_adjusted(t: Touched, fact: f.BasisAdjusted) -> None:
    t.lot(fact.account, fact.instrument, fact.lot_id)


def _position_adjusted(t: Touched, fact: f.PositionAdjusted) -> None:
    t.held(fact.account, None, fact.instrument)
    for asset, _ in fact.cash:
        t.moved(fact.account, None, asset)
    _lots(t, fact.account, fact.instrument, fact)


def _crossed(t: Touched, fact: f.CrossedInternally) -> None:
    for strategy in (fact.buyer, fact.seller):
        t.moved(fact.account, strategy, fact.asset)
        t.held(fact.account, strategy, fact.instrument)


def _symbol_changed(t: Touched, fact: f.SymbolChanged) -> None:
    for name in t.ledger.accounts:
        for instrument in (fact.old, fact.new):
            t.instruments[name, instrument] = None
            t.held(name, None, instrument)
    for sub in t.ledger.subs.values():
        for instrument in (fact.old, fact.new):
            t.held(sub.account, sub.strategy, instrument)


# --- wishes ---------------------------------------------------------------------------------------

_OfWish = (
    f.TargetSet | f.QuotesSet | f.TargetSuspended | f.TargetReleased | f.Skipped | f.OrderDenied | f.RetrySet
)


def _wish(t: Touched, fact: _OfWish) -> None:
    t.wished(fact.strategy, fact.instrument)


_MARKS: dict[type[f.Fact], Callable[[Touched, f.Fact], None]] = {}


def _register(mark: Callable[..., None], *kinds: type[f.Fact]) -> None:
    for kind in kinds:
        _MARKS[kind] = mark


_register(_intended, f.OrderIntended, f.ReplaceRequested)
_register(_of_order, f.OrderAccepted, f.OrderRejected, f.OrderReplaced, f.OrderCanceled, f.OrderExpired)
_register(_of_order, f.OrderTriggered, f.SubmitUnknown, f.SubmitAbsent, f.CancelRequested, f.CancelRefused)
_register(_of_order, f.UnknownReleased, f.OrderReopened)
_register(_filled, f.OrderFilled)
_register(_cash, f.CashMoved, f.FeeCharged, f.InterestPaid)
_register(_assigned, f.AssignmentMade)
_register(_dividend_paid, f.DividendPaid)
_register(_split, f.SplitApplied)
_register(_basis_adjusted, f.BasisAdjusted)
_register(_position_adjusted, f.PositionAdjusted)
_register(_crossed, f.CrossedInternally)
_register(_symbol_changed, f.SymbolChanged)
_register(_wish, f.TargetSet, f.QuotesSet, f.TargetSuspended, f.TargetReleased, f.Skipped, f.OrderDenied)
_register(_wish, f.RetrySet)

KINDS = frozenset(_MARKS)
