"""Read corporate actions from a file and turn them into events.

Owns the file format of splits, dividends and renames. What a split does to prices a strategy sees
is `plugins.runner`'s, to lots, orders and cash the core's. Not modelled: spin-offs, rights, mergers,
return of capital, currency of a dividend other than the instrument's quote asset.

The file is CSV with a header, which comments (#) may stand above:

    date        ISO date; named `ex_date`, or `last_cum_date` (last session before the ex-date)
    kind        split | dividend | rename
    value       new shares per old share (4, or "4:1", or "1:8"); cash per share; the new symbol
    pay_date    ISO date, dividends only, optional (without it: the ex-date)
    symbol      optional; rows of other symbols are refused

`price_factor` files (0.25 for 4:1, as "the price is multiplied by") are read with
`split_value="price_factor"`; the factor is not guessed, since 8 may mean 8:1 or 1:8.
"""

from __future__ import annotations

import csv
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date
from decimal import Decimal, InvalidOperation
from fractions import Fraction
from itertools import pairwise
from pathlib import Path
from typing import Literal

import numpy as np

from tradebot.core.happenings import Dividend, Split
from tradebot.data.arrays import BarArrays
from tradebot.data.calendars import Sessions
from tradebot.errors import DataError

SplitValue = Literal["ratio", "price_factor"]
Kind = Literal["split", "dividend", "rename"]

_EPOCH = date(1970, 1, 1)
_DATES = ("ex_date", "date", "last_cum_date")
# Factor files carry rounded factors (0.500001, 0.142857) of splits that have small whole numbers.
_SNAP = Fraction(1, 100_000)
_SMALL = 20
# Beyond these a typing error (an exponent, a year) costs hours of arithmetic or leaves 64 bits.
_NUMBERS = (Decimal("1e-12"), Decimal("1e12"))
_YEARS = range(1700, 2200)


@dataclass(frozen=True, slots=True, kw_only=True)
class Action:
    """One corporate action with its ex-date.

    `ratio` (splits): new shares per old share, exact. `amount` (dividends): cash per share in
    the quote asset, paid on `pay_date`. `symbol` (renames): what the instrument is called from
    the ex-date on.
    """

    kind: Kind
    ex_date: date
    ratio: Fraction = Fraction(1)
    amount: Decimal = Decimal(0)
    pay_date: date | None = None
    symbol: str = ""


def read_actions(
    path: Path,
    sessions: Sessions,
    *,
    symbol: str | None = None,
    split_value: SplitValue = "ratio",
) -> tuple[Action, ...]:
    """Return the actions of a file, oldest first, `last_cum_date` turned into the ex-date.

    Raises DataError with file and line for whatever is missing, unknown, impossible or twice.
    """
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            lines = file.readlines()
            above = next((i for i, line in enumerate(lines) if line.strip() and line[0] != "#"), 0)
            rows = csv.DictReader(lines[above:])
            names = [name.strip().lower() for name in rows.fieldnames or ()]
            rows.fieldnames = names
            dated = next((name for name in _DATES if name in names), None)
            if dated is None or not {"kind", "value"} <= set(names):
                raise DataError(
                    f"{path}:{above + 1}: needs columns {' or '.join(_DATES)}, kind, value; found {names}"
                )
            found = [
                (line, _action(row, dated, sessions, symbol, split_value, f"{path}:{line}"))
                for row in rows
                for line in (above + rows.line_num,)
            ]
    except (OSError, UnicodeDecodeError, csv.Error) as exc:
        raise DataError(f"{path}: cannot be read as CSV: {exc}") from exc
    found.sort(key=lambda item: item[1].ex_date)
    for (_, before), (line, action) in pairwise(found):
        if (action.ex_date, action.kind) == (before.ex_date, before.kind):
            raise DataError(f"{path}:{line}: a second {action.kind} with ex-date {action.ex_date}")
    return tuple(action for _, action in found)


def actions_as_text(actions: Iterable[Action]) -> str:
    """Return actions in the file format above, with ex-dates and ratios as "new:old"."""
    lines = ["ex_date,kind,value,pay_date\n"]
    for action in actions:
        value: object = {
            "split": f"{action.ratio.numerator}:{action.ratio.denominator}",
            "dividend": format(action.amount, "f"),
            "rename": action.symbol,
        }[action.kind]
        lines.append(f"{action.ex_date},{action.kind},{value},{action.pay_date or ''}\n")
    return "".join(lines)


def events(actions: Iterable[Action], instrument: str, sessions: Sessions) -> tuple[Split | Dividend, ...]:
    """Return splits and dividends as inputs of the engine, oldest first; renames are left out.

    `ts` is the start of the ex-date at the exchange (midnight there), before its first trade,
    pre-market included. A ratio such as 1:3 is rounded to 28 digits.
    """
    found: list[Split | Dividend] = []
    for action in sorted(actions, key=lambda a: a.ex_date):
        ts = sessions.day_start(_day(action.ex_date))
        if action.kind == "split":
            ratio = Decimal(action.ratio.numerator) / Decimal(action.ratio.denominator)
            found.append(Split(ts=ts, instrument=instrument, ratio=ratio))
        elif action.kind == "dividend":
            pays_at = sessions.day_start(_day(action.pay_date or action.ex_date))
            found.append(Dividend(ts=ts, instrument=instrument, amount=action.amount, pays_at=pays_at))
    return tuple(found)


def _action(
    row: dict[str, str],
    dated: str,
    sessions: Sessions,
    symbol: str | None,
    split_value: SplitValue,
    where: str,
) -> Action:
    if None in row or None in row.values():
        raise DataError(f"{where}: the number of fields differs from the header's")
    if symbol is not None and row.get("symbol", symbol).strip().upper() != symbol.upper():
        raise DataError(f"{where}: symbol must be {symbol}, was {row['symbol']!r}")
    ex_date = _date(row[dated], dated, where)
    if dated == "last_cum_date":
        ex_date = _from_day(sessions.next_day(_day(ex_date)))
    kind, value = row["kind"].strip().lower(), row["value"].strip()
    if kind == "split":
        return Action(kind="split", ex_date=ex_date, ratio=_ratio(value, split_value, where))
    if kind == "dividend":
        paid = (row.get("pay_date") or "").strip()
        pay_date = _date(paid, "pay_date", where) if paid else None
        if pay_date is not None and pay_date < ex_date:
            raise DataError(f"{where}: pay_date must not be before the ex-date {ex_date}, was {pay_date}")
        return Action(kind="dividend", ex_date=ex_date, amount=_number(value, where), pay_date=pay_date)
    if kind == "rename" and value:
        return Action(kind="rename", ex_date=ex_date, symbol=value)
    raise DataError(
        f"{where}: kind must be split, dividend or rename (with the new symbol), was {kind!r} {value!r}"
    )


def _ratio(value: str, meaning: SplitValue, where: str) -> Fraction:
    new, colon, old = value.partition(":")
    ratio = Fraction(_number(new, where)) / Fraction(_number(old, where) if colon else 1)
    if meaning == "price_factor":
        ratio = 1 / ratio
    # Looked up on the side above 1, where a small denominator is a small split.
    side = max(ratio, 1 / ratio)
    near = side.limit_denominator(_SMALL)
    if abs(near - side) <= side * _SNAP:
        ratio = near if ratio > 1 else 1 / near
    if ratio == 1:
        raise DataError(f"{where}: a split of 1:1 changes nothing, was {value!r}")
    return ratio


def _number(text: str, where: str) -> Decimal:
    try:
        number = Decimal(text.strip())
    except InvalidOperation:
        number = Decimal(0)
    if not number.is_finite() or number <= 0:
        raise DataError(f"{where}: value must be a number above 0, was {text!r}")
    least, most = _NUMBERS
    if not least <= number <= most:
        raise DataError(f"{where}: value must be from {least} to {most}, was {text!r}")
    return number


def _date(text: str, name: str, where: str) -> date:
    wrong = f"{where}: {name} must be a date like 2020-08-31, was {text!r}"
    try:
        found = date.fromisoformat(text.strip())
    except ValueError as exc:
        raise DataError(wrong) from exc
    if found.year not in _YEARS:
        raise DataError(f"{wrong}; years from {_YEARS.start} to {_YEARS.stop - 1} can be kept")
    return found


def _day(when: date) -> int:
    return (when - _EPOCH).days


def _from_day(day: int) -> date:
    return date.fromordinal(_EPOCH.toordinal() + day)


def contradicted(bars: BarArrays, splits: Iterable[Split]) -> tuple[str, ...]:
    """Return what raw prices say against declared splits: those that went the other way.

    A split of 7:1 lets the price fall to about a seventh. One that sees it rise sevenfold, or
    declares 1:7 where it fell, was read the wrong way round. Splits smaller than 3:2 and those
    without a bar on both sides are not judged: a day's move could be as large.
    """
    said: list[str] = []
    for split in splits:
        row = int(np.searchsorted(bars.ts, split.ts, side="right"))
        expected = float(np.log(float(split.ratio)))
        if not 0 < row < len(bars) or abs(expected) < np.log(1.5):
            continue
        before, after = float(bars.close[row - 1]), float(bars.open[row])
        fall = float(np.log(before / after))
        if abs(fall + expected) < abs(fall - expected) / 2:
            said.append(
                f"a share is said to become {float(split.ratio):g}, but the price went {before:g} -> {after:g}"
            )
    return tuple(said)
