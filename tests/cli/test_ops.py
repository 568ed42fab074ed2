"""`tradebot service` and `tradebot notify` as a user types them."""

from pathlib import Path

import pytest
from pytest_httpserver import HTTPServer

from tests.cli.conftest import Tradebot
from tradebot.errors import ExitCode

CANARY = "canary-S3cret-0123456789"


def with_notify(project: Path, *entries: str) -> None:
    file = project / "tradebot.yaml"
    lines = "".join(f"\n  - {entry}" for entry in entries)
    file.write_text(f"{file.read_text()}\nnotify:{lines}\n")


def test_dry_run_prints_the_unit_of_this_project(tradebot: Tradebot, project: Path) -> None:
    ended = tradebot("service", "install", "--dry-run")

    assert (ended.code, ended.err) == (0, "")
    assert f"run -c {project}/tradebot.yaml\n" in ended.out
    assert "LoadCredential=" in ended.out
    own = tradebot("service", "install", "--dry-run", "--user", "--json").json
    assert own["unit"].endswith("/.config/systemd/user/tradebot.service")
    assert "LoadCredential=" not in own["text"]
    assert own["done"] == []


def test_service_without_a_configuration_is_78(tradebot: Tradebot) -> None:
    assert tradebot("service", "install", "--dry-run").code == ExitCode.CONFIG


def test_message_and_ping_reach_the_owner(tradebot: Tradebot, project: Path, httpserver: HTTPServer) -> None:
    httpserver.expect_request(f"/hook/{CANARY}", method="POST").respond_with_data("ok")
    httpserver.expect_request(f"/ping/{CANARY}", method="GET").respond_with_data("ok")
    with_notify(
        project,
        f'{{url: "json://127.0.0.1:{httpserver.port}/hook/{CANARY}"}}',
        f'{{ping: "http://127.0.0.1:{httpserver.port}/ping/{CANARY}", every: 5m}}',
    )

    ended = tradebot("notify", "test")
    assert ended.code == 0
    assert ended.out == (
        "where                 arrived\nnotify[0] json://***  yes\nnotify[1] http://***  yes\n"
    )
    assert [request.path for request, _ in httpserver.log].count(f"/ping/{CANARY}") == 1

    httpserver.clear_log()
    assert tradebot("notify", "test", "--no-ping").code == 0
    assert [request.method for request, _ in httpserver.log] == ["POST"]


def test_what_did_not_arrive_is_1_and_says_why_without_secrets(
    tradebot: Tradebot, project: Path, httpserver: HTTPServer
) -> None:
    httpserver.expect_request(f"/ping/{CANARY}").respond_with_data("", status=404)
    with_notify(
        project,
        f'{{url: "json://127.0.0.1:{httpserver.port}/{CANARY}"}}',
        f'{{ping: "http://127.0.0.1:{httpserver.port}/ping/{CANARY}"}}',
    )

    ended = tradebot("notify", "test", "--json")
    assert ended.code == ExitCode.FAILED
    assert [(s["place"], s["ok"]) for s in ended.json["sent"]] == [
        ("notify[0] json://***", False),
        ("notify[1] http://***", False),
    ]
    assert ended.json["sent"][1]["error"] == "answered with status 404"
    assert CANARY not in ended.out + ended.err


def test_address_is_taken_from_a_private_file(
    tradebot: Tradebot, project: Path, httpserver: HTTPServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    httpserver.expect_request("/hook", method="POST").respond_with_data("ok")
    monkeypatch.setenv("XDG_CONFIG_HOME", str(project / "xdg"))
    with_notify(project, '{url: "${NOTIFY_URL}"}')
    file = project / "xdg/tradebot/credentials/NOTIFY_URL"
    file.parent.mkdir(mode=0o700, parents=True)
    file.write_text(f"json://127.0.0.1:{httpserver.port}/hook\n")
    file.chmod(0o644)

    assert tradebot("notify", "test").code == ExitCode.PERMISSION
    file.chmod(0o600)
    assert tradebot("notify", "test").code == 0


def test_nobody_to_tell_is_1_with_the_line_to_write(tradebot: Tradebot, project: Path) -> None:
    ended = tradebot("notify", "test")

    assert ended.code == ExitCode.FAILED
    assert 'write for example notify: [{url: "${NOTIFY_URL}", from: warning}]' in ended.err
