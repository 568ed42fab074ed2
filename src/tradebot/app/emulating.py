"""Put an emulated venue together from what a command asks for, and serve it until told to end.

Owns which instruments, money and market it has. Faces and faults are `emulators`'.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from decimal import Decimal

from tradebot.core.model import DAY, MINUTE, AssetClass, Bar, Instrument, Quote
from tradebot.data.synthetic import Market
from tradebot.emulators.alpaca.face import AlpacaFace, alpaca_house
from tradebot.emulators.binance.face import BinanceFace, binance_house
from tradebot.emulators.clock import VenueClock
from tradebot.emulators.player import in_order, made_up, made_up_past, play
from tradebot.emulators.serving import Face, Served, serve
from tradebot.errors import UsageError

_PAST = 400  # days of a made-up past, where the venue is asked for one
_OTHERS = 1_000_000  # what parts the seeds of the past from those of what follows
_DAYS = 7  # of a made-up market; then it stands still


@dataclass(frozen=True, slots=True, kw_only=True)
class Wishes:
    """What an emulated venue is to be. `prices` maps instruments to where their market begins.

    `is_still`: nothing moves but by the admin port. `seconds`: how long to serve; None: until interrupted.
    """

    prices: Mapping[str, float]
    cash: Mapping[str, Decimal]
    key: str
    secret: str
    port: int = 0
    admin_port: int = 0
    speed: float = 1.0
    seed: int = 1
    is_still: bool = False
    seconds: float | None = None


def binance(wishes: Wishes) -> BinanceFace:
    """Return an emulated Binance. Raises UsageError for what is no market of an exchange."""
    coins = {name: _coin(name) for name in wishes.prices}
    clock = VenueClock(speed=wishes.speed)
    return BinanceFace(binance_house(coins, wishes.cash, clock), {wishes.key: wishes.secret})


def alpaca(wishes: Wishes, *, ghost_s: float = 90.0) -> AlpacaFace:
    """Return an emulated Alpaca whose markets have a past; a lost connection keeps its place for `ghost_s`."""
    clock = VenueClock(speed=wishes.speed)
    house = alpaca_house(wishes.prices, wishes.cash, clock)
    face = AlpacaFace(house, {wishes.key: wishes.secret}, ghost_s=ghost_s)
    for number, (name, price) in enumerate(wishes.prices.items()):
        calendar = face.house.instruments[name].calendar
        market = Market(instrument=name, price=price)
        seed = wishes.seed + _OTHERS + number
        face.market.remember(made_up_past(market, seed=seed, end=clock.now(), days=_PAST, calendar=calendar))
    return face


async def serve_until_told(face: Face, wishes: Wishes, told: Callable[[Served], None]) -> None:
    """Serve a venue and move its market; `told` hears where it is."""
    now = face.house.clock.now()
    for name, price in wishes.prices.items():
        face.house.move(Quote(name, now, price, 10.0, price * 1.0001, 10.0))
    async with serve(face, port=wishes.port, admin_port=wishes.admin_port) as served:
        told(served)
        playing = asyncio.ensure_future(play(face.house, () if wishes.is_still else _market(wishes, now)))
        try:
            with suppress(TimeoutError):
                async with asyncio.timeout(wishes.seconds):
                    await playing
                    await asyncio.Event().wait()
        finally:
            playing.cancel()


def _market(wishes: Wishes, now: int) -> Iterator[Bar | Quote]:
    made: Sequence[Iterator[Bar | Quote]] = [
        made_up(
            Market(instrument=name, price=price),
            seed=wishes.seed + number,
            start=now,
            minutes=_DAYS * (DAY // MINUTE),
        )
        for number, (name, price) in enumerate(wishes.prices.items())
    ]
    return in_order(made)


def _coin(name: str) -> Instrument:
    base, slash, quote = name.partition("/")
    if not (base and slash and quote):
        raise UsageError(f"a market of an exchange is BASE/QUOTE, such as BTC/USDT, was {name!r}")
    return Instrument(
        id=name,
        base=base,
        quote=quote,
        asset_class=AssetClass.CRYPTO,
        tick_size=Decimal("0.01"),
        lot_size=Decimal("0.00001"),
        min_qty=Decimal("0.00001"),
        min_notional=Decimal(5),
        shortable=False,
    )
