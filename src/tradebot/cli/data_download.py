"""`tradebot data download`: bars of the past from a place, into the catalogue."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import click

from tradebot.cli import out
from tradebot.cli.data_words import open_catalogue, series_json, tell_stored
from tradebot.cli.lazy import command
from tradebot.cli.options import only_config, with_json
from tradebot.cli.progress import progress
from tradebot.errors import UsageError

if TYPE_CHECKING:
    from tradebot.app.download import Downloaded


@command("download")
@click.argument("place")
@click.argument("instruments", metavar="INSTRUMENT...", nargs=-1, required=True)
@click.option("--interval", required=True, metavar="INTERVAL", help="Such as 1d, 1h, 1m.")
@click.option("--since", required=True, metavar="DAY", help="The first day, such as 2020-01-01.")
@click.option("--until", metavar="DAY", help="The last day; without it up to now.")
@click.option("--feed", default="", metavar="NAME", help="The place's own word for its data, such as iex.")
@click.option("--keys", metavar="NAME", help="The keys to ask with, where the place wants some.")
@click.option("--url", default="", metavar="URL", help="An emulator on this machine instead of the place.")
@only_config
@with_json
def download_(
    place: str,
    instruments: tuple[str, ...],
    interval: str,
    since: str,
    until: str | None,
    feed: str,
    keys: str | None,
    url: str,
    config_file: str | None,
    as_json: bool,
) -> None:
    """Fetch bars of the past from PLACE: alpaca, or an exchange such as binance.

    Every stretch is stored as it comes; a second call goes on where the first one ended. Splits and
    dividends come along where the place tells them.

    \b
    tradebot data download binance BTC/USDT --interval 1h --since 2024-01-01
    tradebot data download alpaca SPY QQQ --interval 1d --since 2016-01-01 --keys alpaca-paper
    """
    import asyncio
    import time

    from tradebot.app.adapters import open_feed
    from tradebot.app.download import Wanted, download
    from tradebot.cli.data_make import midnight
    from tradebot.core.model import DAY
    from tradebot.core.ports import Connection
    from tradebot.data.intervals import parse_interval

    catalogue = open_catalogue(config_file)
    wanted = Wanted(
        names=instruments,
        interval=parse_interval(interval),
        since=midnight(since, "--since"),
        until=time.time_ns() if until is None else midnight(until, "--until") + DAY,
    )
    if wanted.since >= wanted.until:
        raise UsageError(f"--since must lie before --until and before now, was {since}")
    key, secret = _keys(keys, place, config_file)
    connection = Connection(
        place=place, account="download", mode="paper", feed=feed, url=url, key=key, secret=secret
    )

    async def fetch() -> list[Downloaded]:
        opened = open_feed(connection)
        try:
            with progress() as tell:
                return await download(opened, catalogue, wanted, tell)
        finally:
            await opened.close()

    _show(asyncio.run(fetch()), interval, as_json)


def _show(results: list[Downloaded], interval: str, as_json: bool) -> None:
    if as_json:
        rows = [
            {
                "instrument": r.instrument, "added": r.added, "replaced": r.replaced, "actions": r.actions,
                "series": None if r.info is None else series_json(r.info),
            }
            for r in results
        ]  # fmt: skip
        out.as_json({"downloaded": rows})
        return
    from tradebot.data.merge import Merged

    for r in results:
        if r.info is None:
            out.show(f"{r.instrument} {interval}: nothing that was not stored already")
            continue
        remarks = [f"{r.actions} splits and dividends"] if r.actions else []
        merged = Merged(added=r.added, unchanged=0, replaced=r.replaced, kept=0)
        tell_stored(r.info, merged, remarks, False)
    out.note("Next: tradebot data check  finds gaps and what cannot be true")


def _keys(name: str | None, place: str, config_file: str | None) -> tuple[str, str]:
    """Return key and secret; a place that wants none is asked without."""
    if name is None and place != "alpaca":
        return "", ""
    from tradebot.cli.project import find_project
    from tradebot.daemon.places import find_places
    from tradebot.daemon.secrets import Vault

    places = find_places(find_project(config_file).root, os.environ)
    vault = Vault(credentials=places.credentials, files=places.key_files, env=os.environ, warn=out.note)
    found = vault.keys(name or place, place)
    return found.key.reveal(), found.secret.reveal()
