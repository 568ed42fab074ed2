"""The process ends in bounded time, and a full disk still takes the word that trading is halted."""

import subprocess
import sys
import threading
from pathlib import Path

from tests.cli.conftest import environment
from tradebot.daemon.ending import at_the_latest
from tradebot.daemon.reserve import NAME, Reserve


def test_what_has_not_ended_is_ended_with_its_code() -> None:
    ended, codes = threading.Event(), list[int]()

    def end(code: int) -> None:
        codes.append(code)
        ended.set()

    at_the_latest(75, 0.0, end)

    assert ended.wait(30)
    assert codes == [75]


def test_a_thread_that_hangs_holds_no_process_up() -> None:
    program = (
        "import sys, threading\n"
        "from tradebot.daemon.ending import at_the_latest\n"
        "threading.Thread(target=threading.Event().wait).start()\n"
        "at_the_latest(69, 0.1)\n"
        "sys.exit(0)\n"
    )
    done = subprocess.run([sys.executable, "-c", program], env=environment(), timeout=60, check=False)

    assert done.returncode == 69


def test_a_reserve_takes_room_and_gives_it_back(tmp_path: Path) -> None:
    reserve = Reserve(tmp_path)
    assert (tmp_path / NAME).stat().st_blocks * 512 >= 256 * 1024

    reserve.release()
    reserve.release()
    assert list(tmp_path.iterdir()) == []
    Reserve(tmp_path / "nowhere").release()


def test_what_has_ended_in_time_is_left_alone() -> None:
    ended = threading.Event()

    at_the_latest(75, 0.05, lambda code: ended.set())()

    assert not ended.wait(0.2)
