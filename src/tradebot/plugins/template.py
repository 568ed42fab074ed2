"""Write the first lines of a strategy of one's own: `tradebot strategies new`.

Owns one small, complete strategy per kind. Refuses to overwrite a file.
"""

from __future__ import annotations

import keyword
import re
from pathlib import Path

from tradebot.errors import PluginError, UsageError
from tradebot.plugins.blame import shown
from tradebot.plugins.loader import Kind

FRAME = '''"""Hold while the close is above its average."""

from dataclasses import dataclass

import pandas as pd

from tradebot.api import FrameStrategy, ta


class NAME(FrameStrategy):
    """Long while the close is above the average of its last `window` bars, flat below."""

    @dataclass(frozen=True, slots=True, kw_only=True)
    class Params:
        window: int = 50  # bars; the same name as in the YAML

    p: Params

    def __init__(self, params: Params) -> None:
        super().__init__(params)
        self.lookback = params.window  # a decision looks at this many bars, never further back

    def signals(self, bars: pd.DataFrame) -> pd.DataFrame:
        average = ta.sma(bars["close"], self.p.window)
        target = ta.above(bars["close"], average).astype(float)  # 1 long, 0 flat, -1 short, NaN keep
        return pd.DataFrame({"target": target, "average": average})
'''

BAR = '''"""Hold while the close is above its average, one bar at a time."""

from dataclasses import dataclass

from tradebot.api import Bar, BarStrategy, Context, Sma, Target, above


class NAME(BarStrategy):
    """Long while the close is above the average of its last `window` bars, flat below."""

    @dataclass(frozen=True, slots=True, kw_only=True)
    class Params:
        window: int = 50  # bars; the same name as in the YAML

    p: Params

    def __init__(self, params: Params) -> None:
        super().__init__(params)
        self.lookback = params.window  # a decision looks at this many bars, never further back
        self.average = Sma(params.window)

    def on_bar(self, ctx: Context, bar: Bar) -> Target | None:
        average = self.average.push(bar.close)
        if average is None:
            return None  # not warm: keep
        return ctx.target(weight=1.0 if above(bar.close, average) else 0.0, average=average)
'''

QUOTE = '''"""Quote both sides of the market around the mid price."""

from dataclasses import dataclass

from tradebot.api import Context, Level, Quote, Quotes, QuoteStrategy


class NAME(QuoteStrategy):
    """Rest one bid and one ask; stop buying when long `most`, stop selling when short as much."""

    @dataclass(frozen=True, slots=True, kw_only=True)
    class Params:
        spread: float = 0.001  # fraction of the mid, between own bid and ask
        size: float = 1.0  # units of the base asset
        most: float = 5.0

    p: Params

    def on_quote(self, ctx: Context, quote: Quote) -> Quotes | None:
        half, held = quote.mid * self.p.spread / 2, ctx.position()
        bids = (Level(min(quote.mid - half, quote.bid), self.p.size),) if held < self.p.most else ()
        asks = (Level(max(quote.mid + half, quote.ask), self.p.size),) if held > -self.p.most else ()
        return Quotes(quote.instrument, bids, asks)
'''

PORTFOLIO = '''"""Hold everything in equal parts."""

from collections.abc import Mapping
from dataclasses import dataclass

from tradebot.api import Context, PortfolioStrategy, Weights


class NAME(PortfolioStrategy):
    """Give every instrument of the strategy the same weight; `invested` of the equity in all."""

    @dataclass(frozen=True, slots=True, kw_only=True)
    class Params:
        invested: float = 0.95  # fraction of the equity; the rest stays cash

    p: Params

    def weights(self, ctx: Context, prices: Mapping[str, float]) -> Weights | None:
        # Asked once per `schedule`; `resize: always` makes equal weights trade again.
        if not prices:
            return None  # nothing to weigh yet: keep
        each = self.p.invested / len(prices)
        return Weights(tuple((name, each) for name in prices), reason=f"{each:.1%} each")
'''

TEMPLATES: dict[Kind, str] = {"frame": FRAME, "bar": BAR, "quote": QUOTE, "portfolio": PORTFOLIO}


def class_name(name: str) -> str:
    """Return the class for a strategy called `name`: "my_trend" or "my-trend" is MyTrend.

    Raises UsageError for a name that cannot be a file and a class.
    """
    parts = name.replace("-", "_").split("_")
    made = "".join(part[:1].upper() + part[1:] for part in parts)
    if not name.isascii() or not made.isidentifier() or keyword.iskeyword(name) or not all(parts):
        raise UsageError(
            f"a strategy's name must be words of letters and digits joined by _ (my_trend), was {name!r}"
        )
    return made


def render(name: str, kind: Kind = "frame") -> str:
    """Return the text of a strategy file for `name`, complete and ready to run.

    Raises UsageError for an unfit name, or one whose class the file needs for something else.
    """
    made, text = class_name(name), TEMPLATES[kind]
    if re.search(rf"\b{made}\b", text):
        raise UsageError(f"a {kind} strategy cannot be called {name}: its file uses {made}; add a word")
    return text.replace("NAME", made)


def write_new(name: str, folder: Path, kind: Kind = "frame") -> Path:
    """Write `render(name, kind)` to `folder`/name.py and return its path.

    Creates the folder. Raises UsageError for an unfit name, PluginError when the file exists or
    cannot be written.
    """
    text = render(name, kind)
    path = folder / f"{name.replace('-', '_')}.py"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with path.open("x", encoding="utf-8") as file:
            try:
                file.write(text)
                file.flush()
            except OSError:
                path.unlink(missing_ok=True)  # half a file would be in the way of the next attempt
                raise
    except FileExistsError as exc:
        if not folder.is_dir():
            raise PluginError(f"{shown(str(folder))} must be a folder, is a file") from exc
        raise PluginError(f"{shown(str(path))} exists; choose another name or edit it") from exc
    except OSError as exc:
        raise PluginError(f"{shown(str(path))} cannot be written: {exc.strerror}") from exc
    return path
