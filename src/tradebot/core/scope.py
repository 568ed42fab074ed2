"""Name what a halt is about, and how far it goes.

Owns the words. Refuses decisions: `halting` sets halts, the `gate` obeys them.
"""

from __future__ import annotations

from enum import Enum
from typing import NamedTuple


class Scope(NamedTuple):
    """What a halt is about: everything, or only a strategy, an instrument, an account, where they are named."""

    strategy: str | None = None
    instrument: str | None = None
    account: str | None = None

    def covers(self, strategy: str | None, instrument: str | None, account: str | None) -> bool:
        """Return whether what is asked for lies inside."""
        return (
            self.strategy in (None, strategy)
            and self.instrument in (None, instrument)
            and self.account in (None, account)
        )


EVERYTHING = Scope()


class HaltKey(NamedTuple):
    """What a halt is known by: each reason stands and is lifted by itself."""

    scope: Scope
    rule: str


class HaltLevel(Enum):
    """How far a halt goes. NONE trades; PAUSED opens nothing new and manages exits."""

    NONE = 0
    PAUSED = 1
    NO_NEW_RISK = 2
    CANCEL_ENTRIES = 3
    FLATTEN = 4
