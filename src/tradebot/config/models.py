"""Name the whole configuration: accounts, strategies, limits, backtest, notifications.

The file language only; `app.py` maps it to core objects. Checks that need two sections at once
live in `checks`, because they must also speak when another section is wrong.
"""

from __future__ import annotations

import re
from decimal import Decimal
from typing import Annotated, Literal, Self, TypeVar

from pydantic import (
    Field,
    SecretStr,
    ValidationInfo,
    field_serializer,
    field_validator,
    model_validator,
)

from tradebot.config.fields import (
    Amount,
    AssetId,
    Count,
    InstrumentId,
    KeysDisagree,
    Length,
    Line,
    Loss,
    Name,
    OneOrMany,
    OrNone,
    Positive,
    Section,
)
from tradebot.config.shown import found
from tradebot.config.simulation import Fees, Fills, Latency, NoFee, NoSlippage, Slippage
from tradebot.config.strategies import Strategy
from tradebot.config.times import Moment
from tradebot.config.units import Cash, Json, Money, Unit, Whole, Word, text_of
from tradebot.core.model import MINUTE, SECOND, AccountModel

VENUE = r"[a-z][a-z0-9_]{1,31}"
_VENUE = Word(VENUE, "sim, alpaca or an exchange's id such as binance")
_FEED = Word(r"[A-Za-z0-9_./~-]{1,200}", "sample, a venue's name, or a file or folder of bars")
_BENCHMARK = Word(r"[A-Za-z0-9^][A-Za-z0-9./:@_^=-]{0,39}", "hold, none or an instrument")
_CALENDAR = Word(r"24/7|[A-Z][A-Z0-9_]{1,15}", "24/7 or a calendar such as XNYS")
_URL = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://[^\s]+")
_INSTRUMENT = Word(
    r"[A-Za-z0-9^][A-Za-z0-9./:@_^=-]{0,39}", "an instrument such as USDT/USD, or an amount such as 1 USD"
)
LIVE_NEEDS = (
    "max_drawdown",
    "max_daily_loss",
    "max_orders_per_day",
    "max_order",
    "max_position",
    "max_gross",
)


class _Version(Unit):
    """The version of the file language."""

    def read(self, value: object) -> int:
        if text_of(value) != "1":
            raise ValueError(f"must be 1, the only version this tradebot reads, was {found(value)}")
        return 1

    def write(self, value: int) -> int:
        return value

    def json_schema(self) -> Json:
        return {"const": 1}


class _Rate(Unit):
    """What one unit of an asset is worth: an instrument's price, or a fixed amount."""

    def read(self, value: object) -> str | Money:
        if isinstance(value, Money) or (isinstance(value, str) and " " in value):
            return Cash().read(value)
        return _INSTRUMENT.read(value)

    def json_schema(self) -> Json:
        return {"type": "string", "examples": ["USDT/USD", "1 USD"]}


class Replay(Section):
    """How stored data are played to a simulated account that trades them as if they came now."""

    from_: Annotated[int, Moment()] | None = Field(
        default=None, alias="from", description="First day, or a moment; the first stored if absent"
    )
    to: Annotated[int, Moment(end=True)] | None = Field(
        default=None, description="Last day (included), or a moment"
    )
    pace: Length | None = Field(
        default=None,
        description="Market time that passes in a second; absent: as fast as it can be traded",
    )


class Account(Section):
    """Money at one venue, real or simulated."""

    venue: Annotated[str, _VENUE] = Field(description="sim | alpaca | an exchange's id")
    feed: Annotated[str, _FEED] | None = Field(
        default=None, description="sample | a venue | a file; or the venue's feed"
    )
    cash: Annotated[tuple[Amount, ...], OneOrMany()] = Field(
        default=(), description="Starting cash of a simulated account: 10000 USD, or a list of amounts"
    )
    model: AccountModel = Field(
        default=AccountModel.CASH, description="margin may go short and borrow; cash may not"
    )
    base: AssetId | None = Field(
        default=None, description="Currency of reports; the first cash currency if absent"
    )
    account_id: Line | None = Field(default=None, description="The venue's own id; compared at start")
    keys: Name | None = Field(default=None, description="NAME of the stored API keys, never the keys")
    url: Line | None = Field(
        default=None, description="Address of an emulated venue on this machine, instead of the venue's own"
    )
    capital: Amount | None = Field(default=None, description="Most that tradebot may use of the account")
    shares: Literal["whole", "fractional"] = Field(
        default="whole", description="Whether parts of a share are traded, where the venue has them"
    )
    not_mine: Literal["ignore", "halt"] = Field(
        default="ignore", description="What positions and orders that are not tradebot's mean"
    )
    replay: Replay = Field(default=Replay(), description="How a paper run plays a feed of stored data")
    fees: Fees | None = Field(default=None, description="Instead of the file's fees")
    fills: Fills | None = Field(default=None, description="Keys that differ from the file's fills")
    slippage: Slippage | None = Field(default=None, description="Instead of the file's slippage")
    latency: Latency | None = Field(default=None, description="Keys that differ from the file's latency")


class Limits(Section):
    """What the risk gate never lets pass."""

    max_drawdown: Loss | None = Field(default=None, description="Loss from the highest equity that halts")
    max_daily_loss: Loss | None = Field(default=None, description="Loss of a day that halts until the next")
    max_orders_per_day: Count | None = None
    max_orders_per_minute: Count | None = None
    max_messages_per_second: Count | None = Field(
        default=None,
        description="Orders, changes and cancels; cancels always leave, exits have as many again",
    )
    max_repeats: Count | None = Field(
        default=None, description="Orders of one side that may trade in a minute towards one target"
    )
    duplicate_window: Length | None = Field(
        default=None, description="How soon the same order may be sent again"
    )
    max_order: Amount | None = Field(default=None, description="Largest notional of one order")
    max_order_qty: Positive | None = Field(default=None, description="Largest quantity of one order")
    max_position: Amount | None = Field(default=None, description="Largest notional of one instrument")
    max_gross: Amount | None = Field(
        default=None, description="Largest sum of all positions, longs and shorts"
    )
    collar: Loss | None = Field(
        default=None, description="Farthest an order's price may be from the last price"
    )
    max_data_age: Length | None = Field(
        default=None, description="How overdue the next price may be when an order is sent"
    )
    time_budget: Length = Field(
        default=10 * SECOND,
        description="Longest that one call of a strategy may take; over it, the strategy is halted",
    )


class Backtest(Section):
    """What a backtest covers and compares with."""

    from_: Annotated[int, Moment()] | None = Field(
        default=None, alias="from", description="First day, or a moment"
    )
    to: Annotated[int, Moment(end=True)] | None = Field(
        default=None, description="Last day (included), or a moment"
    )
    benchmark: Annotated[str, _BENCHMARK] = Field(
        default="hold", description="hold (buy and hold what the strategies trade) | none | an instrument"
    )
    close_open_positions_at_end: Literal["leave", "force"] = "leave"
    seed: Annotated[int, Whole(at_least=0, at_most=2**53)] = 0

    @field_validator("to")
    @classmethod
    def _after_from(cls, to: int | None, info: ValidationInfo) -> int | None:
        start = info.data.get("from_")
        if to is not None and start is not None and to <= start:
            unit = Moment()
            raise KeysDisagree(f"must be later than from ({unit.write(start)}), was {unit.write(to)}")
        return to


class Data(Section):
    """Where bars and quotes are kept, and what a missing bar means."""

    dir: Line | None = Field(default=None, description="Folder of the catalogue")
    gap_policy: Literal["keep", "jesse_bridge", "fill_forward"] = "keep"


class Notify(Section):
    """One place that is told: a `url` for messages, or a `ping` that proves life."""

    url: SecretStr | None = Field(default=None, description="An apprise URL; take it from ${VAR}")
    from_: Literal["info", "warning", "error", "critical"] = Field(default="warning", alias="from")
    ping: SecretStr | None = Field(default=None, description="A health-check URL; take it from ${VAR}")
    every: Length = Field(default=5 * MINUTE, description="How often ping is called")

    @field_validator("url", "ping", mode="before")
    @classmethod
    def _is_url(cls, value: object) -> object:
        if isinstance(value, SecretStr) or value is None:
            return value
        if not isinstance(value, str) or not _URL.fullmatch(value):
            what = "${VAR} that holds a URL" if not isinstance(value, str) else "a URL such as ${NOTIFY_URL}"
            raise ValueError(f"must be {what}, was {found(value)}")
        return str(value)

    @model_validator(mode="after")
    def _one_of_two(self) -> Self:
        if (self.url is None) == (self.ping is None):
            which = "neither" if self.url is None else "both"
            raise KeysDisagree(f"must have either url (for messages) or ping (proof of life), had {which}")
        return self

    @field_serializer("url", "ping")
    def _redacted(self, value: SecretStr | None) -> str | None:
        return None if value is None else "***"


class Metrics(Section):
    """The page with figures for a Prometheus on the same machine."""

    port: Annotated[int | None, OrNone(Whole(at_least=0, at_most=65_535))] = Field(
        default=9477, description="Port on 127.0.0.1 for /metrics; 0 takes a free one, none serves nothing"
    )


class Unknown(Section):
    """What happens to an order whose fate the venue cannot tell."""

    release_after: Length | None = Field(
        default=None,
        description="Absent this long, its symbol trades again; without it only the owner lets go",
    )


def _default_accounts() -> dict[str, Account]:
    return {"main": Account(venue="sim", feed="sample", cash=(Money(Decimal(10_000), "USD"),))}


class Config(Section):
    """One tradebot.yaml."""

    version: Annotated[int, _Version()] = Field(description="version: 1, the language of this file")
    mode: Literal["paper", "live"] = Field(
        default="paper", description="live also needs --live on the command line"
    )
    accounts: dict[Name, Account] = Field(default_factory=_default_accounts, min_length=1)
    strategies: tuple[Strategy, ...] = Field(min_length=1)
    limits: Limits = Limits()
    backtest: Backtest = Backtest()
    data: Data = Data()
    fills: Fills = Field(
        default=Fills(), description="How every simulated account fills; an account may differ"
    )
    fees: Fees = NoFee()
    slippage: Slippage = NoSlippage()
    latency: Latency = Latency()
    notify: tuple[Notify, ...] = ()
    metrics: Metrics = Metrics()
    calendars: dict[InstrumentId, Annotated[str, _CALENDAR]] = Field(
        default_factory=dict, description="Trading calendar of an instrument, instead of its own"
    )
    rates: dict[AssetId, Annotated[str | Money, _Rate()]] = Field(
        default_factory=dict, description="What an asset is worth: an instrument, or an amount such as 1 USD"
    )
    unknown: Unknown = Unknown()

    def fills_of(self, account: str) -> Fills:
        """Return the fill rules of an account: the file's, with the keys that the account gives."""
        return merged(self.fills, self.accounts[account].fills)

    def fees_of(self, account: str) -> Fees:
        """Return the fee model of an account."""
        own = self.accounts[account].fees
        return self.fees if own is None else own

    def slippage_of(self, account: str) -> Slippage:
        """Return the slippage model of an account."""
        own = self.accounts[account].slippage
        return self.slippage if own is None else own

    def latency_of(self, account: str) -> Latency:
        """Return the latencies of an account: the file's, with the keys that the account gives."""
        return merged(self.latency, self.accounts[account].latency)


_S = TypeVar("_S", bound=Section)


def merged(base: _S, own: _S | None) -> _S:
    """Return `base` with the keys that `own` was given, sections inside sections alike."""
    if own is None:
        return base
    changed: dict[str, object] = {}
    for name in own.model_fields_set:
        theirs, ours = getattr(base, name), getattr(own, name)
        changed[name] = merged(theirs, ours) if isinstance(ours, Section) else ours
    return base.model_copy(update=changed)
