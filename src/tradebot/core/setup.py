"""Describe one run to the engine: accounts, instruments, strategies, rules.

Owns the frozen settings that the composition root builds from the configuration. Refuses
files, units and defaults of the configuration language: those belong to `config`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from enum import Enum

from tradebot.core.model import (
    DEFAULT_QUANTUM,
    MINUTE,
    NO_EXITS,
    AccountModel,
    ExitRules,
    Instrument,
    LotMethod,
    OrderKind,
    Tif,
)
from tradebot.core.quantize import money
from tradebot.core.resting import FREELY, Resting
from tradebot.core.sizing import SizingSpec
from tradebot.core.strategy import Strategy


class Resize(Enum):
    """When a standing target's quantity is worked out again."""

    ON_CHANGE = "on_change"
    ALWAYS = "always"
    BAND = "band"


class FirstEntry(Enum):
    """Whether a signal that already stands at the start is acted on."""

    AT_ONCE = "at_once"
    NEXT_SIGNAL = "next_signal"


class Schedule(Enum):
    """How often a portfolio strategy is asked for its weights: at the first bar of each period (UTC)."""

    NEVER = "never"
    DAY = "day"
    WEEK = "week"
    MONTH = "month"
    QUARTER = "quarter"


@dataclass(frozen=True, slots=True, kw_only=True)
class LateEntry:
    """What to do about a signal that came while nobody was watching; None = no limit.

    `max_bars` of the strategy's interval since the signal, `max_move` as a fraction of its price.
    """

    max_bars: int | None = None
    max_move: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderStyle:
    """How a difference becomes an order.

    LIMIT orders are placed `collar` (a fraction) beyond the last price on the paying side.
    `auction` sends decisions into the opening or closing auction (AT_OPEN, AT_CLOSE) instead of
    the continuous market. Without it a decision of a closed session waits and goes out at the open.
    """

    kind: OrderKind = OrderKind.MARKET
    collar: float | None = None
    tif: Tif = Tif.GTC
    auction: Tif | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class RetryRules:
    """How a rejected or denied difference is tried again.

    `times` at most: after `first` ns, then after `factor` times as long as the wait before.
    """

    times: int = 3
    first: int = MINUTE
    factor: Decimal = Decimal(2)


@dataclass(frozen=True, slots=True, kw_only=True)
class ExecutionSpec:
    """How a quantity is sent: at once, or in `slices` over `over` ns (TWAP).

    `on_late` says what a slice does whose time passed while nobody was watching: catch_up
    (sent with the next one) or expire.
    """

    kind: str = "immediate"
    slices: int = 1
    over: int = 0
    on_late: str = "catch_up"


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """Pre-trade limits and breakers; None = not set. Amounts in the account's base currency.

    Fractions are of the account's equity: drawdown from its peak, loss since the day began; `collar` is
    how far a limit price may lie from the last price on the paying side. `max_data_age` (ns) is how
    overdue the next price may be, `duplicate_window` (ns) how soon the same order may be sent again,
    `max_repeats` how many orders of one side may trade within a minute towards one target.
    """

    max_order: float | None = None
    max_position: float | None = None
    max_gross: float | None = None
    max_drawdown: float | None = None
    max_daily_loss: float | None = None
    max_orders_per_day: int | None = None
    max_orders_per_minute: int | None = None
    max_order_qty: float | None = None
    collar: float | None = None
    max_data_age: int | None = None
    duplicate_window: int | None = None
    max_repeats: int | None = None
    max_messages_per_second: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class AccountSpec:
    """An account, its first money, and how it keeps lots.

    `settle_after` is how long (ns) the cash of a sale takes to settle; 0 for crypto. `capital` is the
    most that strategies get of it: with it, only what they own counts for the limits. `tells_dividends`:
    the venue says when one was paid; until then it is owed, whatever the day.
    """

    name: str
    model: AccountModel
    base_currency: str
    cash: Mapping[str, Decimal]
    lot_method: LotMethod = LotMethod.FIFO
    settle_after: int = 0
    capital: Decimal | None = None
    limits: Limits = Limits()
    tells_dividends: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class StrategySpec:
    """A strategy with the objects that decide: one per instrument, or one for all of them.

    `capital` is what its sub-ledger gets of the account's first cash: a share of each asset (0..1), or
    amounts by asset.
    `interval` in ns (0 for quote strategies). `renew` builds a decider with no memory for an
    instrument that may split; without it a split leaves the memory as it is. A portfolio's
    `settings` and `code` are recorded when they change. A portfolio's
    `weights` are asked once per `schedule`, and when one is `drift` away from what it said.
    `is_disabled`: it is never called in this run; what it holds stays protected.
    """

    id: str
    account: str
    instruments: tuple[str, ...]
    interval: int
    deciders: Mapping[str, Strategy]
    sizing: SizingSpec
    capital: Decimal | Mapping[str, Decimal]
    exits: ExitRules = NO_EXITS
    style: OrderStyle = OrderStyle()
    execution: ExecutionSpec = ExecutionSpec()
    resize: Resize = Resize.ON_CHANGE
    band: float = 0.0
    first_entry: FirstEntry = FirstEntry.AT_ONCE
    late_entry: LateEntry = LateEntry()
    retry: RetryRules = RetryRules()
    schedule: Schedule = Schedule.DAY
    drift: float | None = None
    grace: int = MINUTE
    settings: str = ""
    code: str = ""
    renew: Callable[[str], Strategy] | None = None
    is_disabled: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Setup:
    """Everything the engine needs to know before the first input.

    `quanta` names assets whose smallest amount is not DEFAULT_QUANTUM. `instance` is the two
    characters that open every client order id. `needs_reconcile`: nothing increases an account's
    exposure before it was compared with the venue. `remembers`: what a restart could not work out again
    from bars is written down. `flatten_collar` (a fraction) is how far beyond the last price an owner's
    flatten first reaches where the account has no collar of its own; None: it goes to the market, as
    at the end of a backtest's data. `can_replace`: the venue puts one order in another's place in one
    step; without it a quote that moves is cancelled, and sent anew with the next price. `resting`: how
    the venue keeps protective orders. `hide` takes secrets out of what a strategy's error says.
    """

    instruments: Mapping[str, Instrument]
    accounts: tuple[AccountSpec, ...]
    strategies: tuple[StrategySpec, ...]
    quanta: Mapping[str, Decimal]
    instance: str = "tb"
    needs_reconcile: bool = False
    remembers: bool = False
    flatten_collar: float | None = None
    can_replace: bool = True
    resting: Resting = FREELY
    hide: Callable[[str], str] = str

    def quantum(self, asset: str) -> Decimal:
        """Return the smallest amount of an asset."""
        return self.quanta.get(asset, DEFAULT_QUANTUM)


def part_of_cash(
    capital: Decimal | Mapping[str, Decimal], asset: str, amount: Decimal, quantum: Decimal
) -> Decimal:
    """Return a strategy's part of an account's first `amount` of an asset, to the quantum."""
    part = amount * capital if isinstance(capital, Decimal) else capital.get(asset, Decimal(0))
    return min(money(part, quantum), amount)
