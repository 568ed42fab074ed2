"""Serve: open every account of a configuration and run them as one daemon."""

from __future__ import annotations

import time
from contextlib import ExitStack
from pathlib import Path

from tradebot.app.trading import Request, open_account
from tradebot.config.models import Config
from tradebot.config.schema import digest
from tradebot.daemon import places
from tradebot.daemon.control import ControlServer
from tradebot.daemon.control_verbs import Control
from tradebot.daemon.lock import Lock
from tradebot.daemon.process import Daemon


async def serve(config: Config, project: Path, where: places.Places, *, wall: int) -> int:
    """Trade until stopped; returns the exit code. Raises TradebotError for what forbids a start."""
    places.make(where)
    with ExitStack() as held:
        held.enter_context(_locked(where))
        opened = []
        for name in config.accounts:
            mine = where.account(config.mode, config.accounts[name].venue, name)
            places.make_account(mine)
            request = Request(config=config, project=project, account=name, places=mine, wall=wall)
            opened.append(open_account(request))
            held.callback(opened[-1].close)
        daemon = Daemon(
            [one.account for one in opened], mode=config.mode, started=wall, config_digest=digest(config)
        )
        async with ControlServer(where.socket, Control(daemon).answer):
            return int(await daemon.run())


def _locked(where: places.Places) -> Lock:
    lock = Lock(where.state)
    lock.take(time.time_ns)
    return lock
