"""No secret in any byte that a simulated daemon writes, at debug level, whatever goes wrong on the wire.

The venue's words and the library's errors carry the key, as those of real ones do; the rest of the way out
(files, configuration, environment) is walked by a real process in `e2e/test_canaries`.
"""

from __future__ import annotations

import io
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import structlog

from tests import canaries
from tests.chaos.disk import FILE
from tests.chaos.life import Kit, Life
from tests.chaos.loop import VirtualLoop
from tests.chaos.venue import Link
from tests.chaos.world import World
from tests.conftest import PROVING, SEED
from tradebot.core import facts as f
from tradebot.core.messages import (
    ReplaceOrder,
    SubmitOrder,
    VenueCancelRefused,
    VenueRefused,
    VenueReport,
    VenueUnknown,
)
from tradebot.core.model import Order
from tradebot.daemon import alerts
from tradebot.daemon.account import TradingAccount
from tradebot.daemon.alerts import Message
from tradebot.daemon.control_verbs import Control
from tradebot.daemon.control_words import Asked
from tradebot.daemon.courier import Courier, Route
from tradebot.daemon.logs import Logs, LogSettings
from tradebot.daemon.process import Daemon
from tradebot.daemon.redact import Redactor
from tradebot.daemon.secrets import Secret
from tradebot.daemon.telling import Teller
from tradebot.errors import VenueError, VenueUnreachable
from tradebot.store.archive import Archive

KEY, SECRET, SIGNED, ADDRESS = (f"heron{x}shallows" for x in ("grey", "stilt", "marsh", "reedy"))
CANARIES = (KEY, SECRET, SIGNED, ADDRESS)
SEEDS = 40 if PROVING else 4
LEAKS = f"GET https://venue.test/v3?apiKey={KEY}&signature={SIGNED} 502 {{'secret': '{SECRET}'}}"


class Chatty(Link):
    """A venue whose every word says the keys."""

    def _unknown(self, order: Order, reason: str) -> VenueUnknown:
        return super()._unknown(order, f"{reason}: {LEAKS}")

    def _refusals(self, request: SubmitOrder | ReplaceOrder) -> list[VenueReport]:
        told = super()._refusals(request)
        return [
            replace(one, reason=LEAKS) for one in told if isinstance(one, VenueRefused | VenueCancelRefused)
        ]

    async def _read(self, look: Any) -> Any:
        try:
            return await super()._read(look)
        except VenueUnreachable as exc:
            raise VenueUnreachable(f"{exc}: {LEAKS}") from exc


class Told(World):
    """A world whose daemons log at debug level, send messages, are asked, and keep their inputs."""

    def __init__(self, seed: int, folder: Path, *, redactor: Redactor) -> None:
        super().__init__(seed, folder, Kit(link=Chatty))
        self.redactor = redactor
        self.setup = replace(self.setup, hide=redactor.redact)
        self.found: dict[str, list[str]] = {}
        self.said: list[str] = []
        for second in range(20, 700, 40):
            self.agenda.at(float(second), self._ask)

    def archive(self, folder: Path) -> Archive:
        self._archive = Archive.open(folder / "archive.db", run_id=f"r{self.lives}", cap=10_000_000)
        return self._archive

    def surround(self, account: TradingAccount, loop: VirtualLoop) -> None:
        async def send(url: Secret, message: Message) -> str | None:
            self.said.append(f"{message.title} {message.body}")
            return None

        route = Route(url=Secret(f"json://{ADDRESS}"), at_least=alerts.Severity.INFO, place="owner")
        courier = Courier([route], alerts.Desk("PAPER"), send, self.redactor)
        loop.create_task(courier.run())
        teller = Teller(structlog.get_logger(), courier.tell)
        account.listeners.append(lambda recorded: self._tell(teller, account, recorded))
        self._control = Control(Daemon([account], mode="paper", started=1, config_digest="c"))

    def _tell(self, teller: Teller, account: TradingAccount, recorded: f.Recorded) -> None:
        teller.fact(account.name, recorded)
        teller.findings(account.name, account.parts.reconciler.last)

    def _ask(self) -> None:
        if self.life is None:
            return
        control = self._control

        async def ask(verb: str) -> None:
            try:
                answer = await control.answer(Asked(method="GET", path=verb, query={}, body={}, key=""))
                self.said.append(json.dumps(answer.body))
            except VenueError as exc:
                self.said.append(self.redactor.redact(str(exc)))  # as the socket does

        for verb in ("/v1/status", "/v1/reconcile"):
            self.life.loop.create_task(ask(verb))

    def _bury(self, life: Life) -> None:
        self._archive.close()
        for name, data in canaries.written(life.disk.folder):
            self.look(Path(name).name, data)
        super()._bury(life)

    def look(self, what: str, data: bytes) -> None:
        for one in canaries.found(CANARIES, what, data):
            self.found.setdefault(what, []).append(one)


def live(seed: int, folder: Path, redactor: Redactor) -> Told:
    """Live through a world; returns it with what of the canaries was found in what it wrote."""
    log = io.StringIO()
    world = Told(seed, folder / f"s{seed}", redactor=redactor)
    with Logs(LogSettings(level="debug", bytes_per_minute=10**9), redactor, stream=log):
        world.run()
    world.look("log", log.getvalue().encode())
    world.look("said", "\n".join(world.said).encode())
    return world


@pytest.mark.parametrize("number", range(SEEDS))
def test_no_byte_of_a_simulated_daemon_holds_a_secret(number: int, tmp_path: Path) -> None:
    redactor = Redactor()
    for secret in (KEY, SECRET, ADDRESS):
        redactor.add(Secret(secret))
    world = live(SEED * 1_000_003 + number, tmp_path, redactor)
    assert world.found == {}
    assert world.said


def test_the_search_would_find_them(tmp_path: Path) -> None:
    """What hides nothing leaks into every place that is searched."""
    places: dict[str, None] = {}
    for number in range(8):
        places |= dict.fromkeys(live(SEED * 1_000_003 + number, tmp_path, Careless()).found)
    assert {FILE, "archive.db", "log"} <= places.keys()


class Careless(Redactor):
    """Hides nothing."""

    def redact(self, text: str) -> str:
        return text
