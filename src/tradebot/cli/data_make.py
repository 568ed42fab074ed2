"""`tradebot data resample` and `synthetic`: bars that are made of others, or of chance."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from tradebot.cli import out
from tradebot.cli.data_words import ON_CONFLICT, one_of, open_catalogue, tell_stored
from tradebot.cli.lazy import command
from tradebot.cli.options import only_config, with_json
from tradebot.errors import DataError, UsageError

if TYPE_CHECKING:
    from tradebot.core.model import Instrument
    from tradebot.data.synthetic import Market


@command("resample")
@click.argument("instrument")
@click.option("--from", "source", required=True, metavar="INTERVAL", help="The stored bars, such as 1m.")
@click.option("--to", "target", required=True, metavar="INTERVAL", help="The longer bars, such as 1h.")
@click.option("--on-conflict", type=click.Choice(ON_CONFLICT), default="refuse",
              show_default=True, help="When other bars of that interval are stored.")  # fmt: skip
@only_config
@with_json
def resample_(
    instrument: str, source: str, target: str, on_conflict: str, config_file: str | None, as_json: bool
) -> None:
    """Join stored bars into longer ones and store those too.

    A bar is stamped when it closes. Buckets that are not fully covered are left out.
    """
    from tradebot.data.calendars import sessions
    from tradebot.data.intervals import parse_interval
    from tradebot.data.resample import resample

    catalogue = open_catalogue(config_file)
    interval = parse_interval(source)
    described = catalogue.instrument(instrument)
    made = resample(
        catalogue.bars(instrument, interval), parse_interval(target), sessions(described.calendar)
    )
    if not len(made.bars):
        raise DataError(f"{instrument}: the stored {source} bars cover no whole {target}; nothing was stored")
    provenance = catalogue.info(instrument, interval).provenance
    info, merged = catalogue.write_bars(described, made.bars, provenance, on_conflict=one_of(on_conflict))
    told = [f"{made.outside:,} bars outside of every session are in none"] if made.outside else []
    tell_stored(info, merged, told, as_json)


@command("synthetic")
@click.argument("instrument", default="SYN/USD")
@click.option("--seed", type=int, default=1, show_default=True, help="Another seed, another history.")
@click.option("--days", type=click.IntRange(1, 3660), default=365, show_default=True)
@click.option("--from", "start", default="2024-01-01", show_default=True, metavar="DAY")
@click.option("--quotes", "with_quotes", is_flag=True, help="Store quotes too: many.")
@only_config
@with_json
def synthetic(
    instrument: str,
    seed: int,
    days: int,
    start: str,
    with_quotes: bool,
    config_file: str | None,
    as_json: bool,
) -> None:
    """Store minute bars of a market that never was, labelled SYNTHETIC.

    INSTRUMENT is BASE/QUOTE, SYN/USD if it is not given. The same seed gives the same market. A
    strategy that earns money in it has found luck.
    """
    from dataclasses import replace

    from tradebot.core.model import DAY, MINUTE
    from tradebot.data.synthetic import PROVENANCE, Market, minute_bars, quotes, simulate

    catalogue = open_catalogue(config_file)
    market = Market(instrument=instrument)
    path = simulate(market, seed=seed, start=midnight(start, "--from"), minutes=days * (DAY // MINUTE))
    described = _described(market)
    made = replace(PROVENANCE, source=f"{PROVENANCE.source} seed {seed}")
    info, merged = catalogue.write_bars(described, minute_bars(path), made)
    remarks = [f"{out.style('SYNTHETIC', 'warn')}: no real market; what earns money here has found luck"]
    if with_quotes:
        stored, _ = catalogue.write_quotes(described, quotes(path), made)
        remarks.append(f"and {stored.rows:,} quotes")
    tell_stored(info, merged, remarks, as_json)


def midnight(text: str, option: str) -> int:
    """Return the start of the UTC day that an option names."""
    from datetime import UTC, datetime

    from tradebot.core.model import SECOND

    try:
        return int(datetime.strptime(text, "%Y-%m-%d").replace(tzinfo=UTC).timestamp()) * SECOND
    except ValueError as exc:
        raise UsageError(f"{option} must be a day such as 2024-01-01, was {text!r}") from exc


def _described(market: Market) -> Instrument:
    from decimal import Decimal

    from tradebot.core.model import AssetClass, Instrument

    base, slash, quote = market.instrument.partition("/")
    if not (base and slash and quote):
        raise UsageError(f"a synthetic instrument is BASE/QUOTE, such as SYN/USD, was {market.instrument!r}")
    return Instrument(
        id=market.instrument,
        base=base,
        quote=quote.partition("@")[0],
        asset_class=AssetClass.CRYPTO,
        tick_size=Decimal(str(market.tick)),
        lot_size=Decimal(str(market.lot)),
    )
