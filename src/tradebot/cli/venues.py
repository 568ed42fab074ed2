"""`tradebot venues`: what the places where one can trade support, and what tradebot does not do there."""

from __future__ import annotations

from dataclasses import asdict

import click

from tradebot.cli import out
from tradebot.cli.lazy import group
from tradebot.cli.options import with_json


@group("venues")
def venues() -> None:
    """What exchanges support. Asks nobody: it is known beforehand."""


@venues.command("describe")
@click.argument("exchange")
@with_json
def describe(exchange: str, as_json: bool) -> None:
    """Show what an exchange supports, and what tradebot therefore does not do there.

    \b
    tradebot venues describe binance
    tradebot venues describe kraken
    """
    from tradebot.app.venues import describe_exchange

    found = describe_exchange(exchange)
    if as_json:
        out.as_json({**asdict(found), "facts": dict(found.facts)})
        return
    proof = "proven against an emulator of it" if found.is_proven else "by ccxt's tables, not proven"
    out.show(f"{found.name} ({found.id}): {proof}")
    if found.missing:
        out.show(f"cannot be traded at: ccxt gives it no {', no '.join(found.missing)}")
    out.show()
    out.table(("it supports", ""), found.facts)
    out.show()
    out.show("tradebot does not")
    for line in found.not_done:
        out.show(f"  {line}")
