"""Let one process at a time work on a state folder.

The kernel holds the lock and drops it when the process ends, however it ends; what is written
inside only says who it is. It is a lock of the open file (OFD): unlike flock it can be asked after
without being taken, so that looking never makes a starting daemon fail.
"""

from __future__ import annotations

import fcntl
import json
import os
import struct
from collections.abc import Callable
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Self

from tradebot.errors import Busy, PermissionRefused

NAME = "lock"
_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")
_FLOCK = "@hhqqi0q"  # struct flock: type, whence, start, length, process


@dataclass(frozen=True, slots=True, kw_only=True)
class Holder:
    """Who holds a lock: process, when it took the lock (ns UTC), and in which boot of the machine."""

    pid: int
    since: int
    boot: str


class Lock:
    """The lock of a state folder; hold it for as long as anything in the folder may be written."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / NAME
        self._handle: int | None = None

    def take(self, now: Callable[[], int]) -> None:
        """Take the lock, `now` (ns UTC) being written as the start; never waits.

        Raises Busy, naming the holder, when another process has it, PermissionRefused when the
        file cannot be opened.
        """
        handle = self._open()
        try:
            fcntl.fcntl(handle, fcntl.F_OFD_SETLK, _whole_file())
        except BlockingIOError as exc:
            os.close(handle)
            raise Busy(self._busy()) from exc
        self._handle = handle
        # A worker that a strategy forks has this open, too, and would hold the lock after our end.
        os.register_at_fork(after_in_child=self.release)
        holder = Holder(pid=os.getpid(), since=now(), boot=boot_id())
        os.ftruncate(handle, 0)
        os.pwrite(handle, json.dumps(asdict(holder)).encode(), 0)

    def release(self) -> None:
        """Let go; does nothing when the lock is not held. The file stays, so that no one locks a deleted one."""
        if self._handle is not None:
            os.close(self._handle)
            self._handle = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.release()

    def _open(self) -> int:
        try:
            # O_CLOEXEC is Python's default: a child must not keep the lock when we are gone.
            return os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600)
        except OSError as exc:
            raise PermissionRefused(
                f"{self.path} must be a file that can be written: {exc.strerror}"
            ) from exc

    def _busy(self) -> str:
        holder = read(self.path)
        who = "another process" if holder is None else f"process {holder.pid} since {_shown(holder.since)}"
        return f"{self.path.parent} is in use by {who}; one daemon per project. See: tradebot status"


def holder(folder: Path) -> Holder | None:
    """Return who holds the lock of a folder right now, None when nobody does or it cannot be told."""
    path = folder / NAME
    try:
        handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW)
    except OSError:
        return None
    try:
        answer = fcntl.fcntl(handle, fcntl.F_OFD_GETLK, _whole_file())
    except OSError:
        return None
    finally:
        os.close(handle)
    free = struct.unpack(_FLOCK, answer)[0] == fcntl.F_UNLCK
    return None if free else read(path)


def read(path: Path) -> Holder | None:
    """Return what is written in a lock file, None when it is not there or says nothing."""
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
        return Holder(pid=int(found["pid"]), since=int(found["since"]), boot=str(found["boot"]))
    except (OSError, ValueError, KeyError, TypeError):
        return None


def boot_id() -> str:
    """Return the id of this boot of the machine: a process id of another boot names nobody."""
    try:
        return _BOOT_ID.read_text(encoding="ascii").strip()
    except OSError:
        return ""


def _whole_file() -> bytes:
    return struct.pack(_FLOCK, fcntl.F_WRLCK, os.SEEK_SET, 0, 0, 0)


def _shown(since: int) -> str:
    return datetime.fromtimestamp(since // 1_000_000_000, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
