"""The shape of every fact and its place in history."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, NamedTuple


@dataclass(frozen=True, slots=True, kw_only=True)
class Fact:
    """Base of all facts; `ts` is when what it says happened."""

    VERSION: ClassVar[int] = 1

    ts: int


class Recorded(NamedTuple):
    """A fact with its place in history. `cause` is the seq of the fact that led to it, 0 = an input.

    `seen` is the engine's now when it was made.
    """

    seq: int
    seen: int
    cause: int
    fact: Fact
