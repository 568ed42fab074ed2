"""A restart on what somebody has broken: a word that helps, the documented exit code, nothing lost."""

import shutil
import signal
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest

from tests.daemon.served import Project
from tradebot.errors import ExitCode
from tradebot.store import connect
from tradebot.store.replay import recorded


@pytest.fixture(scope="module")
def traded(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """A project whose daemon has bought and was killed."""
    project = Project(tmp_path_factory.mktemp("traded"))
    with project.start() as daemon:
        daemon.until("fill")
        daemon.kill()
    return project


@pytest.fixture
def project(traded: Project, tmp_path: Path) -> Iterator[Project]:
    """That project, as it was again after each test."""
    shutil.copytree(traded.folder, tmp_path / "as it was", ignore=shutil.ignore_patterns("*.sock"))
    yield traded
    shutil.rmtree(traded.folder)
    shutil.copytree(tmp_path / "as it was", traded.folder)


def facts(project: Project) -> int:
    with closing(connect.open_reader(project.account / "journal.db")) as db:
        return len(list(recorded(db, project.account / "journal.db")))


def holed(path: Path) -> None:
    """Overwrite every page but the first."""
    with closing(sqlite3.connect(path)) as db:
        db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    data = path.read_bytes()
    path.write_bytes(data[:4096] + b"\xa5" * (len(data) - 4096))


def replaced(path: Path) -> None:
    for old in path.parent.glob("journal.db*"):
        old.unlink()
    path.write_bytes(b"a letter to my aunt\n" * 500)


def from_tomorrow(path: Path) -> None:
    with closing(sqlite3.connect(path)) as db:
        version = db.execute("PRAGMA user_version").fetchone()[0]
        db.execute(f"PRAGMA user_version={version + 1}")


@pytest.mark.parametrize(
    ("damage", "told"),
    [
        (holed, "journal.db"),
        (replaced, "journal.db"),
        (from_tomorrow, "newer"),
    ],
)
def test_a_journal_that_cannot_be_trusted_ends_with_1_and_is_left_as_it_is(
    project: Project, damage: Callable[[Path], None], told: str
) -> None:
    path = project.account / "journal.db"
    damage(path)
    before = path.read_bytes()

    with project.start() as daemon:
        assert daemon.ended() == ExitCode.FAILED

    assert told in "\n".join(daemon.text)
    assert "Traceback" not in "\n".join(daemon.text)
    assert path.read_bytes() == before
    assert not any(e["event"] == "ready" for e in daemon.events)


def test_a_broken_file_at_a_restart_ends_with_78_and_the_position_is_there_after_it_is_mended(
    project: Project,
) -> None:
    file = project.root / "tradebot.yaml"
    good, known = file.read_text(), facts(project)
    for broken, told in (
        (good.replace("strategies:", "strategies: ["), "tradebot.yaml:"),
        (good.replace("qty: 1", "qty: one"), "qty"),
        (good.replace("id: flip", "id: flop"), "flip"),  # who held is not named any more
    ):
        file.write_text(broken)
        with project.start() as daemon:
            assert daemon.ended() == ExitCode.CONFIG, daemon.text
        assert told in "\n".join(daemon.text)
        assert facts(project) == known

    file.write_text(good)
    with project.start() as daemon:
        daemon.until("ready")
        assert daemon.ended(signal.SIGTERM) == ExitCode.OK
    assert facts(project) > known
    assert not any(e["event"] in ("halted", "mismatch") for e in daemon.events)
