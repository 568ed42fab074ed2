"""Compare what we believe with what a venue says, line by line, with a named verdict for each.

Owns the verdicts and what each asks the engine to book. Refuses to ask the venue and to book: the
caller reads (`ports.VenueSnapshot`, `Venue.find`), shows the table, and posts the inputs.

The rules: a trade that the venue names is booked, whatever we thought. An order that the venue has ended
is over. One that it does not know is unknown, never "rejected", unless absence is proof there. A
quantity or an amount that nothing explains stops its symbol, or everything, with both numbers: it is
never adopted silently. A missing report is not "flat".
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal
from enum import Enum

from tradebot.core.books import ZERO
from tradebot.core.ledger import Ledger
from tradebot.core.messages import (
    Input,
    PositionChanged,
    ReleaseUnknown,
    StillWorks,
    VenueAcked,
    VenueCanceled,
    VenueCancelRefused,
    VenueExpired,
    VenueFilled,
    VenueRefused,
    VenueReplaced,
    VenueReport,
    VenueUnknown,
)
from tradebot.core.model import DEFAULT_QUANTUM, AssetAmount, Fill, Instrument
from tradebot.core.orders import OrderRecord, Status
from tradebot.core.ports import Standing, VenueOrder, VenueSnapshot
from tradebot.core.quantize import money
from tradebot.core.recorder import is_own_id


class Verdict(Enum):
    """What a line of the comparison means."""

    BOOKED = "the venue explains it and we had not heard of it: booked"
    LIVE = "the venue has it: it counts as working"
    OVER = "the venue has ended it: it is over"
    NEVER_ARRIVED = "it never reached the venue: it is over"
    UNKNOWN = "the venue does not show it: it counts as working until that is settled"
    BACK = "the venue works it though it was over: it counts as working, its end is asked for"
    FOREIGN = "not ours: left alone"
    FOREIGN_TRADE = "traded by somebody else in this account: booked as unassigned"
    FROM_ANOTHER_LIFE = "ours by its id, unknown to this journal"
    QTY_DIFFERS = "quantities differ and nothing explains it: the symbol is halted"
    CASH_DIFFERS = "cash differs and nothing explains it: trading is halted"


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One line: what, ours, theirs, the verdict, and what the engine is to be told.

    `instrument` is what somebody else's order or trade is in. `adopting` is what it is told when the owner
    says that it is true all the same.
    """

    kind: str
    what: str
    ours: str
    theirs: str
    verdict: Verdict
    inputs: tuple[Input, ...] = ()
    adopting: tuple[Input, ...] = ()
    instrument: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """What is compared. `found` holds what the venue said of each order it did not list as working.

    `may_judge`: whether an order can be judged at all; one that a command is on its way for cannot.
    `is_back`: whether one that is over here was seen working often enough to be believed.
    `is_told`: whether the venue was asked for all its trades again and again and showed no more of them.
    `instance` are the two characters that open our client order ids.
    """

    ledger: Ledger
    snapshot: VenueSnapshot
    account: str
    instance: str
    instruments: Mapping[str, Instrument]
    found: Mapping[str, VenueOrder | None]
    may_judge: Callable[[str], bool]
    absence_is_proof: bool
    is_back: Callable[[str], bool] = lambda order_id: False
    is_told: Callable[[str], bool] = lambda order_id: False
    quantum: Decimal = DEFAULT_QUANTUM


def unlisted(ledger: Ledger, snapshot: VenueSnapshot, account: str) -> list[str]:
    """Return the ids of our working orders that the venue does not list as such: ask it for each."""
    listed = {order.client_order_id for order in snapshot.orders}
    return [r.order.client_order_id for r in _open(ledger, account) if r.order.client_order_id not in listed]


def compare_orders(question: Question) -> list[Finding]:
    """Return what differs in trades and orders; the trades first, in the venue's order."""
    fills = list(_fills(question))
    traded: dict[str, Decimal] = {}
    for finding in fills:
        for message in finding.inputs:
            if isinstance(message, VenueFilled):
                order_id = message.fill.client_order_id
                traded[order_id] = traded.get(order_id, ZERO) + message.fill.qty
    orders = (*_orders(question, traded), *_back(question))
    return [*fills, *orders, *_events(question), *_strangers(question)]


def believed_over(ledger: Ledger, snapshot: VenueSnapshot) -> list[str]:
    """Return the ids of orders that the venue works and that are over here: a late view, or they are not."""
    known = ((order.client_order_id, ledger.orders.get(order.client_order_id)) for order in snapshot.orders)
    return [order_id for order_id, record in known if record is not None and _is_over(record)]


def _is_over(record: OrderRecord) -> bool:
    return not record.is_open and record.status is not Status.FILLED


def not_mine(
    ledger: Ledger, findings: Iterable[Finding], account: str, known: Mapping[str, Instrument]
) -> dict[str, str]:
    """Return what is somebody else's in the instruments that are followed, in words by instrument.

    Less than a lot is what was left over in sharing out, and nobody's.
    """
    found: dict[str, list[str]] = {}
    unassigned = ledger.accounts[account].unassigned
    for name, instrument in known.items():
        if abs(unassigned.qty(name)) >= instrument.lot_size:
            found.setdefault(name, []).append(f"a position of {_plain(unassigned.qty(name))}")
    for finding in findings:
        if finding.verdict is Verdict.FOREIGN and finding.instrument in known:
            found.setdefault(finding.instrument, []).append(f"order {finding.what} ({finding.theirs})")
    return {name: ", ".join(words) for name, words in found.items()}


def compare_holdings(
    ledger: Ledger, snapshot: VenueSnapshot, account: str, known: Mapping[str, Instrument]
) -> list[Finding]:
    """Return what differs in quantities and cash. Ask once all trades of the snapshot are booked.

    `known` are the instruments that are followed: what else its owner holds is not compared. Nor is an asset
    that fees alone were taken in while the venue does not show it: an adapter looks once it has seen a fee.
    """
    book = ledger.accounts[account]
    findings: list[Finding] = []
    for name in sorted({*book.lots, *(name for name in snapshot.positions if name in known)}):
        ours, theirs = book.qty(name), snapshot.positions.get(name, ZERO)
        if ours != theirs:
            findings.append(_differs("position", name, ours, theirs, Verdict.QTY_DIFFERS))
    owed = _due(ledger, account, snapshot.ts)
    own = {book.base_currency, *(instrument.quote for instrument in known.values())}
    for asset in sorted({*(a for a in book.cash if a in own), *snapshot.cash}):
        ours, theirs = book.cash.get(asset, ZERO), snapshot.cash.get(asset, ZERO)
        if not any(_is_same(theirs, o, snapshot.cash_step) for o in (ours, ours + owed.get(asset, ZERO))):
            findings.append(_differs("cash", asset, ours, theirs, Verdict.CASH_DIFFERS))
    return findings


def _is_same(theirs: Decimal, ours: Decimal, step: Decimal) -> bool:
    """Return whether an amount that is shown in steps can be ours."""
    return abs(theirs - ours) < step if step else theirs == ours


def _differs(kind: str, what: str, ours: Decimal, theirs: Decimal, verdict: Verdict) -> Finding:
    return Finding(kind=kind, what=what, ours=_plain(ours), theirs=_plain(theirs), verdict=verdict)


def _due(ledger: Ledger, account: str, now: int) -> dict[str, Decimal]:
    """Return dividends that are payable by now and not booked as paid: the venue may be ahead."""
    due: dict[str, Decimal] = {}
    for accrued in ledger.accrued.values():
        if accrued.account == account and accrued.pays_at <= now:
            amount = sum((share.amount for share in accrued.shares), ZERO)
            due[accrued.asset] = due.get(accrued.asset, ZERO) + amount
    return due


# --- trades ---------------------------------------------------------------------------------------


def _fills(question: Question) -> Iterator[Finding]:
    ledger = question.ledger
    for fill in question.snapshot.fills:
        order_id = fill.client_order_id
        theirs = f"{fill.side.value} {_plain(fill.qty)} {fill.instrument} at {_plain(fill.price)}"
        if order_id in ledger.orders:
            if not ledger.orders.knows_fill(order_id, fill.fill_id):
                yield Finding(
                    kind="fill",
                    what=order_id,
                    ours="-",
                    theirs=theirs,
                    verdict=Verdict.BOOKED,
                    inputs=(VenueFilled(ts=fill.ts, fill=fill),),
                )
        elif (question.account, fill.fill_id) in ledger.venue_refs:
            continue  # booked before as somebody else's
        elif is_own_id(order_id, question.instance):
            is_known = fill.instrument in question.instruments
            yield Finding(
                kind="fill",
                what=order_id,
                ours="-",
                theirs=theirs,
                verdict=Verdict.FROM_ANOTHER_LIFE,
                adopting=(_changed(question, fill),) if is_known else (),
            )
        elif fill.instrument in question.instruments:
            yield Finding(
                kind="fill",
                what=fill.fill_id,
                ours="-",
                theirs=theirs,
                verdict=Verdict.FOREIGN_TRADE,
                inputs=(_changed(question, fill),),
                instrument=fill.instrument,
            )


def _changed(question: Question, fill: Fill) -> PositionChanged:
    """Return what a trade that is not ours did to the account, fee and all."""
    instrument = question.instruments[fill.instrument]
    quantum = question.quantum
    notional = money(fill.qty * fill.price * instrument.multiplier, quantum)
    cash = {instrument.quote: -notional * fill.side.sign}
    qty = fill.qty_signed
    if fill.fee and fill.fee_asset == instrument.base:
        qty -= fill.fee
    elif fill.fee:
        cash[fill.fee_asset] = cash.get(fill.fee_asset, ZERO) - fill.fee
    return PositionChanged(
        ts=fill.ts,
        account=question.account,
        instrument=fill.instrument,
        qty_signed=qty,
        because="traded outside tradebot",
        cash=tuple(AssetAmount(asset, amount) for asset, amount in cash.items()),
        venue_ref=fill.fill_id,
    )


def _events(question: Question) -> Iterator[Finding]:
    for event in question.snapshot.events:
        if (event.account, event.venue_ref) not in question.ledger.venue_refs:
            theirs = f"{_plain(event.amount)} {event.asset}"
            yield Finding(
                kind="cash",
                what=event.because,
                ours="-",
                theirs=theirs,
                verdict=Verdict.BOOKED,
                inputs=(event,),
            )


# --- orders ---------------------------------------------------------------------------------------


def _orders(question: Question, traded: Mapping[str, Decimal]) -> Iterator[Finding]:
    listed = {order.client_order_id: order for order in question.snapshot.orders}
    for record in _open(question.ledger, question.account):
        order_id = record.order.client_order_id
        if not question.may_judge(order_id):
            continue
        theirs = listed.get(order_id) or question.found.get(order_id)
        new_fills = traded.get(order_id, ZERO)
        if theirs is None:
            finding = _absent(question, record)
        elif theirs.standing is Standing.WORKING:
            finding = _working(question, record, theirs)
        else:
            finding = _over(question, record, theirs, new_fills)
        if finding is not None:
            yield finding


def _absent(question: Question, record: OrderRecord) -> Finding | None:
    order_id, ts = record.order.client_order_id, question.snapshot.ts
    inputs: tuple[Input, ...] = ()
    verdict = Verdict.UNKNOWN
    if question.absence_is_proof:
        verdict = Verdict.NEVER_ARRIVED
        reason = "the venue does not know it: it never arrived"
        if record.venue_order_id:
            inputs = (VenueCanceled(ts=ts, client_order_id=order_id, reason="the venue no longer knows it"),)
        elif record.status is Status.PENDING_NEW:
            # The process ended before it was sent: nobody refused it, so its like may go out at once.
            inputs = (ReleaseUnknown(ts=ts, client_order_id=order_id, reason=reason),)
        else:
            inputs = (VenueRefused(ts=ts, client_order_id=order_id, reason=reason),)
    elif record.status is Status.PENDING_NEW:
        inputs = (VenueUnknown(ts=ts, client_order_id=order_id, reason="not found at the venue"),)
    return _of(record, "-", verdict, inputs)


def _working(question: Question, record: OrderRecord, theirs: VenueOrder) -> Finding | None:
    order_id, ts = record.order.client_order_id, question.snapshot.ts
    status = record.status
    if status in (Status.PENDING_NEW, Status.UNKNOWN):
        acked = VenueAcked(ts=ts, client_order_id=order_id, venue_order_id=theirs.venue_order_id)
        return _of(record, theirs.standing.value, Verdict.LIVE, (acked,))
    if status is Status.PENDING_CANCEL:
        return _of(record, theirs.standing.value, Verdict.LIVE, (_still(ts, order_id),))
    if status is Status.PENDING_REPLACE:
        heir = next(
            (r for r in _open(question.ledger, question.account) if r.order.replaces == order_id), None
        )
        heir_id = "" if heir is None else heir.order.client_order_id
        if heir is None or (question.absence_is_proof and question.found.get(heir_id, heir) is None):
            return _of(record, theirs.standing.value, Verdict.LIVE, (_still(ts, order_id),))
    return None


def _still(ts: int, order_id: str) -> VenueCancelRefused:
    return VenueCancelRefused(ts=ts, client_order_id=order_id, reason="still working at the venue")


def _over(question: Question, record: OrderRecord, theirs: VenueOrder, traded: Decimal) -> Finding | None:
    order_id, ts = record.order.client_order_id, question.snapshot.ts
    reports: tuple[VenueReport, ...]
    if theirs.standing is Standing.FILLED:
        if record.filled_qty + traded == record.qty:
            return None  # the trades say it all
        if not (record.splits and question.is_told(order_id)):
            # Its trades are still to be shown: they come with a look further back.
            return _of(record, theirs.standing.value, Verdict.UNKNOWN, ())
        # In whose units it filled is not known: a split met it on its way, or left less than a lot of it.
        reason = "the venue filled it and shows no more trades of it"
        reports = (VenueCanceled(ts=ts, client_order_id=order_id, reason=reason),)
    elif theirs.standing is Standing.REPLACED and theirs.by in question.ledger.orders:
        reports = (VenueReplaced(ts=ts, client_order_id=order_id, by=theirs.by),)
    elif theirs.standing is Standing.EXPIRED:
        reports = (VenueExpired(ts=ts, client_order_id=order_id),)
    elif theirs.standing is Standing.REJECTED:
        reports = (VenueRefused(ts=ts, client_order_id=order_id, reason=theirs.reason),)
    else:
        reports = (VenueCanceled(ts=ts, client_order_id=order_id, reason=theirs.reason),)
    return _of(record, theirs.standing.value, Verdict.OVER, reports)


def _back(question: Question) -> Iterator[Finding]:
    for order in question.snapshot.orders:
        order_id = order.client_order_id
        record = question.ledger.orders.get(order_id)
        if record is not None and _is_over(record) and question.is_back(order_id):
            ts, venue_id = question.snapshot.ts, order.venue_order_id
            message = StillWorks(ts=ts, client_order_id=order_id, venue_order_id=venue_id)
            yield _of(record, order.standing.value, Verdict.BACK, (message,))


def _of(record: OrderRecord, theirs: str, verdict: Verdict, inputs: tuple[Input, ...]) -> Finding:
    order = record.order
    ours = f"{record.status.value}: {order.side.value} {_plain(order.qty)} {order.instrument}"
    return Finding(
        kind="order", what=order.client_order_id, ours=ours, theirs=theirs, verdict=verdict, inputs=inputs
    )


def _strangers(question: Question) -> Iterator[Finding]:
    for order in question.snapshot.orders:
        order_id = order.client_order_id
        if order_id in question.ledger.orders:
            continue
        is_ours = is_own_id(order_id, question.instance)
        yield Finding(
            kind="order",
            what=order_id or order.venue_order_id,
            ours="-",
            theirs=f"{order.standing.value}: {order.side.value} {_plain(order.qty)} {order.instrument}",
            verdict=Verdict.FROM_ANOTHER_LIFE if is_ours else Verdict.FOREIGN,
            instrument=order.instrument,
        )


def _open(ledger: Ledger, account: str) -> Iterator[OrderRecord]:
    for working in ledger.open.values():
        for record in working.values():
            if record.order.account == account:
                yield record


def _plain(amount: Decimal) -> str:
    return f"{amount.normalize():f}"
