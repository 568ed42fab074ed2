"""`tradebot pause`, `halt`, `flatten` and `resume`: stop what trades, and let it go on.

Owns what is said to the daemon and what is shown of its answer. With no daemon a halt is written into the
flag that the next start obeys.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import click

from tradebot.cli import operate, out
from tradebot.cli.lazy import command
from tradebot.cli.operate import with_aim
from tradebot.cli.options import only_config, with_json
from tradebot.cli.project import find_project
from tradebot.cli.status import halt_words
from tradebot.daemon.control_words import lifting
from tradebot.errors import ConfigError, NotRunning, UsageError

if TYPE_CHECKING:
    from tradebot.core.scope import HaltLevel, Scope
    from tradebot.daemon.places import Places

_REASON = click.option("--reason", metavar="TEXT", help="Why, for whoever asks later.")


@command("pause")
@with_aim
@_REASON
@only_config
@with_json
def pause(
    account: str | None, strategy: str | None, symbol: str | None, reason: str | None,
    config_file: str | None, as_json: bool,
) -> None:  # fmt: skip
    """Open nothing new; exits are managed. It lasts, also over a restart, until `tradebot resume`."""
    _ask("pause", config_file, as_json, account=account, strategy=strategy, instrument=symbol, reason=reason)


@command("halt")
@click.option(
    "--level", type=click.IntRange(1, 3), default=1, show_default=True,
    help="1: nothing that increases exposure is sent. 2: entries and quotes are cancelled, too. "
    "3: positions are closed, too.",
)  # fmt: skip
@with_aim
@_REASON
@only_config
@with_json
def halt(
    level: int, account: str | None, strategy: str | None, symbol: str | None, reason: str | None,
    config_file: str | None, as_json: bool,
) -> None:  # fmt: skip
    """Stop new risk at once, also when a strategy hangs; what protects or closes still goes out.

    It lasts, also over a restart, until `tradebot resume`. With no daemon running it holds from the next
    start on.
    """
    aim = {"account": account, "strategy": strategy, "instrument": symbol, "reason": reason}
    _ask("halt", config_file, as_json, level=level, **aim)


@command("flatten")
@click.option("--direct", is_flag=True, help="With no daemon: open the account from here and close it.")
@click.option("--yes", is_flag=True, help="Do not ask first (LIVE asks).")
@with_aim
@_REASON
@only_config
@with_json
def flatten(
    direct: bool, yes: bool, account: str | None, strategy: str | None, symbol: str | None,
    reason: str | None, config_file: str | None, as_json: bool,
) -> None:  # fmt: skip
    """Cancel everything and close tradebot's own positions; what is not its own is left alone.

    Nothing is bought back before `tradebot resume`, and then only on a new signal.
    """
    where = operate.find_daemon(config_file)
    _confirm(where, yes=yes)
    if direct:
        from tradebot.cli.direct import flatten_direct

        named = {"account": account, "strategy": strategy, "symbol": symbol, "reason": reason}
        flatten_direct(where, config_file, named, as_json=as_json)
    aim = {"account": account, "strategy": strategy, "instrument": symbol, "reason": reason}
    _ask("flatten", config_file, as_json, **aim)


@command("resume")
@with_aim
@click.option("--rule", metavar="NAME", help="What stopped it, as tradebot status says; yours if not given.")
@click.option("--reason", metavar="TEXT", help="Why; needed to lift what a rule stopped.")
@only_config
@with_json
def resume(
    account: str | None, strategy: str | None, symbol: str | None, rule: str | None, reason: str | None,
    config_file: str | None, as_json: bool,
) -> None:  # fmt: skip
    """Lift a halt or pause. Says what it lifts, and what still stands, with the line that lifts it.

    Without --rule it lifts what you stopped: all of it, or what --strategy or --symbol names. What a rule
    stopped (max_drawdown, mismatch, crash_loop, ...) is lifted by its name, each by itself.
    """
    aim = {"account": account, "strategy": strategy, "instrument": symbol, "rule": rule, "reason": reason}
    _ask("resume", config_file, as_json, **aim)


def _confirm(where: Places, *, yes: bool) -> None:
    is_live = any(kept.mode == "live" for kept in operate.kept_accounts(where))
    if not is_live or yes:
        return
    if not sys.stdin.isatty():
        raise UsageError("LIVE positions are closed without a question only with --yes")
    word = click.prompt("LIVE: this closes real positions. Type flatten to go on", err=True, default="")
    if word != "flatten":
        raise click.Abort


def _ask(verb: str, config_file: str | None, as_json: bool, **body: object) -> None:
    from tradebot.daemon.control_client import Client

    where = operate.find_daemon(config_file)
    try:
        answer = Client(where).post(verb, body)
    except NotRunning:
        if verb in ("resume", "flatten"):
            raise
        answer = _latch(where, verb, body, config_file)
    if as_json:
        out.as_json(answer)
        return
    _show(verb, answer)


def _latch(
    where: Places, verb: str, body: Mapping[str, object], config_file: str | None
) -> Mapping[str, Any]:
    """Write the halt into the flag of each account, with the lock held: no daemon can start meanwhile."""
    import time

    from tradebot.core.rules import OWNER
    from tradebot.core.scope import HaltLevel, Scope
    from tradebot.daemon.control_state import halt_row
    from tradebot.daemon.control_words import LEVELS
    from tradebot.daemon.halts import Halt, HaltFlag
    from tradebot.daemon.lock import Lock

    level: HaltLevel = HaltLevel.PAUSED if verb == "pause" else LEVELS[int(str(body["level"]))]
    scope = Scope(_text(body["strategy"]), _text(body["instrument"]))
    rows: list[dict[str, object]] = []
    already: list[str] = []
    lock = Lock(where.state)
    kept = operate.traded(where, _text(body["account"]))
    _check_named(scope, kept, config_file)
    lock.take(time.time_ns)
    with lock:
        for one in kept:
            flag = HaltFlag(one.places.halt)
            known = flag.of(scope, OWNER)
            if known is not None and known.level.value >= level.value:
                already.append(one.name)
            else:
                reason = _text(body["reason"]) or f"{verb} by the owner"
                known = Halt(scope=scope, level=level, reason=reason, rule=OWNER, since=time.time_ns())
                flag.set(known)
            rows.append(halt_row(one.name, known))
    return {
        "schema_version": 1,
        "mode": kept[0].mode,
        "running": False,
        "halts": rows,
        "already": already,
        "engine_answers": True,
    }


def _check_named(scope: Scope, kept: Sequence[operate.Kept], config_file: str | None) -> None:
    """Raise UsageError for a strategy or symbol that is nobody's: such a halt would stop nothing.

    A file that cannot be read forbids nothing: its mistake is no reason not to halt.
    """
    from tradebot.store import views

    if scope.strategy is None and scope.instrument is None:
        return
    try:
        words = find_project(config_file).load().config.strategies
    except ConfigError:
        return
    strategies = {one.id for one in words}
    symbols = {name for one in words for name in one.instruments}
    for account in kept:
        with operate.views(account) as opened:
            wanted, held = views.targets(opened), views.positions(opened, flat=True)
        strategies |= {row.strategy for row in wanted} | {row.strategy for row in held if row.strategy}
        symbols |= {row.instrument for row in wanted} | {row.instrument for row in held}
    for kind, name, known in (
        ("strategy", scope.strategy, strategies),
        ("symbol", scope.instrument, symbols),
    ):
        if name is not None and name not in known:
            raise UsageError(f"no {kind} {name!r}; there are {', '.join(sorted(known))}")


def _text(value: object) -> str | None:
    return None if value is None else str(value)


def _show(verb: str, answer: Mapping[str, Any]) -> None:
    mode = operate.mode_word(str(answer["mode"]))
    for row in answer.get("halts", ()):
        already = " (it did before)" if row["account"] in answer["already"] else ""
        out.show(f"{mode}  {row['account']}  {halt_words(row)}{already}")
    for row in answer.get("lifted", ()):
        out.show(f"{mode}  {row['account']}  lifted: {halt_words(row)}")
    if verb == "resume":
        _show_rest(mode, answer)
    if not answer.get("running", True):
        out.note("No daemon runs: this holds from the next start on.")
    if not answer["engine_answers"]:
        what = (
            "the halt holds, nothing that increases exposure leaves" if verb != "resume" else "it will follow"
        )
        out.note(f"The engine is busy and has not booked it yet; {what}.  See: tradebot status")


def _show_rest(mode: str, answer: Mapping[str, Any]) -> None:
    if not answer["lifted"]:
        out.show(f"{mode}  nothing of that stood")
    left: Sequence[Mapping[str, Any]] = answer["left"]
    for row in left:
        out.show(f"{mode}  {row['account']}  still: {halt_words(row)}")
        out.note(f"To lift it: {lifting(row)}")
