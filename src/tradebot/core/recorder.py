"""Make facts and commands while deciding, and apply each fact as it is made.

Owns the numbering of facts and of client order ids. Refuses choices: it records what it is told.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from tradebot.core.facts import Fact, Recorded
from tradebot.core.ledger import Ledger
from tradebot.core.messages import Command
from tradebot.errors import InvariantError

_BASE32 = "0123456789abcdefghijklmnopqrstuv"


class Outcome(NamedTuple):
    """What one input led to: facts in order, then the commands to send once they are committed."""

    facts: tuple[Recorded, ...]
    commands: tuple[Command, ...]


NOTHING = Outcome((), ())


def base32(number: int, width: int) -> str:
    """Return `number` in base 32 with at least `width` characters of [0-9a-v]."""
    digits = ""
    while number or len(digits) < width:
        number, rest = divmod(number, 32)
        digits = _BASE32[rest] + digits
    return digits


_STOP = "x"  # no digit of base 32


def stop_id(target_id: str) -> str:
    """Return the id of the stop that is sent as a pair with a target: a venue may keep the target's only."""
    return f"{target_id}{_STOP}"


def target_id(client_order_id: str) -> str | None:
    """Return the id of the target that a stop of this id was sent with; None for any other order."""
    return client_order_id[:-1] if client_order_id.endswith(_STOP) else None


def is_own_id(client_order_id: str, instance: str) -> bool:
    """Return whether an id has the form that this instance gives its orders, of whatever run."""
    rest = (target_id(client_order_id) or client_order_id)[2:]
    return (
        client_order_id.startswith(instance) and len(rest) >= 11 and all(letter in _BASE32 for letter in rest)
    )


class Recorder:
    """Collects the outcome of one input. `now` is the engine's now, which never goes back."""

    __slots__ = ("_id_stem", "_orders", "commands", "facts", "hide", "instance", "is_muted", "ledger", "now")

    def __init__(self, ledger: Ledger, instance: str, hide: Callable[[str], str] = str) -> None:
        """`hide` takes secrets out of a text that is not ours."""
        if not (len(instance) == 2 and instance.isalnum() and instance == instance.lower()):
            raise InvariantError(f"instance must be two characters of [a-z0-9], was {instance!r}")
        self.ledger = ledger
        self.instance = instance
        self.hide = hide
        self.now = ledger.seen
        self.is_muted = False  # data of the past are being shown: nothing may follow from them
        self.restart_ids()
        self.facts: list[Recorded] = []
        self.commands: list[Command] = []

    def fact(self, fact: Fact, cause: int = 0) -> int:
        """Apply a fact to the ledger and keep it; returns its seq."""
        seq = self.ledger.seq + 1
        recorded = Recorded(seq, self.now, cause, fact)
        self.ledger.evolve(recorded)
        self.facts.append(recorded)
        return seq

    def command(self, command: Command) -> None:
        """Keep a command, to be sent after the facts are committed."""
        self.commands.append(command)

    def new_order_id(self) -> str:
        """Return the next client order id: instance, run epoch, sequence; at most 18 characters."""
        self._orders += 1
        return self._id_stem + base32(self._orders, 4)

    def restart_ids(self) -> None:
        """Count from 1 again: a new epoch makes every id new."""
        self._orders = 0
        self._id_stem = f"{self.instance}{base32(self.ledger.epoch, 7)}"

    def take(self) -> Outcome:
        """Hand over what was collected since the last call."""
        if not self.facts and not self.commands:
            return NOTHING
        outcome = Outcome(tuple(self.facts), tuple(self.commands))
        self.facts.clear()
        self.commands.clear()
        return outcome
