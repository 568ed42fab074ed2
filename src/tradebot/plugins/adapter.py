"""Show a `FrameStrategy` to the engine as a `BarStrategy`.

Owns the window of closed bars between calls and the replay of precomputed targets. Refuses to
compute targets: that is `plugins.runner`.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from decimal import Decimal

from tradebot.core.model import Bar, Fill, rebased
from tradebot.core.strategy import BarStrategy, Context, Input, Intent, Target
from tradebot.errors import InvariantError
from tradebot.plugins.frame import KEEP, Floats, FrameStrategy, Row
from tradebot.plugins.runner import FrameRunner, PrecomputedTargets, as_columns


class FrameAdapter(BarStrategy):
    """Shows a `FrameStrategy` to the engine as a `BarStrategy`, for one instrument.

    With `precomputed` it replays those targets and checks that the bars are the same; without,
    it computes each row on a window of closed bars. There is no state to save: the window is recomputed from
    `lookback` bars, and the engine remembers the target. `said` are the targets as `signals` gave them, if known.
    """

    def __init__(
        self,
        strategy: FrameStrategy,
        instrument: str,
        precomputed: PrecomputedTargets | None = None,
        *,
        said: Floats | None = None,
    ) -> None:
        super().__init__(strategy.p)
        self.strategy = strategy
        self.said = said
        self.lookback = strategy.lookback
        self.instrument = instrument
        self._runner = FrameRunner(strategy, instrument)
        self._precomputed = precomputed
        self._next = 0
        self._own: deque[Bar] = deque(maxlen=self._runner.lookback)
        self._others: dict[Input, deque[Bar]] = {
            i: deque(maxlen=n) for i, n in self._runner.lookbacks.items()
        }

    @property
    def precomputed(self) -> PrecomputedTargets:
        """The targets that are replayed. Raises InvariantError when rows are computed bar by bar."""
        if self._precomputed is None:
            raise InvariantError(f"{type(self.strategy).__name__} was not computed in advance")
        return self._precomputed

    def inputs(self) -> tuple[Input, ...]:
        return self._runner.inputs

    def lookback_of(self, wanted: Input) -> int:
        """Return how many bars of a declared input the engine must show before the first decision."""
        return self._runner.lookbacks[wanted]

    def on_start(self, ctx: Context) -> None:
        self.strategy.on_start(ctx)

    def on_fill(self, ctx: Context, fill: Fill) -> None:
        self.strategy.on_fill(ctx, fill)

    def on_timer(self, ctx: Context, key: str) -> Intent | None:
        return self.strategy.on_timer(ctx, key)

    def save(self) -> dict[str, object]:
        return self.strategy.save()

    def load(self, state: Mapping[str, object]) -> None:
        self.strategy.load(state)

    def on_input(self, bar: Bar) -> None:
        """Take a closed bar of a declared input; one that was seen before is ignored."""
        for wanted, window in self._others.items():
            mine = (
                wanted.interval == bar.interval and (wanted.instrument or self.instrument) == bar.instrument
            )
            if mine and (not window or window[-1].ts < bar.ts):
                window.append(bar)

    def on_bar(self, ctx: Context, bar: Bar) -> Target | None:
        known = self._precomputed
        if known is not None:
            return self._replayed(known, bar)
        row = self._computed(bar)
        if row.target != row.target:
            return None
        return Target(self.instrument, row.target, None, "", row.explained)

    def rebase(self, instrument: str, ratio: Decimal) -> bool:
        """Re-base the window after a split; the wrapped strategy has no memory of prices."""
        if instrument == self.instrument:
            self._own = deque((rebased(bar, float(ratio)) for bar in self._own), maxlen=self._own.maxlen)
        for wanted, window in self._others.items():
            if (wanted.instrument or self.instrument) == instrument:
                self._others[wanted] = deque((rebased(b, float(ratio)) for b in window), maxlen=window.maxlen)
        return True

    def _replayed(self, known: PrecomputedTargets, bar: Bar) -> Target | None:
        i = self._next
        if i >= len(known.ts) or known.ts[i] != bar.ts:
            expected = known.ts[i] if i < len(known) else "no more bars"
            raise InvariantError(
                f"{type(self.strategy).__name__}: precomputed targets belong to other bars: bar {i} is at "
                f"{bar.ts}, must be {expected}"
            )
        self._next = i + 1
        target = known.targets[i]
        if target != target:
            return None
        return Target(self.instrument, target, None, "", known.explained_at(i))

    def _computed(self, bar: Bar) -> Row:
        self._own.append(bar)
        if len(self._own) < self._runner.lookback:
            return KEEP
        return self._runner.last_row(
            as_columns(self._own), {i: as_columns(w) for i, w in self._others.items()}
        )
