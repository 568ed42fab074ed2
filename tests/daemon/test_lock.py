"""One daemon per state folder, whatever happened to the one before."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.cli.conftest import environment
from tradebot.daemon import lock
from tradebot.daemon.lock import Lock
from tradebot.errors import Busy, ExitCode, PermissionRefused
from tradebot.store.connect import WriterLock

NINE = 1_777_885_200_000_000_000  # 2026-05-04 09:00:00 UTC

HOLD = """
import sys
from pathlib import Path
from tradebot.daemon.lock import Lock
held = Lock(Path(sys.argv[1]))
held.take(lambda: 1_777_885_200_000_000_000)
print("held", flush=True)
sys.stdin.read()
"""


def holding(folder: Path) -> subprocess.Popen[str]:
    """Start a process that holds the lock of `folder` until its stdin ends."""
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(folder)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env=environment(),
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "held\n"
    return process


def test_second_instance_is_busy_and_told_who_and_since_when(tmp_path: Path) -> None:
    other = holding(tmp_path)
    try:
        with pytest.raises(Busy) as raised:
            Lock(tmp_path).take(lambda: NINE)
        assert lock.holder(tmp_path) == lock.Holder(pid=other.pid, since=NINE, boot=lock.boot_id())
    finally:
        other.communicate()

    assert raised.value.exit_code is ExitCode.BUSY
    assert str(raised.value) == (
        f"{tmp_path} is in use by process {other.pid} since 2026-05-04 09:00:00 UTC; "
        "one daemon per project. See: tradebot status"
    )


def test_killed_holder_leaves_the_lock_free(tmp_path: Path) -> None:
    other = holding(tmp_path)
    other.send_signal(signal.SIGKILL)
    other.communicate()

    assert lock.holder(tmp_path) is None
    with Lock(tmp_path) as mine:
        mine.take(lambda: NINE)
        assert lock.read(mine.path) == lock.Holder(pid=os.getpid(), since=NINE, boot=lock.boot_id())


FORK = """
import os, sys
from pathlib import Path
from tradebot.daemon.lock import Lock
from tradebot.store.connect import WriterLock
folder = Path(sys.argv[1])
held, writes = Lock(folder), WriterLock(folder / "journal.db")
held.take(lambda: 1_777_885_200_000_000_000)
if os.fork() == 0:
    print("forked", flush=True)
sys.stdin.read()
"""


def test_worker_that_a_strategy_forked_does_not_keep_the_locks_of_a_killed_daemon(tmp_path: Path) -> None:
    daemon = subprocess.Popen(
        [sys.executable, "-c", FORK, str(tmp_path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env=environment(),
    )
    assert daemon.stdin is not None
    assert daemon.stdout is not None
    assert daemon.stdout.readline() == "forked\n"
    with pytest.raises(Busy):
        Lock(tmp_path).take(lambda: NINE)
    daemon.kill()
    daemon.wait()
    try:
        assert lock.holder(tmp_path) is None
        WriterLock(tmp_path / "journal.db").release()
    finally:
        daemon.stdin.close()
        assert daemon.stdout.read() == ""  # until the worker has ended, too
        daemon.stdout.close()


def test_child_of_the_holder_does_not_keep_the_lock(tmp_path: Path) -> None:
    held = Lock(tmp_path)
    held.take(lambda: NINE)
    child = subprocess.Popen([sys.executable, "-c", "import sys; sys.stdin.read()"], stdin=subprocess.PIPE)
    held.release()
    try:
        assert lock.holder(tmp_path) is None
        Lock(tmp_path).take(lambda: NINE)
    finally:
        child.communicate()


def test_looking_takes_nothing(tmp_path: Path) -> None:
    assert lock.holder(tmp_path) is None
    assert list(tmp_path.iterdir()) == []


def test_damaged_note_still_says_busy(tmp_path: Path) -> None:
    with Lock(tmp_path) as held:
        held.take(lambda: NINE)
        held.path.write_text("{")
        with pytest.raises(Busy, match="in use by another process"):
            Lock(tmp_path).take(lambda: NINE)


def test_lock_that_is_a_link_is_refused(tmp_path: Path) -> None:
    (tmp_path / "lock").symlink_to(tmp_path / "elsewhere")

    with pytest.raises(PermissionRefused, match="must be a file that can be written"):
        Lock(tmp_path).take(lambda: NINE)
    assert not (tmp_path / "elsewhere").exists()
