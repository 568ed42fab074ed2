"""Look for what is wrong with a series of bars: gaps, impossible prices, bad prints, splits, stale runs.

Owns the rules; their thresholds are the named numbers of `CheckLimits`. Changes nothing. A
finding is an "error" when the data are wrong beyond reasonable doubt (or bars are missing that
must exist), a "warning" when someone should look, "info" when it is only worth knowing.

Looking at one series alone, it cannot tell a real jump from a wrong one when the price stays
there, nor find errors smaller than ordinary moves.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from tradebot.core.messages import Split
from tradebot.core.model import DAY, HOUR
from tradebot.data.actions import contradicted
from tradebot.data.arrays import BarArrays, Floats, Ints, Mask
from tradebot.data.calendars import Sessions
from tradebot.data.findings import CheckLimits, CheckReport, Findings, Severity

# New shares per old share (and the inverse) that companies and funds choose.
_SPLITS = (1.5, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0, 10.0, 12.0, 15.0, 20.0, 25.0, 30.0, 40.0, 50.0, 100.0)
# Returns over longer holes are no single move.
_LONGEST_WEEKEND = 5 * DAY
_NORMAL = 1.4826


def check_series(
    bars: BarArrays,
    sessions: Sessions | None = None,
    *,
    limits: CheckLimits | None = None,
    splits: Sequence[Split] = (),
) -> CheckReport:
    """Return what is wrong with a series.

    `sessions` is the instrument's calendar (None: gaps are not looked for). Jumps at the known
    `splits` are expected in raw prices and reported as info.
    """
    limits = limits or CheckLimits()
    found = Findings(bars, limits)
    ordered = ordered_rows(found)
    usable = ordered & sound_rows(found)
    # A bar with an impossible price is not a missing one.
    if sessions is not None and ordered.any():
        find_gaps(Findings(bars.take(ordered), limits, found.findings), sessions)
    clean = Findings(bars.take(usable), limits, found.findings)
    if len(clean.rows):
        find_jumps(clean, sessions, splits)
        find_wicks(clean)
        find_stale(clean)
        find_zero_volume(clean)
    return CheckReport.of(bars, found.findings)


def ordered_rows(found: Findings[BarArrays]) -> Mask:
    """Report bars that are not later than the one before; return which others there are."""
    ts = found.rows.ts
    behind = np.zeros(len(ts), bool)
    behind[1:] = ts[1:] <= np.maximum.accumulate(ts)[:-1]
    same = np.zeros(len(ts), bool)
    same[1:] = ts[1:] == ts[:-1]
    found.add("duplicate", Severity.ERROR, np.flatnonzero(same), "two bars have the same time")
    found.add("disorder", Severity.ERROR, np.flatnonzero(behind & ~same), "a bar is older than one before it")
    return ~behind


def sound_rows(found: Findings[BarArrays]) -> Mask:
    """Report bars that cannot be true; return which others there are."""
    bars = found.rows
    prices = {name: getattr(bars, name) for name in ("open", "high", "low", "close")}
    impossible = ~((bars.volume >= 0) & (bars.volume < np.inf))
    for values in prices.values():
        impossible |= ~((values > 0) & (values < np.inf))
    crossed = ~impossible & (bars.high < bars.low)
    inside = (bars.low <= np.minimum(bars.open, bars.close)) & (
        bars.high >= np.maximum(bars.open, bars.close)
    )
    outside = ~impossible & ~crossed & ~inside
    words = "open {0.open:g} high {0.high:g} low {0.low:g} close {0.close:g} volume {0.volume:g}"
    for kind, bad, message in (
        ("bad_price", impossible, "a price is not above 0, or a volume below 0, or no number"),
        ("bad_ohlc", crossed, "high is below low"),
        ("bad_ohlc", outside, "open or close lies outside of low and high"),
    ):
        found.add(kind, Severity.ERROR, np.flatnonzero(bad), message, lambda i: words.format(bars.bar(i)))
    usable: Mask = ~(impossible | crossed | outside)
    return usable


def find_gaps(found: Findings[BarArrays], sessions: Sessions) -> None:
    """Report bars that the calendar expects and that are not there, and bars where it expects none."""
    bars = found.rows
    first, last = int(bars.ts[0]), int(bars.ts[-1])
    if sessions.always_open:
        _find_holes(found)
        return
    opens, closes = sessions.between(first - bars.interval, last)
    if bars.interval < DAY:
        _find_session_gaps(found, opens, closes)
        _find_outside(found, opens, closes, sessions.name)
        return
    if bars.interval > DAY:
        return
    expected = closes[(closes >= first) & (closes <= last)]
    missing = np.setdiff1d(expected, bars.ts)
    _add_missing(found, missing, f"sessions of {sessions.name} have no bar", Severity.ERROR)
    extra = np.flatnonzero(~np.isin(bars.ts, closes))
    found.add("off_calendar", Severity.ERROR, extra, f"bars that close at no close of {sessions.name}")


def _find_holes(found: Findings[BarArrays]) -> None:
    bars, limits = found.rows, found.limits
    steps = np.diff(bars.ts)
    odd = np.flatnonzero(steps % bars.interval != 0) + 1
    found.add("off_grid", Severity.WARNING, odd, "bars that are not a whole number of intervals apart")
    missing = steps // bars.interval - 1

    def hole(i: int) -> str:
        return f"follows {missing[i - 1]} missing bars"

    long = steps - bars.interval >= limits.gap_error
    message = (
        f"{int(missing[long].sum())} bars are missing in holes of {limits.gap_error / HOUR:g} h and more"
    )
    found.add("gap", Severity.ERROR, np.flatnonzero(long) + 1, message, hole)
    short = (missing > 0) & ~long
    message = f"{int(missing[short].sum())} bars are missing in short holes (no trade, or an outage)"
    found.add("gap", Severity.WARNING, np.flatnonzero(short) + 1, message, hole)


def _find_session_gaps(found: Findings[BarArrays], opens: Ints, closes: Ints) -> None:
    bars = found.rows
    begin = np.searchsorted(bars.ts, opens, side="right")
    end = np.searchsorted(bars.ts, closes, side="right")
    empty = closes[begin == end]
    _add_missing(found, empty, "sessions have no bar", Severity.ERROR)
    if bars.interval > HOUR:
        return
    # Bars may count from the open or from the full hour: the phase that most bars have is the grid.
    phases, counts = np.unique(bars.ts % bars.interval, return_counts=True)
    phase = int(phases[int(np.argmax(counts))])
    first = -((phase - opens - 1) // bars.interval) * bars.interval + phase
    grids = [
        np.arange(a, b + 1, bars.interval)
        for a, b, some in zip(first.tolist(), closes.tolist(), (begin < end).tolist(), strict=True)
        if some
    ]
    missing = np.setdiff1d(np.concatenate(grids), bars.ts) if grids else np.empty(0, np.int64)
    missing = missing[(missing > bars.ts[0]) & (missing < bars.ts[-1])]
    _add_missing(
        found, missing, "bars are missing inside sessions (no trade, or an outage)", Severity.WARNING
    )


def _find_outside(found: Findings[BarArrays], opens: Ints, closes: Ints, name: str) -> None:
    bars = found.rows
    begun = np.searchsorted(opens, bars.ts, side="left")
    last_close = np.append(np.iinfo(np.int64).min, closes)[begun]
    outside = np.flatnonzero(bars.ts - bars.interval >= last_close)
    message = (
        f"bars outside the sessions of {name} (extended hours): strategies see them, no order fills on one"
    )
    found.add("off_session", Severity.WARNING, outside, message)


def _add_missing(found: Findings[BarArrays], missing: Ints, message: str, severity: Severity) -> None:
    found.add_times("gap", severity, missing, f"{len(missing)} {message}")


def find_jumps(
    found: Findings[BarArrays], sessions: Sessions | None, splits: Sequence[Split], *, price: str = "close"
) -> None:
    """Report closes that jump: unadjusted splits, bad prints that are taken back, and other outliers.

    `price` is what the closes are called.
    """
    bars, limits = found.rows, found.limits
    if len(bars) < 3:
        return
    moves, connected, rows, scales = _large_moves(found, sessions)
    size = np.abs(moves)
    split: list[int] = []
    known: list[int] = []
    back: list[int] = []
    stays: list[int] = []
    for i, deviation in zip(rows.tolist(), scales.tolist(), strict=True):
        if any(bars.ts[i] <= s.ts < bars.ts[i + 1] for s in splits):
            known.append(i)
        elif back and back[-1] == i - 1:
            continue  # the way back of a bad print is not a second finding
        elif _taken_back(moves, connected, i, limits.bad_print_reversion):
            back.append(i)
        elif _split_factor(bars, i, deviation, limits):
            split.append(i)
        elif size[i] > limits.outlier_deviations * deviation:
            stays.append(i)
    usual = dict(zip(rows.tolist(), scales.tolist(), strict=True))

    def moved(row: int) -> str:
        i = row - 1
        # Half the closes around it equal the one before: there is no usual move to compare with.
        by = f"{size[i] / usual[i]:.0f} deviations" if usual[i] else "where prices stand still"
        return f"{price} {bars.close[i]:g} -> {bars.close[row]:g} ({by})"

    def became(row: int) -> str:
        factor = _split_factor(bars, row - 1, np.inf, limits) or 1.0
        ratio = f"{factor:g}:1" if factor > 1 else f"1:{1 / factor:g}"
        return f"{price} {bars.close[row - 1]:g} -> {bars.close[row]:g}: looks like a split of {ratio}"

    def all_of(where: list[int]) -> Ints:
        return np.array(where, np.int64) + 1

    message = "jumps that look like splits which the prices are not adjusted for"
    silent = not bars.volume.any()
    found.add("split", Severity.WARNING if silent else Severity.ERROR, all_of(split), message, became)
    wrong = [i for i in known if contradicted(bars.take(slice(i, i + 2)), splits)]
    known = [i for i in known if i not in wrong]
    found.add(
        "inverted_split", Severity.ERROR, all_of(wrong), "declared splits that went the other way", moved
    )
    found.add("known_split", Severity.INFO, all_of(known), "jumps at known splits (raw prices)", moved)
    found.add("bad_print", Severity.ERROR, all_of(back), "jumps that are taken back at once", moved)
    found.add(
        "outlier",
        Severity.WARNING,
        all_of(stays),
        "unusual jumps that stay (news, or a lasting error)",
        moved,
    )


def _large_moves(found: Findings[BarArrays], sessions: Sessions | None) -> tuple[Floats, Mask, Ints, Floats]:
    """Return all moves, which of them are between neighbours, the large ones, and what is usual around those."""
    bars, limits = found.rows, found.limits
    moves = np.diff(np.log(bars.close))
    longest = max(3 * bars.interval, limits.gap_error)
    if sessions is None or not sessions.always_open:
        longest = max(longest, _LONGEST_WEEKEND)
    connected = np.diff(bars.ts) <= longest
    size = np.abs(moves)
    scale = _NORMAL * float(np.median(size))
    large = connected & (size > limits.smallest_jump) & (size > limits.bad_print_deviations * scale)
    rows = np.flatnonzero(large)
    scales = np.array([max(scale, _local(size, int(i), limits.local_bars)) for i in rows])
    kept = size[rows] > limits.bad_print_deviations * scales
    return moves, connected, rows[kept], scales[kept]


def _local(size: Floats, i: int, width: int) -> float:
    return _NORMAL * float(np.median(size[max(0, i - width // 2) : i + width // 2 + 1]))


def _split_factor(bars: BarArrays, i: int, deviation: float, limits: CheckLimits) -> float | None:
    """Return new shares per old share if the step after row `i` looks like a split."""
    before = bars.close[i]
    tolerance = max(limits.split_tolerance, limits.split_deviations * min(deviation, 0.1))
    for after in (bars.open[i + 1], bars.close[i + 1]):
        fall = float(np.log(before / after))
        whole = min(_SPLITS, key=lambda n: abs(abs(fall) - np.log(n)))
        if abs(abs(fall) - np.log(whole)) <= tolerance:
            factor = whole if fall > 0 else 1 / whole
            if _volume_agrees(bars, i, factor, limits):
                return factor
    return None


def _volume_agrees(bars: BarArrays, i: int, factor: float, limits: CheckLimits) -> bool:
    # On news the volume is ten times the usual one; on a split it is the usual one in new shares.
    usual = float(np.median(bars.volume[max(0, i + 1 - limits.volume_bars) : i + 1]))
    if usual <= 0:
        return True
    change = float(bars.volume[i + 1]) / (usual * factor)
    return 1 / limits.split_volume <= change <= limits.split_volume


def _taken_back(moves: Floats, connected: Mask, i: int, fraction: float) -> bool:
    if i + 1 >= len(moves) or not connected[i + 1]:
        return False
    left = abs(moves[i] + moves[i + 1])
    return bool(left <= (1 - fraction) * abs(moves[i]))


def find_wicks(found: Findings[BarArrays]) -> None:
    """Report highs and lows far away from open and close of their bar."""
    bars, limits = found.rows, found.limits
    if len(bars) < 3:
        return
    up = np.log(bars.high / np.maximum(bars.open, bars.close))
    down = np.log(np.minimum(bars.open, bars.close) / bars.low)
    wick = np.maximum(up, down)
    size = np.abs(np.diff(np.log(bars.close), prepend=np.log(bars.close[0])))
    scale = _NORMAL * float(np.median(size[1:]))
    far = np.flatnonzero((wick > limits.smallest_jump) & (wick > limits.wick_deviations * scale))
    # The first bar of a listing has no earlier price that its range could contradict.
    far = far[far > 0]
    local = np.array([_local(size, int(i), limits.local_bars) for i in far])
    far = far[wick[far] > limits.wick_deviations * local]

    def shown(i: int) -> str:
        side, price = ("high", bars.high[i]) if up[i] > down[i] else ("low", bars.low[i])
        return f"{side} {price:g}, open {bars.open[i]:g}, close {bars.close[i]:g}"

    absurd = wick[far] > limits.wick_error
    found.add("bad_wick", Severity.ERROR, far[absurd], "highs or lows that no trading explains", shown)
    found.add("wick", Severity.WARNING, far[~absurd], "highs or lows far away from open and close", shown)


def find_stale(found: Findings[BarArrays]) -> None:
    """Report runs of equal bars: copies (volume equal too), and prices that stand still."""
    bars, limits = found.rows, found.limits
    same = np.ones(max(len(bars) - 1, 0), bool)
    for name in ("open", "high", "low", "close"):
        values = getattr(bars, name)
        same &= values[1:] == values[:-1]
    moving = bars.high[1:] > bars.low[1:]
    copied = same & (bars.volume[1:] == bars.volume[:-1]) & (moving | (bars.volume[1:] > 0))
    for kind, severity, repeated, least, message in (
        ("stale", Severity.ERROR, copied, limits.stale_bars, "runs of bars equal in prices and volume"),
        ("flat", Severity.WARNING, same & ~copied, limits.flat_bars, "long runs of bars with equal prices"),
    ):
        starts, lengths = runs_of(repeated)
        long = lengths + 1 >= least
        length = dict(zip(starts[long].tolist(), (lengths[long] + 1).tolist(), strict=True))
        found.add(kind, severity, starts[long], message, lambda i, n=length: f"{n[i]} bars")  # type: ignore[misc]


def runs_of(flags: Mask) -> tuple[Ints, Ints]:
    """Return (starts, lengths) of the runs of True."""
    edges = np.diff(np.concatenate([[0], flags.astype(np.int8), [0]]))
    starts = np.flatnonzero(edges == 1)
    return starts, np.flatnonzero(edges == -1) - starts


def find_zero_volume(found: Findings[BarArrays]) -> None:
    """Report bars without volume: all of them (no volume known), or some."""
    none = np.flatnonzero(found.rows.volume == 0)
    if len(none) == len(found.rows):
        found.add("no_volume", Severity.INFO, none, "the series has no volume")
        return
    found.add("zero_volume", Severity.WARNING, none, "bars without volume")
