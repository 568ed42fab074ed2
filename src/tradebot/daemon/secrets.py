"""Fetch keys from where their owner put them, and keep them from being shown.

Looks in systemd's credentials, then in files only their owner can read, then in the environment
(which children inherit and /proc shows: accepted and warned about). Refuses files that others could
have read or written. Writes nothing, and knows no venue.
"""

from __future__ import annotations

import errno
import os
import re
import stat
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final, NoReturn

from tradebot.errors import PermissionRefused

HIDDEN: Final = "***"
_LONGEST_FILE = 16_384  # bytes; a key is a line, a certificate a page
_SHORTEST = 4  # characters; hiding a shorter text would hide half of every log
_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_-]{0,63}")
# `LoadCredential=keys:FOLDER` names each file of the folder keys_FILE.
_PREFIX = "keys_"
_PARTS = ("key", "secret", "passphrase")
_VENDOR: Mapping[str, tuple[str, str]] = {"alpaca": ("APCA_API_KEY_ID", "APCA_API_SECRET_KEY")}


class Secret:
    """A text that shows itself as *** wherever it is printed, formatted, logged or put into JSON.

    `reveal` is the only way to the text. It cannot be pickled or copied into a message by accident,
    and two are compared only by identity.
    """

    __slots__ = ("_text",)

    def __init__(self, text: str) -> None:
        self._text = text

    def reveal(self) -> str:
        """Return the text itself; only for whoever sends it to where it belongs."""
        return self._text

    def __repr__(self) -> str:
        return HIDDEN

    __str__ = __repr__

    def __format__(self, spec: str) -> str:
        return HIDDEN

    def __reduce_ex__(self, protocol: object) -> NoReturn:
        raise TypeError("a Secret must not be stored or sent: it cannot be pickled or copied")

    def __bool__(self) -> bool:
        return bool(self._text)


@dataclass(frozen=True, slots=True, kw_only=True)
class Keys:
    """The API keys that a configuration calls by `name`, and where they were found."""

    name: str
    key: Secret
    secret: Secret
    passphrase: Secret | None
    source: str


class Vault:
    """Find secrets by name in credentials, files and environment, in this order.

    `found` is told every text that was read, so that whatever writes logs can hide it; `warn` is
    told of sources that are accepted but not good.
    """

    def __init__(
        self,
        *,
        credentials: Path | None,
        files: Path,
        env: Mapping[str, str],
        found: Callable[[Secret], None] = lambda secret: None,
        warn: Callable[[str], None] = lambda text: None,
    ) -> None:
        self._folders = tuple(f for f in (credentials, files) if f is not None)
        self._credentials, self._files, self._env = credentials, files, env
        self._found, self._warn = found, warn

    def keys(self, name: str, venue: str = "") -> Keys:
        """Return the keys called `name`; a venue's customary variables count as its environment.

        A file holds lines `key=...`, `secret=...` and, where the venue has one, `passphrase=...`.
        Raises PermissionRefused, saying where they were looked for, when they are not there or a
        file is not private.
        """
        named = self._file(name)
        if named is not None:
            path, text = named
            parts, source = _parts(path, text), str(path)
        else:
            parts, source = self._from_environment(name, venue)
        for part in ("key", "secret"):
            if part not in parts:
                raise PermissionRefused(f"keys {name}: {source} must have a line {part}=..., has none")
        made = {part: self._secret(f"{part} of {source}", text) for part, text in parts.items()}
        return Keys(
            name=name,
            key=made["key"],
            secret=made["secret"],
            passphrase=made.get("passphrase"),
            source=source,
        )

    def variable(self, name: str) -> Secret | None:
        """Return the secret that `${name}` stands for: a credential or file of that name, else the variable.

        None when there is none. A variable of the environment is not warned about here: most are
        no secrets.
        """
        named = self._file(name) if _NAME.fullmatch(name) else None
        if named is not None:
            return self._secret(str(named[0]), named[1].rstrip("\r\n"))
        return Secret(self._env[name]) if name in self._env else None

    def _file(self, name: str) -> tuple[Path, str] | None:
        if not _NAME.fullmatch(name):
            raise PermissionRefused(f"a secret must be named by letters, digits, - and _, was {name!r}")
        for folder in self._folders:
            for file in (folder / name, folder / f"{_PREFIX}{name}"):
                text = read_private(file, systemd=folder == self._credentials)
                if text is not None:
                    return file, text
        return None

    def _from_environment(self, name: str, venue: str) -> tuple[dict[str, str], str]:
        head = f"TRADEBOT_{re.sub('[^A-Z0-9]', '_', name.upper())}_"
        sets = [{part: f"{head}{part.upper()}" for part in _PARTS}]
        if venue in _VENDOR:
            sets.append(dict(zip(_PARTS, _VENDOR[venue], strict=False)))
        for variables in sets:
            parts = {part: self._env[v] for part, v in variables.items() if self._env.get(v)}
            if parts:
                used = ", ".join(variables[part] for part in parts)
                self._warn(
                    f"keys {name} come from the environment ({used}), which other programs of this user can "
                    f"read; a file is better: {self._files / name}, mode 0600"
                )
                return parts, f"the environment ({used})"
        places = ", ".join([*(str(folder / name) for folder in self._folders), f"{head}KEY and {head}SECRET"])
        raise PermissionRefused(f"keys {name} must be in one of {places}; found in none")

    def _secret(self, place: str, text: str) -> Secret:
        if len(text) < _SHORTEST:
            raise PermissionRefused(
                f"{place} must have at least {_SHORTEST} characters, had {len(text)}; was it cut off?"
            )
        secret = Secret(text)
        self._found(secret)
        return secret


def no_keys() -> Vault:
    """Return a vault in which nothing is found."""
    return Vault(credentials=None, files=Path("/nonexistent"), env={})


class Variables(Mapping[str, str]):
    """An environment in which `${NAME}` is also found in credentials and private files.

    What the configuration's loader is given in place of the process's own.
    """

    def __init__(self, vault: Vault, env: Mapping[str, str]) -> None:
        self._vault, self._env = vault, env

    def __getitem__(self, name: str) -> str:
        secret = self._vault.variable(name)
        if secret is None:
            raise KeyError(name)
        return secret.reveal()

    def __iter__(self) -> Iterator[str]:
        return iter(self._env)

    def __len__(self) -> int:
        return len(self._env)


def read_private(path: Path, *, systemd: bool = False) -> str | None:
    """Return the text of a file that only its owner can read, None when there is no such file.

    `systemd` lets pass what systemd itself does with credentials: owned by root, readable by a
    group through an ACL, in a folder it made. Checks the file that it then reads, not its name.
    Raises PermissionRefused, saying what must hold, for anything else.
    """
    try:
        handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as exc:
        if exc.errno in (errno.ENOENT, errno.ENOTDIR):
            return None
        if exc.errno == errno.ELOOP:
            raise PermissionRefused(f"{path} must be a file, is a symbolic link") from exc
        raise PermissionRefused(f"{path} must be readable: {exc.strerror}") from exc
    try:
        _check_file(path, os.fstat(handle), systemd=systemd)
        if not systemd:
            _check_folder(path.parent)
        raw = os.read(handle, _LONGEST_FILE + 1)
    finally:
        os.close(handle)
    if len(raw) > _LONGEST_FILE:
        raise PermissionRefused(f"{path} must have at most {_LONGEST_FILE} bytes, has more")
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError as exc:
        raise PermissionRefused(f"{path} must be text in UTF-8, is not") from exc


def _check_file(path: Path, found: os.stat_result, *, systemd: bool) -> None:
    if not stat.S_ISREG(found.st_mode):
        raise PermissionRefused(f"{path} must be a regular file, is not")
    if found.st_uid not in (os.geteuid(), 0):
        raise PermissionRefused(
            f"{path} must belong to the user that runs tradebot ({os.geteuid()}) or root, "
            f"belongs to {found.st_uid}"
        )
    mode = stat.S_IMODE(found.st_mode)
    # In systemd's own folder the group bits are the mask of the ACL that lets only the service in.
    if mode & (0o027 if systemd else 0o077):
        raise PermissionRefused(f"{path} must be private (mode 0600), has mode {mode:04o}: chmod 600 {path}")


def _check_folder(folder: Path) -> None:
    found = folder.stat()
    mode = stat.S_IMODE(found.st_mode)
    if mode & 0o022:
        raise PermissionRefused(
            f"{folder} must not be writable by others, who could change what is in it; has mode {mode:04o}: "
            f"chmod go-w {folder}"
        )


def _parts(path: Path, text: str) -> dict[str, str]:
    parts: dict[str, str] = {}
    for i, line in enumerate(text.splitlines(), start=1):
        name, equals, value = (piece.strip() for piece in line.partition("="))
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        # Never quote the line: it may be the key itself, pasted without its name.
        if not equals or name not in _PARTS or name in parts:
            known = ", ".join(f"{part}=..." for part in _PARTS)
            raise PermissionRefused(f"{path}:{i}: must be one of {known}, each once")
        parts[name] = value
    return parts
