"""Put tradebot under systemd and take it away again.

Owns the unit file: its words, its place, and whose project it runs. Touches nothing else but what the
unit needs to start (a user without a login, a folder for credentials, leave to read the project).
Never starts trading; state and journals are never touched.
"""

from __future__ import annotations

import os
import pwd
import re
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from pathlib import Path

from tradebot.daemon.places import SERVICE, Places, find_places, service_places
from tradebot.errors import PermissionRefused, TradebotError, UsageError

UNIT = f"{SERVICE}.service"
USER = "tradebot"
_MARK = re.compile(r"(?m)^\[X-Tradebot\]\n(?:#.*\n)*Config=(.+)$")
# A unit's own signs; a path with one of these would mean something else there.
_UNWRITABLE = re.compile(r"[%$\"'\\\x00-\x1f\x7f]")
# ProtectHome and PrivateTmp hide these from a system service.
_HIDDEN_FROM_SERVICE = ("home", "root", "run/user", "tmp", "var/tmp")
# What only the system's own systemd may do or, for a user's project in a home, must not do.
_SYSTEM_ONLY = re.compile(
    r"(Wants|After|User|(State|Runtime|Configuration)Directory(Mode)?|LoadCredential|CapabilityBoundingSet|"
    r"AmbientCapabilities|Protect\w+|Private\w+|ProcSubset|RemoveIPC|KeyringMode|DevicePolicy|IPAddressDeny|"
    r"OOMScoreAdjust)="
)


class Scope(Enum):
    """Whose service: the machine's, which outlives every login, or one user's own."""

    SYSTEM = "system"
    USER = "user"


@dataclass(frozen=True, slots=True, kw_only=True)
class Installed:
    """A unit of ours that is there, and the configuration that it runs."""

    scope: Scope
    unit: Path
    config: Path


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """What a unit shall run: this program with this configuration of this project."""

    scope: Scope
    program: tuple[str, ...]
    project: Path
    config: Path


def places_here(config: Path, env: Mapping[str, str], root: Path = Path("/")) -> Places:
    """Return where the daemon of `config` has its things: the installed service's, if it runs that file.

    What a command beside the daemon asks; the daemon itself is told by systemd through `env`.
    """
    project = project_of(config)
    if "STATE_DIRECTORY" not in env:
        found = Systemd(root=root).installed(Scope.SYSTEM)
        if found is not None and found.config == config.resolve():
            return service_places(project, root)
    return find_places(project, env)


def project_of(config: Path) -> Path:
    """Return the folder of a configuration's project; `config/tradebot.yaml` belongs to the one above."""
    folder = config.resolve().parent
    return folder.parent if folder.name == "config" else folder


def own_program() -> tuple[str, ...]:
    """Return the command that runs tradebot from the environment of this process."""
    script = Path(sys.prefix) / "bin" / "tradebot"
    return (str(script),) if script.is_file() else (sys.executable, "-m", "tradebot")


def render(template: str, order: Order) -> str:
    """Return the unit's text. Raises UsageError when a path cannot stand in a unit."""
    for path in (*order.program, str(order.project), str(order.config)):
        if found := _UNWRITABLE.search(path):
            raise UsageError(f"{path!r} cannot stand in a systemd unit because of its {found[0]!r}; move it")
    words = {
        "@EXEC@": " ".join(map(_word, order.program)),
        "@CONFIG@": _word(str(order.config)),
        "@PLAIN_CONFIG@": str(order.config),
        "@FOLDER@": str(order.project),
        "@PROJECT@": str(order.project),
        "@USER@": USER,
    }
    text = re.sub(r"@[A-Z_]+@", lambda match: words[match[0]], _without_notes_on_placeholders(template))
    return text if order.scope is Scope.SYSTEM else _for_user(text)


class Systemd:
    """The part of a machine's systemd that belongs to tradebot."""

    def __init__(
        self,
        *,
        root: Path = Path("/"),
        home: Path | None = None,
        run: Callable[[Sequence[str]], None] | None = None,
        ids: Callable[[str], tuple[int, int] | None] | None = None,
        euid: int | None = None,
    ) -> None:
        self._root, self._home = root, home or Path.home()
        self._run, self._ids = run or _run, ids or _ids
        self._euid = os.geteuid() if euid is None else euid

    def unit_path(self, scope: Scope) -> Path:
        """Return where the unit of a scope lies, or would."""
        if scope is Scope.SYSTEM:
            return self._root / "etc/systemd/system" / UNIT
        return self._home / ".config/systemd/user" / UNIT

    def installed(self, scope: Scope | None = None) -> Installed | None:
        """Return the unit of ours in a scope, or in the first of both; None when there is none."""
        for where in (scope,) if scope else Scope:
            path = self.unit_path(where)
            try:
                found = _MARK.search(path.read_text(encoding="utf-8"))
            except OSError:
                continue
            if found is not None:
                return Installed(scope=where, unit=path, config=Path(found[1]))
        return None

    def install(self, template: str, order: Order) -> list[str]:
        """Write and enable the unit; return what was done, a line each. Starts nothing.

        Raises UsageError when the project cannot run there, PermissionRefused without the rights,
        TradebotError when another unit is in the place or systemd is not what runs this machine.
        """
        text = render(template, order)
        self._check(order)
        done = self._prepare_system(order) if order.scope is Scope.SYSTEM else []
        path = self.unit_path(order.scope)
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
            path.chmod(0o644)
        except OSError as exc:
            raise PermissionRefused(f"{path} must be writable: {exc.strerror}") from exc
        done.append(f"wrote {path}")
        self._systemctl(order.scope, "daemon-reload")
        self._systemctl(order.scope, "enable", UNIT)
        done.append("enabled it, so that it starts with the machine")
        return done

    def uninstall(self, scope: Scope) -> list[str]:
        """Stop and disable the service and remove its unit; return what was done.

        Raises TradebotError when no unit of ours is there.
        """
        found = self.installed(scope)
        if found is None:
            raise TradebotError(
                f"{self.unit_path(scope)} must be a unit of tradebot's, is not there or is not one"
            )
        self._require_rights(scope)
        self._systemctl(scope, "disable", "--now", UNIT)
        found.unit.unlink()
        self._systemctl(scope, "daemon-reload")
        return ["stopped and disabled the service", f"removed {found.unit}"]

    def _check(self, order: Order) -> None:
        if not (self._root / "run/systemd/system").is_dir():
            raise TradebotError("this machine must be run by systemd, is not; --dry-run prints the unit")
        self._require_rights(order.scope)
        path = self.unit_path(order.scope)
        found = self.installed(order.scope)
        if found is None and path.exists():
            raise TradebotError(f"{path} is there and was not written by tradebot; remove it first")
        if found is not None and found.config != order.config:
            scope = "" if order.scope is Scope.SYSTEM else " --user"
            raise TradebotError(
                f"{path} runs {found.config}; one service runs one project. "
                f"To replace it: tradebot service uninstall{scope}"
            )
        if order.scope is Scope.SYSTEM:
            # The interpreter of a virtual environment is a link to where Python really is.
            program = Path(order.program[0])
            for what, there in (
                ("the project", order.project),
                ("tradebot", program),
                ("its Python", Path(sys.executable).resolve()),
            ):
                self._require_visible(what, there)

    def _require_visible(self, what: str, path: Path) -> None:
        for hidden in _HIDDEN_FROM_SERVICE:
            if path.is_relative_to(self._root / hidden):
                raise UsageError(
                    f"{what} must be where a service can see it, is {path}; a service sees nothing in /{hidden}. "
                    "Put it into /etc/tradebot or /opt (docs/vps.md), or install for yourself: --user"
                )

    def _require_rights(self, scope: Scope) -> None:
        if scope is Scope.SYSTEM and self._euid != 0:
            raise PermissionRefused(
                "a service of the machine must be installed by root: sudo; for yourself only: --user"
            )

    def _prepare_system(self, order: Order) -> list[str]:
        done: list[str] = []
        ids = self._ids(USER)
        if ids is None:
            nowhere = ("--home-dir", "/nonexistent", "--no-create-home", "--shell", "/usr/sbin/nologin")
            self._run(["useradd", "--system", "--user-group", *nowhere, USER])
            done.append(f"made the user {USER}, who cannot log in")
            ids = self._ids(USER)
            if ids is None:
                raise TradebotError(f"the user {USER} must exist after useradd, does not")
        credentials = self._root / "etc" / SERVICE / "credentials"
        if not credentials.is_dir():
            credentials.mkdir(mode=0o700, parents=True)
            done.append(f"made {credentials} for keys, one file each")
        opened = sum(_open_to_group(path, ids[1]) for path in _parts_of(order))
        if opened:
            done.append(f"let {USER} read {opened} files of {order.project}")
        return done

    def _systemctl(self, scope: Scope, *words: str) -> None:
        self._run(["systemctl", *(("--user",) if scope is Scope.USER else ()), *words])


def _parts_of(order: Order) -> list[Path]:
    # Not everything below the project: /etc/tradebot also holds the credentials.
    found = [order.project, order.config]
    for name in ("strategies", "data"):
        found += [order.project / name, *(order.project / name).rglob("*")]
    return [path for path in found if path.exists() and not path.is_symlink()]


def _open_to_group(path: Path, group: int) -> bool:
    found = path.stat()
    wanted = 0o050 if path.is_dir() else 0o040
    others = 0o005 if path.is_dir() else 0o004
    if found.st_mode & others == others or (found.st_gid == group and found.st_mode & wanted == wanted):
        return False
    os.chown(path, -1, group)
    path.chmod((found.st_mode & 0o7777) | wanted)
    return True


def _for_user(text: str) -> str:
    kept: list[str] = []
    for line in text.splitlines():
        if _SYSTEM_ONLY.match(line):
            while kept and kept[-1].startswith("#"):
                kept.pop()  # what was said about the line that goes
            continue
        kept.append("WantedBy=default.target" if line.startswith("WantedBy=") else line)
    return re.sub(r"\n{3,}", "\n\n", "\n".join(kept) + "\n")


def _without_notes_on_placeholders(template: str) -> str:
    # The head of the file explains the template; the unit says what made it.
    head, _, rest = template.partition("\n\n")
    assert head.startswith("#")
    return f"# Made by `tradebot service install`; change it with `systemctl edit {SERVICE}`.\n\n{rest}"


def _word(text: str) -> str:
    return f'"{text}"' if " " in text else text


def _ids(user: str) -> tuple[int, int] | None:
    try:
        found = pwd.getpwnam(user)
    except KeyError:
        return None
    return found.pw_uid, found.pw_gid


def _run(command: Sequence[str]) -> None:
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    except (OSError, subprocess.TimeoutExpired) as exc:
        raise TradebotError(f"{command[0]} must be there and answer: {exc}") from exc
    if done.returncode:
        said = (done.stderr or done.stdout).strip()
        raise TradebotError(f"{' '.join(command)} ended with {done.returncode}: {said}")
