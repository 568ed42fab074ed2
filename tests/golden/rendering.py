"""Write facts one per line, so that a run reads like a story and a change shows as a diff.

Orders are named o1, o2, ... in order of appearance; times are day and clock (UTC) from the run's start.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import fields
from decimal import Decimal
from enum import Enum
from typing import Any

from tests.core.world import START
from tradebot.core import facts as f
from tradebot.core.model import DAY, HOUR, MINUTE, SECOND, ExitRules, Order

_ORDER_ID = re.compile(r"tb[0-9a-v]{11}")

# Beginnings that are the same in every run.
_OPENING = (f.RunStarted, f.AccountOpened, f.StrategyEnrolled, f.CashMoved, f.AssignmentMade)


def _plain(amount: Decimal) -> str:
    return f"{amount.normalize():f}"


class Story:
    """Renders facts; remembers which order was named how."""

    def __init__(self) -> None:
        self._names: dict[str, str] = {}
        self._started = False

    def lines(self, facts: Iterable[f.Recorded]) -> list[str]:
        return [line for recorded in facts if (line := self._line(recorded))]

    def _line(self, recorded: f.Recorded) -> str:
        fact = recorded.fact
        if not self._started and isinstance(fact, _OPENING):
            return ""
        self._started = True
        if isinstance(fact, f.DayStarted | f.TimerSet | f.TimerFired | f.OrderAccepted):
            return ""  # they follow from the rest and would drown it
        told = _ORDER_ID.sub(lambda found: self._name(found[0]), self._told(fact))
        return f"{self._clock(recorded.seen)}  {told}"

    @staticmethod
    def _clock(ts: int) -> str:
        day, rest = divmod(ts - START, DAY)
        seconds = f":{rest % MINUTE // SECOND:02d}" if rest % MINUTE else ""
        return f"{day:>2}d {rest // HOUR:02d}:{rest % HOUR // MINUTE:02d}{seconds}"

    def _told(self, fact: f.Fact) -> str:
        match fact:
            case f.TargetSet():
                return self._target(fact)
            case f.OrderIntended():
                return f"order {self._order(fact.order)}"
            case f.ReplaceRequested():
                return f"replace {self._name(fact.client_order_id)} by {self._order(fact.order)}"
            case f.OrderFilled():
                return self._fill(fact)
            case f.TargetSuspended():
                bars = "" if fact.bars is None else f" for {fact.bars} bars"
                return f"rest {fact.strategy}/{fact.instrument}{bars}: {fact.because}"
            case f.TargetReleased():
                return f"released {fact.strategy}/{fact.instrument}: {fact.because}"
            case f.Skipped() | f.OrderDenied():
                word = "denied" if isinstance(fact, f.OrderDenied) else "skipped"
                return f"{word} {fact.strategy}/{fact.instrument} {fact.rule}: {fact.reason}"
            case f.RetrySet():
                when = "now" if fact.at is None else f"at {self._clock(fact.at)}"
                what = "given up" if fact.is_last else f"try {fact.attempt} {when}"
                return f"retry {fact.strategy}/{fact.instrument}: {what}"
        return self._plain(fact)

    def _target(self, fact: f.TargetSet) -> str:
        word = f"weight {fact.weight:g}" if fact.weight is not None else f"qty {fact.asked_qty:g}"
        parts = [
            f"target {fact.strategy}/{fact.instrument} {word} = {_plain(fact.wanted_qty)} at {fact.price:g}"
        ]
        if fact.because != "signal":
            parts.append(f"because {fact.because}")
        if fact.reason:
            parts.append(f"({fact.reason})")
        return " ".join(parts)

    def _order(self, order: Order) -> str:
        parts = [self._name(order.client_order_id), order.strategy, order.side.value, _plain(order.qty)]
        parts += [order.instrument, order.kind.value]
        for name, value in (("limit", order.limit_price), ("stop", order.stop_price), ("trail", order.trail)):
            if value is not None:
                parts.append(f"{name} {_plain(value)}")
        if order.tif.value != "gtc":
            parts.append(order.tif.value)
        if order.purpose.value != "target":
            parts.append(order.purpose.value)
        return " ".join(parts)

    def _fill(self, fact: f.OrderFilled) -> str:
        fill = fact.fill
        parts = [
            f"fill {self._name(fill.client_order_id)} {fill.side.value} {_plain(fill.qty)} at {_plain(fill.price)}"
        ]
        if fill.fee:
            parts.append(f"fee {_plain(fill.fee)} {fill.fee_asset}")
        if fact.realized:
            parts.append(f"profit {_plain(fact.realized)}")
        if fill.assumed:
            parts.append("ASSUMED THE WORSE")
        return " ".join(parts)

    def _plain(self, fact: f.Fact) -> str:
        told = [
            f"{field.name}={self._value(field.name, getattr(fact, field.name))}"
            for field in fields(fact)
            if field.name != "ts" and getattr(fact, field.name) not in (None, (), "")
        ]
        return " ".join([type(fact).__name__, *told])

    def _value(self, name: str, value: Any) -> str:
        if name in ("client_order_id", "by"):
            return self._name(value)
        if name == "schedule":
            return "[" + ", ".join(self._clock(at).strip() for at in value) + "]"
        if name in ("closes_at", "opens_at", "pays_at", "at"):
            return self._clock(value)
        if isinstance(value, Decimal):
            return _plain(value)
        if isinstance(value, Enum):
            return value.name.lower()
        if isinstance(value, tuple) and hasattr(value, "_fields"):
            return "/".join(self._value("", part) for part in value if part is not None) or "everything"
        if isinstance(value, tuple):
            return "[" + ", ".join(self._value("", part) for part in value) + "]"
        if hasattr(value, "lot_id"):
            return f"{self._value('', value.qty)} for {self._value('', value.basis)}"
        if isinstance(value, ExitRules):
            return "exits"
        if hasattr(value, "value") and hasattr(value, "name"):
            return f"{value.name}={value.value:g}"
        return str(value)

    def _name(self, order_id: str) -> str:
        return self._names.setdefault(order_id, f"o{len(self._names) + 1}")
