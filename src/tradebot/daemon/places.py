"""Know where a daemon's things are: state, socket, configuration, credentials and logs.

systemd's folders win, then TRADEBOT_STATE, then the user's own (XDG). One project has one state; each
account inside it has a folder of its own per mode and venue, so that paper never meets live.
Makes folders, private ones, and writes nothing into them but the name of their project.
"""

from __future__ import annotations

import hashlib
import os
import re
import stat
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import platformdirs

from tradebot.errors import ConfigError, InvariantError, PermissionRefused, Problem

PRIVATE = 0o700
WHERE = "where"
SERVICE = "tradebot"  # the name of the unit and of its folders
_LONGEST_SOCKET = 107  # bytes; the kernel's struct sockaddr_un has no room for more
_WORD = re.compile(r"[a-z0-9][a-z0-9_]{0,31}")
_ACCOUNT = re.compile(r"[a-z0-9][a-z0-9_-]{0,31}")


@dataclass(frozen=True, slots=True, kw_only=True)
class AccountPlaces:
    """Where one account's files are."""

    folder: Path

    @property
    def journal(self) -> Path:
        return self.folder / "journal.db"

    @property
    def archive(self) -> Path:
        return self.folder / "archive.db"

    @property
    def venue(self) -> Path:
        return self.folder / "venue.db"

    @property
    def halt(self) -> Path:
        return self.folder / "halt"


@dataclass(frozen=True, slots=True, kw_only=True)
class Places:
    """Where one project's daemon has its folders; `credentials` is None without systemd."""

    project: Path
    state: Path
    runtime: Path
    config: Path
    credentials: Path | None
    logs: Path

    @property
    def socket(self) -> Path:
        return self.runtime / "control.sock"

    @property
    def key_files(self) -> Path:
        """Where the owner keeps keys in files of their own."""
        return self.config / "credentials"

    def account(self, mode: str, venue: str, account: str) -> AccountPlaces:
        """Return the places of an account; the three words keep their files apart from all others.

        Raises InvariantError for words that the configuration would not have let pass.
        """
        # No dash in the first two: `a-b` at `c` would else share a folder with `b` at `a-c`.
        if not (_WORD.fullmatch(mode) and _WORD.fullmatch(venue) and _ACCOUNT.fullmatch(account)):
            found = f"{mode!r}, {venue!r}, {account!r}"
            raise InvariantError(f"mode, venue and account must be plain words, were {found}")
        return AccountPlaces(folder=self.state / f"{mode}-{venue}-{account}")


def find_places(project: Path, env: Mapping[str, str]) -> Places:
    """Return where the daemon of `project` (the folder of its configuration) has its things.

    Reads `env` and the user's home; makes nothing.
    """
    project = project.resolve()
    state = _folder(env, "STATE_DIRECTORY")
    if state is None:
        chosen = env.get("TRADEBOT_STATE")
        base = Path(chosen).absolute() if chosen else platformdirs.user_state_path(SERVICE)
        state = base / project_name(project)
    return Places(
        project=project,
        state=state,
        # Not XDG's runtime folder: it vanishes when the user logs out, and a daemon stays.
        runtime=_folder(env, "RUNTIME_DIRECTORY") or state,
        config=_folder(env, "CONFIGURATION_DIRECTORY") or platformdirs.user_config_path(SERVICE),
        credentials=_folder(env, "CREDENTIALS_DIRECTORY"),
        logs=_folder(env, "LOGS_DIRECTORY") or state / "logs",
    )


def service_places(project: Path, root: Path = Path("/")) -> Places:
    """Return where the installed system service has its things, for a command beside it."""
    return Places(
        project=project.resolve(),
        state=root / "var/lib" / SERVICE,
        runtime=root / "run" / SERVICE,
        config=root / "etc" / SERVICE,
        credentials=None,
        logs=root / "var/lib" / SERVICE / "logs",
    )


def project_name(project: Path) -> str:
    """Return a folder name that only this project has: its own name and a digest of its path."""
    path = project.resolve()
    digest = hashlib.sha256(os.fsencode(path)).hexdigest()[:10]
    name = re.sub(r"[^A-Za-z0-9_]+", "-", path.name).strip("-")[:20] or "project"
    return f"{name}-{digest}"


def make(places: Places) -> None:
    """Make the state, runtime and log folders, readable by their owner only.

    Raises PermissionRefused when one cannot be made, is another user's or cannot be written, and
    ConfigError when the state is another project's.
    """
    # systemd made its own folders and chose their modes; the runtime one may be open to a group.
    for folder in (places.state, places.logs):
        _make_private(folder)
    _make(places.runtime)
    _claim(places)


def make_account(places: AccountPlaces) -> None:
    """Make an account's folder. Raises PermissionRefused as `make` does."""
    _make_private(places.folder)


def lost_states(places: Places) -> list[tuple[Path, Path]]:
    """Return (project, state) of states beside this one whose project is no longer where it was.

    A project that was moved starts with an empty state and would not know its own positions.
    """
    found: list[tuple[Path, Path]] = []
    for note in sorted(places.state.parent.glob(f"*/{WHERE}")):
        owner = _owner(note)
        if note.parent != places.state and owner is not None and not owner.exists():
            found.append((owner, note.parent))
    return found


@contextmanager
def address(socket: Path) -> Iterator[str]:
    """Give the path by which a unix socket can be bound or connected to, however long its own is."""
    if len(os.fsencode(socket)) <= _LONGEST_SOCKET:
        yield str(socket)
        return
    folder = os.open(socket.parent, os.O_PATH | os.O_DIRECTORY)
    try:
        yield f"/proc/self/fd/{folder}/{socket.name}"
    finally:
        os.close(folder)


def _folder(env: Mapping[str, str], name: str) -> Path | None:
    # systemd lists several folders with colons; the first is the unit's own.
    value = env.get(name, "").split(":")[0]
    return Path(value) if value else None


def _make_private(folder: Path) -> None:
    _make(folder)
    state = folder.stat()
    if state.st_uid != os.geteuid():
        raise PermissionRefused(
            f"{folder} must belong to the user that runs tradebot ({os.geteuid()}), belongs to {state.st_uid}; "
            f"run as that user or: chown -R {os.geteuid()} {folder}"
        )
    if stat.S_IMODE(state.st_mode) & 0o077:
        folder.chmod(PRIVATE)


def _make(folder: Path) -> None:
    try:
        folder.mkdir(mode=PRIVATE, parents=True, exist_ok=True)
    except OSError as exc:
        raise PermissionRefused(f"{folder} must be a folder that can be made: {exc.strerror}") from exc
    if not os.access(folder, os.R_OK | os.W_OK | os.X_OK):
        raise PermissionRefused(
            f"{folder} must be readable and writable by the user that runs tradebot ({os.geteuid()}), is not; "
            "TRADEBOT_STATE names another folder"
        )


def _claim(places: Places) -> None:
    note = places.state / WHERE
    owner = _owner(note)
    if owner == places.project:
        return
    if owner is not None:
        message = (
            f"holds the state of the project in {owner}, not of {places.project}; positions belong to a project. "
            f"If it was moved, write its new place into {note}"
        )
        raise ConfigError([Problem(file=str(places.state), line=None, key="", message=message)])
    try:
        note.write_text(f"{places.project}\n", encoding="utf-8")
    except OSError as exc:
        raise PermissionRefused(f"{note} must be writable: {exc.strerror}") from exc


def _owner(note: Path) -> Path | None:
    try:
        text = note.read_text(encoding="utf-8").strip()
    except FileNotFoundError:
        return None
    except OSError as exc:
        raise PermissionRefused(f"{note} must be readable: {exc.strerror}") from exc
    return Path(text) if text else None
