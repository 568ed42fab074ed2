"""Join newly imported rows with stored ones; nothing stored is lost unless the caller says so.

Owns the rule for rows that both sides have: equal rows are one row, different rows are refused,
or the stored or the new ones win by name.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Literal

import numpy as np

from tradebot.data.arrays import BarArrays, Floats, Ints, QuoteArrays
from tradebot.data.series import Provenance
from tradebot.errors import DataError, InvariantError

OnConflict = Literal["refuse", "replace", "keep"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Merged:
    """How many rows a merge added, found already stored, replaced by new ones or kept as they were."""

    added: int
    unchanged: int
    replaced: int
    kept: int


def utc_text(ts: int) -> str:
    """Return `ts` (ns UTC) as ISO text to the second, or finer if it is finer."""
    whole, fraction = divmod(ts, 1_000_000_000)
    text = datetime.fromtimestamp(whole, UTC).strftime("%Y-%m-%dT%H:%M:%S")
    return f"{text}.{fraction:09d}Z" if fraction else f"{text}Z"


def merge_bars(old: BarArrays, new: BarArrays, on_conflict: OnConflict) -> tuple[BarArrays, Merged]:
    """Return the union by `ts` of stored and new bars of one instrument and interval.

    Raises DataError if bars of the same `ts` differ and `on_conflict` is "refuse".
    """
    place = np.searchsorted(old.ts, new.ts)
    known = np.zeros(len(new), bool)
    inside = place < len(old)
    known[inside] = old.ts[place[inside]] == new.ts[inside]
    at_old, at_new = place[known], np.flatnonzero(known)
    names = [name for name in BarArrays.COLUMNS if name != "ts"]
    differs = np.zeros(len(at_old), bool)
    for name in names:
        differs |= getattr(old, name)[at_old] != getattr(new, name)[at_new]
    if differs.any() and on_conflict == "refuse":
        i, j = int(at_old[differs][0]), int(at_new[differs][0])
        raise DataError(
            f"{old.instrument}: {int(differs.sum())} bars are stored already with other values, the first at "
            f"{utc_text(int(old.ts[i]))}: stored {old.bar(i)[3:]}, new {new.bar(j)[3:]}; "
            "nothing was changed; --on-conflict replace or keep decides which ones stay"
        )
    columns = {name: getattr(old, name).copy() for name in names}
    if on_conflict == "replace":
        for name in names:
            columns[name][at_old] = getattr(new, name)[at_new]
    ts: Ints = np.concatenate([old.ts, new.ts[~known]])
    order = np.argsort(ts, kind="stable")
    joined: dict[str, Floats] = {
        name: np.concatenate([columns[name], getattr(new, name)[~known]])[order] for name in names
    }
    changed = int(differs.sum())
    count = Merged(
        added=len(new) - len(at_new),
        unchanged=len(at_old) - changed,
        replaced=changed if on_conflict == "replace" else 0,
        kept=changed if on_conflict == "keep" else 0,
    )
    return BarArrays(instrument=old.instrument, interval=old.interval, ts=ts[order], **joined), count


def merge_quotes(old: QuoteArrays, new: QuoteArrays, on_conflict: OnConflict) -> tuple[QuoteArrays, Merged]:
    """Return stored and new quotes in one series.

    Where their time spans overlap, both must hold the same rows (several quotes may share a `ts`, so
    rows cannot be matched one by one), else DataError, or one side's rows of the overlap win.
    """
    if not len(old) or not len(new):
        count = Merged(added=len(new), unchanged=len(old) if not len(new) else 0, replaced=0, kept=0)
        return (new if len(new) else old), count
    first, last = max(old.ts[0], new.ts[0]), min(old.ts[-1], new.ts[-1])
    old_in, new_in = _within(old, first, last), _within(new, first, last)
    same = old_in.digest() == new_in.digest()
    if not same and on_conflict == "refuse":
        raise DataError(
            f"{old.instrument}: quotes from {utc_text(int(first))} to {utc_text(int(last))} are stored already and "
            f"differ ({len(old_in)} stored, {len(new_in)} new); nothing was changed; "
            "--on-conflict replace or keep decides which ones stay"
        )
    # One side's rows of the overlap, and from both sides what lies outside of it.
    middle = new_in if on_conflict == "replace" else old_in
    parts = [_outside(side, first, last) for side in (old, new)]
    joined = {
        name: np.concatenate([getattr(p, name) for p in (middle, *parts)]) for name in QuoteArrays.COLUMNS
    }
    order = np.argsort(joined["ts"], kind="stable")
    merged = QuoteArrays(
        instrument=old.instrument, **{name: values[order] for name, values in joined.items()}
    )
    changed = 0 if same else len(old_in)
    count = Merged(
        added=len(parts[1]),
        unchanged=len(old_in) if same else 0,
        replaced=changed if on_conflict == "replace" else 0,
        kept=changed if on_conflict == "keep" else 0,
    )
    return merged, count


def merge_provenance(old: Provenance, new: Provenance) -> Provenance:
    """Return the description of a series joined from both.

    Raises DataError if prices are adjusted differently, or if one is labelled (SYNTHETIC) and the
    other is not: such a series would be neither.
    """
    for name in ("adjustment", "label", "partial_volume"):
        was, now = getattr(old, name), getattr(new, name)
        if was != now:
            raise DataError(
                f"one series has one {name}: stored is {was!r}, new is {now!r}; import it under another --id"
            )
    return replace(old, source=_both(old.source, new.source), licence=_both(old.licence, new.licence))


def _both(old: str, new: str) -> str:
    parts = old.split("; ") if old else []
    return "; ".join(parts if not new or new in parts else [*parts, new])


def _within(side: QuoteArrays, first: int, last: int) -> QuoteArrays:
    return side.take((side.ts >= first) & (side.ts <= last))


def _outside(side: QuoteArrays, first: int, last: int) -> QuoteArrays:
    return side.take((side.ts < first) | (side.ts > last))


def require_order(columns: BarArrays | QuoteArrays) -> None:
    """Raise InvariantError unless `ts` increases (strictly for bars)."""
    steps = np.diff(columns.ts)
    lowest = 1 if isinstance(columns, BarArrays) else 0
    if len(steps) and int(steps.min()) < lowest:
        i = int(np.argmax(steps < lowest))
        raise InvariantError(
            f"{columns.instrument}: rows must be ordered by ts, {utc_text(int(columns.ts[i + 1]))} "
            f"follows {utc_text(int(columns.ts[i]))}"
        )
