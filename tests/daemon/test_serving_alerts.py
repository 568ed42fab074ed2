"""A real daemon and the services that tell its owner: all on this machine."""

import json
import signal
from collections.abc import Callable
from pathlib import Path
from threading import Event

import pytest
from pytest_httpserver import HTTPServer
from werkzeug import Request, Response

from tests.conftest import PATIENCE
from tests.daemon.served import Project
from tradebot.daemon.startlog import TOO_MANY
from tradebot.errors import ExitCode

CANARY = "canary-S3cret-0123456789"


class Owner:
    """Who is told, and who counts the pings."""

    def __init__(self, server: HTTPServer) -> None:
        self.titles: list[str] = []
        self.pings = 0
        self._came = Event()
        server.expect_request(f"/hook/{CANARY}").respond_with_handler(self._message)
        server.expect_request(f"/ping/{CANARY}").respond_with_handler(self._ping)
        self.message_url = f"json://127.0.0.1:{server.port}/hook/{CANARY}"
        self.ping_url = f"http://127.0.0.1:{server.port}/ping/{CANARY}"

    def wait(self, is_so: Callable[[], bool]) -> None:
        """Wait for something to arrive until it is so."""
        while not is_so():
            self._came.clear()
            assert is_so() or self._came.wait(PATIENCE), f"told only {self.titles}, {self.pings} pings"

    def _message(self, request: Request) -> Response:
        self.titles.append(json.loads(request.get_data())["title"])
        self._came.set()
        return Response("ok")

    def _ping(self, request: Request) -> Response:
        self.pings += 1
        self._came.set()
        return Response("ok")


@pytest.fixture
def owner(httpserver: HTTPServer) -> Owner:
    return Owner(httpserver)


@pytest.fixture
def project(tmp_path: Path) -> Project:
    return Project(tmp_path)


NOTIFY = 'notify: [{{url: "${{HOOK}}", from: {level}}}, {{ping: "${{PING}}", every: 1s}}]'


def env(owner: Owner) -> dict[str, str]:
    return {"HOOK": owner.message_url, "PING": owner.ping_url}


def test_start_and_stop_are_told_and_life_is_proved_without_a_secret_in_any_byte(
    project: Project, owner: Owner
) -> None:
    project.write(more=NOTIFY.format(level="info"))
    with project.start("--log-level", "debug", env=env(owner)) as daemon:
        daemon.until("ready")
        owner.wait(lambda: owner.titles == ["PAPER: started"] and owner.pings > 0)
        assert daemon.ended(signal.SIGTERM) == ExitCode.OK
    assert owner.titles == ["PAPER: started", "PAPER: stopping"]

    written = [p.read_bytes() for p in project.base.rglob("*") if p.is_file()]
    assert not [raw for raw in (*written, "\n".join(daemon.text).encode()) if CANARY.encode() in raw]


def test_a_strategy_that_does_not_come_back_is_told_before_the_end(project: Project, owner: Owner) -> None:
    more = NOTIFY.format(level="critical") + "\nlimits: {time_budget: 1s}"
    project.write(body="while True: pass", more=more)  # while it warms up
    with project.start(env=env(owner)) as daemon:
        assert daemon.ended() == ExitCode.FAILED
    assert owner.titles == ["PAPER: main: strategy flip does not come back"]


def test_who_is_halted_entirely_sends_no_proof_of_life(project: Project, owner: Owner) -> None:
    project.crashed(TOO_MANY - 1)
    project.write(more=NOTIFY.format(level="critical"))
    with project.start("--log-level", "debug", env=env(owner)) as daemon:
        daemon.until("ready")
        owner.wait(lambda: len(owner.titles) == 1)  # which takes longer than a ping
        assert daemon.ended(signal.SIGTERM) == ExitCode.OK
    assert owner.titles == ["PAPER: main: everything is halted (crash_loop)"]
    assert owner.pings == 0


def test_a_failing_daemon_says_so(project: Project, owner: Owner) -> None:
    project.write(body="1 / 0", more=NOTIFY.format(level="critical"))
    with project.start(env=env(owner)) as daemon:
        assert daemon.ended() == ExitCode.CONFIG
    assert owner.titles == ["PAPER: ended with exit code 78"]
