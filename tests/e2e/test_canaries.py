"""No secret in any byte that a daemon writes: its files, its log at debug level, its answers, what a crash leaves.

Every place that holds secrets holds a canary; a strategy and an import that raise carry one, too.
"""

import json
import signal
import urllib.request
from functools import partial
from pathlib import Path

import pytest
from pytest_httpserver import HTTPServer

from tests import canaries
from tests.canaries import written
from tests.cli.conftest import process
from tests.daemon.served import Project
from tradebot.daemon import places
from tradebot.daemon.control_client import Client
from tradebot.errors import ExitCode, TradebotError

# Of letters only: nothing about them looks like a key, so that only who knows them can hide them.
FILE, SYSTEMD, VARIABLE, KEY, SECRET, PHRASE, VENDOR = (
    f"sparrow{x}feathers" for x in ("quiet", "amber", "rapid", "lofty", "mossy", "ochre", "dusky")
)
found = partial(canaries.found, (FILE, SYSTEMD, VARIABLE, KEY, SECRET, PHRASE, VENDOR))

FAILS = """if self.bars > 20:
            import os
            raise ValueError("no answer from " + os.environ["PLAIN_URL"] + " with " + os.environ["TRADEBOT_MINE_SECRET"])"""


@pytest.fixture
def env(tmp_path: Path, httpserver: HTTPServer) -> dict[str, str]:
    """Secrets in each place: a private file, a credential of systemd, the environment."""
    httpserver.expect_request("/hook").respond_with_data("ok")
    base = f"http://127.0.0.1:{httpserver.port}"
    for folder, name, text in (
        (tmp_path / "config/tradebot/credentials", "HOOK", f"{base.replace('http', 'json')}/hook/{FILE}"),
        (tmp_path / "systemd", "PING", f"{base}/ping/{SYSTEMD}"),
        (
            tmp_path / "config/tradebot/credentials",
            "mine",
            f"key={KEY}\nsecret={SECRET}\npassphrase={PHRASE}\n",
        ),
    ):
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        (folder / name).write_text(text)
        (folder / name).chmod(0o600)
    return {
        "XDG_CONFIG_HOME": str(tmp_path / "config"),
        "CREDENTIALS_DIRECTORY": str(tmp_path / "systemd"),
        "PLAIN_URL": f"{base}/hook?token={VARIABLE}",
        "TRADEBOT_MINE_KEY": KEY,
        "TRADEBOT_MINE_SECRET": SECRET,
        "APCA_API_SECRET_KEY": VENDOR,
    }


NOTIFY = """notify:
  - {url: "${HOOK}", from: info}
  - {url: "${PLAIN_URL}", from: info}
  - {ping: "${PING}", every: 1s}
"""


def test_no_byte_that_a_daemon_writes_holds_a_secret(tmp_path: Path, env: dict[str, str]) -> None:
    project = Project(tmp_path / "p")
    project.write(body=FAILS, more=NOTIFY, pace="10d")
    leaks: list[str] = []
    with project.start("--log-level", "debug", env=env) as daemon:
        port = daemon.until("metrics_served")["port"]
        daemon.until("strategy_failed")
        client = Client(places.find_places(project.root, env | {"TRADEBOT_STATE": str(project.base)}))
        for verb in ("status", "reconcile", "orders", "risk"):
            try:
                leaks += found(verb, json.dumps(client.get(verb)).encode())
            except TradebotError as exc:
                leaks += found(verb, str(exc).encode())
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=10) as page:
            leaks += found("metrics", page.read())
        for words in (
            "status", "why-not SPX", "logs", "doctor", "config show", "config show --json", "config validate",
            "risk show", "notify test",
        ):  # fmt: skip
            done = process(*words.split(), cwd=project.root, env=env | {"TRADEBOT_STATE": str(project.base)})
            leaks += found(f"tradebot {words}", (done.stdout + done.stderr).encode())
        daemon.ended(signal.SIGABRT)  # what the interpreter says on its way out is written, too
    leaks += found("stderr", "\n".join(daemon.text).encode())
    for name, data in written(tmp_path / "p"):
        leaks += found(name, data)
    assert leaks == [], "\n".join(leaks)


@pytest.mark.parametrize("debug", [(), ("--debug",)])
@pytest.mark.parametrize(
    ("broken", "code"),
    [
        ('limits: {max_drawdown: "${PLAIN_URL}"}', ExitCode.CONFIG),
        ('"${PLAIN_URL}": 1', ExitCode.CONFIG),
    ],
)
def test_no_error_of_a_start_says_a_secret(
    tmp_path: Path, env: dict[str, str], broken: str, code: int, debug: tuple[str, ...]
) -> None:
    project = Project(tmp_path / "p")
    project.write(more=broken)
    with project.start(*debug, env=env) as daemon:
        assert daemon.ended() == code
    assert found("stderr", "\n".join(daemon.text).encode()) == []


@pytest.mark.parametrize("debug", [(), ("--debug",)])
def test_no_import_that_raises_says_a_secret(
    tmp_path: Path, env: dict[str, str], debug: tuple[str, ...]
) -> None:
    project = Project(tmp_path / "p")
    text = 'import os\nraise ValueError(os.environ["PLAIN_URL"] + " " + os.environ["TRADEBOT_MINE_SECRET"])\n'
    (project.root / "strategies" / "flip.py").write_text(text)
    with project.start(*debug, env=env) as daemon:
        assert daemon.ended() == ExitCode.CONFIG
    assert found("stderr", "\n".join(daemon.text).encode()) == []
