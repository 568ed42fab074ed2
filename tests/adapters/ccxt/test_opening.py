"""Opening a place from the configuration's words, and what is refused before anything is sent."""

from __future__ import annotations

from typing import Any

import pytest

from tests.adapters.ccxt.rows import make_order
from tests.emulators.binance.exchanges import KEY, SECRET, make_face, make_pair
from tradebot.adapters.ccxt.capability import describe
from tradebot.adapters.ccxt.library import open_exchange
from tradebot.adapters.ccxt.opening import open_feed, open_venue
from tradebot.core.messages import VenueRefused
from tradebot.core.ports import Connection, Feed, LiveVenue
from tradebot.emulators.serving import serve
from tradebot.errors import ConfigError, PermissionRefused, UsageError

COINS = {"BTC/USDT": make_pair()}
PHRASE = "sparrowpassphrase"


def connection(place: str = "binance", **terms: Any) -> Connection:
    return Connection(
        **{"place": place, "account": "main", "mode": "live", "key": KEY, "secret": SECRET, **terms}
    )


async def test_a_venue_and_a_feed_are_opened_and_connect_when_they_are_asked() -> None:
    face = make_face()
    async with serve(face) as served:
        feed: Feed = open_feed(connection(url=served.url))
        assert not face.wire.requests
        found = await feed.instruments(["BTC/USDT"])
        venue: LiveVenue = open_venue(connection(url=served.url), found)
        await venue.offset()

        assert found == COINS
        assert (await venue.snapshot(0)).cash["USDT"] == 100_000
        await venue.close()
        await feed.close()


async def test_an_order_before_the_markets_are_known_is_not_sent_when_they_cannot_be() -> None:
    venue = open_venue(connection(url="http://127.0.0.1:9"), COINS)

    report = await venue.submit(make_order("market"))

    assert isinstance(report, VenueRefused)
    assert report.reason.startswith("not sent")
    await venue.close()


async def test_keys_of_another_account_or_that_may_withdraw_are_refused_before_anything_is_done() -> None:
    face = make_face()
    async with serve(face) as served:
        for terms, may_withdraw, said in (
            ({"account_id": "12"}, False, "must be those of account 12 at binance, they are of 354937868"),
            ({}, True, "must not be able to withdraw"),
        ):
            face.access.may_withdraw = may_withdraw
            venue = open_venue(connection(url=served.url, **terms), COINS)
            await venue.offset()
            with pytest.raises(PermissionRefused, match=said):
                await venue.snapshot(0)
            await venue.close()
        face.access.may_withdraw = True
        for terms in ({"mode": "paper", "account_id": "354937868"},):
            venue = open_venue(connection(url=served.url, **terms), COINS)
            await venue.offset()
            assert (await venue.snapshot(0)).cash
            await venue.close()


@pytest.mark.parametrize(
    "url", ["https://api.binance.com", "http://10.0.0.1:80", "http://127.0.0.1", "ftp://127.0.0.1:1"]
)
def test_an_address_that_is_not_on_this_machine_is_refused(url: str) -> None:
    with pytest.raises(UsageError, match="emulator on this machine"):
        open_feed(connection(url=url))


def test_keys_are_needed_to_trade_and_not_to_watch() -> None:
    assert open_feed(connection(key="", secret="")).name == "binance"
    with pytest.raises(PermissionRefused, match="needs keys"):
        open_venue(connection(key="", secret=""), COINS)


def test_paper_mode_is_the_exchanges_own_test_system_or_none() -> None:
    venue = open_venue(connection(mode="paper"), COINS)
    assert "testnet" in venue._exchange.raw.urls["api"]["private"]
    with pytest.raises(ConfigError, match="has no test system for paper mode"):
        open_venue(connection("kraken", mode="paper"), COINS)


def test_an_exchange_without_what_trading_needs_is_refused_by_name() -> None:
    with pytest.raises(
        ConfigError, match="krakenfutures: venue: cannot be used: ccxt gives it no spot markets"
    ):
        open_venue(connection("krakenfutures"), COINS)
    with pytest.raises(ConfigError, match="did you mean binance"):
        open_feed(connection("binanse"))


def test_keys_are_not_shown() -> None:
    words = repr(connection(passphrase=PHRASE))

    assert KEY not in words
    assert SECRET not in words
    assert PHRASE not in words


@pytest.mark.parametrize("place", ["okx", "kucoin", "bitget", "coinbaseexchange"])
def test_an_exchange_with_passphrases_is_signed_to_with_one_and_refused_without(place: str) -> None:
    with pytest.raises(PermissionRefused, match=f"keys of {place} come with a passphrase"):
        open_venue(connection(place), COINS)

    venue = open_venue(connection(place, passphrase=PHRASE), COINS)
    assert venue._exchange.raw.password == PHRASE
    assert PHRASE not in repr(venue._exchange)


def test_the_passphrase_goes_to_the_exchange_and_nowhere_else() -> None:
    venue = open_venue(connection("okx", passphrase=PHRASE), COINS)
    signed = venue._exchange.raw.sign("account/balance", ["private"])

    assert signed["headers"]["OK-ACCESS-PASSPHRASE"] == PHRASE
    assert PHRASE not in signed["url"]


def test_an_exchange_that_signs_with_a_wallet_is_refused() -> None:
    with pytest.raises(ConfigError, match="signs with privateKey, walletAddress"):
        open_venue(connection("hyperliquid"), COINS)


def test_every_exchange_can_be_described() -> None:
    import ccxt.pro

    for name in ccxt.pro.exchanges:
        found = describe(open_exchange(name))
        assert found.facts
        assert found.not_done
