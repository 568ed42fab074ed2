"""`tradebot orders`, `positions` and `trades`: what the journal says, with a daemon or without."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import click

from tradebot.cli import operate, out
from tradebot.cli.lazy import command, shared
from tradebot.cli.operate import Kept, moment, plain, price, with_reading, with_strategy, with_symbol

if TYPE_CHECKING:
    from tradebot.store.views import FillRow, OrderRow, PositionRow, Views

Row = dict[str, object]
_AMOUNTS = shared(with_strategy, with_symbol)
_LIMIT = click.option(
    "--limit", type=click.IntRange(1), default=50, show_default=True, help="At most so many, the newest."
)


@command("orders")
@click.option("--all", "every", is_flag=True, help="Also those that are over.")
@_LIMIT
@_AMOUNTS
@with_reading
def orders(
    every: bool, limit: int, strategy: str | None, symbol: str | None,
    account: str | None, config_file: str | None, as_json: bool,
) -> None:  # fmt: skip
    """List working orders, newest first; with --all also those that are over."""
    from tradebot.store import views

    def rows(opened: Views) -> Sequence[OrderRow]:
        is_open = None if every else True
        return views.orders(opened, is_open=is_open, strategy=strategy, instrument=symbol, limit=limit)

    heads = (
        "ORDER",
        "TIME (UTC)",
        "SIDE",
        "SYMBOL",
        "QTY",
        "FILLED",
        "TYPE",
        "PRICE",
        "FOR",
        "STATUS",
        "STRATEGY",
    )
    _list("orders", heads, rows, _order_cells, account, config_file, as_json)


@command("positions")
@click.option("--flat", is_flag=True, help="Also what is no longer held, with the profit it made.")
@_AMOUNTS
@with_reading
def positions(
    flat: bool, strategy: str | None, symbol: str | None,
    account: str | None, config_file: str | None, as_json: bool,
) -> None:  # fmt: skip
    """List what each strategy holds; "nobody" holds what belongs to none."""
    from tradebot.store import views

    def rows(opened: Views) -> Sequence[PositionRow]:
        found = views.positions(opened, strategy=strategy, flat=flat)
        return [row for row in found if symbol in (None, row.instrument)]

    heads = ("SYMBOL", "QTY", "AVG", "COST", "REALIZED", "FEES", "SINCE (UTC)", "STRATEGY")
    _list("positions", heads, rows, _position_cells, account, config_file, as_json)


@command("trades")
@_LIMIT
@_AMOUNTS
@with_reading
def trades(
    limit: int, strategy: str | None, symbol: str | None,
    account: str | None, config_file: str | None, as_json: bool,
) -> None:  # fmt: skip
    """List trades, newest first, with fee and the profit that each booked."""
    from tradebot.store import views

    def rows(opened: Views) -> Sequence[FillRow]:
        return views.fills(opened, strategy=strategy, instrument=symbol, limit=limit)

    heads = ("TIME (UTC)", "SIDE", "SYMBOL", "QTY", "PRICE", "FEE", "REALIZED", "STRATEGY", "ORDER")
    _list("trades", heads, rows, _fill_cells, account, config_file, as_json)


def _list(
    name: str,
    heads: Sequence[str],
    ask: Callable[[Views], Sequence[Any]],
    cells: Callable[[Any], Sequence[object]],
    account: str | None,
    config_file: str | None,
    as_json: bool,
) -> None:  # fmt: skip
    where = operate.find_daemon(config_file)
    found: list[tuple[Kept, Sequence[Any]]] = []
    for kept in operate.traded(where, account):
        with operate.views(kept) as opened:
            found.append((kept, ask(opened)))
    if as_json:
        out.as_json(
            {
                "running": operate.is_running(where),
                "accounts": [
                    {
                        "name": kept.name,
                        "mode": kept.mode,
                        "venue": kept.venue,
                        name: [_plain(row) for row in rows],
                    }
                    for kept, rows in found
                ],
            }
        )
        return
    for kept, rows in found:
        operate.say_whose(kept, where)
        if rows:
            out.table(heads, [cells(row) for row in rows])
        else:
            out.note(f"no {name}")


def _plain(row: Any) -> Row:
    from decimal import Decimal

    fields: Row = row._asdict()
    return {k: plain(v) if isinstance(v, Decimal) else v for k, v in fields.items() if not k.endswith("_seq")}


def _order_cells(row: OrderRow) -> Sequence[object]:
    shown = next((p for p in (row.limit_price, row.stop_price) if p is not None), None)
    trail = f"trail {plain(row.trail)}" if row.trail is not None else None
    purpose = row.purpose
    return (
        row.id, moment(row.created), row.side, row.instrument, plain(row.qty), plain(row.filled), row.kind,
        trail if shown is None else price(shown), purpose, row.status, row.strategy,
    )  # fmt: skip


def _position_cells(row: PositionRow) -> Sequence[object]:
    average = row.entry_notional / row.entry_qty if row.entry_qty else None
    return (
        row.instrument, plain(row.qty), price(average), f"{row.basis:,.2f}", f"{row.realized:+,.2f}",
        f"{row.fees:,.2f}", moment(row.opened) if row.qty else None, row.strategy or "nobody",
    )  # fmt: skip


def _fill_cells(row: FillRow) -> Sequence[object]:
    return (
        moment(row.ts), row.side, row.instrument, plain(row.qty), price(row.price),
        f"{price(row.fee)} {row.fee_asset}", f"{row.realized:+,.2f}", row.strategy, row.order_id,
    )  # fmt: skip
