"""The control socket: who may ask, what is refused, and that nothing sent to it ends the loop."""

import asyncio
import json
import os
import random
import socket
import stat
from collections.abc import AsyncIterator
from dataclasses import fields
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from tests.core.world import START
from tests.daemon.desk import Desk, opened_desk
from tradebot.core import facts as f
from tradebot.core.model import Order, OrderKind, Side
from tradebot.core.scope import EVERYTHING, HaltKey, HaltLevel
from tradebot.core.setup import Limits
from tradebot.daemon import control_state
from tradebot.daemon.control import Bounds, ControlServer
from tradebot.daemon.control_verbs import Control
from tradebot.daemon.halts import Halt, HaltFlag
from tradebot.errors import StoreError

FAST = Bounds(ask_within=0.3, answer_within=5.0)


class Wire:
    """Sends raw bytes to a socket and reads what comes back."""

    def __init__(self, path: Path) -> None:
        self.path = path

    async def raw(self, data: bytes) -> bytes:
        reader, writer = await asyncio.open_unix_connection(str(self.path))
        try:
            writer.write(data)
            await writer.drain()
            return await reader.read()
        except (ConnectionResetError, BrokenPipeError):
            return b""
        finally:
            writer.close()

    async def ask(self, method: str, verb: str, body: Any = None, key: str = "") -> tuple[int, Any]:
        text = b"" if body is None else json.dumps(body).encode()
        head = f"{method} /v1/{verb} HTTP/1.1\r\nHost: x\r\nContent-Length: {len(text)}\r\n"
        head += f"Idempotency-Key: {key}\r\n" if key else ""
        answer = await self.raw(head.encode() + b"\r\n" + text)
        first, _, rest = answer.partition(b"\r\n")
        return int(first.split()[1]), json.loads(rest.partition(b"\r\n\r\n")[2])

    async def post(self, verb: str, **body: Any) -> Any:
        status, answer = await self.ask("POST", verb, body, key=f"key-{random.getrandbits(64):x}-key")
        assert status == 200, answer
        return answer


@pytest_asyncio.fixture
async def desk(tmp_path: Path) -> AsyncIterator[Desk]:
    async with opened_desk(tmp_path) as found:
        yield found


@pytest_asyncio.fixture
async def wire(desk: Desk, tmp_path: Path) -> AsyncIterator[Wire]:
    async with ControlServer(tmp_path / "c.sock", Control(desk.daemon).answer, bounds=FAST) as server:
        yield Wire(server.path)


async def test_socket_is_born_private_and_goes_with_the_server(desk: Desk, tmp_path: Path) -> None:
    path = tmp_path / "c.sock"
    path.write_text("what a killed daemon left")
    async with ControlServer(path, Control(desk.daemon).answer):
        assert stat.S_ISSOCK(path.stat().st_mode)
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert not path.exists()


async def test_socket_works_at_a_path_longer_than_the_kernel_takes(desk: Desk, tmp_path: Path) -> None:
    folder = tmp_path / ("x" * 120)
    folder.mkdir()
    async with ControlServer(folder / "c.sock", Control(desk.daemon).answer):
        assert (folder / "c.sock").exists()


async def test_another_user_is_turned_away_by_the_kernels_word(desk: Desk, tmp_path: Path) -> None:
    stranger = frozenset({os.geteuid() + 1})
    async with ControlServer(tmp_path / "c.sock", Control(desk.daemon).answer, allowed=stranger) as server:
        status, answer = await Wire(server.path).ask("GET", "status")
    assert status == 403
    assert answer["error"]["exit_code"] == 77


async def test_status_says_mode_phase_and_schema(wire: Wire) -> None:
    status, answer = await wire.ask("GET", "status")

    assert status == 200
    assert (answer["schema_version"], answer["mode"], answer["ready"]) == (1, "paper", True)
    [account] = answer["accounts"]
    assert (account["name"], account["phase"], account["engine_answers"]) == ("main", "ready", True)
    assert account["engine"]["equity"] == 10_000.0


@pytest.mark.parametrize(
    ("method", "verb", "body", "status", "told"),
    [
        ("GET", "nothing", None, 404, "no such verb"),
        ("GET", "halt", None, 405, "halt is not asked by GET"),
        ("POST", "status", {}, 405, "status is not asked by POST"),
        ("POST", "halt", {"levle": 1}, 400, "unknown field 'levle'"),
        ("POST", "halt", {"level": 4}, 400, "level must be 1, 2 or 3, was 4"),
        ("POST", "halt", {"level": True}, 400, "level must be int, was bool"),
        ("POST", "halt", {"reason": 1}, 400, "reason must be str, was int"),
        ("POST", "halt", {"reason": "two\nlines"}, 400, "must be a line of at most 500 characters"),
        ("POST", "halt", {"reason": "x" * 501}, 400, "must be a line of at most 500 characters"),
        ("POST", "halt", {"strategy": "none"}, 400, "no strategy 'none'; there are a, b"),
        ("POST", "halt", {"instrument": "NONE"}, 400, "no symbol 'NONE'"),
        ("POST", "halt", {"account": "none"}, 400, "no account 'none'; there are main"),
        ("POST", "halt", [1], 400, "must be a JSON object, was a list"),
    ],
)
async def test_requests_that_do_not_fit_are_told_why(
    wire: Wire, desk: Desk, method: str, verb: str, body: Any, status: int, told: str
) -> None:
    answered, answer = await wire.ask(method, verb, body, key="a-key-of-its-own")

    assert answered == status
    assert told in answer["error"]["message"]
    assert not desk.halts.all


async def test_changing_anything_needs_a_key(wire: Wire) -> None:
    status, answer = await wire.ask("POST", "halt", {})
    assert (status, answer["error"]["kind"]) == (400, "UsageError")


async def test_a_repeated_request_is_done_once(wire: Wire, desk: Desk) -> None:
    first = await wire.ask("POST", "pause", {"reason": "once"}, key="same-key-1")
    await wire.post("resume")
    again = await wire.ask("POST", "pause", {"reason": "once"}, key="same-key-1")
    other = await wire.ask("POST", "pause", {"reason": "twice"}, key="same-key-1")

    assert first == again
    assert not desk.halts.all
    assert other[0] == 409


async def test_a_halt_that_the_disk_does_not_take_holds_and_is_booked(
    wire: Wire, desk: Desk, tmp_path: Path
) -> None:
    (tmp_path / ".halt.new").mkdir()  # where its file would be written first

    answer = await wire.post("halt", reason="full disk")

    assert answer["engine_answers"]
    assert desk.halts.everything is not None
    assert [r.fact.reason for r in desk.kept if isinstance(r.fact, f.HaltSet)] == ["full disk"]
    with pytest.raises(
        StoreError, match=r"halt: a halt must be written to outlast this process, could not be: Is a"
    ):
        desk.halts.set(desk.halts.everything)


async def test_a_socket_that_somebody_removed_is_there_again(desk: Desk, tmp_path: Path) -> None:
    path = tmp_path / "c.sock"
    bounds = Bounds(look_every=0.01)
    async with ControlServer(path, Control(desk.daemon).answer, bounds=bounds):
        path.unlink()
        async with asyncio.timeout(10.0):
            while not path.exists():
                await asyncio.sleep(0.01)
        assert (await Wire(path).ask("GET", "status"))[0] == 200
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert not path.exists()


async def test_a_body_too_large_is_refused_and_others_are_served(wire: Wire) -> None:
    status, answer = await wire.ask("POST", "halt", {"reason": "x" * 20_000}, key="a-key-of-its-own")
    assert (status, "at most 16384 bytes" in answer["error"]["message"]) == (400, True)
    assert (await wire.ask("GET", "status"))[0] == 200


async def test_who_connects_and_says_nothing_is_cut_off(wire: Wire) -> None:
    assert await wire.raw(b"GET /v1/sta") == b""


async def test_the_seventeenth_client_is_told_to_come_back(wire: Wire) -> None:
    idle = [socket.socket(socket.AF_UNIX) for _ in range(16)]
    for one in idle:
        one.connect(str(wire.path))
    await asyncio.sleep(0.05)
    try:
        status, answer = await wire.ask("GET", "status")
        assert (status, answer["error"]["exit_code"]) == (503, 75)
    finally:
        for one in idle:
            one.close()
    await asyncio.sleep(0.05)
    assert (await wire.ask("GET", "status"))[0] == 200


async def test_noise_never_ends_it(wire: Wire, desk: Desk, rng: random.Random) -> None:
    good = b"POST /v1/halt HTTP/1.1\r\nHost: x\r\nIdempotency-Key: 12345678\r\nContent-Length: 2\r\n\r\n{}"
    for _ in range(150):
        data = bytearray(good if rng.random() < 0.7 else rng.randbytes(rng.randint(1, 400)))
        for _ in range(rng.randint(1, 8)):
            data[rng.randrange(len(data))] = rng.randrange(256)
        await wire.raw(bytes(data) + b"\r\n\r\n")
    deep = b"[" * 16_000
    await wire.raw(b"POST /v1/halt HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n%s" % (len(deep), deep))

    assert (await wire.ask("GET", "status"))[0] == 200
    assert desk.is_alive


# --- halting --------------------------------------------------------------------------------------


async def test_halt_latches_flag_and_fact_and_resume_lifts_both(wire: Wire, desk: Desk) -> None:
    answer = await wire.post("halt", level=2, strategy="a", reason="odd fills")

    assert [(h["level"], h["strategy"]) for h in answer["halts"]] == [("CANCEL_ENTRIES", "a")]
    assert desk.levels() == {("a", None): HaltLevel.CANCEL_ENTRIES}
    assert [h.level for h in desk.halts.all] == [HaltLevel.CANCEL_ENTRIES]

    lifted = await wire.post("resume", strategy="a")

    assert [(h["strategy"], h["reason"]) for h in lifted["lifted"]] == [("a", "odd fills")]
    assert desk.levels() == {}
    assert not desk.halts.all


@pytest.mark.parametrize("words", [("pause", {}), ("halt", {"level": 1})])
async def test_a_strategy_may_still_get_out_while_halted(
    wire: Wire, desk: Desk, words: tuple[str, dict[str, Any]]
) -> None:
    verb, body = words
    await desk.bar(1)
    await desk.bar(2)  # filled, and wants to be flat: that order waits for the third bar
    assert desk.held() == 1
    await wire.post(verb, **body)
    await desk.bar(3)
    assert desk.held() == 0

    await wire.post("resume")


async def test_an_exit_decided_while_halted_is_sent(wire: Wire, desk: Desk) -> None:
    await desk.bar(1)
    await wire.post("pause")
    await desk.bar(2)  # the entry was at the venue before; what the strategy wants now is to be flat
    assert (desk.held(), desk.venue_working()) == (1, 1)
    await desk.bar(3)
    assert desk.held() == 0


async def test_an_entry_decided_just_before_the_halt_does_not_leave(desk: Desk) -> None:
    order = spoken_order(desk)
    desk.halts.set(Halt(scope=EVERYTHING, level=HaltLevel.NO_NEW_RISK, reason="x", rule="owner", since=START))
    assert desk.halts.stops(order) is not None
    desk.halts.booked(HaltKey(EVERYTHING, "owner"), HaltLevel.NO_NEW_RISK, order.ts)
    assert desk.halts.stops(order) is not None
    desk.halts.booked(HaltKey(EVERYTHING, "owner"), HaltLevel.NO_NEW_RISK, order.ts - 1)
    assert desk.halts.stops(order) is None  # the gate has judged it with the halt
    desk.halts.set(
        Halt(scope=EVERYTHING, level=HaltLevel.CANCEL_ENTRIES, reason="x", rule="owner", since=START)
    )
    assert desk.halts.stops(order) is not None


def spoken_order(desk: Desk) -> Order:
    return Order(
        client_order_id="tb1", account="main", strategy="a", instrument="COIN", side=Side.BUY,
        kind=OrderKind.MARKET, qty=Decimal(1), ts=START + 5,
    )  # fmt: skip


async def test_a_milder_word_does_not_soften_a_halt(wire: Wire, desk: Desk) -> None:
    await wire.post("halt", level=3)
    answer = await wire.post("pause")

    assert answer["already"] == ["main"]
    assert desk.levels() == {(None, None): HaltLevel.FLATTEN}


async def test_what_a_breaker_stopped_is_lifted_by_its_name_and_with_a_reason_only(
    wire: Wire, desk: Desk
) -> None:
    await desk.trip("max_drawdown")
    plain = await wire.post("resume", reason="let us go on")
    assert ([h["rule"] for h in plain["lifted"]], [h["rule"] for h in plain["left"]]) == (
        [],
        ["max_drawdown"],
    )
    status, answer = await wire.ask("POST", "resume", {"rule": "max_drawdown"}, key="another-key-of-its-own")
    assert status == 400
    assert "max_drawdown" in answer["error"]["message"]

    lifted = await wire.post("resume", rule="max_drawdown", reason="looked at it")
    assert [h["rule"] for h in lifted["lifted"]] == ["max_drawdown"]
    assert desk.levels() == {}


async def test_resuming_everything_leaves_what_a_rule_stopped(wire: Wire, desk: Desk) -> None:
    await desk.trip("mismatch", instrument="COIN")
    await wire.post("pause", strategy="b")

    answer = await wire.post("resume", reason="go on")

    assert [h["strategy"] for h in answer["lifted"]] == ["b"]
    assert [h["instrument"] for h in answer["left"]] == ["COIN"]


async def test_two_reasons_in_one_scope_stand_and_are_lifted_each_by_itself(wire: Wire, desk: Desk) -> None:
    await desk.trip("max_drawdown")
    await wire.post("halt", level=2, reason="holiday")
    assert {halt.rule for halt in desk.halts.all} == {"max_drawdown", "owner"}

    await wire.post("resume", rule="max_drawdown", reason="looked at it")
    assert desk.levels() == {(None, None): HaltLevel.CANCEL_ENTRIES}
    await desk.trip("max_drawdown")
    await wire.post("resume")
    assert desk.levels() == {(None, None): HaltLevel.NO_NEW_RISK}
    assert [halt.rule for halt in desk.halts.all] == ["max_drawdown"]


async def test_two_halts_of_one_scope_outlive_the_process(desk: Desk, tmp_path: Path) -> None:
    await desk.trip("max_drawdown")
    desk.halts.set(Halt(scope=EVERYTHING, level=HaltLevel.PAUSED, reason="x", rule="owner", since=START))
    again = HaltFlag(tmp_path / "halt")
    assert {halt.key for halt in again.all} == {(EVERYTHING, "max_drawdown"), (EVERYTHING, "owner")}


async def test_halt_holds_at_once_while_a_strategy_never_returns(wire: Wire, desk: Desk) -> None:
    async with desk.stuck_engine():
        answer = await wire.post("halt")
        assert answer["engine_answers"] is False
        assert [h.level for h in desk.halts.all] == [HaltLevel.NO_NEW_RISK]
        status, picture = await wire.ask("GET", "status")
        assert status == 200
        assert picture["accounts"][0]["engine_answers"] is False
    await desk.quiet()
    assert desk.levels() == {(None, None): HaltLevel.NO_NEW_RISK}


async def test_level_2_cancels_entries_without_the_engine(wire: Wire, desk: Desk) -> None:
    await desk.rest_an_entry()
    assert desk.working() == 1
    async with desk.stuck_engine():
        await wire.post("halt", level=2)
        assert not desk.venue_working()
    await desk.quiet()
    assert desk.working() == 0


async def test_halt_holds_with_a_full_queue(wire: Wire, desk: Desk) -> None:
    async with desk.stuck_engine():
        desk.fill_the_queue()
        answer = await wire.post("halt")
        assert answer["engine_answers"] is False
        assert desk.halts.everything is not None


async def test_stop_ends_the_daemon_in_order(wire: Wire, desk: Desk) -> None:
    answer = await wire.post("stop", reason="over")

    assert answer["stopping"] is True
    await desk.ended()
    assert desk.reasons() == ["over"]


async def test_reconcile_compares_and_changes_nothing(wire: Wire, desk: Desk) -> None:
    before = len(desk.kept)
    status, answer = await wire.ask("GET", "reconcile")
    assert (status, answer["findings"]) == (200, {"main": []})
    assert len(desk.kept) == before
    assert not any(isinstance(r.fact, f.PositionAdjusted) for r in desk.kept)


async def test_what_nothing_explains_is_adopted_with_a_reason_and_trades_again(
    wire: Wire, desk: Desk
) -> None:
    books = desk.venue.exchange.sim.blotter.accounts["main"]
    desk.venue.exchange.lose_cash("USD", Decimal(-5))
    books.positions["COIN"] = Decimal(2)
    _, answer = await wire.ask("GET", "reconcile")
    assert {(x["verdict"], x["what"], x["theirs"]) for x in answer["findings"]["main"]} == {
        ("CASH_DIFFERS", "USD", "10005"),
        ("QTY_DIFFERS", "COIN", "2"),
    }
    assert desk.levels() == {}  # a question changes nothing

    refused, _ = await wire.ask("POST", "adopt", {}, key="a-key-of-its-own")
    assert refused == 400
    await desk.bar(1)  # a price, so that what comes in has a cost
    adopted = await wire.post("adopt", reason="a gift")

    assert {x["what"] for x in adopted["adopted"]["main"]} == {"USD", "COIN"}
    assert (await wire.ask("GET", "reconcile"))[1]["findings"] == {"main": []}
    assert desk.levels() == {}
    assert not desk.halts.all
    desk.runner.engine.ledger.check()


def test_every_limit_that_is_set_is_shown() -> None:
    values = {one.name: 7 if one.type != "float | None" else 0.5 for one in fields(Limits)}
    assert dict(control_state.limits_set(Limits(**values))) == values
