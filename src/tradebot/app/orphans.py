"""See to strategies that still own something and that the file no longer names.

A removed or renamed strategy that holds a position or has an order working is not forgotten: a start
refuses and names it, unless the owner says what is to become of it. Kept, it stays as it is and nobody
manages it; closed, it is flattened like any other and then owns nothing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Literal

from tradebot.app import plan
from tradebot.core.ledger import Ledger
from tradebot.core.model import DAY, Bar, Instrument
from tradebot.core.rules import ORPHAN
from tradebot.core.scope import HaltLevel, Scope
from tradebot.core.setup import StrategySpec
from tradebot.core.sizing import FixedQty
from tradebot.core.strategy import BarStrategy, Context, Target
from tradebot.daemon.halts import Halt
from tradebot.errors import ConfigError

# "leave": each is followed as it is, for whoever opens an account without its strategies.
Choice = Literal["refuse", "keep", "close", "leave"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Orphan:
    """A strategy without a place in the file: what it holds (signed) and how many orders it has working."""

    strategy: str
    held: Mapping[str, Decimal]
    working: Mapping[str, int]

    @property
    def instruments(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys([*self.held, *self.working]))

    def __str__(self) -> str:
        held = [f"{qty.normalize():f} {name}" for name, qty in self.held.items()]
        orders = [f"{count} working order(s) in {name}" for name, count in self.working.items()]
        return f"{self.strategy}: {', '.join([*held, *orders])}"


def orphans_of(ledger: Ledger, account: str, named: Sequence[str]) -> list[Orphan]:
    """Return the strategies of an account that own something and are not among `named`."""
    found: list[Orphan] = []
    for sub in ledger.subs.values():
        if sub.account != account or sub.strategy is None or sub.strategy in named:
            continue
        held = {name: p.qty for name, p in sub.positions.items() if p.qty}
        working = {
            instrument: len(orders)
            for (strategy, instrument), orders in ledger.open.items()
            if strategy == sub.strategy and orders
        }
        if held or working:
            found.append(Orphan(strategy=sub.strategy, held=held, working=working))
    return found


def refused(orphans: Sequence[Orphan]) -> ConfigError:
    """Return the error of a start that nobody told what to do with them."""
    named = "; ".join(str(orphan) for orphan in orphans)
    return plan.refuse(
        "strategies",
        f"must name every strategy that still owns something, found without a place: {named}. Put it back, "
        "or start with --orphans keep (left as it is, unmanaged) or --orphans close (flattened)",
    )


def leaving(orphan: Orphan, account: str, instruments: Mapping[str, Instrument]) -> StrategySpec:
    """Return the strategy that an orphan becomes until it owns nothing: it wants nothing new."""
    return StrategySpec(
        id=orphan.strategy,
        account=account,
        instruments=tuple(name for name in orphan.instruments if name in instruments),
        interval=DAY,
        deciders={name: _WantsNothing(None) for name in orphan.instruments},
        sizing=FixedQty(qty=1.0),
        capital=Decimal(0),
    )


def closing(orphan: Orphan, since: int) -> Halt:
    """Return the halt that flattens an orphan; `since` in ns UTC."""
    return Halt(
        scope=Scope(orphan.strategy, None),
        level=HaltLevel.FLATTEN,
        reason="its strategy was taken out of the file: --orphans close",
        rule=ORPHAN,
        since=since,
    )


class _WantsNothing(BarStrategy):
    def on_bar(self, ctx: Context, bar: Bar) -> Target | None:
        return None
