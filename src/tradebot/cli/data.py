"""`tradebot data`: what is stored, and what is wrong with it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from tradebot.cli import out
from tradebot.cli.data_download import download_
from tradebot.cli.data_import import import_
from tradebot.cli.data_make import resample_, synthetic
from tradebot.cli.data_words import day, interval_words, open_catalogue, series_json
from tradebot.cli.lazy import group
from tradebot.cli.options import only_config, with_json
from tradebot.cli.progress import progress
from tradebot.errors import DataError, ExitCode

if TYPE_CHECKING:
    from tradebot.data.catalogue import Catalogue
    from tradebot.data.findings import CheckReport
    from tradebot.data.series import SeriesInfo


@group("data")
def data() -> None:
    """List, import, download, check, resample, synthetic: stored bars and quotes."""


@data.command("list")
@only_config
@with_json
def list_(config_file: str | None, as_json: bool) -> None:
    """List stored bars and quotes, the bundled ones too."""
    catalogue = open_catalogue(config_file)
    found = catalogue.list()
    if as_json:
        out.as_json({"series": [series_json(info) for info in found]})
        return
    if not found:
        out.note(f"Nothing is stored in {catalogue.root}.  Next: tradebot data import FILE --id NAME")
    rows = [
        (i.instrument, interval_words(i.interval), f"{i.rows:,}", day(i.first_ts, i.interval),
         day(i.last_ts, i.interval),
         i.provenance.label, i.provenance.source)
        for i in found
    ]  # fmt: skip
    out.table(("instrument", "interval", "rows", "first", "last", "label", "source"), rows)


@data.command("check")
@click.argument("instruments", metavar="[INSTRUMENT]...", nargs=-1)
@click.option("--interval", help="Only bars of this interval, such as 1d.")
@only_config
@with_json
def check(instruments: tuple[str, ...], interval: str | None, config_file: str | None, as_json: bool) -> None:
    """Look for what is wrong with stored bars and quotes.

    That is gaps against the calendar, what is doubled, out of order or impossible, bad prints, splits
    that nobody told of, prices that stand still; of quotes, crossed prices and absurd spreads. Ends with
    1 when something is wrong beyond doubt; what someone should look at is a warning.
    """
    from tradebot.data.intervals import parse_interval

    catalogue = open_catalogue(config_file)
    wanted = None if interval is None else parse_interval(interval)
    chosen = [
        i for i in catalogue.list()
        if (not instruments or i.instrument in instruments) and wanted in (None, i.interval)
    ]  # fmt: skip
    for name in instruments:
        if not any(i.instrument == name for i in chosen):
            catalogue.instrument(name)  # says which names are near
            raise DataError(
                f"no {f'{interval} bars' if interval else 'bars or quotes'} of {name} are stored; see tradebot data list"
            )
    reports = []
    with progress() as tell:
        for i, info in enumerate(chosen):
            tell(f"checking {info.instrument}", i / len(chosen))
            reports.append(_check_one(catalogue, info))
    ok = all(report.ok for report in reports)
    if as_json:
        out.as_json({"ok": ok, "series": [report.as_dict() for report in reports]})
    else:
        for report in reports:
            _show(report)
    if not ok:
        raise click.exceptions.Exit(ExitCode.FAILED)


def _check_one(catalogue: Catalogue, info: SeriesInfo) -> CheckReport:
    from tradebot.core.messages import Split
    from tradebot.data.calendars import sessions
    from tradebot.data.check import check_series
    from tradebot.data.check_quotes import check_quotes

    catalogue.verify(info.instrument, info.interval)
    calendar = sessions(catalogue.instrument(info.instrument).calendar)
    if not info.interval:
        return check_quotes(catalogue.quotes(info.instrument), calendar)
    bars = catalogue.bars(info.instrument, info.interval)
    splits = [event for event in catalogue.events(info.instrument) if isinstance(event, Split)]
    return check_series(bars, calendar, splits=splits)


def _show(report: CheckReport) -> None:
    rows = (
        f"{interval_words(report.interval)}: {report.rows:,} bars"
        if report.interval
        else f"{report.rows:,} quotes"
    )
    state = out.style("ok", "good") if report.ok else out.style("FAILED", "bad")
    out.show(f"{state}  {report.instrument} {rows}")
    for found in report.findings:
        role = {"error": "bad", "warning": "warn"}.get(found.severity.value, "faint")
        out.show(
            f"    {out.style(found.severity.value, role)}  {found.kind} ({found.count}): {found.message}"
        )
        for example in found.examples:
            out.show(f"        {example}")


for _command in (import_, download_, resample_, synthetic):
    data.add_command(_command)
