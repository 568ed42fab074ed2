"""Tell systemd how the service is: ready, what it does, alive, stopping.

Speaks sd_notify(3) over the socket that systemd names, and says nothing where there is none. The
watchdog is fed by whoever ran a full healthy cycle, never by a timer of its own: a process whose
trading hangs must be restarted, however well its other threads feel.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Mapping


class Notifier:
    """The line to systemd; every method is harmless without systemd."""

    def __init__(self, env: Mapping[str, str]) -> None:
        address = env.get("NOTIFY_SOCKET", "")
        # @ stands for the zero byte of an abstract socket.
        self._address = f"\0{address[1:]}" if address.startswith("@") else address

    def ready(self, status: str) -> None:
        """Say that start-up is over: recovered, reconciled, trading."""
        # Said once and waited for by systemctl: this word may wait until systemd listens.
        self._send(f"READY=1\nSTATUS={_line(status)}", wait_s=5.0)

    def status(self, text: str) -> None:
        """Say in one line what is going on; `systemctl status` shows it."""
        self._send(f"STATUS={_line(text)}")

    def extend(self, seconds: float) -> None:
        """Ask for this much more time to start or stop, such as for a long replay."""
        self._send(f"EXTEND_TIMEOUT_USEC={int(seconds * 1e6)}")

    def stopping(self, status: str) -> None:
        """Say that the end was asked for."""
        self._send(f"STOPPING=1\nSTATUS={_line(status)}")

    def alive(self) -> None:
        """Feed the watchdog; use `Watchdog`, which knows when it is deserved."""
        self._send("WATCHDOG=1")

    def _send(self, text: str, wait_s: float = 0.0) -> None:
        if not self._address:
            return
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as line:
                line.settimeout(wait_s)
                line.sendto(text.encode(), self._address)
        except OSError:
            # systemd is busy or gone. If it stays so the watchdog ends us, which is what it is for.
            return


class Watchdog:
    """Feed systemd's watchdog after full healthy cycles, not more often than it needs."""

    def __init__(self, notifier: Notifier, env: Mapping[str, str]) -> None:
        self._notifier = notifier
        self.limit_s = _limit_s(env)
        self._fed_at = float("-inf")

    def healthy_cycle(self, now: float) -> None:
        """Note that a full healthy cycle has just ended, at `now` seconds of a monotonic clock."""
        # A quarter of the limit: three feedings may be lost before it bites.
        if self.limit_s is not None and now - self._fed_at >= self.limit_s / 4:
            self._fed_at = now
            self._notifier.alive()


def _limit_s(env: Mapping[str, str]) -> float | None:
    limit, pid = env.get("WATCHDOG_USEC", ""), env.get("WATCHDOG_PID", "")
    if not limit.isdecimal() or int(limit) == 0 or (pid and pid != str(os.getpid())):
        return None
    return int(limit) / 1e6


def _line(text: str) -> str:
    return " ".join(text.split())
