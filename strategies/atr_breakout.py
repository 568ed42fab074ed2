"""Buy new highs of a market that moves, and trail a stop behind."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, cast

from tradebot.api import Atr, Bar, BarStrategy, Context, Donchian, Target, above, below, lookback_for


class AtrBreakout(BarStrategy):
    """Go with a close outside the channel of the bars before it; leave at a trailing stop.

    Long above the highest high of `channel` bars, short below the lowest low. The stop trails
    `stop` average true ranges behind the best close since entry and never moves back; a close
    through the opposite side of the shorter `exit_channel` ends the position too. No entry while
    the average true range is below `min_atr` of the price: a quiet market breaks out of nothing.
    """

    @dataclass(frozen=True, slots=True, kw_only=True)
    class Params:
        channel: int = 20  # bars
        exit_channel: int = 10  # bars
        atr: int = 14  # bars
        stop: float = 3.0  # average true ranges
        min_atr: float = 0.0  # fraction of the close
        mode: Literal["long_only", "long_short"] = "long_only"

        def __post_init__(self) -> None:
            for name in ("channel", "exit_channel", "atr"):
                if getattr(self, name) < 1:
                    raise ValueError(f"{name}: must be >= 1 bar, was {getattr(self, name)}")
            if self.exit_channel > self.channel:
                raise ValueError(
                    f"exit_channel: must be <= channel ({self.channel}), was {self.exit_channel}"
                )
            if self.stop <= 0.0:
                raise ValueError(f"stop: must be > 0 average true ranges, was {self.stop:g}")
            if not 0.0 <= self.min_atr < 1.0:
                raise ValueError(f"min_atr: must be a fraction of the price, 0 to 1, was {self.min_atr:g}")

    p: Params

    def __init__(self, params: Params) -> None:
        super().__init__(params)
        self.lookback = max(params.channel + 1, lookback_for("atr", params.atr))
        self.entry, self.exit = Donchian(params.channel), Donchian(params.exit_channel)
        self.atr = Atr(params.atr)
        self.side = 0  # +1 long, -1 short
        self.stop = 0.0

    def on_bar(self, ctx: Context, bar: Bar) -> Target | None:
        # The channels of the bars before: no close is outside a channel that holds its own high.
        entry, leave = self.entry.value, self.exit.value
        self.entry.push(bar.high, bar.low)
        self.exit.push(bar.high, bar.low)
        atr = self.atr.push(bar.high, bar.low, bar.close)
        if entry is None or leave is None or atr is None:
            return None
        reason = self._leave(bar.close, leave.lower, leave.upper, atr) if self.side else ""
        if not self.side and above(atr, self.p.min_atr * bar.close):
            reason = self._enter(bar.close, entry.lower, entry.upper, atr) or reason
        return ctx.target(
            weight=float(self.side),
            reason=reason,
            atr=atr,
            lower=entry.lower,
            upper=entry.upper,
            stop=self.stop,
        )

    def _enter(self, close: float, lower: float, upper: float, atr: float) -> str:
        if above(close, upper):
            self.side = 1
        elif below(close, lower) and self.p.mode == "long_short":
            self.side = -1
        else:
            return ""
        self.stop = close - self.side * self.p.stop * atr
        return f"close {close:g} outside {lower:g} to {upper:g}"

    def _leave(self, close: float, lower: float, upper: float, atr: float) -> str:
        is_long = self.side > 0
        trailed = close - self.side * self.p.stop * atr
        line, name = (lower, "lowest low") if is_long else (upper, "highest high")
        passed = below if is_long else above
        for level, what in ((self.stop, "stop"), (line, name)):
            if passed(close, level):
                self.side, self.stop = 0, 0.0
                return f"close {close:g} through {what} {level:g}"
        self.stop = max(self.stop, trailed) if is_long else min(self.stop, trailed)
        return ""

    def save(self) -> dict[str, object]:
        lines = {"entry": self.entry.save(), "exit": self.exit.save(), "atr": self.atr.save()}
        return {"side": self.side, "stop": self.stop, **lines}

    def load(self, state: Mapping[str, object]) -> None:
        for name, line in (("entry", self.entry), ("exit", self.exit), ("atr", self.atr)):
            line.load(cast(Mapping[str, object], state[name]))
        self.side, self.stop = cast(int, state["side"]), cast(float, state["stop"])
