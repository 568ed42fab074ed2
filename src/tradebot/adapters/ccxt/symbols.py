"""Turn an exchange's markets into instruments, and keep the table between the two names.

Owns the table: a name is looked up, never cut into pieces. Refuses derivatives, and two instruments that
would share one balance.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from decimal import Decimal, InvalidOperation
from typing import Any

from tradebot.core.model import AssetClass, Instrument
from tradebot.errors import BadData, ConfigError, Problem

_DECIMAL_PLACES, _TICK_SIZE = 2, 4  # ccxt's precision modes; significant digits (3) are no grid


class Symbols:
    """The instruments that are traded, by our id and by ccxt's symbol."""

    def __init__(
        self, exchange: str, instruments: Mapping[str, Instrument], symbols: Mapping[str, str]
    ) -> None:
        self.exchange = exchange
        self.instruments = dict(instruments)
        self._symbols = dict(symbols)
        self._ids = {symbol: name for name, symbol in symbols.items()}

    def symbol(self, instrument: str) -> str:
        """Return ccxt's name of an instrument that is in the table."""
        return self._symbols[instrument]

    def instrument(self, symbol: object) -> Instrument | None:
        """Return the instrument of a symbol, None for one that we do not trade."""
        name = self._ids.get(symbol) if isinstance(symbol, str) else None
        return None if name is None else self.instruments[name]

    def knows(self, instrument: str) -> bool:
        return instrument in self._symbols

    def joined(self, other: Symbols) -> Symbols:
        """Return the table of both: accounts that share a feed need not share a balance."""
        return Symbols(self.exchange, self.instruments | other.instruments, self._symbols | dict(other))

    def __iter__(self) -> Iterator[tuple[str, str]]:
        return iter(self._symbols.items())


def symbols_of(exchange: str, markets: Mapping[str, Any], names: Sequence[str], mode: int) -> Symbols:
    """Return the table of `names`: ccxt's symbols ("BTC/USDT"), with or without "@exchange" after them.

    `markets` are ccxt's, `mode` its precision mode. Raises ConfigError naming everything that cannot be.
    """
    known = dict(markets) | {f"{symbol}@{exchange}": market for symbol, market in markets.items()}
    instruments: dict[str, Instrument] = {}
    symbols: dict[str, str] = {}
    problems: list[str] = []
    for name in names:
        market = known.get(name)
        if market is None:
            problems.append(f"{name}: {exchange} has no such market{_near(name, markets)}")
            continue
        try:
            instruments[name] = instrument_of(name, market, mode)
            symbols[name] = str(market["symbol"])
        except BadData as exc:
            problems.append(f"{name}: {exc}")
    problems += _shared(instruments)
    if problems:
        raise ConfigError([Problem(file=exchange, line=None, key="instruments", message=p) for p in problems])
    return Symbols(exchange, instruments, symbols)


def symbols_for(exchange: str, instruments: Mapping[str, Instrument]) -> Symbols:
    """Return the table of instruments that came from the exchange. Raises ConfigError for a shared balance."""
    problems = _shared(instruments)
    if problems:
        raise ConfigError([Problem(file=exchange, line=None, key="instruments", message=p) for p in problems])
    return Symbols(exchange, instruments, {i.id: f"{i.base}/{i.quote}" for i in instruments.values()})


def instrument_of(name: str, market: Mapping[str, Any], mode: int) -> Instrument:
    """Return the instrument of one of ccxt's markets. Raises BadData for what cannot be traded here."""
    if not market.get("spot") or market.get("contract"):
        raise BadData(f"must be a spot market, is {market.get('type')}: derivatives are not traded")
    if market.get("active") is False:
        raise BadData("is not open for trading at the exchange")
    precision, limits = _map(market, "precision"), _map(market, "limits")
    amounts, costs = _map(limits, "amount"), _map(limits, "cost")
    return Instrument(
        id=name,
        base=str(market["base"]),
        quote=str(market["quote"]),
        asset_class=AssetClass.CRYPTO,
        tick_size=_grid(precision.get("price"), mode, "price"),
        lot_size=_grid(precision.get("amount"), mode, "quantity"),
        min_qty=amount(amounts.get("min")) or Decimal(0),
        min_notional=amount(costs.get("min")) or Decimal(0),
        shortable=False,
    )


def amount(value: object) -> Decimal | None:
    """Return one of ccxt's numbers exactly as the exchange wrote it, None where it gave none.

    Raises BadData for what is no finite number.
    """
    if value is None or value == "":
        return None
    try:
        number = Decimal(str(value))
    except InvalidOperation:
        raise BadData(f"a number must be a number, was {str(value)[:40]!r}") from None
    if isinstance(value, bool) or not number.is_finite() or abs(number.adjusted()) > 40:
        raise BadData(f"a number must be finite and of a size that exists, was {str(value)[:40]!r}")
    return number


def _grid(value: object, mode: int, what: str) -> Decimal:
    number = amount(value)
    if number is None or mode not in (_DECIMAL_PLACES, _TICK_SIZE):
        raise BadData(f"the exchange names no grid for its {what}")
    step = Decimal(1).scaleb(-int(number)) if mode == _DECIMAL_PLACES else number
    if step <= 0:
        raise BadData(f"the step of a {what} must be positive, was {step}")
    return step.normalize()


def _map(parent: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    found = parent.get(key)
    return found if isinstance(found, Mapping) else {}


def _shared(instruments: Mapping[str, Instrument]) -> list[str]:
    """Return what makes a balance ambiguous: an exchange holds amounts of assets, not of instruments."""
    bases: dict[str, str] = {}
    quotes = {inst.quote: name for name, inst in instruments.items()}
    problems: list[str] = []
    for name, inst in instruments.items():
        if inst.base in bases:
            problems.append(
                f"{name} and {bases[inst.base]} share the balance of {inst.base}: one account, one of them"
            )
        if inst.base in quotes:
            problems.append(
                f"{name} is bought for what {quotes[inst.base]} pays with ({inst.base}): one of them"
            )
        bases.setdefault(inst.base, name)
    return problems


def _near(name: str, markets: Mapping[str, Any]) -> str:
    letters = "".join(c for c in name.upper() if c.isalnum())
    near = [
        s for s in markets if letters and "".join(c for c in s.upper() if c.isalnum()).startswith(letters[:6])
    ][:4]
    return f"; it has {', '.join(near)}" if near else ""
