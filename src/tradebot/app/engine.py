"""Run a backtest on the engine and the simulated venue: the reference.

Owns what is told before the first bar and after the last one, and how far a run is.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import islice

from tradebot.app import plan
from tradebot.app.collector import Collector
from tradebot.app.gaps import told_apart
from tradebot.app.market import Loaded, slices_of
from tradebot.app.outcome import END_OF_DATA
from tradebot.app.rates import first_rates
from tradebot.app.results import Scene
from tradebot.app.simulated import sim_venue
from tradebot.core.engine import Engine
from tradebot.core.facts import Recorded
from tradebot.core.messages import End, SessionOpen, SetHalt, Start
from tradebot.core.model import ALWAYS_OPEN, SECOND
from tradebot.core.scope import HaltLevel
from tradebot.core.setup import Setup
from tradebot.sim.replay import Replay
from tradebot.sim.settings import ForcePrice, MarketAt
from tradebot.sim.venue import SimVenue

_STEPS_TOLD = 50

Tell = Callable[[str, float], None]
Listener = Callable[[Recorded], None]


def run_engine(
    scene: Scene, setup: Setup, begin: int, last: int, tell: Tell, *, on_fact: Listener | None = None
) -> Collector:
    """Run an account's strategies from `begin` to `last` (ns UTC) and return what the facts say.

    `tell` is told how far it is, `on_fact` every fact in order.
    """
    engine = Engine(setup)
    collector = Collector(engine.ledger, scene.instruments)
    venue = sim_venue(scene.config, scene.account, scene.instruments)
    fills, latency = scene.config.fills_of(scene.account), scene.config.latency_of(scene.account)
    replay = Replay(
        engine,
        venue,
        events=scene.events,
        on_fact=_both(collector, on_fact),
        close_first=MarketAt(fills.market_at) is not MarketAt.SAME_CLOSE,
        delays=plan.delays(latency),
    )
    run_id = f"backtest-{begin // SECOND}"
    replay.tell(
        Start(
            ts=begin,
            run_id=run_id,
            epoch=max(begin // SECOND, 1),
            config_digest=scene.digests.config,
            code_digest=scene.digests.code,
        ),
        begin,
    )
    for rate in first_rates(scene.config, scene.catalogue, begin):
        replay.tell(rate, begin)
    series = list(scene.series.values())
    engine.warm_up(slices_of(series, warm_up=True, dress=told_apart))
    _play(replay, series, tell)
    if latency.data or latency.report:
        # What is under way at the end arrives; nothing that it leads to meets a price any more.
        last += latency.data + latency.order + latency.report
        replay.finish(last)
    if scene.config.backtest.close_open_positions_at_end == "force":
        _force(scene, replay, venue, last)
    replay.tell(End(ts=last, reason=END_OF_DATA), last)
    return collector


def _both(collector: Collector, also: Listener | None) -> Listener:
    if also is None:
        return collector

    def both(recorded: Recorded) -> None:
        collector(recorded)
        also(recorded)

    return both


def _play(replay: Replay, series: Sequence[Loaded], tell: Tell) -> None:
    slices = slices_of(series, dress=told_apart)
    rows = sum(len(s.columns) - s.start for s in series)
    step = max(rows // _STEPS_TOLD, 1_000)
    for done in range(0, rows, step):
        tell("running", done / rows)
        replay.run(islice(slices, step))


def _force(scene: Scene, replay: Replay, venue: SimVenue, last: int) -> None:
    """Close what is held at the end; not a decision of the strategy, and marked as none."""
    replay.tell(SetHalt(ts=last, level=HaltLevel.FLATTEN, reason=END_OF_DATA), last)
    for calendar in dict.fromkeys(i.calendar for i in scene.instruments.values()):
        if calendar != ALWAYS_OPEN:
            replay.tell(SessionOpen(ts=last, calendar=calendar, closes_at=last), last)
    latency = scene.config.latency_of(scene.account)
    arrived = last + latency.order
    replay.finish(arrived)
    price = ForcePrice(scene.config.fills_of(scene.account).end.price)
    for name in scene.instruments:
        venue.force_close(name, price)
    replay.finish(arrived + latency.report)
