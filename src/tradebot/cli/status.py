"""`tradebot status`: what the daemon is doing, or how it left things when none runs."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import click

from tradebot.cli import operate, out
from tradebot.cli.lazy import command
from tradebot.cli.operate import Kept, with_reading
from tradebot.errors import ExitCode, StoreError

if TYPE_CHECKING:
    from tradebot.daemon.places import Places
    from tradebot.store.views import HaltRow, OrderRow, PositionRow

Body = Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Account:
    """What is known of one account: its files, and the daemon's word if one runs."""

    kept: Kept
    live: Body | None
    positions: Sequence[PositionRow]
    orders: Sequence[OrderRow]
    halts: Sequence[Body]
    cash: Mapping[str, str]


@command("status")
@with_reading
def status(account: str | None, config_file: str | None, as_json: bool) -> None:
    """Show what the daemon is doing: health, equity, limits, positions and their stops.

    Ends with 0 when it trades, 3 when none runs (what the journal knows is shown), 4 when it is halted.
    """
    where = operate.find_daemon(config_file)
    code = show(where, account, as_json=as_json)
    click.get_current_context().exit(int(code))


def show(where: Places, account: str | None = None, *, as_json: bool = False) -> ExitCode:
    """Print the status and return its exit code."""
    daemon = operate.ask_status(where)
    mode = None if daemon is None else str(daemon["mode"])
    kept = operate.kept_accounts(where, account, mode)
    if daemon is None and not kept:
        operate.traded(where, account)  # says that there is nothing
    if daemon is not None:
        _check_there(daemon, kept, where, account)
    found = [_gather(one, _live(daemon, one)) for one in kept]
    if as_json:
        out.as_json(_json(daemon, found))
    else:
        _print(daemon, found, where)
    if daemon is None:
        return ExitCode.NOT_RUNNING
    return ExitCode.HALTED if any(one.halts for one in found) else ExitCode.OK


def _check_there(daemon: Body, kept: Sequence[Kept], where: Places, account: str | None) -> None:
    there = {one.name for one in kept}
    gone = [
        row["name"]
        for row in daemon["accounts"]
        if row["name"] not in there and account in (None, row["name"])
    ]
    if gone:
        raise StoreError(
            f"the journal of {', '.join(gone)} must be in {where.state}, is not: it was removed while the daemon "
            "trades, which ends before its next order. Then put a backup back: tradebot db restore FILE"
        )


def _live(daemon: Body | None, kept: Kept) -> Body | None:
    if daemon is None or daemon["mode"] != kept.mode:
        return None
    rows = (row for row in daemon["accounts"] if row["venue"] == kept.venue)
    return next((row for row in rows if row["name"] == kept.name), None)


def _gather(kept: Kept, live: Body | None) -> _Account:
    from tradebot.store import views

    with operate.views(kept) as opened:
        cash: dict[str, Any] = {}
        for row in views.cash(opened):
            cash[row.asset] = cash.get(row.asset, 0) + row.amount
        return _Account(
            kept=kept,
            live=live,
            positions=views.positions(opened),
            orders=views.orders(opened, is_open=True),
            halts=live["halts"] if live else _latched(kept, views.halts(opened)),
            cash={asset: operate.plain(amount) or "0" for asset, amount in cash.items()},
        )


def _latched(kept: Kept, booked: Sequence[HaltRow]) -> list[Body]:
    """Return what halts the next start: the flag's halts and the journal's, the stricter of two."""
    from tradebot.core.scope import HaltLevel
    from tradebot.daemon.control_state import halt_row
    from tradebot.daemon.halts import HaltFlag

    found: dict[tuple[object, ...], Body] = {}
    flagged: list[Body] = []
    try:
        flagged += [halt_row(kept.name, halt) for halt in HaltFlag(kept.places.halt).all]
    except StoreError as exc:
        out.note(f"Nothing trades before this is right: {exc}")
    for row in (*flagged, *(_halt(kept.name, row) for row in booked)):
        key = row["strategy"], row["instrument"], row["rule"]
        known = found.get(key)
        if known is None or HaltLevel[known["level"]].value < HaltLevel[row["level"]].value:
            found[key] = row
    return list(found.values())


def _halt(account: str, row: HaltRow) -> Body:
    return {
        "account": account,
        "strategy": row.strategy,
        "instrument": row.instrument,
        "level": row.level,
        "rule": row.rule,
        "reason": row.reason,
        "since": row.ts,
    }


# --- JSON -----------------------------------------------------------------------------------------


def _json(daemon: Body | None, found: Sequence[_Account]) -> dict[str, object]:
    head = dict(daemon) if daemon is not None else {}
    head.pop("accounts", None)
    return {
        "running": daemon is not None,
        **head,
        "accounts": [
            {
                "name": one.kept.name,
                "mode": one.kept.mode,
                "venue": one.kept.venue,
                "halts": list(one.halts),
                "cash": dict(one.cash),
                "positions": [_position(one, row) for row in one.positions],
                "open_orders": len(one.orders),
                "daemon": one.live,
            }
            for one in found
        ],
    }


def _position(one: _Account, row: PositionRow) -> dict[str, object]:
    average = row.entry_notional / row.entry_qty if row.entry_qty else None
    last = _last(one, row.instrument)
    stop, trail, stop_at = _stop(one, row)
    return {
        "instrument": row.instrument,
        "strategy": row.strategy,
        "qty": operate.plain(row.qty),
        "average": None if average is None else float(average),
        "last": last,
        "profit": None if last is None else float(row.qty) * last - float(row.basis),
        "stop": stop,
        "trail": trail,
        "stop_at": stop_at,
    }


def _last(one: _Account, instrument: str) -> float | None:
    engine = None if one.live is None else one.live["engine"]
    found = None if engine is None else engine["marks"].get(instrument)
    return None if found is None else float(found)


def _stop(one: _Account, row: PositionRow) -> tuple[str | None, str | None, str | None]:
    """Return the price at which a stop gets out, how far it trails, and who holds it: VENUE or LOCAL.

    Only the venue knows where an order that trails is by now. What only the engine holds is LOCAL: nobody
    watches it while no daemon runs, and then it is not shown.
    """
    guards = [
        order
        for order in one.orders
        if (order.strategy, order.instrument) == (row.strategy, row.instrument) and order.purpose == "protect"
    ]
    for order in sorted(guards, key=lambda order: order.stop_price is None):
        if order.stop_price is not None or order.trail is not None:
            return operate.plain(order.stop_price), operate.plain(order.trail), "VENUE"
    engine = None if one.live is None else one.live["engine"]
    kept = {} if engine is None else engine["kept_exits"]
    for level in kept.get(f"{row.strategy}/{row.instrument}", ()):
        if level["exit"] != "take_profit":
            return str(level["price"]), None, "LOCAL"
    return None, None, None


# --- a screen -------------------------------------------------------------------------------------


def _print(daemon: Body | None, found: Sequence[_Account], where: Places) -> None:
    for i, one in enumerate(found):
        if i:
            out.show()
        out.show("  ".join(filter(None, (one.kept.banner, *_doing(daemon, one)))))
        if one.live is not None:
            _print_live(one, one.live)
        for asset, amount in one.cash.items():
            out.show(f"  Cash     {amount} {asset}")
        _print_halts(one.halts)
        _print_positions(one)
        out.show(f"  {len(one.orders)} open orders" if len(one.orders) != 1 else "  1 open order")
    if daemon is None:
        starts = operate.is_running(where)
        out.note(
            "a daemon is starting"
            if starts
            else "No daemon runs: this is how it was left.  Next: tradebot start"
        )


def _doing(daemon: Body | None, one: _Account) -> tuple[str, ...]:
    if daemon is None:
        return (out.style("not running", "warn"),)
    if one.live is None:
        return ("not traded by this daemon",)
    up = operate.span(time.time() - daemon["started"])
    health = _health(daemon, one)
    return (f"running {up}", health, f"config {daemon['config_digest'][:6]}", f"v{daemon['version']}")


def _health(daemon: Body, one: _Account) -> str:
    assert one.live is not None
    if not one.live["engine_answers"] and one.live["phase"] == "ready":
        return out.style("the engine does not answer", "bad")
    if daemon["stopping"]:
        return "stopping"
    if one.halts:
        return out.style("halted", "bad")
    return out.style("trading", "good") if one.live["phase"] == "ready" else str(one.live["phase"]).lower()


def _print_live(one: _Account, live: Body) -> None:
    over = ", and they are over" if live["feed_is_over"] else ""
    data = operate.moment(live["now"]) or "none yet"
    if live["source"]:
        out.show(f"  Feed     {live['source']}")
    out.show(f"  Data     to {data} UTC{over}     queue {live['queue']}     orders sent {live['sent']}")
    engine = live["engine"]
    if engine is None:
        return
    if engine["equity"] is not None:
        out.show(f"  Equity   {engine['equity']:,.2f} {engine['base']}{_today(engine)}{_drawdown(engine)}")
    limits = engine["limits"]
    most = f" of {limits['max_orders_per_day']}" if "max_orders_per_day" in limits else ""
    room = f" of {limits['max_gross']:,.0f}" if "max_gross" in limits else ""
    out.show(
        f"  Risk     orders today {engine['orders_today']}{most}     exposure {engine['gross']:,.2f}{room}"
    )
    for place, error in engine["failed"].items():
        out.show(f"  {out.style('Failed', 'bad')}   {place}: {error}")
    for line in live["found"]:
        out.show(f"  Found    {line['what']}: {line['ours']} here, {line['theirs']} there: {line['means']}")


def _today(engine: Body) -> str:
    before, now = engine["day_equity"], engine["equity"]
    if not before:
        return ""
    limit = engine["limits"].get("max_daily_loss")
    most = "" if limit is None else f" of -{limit * 100:g} %"
    return f"     today {now - before:+,.2f} ({(now / before - 1) * 100:+.2f} %{most})"


def _drawdown(engine: Body) -> str:
    peak, now, limit = engine["peak"], engine["equity"], engine["limits"].get("max_drawdown")
    if not peak:
        return ""
    most = "" if limit is None else f" of -{limit * 100:g} %"
    return f"     drawdown {round((now / peak - 1) * 100, 2) + 0.0:.2f} %{most}"


def _print_halts(halts: Sequence[Body]) -> None:
    for halt in halts:
        out.show(f"  {out.style('Halted', 'bad')}   {halt_words(halt)}")


def halt_words(halt: Body) -> str:
    """Return a halt in a line: what, how far, by whom, since when, why."""
    about = " in ".join(filter(None, (halt["strategy"], halt["instrument"]))) or "everything"
    level = str(halt["level"]).lower().replace("_", " ")
    since = operate.moment(halt["since"], seconds=False)
    return f"{about}: {level}, by {halt['rule']} since {since} UTC: {halt['reason']}"


def _trails(fraction: object) -> str | None:
    return None if fraction is None else f"trails {float(str(fraction)) * 100:g} %"


def _print_positions(one: _Account) -> None:
    if not one.positions:
        out.show("  No positions")
        return
    rows = [_position(one, row) for row in one.positions]
    out.table(
        ("  SYMBOL", "QTY", "AVG", "LAST", "P&L", "STOP", "AT", "STRATEGY"),
        [
            (
                f"  {row['instrument']}",
                row["qty"],
                operate.price(row["average"]),
                operate.price(row["last"]),
                None if row["profit"] is None else f"{row['profit']:+,.2f}",
                operate.price(row["stop"]) or _trails(row["trail"]),
                row["stop_at"],
                row["strategy"] or "nobody",
            )
            for row in rows
        ],
    )
