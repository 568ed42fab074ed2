"""Bars of the past from an emulated Binance into the catalogue, through the real ccxt."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from tests.emulators.binance.exchanges import T0, bar, make_face, opened
from tradebot.adapters.ccxt.feed import CcxtFeed
from tradebot.app import download as module
from tradebot.app.download import Wanted, download
from tradebot.core.model import MINUTE
from tradebot.data.catalogue import Catalogue
from tradebot.emulators.faults import Fault, FaultKind
from tradebot.emulators.serving import serve
from tradebot.errors import ConfigError, VenueUnreachable

BTC = "BTC/USDT"
HOURS = 5


class Place:
    def __init__(self, face: Any, feed: CcxtFeed, catalogue: Catalogue) -> None:
        self.face, self.feed, self.catalogue = face, feed, catalogue
        self.pauses: list[float] = []

    async def fetch(self, first: int, last: int, *names: str) -> Any:
        wanted = Wanted(
            names=names or (BTC,), interval=MINUTE, since=T0 + first * MINUTE, until=T0 + last * MINUTE
        )
        return await download(self.feed, self.catalogue, wanted, lambda what, done: None, self.wait)

    async def wait(self, seconds: float) -> None:
        self.pauses.append(seconds)

    def asked(self) -> int:
        return sum(1 for r in self.face.wire.requests if r.path == "/api/v3/klines")

    def stored(self) -> list[int]:
        return [(ts - T0) // MINUTE for ts in self.catalogue.bars(BTC, MINUTE).ts.tolist()]


@pytest.fixture
async def place(tmp_path: Path) -> AsyncIterator[Place]:
    face = make_face()
    for n in range(1, HOURS * 60 + 1):
        for name in (BTC, "ETH/USDT"):
            face.house.move(bar(100.0 + n, ts=T0 + n * MINUTE, instrument=name))
    async with serve(face) as served:
        feed = CcxtFeed(await opened(served))
        yield Place(face, feed, Catalogue(tmp_path))
        await feed.close()


async def test_what_was_asked_for_is_stored_with_its_instrument(place: Place) -> None:
    (result,) = await place.fetch(0, 200)

    assert place.stored() == list(range(1, 201))
    assert (result.added, result.info.provenance.source) == (200, "binance")
    assert place.catalogue.instrument(BTC).min_notional == 5


async def test_a_second_call_asks_for_what_is_missing_only(place: Place) -> None:
    await place.fetch(50, 100)
    asked = place.asked()

    (same,) = await place.fetch(50, 100)
    assert (same.added, place.asked()) == (0, asked)

    (more,) = await place.fetch(0, 150)
    assert more.added == 100
    assert place.stored() == list(range(1, 151))


async def test_an_interrupted_download_keeps_what_came(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "STRETCH", 60)
    fault = Fault(route="GET /api/v3/klines", kind=FaultKind.STATUS, status=502, skip=2, times=5)
    place.face.wire.faults.add(fault)

    with pytest.raises(VenueUnreachable):
        await place.fetch(0, 300)

    assert place.pauses == [1.0, 5.0, 15.0, 60.0]
    kept = place.stored()
    assert kept == list(range(1, len(kept) + 1))
    assert 60 <= len(kept) < 300
    await place.fetch(0, 300)
    assert place.stored() == list(range(1, 301))


async def test_an_answer_that_did_not_come_is_asked_for_again(place: Place) -> None:
    place.face.wire.faults.add(Fault(route="GET /api/v3/klines", kind=FaultKind.STATUS, status=502, times=2))

    await place.fetch(0, 100)

    assert place.pauses == [1.0, 5.0]
    assert place.stored() == list(range(1, 101))


async def test_a_bar_that_forms_is_not_stored(place: Place) -> None:
    await place.feed.offset()

    await place.fetch(0, 10 * HOURS * 60)

    assert place.stored() == list(range(1, HOURS * 60 + 1))


async def test_several_instruments_come_in_one_call_and_unknown_ones_are_named(place: Place) -> None:
    results = await place.fetch(0, 100, BTC, "ETH/USDT")
    assert [(r.instrument, r.added) for r in results] == [(BTC, 100), ("ETH/USDT", 100)]

    with pytest.raises(ConfigError, match="DOGE/USDT"):
        await place.fetch(0, 100, "DOGE/USDT")
