"""Run a recorded run again: the same inputs to the same engine, and the first fact that differs.

Owns the way from archive and journal to that answer. Reads only: nothing of the account is touched, no
venue is asked. What the daemon does is not looked at, only what its engine decided.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from tradebot.app.adapters import place_of
from tradebot.app.trading import Request, past_engine
from tradebot.config.models import Config
from tradebot.config.schema import digest
from tradebot.core.codec import encode
from tradebot.core.facts import Recorded, SnapshotTaken
from tradebot.core.ledger import Ledger
from tradebot.core.messages import Slice, WarmedUp
from tradebot.daemon.places import AccountPlaces
from tradebot.errors import DataError, StoreError
from tradebot.store import replay as facts_of
from tradebot.store import story
from tradebot.store.archive import Archive
from tradebot.store.journal import Journal
from tradebot.store.story import Run
from tradebot.store.views import Views


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """The first fact that came out another way; one of the two may be missing."""

    seq: int
    recorded: str | None
    now: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Rerun:
    """How a run compares with itself: how many inputs and facts were compared, and what differs first.

    `notes` say what may explain a difference.
    """

    run_id: str
    inputs: int
    facts: int
    difference: Difference | None
    notes: tuple[str, ...] = ()


def runs_of(places: AccountPlaces) -> Sequence[Run]:
    """Return the runs that an account's journal knows, oldest first."""
    with Views.open(places.journal) as views:
        return story.runs(views)


def rerun(config: Config, project: Path, account: str, places: AccountPlaces, run: Run) -> Rerun:
    """Run `run` again. Raises StoreError when its inputs were not kept, whole or part.

    Raises DataError for an account on live data: what warmed it up was asked of the venue, and is not kept.
    """
    place = place_of(config, project, account)
    if place is not None:
        raise DataError(
            f"account {account} follows {place} live: its inputs are kept, the bars that warmed it up are not, and "
            "without them no run can be repeated"
        )
    notes = _notes(config, run)
    with (
        Journal.open(places.journal, create=False, readonly=True) as journal,
        Archive.reader(places.archive) as archive,
    ):
        if archive.dropped(run.run_id):
            raise StoreError(
                f"{places.archive}: {archive.dropped(run.run_id)} inputs of {run.run_id} had to make room"
            )
        ledger = _before(journal, run)
        seen = _last_market(archive, run)
        request = Request(
            config=config, project=project, account=account, places=places, wall=run.epoch, orphans="keep"
        )
        engine, warm_up = past_engine(request, journal, ledger, seen)
        kept = _kept(journal, run, next((r.seq for r in runs_of(places) if r.seq > run.seq), None))
        inputs = facts = 0
        for at, message in archive.read(run_id=run.run_id):
            inputs += 1
            if isinstance(message, WarmedUp):
                engine.warm_up(warm_up(message.ts), seen)
            for recorded in engine.decide(message, max(at, engine.now)).facts:
                before = next(kept, None)
                if before is None:  # it was killed with inputs kept and their facts not
                    return Rerun(run_id=run.run_id, inputs=inputs, facts=facts, difference=None, notes=notes)
                difference = _difference(before, recorded)
                if difference is not None:
                    return Rerun(
                        run_id=run.run_id, inputs=inputs, facts=facts, difference=difference, notes=notes
                    )
                facts += 1
        rest = next(kept, None)
    if not inputs:
        raise StoreError(f"{places.archive} holds no input of {run.run_id}")
    missing = None if rest is None else Difference(seq=rest.seq, recorded=_line(rest), now=None)
    return Rerun(run_id=run.run_id, inputs=inputs, facts=facts, difference=missing, notes=notes)


def _notes(config: Config, run: Run) -> tuple[str, ...]:
    if digest(config) == run.config_digest:
        return ()
    return (
        f"the configuration is not the one of that run ({digest(config)[:6]}, then {run.config_digest[:6]})",
    )


def _before(journal: Journal, run: Run) -> Ledger:
    """Return the ledger as the run found it; what was cut since is read back."""
    ledger = Ledger()
    for one in facts_of.whole(journal.db, journal.path):
        if one.seq >= run.seq:
            break
        ledger.evolve(one)
    return ledger


def _last_market(archive: Archive, run: Run) -> int | None:
    """Return the time of the last market data before a run, None before the first."""
    last: int | None = None
    for at, message in archive.read(until=run.started):
        if isinstance(message, Slice) and at <= run.started:
            last = max(last or 0, *(item.ts for item in message.items))
    return last


def _kept(journal: Journal, run: Run, end: int | None) -> Iterator[Recorded]:
    for one in facts_of.whole(journal.db, journal.path):
        if end is not None and one.seq >= end:
            return
        if one.seq >= run.seq and not isinstance(one.fact, SnapshotTaken):
            yield one


def _difference(before: Recorded, now: Recorded) -> Difference | None:
    then, again = _line(before), _line(now)
    return None if then == again else Difference(seq=before.seq, recorded=then, now=again)


def _line(recorded: Recorded) -> str:
    row = encode(recorded)
    return f"{row.seq} {row.seen} {row.cause} {row.kind} {row.data}"
