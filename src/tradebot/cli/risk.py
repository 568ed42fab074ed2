"""`tradebot risk`: the limits, and how near they are."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import click

from tradebot.cli import operate, out
from tradebot.cli.lazy import group
from tradebot.cli.operate import with_reading
from tradebot.cli.status import halt_words
from tradebot.errors import ExitCode, NotRunning

Body = Mapping[str, Any]


@group("risk")
def risk() -> None:
    """Show: limits and how near they are."""


@risk.command("show")
@with_reading
def show(account: str | None, config_file: str | None, as_json: bool) -> None:
    """Show each limit with what is used of it, and what is halted.

    Asks the daemon, which alone knows prices. Ends with 4 when something is halted.
    """
    where = operate.find_daemon(config_file)
    daemon = operate.ask_status(where)
    if daemon is None:
        raise NotRunning("limits are measured by the daemon, and none runs.  Halts: tradebot status")
    rows = [row for row in daemon["accounts"] if account in (None, row["name"])]
    if as_json:
        out.as_json(
            {
                "mode": daemon["mode"],
                "accounts": [
                    {"name": row["name"], "halts": row["halts"], "limits": list(used(row))} for row in rows
                ],
            }
        )
    else:
        for row in rows:
            _print(str(daemon["mode"]), row)
    halted = any(row["halts"] for row in rows)
    click.get_current_context().exit(int(ExitCode.HALTED if halted else ExitCode.OK))


def used(account: Body) -> Iterator[dict[str, object]]:
    """Yield each limit that is set: its value, what is used, and the share of it."""
    engine = account["engine"]
    if engine is None:
        return
    now, limits = engine["equity"], engine["limits"]
    found: dict[str, float | None] = {
        "max_drawdown": _loss(now, engine["peak"]),
        "max_daily_loss": _loss(now, engine["day_equity"]),
        "max_gross": engine["gross"],
        "max_orders_per_day": engine["orders_today"],
    }
    for name, limit in limits.items():
        value = found.get(name)
        yield {"rule": name, "limit": limit, "used": value, "share": None if value is None else value / limit}


def _loss(now: float | None, before: float | None) -> float | None:
    return None if now is None or not before else max(0.0, 1.0 - now / before)


def _print(mode: str, account: Body) -> None:
    out.show(f"{operate.mode_word(mode)}  {account['name']}")
    if account["engine"] is None:
        out.show("  The engine does not answer; halts hold all the same.")
    rows = list(used(account))
    if rows:
        out.table(
            ("  RULE", "USED", "LIMIT", "SHARE"),
            [
                (f"  {row['rule']}", _figure(row, "used"), _figure(row, "limit"), _share(row["share"]))
                for row in rows
            ],
        )
    elif account["engine"] is not None:
        out.show("  No limit is set.  See: limits in tradebot.yaml")
    for halt in account["halts"]:
        out.show(f"  {out.style('Halted', 'bad')}   {halt_words(halt)}")


def _figure(row: Mapping[str, Any], name: str) -> str | None:
    value = row[name]
    if value is None:
        return "each order" if name == "used" else None
    if row["rule"] in ("max_drawdown", "max_daily_loss", "collar"):
        return f"{value * 100:.2f} %"
    if row["rule"] in ("max_data_age", "duplicate_window"):
        return f"{value / 1e9:g} s"
    return f"{value:,.2f}" if isinstance(value, float) else str(value)


def _share(share: object) -> str | None:
    return f"{share * 100:.0f} %" if isinstance(share, float) else None
