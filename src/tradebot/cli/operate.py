"""Find the daemon and the journals that a command is about, and say PAPER or LIVE on every screen.

Owns where operate commands look: the installed service's places if it runs this configuration, else the
project's own. What the daemon has written is read from its files, beside it or without it.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from tradebot.cli import out
from tradebot.cli.lazy import shared
from tradebot.cli.options import only_config, with_json
from tradebot.cli.project import find_project
from tradebot.errors import NotRunning, PermissionRefused, UsageError

if TYPE_CHECKING:
    from tradebot.daemon.places import AccountPlaces, Places
    from tradebot.store.views import Views

F = TypeVar("F", bound=Callable[..., Any])

with_account = click.option("--account", metavar="NAME", help="Only this account.")
with_strategy = click.option("--strategy", metavar="ID", help="Only this strategy.")
with_symbol = click.option("--symbol", metavar="SYMBOL", help="Only this instrument.")
with_aim = shared(with_account, with_strategy, with_symbol)
with_reading = shared(with_account, only_config, with_json)


@dataclass(frozen=True, slots=True, kw_only=True)
class Kept:
    """The files of one account."""

    mode: str
    venue: str
    name: str
    places: AccountPlaces

    @property
    def banner(self) -> str:
        return f"{mode_word(self.mode)}  {self.venue} {self.name}"


def find_daemon(config_file: str | None) -> Places:
    """Return the places of the daemon that a command is about; asks nothing of it."""
    from tradebot.daemon.service import Systemd, places_here

    project = find_project(config_file)
    config = project.config_file
    if config is None:
        installed = Systemd().installed()
        config = installed.config if installed is not None else project.root / "tradebot.yaml"
    return places_here(config, os.environ)


def kept_accounts(where: Places, account: str | None = None, mode: str | None = None) -> list[Kept]:
    """Return the accounts that have a journal. Raises UsageError for a name that none has."""
    if where.state.exists() and not os.access(where.state, os.R_OK | os.X_OK):
        raise PermissionRefused(
            f"{where.state} must be open to you, is not: ask as the user the daemon runs as, or as root"
        )
    found: list[Kept] = []
    for journal in sorted(where.state.glob("*-*-*/journal.db")):
        its_mode, venue, name = journal.parent.name.split("-", 2)
        found.append(Kept(mode=its_mode, venue=venue, name=name, places=where.account(its_mode, venue, name)))
    chosen = [k for k in found if account in (None, k.name) and mode in (None, k.mode)]
    if account is not None and not chosen:
        known = ", ".join(dict.fromkeys(k.name for k in found)) or "none yet"
        raise UsageError(f"no account {account!r} has traded here; those that have: {known}")
    return chosen


def traded(where: Places, account: str | None) -> list[Kept]:
    """Return the accounts to show. Raises NotRunning when nothing has ever been traded here."""
    kept = kept_accounts(where, account)
    if not kept:
        raise NotRunning(f"nothing has been traded in {where.project} yet.  Next: tradebot start")
    return kept


@contextmanager
def views(kept: Kept) -> Iterator[Views]:
    """Open an account's journal to ask it."""
    from tradebot.store.views import Views

    with Views.open(kept.places.journal) as opened:
        yield opened


def ask_status(where: Places) -> Mapping[str, Any] | None:
    """Return what the daemon says of itself, None when none runs. Raises PermissionRefused, Busy."""
    from tradebot.daemon.control_client import Client

    try:
        return Client(where).get("status")
    except NotRunning:
        return None


def is_running(where: Places) -> bool:
    """Return whether a daemon holds the state right now."""
    from tradebot.daemon.lock import holder

    return holder(where.state) is not None


def say_whose(kept: Kept, where: Places) -> None:
    """Write the line above a table: mode, account, and whether its daemon runs."""
    rest = "" if is_running(where) else "  not running: as it was left"
    out.note(kept.banner + out.style(rest, "faint", sys.stderr))


# --- words ----------------------------------------------------------------------------------------


def mode_word(mode: str) -> str:
    """Return PAPER or LIVE; LIVE stands out."""
    return out.style("LIVE", "bad") if mode == "live" else "PAPER"


def moment(ns: int | None, *, seconds: bool = True) -> str | None:
    """Return a time as people read it, None for none."""
    if ns is None:
        return None
    return datetime.fromtimestamp(ns // 1_000_000_000, UTC).strftime(
        "%Y-%m-%d %H:%M:%S" if seconds else "%Y-%m-%d %H:%M"
    )


def span(seconds: float) -> str:
    """Return a duration in its two largest units: 3d 4h, 12m 5s."""
    left = int(seconds)
    parts: list[str] = []
    for size, name in ((86400, "d"), (3600, "h"), (60, "m"), (1, "s")):
        count, left = divmod(left, size)
        if count or (name == "s" and not parts):
            parts.append(f"{count}{name}")
    return " ".join(parts[:2])


def plain(value: object) -> str | None:
    """Return an amount without an exponent and without zeros at its end, None for none."""
    if value is None:
        return None
    text = f"{value:f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def price(value: object) -> str | None:
    """Return a price or an average to be read: at most 8 significant digits after rounding, None for none."""
    if value is None:
        return None
    number = float(str(value))
    return f"{number:,.2f}" if abs(number) >= 100 else f"{number:.6g}"


def project_relative(path: Path) -> str:
    """Return a path as short as it can be said from here."""
    try:
        return str(path.relative_to(Path.cwd()))
    except ValueError:
        return str(path)
