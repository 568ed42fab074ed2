"""Keep the halt where it holds with a dead engine, a dead disk or a dead daemon: in memory and in a file.

Owns the halt flag of one account: what is stopped, how far, why, since when. The engine's own halts are
facts; this is the copy that the loop tests before each send, that `halt` writes when no daemon runs, and
that a start reads before it trades. Refuses to lift anything by itself.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from pathlib import Path

from tradebot.core.messages import SetHalt
from tradebot.core.model import Order, Purpose
from tradebot.core.scope import EVERYTHING, HaltKey, HaltLevel, Scope
from tradebot.errors import StoreError

_GETS_OUT = (Purpose.PROTECT, Purpose.FLATTEN)


@dataclass(frozen=True, slots=True, kw_only=True)
class Halt:
    """One latched halt. `since` in ns UTC."""

    scope: Scope
    level: HaltLevel
    reason: str
    rule: str
    since: int

    @property
    def key(self) -> HaltKey:
        return HaltKey(self.scope, self.rule)

    def said(self, now: int) -> SetHalt:
        """Return what tells the engine of it."""
        return SetHalt(ts=now, level=self.level, reason=self.reason, scope=self.scope, rule=self.rule)


class HaltFlag:
    """The halts of one account, in memory and in `path`; a path of None keeps none on disk."""

    def __init__(self, path: Path | None, hide: Callable[[str], str] = str) -> None:
        """Read the file; `hide` takes secrets out of the reason of what is latched.

        Raises StoreError when it cannot be understood: then nothing may be sent.
        """
        self._path = path
        self._hide = hide
        self._halts: dict[HaltKey, Halt] = {}
        self._booked: dict[HaltKey, int] = {}  # when the engine booked what stands
        if path is not None and path.exists():
            self._halts = {halt.key: halt for halt in _read(path)}

    @property
    def all(self) -> tuple[Halt, ...]:
        return tuple(self._halts.values())

    def set(self, halt: Halt) -> None:
        """Latch a halt, or lift it with level NONE; memory first, then the file.

        Raises StoreError when the file cannot be written: it holds all the same, for as long as this process.
        """
        self._booked.pop(halt.key, None)
        if halt.level is HaltLevel.NONE:
            self._halts.pop(halt.key, None)
        else:
            self._halts[halt.key] = replace(halt, reason=self._hide(halt.reason))
        self._write()

    def of(self, scope: Scope, rule: str) -> Halt | None:
        """Return the halt that a rule has set on exactly this scope."""
        return self._halts.get(HaltKey(scope, rule))

    def booked(self, key: HaltKey, level: HaltLevel, at: int) -> None:
        """Note that the engine knows a halt since `at` (ns UTC): what it decides later it decides with it."""
        halt = self._halts.get(key)
        if halt is not None and halt.level is level:
            self._booked[key] = at

    def stops(self, order: Order) -> Halt | None:
        """Return the halt that keeps this order from being sent, None when it may leave.

        What protects or flattens always may: no halt keeps us from getting out. An order that was decided
        on after the engine had booked the halt has passed the gate, which lets through what reduces risk.
        """
        if order.purpose in _GETS_OUT:
            return None
        for halt in self._halts.values():
            if not halt.scope.covers(order.strategy, order.instrument, order.account):
                continue
            booked = self._booked.get(halt.key)
            if booked is None or order.ts <= booked:
                return halt
        return None

    @property
    def everything(self) -> Halt | None:
        """The strictest halt that covers the whole account, None when there is none."""
        whole = [halt for halt in self._halts.values() if halt.scope[:2] == EVERYTHING[:2]]
        return max(whole, key=lambda halt: halt.level.value, default=None)

    def _write(self) -> None:
        if self._path is None:
            return
        text = json.dumps({"version": 1, "halts": [_plain(h) for h in self._halts.values()]}, indent=1)
        try:
            if self._halts:
                _replace(self._path, text + "\n")
            else:
                self._path.unlink(missing_ok=True)
        except OSError as exc:
            raise StoreError(
                f"{self._path}: a halt must be written to outlast this process, could not be: {exc.strerror}; "
                "look at the disk"
            ) from exc


def _replace(path: Path, text: str) -> None:
    """Write a file whole or not at all, for its owner's eyes."""
    beside = path.with_name(f".{path.name}.new")
    descriptor = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with open(descriptor, "w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    os.replace(beside, path)


def _plain(halt: Halt) -> dict[str, object]:
    return {
        "strategy": halt.scope.strategy,
        "instrument": halt.scope.instrument,
        "account": halt.scope.account,
        "level": halt.level.name,
        "reason": halt.reason,
        "rule": halt.rule,
        "since": halt.since,
    }


def _read(path: Path) -> Iterable[Halt]:
    try:
        rows = json.loads(path.read_text(encoding="utf-8"))["halts"]
        return [
            Halt(
                scope=Scope(row["strategy"], row["instrument"], row.get("account")),
                level=HaltLevel[row["level"]],
                reason=str(row["reason"]),
                rule=str(row["rule"]),
                since=int(row["since"]),
            )
            for row in rows
        ]
    except (ValueError, KeyError, TypeError) as exc:
        raise StoreError(
            f"{path}: a halt flag must be readable to be obeyed, found {exc!r}; look at it, then "
            "remove it and halt again"
        ) from exc
