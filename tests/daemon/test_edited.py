"""What a start does about an edited file, a split in the past, and strategies nobody names any more."""

from dataclasses import replace
from datetime import date
from fractions import Fraction
from pathlib import Path

import pytest

from tests.daemon.trading_days import ACME, at, config, facts, opened, project, trade
from tradebot.config.models import Config
from tradebot.core import facts as f
from tradebot.core.model import DAY, Purpose
from tradebot.data.actions import Action
from tradebot.data.catalogue import Catalogue
from tradebot.data.series import Provenance
from tradebot.errors import ConfigError, ExitCode, StoreError, TradebotError
from tradebot.store import story
from tradebot.store.views import Views

BOUGHT = "exits: {stop_loss: 20%}"


async def _holding(tmp_path: Path) -> tuple[Path, Config]:
    """Return a project whose strategy holds 100 ACME and was killed then."""
    root = project(tmp_path / "p", "2026-11-02", "2026-12-04")
    words = config("2026-11-05", BOUGHT)
    await trade(opened(words, root, 1_800_000_000), until=at("2026-11-12T21:00"))
    return root, words


def _renamed(words: Config) -> Config:
    (old,) = words.strategies
    return words.model_copy(update={"strategies": (old.model_copy(update={"id": "other"}),)})


async def test_renamed_strategy_that_still_holds_refuses_to_start_and_is_named(tmp_path: Path) -> None:
    root, words = await _holding(tmp_path)

    with pytest.raises(ConfigError, match=r"once: 100 ACME, 1 working order\(s\) in ACME.*--orphans keep"):
        opened(_renamed(words), root, 1_800_000_001)


def _elsewhere(words: Config, root: Path) -> Config:
    """Let the strategy that holds ACME trade another instrument instead."""
    more = replace(ACME, id="EMCA", base="EMCA")
    bars = Catalogue(root / "data").bars("ACME", DAY)
    Catalogue(root / "data").write_bars(more, replace(bars, instrument="EMCA"), Provenance(source="made up"))
    (old,) = words.strategies
    return words.model_copy(update={"strategies": (old.model_copy(update={"instruments": ("EMCA",)}),)})


@pytest.mark.parametrize("choice", ["refuse", "close"])
async def test_instrument_taken_from_a_strategy_that_still_holds_it_refuses_to_start(
    tmp_path: Path, choice: str
) -> None:
    root, words = await _holding(tmp_path)

    with pytest.raises(
        ConfigError,
        match=r"every instrument.*once: 100 ACME, 1 working.*flatten --strategy once --symbol ACME.*--orphans keep",
    ):
        opened(_elsewhere(words, root), root, 1_800_000_001, orphans=choice)


async def test_instrument_that_is_kept_without_a_place_is_left_as_it_is_and_has_a_price(
    tmp_path: Path,
) -> None:
    root, words = await _holding(tmp_path)
    before = len(facts(root, f.OrderIntended))
    once = opened(_elsewhere(words, root), root, 1_800_000_001, orphans="keep")
    await trade(once, until=at("2026-11-18T21:00"))

    after = {o.order.instrument for o in facts(root, f.OrderIntended)[before:]}

    assert after == {"EMCA"}


async def test_orphan_that_is_kept_is_left_as_it_is(tmp_path: Path) -> None:
    root, words = await _holding(tmp_path)
    before = len(facts(root, f.OrderIntended))
    await trade(opened(_renamed(words), root, 1_800_000_001, orphans="keep"), until=at("2026-11-13T21:00"))

    after = [o for o in facts(root, f.OrderIntended)[before:] if o.order.strategy == "once"]

    assert after == []


async def test_orphan_that_is_closed_is_sold_once_and_owns_nothing(tmp_path: Path) -> None:
    root, words = await _holding(tmp_path)
    await trade(opened(_renamed(words), root, 1_800_000_001, orphans="close"))
    sold = [x for x in facts(root, f.OrderFilled) if x.strategy == "once" and x.qty_signed < 0]

    assert [x.qty_signed for x in sold] == [-100]
    await trade(opened(_renamed(words), root, 1_800_000_002))  # nobody is left to ask about


async def test_paper_account_without_its_venue_refuses_to_start_instead_of_trading_on_an_empty_one(
    tmp_path: Path,
) -> None:
    root, words = await _holding(tmp_path)
    for file in (root / "state").glob("venue.db*"):
        file.unlink()

    with pytest.raises(
        StoreError, match=r"venue\.db must be there: it is the paper venue.*Put it back, or move"
    ):
        opened(words, root, 1_800_000_001)


async def test_clock_behind_the_last_run_is_the_owners_to_set_right_and_no_bug(tmp_path: Path) -> None:
    root, words = await _holding(tmp_path)

    with pytest.raises(
        TradebotError, match=r"the last run started at 1800000000\. Set the clock right"
    ) as raised:
        opened(words, root, 1_799_999_999)
    assert raised.value.exit_code is ExitCode.FAILED


async def test_changed_parameters_are_a_fact_and_open_positions_keep_their_exits(tmp_path: Path) -> None:
    root, _ = await _holding(tmp_path)
    changed = config("2026-11-05", "exits: {stop_loss: 5%}")
    await trade(opened(changed, root, 1_800_000_001), until=at("2026-11-20T21:00"))

    configured = facts(root, f.StrategyConfigured)
    stops = {o.order.stop_price for o in facts(root, f.OrderIntended) if o.order.purpose is Purpose.PROTECT}

    assert ["5%" in c.settings for c in configured] == [False, True]
    assert len(stops) == 1  # the entry's own 20 %, not today's 5 %


async def test_restart_after_a_split_shows_the_past_in_todays_units(tmp_path: Path) -> None:
    closes = [100.0] * 12 + [25.0] * 12
    root = project(tmp_path / "p", "2026-11-02", "2026-12-04", closes)
    Catalogue(root / "data").write_actions(
        "ACME", [Action(kind="split", ex_date=date(2026, 11, 18), ratio=Fraction(4))]
    )
    words = config("2026-11-05", BOUGHT)
    (once,) = words.strategies
    crossing = once.model_copy(
        update={
            "class_path": "ma_crossover.py:MovingAverageCrossover",
            "params": {"fast": 3, "slow": 8},
        }
    )
    words = words.model_copy(update={"strategies": (once, crossing.model_copy(update={"id": "cross"}))})
    await trade(opened(words, root, 1_800_000_000), until=at("2026-11-18T21:00"))
    await trade(opened(words, root, 1_800_000_001))

    signals = [t for t in facts(root, f.TargetSet) if t.strategy == "cross" and t.because == "signal"]
    split = facts(root, f.SplitApplied)

    assert [s.positions[0].qty for s in split] == [400]
    with Views.open(root / "state" / "journal.db") as asked:
        held = [story.held(asked, "once", "ACME", day) for day in (at("2026-11-16T22:00"), asked.last_seen())]
    assert held == [None, 400]  # no fill says how 100 became 400
    assert [t.weight for t in signals] in ([], [0.0])  # prices never moved: nothing ever crossed
