"""Open a project's catalogue and say what is in it, for all `tradebot data` commands."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal

from tradebot.cli import out
from tradebot.cli.project import find_project

if TYPE_CHECKING:
    from tradebot.data.catalogue import Catalogue
    from tradebot.data.merge import Merged
    from tradebot.data.series import SeriesInfo

OnConflict = Literal["refuse", "replace", "keep"]
ON_CONFLICT: tuple[OnConflict, ...] = ("refuse", "replace", "keep")


def open_catalogue(config_file: str | None) -> Catalogue:
    """Return the catalogue of the project; works without a configuration too."""
    project = find_project(config_file)
    return project.catalogue(project.own_config())


def interval_words(interval: int) -> str:
    """Return an interval in ns as a table shows it: "1d", or "quotes" for 0."""
    from tradebot.data.intervals import interval_name

    return interval_name(interval) if interval else "quotes"


def day(ts: int, interval: int) -> str:
    """Return the UTC day of a bar's last instant (a close at midnight is that day's), or of a quote (0)."""
    from tradebot.data.merge import utc_text

    return utc_text(ts - 1 if interval else ts)[:10]


def series_json(info: SeriesInfo) -> dict[str, object]:
    """Return the description of a series as JSON values."""
    from tradebot.report.jsonout import plain_value

    plain = plain_value(info)
    assert isinstance(plain, dict)
    return {**plain, "interval": interval_words(info.interval), "interval_ns": info.interval}


def one_of(word: str) -> OnConflict:
    """Return what `--on-conflict` was given as the type it is."""
    return next(known for known in ON_CONFLICT if known == word)


def tell_stored(info: SeriesInfo, merged: Merged, remarks: Sequence[str], as_json: bool) -> None:
    """Say what was stored and how it joined what was there."""
    if as_json:
        out.as_json(stored_json(info, merged, remarks))
        return
    counts = [
        f"{count:,} {word}"
        for count, word in (
            (merged.added, "added"), (merged.unchanged, "already there"),
            (merged.replaced, "replaced"), (merged.kept, "kept as they were"),
        )
        if count
    ]  # fmt: skip
    out.show(
        f"Stored {info.instrument} {interval_words(info.interval)}: {info.rows:,} rows "
        f"({', '.join(counts)}), {day(info.first_ts, info.interval)} to {day(info.last_ts, info.interval)}"
    )
    for remark in remarks:
        out.show(f"  {remark}")


def stored_json(info: SeriesInfo, merged: Merged, remarks: Sequence[str]) -> dict[str, object]:
    """Return what was stored as JSON values."""
    from tradebot.report.jsonout import plain_value

    return {"stored": series_json(info), "merged": plain_value(merged), "remarks": list(remarks)}
