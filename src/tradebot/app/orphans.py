"""See to what strategies still own and the file no longer names.

A removed or renamed strategy that holds a position or has an order working is not forgotten: a start
refuses and names it, unless the owner says what is to become of it. Kept, it stays as it is and nobody
manages it; closed, it is flattened like any other and then owns nothing. An instrument that was taken out
of a strategy is such an orphan, too; it can be kept, and closed only by the strategy that owns it. So is an
account that was taken out, with all that it owns.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Literal

from tradebot.app.misfits import refuse
from tradebot.config.models import Config
from tradebot.core.ledger import Ledger
from tradebot.core.model import DAY, Bar, Instrument
from tradebot.core.rules import ORPHAN
from tradebot.core.scope import HaltLevel, Scope
from tradebot.core.setup import StrategySpec
from tradebot.core.sizing import FixedQty
from tradebot.core.strategy import BarStrategy, Context, Target
from tradebot.daemon.halts import Halt
from tradebot.daemon.places import Places
from tradebot.store import views

# "leave": each is followed as it is, for whoever opens an account without its strategies.
Choice = Literal["refuse", "keep", "close", "leave"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Orphan:
    """What has no place in the file: what a strategy holds (signed) and how many orders it has working.

    `is_named`: the file names the strategy, and not these of its instruments.
    """

    strategy: str
    is_named: bool
    held: Mapping[str, Decimal]
    working: Mapping[str, int]

    @property
    def instruments(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys([*self.held, *self.working]))

    def __str__(self) -> str:
        held = [f"{qty.normalize():f} {name}" for name, qty in self.held.items()]
        orders = [f"{count} working order(s) in {name}" for name, count in self.working.items()]
        return f"{self.strategy}: {', '.join([*held, *orders])}"


def orphans_of(ledger: Ledger, account: str, named: Mapping[str, Sequence[str]]) -> list[Orphan]:
    """Return what strategies of an account own outside the instruments that `named` gives them."""
    found: list[Orphan] = []
    for sub in ledger.subs.values():
        if sub.account != account or sub.strategy is None:
            continue
        kept = named.get(sub.strategy, ())
        held = {name: p.qty for name, p in sub.positions.items() if p.qty and name not in kept}
        working = {
            instrument: len(orders)
            for (strategy, instrument), orders in ledger.open.items()
            if strategy == sub.strategy and orders and instrument not in kept
        }
        if held or working:
            is_named = sub.strategy in named
            found.append(Orphan(strategy=sub.strategy, is_named=is_named, held=held, working=working))
    return found


def check(orphans: Sequence[Orphan], choice: Choice) -> None:
    """Raise ConfigError for orphans of which `choice` does not say what becomes of them."""
    if choice == "keep":
        return
    unknown = "; ".join(str(orphan) for orphan in orphans if not orphan.is_named)
    if unknown and choice == "refuse":
        raise refuse(
            "strategies",
            f"must name every strategy that still owns something, found without a place: {unknown}. Put it back, "
            "or start with --orphans keep (left as it is, unmanaged) or --orphans close (flattened)",
        )
    narrowed = [orphan for orphan in orphans if orphan.is_named]
    if narrowed:
        how = "; ".join(
            f"tradebot flatten --strategy {orphan.strategy} --symbol {name}"
            for orphan in narrowed
            for name in orphan.instruments
        )
        raise refuse(
            "strategies",
            "must name every instrument in which a strategy still owns something, found without a place: "
            f"{'; '.join(map(str, narrowed))}. Put it back and close it ({how}), or start with --orphans keep "
            "(left as it is, unmanaged)",
        )


def check_accounts(config: Config, where: Places, choice: Choice) -> None:
    """Raise ConfigError for an account that traded here, still owns something and has no place in the file."""
    if choice == "keep":
        return
    for journal in sorted(where.state.glob(f"{config.mode}-*-*/journal.db")):
        _, venue, name = journal.parent.name.split("-", 2)
        words = config.accounts.get(name)
        if words is not None and words.venue == venue:
            continue
        with views.Views.open(journal) as opened:
            held = [f"{p.qty.normalize():f} {p.instrument}" for p in views.positions(opened) if p.strategy]
            working = len(views.orders(opened, is_open=True))
        if held or working:
            owned = ", ".join([*held, *([f"{working} working order(s)"] if working else [])])
            raise refuse(
                "accounts",
                f"must name every account that still owns something, found without a place: {name} at {venue}: "
                f"{owned}. Put it back and close it (tradebot flatten --account {name}), start with --orphans "
                f"keep (left as it is, unmanaged), or move {journal.parent} away",
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
