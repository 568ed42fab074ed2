"""Say what happened: facts as lines of the log, and the few of them that the owner must hear of as alerts.

Owns which fact is worth a line, at which level, and which one a message, how urgent. Each line about money
carries the id of its order. Decides nothing and is asked by nothing: a fact that is not told has
happened all the same.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import partial
from typing import Any, Protocol

from tradebot.core import facts as f
from tradebot.core.reconcile import Finding, Verdict
from tradebot.core.rules import CONDITIONS, CRITICAL, OWNER
from tradebot.core.scope import HaltKey, HaltLevel, Scope
from tradebot.daemon.alerts import Severity
from tradebot.daemon.control_words import lifting

_BRIEF = 30.0  # seconds that a condition must last to be worth a message
_QUIET = (Verdict.FOREIGN, Verdict.LIVE)


class Log(Protocol):
    """What is asked of structlog."""

    def debug(self, event: str, **fields: Any) -> object: ...

    def info(self, event: str, **fields: Any) -> object: ...

    def warning(self, event: str, **fields: Any) -> object: ...

    def error(self, event: str, **fields: Any) -> object: ...

    def critical(self, event: str, **fields: Any) -> object: ...


Alarm = Callable[[Severity, str, str, str], None]


class Teller:
    """Tells of the accounts of one daemon."""

    def __init__(self, log: Log, alarm: Alarm) -> None:
        """`alarm(severity, key, title, body)` reaches the owner (`courier.Courier.tell`)."""
        self._log = log
        self._alarm = alarm
        self._brief: dict[
            tuple[str, HaltKey], tuple[float, Callable[[], None]]
        ] = {}  # conditions not told yet
        self._now = 0.0
        self._orders: dict[type[f.Fact], str] = {
            f.OrderAccepted: "order_accepted",
            f.OrderTriggered: "order_triggered",
            f.OrderCanceled: "order_canceled",
            f.OrderExpired: "order_expired",
            f.OrderReplaced: "order_replaced",
            f.CancelRequested: "cancel_requested",
            f.CancelRefused: "cancel_refused",
        }

    def fact(self, account: str, recorded: f.Recorded) -> None:
        """Tell of one committed fact."""
        fact = recorded.fact
        match fact:
            case f.OrderFilled():
                self._filled(account, fact)
            case f.OrderIntended():
                self._intended(account, fact)
            case f.OrderRejected() | f.SubmitUnknown() | f.SubmitAbsent():
                self._lost(account, fact)
            case f.OrderDenied():
                self._log.info(
                    "order_denied",
                    account=account,
                    strategy=fact.strategy,
                    instrument=fact.instrument,
                    side=fact.side.value,
                    qty=str(fact.qty),
                    rule=fact.rule,
                    reason=fact.reason,
                )
            case f.HaltSet():
                self._halted(account, fact)
            case f.StrategyFailed():
                self._failed(account, fact)
            case f.Skipped() if fact.rule == "unprotected":
                self._unprotected(account, fact)
            case _ if type(fact) in self._orders:
                self._log.debug(
                    self._orders[type(fact)],
                    account=account,
                    order=getattr(fact, "client_order_id", ""),
                    reason=getattr(fact, "reason", getattr(fact, "because", "")),
                )

    def tick(self, now: float) -> None:
        """Tell of conditions that last; `now` in seconds, monotonic."""
        self._now = now
        for key in [key for key, (due, _) in self._brief.items() if now >= due]:
            self._brief.pop(key)[1]()

    def findings(self, account: str, found: Iterable[Finding]) -> None:
        """Tell of what a comparison with the venue found."""
        for one in found:
            say = self._log.info if one.verdict in _QUIET else self._log.warning
            say(
                "reconcile_finding",
                account=account,
                kind=one.kind,
                what=one.what,
                ours=one.ours,
                theirs=one.theirs,
                verdict=one.verdict.name.lower(),
                means=one.verdict.value,
            )

    def feed_over(self, account: str) -> None:
        """Tell that the market data have ended."""
        self._log.warning("feed_over", account=account)
        self._alarm(
            Severity.WARNING, f"feed/{account}", f"{account}: the feed has ended", "Nothing more will come."
        )

    # --- orders -------------------------------------------------------------------------------------

    def _filled(self, account: str, fact: f.OrderFilled) -> None:
        fill = fact.fill
        self._log.info(
            "fill",
            account=account,
            order=fill.client_order_id,
            fill=fill.fill_id,
            strategy=fact.strategy,
            instrument=fill.instrument,
            side=fill.side.value,
            qty=str(fill.qty),
            price=str(fill.price),
            fee=str(fill.fee),
            fee_asset=fill.fee_asset,
            realized=str(fact.realized),
        )

    def _intended(self, account: str, fact: f.OrderIntended) -> None:
        order = fact.order
        self._log.info(
            "order_intended",
            account=account,
            order=order.client_order_id,
            strategy=order.strategy,
            instrument=order.instrument,
            side=order.side.value,
            qty=str(order.qty),
            kind=order.kind.value,
            purpose=order.purpose.value,
            price=fact.price,
        )

    def _lost(self, account: str, fact: f.OrderRejected | f.SubmitUnknown | f.SubmitAbsent) -> None:
        order = fact.client_order_id
        match fact:
            case f.OrderRejected():
                self._log.warning("order_rejected", account=account, order=order, reason=fact.reason)
                self._alarm(
                    Severity.WARNING,
                    f"rejected/{account}/{fact.reason}",
                    f"{account}: an order was refused",
                    f"{order}: {fact.reason}",
                )
            case f.SubmitUnknown():
                self._log.warning("order_unknown", account=account, order=order, reason=fact.reason)
            case f.SubmitAbsent():
                self._log.error("order_absent", account=account, order=order, checks=fact.checks)
                self._alarm(
                    Severity.ERROR,
                    f"absent/{account}/{order}",
                    f"{account}: the venue does not show an order whose fate is unknown",
                    f"{order} was looked for {fact.checks} times. It counts as live and its symbol is halted.",
                )

    # --- what stops ---------------------------------------------------------------------------------

    def _halted(self, account: str, fact: f.HaltSet) -> None:
        about = shown(fact.scope)
        fields = {
            "account": account,
            "scope": about,
            "level": fact.level.name.lower(),
            "rule": fact.rule,
            "reason": fact.reason,
        }
        key = (account, HaltKey(fact.scope, fact.rule))
        if fact.level is HaltLevel.NONE:
            self._brief.pop(key, None)
            self._log.info("halt_lifted", **fields)
            return
        severity = severity_of(fact.rule)
        row = {
            "account": account,
            "strategy": fact.scope.strategy,
            "instrument": fact.scope.instrument,
            "rule": fact.rule,
        }
        say = self._log.critical if severity is Severity.CRITICAL else self._log.warning
        say("halted", **fields)
        is_condition = fact.rule in CONDITIONS
        way_out = (
            "Nothing new is opened until it is over; then it goes on by itself."
            if is_condition
            else f"Protective exits still go out. Look: tradebot status. Lift it: {lifting(row)}"
        )
        tell = partial(
            self._alarm,
            severity,
            f"halt/{account}/{about}/{fact.rule}",
            f"{account}: {about} is halted ({fact.rule})",
            f"{fact.reason}\n{way_out}",
        )
        if is_condition:
            self._brief[key] = (self._now + _BRIEF, tell)
        else:
            tell()

    def _failed(self, account: str, fact: f.StrategyFailed) -> None:
        self._log.error(
            "strategy_failed",
            account=account,
            strategy=fact.strategy,
            instrument=fact.instrument,
            error=fact.error,
        )
        self._alarm(
            Severity.ERROR,
            f"failed/{account}/{fact.strategy}",
            f"{account}: strategy {fact.strategy} failed",
            f"{fact.error}\nIt is not called any more before the next start; its positions keep their exits.",
        )

    def _unprotected(self, account: str, fact: f.Skipped) -> None:
        fields = {"account": account, "strategy": fact.strategy, "instrument": fact.instrument}
        self._log.error("unprotected", reason=fact.reason, **fields)
        self._alarm(
            Severity.ERROR,
            f"unprotected/{account}/{fact.strategy}/{fact.instrument}",
            f"{account}: {fact.instrument} of {fact.strategy} has no protective exit",
            fact.reason,
        )


def severity_of(rule: str) -> Severity:
    """Return how urgent a halt by this rule is."""
    if rule in CRITICAL:
        return Severity.CRITICAL
    return Severity.WARNING if rule in (OWNER, *CONDITIONS) else Severity.ERROR


def shown(scope: Scope) -> str:
    """Return a scope in words."""
    words = [w for w in (scope.strategy, scope.instrument) if w is not None]
    return " in ".join(words) or "everything"
