"""Make a market that never was: minute bars and quotes from a seed.

Owns one model and its parameters. Volatility comes in clusters (two log-volatilities that decay
over hours and over days) and follows the time of day; moves are normal with rare larger ones;
volume rises with volatility and with the size of the move; the spread widens with volatility;
prices lie on the tick grid. Everything made here is labelled SYNTHETIC.

Not modelled: order flow, depth beyond the best price, impact, what happens while an exchange is
closed, any predictability. A strategy that earns money here has found nothing but luck.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import accumulate

import numpy as np

from tradebot.core.model import ALWAYS_OPEN, DAY, MINUTE, SECOND
from tradebot.data.arrays import BarArrays, Floats, Ints, QuoteArrays
from tradebot.data.calendars import Sessions, sessions
from tradebot.data.series import SYNTHETIC, Provenance
from tradebot.errors import UsageError

PROVENANCE = Provenance(source="tradebot.data.synthetic", licence="Apache-2.0", label=SYNTHETIC)

_MINUTES_A_YEAR = 365 * 24 * 60
_BUSIEST = 15 / 24  # of the UTC day, in a market that never closes


@dataclass(frozen=True, slots=True, kw_only=True)
class Market:
    """The parameters of a synthetic market.

    `volatility` is annual, of 365 days of trading around the clock. `slow` and `fast` are (deviation,
    half-life in hours) of the two log-volatilities. A `jump_share` of steps is `jump_size` times
    larger. `volume` is the mean per minute in units of the base asset, in multiples of `lot`. The spread
    is `spread_ticks`, or `spread_deviations` of a log return over one second, if that is wider.
    `tick` and `lot` must be one over a whole number. `steps` are simulated per minute.
    """

    instrument: str = "SYN/USD"
    price: float = 100.0
    tick: float = 0.01
    lot: float = 0.001
    volatility: float = 0.6
    slow: tuple[float, float] = (0.45, 72.0)
    fast: tuple[float, float] = (0.35, 1.5)
    jump_share: float = 0.002
    jump_size: float = 4.0
    volume: float = 40.0
    spread_ticks: float = 1.0
    spread_deviations: float = 3.0
    steps: int = 6

    def __post_init__(self) -> None:
        if self.steps < 2 or 60 % self.steps:
            raise UsageError(f"steps must be 2 to 60 and divide 60, was {self.steps}")
        for name in ("tick", "lot"):
            inverse = 1 / getattr(self, name)
            if abs(inverse - round(inverse)) > 1e-6 * inverse:
                raise UsageError(f"{name} must be one over a whole number, was {getattr(self, name)}")


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class PricePath:
    """A simulated path: `mid` at each step's `ts` (ns UTC, ends of steps).

    `deviation` is that of a log return over one minute, per minute; `busy` how busy each minute is
    (mean square 1 over a day).
    """

    market: Market
    seed: int
    ts: Ints
    mid: Floats
    deviation: Floats
    busy: Floats


def simulate(
    market: Market, *, seed: int, start: int, minutes: int, calendar: Sessions | None = None
) -> PricePath:
    """Return `minutes` trading minutes of a market from `start` (ns UTC) on.

    `calendar` says when it trades (None: always). Equal arguments give equal prices, up to the last
    bit of exp() on another processor, which the tick grid hides.
    """
    calendar = calendar or sessions(ALWAYS_OPEN)
    opens, busy = _trading_minutes(calendar, start, minutes)
    rng = _stream(seed, 0)
    # Mean square of exp(normal(0, s)) is exp(2 s^2): taking s^2 off keeps the annual volatility.
    cluster = -(market.slow[0] ** 2) - market.fast[0] ** 2
    clusters = cluster + _decaying(rng, minutes, *market.slow) + _decaying(rng, minutes, *market.fast)
    deviation = market.volatility / np.sqrt(_MINUTES_A_YEAR) * busy * np.exp(clusters)
    moves = rng.standard_normal((minutes, market.steps))
    moves[rng.random((minutes, market.steps)) < market.jump_share] *= market.jump_size
    moves *= (deviation / np.sqrt(market.steps))[:, None]
    step = MINUTE // market.steps
    return PricePath(
        market=market,
        seed=seed,
        ts=(opens[:, None] + step * np.arange(1, market.steps + 1, dtype=np.int64)).ravel(),
        mid=market.price * np.exp(np.cumsum(moves)),
        deviation=deviation,
        busy=busy,
    )


def minute_bars(path: PricePath) -> BarArrays:
    """Return the path's minute bars, on the tick grid; every bar opens where the last one closed."""
    market = path.market
    prices = _on_grid(path.mid, market.tick).reshape(-1, market.steps)
    close = prices[:, -1]
    open_ = np.concatenate([_on_grid(np.array([market.price]), market.tick), close[:-1]])
    rng = _stream(path.seed, 1)
    move = np.abs(np.log(close / open_)) / path.deviation
    usual = path.deviation / path.deviation.mean()
    noise = np.exp(0.5 * rng.standard_normal(len(close)))
    volume = path.busy**2 * usual**0.8 * (0.5 + 0.6 * move) * noise
    volume *= market.volume / volume.mean()
    return BarArrays(
        instrument=market.instrument,
        interval=MINUTE,
        ts=path.ts[market.steps - 1 :: market.steps],
        open=open_,
        high=np.maximum(open_, prices.max(axis=1)),
        low=np.minimum(open_, prices.min(axis=1)),
        close=close,
        volume=np.maximum(_on_grid(volume, market.lot), market.lot),
    )


def quotes(path: PricePath, start: int | None = None, end: int | None = None) -> QuoteArrays:
    """Return the best bid and ask within start <= ts < end, one row per change of a price.

    Changes come at random milliseconds inside the step that they belong to.
    """
    market = path.market
    rng = _stream(path.seed, 2)
    step = MINUTE // market.steps
    early = rng.integers(0, step // 1_000_000, len(path.ts)) * 1_000_000
    sizes = np.exp(rng.standard_normal((2, len(path.ts)))) * market.volume / 8
    second = np.repeat(path.deviation, market.steps) / np.sqrt(MINUTE // SECOND)
    half = np.maximum(market.spread_ticks * market.tick, market.spread_deviations * second * path.mid) / 2
    per = round(1 / market.tick)
    bid = np.floor((path.mid - half) * per + 0.5)
    ask = np.maximum(np.ceil((path.mid + half) * per - 0.5), bid + 1)
    ts = path.ts - early
    changed = np.ones(len(ts), bool)
    changed[1:] = (np.diff(bid) != 0) | (np.diff(ask) != 0)
    lots = np.maximum(_on_grid(sizes, market.lot), market.lot)
    return QuoteArrays(
        instrument=market.instrument,
        ts=ts[changed],
        bid=bid[changed] / per,
        bid_qty=lots[0][changed],
        ask=ask[changed] / per,
        ask_qty=lots[1][changed],
    ).between(start, end)


def _stream(seed: int, number: int) -> np.random.Generator:
    # One stream per purpose: asking for quotes must not change the bars.
    return np.random.Generator(np.random.PCG64(np.random.SeedSequence([seed, number])))


def _decaying(rng: np.random.Generator, count: int, deviation: float, half_life: float) -> Floats:
    """Return a normal process of this stationary deviation that forgets half in `half_life` hours."""
    keep = 0.5 ** (1 / (60 * half_life))
    shocks = rng.standard_normal(count) * deviation * np.sqrt(1 - keep**2)
    shocks[0] = deviation * rng.standard_normal()
    return np.fromiter(accumulate(shocks.tolist(), lambda h, e: keep * h + e), np.float64, count)


def _trading_minutes(calendar: Sessions, start: int, minutes: int) -> tuple[Ints, Floats]:
    """Return the opens of `minutes` trading minutes and how busy each one is."""
    if start % MINUTE or minutes < 1:
        raise UsageError(f"a synthetic market has at least 1 minute and starts at a full one, was {start} ns")
    if calendar.always_open:
        opens = start + MINUTE * np.arange(minutes, dtype=np.int64)
        wave = 1 + 0.35 * np.cos(2 * np.pi * (opens % DAY / DAY - _BUSIEST))
        return opens, wave / np.sqrt(1 + 0.35**2 / 2)
    # Sessions have at least three hours; twice as many days cover weekends and holidays.
    first, last = calendar.between(start, start + (minutes // 180 + 10) * 2 * DAY)
    days = [np.arange(max(a, start), b, MINUTE) for a, b in zip(first.tolist(), last.tolist(), strict=True)]
    place = np.concatenate([(day - a) / (b - a) for day, a, b in zip(days, first, last, strict=True)])
    opens = np.concatenate(days)[:minutes]
    busy = 0.7 + 1.3 * (2 * place[:minutes] - 1) ** 2
    return opens, busy / np.sqrt(np.mean(busy**2))


def _on_grid(values: Floats, step: float) -> Floats:
    # Dividing by a whole number gives the float nearest to the decimal; multiplying by 0.01 does not.
    per = round(1 / step)
    return np.round(values * per) / per
