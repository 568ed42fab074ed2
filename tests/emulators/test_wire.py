"""Faults on HTTP answers and on sockets, and the admin port, over real sockets."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest

from tests.emulators.houses import T0, PlainFace, bar, make_house, make_order, quote
from tradebot.core.model import MINUTE, SECOND
from tradebot.core.ports import Standing
from tradebot.data.synthetic import Market
from tradebot.emulators.faults import Fault, FaultKind, fault_of
from tradebot.emulators.player import made_up, play
from tradebot.emulators.serving import Served, serve
from tradebot.emulators.wire import SocketFault
from tradebot.errors import UsageError


class Place:
    """A served face with a client that gives up after a moment."""

    def __init__(self, face: PlainFace, served: Served, client: aiohttp.ClientSession) -> None:
        self.face, self.served, self.client = face, served, client

    async def submit(self, order_id: str, patience: float = 10.0) -> Any:
        words, timeout = {"id": order_id, "side": "buy", "qty": "1"}, aiohttp.ClientTimeout(total=patience)
        async with self.client.post(f"{self.served.url}/orders", json=words, timeout=timeout) as answer:
            return answer.status, await answer.json()

    async def admin(self, method: str, path: str, words: object = None) -> Any:
        async with self.client.request(method, f"{self.served.admin}{path}", json=words) as answer:
            return await answer.json()


@pytest.fixture
async def place() -> AsyncIterator[Place]:
    face = PlainFace(make_house())
    face.house.move(quote(99.0, 100.0))
    async with serve(face) as served, aiohttp.ClientSession() as client:
        yield Place(face, served, client)


BROKEN = (FaultKind.DROP, FaultKind.HANG, FaultKind.TRUNCATE, FaultKind.HTML, FaultKind.STATUS)


@pytest.mark.parametrize("after", [False, True])
@pytest.mark.parametrize("kind", BROKEN)
async def test_a_fault_breaks_the_answer_and_the_venue_has_the_order_or_not(
    place: Place, kind: FaultKind, after: bool
) -> None:
    place.face.wire.faults.add(Fault(route="POST /orders", kind=kind, after=after, status=504))

    with pytest.raises((aiohttp.ClientError, TimeoutError)):
        await place.submit("a", 0.3 if kind is FaultKind.HANG else 10.0)

    state = place.face.house.find("a")
    assert (state is not None) == after
    assert (await place.submit("b"))[1]["standing"] == "filled"


async def test_a_fault_lets_pass_what_it_skips_and_hits_as_often_as_asked(place: Place) -> None:
    place.face.wire.faults.add(
        Fault(route="* /ord*", kind=FaultKind.STATUS, status=429, body='{"a": 1}', skip=1, times=2)
    )

    answers = [await place.submit(name) for name in "abcd"]

    assert [status for status, _ in answers] == [200, 429, 429, 200]
    assert [r.fault for r in place.face.wire.requests] == ["", "status", "status", ""]


async def test_an_answer_can_come_after_its_events(place: Place) -> None:
    place.face.wire.faults.add(Fault(route="POST /orders", kind=FaultKind.DELAY, after=True, seconds=0.1))
    async with place.client.ws_connect(f"{place.served.ws}/events") as socket:
        await _settled(socket)
        answer = asyncio.create_task(place.submit("a"))

        first = await socket.receive_str()

        assert (first, answer.done()) == ("1 VenueAcked 0", False)
        assert (await answer)[0] == 200


async def test_sockets_lose_double_and_turn_round_what_was_asked(place: Place) -> None:
    async with place.client.ws_connect(f"{place.served.ws}/events") as socket:
        await _settled(socket)
        (ours,) = place.face.wire.on("events")

        await ours.suffer(SocketFault.LOSE, count=1)
        await place.submit("a")
        await ours.suffer(SocketFault.REORDER, count=2)
        await place.submit("b")
        await ours.suffer(SocketFault.DUPLICATE, count=1)
        await place.submit("c")

        heard = [await socket.receive_str() for _ in range(6)]
    assert [line.split()[0] for line in heard] == ["2", "4", "3", "5", "5", "6"]


@pytest.mark.parametrize("fault", [SocketFault.MUTE, SocketFault.HALF_OPEN])
async def test_a_mute_socket_says_nothing_until_it_heals(place: Place, fault: SocketFault) -> None:
    async with place.client.ws_connect(f"{place.served.ws}/events") as socket:
        await _settled(socket)
        await place.admin("POST", "/sockets", {"channel": "events", "fault": fault.value})
        await place.submit("a")
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(socket.receive_str(), 0.05)

        await place.admin("POST", "/sockets", {"fault": "heal"})
        await place.submit("b")

        assert (await socket.receive_str()).startswith("3 ")


@pytest.mark.parametrize(
    ("words", "closed"), [({"fault": "drop"}, 1006), ({"fault": "close", "code": 1012}, 1012)]
)
async def test_a_socket_ends_as_asked(place: Place, words: dict[str, Any], closed: int) -> None:
    async with place.client.ws_connect(f"{place.served.ws}/events") as socket:
        await _settled(socket)

        await place.admin("POST", "/sockets", words)

        await socket.receive()
        assert socket.close_code == closed


async def test_the_owner_trades_and_moves_money_by_the_admin_port(place: Place) -> None:
    await place.admin("POST", "/orders", {"instrument": "SPY", "side": "buy", "qty": "2"})
    await place.admin("POST", "/transfers", {"asset": "USD", "amount": "-50", "because": "withdrawal"})
    await place.admin("POST", "/transfers", {"asset": "USD", "amount": "-1"})
    await place.admin("POST", "/market", {"quotes": [{"instrument": "SPY", "bid": 1, "ask": 2}]})

    state = await place.admin("GET", "/state")

    assert (float(state["cash"]["USD"]), float(state["positions"]["SPY"])) == (99_749.0, 2.0)
    assert [order["standing"] for order in state["orders"]] == ["filled"]


async def test_a_wrong_word_on_the_admin_port_is_answered_not_raised(place: Place) -> None:
    assert "error" in await place.admin("POST", "/faults", {"route": "*", "kind": "explode"})
    assert "error" in await place.admin("POST", "/orders", {"instrument": "SPY", "side": "buy", "qty": 0.5})
    assert "error" in await place.admin("POST", "/market", [1])


def test_a_fault_names_what_it_knows() -> None:
    with pytest.raises(UsageError, match="kind must be one of delay, drop, hang, status, truncate, html"):
        fault_of({"route": "*", "kind": "explode"})


async def test_a_market_plays_itself() -> None:
    house = make_house()
    seen: list[int] = []
    house.watch(lambda item: seen.append(item.ts))

    count = await play(house, [bar(1.0, ts=T0 + MINUTE), bar(2.0, ts=T0 + 2 * MINUTE)])

    assert (count, seen, house.clock.now()) == (2, [T0 + MINUTE, T0 + 2 * MINUTE], T0 + 2 * MINUTE)


async def test_a_synthetic_market_moves_orders(place: Place) -> None:
    items = made_up(Market(instrument="BTC/USD"), seed=1, start=T0, minutes=3)
    house = make_house()
    house.submit(make_order("a", "buy", "0.01", instrument="BTC/USD"))
    await play(house, items)

    state = house.find("a")
    assert state is not None
    assert state.standing is Standing.FILLED
    assert house.clock.now() >= T0 + 3 * MINUTE - SECOND


async def _settled(socket: aiohttp.ClientWebSocketResponse) -> None:
    await socket.send_str("hello")
    assert (await socket.receive_str()).startswith("echo")
