"""Look for what is wrong with a series of quotes: order, impossible or crossed prices, silence, bad prints.

Owns the rules about quotes; thresholds and severities are those of bars. Changes nothing. A quote stands
until the next one, so silence inside a session is a warning only; a session without any quote is an error.

Looking at best prices alone, it cannot tell whether a quantity was really there, nor see a quote that is
missing between two others.
"""

from __future__ import annotations

import numpy as np

from tradebot.core.model import HOUR
from tradebot.data.arrays import BarArrays, Floats, Ints, Mask, QuoteArrays
from tradebot.data.calendars import Sessions
from tradebot.data.check import find_jumps, runs_of
from tradebot.data.findings import CheckLimits, CheckReport, Findings, Severity


def check_quotes(
    quotes: QuoteArrays, sessions: Sessions | None = None, *, limits: CheckLimits | None = None
) -> CheckReport:
    """Return what is wrong with a series of quotes. `sessions` is the instrument's calendar, None: always open."""
    limits = limits or CheckLimits()
    found = Findings(quotes, limits)
    ordered = _in_order(found)
    usable = ordered & _sound(found)
    if ordered.any():
        _find_silence(Findings(quotes.take(ordered), limits, found.findings), sessions)
    clean = Findings(quotes.take(usable), limits, found.findings)
    if len(clean.rows):
        _find_stale(clean)
        find_jumps(Findings(_mids(clean.rows), limits, found.findings), sessions, (), price="mid")
    return CheckReport.of(quotes, found.findings)


def _in_order(found: Findings[QuoteArrays]) -> Mask:
    """Report quotes that are older than one before them, or are there twice; return which others there are."""
    quotes = found.rows
    late = np.zeros(len(quotes), bool)
    late[1:] = quotes.ts[1:] < np.maximum.accumulate(quotes.ts)[:-1]
    twice = np.zeros(len(quotes), bool)
    twice[1:] = _same(quotes) & (quotes.ts[1:] == quotes.ts[:-1])
    found.add("duplicate", Severity.WARNING, np.flatnonzero(twice), "the same quote is there twice")
    found.add("disorder", Severity.ERROR, np.flatnonzero(late), "a quote is older than one before it")
    return ~(late | twice)


def _same(quotes: QuoteArrays) -> Mask:
    """Return which quotes say what the one before said."""
    same = np.ones(max(len(quotes) - 1, 0), bool)
    for values in (quotes.bid, quotes.bid_qty, quotes.ask, quotes.ask_qty):
        same &= values[1:] == values[:-1]
    return same


def _sound(found: Findings[QuoteArrays]) -> Mask:
    """Report quotes that cannot be true or believed; return which others there are."""
    quotes, limits = found.rows, found.limits
    possible = (quotes.bid_qty >= 0) & (quotes.ask_qty >= 0)
    for value in (quotes.bid_qty, quotes.ask_qty):
        possible &= value < np.inf
    for price in (quotes.bid, quotes.ask):
        possible &= (price > 0) & (price < np.inf)
    crossed = possible & (quotes.bid > quotes.ask)
    wide = possible & (quotes.ask - quotes.bid > limits.spread * (quotes.ask + quotes.bid) / 2)
    empty = possible & ((quotes.bid_qty == 0) | (quotes.ask_qty == 0))

    def shown(i: int) -> str:
        return f"bid {quotes.bid[i]:g} x {quotes.bid_qty[i]:g} ask {quotes.ask[i]:g} x {quotes.ask_qty[i]:g}"

    for kind, severity, bad, message in (
        (
            "bad_price",
            Severity.ERROR,
            ~possible,
            "a price is not above 0, or a quantity below 0, or no number",
        ),
        ("crossed", Severity.ERROR, crossed, "the bid is above the ask"),
        ("wide_spread", Severity.WARNING, wide, f"the spread is wider than {limits.spread:.0%} of the price"),
        (
            "no_quantity",
            Severity.WARNING,
            empty,
            "nothing is bid, or nothing asked: no order fills on that side",
        ),
    ):
        found.add(kind, severity, np.flatnonzero(bad), message, shown)
    usable: Mask = possible & ~crossed & ~wide
    return usable


def _find_silence(found: Findings[QuoteArrays], sessions: Sessions | None) -> None:
    quotes, longest = found.rows, found.limits.gap_error
    message = f"no quote for {longest / HOUR:g} h and more before"
    if sessions is None or sessions.always_open:
        found.add("gap", Severity.WARNING, np.flatnonzero(np.diff(quotes.ts) >= longest) + 1, message)
        return
    first, last = int(quotes.ts[0]), int(quotes.ts[-1])
    opens, closes = sessions.between(first, last)
    begin = np.searchsorted(quotes.ts, opens, side="left")
    end = np.searchsorted(quotes.ts, closes, side="right")
    whole = (opens >= first) & (closes <= last)
    silent = closes[whole & (begin == end)]
    found.add_times("gap", Severity.ERROR, silent, f"{len(silent)} sessions of {sessions.name} have no quote")
    found.add("gap", Severity.WARNING, *_silent_inside(found, opens, closes))
    owner = np.searchsorted(opens, quotes.ts, side="right") - 1
    outside = (owner < 0) | (quotes.ts > np.append(closes, last)[owner])
    message = f"quotes outside the sessions of {sessions.name}: strategies see them, no order fills on one"
    found.add("off_session", Severity.WARNING, np.flatnonzero(outside), message)


def _silent_inside(found: Findings[QuoteArrays], opens: Ints, closes: Ints) -> tuple[Ints, str]:
    """Return the quotes that ended a long silence inside their session, and the words for it."""
    ts = found.rows.ts
    session = np.searchsorted(opens, ts, side="right") - 1
    same = (session[1:] == session[:-1]) & (session[1:] >= 0)
    inside = same & (ts[1:] <= np.append(closes, ts[-1])[session[1:]])
    rows = np.flatnonzero(inside & (np.diff(ts) >= HOUR)) + 1
    return rows, "no quote for an hour and more before, inside a session"


def _find_stale(found: Findings[QuoteArrays]) -> None:
    """Report long runs of quotes that say the same: a feed that repeats its last word."""
    quotes, limits = found.rows, found.limits
    starts, lengths = runs_of(_same(quotes))
    long = lengths + 1 >= limits.flat_bars
    length = dict(zip(starts[long].tolist(), (lengths[long] + 1).tolist(), strict=True))
    message = "long runs of quotes that are equal in prices and quantities"
    found.add("stale", Severity.WARNING, starts[long], message, lambda i: f"{length[i]} quotes")


def _mids(quotes: QuoteArrays) -> BarArrays:
    """Return the middle of each quote as a bar without length, for the rules about jumps."""
    mid: Floats = (quotes.bid + quotes.ask) / 2
    none = np.zeros(len(quotes))
    return BarArrays(
        instrument=quotes.instrument,
        interval=0,
        ts=quotes.ts,
        open=mid,
        high=mid,
        low=mid,
        close=mid,
        volume=none,
    )
