"""What is asked of the file is answered as the ledger would, with a writer beside it or without."""

from __future__ import annotations

import os
import random
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from decimal import Decimal
from pathlib import Path

import pytest

from tests.core.world import Script, World, account, spec
from tests.store.stage import PAPER, book, made, world_facts, written
from tradebot.core import facts as f
from tradebot.core import messages as m
from tradebot.core.ledger import Ledger
from tradebot.core.model import HOUR
from tradebot.core.scope import HaltLevel, Scope
from tradebot.core.setup import ExecutionSpec, Limits
from tradebot.errors import StoreError
from tradebot.store import story, views
from tradebot.store.views import Views

D = Decimal


def kept(path: Path, world: World) -> Views:
    """Write a world's facts to a journal and open it to ask."""
    written(path, world.facts, random.Random(1))
    return Views.open(path)


def kinds(facts: tuple[f.Recorded, ...]) -> list[str]:
    return [type(one.fact).__name__ for one in facts]


@pytest.mark.parametrize("number", range(3))
def test_answers_are_those_of_the_ledger(number: int, tmp_path: Path, rng: random.Random) -> None:
    ledger = written(tmp_path / "j.db", world_facts(number), rng)
    with Views.open(tmp_path / "j.db") as asked:
        rows = views.orders(asked)
        assert {row.id: (row.status, row.filled) for row in rows} == {
            name: (r.status.value, r.filled_qty) for name, r in ledger.orders.items()
        }
        assert [row.first_seq for row in rows] == sorted((row.first_seq for row in rows), reverse=True)
        working = {name for key in ledger.open for name in ledger.open[key]}
        assert {row.id for row in views.orders(asked, is_open=True)} == working
        assert {row.id for row in views.orders(asked, is_open=False)} == set(ledger.orders) - working
        assert len(views.orders(asked, limit=3)) == 3
        for name, sub in ledger.subs.items():
            held = {row.instrument: row.qty for row in views.positions(asked, strategy=name)}
            assert held == {i: p.qty for i, p in sub.positions.items() if p.qty}
            assert {r.asset: r.amount for r in views.cash(asked) if r.strategy == name} == sub.cash
        for name, account in ledger.accounts.items():
            total = {asset: D(0) for asset in account.cash}
            for row in views.cash(asked):
                total[row.asset] += row.amount
            assert total == account.cash
            held_lots = [lot.lot_id for lots in account.lots.values() for lot in lots]
            assert sorted(row.lot_id for row in views.lots(asked) if row.account == name) == sorted(held_lots)
        some = views.fills(asked)[0]
        assert some in views.fills(asked, order_id=some.order_id, since=some.ts)
        assert some not in views.fills(asked, since=some.ts + 1)
        found = views.order(asked, some.order_id)
        assert found is not None and views.order(asked, found.venue_id) == found
        assert views.order(asked, "nobody's") is None
        for target in views.targets(asked):
            wish = ledger.wishes[target.strategy, target.instrument]
            assert (target.wanted_qty or 0) == wish.wanted_qty
            assert (target.suspended_because is None) == (wish.suspended is None)


def test_the_facts_behind_an_order_lead_from_the_wish_to_the_fill(tmp_path: Path) -> None:
    twap = ExecutionSpec(kind="twap", slices=2, over=2 * HOUR)
    world = World(spec(Script(1.0, None, None, None, 0.0), execution=twap, qty=4.0))
    world.bars((100,), (101,), (102,), (103,), (104,), (105,), (106,))
    with kept(tmp_path / "j.db", world) as asked:
        oldest = views.orders(asked)[-1]
        told = story.behind(asked, oldest)
        assert kinds(told)[:3] == ["TargetSet", "ParentOpened", "ParentProgressed"]
        assert kinds(told)[3:5] == ["OrderIntended", "OrderAccepted"]
        assert "OrderFilled" in kinds(told)
        others = {row.id for row in views.orders(asked)} - {oldest.id}
        about = [one.fact for one in told if isinstance(one.fact, f.OrderIntended | f.OrderFilled)]
        assert not [fact for fact in about if any(other in repr(fact) for other in others)]
        newest = views.orders(asked)[0]
        (wish,) = (one.fact for one in story.behind(asked, newest) if isinstance(one.fact, f.TargetSet))
        assert wish.weight == 0.0


def test_decisions_are_told_newest_first_up_to_a_moment(tmp_path: Path) -> None:
    world = World(
        spec(Script(1.0, None, 0.5, 1.0)),
        accounts=[account(limits=Limits(max_order=600.0))],
    )
    world.bars((100,), (100,), (100,), (100,), (100,))
    with kept(tmp_path / "j.db", world) as asked:
        told = story.decisions(asked, "s", "COIN")
        assert kinds(told)[-2:] == ["OrderShrunk", "TargetSet"]
        first = told[-1].fact.ts
        assert kinds(story.decisions(asked, "s", "COIN", at=first))[-1] == "TargetSet"
        assert story.decisions(asked, "s", "COIN", at=first - 1) == ()
        assert story.decisions(asked, "s", "GEM") == ()
        assert len(story.decisions(asked, "s", "COIN", limit=1)) == 1
        order = views.orders(asked)[-1]
        assert kinds(story.behind(asked, order))[:3] == ["TargetSet", "OrderShrunk", "OrderIntended"]


def test_data_that_was_refused_shows_among_the_decisions_about_its_instrument(tmp_path: Path) -> None:
    world = World(spec(Script(1.0)))
    world.bars((float("nan"),), (100,), (100,))
    with kept(tmp_path / "j.db", world) as asked:
        assert "BadDataSeen" in kinds(story.decisions(asked, "s", "COIN"))


def test_runs_tell_when_nothing_ran_and_whether_it_was_killed(tmp_path: Path) -> None:
    def run(epoch: int, seq: int, seen: int) -> f.Recorded:
        words = {"config_digest": "c", "code_digest": "d"}
        return f.Recorded(seq, seen, 0, f.RunStarted(ts=seen, run_id=f"r{epoch}", epoch=epoch, **words))

    ledger = Ledger()
    with made(tmp_path / "j.db") as journal:
        journal.replay(ledger)
        journal.append(book(ledger, [run(1, 1, 10)]), durable=True)
        journal.append((), durable=False, progress={"COIN/1h": 25})
        journal.append(book(ledger, [run(2, 2, 40)]), durable=True)
        ended = f.Recorded(3, 50, 0, f.RunEnded(ts=50, reason="stopped"))
        journal.append(book(ledger, [ended]), durable=True)
        journal.append(book(ledger, [run(3, 4, 90)]), durable=True, progress={"COIN/1h": 95})
        with Views.open(tmp_path / "j.db") as asked:
            assert [(r.run_id, r.started, r.ended, r.alive_until) for r in story.runs(asked)] == [
                ("r1", 10, None, 25),
                ("r2", 40, 50, 50),
                ("r3", 90, None, 95),
            ]
            assert story.gaps(asked) == (
                story.Gap(25, 40, "r1", was_ended=False),
                story.Gap(50, 90, "r2", was_ended=True),
            )
            assert asked.progress() == {"COIN/1h": 95}
            assert asked.last_seq() == 4


def test_only_halts_in_force_are_shown_unless_history_is_asked_for(tmp_path: Path) -> None:
    world = World(spec(Script(1.0)))
    for level, scope in (
        (HaltLevel.PAUSED, Scope("s")),
        (HaltLevel.NO_NEW_RISK, Scope()),
        (HaltLevel.NONE, Scope("s")),
    ):
        world.tell(m.SetHalt(ts=world.now, level=level, reason=f"to {level.name}", scope=scope))
    with kept(tmp_path / "j.db", world) as asked:
        assert [(h.level, h.strategy, h.reason) for h in views.halts(asked)] == [
            ("NO_NEW_RISK", None, "to NO_NEW_RISK")
        ]
        assert [h.level for h in views.halts(asked, history=True)] == ["NONE", "NO_NEW_RISK", "PAUSED"]


def test_a_reader_stays_at_peace_while_the_writer_commits(tmp_path: Path) -> None:
    facts = world_facts(1)
    ledger = Ledger()
    with made(tmp_path / "j.db") as journal:
        journal.replay(ledger)
        journal.append(book(ledger, facts[:50]), durable=True)
        with Views.open(tmp_path / "j.db") as asked:
            asked.db.execute("BEGIN")
            assert asked.last_seq() == 50
            journal.append(book(ledger, facts[50:90]), durable=True)
            journal.checkpoint()
            assert asked.last_seq() == 50
            asked.db.execute("COMMIT")
            assert asked.last_seq() == 90
            with pytest.raises(StoreError, match="permissions"):
                asked.ask(views.CashRow, "DELETE FROM cash RETURNING *")


def test_the_file_of_a_daemon_that_is_no_more_can_be_asked(tmp_path: Path) -> None:
    written(tmp_path / "j.db", world_facts(2), random.Random(1))
    with Views.open(tmp_path / "j.db") as asked:
        assert asked.meta["venue"] == PAPER.venue
        assert asked.last_seq() == len(world_facts(2))
        assert story.fact_at(asked, 1) == world_facts(2)[0]


@contextmanager
def somebody_else() -> Iterator[None]:
    """Be a user who may read but not write; root would be stopped by nothing."""
    if os.geteuid() != 0:
        yield
        return
    os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(0)


def test_a_closed_journal_in_a_folder_that_one_may_only_read_can_be_asked() -> None:
    with tempfile.TemporaryDirectory() as name:  # not tmp_path: others may not enter that
        path = Path(name) / "j.db"
        written(path, world_facts(2), random.Random(1))
        path.chmod(0o644)
        path.parent.chmod(0o555)
        with somebody_else(), Views.open(path) as asked:
            assert asked.last_seq() == len(world_facts(2))
        path.parent.chmod(0o755)
