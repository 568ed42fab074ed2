"""The unit: what systemd thinks of it, how it comes and goes, and that three tables of codes agree."""

import os
import re
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

import pytest

from tradebot.cli.words import EXIT_CODES, INTERRUPTED
from tradebot.daemon import places, service
from tradebot.daemon.service import Installed, Order, Scope, Systemd, render
from tradebot.errors import ExitCode, PermissionRefused, TradebotError, UsageError

ROOT = Path(__file__).parents[2]
TEMPLATE = (ROOT / "systemd" / "tradebot.service").read_text(encoding="utf-8")
needs_systemd = pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="no systemd-analyze here")
SYSTEM, USER = Scope


def order(scope: Scope = SYSTEM, config: str = "/etc/tradebot/tradebot.yaml") -> Order:
    return Order(scope=scope, program=("/bin/true",), project=Path(config).parent, config=Path(config))


def analyze(tmp_path: Path, text: str, *words: str) -> subprocess.CompletedProcess[str]:
    file = tmp_path / "tradebot.service"
    file.write_text(text, encoding="utf-8")
    (tmp_path / "run").mkdir(exist_ok=True)
    return subprocess.run(
        ["systemd-analyze", *words, str(file)],
        env={**os.environ, "XDG_RUNTIME_DIR": str(tmp_path / "run")},
        capture_output=True,
        text=True,
        check=False,
    )


@needs_systemd
@pytest.mark.parametrize("words", [("verify", "--man=no"), ("--user", "verify", "--man=no")])
def test_systemd_finds_nothing_wrong_with_the_unit(tmp_path: Path, words: tuple[str, ...]) -> None:
    folder = tmp_path / "a folder"
    folder.mkdir()
    scope = USER if "--user" in words else SYSTEM
    done = analyze(tmp_path, render(TEMPLATE, order(scope, f"{folder}/tradebot.yaml")), *words)

    # It ends with 0 also on keys that it does not know: what it says is what counts.
    assert (done.returncode, done.stderr) == (0, "")


@needs_systemd
def test_a_stolen_process_gets_nowhere(tmp_path: Path) -> None:
    words = ("security", "--offline=yes", "--no-pager", "--threshold=13")
    done = analyze(tmp_path, render(TEMPLATE, order()), *words)

    assert done.returncode == 0, done.stdout[-300:]
    assert analyze(tmp_path, "[Service]\nExecStart=/bin/true\n", *words).returncode != 0


def test_the_unit_keeps_what_the_daemon_relies_on() -> None:
    text = render(TEMPLATE, order())

    for line in (
        "Type=notify", "NotifyAccess=main", "WatchdogSec=60", "KillMode=mixed", "Restart=on-failure", "MemoryMax=512M",
        "MemoryDenyWriteExecute=yes", "User=tradebot", "StateDirectory=tradebot", "StateDirectoryMode=0700",
        "LoadCredential=keys:/etc/tradebot/credentials", "LimitCORE=0", "UMask=0077",
        "ExecStart=/bin/true run -c /etc/tradebot/tradebot.yaml", "WantedBy=multi-user.target",
    ):  # fmt: skip
        assert f"\n{line}\n" in text, line
    assert "@" not in re.sub(r"(?m)^(SystemCallFilter=.*|#.*)$", "", text)


def test_a_users_own_unit_asks_for_nothing_that_only_root_may() -> None:
    text = render(TEMPLATE, order(USER))
    keys = set(re.findall(r"(?m)^(\w+)=", text))

    assert not [
        k for k in keys if k.startswith(("Protect", "Private", "Capabilit", "State", "Runtime", "Load"))
    ]
    assert {"NoNewPrivileges", "SystemCallFilter", "WatchdogSec", "MemoryMax"} <= keys
    assert "WantedBy=default.target" in text


@pytest.mark.parametrize("name", ["a%b", "a$b", 'a"b', "a\\b", "a\nb", "a'b"])
def test_path_that_would_mean_something_else_in_a_unit_is_refused(name: str) -> None:
    with pytest.raises(UsageError, match="cannot stand in a systemd unit because of its"):
        render(TEMPLATE, order(config=f"/etc/{name}/tradebot.yaml"))


def test_path_with_a_space_stays_one_word() -> None:
    text = render(TEMPLATE, order(config="/etc/my bot/tradebot.yaml"))

    assert 'ExecStart=/bin/true run -c "/etc/my bot/tradebot.yaml"\n' in text
    assert "WorkingDirectory=/etc/my bot\n" in text


class Machine:
    """A machine in a folder: its systemd, its users, and what was asked of it."""

    def __init__(self, root: Path, euid: int = 0) -> None:
        self.root, self.asked, self.user_exists = root, [], False
        (root / "run/systemd/system").mkdir(parents=True)
        project = root / "etc/tradebot"
        (project / "strategies").mkdir(parents=True)
        for name in ("tradebot.yaml", "strategies/mine.py"):
            (project / name).write_text("")
            (project / name).chmod(0o600)
        self.order = Order(
            scope=SYSTEM, program=("/bin/true",), project=project, config=project / "tradebot.yaml"
        )
        self.systemd = Systemd(root=root, home=root / "home/me", run=self._run, ids=self._ids, euid=euid)

    def _run(self, command: Sequence[str]) -> None:
        self.asked.append(" ".join(command))  # type: ignore[has-type]
        self.user_exists |= command[0] == "useradd"

    def _ids(self, user: str) -> tuple[int, int] | None:
        return (os.getuid(), os.getgid()) if self.user_exists else None


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path)


def test_install_makes_what_the_unit_needs_and_starts_nothing(machine: Machine) -> None:
    done = machine.systemd.install(TEMPLATE, machine.order)

    credentials = machine.root / "etc/tradebot/credentials"
    assert credentials.stat().st_mode & 0o777 == 0o700
    assert (machine.root / "etc/tradebot/tradebot.yaml").stat().st_mode & 0o777 == 0o640
    assert (machine.root / "etc/tradebot/strategies/mine.py").stat().st_mode & 0o777 == 0o640
    assert len(done) == 5
    assert [c.split()[0:2] for c in machine.asked] == [
        ["useradd", "--system"],
        ["systemctl", "daemon-reload"],
        ["systemctl", "enable"],
    ]
    unit = machine.systemd.unit_path(SYSTEM)
    assert unit.stat().st_mode & 0o777 == 0o644
    assert machine.systemd.installed() == Installed(scope=SYSTEM, unit=unit, config=machine.order.config)


def test_installing_again_changes_only_the_unit(machine: Machine) -> None:
    machine.systemd.install(TEMPLATE, machine.order)
    secret = machine.root / "etc/tradebot/credentials/broker"
    secret.write_text("key=...")
    secret.chmod(0o600)

    assert machine.systemd.install(TEMPLATE, machine.order) == [
        f"wrote {machine.systemd.unit_path(SYSTEM)}",
        "enabled it, so that it starts with the machine",
    ]
    assert secret.stat().st_mode & 0o777 == 0o600


def test_uninstall_stops_and_removes_the_unit_and_nothing_else(machine: Machine) -> None:
    machine.systemd.install(TEMPLATE, machine.order)
    machine.asked.clear()

    machine.systemd.uninstall(SYSTEM)
    assert machine.asked == ["systemctl disable --now tradebot.service", "systemctl daemon-reload"]
    assert machine.systemd.installed() is None
    assert machine.order.config.exists()
    assert (machine.root / "etc/tradebot/credentials").exists()
    with pytest.raises(TradebotError, match="must be a unit of tradebot's, is not there or is not one"):
        machine.systemd.uninstall(SYSTEM)


def test_a_users_own_service_needs_no_root_and_no_user(tmp_path: Path) -> None:
    machine = Machine(tmp_path, euid=1000)
    mine = Order(
        scope=USER, program=("/bin/true",), project=machine.order.project, config=machine.order.config
    )

    machine.systemd.install(TEMPLATE, mine)
    assert machine.asked == [
        "systemctl --user daemon-reload",
        "systemctl --user enable tradebot.service",
    ]
    found = machine.systemd.installed()
    assert found is not None
    assert found.scope is USER
    assert found.unit == tmp_path / "home/me/.config/systemd/user/tradebot.service"


def test_what_cannot_work_is_said_before_anything_is_done(machine: Machine, tmp_path: Path) -> None:
    hidden = Order(
        scope=SYSTEM,
        program=("/bin/true",),
        project=tmp_path / "home/me/bot",
        config=tmp_path / "home/me/bot/tradebot.yaml",
    )
    with pytest.raises(UsageError, match="a service sees nothing in /home"):
        machine.systemd.install(TEMPLATE, hidden)
    with pytest.raises(PermissionRefused, match="must be installed by root: sudo; for yourself only: --user"):
        Machine(tmp_path / "other", euid=1000).systemd.install(TEMPLATE, machine.order)
    shutil.rmtree(tmp_path / "run")
    with pytest.raises(TradebotError, match="must be run by systemd, is not; --dry-run prints the unit"):
        machine.systemd.install(TEMPLATE, machine.order)
    assert machine.asked == []


def test_unit_of_another_project_or_of_a_stranger_is_left_alone(machine: Machine) -> None:
    unit = machine.systemd.unit_path(SYSTEM)
    unit.parent.mkdir(parents=True)
    unit.write_text("[Service]\nExecStart=/bin/false\n")
    with pytest.raises(TradebotError, match="was not written by tradebot; remove it first"):
        machine.systemd.install(TEMPLATE, machine.order)

    unit.write_text(render(TEMPLATE, order(config="/srv/other/tradebot.yaml")))
    with pytest.raises(TradebotError, match=r"runs /srv/other/tradebot.yaml; one service runs one project"):
        machine.systemd.install(TEMPLATE, machine.order)
    assert machine.systemd.installed() == Installed(
        scope=SYSTEM, unit=unit, config=Path("/srv/other/tradebot.yaml")
    )


def test_a_command_finds_the_installed_services_things_if_it_runs_that_file(machine: Machine) -> None:
    config = machine.order.config
    own = service.places_here(config, {}, machine.root)
    assert own == places.find_places(config.parent, {})

    machine.systemd.install(TEMPLATE, machine.order)
    assert service.places_here(config, {}, machine.root).state == machine.root / "var/lib/tradebot"
    other = machine.root / "etc/other.yaml"
    assert service.places_here(other, {}, machine.root).state != machine.root / "var/lib/tradebot"
    inside = {"STATE_DIRECTORY": "/given"}
    assert service.places_here(config, inside, machine.root).state == Path("/given")


def test_project_of_a_file_in_config_is_the_folder_above(tmp_path: Path) -> None:
    assert service.project_of(tmp_path / "tradebot.yaml") == tmp_path
    assert service.project_of(tmp_path / "config/tradebot.yaml") == tmp_path


def test_exit_codes_are_the_same_in_enum_help_documentation_and_unit() -> None:
    page = (ROOT / "docs" / "cli.md").read_text(encoding="utf-8")
    section = page.partition("\n## Exit codes\n")[2].partition("\n## ")[0]
    documented = {int(code) for code in re.findall(r"(?m)^\| (\d+) \|", section)}
    listed = {int(code) for code in re.findall(r"\b\d+\b", " ".join(EXIT_CODES))}
    (unit,) = re.findall(r"(?m)^RestartPreventExitStatus=(.*)$", TEMPLATE)
    never = {int(code) for code in unit.split()}
    (said,) = re.findall(r"systemd does not start the daemon again after ([\d, and]+)", section)

    assert documented == listed == {int(code) for code in ExitCode} | {INTERRUPTED}
    assert never == {ExitCode.BUSY, ExitCode.PERMISSION, ExitCode.CONFIG}
    assert never == {int(code) for code in re.findall(r"\d+", said)}
    doc = ExitCode.__doc__ or ""
    assert {ExitCode[name] for name in re.findall(r"[A-Z]{3,}", doc)} == never
