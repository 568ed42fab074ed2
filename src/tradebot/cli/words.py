"""Fixed words of the command line that several modules show."""

from __future__ import annotations

from tradebot.errors import ExitCode

# What a script is told; tests/daemon/test_service.py holds it to the enum, docs/cli.md and the unit.
_MEANINGS = {
    ExitCode.OK: "ok",
    ExitCode.FAILED: "failed: what was asked did not hold",
    ExitCode.USAGE: "usage",
    ExitCode.NOT_RUNNING: "not running",
    ExitCode.HALTED: "halted",
    ExitCode.UNAVAILABLE: "venue or network",
    ExitCode.BUG: "bug",
    ExitCode.BUSY: "busy",
    ExitCode.PERMISSION: "permission",
    ExitCode.CONFIG: "configuration or strategy",
}
INTERRUPTED = 130  # 128 + SIGINT: what shells report for Ctrl-C

_TEXTS = [f"{code.value} {meaning}" for code, meaning in _MEANINGS.items()]
EXIT_CODES = (", ".join(_TEXTS[:5]) + ",", ", ".join([*_TEXTS[5:], f"{INTERRUPTED} interrupted"]))

SCHEMA_VERSION = 1
