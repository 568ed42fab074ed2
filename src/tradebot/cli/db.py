"""`tradebot db`: look after the journals: verify, back up, restore, prune."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from tradebot.cli import operate, out
from tradebot.cli.lazy import group
from tradebot.cli.operate import Kept, with_reading
from tradebot.errors import ExitCode, StoreError, UsageError

if TYPE_CHECKING:
    from tradebot.daemon.places import Places

_NS = 1_000_000_000
_DAY = 86_400 * _NS


@group("db")
def db() -> None:
    """Verify, backup, restore, prune: the journals."""


@db.command("verify")
@with_reading
def verify(account: str | None, config_file: str | None, as_json: bool) -> None:
    """Check every journal against itself, beside a daemon or without one. Ends with 1 when one is not sound."""
    from tradebot.store.verify import verify as check

    rows: list[dict[str, object]] = []
    where = operate.find_daemon(config_file)
    for kept in operate.traded(where, account):
        report = check(kept.places.journal)
        rows.append(
            {"account": kept.name, "mode": kept.mode, "file": str(kept.places.journal), "sound": report.is_sound,
             "facts": report.facts, "orders": report.orders, "findings": list(report.findings)}
        )  # fmt: skip
        if not as_json:
            _show_report(
                kept, report.is_sound, f"{report.facts} facts, {report.orders} orders", report.findings
            )
    if as_json:
        out.as_json({"journals": rows})
    sound = all(row["sound"] for row in rows)
    click.get_current_context().exit(int(ExitCode.OK if sound else ExitCode.FAILED))


def _show_report(kept: Kept, is_sound: bool, counts: str, findings: Sequence[str]) -> None:
    word = out.style("sound", "good") if is_sound else out.style("NOT SOUND", "bad")
    out.show(f"{kept.banner}  {word}, {counts}")
    for finding in findings:
        out.show(f"  {finding}")


@db.command("backup")
@click.argument("file", metavar="[FILE]", required=False)
@with_reading
def backup(file: str | None, account: str | None, config_file: str | None, as_json: bool) -> None:
    """Copy a journal to FILE and verify the copy, beside a daemon or without one.

    Without FILE: into the folder backups of the state, with the time in its name.
    """
    from tradebot.store import upkeep

    where = operate.find_daemon(config_file)
    kept = _one(where, account)
    if file is None:
        folder = where.state / "backups"
        folder.mkdir(mode=0o700, exist_ok=True)
        stamp = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime())
        to = folder / f"{kept.places.folder.name}-{stamp}.db"
    else:
        to = Path(file)
    last = upkeep.backup(kept.places.journal, to)
    if as_json:
        out.as_json({"account": kept.name, "mode": kept.mode, "file": str(to), "last_seq": last})
    else:
        out.show(f"{kept.banner}  copied up to fact {last} and verified: {operate.project_relative(to)}")


@db.command("restore")
@click.argument("file", metavar="FILE")
@click.option("--force", is_flag=True, help="Also over a journal that is newer, or that cannot be read.")
@with_reading
def restore(file: str, force: bool, account: str | None, config_file: str | None, as_json: bool) -> None:
    """Put the backup FILE in a journal's place; the old one is kept beside it. Stop the daemon first.

    The next start asks the venue for what the backup cannot know.
    """
    from tradebot.daemon.lock import Lock
    from tradebot.store import upkeep

    where = operate.find_daemon(config_file)
    kept = _one(where, account)
    if not Path(file).is_file():
        raise StoreError(f"{file} must be a backup; there is no such file")
    lock = Lock(where.state)
    lock.take(time.time_ns)
    with lock:
        aside = upkeep.restore(Path(file), kept.places.journal, now=time.time_ns(), force=force)
    if as_json:
        aside_text = None if aside is None else str(aside)
        out.as_json({"account": kept.name, "mode": kept.mode, "restored": file, "aside": aside_text})
        return
    out.show(f"{kept.banner}  restored from {file}")
    if aside is not None:
        out.show(f"  the journal that was there is now {aside.name}")
    out.show("Next:  tradebot start     which asks the venue what happened since")


@db.command("prune")
@click.option("--keep", type=click.IntRange(1), default=90, show_default=True, metavar="DAYS",
              help="Keep what explains decisions this long.")  # fmt: skip
@with_reading
def prune(keep: int, account: str | None, config_file: str | None, as_json: bool) -> None:
    """Cut what only explained old decisions out of a journal, into a file beside it. Stop the daemon first.

    Money, lots, orders, halts and runs are never cut.
    """
    from tradebot.daemon.lock import Lock
    from tradebot.store import upkeep

    where = operate.find_daemon(config_file)
    kept = _one(where, account)
    lock = Lock(where.state)
    lock.take(time.time_ns)
    with lock:
        with operate.views(kept) as opened:
            now = opened.last_seen()  # a recorded market has a time of its own
        cut = upkeep.prune(kept.places.journal, keep=keep * _DAY, now=now)
    if as_json:
        body = None if cut is None else {"file": str(cut.file), "facts": cut.facts, "upto_seq": cut.upto_seq}
        out.as_json({"account": kept.name, "mode": kept.mode, "cut": body})
    elif cut is None:
        out.show(f"{kept.banner}  nothing is older than {keep} days")
    else:
        out.show(f"{kept.banner}  {cut.facts} facts cut into {cut.file.name}")


def _one(where: Places, account: str | None) -> Kept:
    """Return the account that is meant. Raises UsageError when it must be named."""
    kept = operate.traded(where, account)
    if len(kept) > 1:
        raise UsageError(f"say which one: --account {' or '.join(k.name for k in kept)}")
    return kept[0]
