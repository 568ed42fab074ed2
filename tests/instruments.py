"""What is traded in tests: coins and shares on a grid of cents."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from tradebot.core.model import AssetClass, Instrument


def make_coin(name: str = "COIN", *, quote: str = "USD", lot: str = "0.001", **terms: Any) -> Instrument:
    """Return a coin; a name with a slash, such as BTC/USDT, says its quote itself."""
    base, _, said = name.partition("/")
    return _made(name, base, said or quote, AssetClass.CRYPTO, lot, terms)


def make_share(name: str = "STOCK", *, lot: str = "1", **terms: Any) -> Instrument:
    """Return a share in dollars on the calendar of New York."""
    return _made(name, name, "USD", AssetClass.STOCK, lot, {"calendar": "XNYS", **terms})


def _made(
    name: str, base: str, quote: str, asset_class: AssetClass, lot: str, terms: dict[str, Any]
) -> Instrument:
    return Instrument(
        id=name,
        base=base,
        quote=quote,
        asset_class=asset_class,
        tick_size=Decimal("0.01"),
        lot_size=Decimal(lot),
        **terms,
    )
