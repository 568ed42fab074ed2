"""Show figures of the running daemon to a Prometheus on the same machine.

Owns a registry of its own and the page /metrics, on loopback only: there is no password on it. Figures
are set by who knows them; ages are worked out when somebody looks, so that silence shows.
"""

from __future__ import annotations

import ipaddress
import platform
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from aiohttp import web
from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    Info,
    ProcessCollector,
    generate_latest,
)
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

import tradebot
from tradebot.errors import Busy, ConfigError, Problem

DEFAULT_PORT = 9477
CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
_LATENCY_S = (0.0005, 0.001, 0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0)
_ACCOUNT = ("account",)


class _Ages(Collector):
    """How long ago things last happened, reckoned when asked."""

    def __init__(self, name: str, text: str, label: str, wall_ns: Callable[[], int]) -> None:
        self._name, self._text, self._label, self._wall_ns = name, text, label, wall_ns
        self.last_ns: dict[str, int] = {}

    def collect(self) -> Iterable[Metric]:
        family = GaugeMetricFamily(self._name, self._text, labels=[self._label])
        now = self._wall_ns()
        for what, last in sorted(self.last_ns.copy().items()):
            family.add_metric([what], (now - last) / 1e9)
        yield family


class Metrics:
    """The figures by subject; each is a metric of prometheus_client to set, add to or observe."""

    def __init__(self, mode: str, wall_ns: Callable[[], int] = time.time_ns) -> None:
        registry = self.registry = CollectorRegistry(auto_describe=True)
        self._bars = _Ages(
            "tradebot_last_bar_age_seconds", "Time since the last bar was complete.", "instrument", wall_ns
        )
        self._cycles = _Ages(
            "tradebot_last_cycle_age_seconds", "Time since the last full healthy cycle.", "thread", wall_ns
        )
        registry.register(self._bars)
        registry.register(self._cycles)
        ProcessCollector(registry=registry)

        def gauge(name: str, text: str, labels: Iterable[str] = ()) -> Gauge:
            return Gauge(f"tradebot_{name}", text, labels, registry=registry)

        def counter(name: str, text: str, labels: Iterable[str] = ()) -> Counter:
            return Counter(f"tradebot_{name}", text, labels, registry=registry)

        self.loop_lag = gauge("loop_lag_seconds", "How late the event loop last came to a timer.")
        self.queue_depth = gauge("queue_depth", "Inputs that wait for the engine.")
        self.conflated = counter("inputs_conflated", "Market data replaced by newer data of a full queue.")
        self.order_latency = Histogram(
            "tradebot_order_latency_seconds",
            "From an input queued to the order's bytes out.",
            buckets=_LATENCY_S,
            registry=registry,
        )
        self.orders = counter("orders", "Orders sent.", _ACCOUNT)
        self.rejects = counter("rejects", "Orders refused, by the venue or by our gate.", ("account", "by"))
        self.fills = counter("fills", "Fills booked.", _ACCOUNT)
        self.unknown = gauge("unknown_orders", "Orders whose fate is not known.", _ACCOUNT)
        self.equity = gauge("equity", "Value of an account in its base currency.", ("account", "asset"))
        self.drawdown = gauge("drawdown_ratio", "Loss from the highest equity, 0.1 is 10 %.", _ACCOUNT)
        self.halt_level = gauge(
            "halt_level", "0 trades, 1 paused, 2 no new risk, 3 entries cancelled, 4 flat.", _ACCOUNT
        )
        self.breaker = gauge("breaker_tripped", "1 while a loss limit holds trading.", ("account", "breaker"))
        self.database = gauge("database_bytes", "Size of a database on disk.", ("account", "file"))
        self.alerts_lost = counter("alerts_lost", "Messages that never reached the owner.")
        self.log_lines_dropped = counter("log_lines_dropped", "Log lines over the ceiling.")
        build = Info("tradebot_build", "What is running.", registry=registry)
        build.info({"version": tradebot.__version__, "python": platform.python_version(), "mode": mode})

    def bar(self, instrument: str, ts_ns: int) -> None:
        """Note that a bar of `instrument` was complete at `ts_ns` (UTC)."""
        self._bars.last_ns[instrument] = ts_ns

    def forget(self, instrument: str) -> None:
        """Show no age any more, for an instrument that is not followed or whose session is closed."""
        self._bars.last_ns.pop(instrument, None)

    def cycle(self, thread: str, wall_ns: int) -> None:
        """Note a full healthy cycle."""
        self._cycles.last_ns[thread] = wall_ns

    def page(self) -> bytes:
        """Return everything in Prometheus' text format."""
        return generate_latest(self.registry)


@dataclass(frozen=True, slots=True, kw_only=True)
class Served:
    """A page that is being served, at `port`."""

    port: int
    runner: web.AppRunner

    async def close(self) -> None:
        """Serve no more."""
        await self.runner.cleanup()


async def serve(metrics: Metrics, host: str = "127.0.0.1", port: int = DEFAULT_PORT) -> Served:
    """Serve /metrics at a loopback address; port 0 takes a free one.

    Raises ConfigError for any other address and Busy when the port is taken; without figures trading
    can go on, so who calls may warn and go on too.
    """
    require_loopback(host)

    async def page(request: web.Request) -> web.Response:
        return web.Response(body=metrics.page(), headers={"Content-Type": CONTENT_TYPE})

    app = web.Application(middlewares=[_only_by_its_own_name])
    app.router.add_get("/metrics", page)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    try:
        await web.TCPSite(runner, host, port).start()
    except OSError as exc:
        await runner.cleanup()
        raise Busy(f"metrics: {host}:{port} must be free, is not: {exc.strerror}; name another port") from exc
    return Served(port=int(runner.addresses[0][1]), runner=runner)


def require_loopback(host: str) -> None:
    """Raise ConfigError unless `host` is an address that only this machine reaches."""
    try:
        fine = host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        fine = False
    if not fine:
        message = (
            f"must be 127.0.0.1, ::1 or localhost, was {host!r}: the page has no password. "
            "From elsewhere, use an SSH tunnel"
        )
        raise ConfigError([Problem(file="metrics", line=None, key="host", message=message)])


@web.middleware
async def _only_by_its_own_name(request: web.Request, handler: Any) -> web.StreamResponse:
    # A web page whose name was made to point here (DNS rebinding) comes with that name.
    name = request.host.rpartition(":")[0] if not request.host.endswith("]") else request.host
    try:
        require_loopback((name or request.host).strip("[]"))
    except ConfigError:
        return web.Response(status=403, text="ask for localhost\n")
    answer: web.StreamResponse = await handler(request)
    return answer
