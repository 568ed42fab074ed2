"""Put the facts behind an order, or behind none, into sentences with their numbers.

Owns the wording of `why` and `why-not`. Takes facts and returns lines; reads no file and knows no clock.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import NamedTuple

from tradebot.core import facts as f
from tradebot.core.facts import Recorded
from tradebot.core.model import Explained, Order
from tradebot.core.risk import ALWAYS, INCREASING
from tradebot.core.scope import HaltLevel


class Line(NamedTuple):
    """A step: when (ns UTC), what kind of step, in words, with its numbers."""

    ts: int
    step: str
    text: str
    numbers: dict[str, float]


@dataclass(frozen=True, slots=True, kw_only=True)
class Moment:
    """What is asked about: a strategy's instrument at `at` (ns UTC), and what was so then.

    `held` and `working` are signed quantities, None when they cannot be told for that time.
    `down` is (from, to) when nothing ran then; `last_data` the newest market data seen, None = none ever.
    """

    strategy: str
    instrument: str
    at: int
    is_enrolled: bool
    held: Decimal | None
    working: Decimal | None = None
    down: tuple[int, int | None] | None = None
    halt: tuple[str, str, str] | None = None  # level, rule, reason
    last_data: int | None = None


# --- why ------------------------------------------------------------------------------------------


def order_story(facts: Sequence[Recorded], order_id: str) -> list[Line]:
    """Return the way of an order: bar, signal, sizing, rules, slices, the venue's words, fills."""
    lines: list[Line] = []
    for recorded in facts:
        lines += _told(recorded.fact, order_id)
    return lines


def _told(fact: f.Fact, order_id: str) -> Iterator[Line]:
    teller = _TELLERS.get(type(fact))
    if teller is not None:
        for step, text, numbers in teller(fact, order_id):
            yield Line(fact.ts, step, text, numbers)


Told = Iterable[tuple[str, str, dict[str, float]]]


def _target(fact: f.TargetSet, _: str) -> Told:
    yield "bar", f"{fact.instrument} at {fact.price:g}", {"price": fact.price}
    numbers = _numbers(fact.explained)
    if numbers:
        said = fact.reason or (fact.because if fact.because != "signal" else "")
        yield "signal", f"{said}: {numbers}" if said else numbers, _as_dict(fact.explained)
    else:
        yield "signal", fact.reason or fact.because, {}
    yield (
        "sizing",
        _sizing(fact),
        {"price": fact.price, "equity": fact.equity, "wanted": float(fact.wanted_qty)},
    )


def _sizing(fact: f.TargetSet) -> str:
    wanted = float(fact.wanted_qty)
    worth = abs(wanted) * fact.price
    share = f", {worth / fact.equity * 100:.1f} % of its equity {fact.equity:,.2f}" if fact.equity > 0 else ""
    if fact.weight is None:
        return f"asked for {fact.asked_qty:g}; on the venue's grid {_plain(fact.wanted_qty)}{share}"
    full = f" x full size {wanted / fact.weight:.8g}" if fact.weight else ""
    return f"weight {fact.weight:g}{full} = {_plain(fact.wanted_qty)}, worth {worth:,.2f}{share}"


def _quotes(fact: f.QuotesSet, _: str) -> Told:
    sides = [
        f"{word} " + ", ".join(f"{_plain(qty)} at {_plain(price)}" for price, qty in levels)
        for word, levels in (("bids", fact.bids), ("asks", fact.asks))
        if levels
    ]
    yield "signal", f"quotes {'; '.join(sides) or 'nothing'}", {}


def _suspended(fact: f.TargetSuspended, _: str) -> Told:
    yield "suspended", f"the target rests because of {fact.because}", {}


def _crossed(fact: f.ExitCrossed, _: str) -> Told:
    text = f"{fact.exit} at {fact.level:g}, kept by the engine, was reached: the price was {fact.seen:g}"
    yield "exit", text, {"level": fact.level, "seen": fact.seen}


def _released(fact: f.TargetReleased, _: str) -> Told:
    yield "released", f"the target counts again: {fact.because}", {}


def _skipped(fact: f.Skipped, _: str) -> Told:
    yield "waited", f"{fact.rule}: {fact.reason}{_bracketed(fact.numbers)}", _as_dict(fact.numbers)


def _skip_ended(fact: f.SkipEnded, _: str) -> Told:
    if fact.repeats:
        yield "waited", f"{fact.rule}: {fact.repeats} times more", {"repeats": float(fact.repeats)}


def _denied(fact: f.OrderDenied, _: str) -> Told:
    text = f"{fact.side.value} {_plain(fact.qty)} refused by {fact.rule}: {fact.reason}{_bracketed(fact.numbers)}"
    yield "rule", text, _as_dict(fact.numbers)


def _shrunk(fact: f.OrderShrunk, _: str) -> Told:
    numbers = {"asked": float(fact.asked), "allowed": float(fact.allowed)}
    yield "rule", f"{fact.rule} cut {_plain(fact.asked)} to {_plain(fact.allowed)}: {fact.reason}", numbers


def _retry(fact: f.RetrySet, _: str) -> Told:
    if fact.is_last:
        yield "retry", f"given up after {fact.attempt} tries, until the target changes", {}
    elif fact.at is not None:
        yield "retry", f"try {fact.attempt} waits", {"at": float(fact.at)}


def _parent(fact: f.ParentOpened, _: str) -> Told:
    parts = " + ".join(_plain(qty) for qty in fact.slices)
    yield (
        "slices",
        f"{fact.algorithm}: {fact.side.value} {_plain(fact.qty)} as {parts} ({fact.parent_id})",
        {},
    )


def _progress(fact: f.ParentProgressed, _: str) -> Told:
    yield "slices", f"slice {fact.slice + 1} hands on {_plain(fact.qty)}", {}


def _parent_over(fact: f.ParentClosed, _: str) -> Told:
    yield "slices", f"over: {fact.because}", {}


def _intended(fact: f.OrderIntended, order_id: str) -> Told:
    if fact.order.client_order_id == order_id:
        yield from _passed(fact)
        yield "order", f"{order_words(fact.order)}, the price was {fact.price:g}", {"price": fact.price}


def _replacing(fact: f.ReplaceRequested, order_id: str) -> Told:
    if fact.order.client_order_id == order_id:
        yield from _passed(fact)
        yield "order", f"{order_words(fact.order)} in the place of {fact.client_order_id}", {}
    else:
        yield "order", f"to be replaced by {fact.order.client_order_id}", {}


def _passed(fact: f.OrderIntended | f.ReplaceRequested) -> Told:
    always = ", ".join(rule.__name__ for rule in ALWAYS)
    purpose = fact.order.purpose.value
    if purpose == "target":
        further = ", ".join(rule.__name__ for rule in INCREASING)
        text = f"asked and without objection: {always}; where it does not only reduce: {further}"
    else:
        text = f"asked and without objection: {always} ({purpose} reduces risk)"
    yield "rules", text, {}
    for rule, value, limit in fact.compared:
        bound = "at least" if rule in _LEAST else "at most"
        yield "rules", f"{rule}: {value:.8g}, {bound} {limit:.8g}", {"value": value, "limit": limit}


_LEAST = ("min_qty", "min_notional", "short")  # what is bounded from below


def order_words(order: Order) -> str:
    """Return an order in a few words."""
    words = [order.side.value, _plain(order.qty), order.instrument, order.kind.value]
    words += [f"limit {_plain(order.limit_price)}"] if order.limit_price is not None else []
    words += [f"stop {_plain(order.stop_price)}"] if order.stop_price is not None else []
    words += [f"trail {_plain(order.trail)}"] if order.trail is not None else []
    return " ".join([*words, order.tif.value, f"to {order.purpose.value}"])


def _filled(fact: f.OrderFilled, order_id: str) -> Told:
    fill = fact.fill
    if fill.client_order_id == order_id:
        text = f"{_plain(fill.qty)} at {_plain(fill.price)}, fee {_plain(fill.fee)} {fill.fee_asset}"
        text += f", realized {fact.realized:+.2f}" if fact.realized else ""
        yield "fill", text, {"qty": float(fill.qty), "price": float(fill.price), "fee": float(fill.fee)}


def _say(step: str, text: str) -> Callable[[f.Fact, str], Told]:
    def teller(fact: f.Fact, order_id: str) -> Told:
        if getattr(fact, "client_order_id", order_id) == order_id:
            fields = {name: getattr(fact, name, "") for name in ("venue_order_id", "reason", "because", "by")}
            said = text.format(**fields).rstrip(": ")
            yield step, said, {}

    return teller


_TELLERS: dict[type[f.Fact], Callable[..., Told]] = {
    f.TargetSet: _target,
    f.QuotesSet: _quotes,
    f.TargetSuspended: _suspended,
    f.ExitCrossed: _crossed,
    f.TargetReleased: _released,
    f.Skipped: _skipped,
    f.SkipEnded: _skip_ended,
    f.OrderDenied: _denied,
    f.OrderShrunk: _shrunk,
    f.RetrySet: _retry,
    f.ParentOpened: _parent,
    f.ParentProgressed: _progress,
    f.ParentClosed: _parent_over,
    f.OrderIntended: _intended,
    f.ReplaceRequested: _replacing,
    f.OrderFilled: _filled,
    f.OrderAccepted: _say("venue", "accepted as {venue_order_id}"),
    f.OrderRejected: _say("venue", "refused: {reason}"),
    f.SubmitUnknown: _say("venue", "nobody can say whether it arrived: {reason}"),
    f.SubmitAbsent: _say("venue", "looked for in vain, however often; it still counts as working"),
    f.UnknownReleased: _say("venue", "let go of: {reason}"),
    f.OrderReopened: _say("venue", "works it though it counted as over: its end is asked for"),
    f.OrderTriggered: _say("venue", "its stop was reached"),
    f.CancelRequested: _say("order", "to be cancelled: {because}"),
    f.CancelRefused: _say("venue", "would not cancel: {reason}"),
    f.OrderReplaced: _say("venue", "replaced by {by}"),
    f.OrderCanceled: _say("venue", "cancelled: {reason}"),
    f.OrderExpired: _say("venue", "expired"),
}


# --- why not --------------------------------------------------------------------------------------


def why_not(moment: Moment, decisions: Sequence[Recorded]) -> list[Line]:
    """Return what kept a strategy from trading an instrument, the decisive line first.

    `decisions` are those at or before the moment, newest first.
    """
    at = moment.at
    lines: list[Line] = []
    if moment.down is not None:
        begin, end = moment.down
        lines.append(
            Line(begin, "down", "the daemon was down" + ("" if end is None else " until it was started"), {})
        )
    if not moment.is_enrolled:
        text = f"strategy {moment.strategy} does not trade it: it is not in the configuration that ran"
        return [*lines, Line(at, "disabled", text, {})]
    if moment.halt is not None:
        level, rule, reason = moment.halt
        words = level.lower().replace("_", " ")
        if level != HaltLevel.NONE.name:
            lines.append(Line(at, "halted", f"{words}, by {rule}: {reason}", {}))
    if moment.last_data is None:
        lines.append(Line(at, "no bar", "no bar or quote of it has been seen yet", {}))
    lines += _from_decisions(moment, decisions)
    return lines


def _from_decisions(moment: Moment, decisions: Sequence[Recorded]) -> Iterator[Line]:
    at = moment.at
    wish: f.TargetSet | f.QuotesSet | None = None
    seen: set[type[f.Fact]] = set()
    found: list[Line] = []
    for recorded in decisions:
        fact = recorded.fact
        if isinstance(fact, f.TargetSet | f.QuotesSet):
            wish = fact
            break
        found += _obstacle(fact, seen)
        seen.add(type(fact))
    yield from found
    if wish is None:
        yield Line(at, "no signal", "the strategy has not said yet what it wants of it", {})
    elif isinstance(wish, f.QuotesSet):
        yield from (Line(wish.ts, *told) for told in _quotes(wish, ""))
    else:
        yield from _wanted(moment, wish, is_explained=bool(found))


def _obstacle(fact: f.Fact, seen: set[type[f.Fact]]) -> Iterator[Line]:
    if isinstance(fact, f.StrategyFailed) and type(fact) not in seen:
        yield Line(
            fact.ts, "disabled", f"the strategy failed and decides no more in this run: {fact.error}", {}
        )
    elif isinstance(fact, f.TargetSuspended) and not seen & {f.TargetReleased, f.TargetSuspended}:
        yield Line(
            fact.ts, "suspended", f"it rests after {fact.because} until the strategy wants something else", {}
        )
    elif isinstance(fact, f.Skipped | f.OrderDenied) and not seen & {f.SkipEnded, f.Skipped, f.OrderDenied}:
        step = {"session_closed": "session closed", "price_missing": "no bar"}.get(fact.rule, "rule")
        yield Line(
            fact.ts, step, f"{fact.rule}: {fact.reason}{_bracketed(fact.numbers)}", _as_dict(fact.numbers)
        )
    elif isinstance(fact, f.BadDataSeen) and type(fact) not in seen:
        yield Line(fact.ts, "no bar", f"its data were refused: {fact.problem}", {})
    elif isinstance(fact, f.InputsMissed) and type(fact) not in seen:
        yield Line(fact.ts, "no bar", f"did not arrive in time: {', '.join(fact.missing)}", {})
    elif isinstance(fact, f.RetrySet) and fact.is_last and type(fact) not in seen:
        yield Line(fact.ts, "given up", f"tried {fact.attempt} times; again when the target changes", {})
    elif isinstance(fact, f.OrderShrunk) and type(fact) not in seen:
        yield from (Line(fact.ts, *told) for told in _shrunk(fact, ""))


def _wanted(moment: Moment, wish: f.TargetSet, *, is_explained: bool) -> Iterator[Line]:
    lead = "it wants" if is_explained else "the last word stands: it wants"
    text = f"{lead} {_plain(wish.wanted_qty)} ({_sizing(wish)})"
    if wish.explained:
        text += f"; {_numbers(wish.explained)}"
    numbers = {**_as_dict(wish.explained), "wanted": float(wish.wanted_qty)}
    step = "wanted"
    if not is_explained and moment.held is not None:
        working = moment.working or Decimal(0)
        numbers |= {"held": float(moment.held), "working": float(working)}
        text += f"; it holds {_plain(moment.held)}"
        text += f" and {_plain(working)} is under way" if working else ""
        if wish.wanted_qty == moment.held + working:
            step = "no signal"
            text += ": nothing is missing, and no new signal came since"
    yield Line(wish.ts, step, text, numbers)


# --- words ----------------------------------------------------------------------------------------


def _numbers(explained: Sequence[Explained]) -> str:
    return ", ".join(f"{e.name}={e.value:.6g}" for e in explained)


def _bracketed(explained: Sequence[Explained]) -> str:
    return f" ({_numbers(explained)})" if explained else ""


def _as_dict(explained: Sequence[Explained]) -> dict[str, float]:
    return {e.name: e.value for e in explained}


def _plain(value: Decimal | None) -> str:
    if value is None:
        return "-"
    text = f"{value:f}"
    return text.rstrip("0").rstrip(".") if "." in text else text
