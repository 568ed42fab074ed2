"""Messages reach who asked for them, through failures, and never stand in anybody's way."""

import asyncio
import threading
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager, suppress

import pytest

from tradebot.config.loader import parse
from tradebot.daemon.alerts import Desk, Manners, Message, Severity
from tradebot.daemon.courier import Courier, Route, routes_of
from tradebot.daemon.redact import Redactor
from tradebot.daemon.secrets import Secret

INFO, WARNING, ERROR, CRITICAL = Severity
CANARY = "canary-S3cret-0123456789"
AT = "2026-05-04 09:00:00 UTC"


class Service:
    """A service that takes messages, or fails as long as it is told to."""

    def __init__(self) -> None:
        self.got: list[tuple[str, str]] = []
        self.bodies: list[str] = []
        self.failing: str | None = None
        self.tried = 0

    async def __call__(self, url: Secret, message: Message) -> str | None:
        self.tried += 1
        await asyncio.sleep(0)
        if self.failing is not None:
            if self.failing == "os":
                raise OSError(12, f"no memory for {url.reveal()}")
            return self.failing
        self.got.append((url.reveal(), message.title.removeprefix("PAPER: ")))
        self.bodies.append(message.body)
        return None


def route(url: str, at_least: Severity = INFO) -> Route:
    return Route(url=Secret(url), at_least=at_least, place=url[:4])


def courier(
    service: Service,
    *routes: Route,
    failed: Callable[[str, str], None] = lambda place, why: None,
    back_off_s: Sequence[float] = (0.0, 0.0, 0.0),
    queue_size: int = 100,
) -> Courier:
    return Courier(
        routes or (route("json://one"),),
        Desk("PAPER", Manners(flood=1_000, budget=(None, None, None, None))),
        service,
        Redactor([Secret(CANARY)]),
        failed=failed,
        monotonic=lambda: 0.0,
        wall_ns=lambda: 1_777_885_200_000_000_000,
        back_off_s=back_off_s,
        queue_size=queue_size,
    )


@asynccontextmanager
async def running(told: Courier) -> AsyncIterator[Courier]:
    task = asyncio.create_task(told.run())
    await asyncio.sleep(0)
    try:
        yield told
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


async def test_each_address_hears_from_its_severity_on() -> None:
    service = Service()
    routes = (route("json://all"), route("json://bad", ERROR), route("json://dead", CRITICAL))
    async with running(courier(service, *routes)) as told:
        for severity in Severity:
            told.tell(severity, severity.name, severity.name)
        told.summarise(["equity"])
        assert await told.drain(5.0)

    heard = {url: {t for u, t in service.got if u == url} for url, _ in service.got}
    assert heard == {
        "json://all": {"INFO", "WARNING", "ERROR", "CRITICAL", "daily summary"},
        "json://bad": {"ERROR", "CRITICAL"},
        "json://dead": {"CRITICAL"},
    }
    assert told.counts.sent == 8


async def test_a_message_says_when_it_happened_and_hides_secrets() -> None:
    service = Service()
    async with running(courier(service)) as told:
        told.tell(ERROR, "k", f"refused {CANARY}", f"body {CANARY}")
        await told.drain(5.0)

    assert service.got == [("json://one", "refused ***")]
    assert service.bodies == [f"body ***\n{AT}"]


async def test_what_was_told_before_the_start_is_sent_after_it() -> None:
    service = Service()
    told = courier(service)
    told.tell(INFO, "k", "early")
    async with running(told):
        assert await told.drain(5.0)

    assert service.got == [("json://one", "early")]


async def test_other_threads_may_tell() -> None:
    service = Service()
    async with running(courier(service)) as told:
        threads = [threading.Thread(target=told.tell, args=(INFO, str(i), str(i))) for i in range(20)]
        for thread in threads:
            thread.start()
        for thread in threads:
            await asyncio.to_thread(thread.join)
        assert await told.drain(5.0)

    assert {title for _, title in service.got} == {str(i) for i in range(20)}


async def test_a_failing_service_is_tried_again_and_then_given_up() -> None:
    service, failures = Service(), []
    service.failing = f"status 500 at json://one/{CANARY}"
    async with running(courier(service, failed=lambda *f: failures.append(f))) as told:
        told.tell(ERROR, "k", "lost")
        while told.counts.given_up == 0:
            await asyncio.sleep(0)
        service.failing = None
        told.tell(ERROR, "k2", "arrives")
        told.tell(CRITICAL, "k3", "arrives too")
        while told.counts.sent < 2:
            await asyncio.sleep(0)

    assert (service.tried, told.counts.retried, told.counts.sent) == (6, 3, 2)
    assert failures == [("json", "status 500 at ***/***")] * 4


async def test_a_system_that_cannot_send_is_a_failure_and_no_end() -> None:
    service, failures = Service(), []
    service.failing = "os"
    async with running(courier(service, failed=lambda *f: failures.append(f[1]))) as told:
        told.tell(ERROR, "k", "lost")
        while not told.counts.given_up:
            await asyncio.sleep(0)

    assert failures[0] == "OSError: [Errno 12] no memory for ***"


async def test_what_is_critical_does_not_wait_for_the_pause_after_a_failure() -> None:
    service = Service()
    service.failing = "status 500"
    async with running(courier(service, back_off_s=(3_600.0,))) as told:
        told.tell(WARNING, "a", "small")
        while not told.counts.retried:
            await asyncio.sleep(0)
        told.tell(WARNING, "b", "small too")
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        assert service.tried == 1
        service.failing = None
        told.tell(CRITICAL, "c", "halted")
        while len(service.got) < 3:
            await asyncio.sleep(0)

    assert service.got[0] == ("json://one", "halted")


async def test_a_full_queue_drops_what_matters_least() -> None:
    service = Service()
    told = courier(service, queue_size=3)
    for i in range(5):
        told.tell(INFO, f"i{i}", f"info {i}")
    told.tell(CRITICAL, "c", "halted")
    told.tell(WARNING, "w", "warned")
    async with running(told):
        assert await told.drain(5.0)

    assert [title for _, title in service.got] == ["halted", "warned", "info 4"]
    assert told.counts.dropped == 4


async def test_a_hanging_service_holds_up_nobody_else() -> None:
    service = Service()

    async def hangs_for_one(url: Secret, message: Message) -> str | None:
        if url.reveal() == "json://hangs":
            await asyncio.Event().wait()
        return await service(url, message)

    told = Courier(
        (route("json://hangs"), route("json://works")), Desk("PAPER"), hangs_for_one, Redactor(),
    )  # fmt: skip
    async with running(told):
        told.tell(INFO, "k", "hello")
        assert not await told.drain(0.05)

    assert service.got == [("json://works", "hello")]


async def test_the_test_goes_to_every_address_and_says_what_failed() -> None:
    service = Service()
    told = courier(service, route("json://one", CRITICAL), route("nope://two"))

    assert await told.test("PAPER bot") == [("json", None), ("nope", None)]
    service.failing = "refused"
    assert await told.test("PAPER bot") == [("json", "refused"), ("nope", "refused")]
    assert service.got[0] == ("json://one", "PAPER bot: test message")


async def test_nobody_to_tell_is_fine() -> None:
    told = Courier((), Desk("PAPER"), Service(), Redactor())
    async with running(told):
        told.tell(CRITICAL, "k", "halted")
        assert await told.drain(1.0)


def test_addresses_come_from_the_configuration_without_being_shown() -> None:
    text = f"""
version: 1
strategies: [{{id: a, class: "a.py:A", instruments: [SPX], interval: 1d}}]
notify:
  - {{ping: "https://hc.example/{CANARY}"}}
  - {{url: "tgram://{CANARY}/1"}}
  - {{url: "json://{CANARY}", from: critical}}
"""
    routes = routes_of(parse(text.encode(), "t.yaml", env={}).config.notify)

    assert [(r.place, r.at_least) for r in routes] == [
        ("notify[1] tgram://***", WARNING),
        ("notify[2] json://***", CRITICAL),
    ]
    assert CANARY not in repr(routes)
    assert routes[0].url.reveal() == f"tgram://{CANARY}/1"


@pytest.mark.parametrize("loop_runs", [True, False])
async def test_telling_after_the_end_is_harmless(loop_runs: bool) -> None:
    told = courier(Service())
    if loop_runs:
        async with running(told):
            pass
    told.tell(CRITICAL, "k", "late")
