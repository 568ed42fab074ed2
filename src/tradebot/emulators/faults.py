"""Break the way between a client and an emulated venue, on request and a counted number of times.

Owns what can go wrong with one HTTP exchange. What can go wrong with a socket is `wire`'s. Refuses
chance: a fault happens where and as often as it was ordered, so that a run can be repeated.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from fnmatch import fnmatchcase
from types import MappingProxyType

from tradebot.errors import UsageError


class FaultKind(Enum):
    """What goes wrong.

    DELAY waits; DROP cuts the connection; HANG never answers; STATUS answers with a status of its own;
    TRUNCATE cuts the body short of its announced length; HTML answers 200 with a page that is no JSON.
    """

    DELAY = "delay"
    DROP = "drop"
    HANG = "hang"
    STATUS = "status"
    TRUNCATE = "truncate"
    HTML = "html"


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """One order to break something.

    `route`: "METHOD path" with shell wildcards ("POST /v2/orders", "* /v2/*"). `after`: the venue has
    done what was asked, only the answer suffers; else it never hears of it. The first `skip` matching
    requests pass, then `times` are hit (None: all).
    """

    route: str
    kind: FaultKind
    after: bool = False
    times: int | None = 1
    skip: int = 0
    seconds: float = 0.0
    status: int = 500
    body: str = ""
    headers: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))


class _Ordered:
    __slots__ = ("fault", "left", "passing")

    def __init__(self, fault: Fault) -> None:
        self.fault, self.left, self.passing = fault, fault.times, fault.skip


class Faults:
    """The faults that wait for their request, in the order they were asked for."""

    def __init__(self) -> None:
        self._waiting: list[_Ordered] = []
        self.hit = 0

    def add(self, fault: Fault) -> None:
        self._waiting.append(_Ordered(fault))

    def clear(self) -> None:
        self._waiting.clear()

    def take(self, method: str, path: str) -> Fault | None:
        """Return what is to happen to this request, counting it."""
        asked = f"{method} {path}"
        for ordered in self._waiting:
            if not fnmatchcase(asked, ordered.fault.route):
                continue
            if ordered.passing:
                ordered.passing -= 1
                continue
            if ordered.left is not None:
                ordered.left -= 1
                if not ordered.left:
                    self._waiting.remove(ordered)
            self.hit += 1
            return ordered.fault
        return None


_TEXTS = ("route", "body")
_NUMBERS = ("times", "skip", "seconds", "status")


def fault_of(words: Mapping[str, object]) -> Fault:
    """Return the fault that JSON names: the fields of `Fault`, `kind` by its value.

    Raises UsageError naming what is not one.
    """
    unknown = sorted(set(words) - {*_TEXTS, *_NUMBERS, "kind", "after", "headers"})
    if unknown or "route" not in words or "kind" not in words:
        raise UsageError(f"a fault has route and kind and the fields of Fault, was {dict(words)}")
    known = {kind.value: kind for kind in FaultKind}
    kind = known.get(str(words["kind"]))
    if kind is None:
        raise UsageError(f"kind must be one of {', '.join(known)}, was {words['kind']!r}")
    times, headers = words.get("times", 1), words.get("headers", {})
    return Fault(
        route=str(words["route"]),
        kind=kind,
        after=bool(words.get("after", False)),
        times=None if times is None else int(str(times)),
        skip=int(str(words.get("skip", 0))),
        seconds=float(str(words.get("seconds", 0.0))),
        status=int(str(words.get("status", 500))),
        body=str(words.get("body", "")),
        headers={str(k): str(v) for k, v in headers.items()} if isinstance(headers, dict) else {},
    )
