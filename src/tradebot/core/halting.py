"""Set halts and do what each level asks for at once.

Owns the levels' meaning for what is working already: quotes pulled, positions flattened, what was
not done meanwhile rested at a resume. What may leave under a halt is the gate's to judge.
"""

from __future__ import annotations

from collections.abc import Mapping

from tradebot.core import facts as f
from tradebot.core import messages as m
from tradebot.core.desk import Desk
from tradebot.core.legs import Leg
from tradebot.core.quoting import Quoter
from tradebot.core.recorder import Recorder
from tradebot.core.rules import CONDITIONS, UNKNOWN_ORDER
from tradebot.core.scope import HaltKey, HaltLevel, Scope


class Halts:
    """Sets and lifts halts.

    A condition opens nothing new while it stands, and its end is no resume: what was refused meanwhile is
    tried again at its retry times, as after any other refusal, and given up after so many.
    """

    def __init__(
        self, recorder: Recorder, desk: Desk, quoter: Quoter, legs: Mapping[tuple[str, str], Leg]
    ) -> None:
        self._rec = recorder
        self._ledger = recorder.ledger
        self._desk = desk
        self._quoter = quoter
        self._legs = legs

    def take(self, halt: m.SetHalt) -> None:
        """Set or lift one halt of a scope and do at once what it asks for."""
        before = {leg.key: self._ledger.halt_level(*leg.key)[0] for leg in self._legs.values()}
        self._rec.fact(
            f.HaltSet(
                ts=self._rec.now,
                level=halt.level,
                scope=halt.scope,
                reason=halt.reason,
                rule=halt.rule,
                numbers=halt.numbers,
            )
        )
        for leg in self._legs.values():
            if not halt.scope.covers(*leg.key, leg.spec.account):
                continue
            if halt.rule in CONDITIONS:
                if leg.wish.quotes is not None and halt.level is not HaltLevel.NONE:
                    self._quoter.pull(leg, halt.rule)  # they would rest at prices that nobody follows
            elif halt.level is HaltLevel.FLATTEN:
                self._desk.suspend(leg, "flatten")
            elif halt.level is HaltLevel.CANCEL_ENTRIES:
                self._quoter.pull(leg, "halted")
            elif before[leg.key] is not self._ledger.halt_level(*leg.key)[0] is HaltLevel.NONE:
                self._desk.resume(leg)
            self._desk.work(leg)

    def stop_risk(self, scope: Scope, reason: str, rule: str) -> None:
        """Let nothing new out for a scope by a rule; what it said first is kept."""
        if HaltKey(scope, rule) not in self._ledger.halts:
            level = HaltLevel.NO_NEW_RISK
            self._rec.fact(f.HaltSet(ts=self._rec.now, level=level, scope=scope, reason=reason, rule=rule))

    def lift_unknown(self, instrument: str, ts: int) -> None:
        """Lift the halt that unknown orders of a symbol brought, once none is left."""
        scope = Scope(None, instrument)
        if HaltKey(scope, UNKNOWN_ORDER) not in self._ledger.halts:
            return
        left = (
            record
            for (_, name), working in self._ledger.open.items()
            if name == instrument
            for record in working.values()
        )
        if not any(record.is_unknown for record in left):
            reason = "every unknown order was let go of"
            self.take(m.SetHalt(ts=ts, level=HaltLevel.NONE, reason=reason, scope=scope, rule=UNKNOWN_ORDER))
