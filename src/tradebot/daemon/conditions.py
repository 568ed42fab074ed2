"""Open nothing new while something outside is amiss: a lost connection, silence, a halted symbol, a wrong clock.

Owns the halts of one account that nobody needs to lift: they stand while at least one of their sources
says so. What the keys were refused for stays until the owner resumes. Refuses to see anything itself.
"""

from __future__ import annotations

from collections.abc import Callable

from tradebot.core.messages import Input
from tradebot.core.ports import Clock
from tradebot.core.rules import KEYS
from tradebot.core.scope import HaltLevel, Scope
from tradebot.daemon.halts import Halt, HaltFlag


class Conditions:
    """What stands in the way of new entries at present."""

    def __init__(self, account: str, halts: HaltFlag, post: Callable[[Input], None], clock: Clock) -> None:
        self._account = account
        self._halts = halts
        self._post = post
        self._clock = clock
        self._sources: dict[tuple[Scope, str], dict[str, str]] = {}

    def stands(self, rule: str, *, source: str, instrument: str | None = None) -> bool:
        """Return whether a source says that a condition stands."""
        return source in self._sources.get((self._scope(instrument), rule), {})

    def set(self, rule: str, reason: str, *, source: str, instrument: str | None = None) -> None:
        """Note that a condition stands; it is said once, with the reason of its first source."""
        scope = self._scope(instrument)
        known = self._sources.setdefault((scope, rule), {})
        is_new = not known
        known.setdefault(source, reason)
        if is_new:
            self._say(scope, rule, HaltLevel.PAUSED, reason)

    def lift(self, rule: str, *, source: str, instrument: str | None = None) -> None:
        """Note that a source sees it no more; the last one's word lifts it."""
        scope = self._scope(instrument)
        known = self._sources.get((scope, rule))
        if known is None or known.pop(source, None) is None or known:
            return
        del self._sources[scope, rule]
        self._say(scope, rule, HaltLevel.NONE, "over")

    def refuse_keys(self, reason: str) -> None:
        """Stop new risk because the keys are not accepted, until the owner resumes."""
        self._say(self._scope(None), KEYS, HaltLevel.NO_NEW_RISK, reason)

    def _scope(self, instrument: str | None) -> Scope:
        return Scope(account=self._account) if instrument is None else Scope(None, instrument)

    def _say(self, scope: Scope, rule: str, level: HaltLevel, reason: str) -> None:
        halt = Halt(scope=scope, level=level, reason=reason, rule=rule, since=self._clock.now())
        self._halts.set(halt)
        self._post(halt.said(halt.since))
