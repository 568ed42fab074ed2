"""Each check of `doctor` can fail, says what is wrong and what to do, and changes nothing."""

import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tradebot.app.doctor import Check, Machine, Patient, Verdict, examine
from tradebot.cli.border import run
from tradebot.config.loader import load
from tradebot.core.facts import Recorded, RunStarted
from tradebot.core.ledger import Ledger
from tradebot.core.scope import EVERYTHING, HaltLevel
from tradebot.daemon import places
from tradebot.daemon.halts import Halt, HaltFlag
from tradebot.daemon.lock import Lock
from tradebot.daemon.places import AccountPlaces
from tradebot.daemon.surroundings import LEAST_FREE
from tradebot.store.journal import Identity, Journal

NOW = 1_800_000_000 * 10**9  # 2027-01-15
WELL = Machine(
    now=lambda: NOW, free=lambda path: 10**11, sqlite=(3, 60, 0), calendar_until=lambda name: NOW + 10**18
)


@pytest.fixture
def patient(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Patient:
    """A project of `tradebot init` with one account that has traded once."""
    project = tmp_path / "project"
    project.mkdir()
    monkeypatch.chdir(project)
    assert run(["init", "--defaults"]) == 0
    where = places.find_places(project, {"TRADEBOT_STATE": str(tmp_path / "state")})
    places.make(where)
    account = where.account("paper", "sim", "main")
    places.make_account(account)
    identity = Identity(instance="tb", venue="sim", account="main", mode="paper")
    with Journal.open(account.journal, create=True, identity=identity, now=1, program="0") as journal:
        ledger = Ledger()
        journal.replay(ledger)
        fact = RunStarted(ts=1, run_id="r", epoch=1_700_000_000, config_digest="c", code_digest="d")
        row = Recorded(1, 1, 0, fact)
        ledger.evolve(row)
        journal.append([row], durable=True)
    config = load(project / "tradebot.yaml").config
    return Patient(
        config=config, project=project, where=where, accounts=[("main", account)], answers=lambda: True
    )


def bad(patient: Patient, machine: Machine = WELL) -> list[Check]:
    return [check for check in examine(patient, machine) if check.verdict is Verdict.BAD]


def test_a_fresh_project_is_well(patient: Patient) -> None:
    assert bad(patient) == []
    names = {check.name for check in examine(patient, WELL)}
    assert names == {
        *(
            "strategies",
            "state",
            "daemon",
            "journal",
            "disk",
            "clock",
            "sqlite",
            "data",
            "calendar",
            "instance",
        ),
        "halts",
    }


@pytest.mark.parametrize(
    ("change", "name", "told"),
    [
        ({"free": lambda path: LEAST_FREE - 1}, "disk", "49 MB free"),
        ({"now": lambda: 10**18}, "clock", "the machine says 2001"),
        ({"now": lambda: 1_700_000_000 * 10**9 - 1}, "clock", "the machine says 2023"),
        ({"calendar_until": lambda name: NOW}, "calendar", "XNYS is known to 2027-01-15 only"),
    ],
)
def test_what_the_machine_lacks_is_told(patient: Patient, change: Any, name: str, told: str) -> None:
    found = bad(patient, replace(WELL, **change))

    assert [check.name for check in found] == [name]
    assert told in found[0].text
    assert found[0].todo


def test_the_disk_is_judged_as_a_start_judges_it(patient: Patient) -> None:
    machine = replace(WELL, free=lambda path: LEAST_FREE)
    assert [c.verdict for c in examine(patient, machine) if c.name == "disk"] == [Verdict.NOTE]


def test_an_old_sqlite_is_a_note(patient: Patient) -> None:
    found = list(examine(patient, replace(WELL, sqlite=(3, 40, 1))))
    assert [c.name for c in found if c.verdict is Verdict.NOTE and "3.40.1" in c.text] == ["sqlite"]


def _break_strategy(patient: Patient, account: AccountPlaces) -> None:
    (patient.project / "strategies" / "ma_crossover.py").write_text("class Broken(\n")


def _open_to_all(patient: Patient, account: AccountPlaces) -> None:
    account.journal.chmod(0o644)


def _damage(patient: Patient, account: AccountPlaces) -> None:
    data = bytearray(account.journal.read_bytes())
    data[4096:8192] = os.urandom(4096)
    account.journal.write_bytes(data)


def _halt(patient: Patient, account: AccountPlaces) -> None:
    halt = Halt(scope=EVERYTHING, level=HaltLevel.FLATTEN, reason="lunch", rule="owner", since=1)
    HaltFlag(account.halt).set(halt)


def _spoil_halts(patient: Patient, account: AccountPlaces) -> None:
    account.halt.write_text("{")
    account.halt.chmod(0o600)


def _lost_state(patient: Patient, account: AccountPlaces) -> None:
    other = patient.where.state.parent / "other-0123456789"
    other.mkdir()
    (other / places.WHERE).write_text(str(patient.project.parent / "gone"))


@pytest.mark.parametrize(
    ("harm", "name", "told"),
    [
        (_break_strategy, "strategies", "ma_crossover.py"),
        (_open_to_all, "state", "must be private, has mode 0644"),
        (_damage, "journal", "journal.db"),
        (_halt, "halts", "everything is halted (FLATTEN) by owner: lunch"),
        (_spoil_halts, "halts", "a halt flag must be readable"),
        (_lost_state, "instance", "which is gone"),
    ],
)
def test_what_is_wrong_with_the_project_is_told(
    patient: Patient, harm: Callable[[Patient, AccountPlaces], None], name: str, told: str
) -> None:
    harm(patient, patient.accounts[0][1])

    found = {check.name: check for check in bad(patient)}

    assert name in found
    assert told in found[name].text


def test_missing_data_are_told(patient: Patient) -> None:
    assert patient.config is not None
    strategies = tuple(s.model_copy(update={"interval": 7 * 10**9}) for s in patient.config.strategies[:1])
    found = bad(replace(patient, config=patient.config.model_copy(update={"strategies": strategies})))
    assert [check.name for check in found] == ["data"]


def test_a_daemon_that_does_not_answer_is_told(patient: Patient) -> None:
    with Lock(patient.where.state) as held:
        held.take(lambda: 1)
        assert bad(patient) == []
        found = bad(replace(patient, answers=lambda: False))
    assert [check.name for check in found] == ["daemon"]
    assert "does not answer" in found[0].text
