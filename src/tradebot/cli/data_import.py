"""`tradebot data import`: somebody else's file into the catalogue, or line by line why not."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import click

from tradebot.cli import out
from tradebot.cli.data_words import ON_CONFLICT, one_of, open_catalogue, tell_stored
from tradebot.cli.lazy import command
from tradebot.cli.options import only_config, with_json
from tradebot.core.messages import Split
from tradebot.core.model import ALWAYS_OPEN, AssetClass, Instrument
from tradebot.errors import DataError, UsageError

if TYPE_CHECKING:
    from tradebot.config.units import Word
    from tradebot.data.actions import SplitValue
    from tradebot.data.catalogue import Catalogue
    from tradebot.data.importing import ImportOptions, ImportReport
    from tradebot.data.series import Provenance

_CLASSES = tuple(kind.value for kind in AssetClass)
_TIME_UNITS = ("s", "ms", "us", "ns")
_SHOWN = 10


@command("import")
@click.argument("file", type=click.Path(readable=False, path_type=Path))
@click.option("--id", "instrument", required=True, metavar="NAME", help="What it is: SPX, AAPL, BTC/USDT.")
@click.option("--kind", type=click.Choice(("bars", "quotes", "actions")), default="bars", show_default=True,
              help="Actions are splits and dividends.")  # fmt: skip
@click.option("--interval", help="Of the bars, such as 1d; else recognised.")
@click.option("--stamp", type=click.Choice(("open", "close")), default="open", show_default=True,
              help="Whether a row's time is when its bar opened or closed.")  # fmt: skip
@click.option("--tz", metavar="ZONE", help="Zone of times that name none, such as America/New_York.")
@click.option("--map", "mapping", metavar="NAME=COLUMN", multiple=True,
              help="Which column is ts, open, high, low, close, volume (or none). Repeatable; else recognised.")  # fmt: skip
@click.option("--header", metavar="A,B,C", help="Names of the columns of a CSV without a header line.")
@click.option(
    "--time-unit", type=click.Choice(_TIME_UNITS), help="Of times that are numbers; else recognised."
)
@click.option("--time-format", metavar="FORMAT", help="Such as %d.%m.%Y; else recognised.")
@click.option("--bad-rows", type=click.Choice(("refuse", "drop")), default="refuse", show_default=True,
              help="Drop leaves them out and names each.")  # fmt: skip
@click.option("--on-conflict", type=click.Choice(ON_CONFLICT), default="refuse", show_default=True,
              help="When other values of the same time are stored.")  # fmt: skip
@click.option("--adjustment", type=click.Choice(("raw", "split", "split+dividend")), default="raw",
              show_default=True, help="What was already done to the prices.")  # fmt: skip
@click.option("--split-value", type=click.Choice(("ratio", "price_factor")), default="ratio",
              show_default=True, help="What a split's value is: new shares per old (4), or 0.25.")  # fmt: skip
@click.option("--source", default="", help="Where the file is from, for reports.")
@click.option("--licence", default="", help="What it may be used for.")
@click.option("--partial-volume", is_flag=True, help="The volume is one venue's share only.")
@click.option("--class", "asset_class", type=click.Choice(_CLASSES), help="Of a new instrument.")
@click.option("--quote", metavar="ASSET", help="Currency of a new instrument's prices.")
@click.option("--tick-size", metavar="PRICE", help="Smallest step of its price.")
@click.option("--lot-size", metavar="QTY", help="Smallest step of its quantity.")
@click.option("--calendar", metavar="NAME", help="When it trades: XNYS, ... or 24/7.")
@only_config
@with_json
def import_(
    file: Path,
    instrument: str,
    kind: str,
    split_value: SplitValue,
    config_file: str | None,
    as_json: bool,
    **given: Any,
) -> None:
    """Store bars, quotes or corporate actions from a CSV or Parquet FILE.

    What can be recognised is, and is said; what could mean two things is asked for. A row that cannot
    be true is never repaired: the file is refused with its lines, or the rows are dropped by name.
    Equal rows are stored once, and stored rows are never changed unless --on-conflict says so.
    """
    if not file.is_file():
        found = "is a folder" if file.is_dir() else "is none" if file.exists() else "does not exist"
        raise UsageError(f"{file} must be a file, {found}")
    words = _Words(**given)
    catalogue = open_catalogue(config_file)
    described, assumed = _described(catalogue, instrument, words)
    if kind == "actions":
        _import_actions(catalogue, described, file, split_value, as_json)
        return
    from tradebot.data.importing import read_bar_file, read_quote_file

    options = _options(words)
    remarks: list[str] = [assumed] if assumed else []
    if kind == "bars":
        bars, report = read_bar_file(file, described, options)
        stored = catalogue.write_bars(
            described, bars, _provenance(words, file), on_conflict=one_of(words.on_conflict)
        )
    else:
        quotes, report = read_quote_file(file, described, options)
        stored = catalogue.write_quotes(
            described, quotes, _provenance(words, file), on_conflict=one_of(words.on_conflict)
        )
    if as_json:
        from tradebot.cli.data_words import stored_json

        out.as_json({**stored_json(*stored, remarks), "report": report.as_dict()})
        return
    tell_stored(*stored, [*_remarks(report), *remarks], as_json=False)
    if kind == "bars":
        out.note(f"Next:  tradebot data check {instrument}")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Words:
    """What was given on the command line, by the names of the options."""

    interval: str | None
    stamp: Literal["open", "close"]
    tz: str | None
    mapping: tuple[str, ...]
    header: str | None
    time_unit: Literal["s", "ms", "us", "ns"] | None
    time_format: str | None
    bad_rows: Literal["refuse", "drop"]
    on_conflict: str
    adjustment: str
    source: str
    licence: str
    partial_volume: bool
    asset_class: str | None
    quote: str | None
    tick_size: str | None
    lot_size: str | None
    calendar: str | None

    @property
    def describes(self) -> bool:
        """True when a property of the instrument was given."""
        return any((self.asset_class, self.quote, self.tick_size, self.lot_size, self.calendar))


def _options(words: _Words) -> ImportOptions:
    from tradebot.data.importing import ImportOptions
    from tradebot.data.intervals import parse_interval

    return ImportOptions(
        mapping=_mapping(words.mapping) or None,
        header=None if words.header is None else tuple(name.strip() for name in words.header.split(",")),
        tz=words.tz,
        stamp=words.stamp,
        interval=None if words.interval is None else parse_interval(words.interval),
        time_unit=words.time_unit,
        time_format=words.time_format,
        bad_rows=words.bad_rows,
    )


def _mapping(pairs: Sequence[str]) -> Mapping[str, str | None]:
    found: dict[str, str | None] = {}
    for pair in pairs:
        name, sep, column = pair.partition("=")
        if not sep or not name or not column:
            raise UsageError(f'--map must be NAME=COLUMN, such as close="Adj Close", was {pair!r}')
        found[name] = None if column == "none" else column
    return found


def _provenance(words: _Words, file: Path) -> Provenance:
    from tradebot.data.series import Adjustment, Provenance

    return Provenance(
        source=words.source or file.name,
        licence=words.licence,
        adjustment=Adjustment(words.adjustment),
        partial_volume=words.partial_volume,
    )


def _described(catalogue: Catalogue, name: str, words: _Words) -> tuple[Instrument, str]:
    """Return the stored instrument, or a new one with a sentence on what was taken for granted."""
    if name in catalogue.instruments():
        stored = catalogue.instrument(name)
        if words.describes and (new := _new(name, words, stored)) != stored:
            raise DataError(f"{name} is stored as {_in_words(stored)}; the options say {_in_words(new)}")
        return stored, ""
    made = _new(name, words, None)
    return made, f"{name} is new: {_in_words(made)}"


def _new(name: str, words: _Words, stored: Instrument | None) -> Instrument:
    if stored is None:
        from tradebot.config.fields import ASSET, INSTRUMENT

        _usable("--id", INSTRUMENT, name)
        _usable("--quote", ASSET, words.quote or name.partition("@")[0].partition("/")[2] or "USD")
    pair = name.partition("@")[0].partition("/")
    kind = AssetClass(words.asset_class) if words.asset_class else stored.asset_class if stored else None
    if kind is None:
        kind = AssetClass.CRYPTO if pair[1] else None
    if kind is None:
        raise UsageError(f"{name} is not stored yet: say what it is with --class stock, index or crypto")
    crypto = kind is AssetClass.CRYPTO
    quote = words.quote or (stored.quote if stored else pair[2]) or "USD"
    tick = words.tick_size or (str(stored.tick_size) if stored else None if crypto else "0.01")
    lot = words.lot_size or (str(stored.lot_size) if stored else None if crypto else "1")
    if tick is None or lot is None:
        raise UsageError(
            f"{name} is not stored yet: say the steps of its price and quantity, such as "
            "--tick-size 0.01 --lot-size 0.00001"
        )
    calendar = words.calendar or (stored.calendar if stored else ALWAYS_OPEN if crypto else "XNYS")
    return Instrument(
        id=name,
        base=pair[0],
        quote=quote,
        asset_class=kind,
        tick_size=_step("--tick-size", tick),
        lot_size=_step("--lot-size", lot),
        calendar=calendar,
    )


def _usable(option: str, form: Word, text: str) -> None:
    """Refuse a new name that no configuration could say."""
    try:
        form.read(text)
    except ValueError as exc:
        raise UsageError(f"{option} {exc}") from exc


def _step(option: str, text: str) -> Decimal:
    try:
        value = Decimal(text)
    except InvalidOperation:
        value = Decimal(0)
    if not (value.is_finite() and value > 0):
        raise UsageError(f"{option} must be a number above 0, such as 0.01, was {text!r}")
    return value


def _in_words(instrument: Instrument) -> str:
    i = instrument
    return (
        f"{i.asset_class.value} in {i.quote}, tick {i.tick_size}, lot {i.lot_size}, "
        f"{'always open' if i.calendar == ALWAYS_OPEN else f'calendar {i.calendar}'}"
    )


def _remarks(report: ImportReport) -> list[str]:
    said = [f"times: {report.time}", *report.notes]
    dropped = [issue for issue in report.issues if issue.dropped]
    moved = len(report.issues) - len(dropped)
    if dropped:
        said.append(f"{len(dropped):,} of {report.rows:,} rows dropped:")
        said += [f"  {report.path}:{issue.line}: {issue.reason}" for issue in dropped[:_SHOWN]]
        if len(dropped) > _SHOWN:
            said.append(f"  ... and {len(dropped) - _SHOWN:,} more (--json names all)")
    if moved:
        said.append(f"{moved:,} rows were out of order and sorted")
    return said


def _import_actions(
    catalogue: Catalogue, instrument: Instrument, file: Path, split_value: SplitValue, as_json: bool
) -> None:
    from tradebot.data.actions import contradicted, events, read_actions
    from tradebot.data.calendars import sessions

    if instrument.id not in catalogue.instruments():
        raise DataError(f"{instrument.id} has no bars yet: import those first, then its corporate actions")
    calendar = sessions(instrument.calendar)
    symbol = instrument.id.partition("@")[0]
    actions = read_actions(file, calendar, symbol=symbol, split_value=split_value)
    if not actions:
        raise DataError(
            f"{file}: has no rows; nothing was stored (to forget stored actions, delete actions.csv in the "
            "instrument's folder)"
        )
    splits = [e for e in events(actions, instrument.id, calendar) if isinstance(e, Split)]
    for interval in catalogue.intervals(instrument.id):
        if catalogue.info(instrument.id, interval).provenance.adjustment.value != "raw":
            continue
        wrong = contradicted(catalogue.bars(instrument.id, interval), splits)
        if wrong:
            other = "price_factor" if split_value == "ratio" else "ratio"
            raise DataError(
                f"{file}: splits must agree with the stored raw prices: {wrong[0]}; nothing was stored. "
                f"If the file's values are the other way round, say --split-value {other}"
            )
    before = catalogue.actions(instrument.id)
    catalogue.write_actions(instrument.id, actions)
    if as_json:
        out.as_json({"instrument": instrument.id, "actions": len(actions), "before": len(before)})
        return
    out.show(f"Stored {len(actions)} corporate actions of {instrument.id} (before: {len(before)})")
