"""Book what happens to orders: fills, cancels, one-cancels-other groups, bracket legs.

Owns the order table, the accounts and the queue of reports. Refuses to decide prices: matchers
say "this much at this price", the blotter says what that means for everybody concerned.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping
from decimal import Decimal

from tradebot.core.messages import (
    VenueCanceled,
    VenueExpired,
    VenueFilled,
    VenueRefused,
    VenueReport,
    VenueTriggered,
)
from tradebot.core.model import Fill, Instrument, Liquidity, Side
from tradebot.core.quantize import LEDGER_CONTEXT, money, qty_down
from tradebot.errors import BadData
from tradebot.sim.accounts import Account
from tradebot.sim.fees import Fee, FeeModel, FillCost
from tradebot.sim.settings import FillSettings
from tradebot.sim.slippage import SlippageModel
from tradebot.sim.working import ZERO, Role, Working, plain

Book = dict[str, Working]


class Budget:
    """What our orders may still take together. `left` None = no limit; `used` is what they took."""

    __slots__ = ("left", "used", "volume")

    def __init__(self, left: Decimal | None, volume: float, used: Decimal = ZERO) -> None:
        self.left = left
        self.volume = volume
        self.used = used

    def spend(self, qty: Decimal) -> None:
        self.used += qty
        if self.left is not None:
            self.left -= qty


class Blotter:
    """The order table and the books. `books` maps instrument -> orders in order of arrival."""

    def __init__(
        self,
        *,
        instruments: Mapping[str, Instrument],
        accounts: dict[str, Account],
        settings: FillSettings,
        fees: FeeModel,
        slippage: SlippageModel,
        quantum: Decimal,
    ) -> None:
        self.instruments = instruments
        self.accounts = accounts
        self.settings = settings
        self.fees = fees
        self.slippage = slippage
        self.quantum = quantum
        self.reports: deque[VenueReport] = deque()
        self.books: dict[str, Book] = {name: {} for name in instruments}
        self.orders: dict[str, Working] = {}
        self.busy: dict[str, int] = {}  # orders and commands under way per instrument, without zeros
        self.budgets: dict[str, tuple[int, Budget]] = {}  # of the last bar matched, with its ts
        self.ended: dict[str, Decimal] = {}  # filled quantity of every finished order
        self.heirs: dict[str, str] = {}  # replaced order -> the order in its place
        self.born: Callable[[Working], None] | None = None  # the matcher at work, told of new orders
        self._groups: dict[tuple[str, str], list[Working]] = {}
        self._legs: dict[str, list[Working]] = {}
        self.fill_count = 0

    @property
    def joined(self) -> tuple[dict[tuple[str, str], list[Working]], dict[str, list[Working]]]:
        """Working orders by (account, one-cancels-other group), and bracket legs by their parent."""
        return self._groups, self._legs

    def work_came(self, instrument: str) -> None:
        self.busy[instrument] = self.busy.get(instrument, 0) + 1

    def work_went(self, instrument: str) -> None:
        left = self.busy[instrument] - 1
        if left:
            self.busy[instrument] = left
        else:
            del self.busy[instrument]

    def add(self, w: Working) -> None:
        """Take a new order into the table; a leg of a parent that has filled is alive at once."""
        if w.parent is not None:
            w.parent = self.heir(w.parent)
            parent = self.orders.get(w.parent)
            w.activated = self.ended[w.parent] if parent is None else parent.filled
            if parent is None:
                w.cap = min(w.cap, w.activated)
        self._enter(w)

    def _enter(self, w: Working) -> None:
        order = w.order
        self.books[order.instrument][order.client_order_id] = w
        self.orders[order.client_order_id] = w
        self.work_came(order.instrument)
        if order.group_id is not None:
            self._groups.setdefault((order.account, order.group_id), []).append(w)
        if w.parent is not None and w.parent in self.orders:
            self._legs.setdefault(w.parent, []).append(w)
        if (w.activated is None or w.activated) and self.born is not None:
            self.born(w)

    def heir(self, order_id: str) -> str:
        """Return the order that stands in the place of `order_id` after all replaces."""
        while order_id in self.heirs:
            order_id = self.heirs[order_id]
        return order_id

    def hand_over(self, old: Working, new: Working) -> None:
        """Let `new` stand where `old` stood: parent of its legs, heir of its activation."""
        legs = self._legs.pop(old.client_order_id, [])
        if legs:
            self._legs[new.client_order_id] = legs
            for leg in legs:
                leg.parent = new.client_order_id
        if old.activated is not None:
            new.activated, new.parent = old.activated - old.filled - old.reduced, old.parent
            if new.parent not in self.orders:
                new.cap = min(new.cap, new.activated)
        same_trail = old.order.trail == new.order.trail and old.is_buy == new.is_buy
        if old.reference is not None and same_trail:
            new.lift(old.reference)  # what the market has shown is not forgotten
        self.heirs[old.client_order_id] = new.client_order_id
        self._remove(old)
        self._enter(new)

    def trigger(self, w: Working, ts: int) -> Role:
        """Report that a stop was elected; return what it has become."""
        w.trigger()
        self.reports.append(VenueTriggered(ts=ts, client_order_id=w.client_order_id))
        return w.role

    def cancel(self, w: Working, ts: int, reason: str = "") -> None:
        self._end(w, ts, VenueCanceled(ts=ts, client_order_id=w.client_order_id, reason=reason))

    def expire(self, w: Working, ts: int) -> None:
        self._end(w, ts, VenueExpired(ts=ts, client_order_id=w.client_order_id))

    def refuse(self, w: Working, ts: int, reason: str) -> None:
        """End an order the account cannot carry: refused when nothing of it traded, else cancelled."""
        if w.filled:
            self.cancel(w, ts, reason)
        else:
            self._end(w, ts, VenueRefused(ts=ts, client_order_id=w.client_order_id, reason=reason))

    def tradable(self, w: Working, ts: int) -> Decimal:
        """Return what `w` may trade now; a reduce-only order without position to reduce ends here."""
        qty = w.open_qty
        if not w.order.reduce_only:
            return qty
        held = self.accounts[w.order.account].position(w.order.instrument)
        reducible = max(-held if w.is_buy else held, ZERO)
        if reducible < qty:
            qty = qty_down(reducible, w.instrument.lot_size)
            if not qty:
                self.cancel(w, ts, f"reduce_only: the position to reduce is {plain(held)}")
        return qty

    def fill(
        self,
        w: Working,
        qty: Decimal,
        price: Decimal,
        ts: int,
        liquidity: Liquidity,
        *,
        assumed: bool = False,
        before: Decimal | None = None,
    ) -> bool:
        """Trade `qty` at `price` if the account can carry it; return whether it traded.

        `before` is the price without slippage, for the record; None = the same.
        """
        if price <= ZERO:
            raise BadData(
                f"{w.order.instrument}: a fill price must be above 0 on the grid of the tick "
                f"{w.instrument.tick_size}, was {price}; set a tick_size that fits the prices"
            )
        inst, account = w.instrument, self.accounts[w.order.account]
        value = LEDGER_CONTEXT.multiply(LEDGER_CONTEXT.multiply(qty, price), inst.multiplier)
        notional = money(value, self.quantum)
        cost = FillCost(inst, w.order.side, liquidity, qty, notional, w.filled, w.notional, w.fee)
        owed = self.fees.fee(cost)
        fee = Fee(money(owed.amount, self.quantum), owed.asset)
        reason = _unable(account, w, qty, notional, fee)
        if reason:
            self.refuse(w, ts, reason)
            return False
        self._book(account, w, qty, notional, fee)
        self.fill_count += 1
        fill = Fill(
            fill_id=f"f{self.fill_count}",
            client_order_id=w.client_order_id,
            instrument=inst.id,
            side=w.order.side,
            qty=qty,
            price=price,
            ts=ts,
            fee=fee.amount,
            fee_asset=fee.asset,
            liquidity=liquidity,
            assumed=assumed,
            data_price=price if before is None else before,
        )
        self.reports.append(VenueFilled(ts=ts, fill=fill))
        self._follow(w, qty, float(price), ts)
        return True

    def _book(self, account: Account, w: Working, qty: Decimal, notional: Decimal, fee: Fee) -> None:
        inst, is_buy = w.instrument, w.is_buy
        account.add_cash(inst.quote, -notional if is_buy else notional)
        account.add_position(inst.id, qty if is_buy else -qty)
        if fee.asset == inst.base:
            account.add_position(inst.id, -fee.amount)
        else:
            account.add_cash(fee.asset, -fee.amount)
        sessions = self.settings.settle_sessions
        if account.is_cash and sessions and not is_buy:
            account.settle_later(inst.quote, notional, inst.calendar, sessions)
        w.filled += qty
        w.notional += notional
        w.fee += fee.amount

    def _follow(self, w: Working, qty: Decimal, price: float, ts: int) -> None:
        """Carry a fill to the order's siblings and legs, then see who is finished."""
        siblings = self._siblings(w)
        for other in siblings:
            other.reduced += qty
        for leg in self._legs.get(w.client_order_id, ()):
            assert leg.activated is not None
            first = not leg.activated
            leg.activated += qty
            if first:
                leg.since = ts
                leg.lift(price)
                if self.born is not None:
                    self.born(leg)
        if w.is_done:
            if w.filled < w.order.qty:
                self.cancel(w, ts, "nothing is left to trade: siblings or the replaced order took the rest")
            else:
                self._end(w, ts, None)
            for other in siblings:
                self.cancel(other, ts, f"oco: {w.client_order_id} filled")
        else:
            for other in siblings:
                if other.is_done:
                    self.cancel(other, ts, f"oco: {w.client_order_id} took what was left")

    def _siblings(self, w: Working) -> list[Working]:
        group = w.order.group_id
        if group is None:
            return []
        return [o for o in self._groups.get((w.order.account, group), ()) if o is not w]

    def _end(self, w: Working, ts: int, report: VenueReport | None) -> None:
        if w.client_order_id not in self.orders:
            return
        self._remove(w)
        if report is not None:
            self.reports.append(report)
        for leg in self._legs.pop(w.client_order_id, ()):
            assert leg.activated is not None
            leg.cap = min(leg.cap, leg.activated)
            if leg.is_done:
                self.cancel(leg, ts, f"its parent {w.client_order_id} ended after {w.filled}")

    def _remove(self, w: Working) -> None:
        order = w.order
        del self.books[order.instrument][order.client_order_id]
        del self.orders[order.client_order_id]
        self.work_went(order.instrument)
        self.ended[order.client_order_id] = w.filled
        if order.group_id is not None:
            group = self._groups.get((order.account, order.group_id), [])
            if w in group:
                group.remove(w)
        if w.parent is not None:
            legs = self._legs.get(w.parent, [])
            if w in legs:
                legs.remove(w)

    def working_buys(self, account: str, instrument: str) -> Decimal:
        """Return what open buy orders may still add to the account's position."""
        return sum(
            (
                w.cap - w.filled - w.reduced
                for w in self.books[instrument].values()
                if w.is_buy and w.order.account == account
            ),
            ZERO,
        )


def _unable(account: Account, w: Working, qty: Decimal, notional: Decimal, fee: Fee) -> str:
    """Say why the account cannot carry the fill; empty when it can."""
    inst = w.instrument
    if w.order.side is Side.SELL:
        held = account.position(inst.id)
        if held < qty and (account.is_cash or not inst.shortable):
            why = (
                "a cash account sells only what it holds"
                if account.is_cash
                else f"{inst.id} cannot be shorted"
            )
            return f"{why}: sells {plain(qty)}, holds {plain(held)}"
    if not account.is_cash:
        return ""
    if fee.asset not in (inst.quote, inst.base) and account.spendable(fee.asset) < fee.amount:
        return f"insufficient {fee.asset} for the fee: needs {plain(fee.amount)}, has {plain(account.spendable(fee.asset))}"
    if w.order.side is Side.BUY:
        needs = notional + (fee.amount if fee.asset == inst.quote else ZERO)
        has = account.spendable(inst.quote)
        if needs > has:
            return f"insufficient cash: needs {plain(needs)} {inst.quote}, has {plain(has)}"
    return ""
