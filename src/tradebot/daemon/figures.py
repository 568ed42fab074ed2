"""Keep the figures of the running daemon up to date: from its facts, and by looking now and then.

Owns which figure comes from where. Looks at the engine only in the engine's own thread.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from tradebot.core import facts as f
from tradebot.core.orders import Status
from tradebot.core.rules import BREAKERS
from tradebot.daemon.account import TradingAccount
from tradebot.daemon.metrics import Metrics


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """What a look at an account found. `bars`: ts of the last one by instrument, ns of market time.

    `equity` and `drawdown` are None while a price or rate is missing.
    """

    base: str
    equity: float | None
    drawdown: float | None
    halt_level: int
    breakers: tuple[str, ...]
    unknown: int
    bars: Mapping[str, int]

    @property
    def worth(self) -> str:
        return f"{self.base} unknown" if self.equity is None else f"{self.equity:,.2f} {self.base}"


class Figures:
    """Feeds the metrics of one daemon."""

    def __init__(
        self, metrics: Metrics, wall_ns: Callable[[], int], files: Mapping[str, Sequence[Path]]
    ) -> None:
        """`files` are each account's databases."""
        self.metrics = metrics
        self._wall_ns = wall_ns
        self._files = files
        self._conflated: dict[str, int] = {}

    def fact(self, account: str, recorded: f.Recorded) -> None:
        """Count one committed fact."""
        match recorded.fact:
            case f.OrderIntended():
                self.metrics.orders.labels(account).inc()
            case f.OrderFilled():
                self.metrics.fills.labels(account).inc()
            case f.OrderRejected():
                self.metrics.rejects.labels(account, "venue").inc()
            case f.OrderDenied():
                self.metrics.rejects.labels(account, "gate").inc()

    async def look(self, account: TradingAccount, bars: Callable[[], Mapping[str, int]]) -> Seen:
        """Look at an account in its engine's thread and set its figures; return what was found.

        `bars` reads how far each series has come, and is called there, too.
        """
        runner, name = account.parts.runner, account.name
        seen = await runner.look(lambda: _seen(account, bars()))
        metrics = self.metrics
        if seen.equity is not None:
            metrics.equity.labels(name, seen.base).set(seen.equity)
        if seen.drawdown is not None:
            metrics.drawdown.labels(name).set(seen.drawdown)
        metrics.halt_level.labels(name).set(seen.halt_level)
        metrics.unknown.labels(name).set(seen.unknown)
        for breaker in BREAKERS:
            metrics.breaker.labels(name, breaker).set(breaker in seen.breakers)
        # Where data are played from a file, their own time is the one in which they are old.
        behind = self._wall_ns() - account.parts.clock.now()
        for instrument, ts in seen.bars.items():
            metrics.bar(instrument, ts + behind)
        for path in self._files.get(name, ()):
            if path.exists():
                metrics.database.labels(name, path.name).set(path.stat().st_size)
        before = self._conflated.get(name, 0)
        metrics.conflated.inc(runner.conflated - before)
        self._conflated[name] = runner.conflated
        return seen


def _seen(account: TradingAccount, streams: Mapping[str, int]) -> Seen:
    engine, name = account.parts.runner.engine, account.name
    ledger = engine.ledger
    spec = next(a for a in engine.setup.accounts if a.name == name)
    equity = engine.equity(name)
    day = ledger.days.get(name)
    drawdown = None
    if equity is not None and day is not None and day.peak > 0.0:
        drawdown = max(0.0, 1.0 - equity / max(day.peak, equity))
    bars: dict[str, int] = {}
    for stream, ts in streams.items():
        instrument, _, interval = stream.rpartition("/")
        if instrument in engine.setup.instruments and interval.isdecimal():
            bars[instrument] = max(ts, bars.get(instrument, 0))
    rows = [record for working in ledger.open.values() for record in working.values()]
    return Seen(
        base=spec.base_currency,
        equity=equity,
        drawdown=drawdown,
        halt_level=max((h.level.value for h in ledger.halts.values()), default=0),
        breakers=tuple(h.rule for h in ledger.halts.values() if h.rule in BREAKERS),
        unknown=sum(record.status is Status.UNKNOWN for record in rows),
        bars=bars,
    )
