"""`tradebot emulate`: venues on this machine that speak a real one's protocol, for any client of it."""

from __future__ import annotations

import asyncio
import sys
from typing import TYPE_CHECKING, Any

import click

from tradebot.cli import out
from tradebot.cli.lazy import group, shared
from tradebot.cli.options import with_json
from tradebot.errors import UsageError

if TYPE_CHECKING:
    from decimal import Decimal

    from tradebot.app.emulating import Wishes
    from tradebot.emulators.serving import Face, Served

_serving = shared(
    click.option("--port", type=click.IntRange(0, 65535), default=0, show_default="a free one"),
    click.option("--admin-port", type=click.IntRange(0, 65535), default=0, show_default="a free one"),
    click.option("--cash", multiple=True, metavar='"AMOUNT ASSET"', help="What the account holds; may be repeated."),
    click.option("--key", default="emulated-key", show_default=True, help="The API key that is let in."),
    click.option("--secret", default="emulated-secret", show_default=True),
    click.option("--speed", type=click.FloatRange(min=0.0, min_open=True), default=1.0, show_default=True,
                 help="How fast time goes; at another speed than 1 clients must take its time."),
    click.option("--seed", type=int, default=1, show_default=True, help="Another seed, another market."),
    click.option("--still", "is_still", is_flag=True, help="Nothing moves but by the admin port."),
    click.option("--for", "seconds", type=click.FloatRange(min=0.0), metavar="SECONDS", help="End after so long."),
)  # fmt: skip


@group("emulate")
def emulate() -> None:
    """Serve a venue on this machine that speaks a real one's protocol.

    Orders meet the same simulated market as a paper account's. The admin port moves it, acts as the
    account's owner, and breaks answers and connections.
    """


@emulate.command("binance")
@click.option("--market", "markets", multiple=True, metavar="BASE/QUOTE=PRICE",
              help="A market and where it begins; may be repeated.  [default: BTC/USDT=50000, ETH/USDT=2500]")  # fmt: skip
@_serving
@with_json
def binance(markets: tuple[str, ...], cash: tuple[str, ...], as_json: bool, **served: Any) -> None:
    """Serve Binance spot: REST, market streams and the user stream, until Ctrl-C."""
    from tradebot.app import emulating

    prices = _prices(markets or ("BTC/USDT=50000", "ETH/USDT=2500"))
    wishes = emulating.Wishes(prices=prices, cash=_cash(cash or ("100000 USDT",)), **served)
    _serve("Binance spot", emulating.binance(wishes), wishes, as_json)


@emulate.command("alpaca")
@click.option("--market", "markets", multiple=True, metavar="SYMBOL=PRICE",
              help="A symbol and where its price is now; may be repeated.  [default: SPY=600, BTC/USD=50000]")  # fmt: skip
@click.option("--ghost", "ghost_s", type=click.FloatRange(min=0.0), default=90.0, show_default=True, metavar="SECONDS",
              help="How long the place of a connection that was lost stays taken.")  # fmt: skip
@_serving
@with_json
def alpaca(
    markets: tuple[str, ...], cash: tuple[str, ...], ghost_s: float, as_json: bool, **served: Any
) -> None:
    """Serve Alpaca: REST, market data, trade updates, until Ctrl-C."""
    from tradebot.app import emulating

    prices = _prices(markets or ("SPY=600", "BTC/USD=50000"))
    wishes = emulating.Wishes(prices=prices, cash=_cash(cash or ("100000 USD",)), **served)
    _serve("Alpaca", emulating.alpaca(wishes, ghost_s=ghost_s), wishes, as_json)


def _serve(name: str, face: Face, wishes: Wishes, as_json: bool) -> None:
    from tradebot.app.emulating import serve_until_told

    def told(served: Served) -> None:
        if as_json:
            words = {"url": served.url, "ws": served.ws, "admin": served.admin}
            out.as_json({**words, "key": wishes.key, "secret": wishes.secret})
        else:
            out.show(f"{name}    {served.url}")
            out.show(f"admin port      {served.admin}")
            out.show(f"key and secret  {wishes.key} {wishes.secret}")
            out.note("emulated: no real market, no real money. Ctrl-C ends it.")
        sys.stdout.flush()

    try:
        asyncio.run(serve_until_told(face, wishes, told))
    except KeyboardInterrupt:
        out.note("ended")


def _prices(markets: tuple[str, ...]) -> dict[str, float]:
    found: dict[str, float] = {}
    for text in markets:
        name, _, price = text.partition("=")
        try:
            found[name] = float(price)
        except ValueError:
            found[name] = 0.0
        if not 0.0 < found[name] < 1e9:
            raise UsageError(f"--market must be a name=PRICE, such as BTC/USDT=50000, was {text!r}")
    return found


def _cash(amounts: tuple[str, ...]) -> dict[str, Decimal]:
    from tradebot.config.units import Cash

    found: dict[str, Decimal] = {}
    for text in amounts:
        try:
            money = Cash().read(text)
        except ValueError as exc:
            raise UsageError(f"--cash {exc}") from None
        found[money.asset] = money.amount
    return found
