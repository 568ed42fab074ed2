"""Translate the configuration's words into the core's and the simulated venue's settings.

Owns the mapping and the defaults that need two sections at once (capital shares, annualisation).
What this version cannot run is refused by name (`misfits`), before anything starts.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from decimal import Decimal

from tradebot.app.misfits import account_misfits, base_currency, refuse, require_none, strategy_misfits
from tradebot.config import simulation as sim_words
from tradebot.config import strategies as words
from tradebot.config.models import Config
from tradebot.config.units import Money
from tradebot.core.annual import periods_per_year
from tradebot.core.model import ExitRules, Instrument, OrderKind, Tif
from tradebot.core.setup import (
    AccountSpec,
    ExecutionSpec,
    FirstEntry,
    LateEntry,
    Limits,
    OrderStyle,
    Resize,
    RetryRules,
    Schedule,
    StrategySpec,
)
from tradebot.core.sizing import (
    FixedNotional,
    FixedQty,
    FixedRisk,
    FractionOfEquity,
    Sizer,
    SizingSpec,
    VolatilityTarget,
)
from tradebot.core.strategy import Strategy, is_joint
from tradebot.sim.fees import BpsFees, FeeModel, NoFees, PerShareFees, ReceivedAssetFees, ThirdAssetFees
from tradebot.sim.latency import Delays, FixedLatency
from tradebot.sim.settings import (
    FillSettings,
    IntrabarPath,
    LimitImprove,
    LimitRule,
    MarketAt,
    SameBar,
    StopGap,
    StopThrough,
    TrailLift,
    TrailReference,
)
from tradebot.sim.slippage import (
    BpsSlippage,
    HalfSpread,
    NoSlippage,
    SlippageModel,
    TickSlippage,
    VolumeShareSlippage,
)

# Of the strategy's equity when nothing is said: the rest is room for a worse price at the open.
_DEFAULT_FRACTION = 0.95
_DEFAULT_FOR_WEIGHTS = 0.99


def account_spec(config: Config, name: str) -> AccountSpec:
    """Return the core's description of a simulated account and its limits."""
    require_none(account_misfits(config, name))
    account = config.accounts[name]
    base = base_currency(account)
    return AccountSpec(
        name=name,
        model=account.model,
        base_currency=base,
        cash={money.asset: money.amount for money in account.cash},
        capital=None if account.capital is None else account.capital.amount,
        limits=_limits(config),
        tells_dividends=account.venue != "sim",
    )


def not_simulated(config: Config, account: str) -> tuple[str, ...]:
    """Return one sentence for each setting of the file that a backtest leaves out of account."""
    asked = {
        "backtest.seed": config.backtest.seed != 0,
        **{
            f"strategies.{s.id}.late_entry": s.late_entry != words.LateEntry()
            for s in config.strategies
            if s.account == account
        },
    }
    return tuple(f"{key} has no effect on a backtest" for key, given in asked.items() if given)


def _limits(config: Config) -> Limits:
    words = config.limits
    return Limits(
        max_order=_float(words.max_order),
        max_position=_float(words.max_position),
        max_gross=_float(words.max_gross),
        max_drawdown=words.max_drawdown,
        max_daily_loss=words.max_daily_loss,
        max_orders_per_day=words.max_orders_per_day,
        max_orders_per_minute=words.max_orders_per_minute,
        max_order_qty=None if words.max_order_qty is None else float(words.max_order_qty),
        collar=words.collar,
        max_data_age=words.max_data_age,
        duplicate_window=words.duplicate_window,
        max_repeats=words.max_repeats,
        max_messages_per_second=words.max_messages_per_second,
    )


def _float(amount: Money | None) -> float | None:
    return None if amount is None else float(amount.amount)


def strategy_spec(
    strategy: words.Strategy,
    deciders: Mapping[str, Strategy],
    capital: Decimal | Mapping[str, Decimal],
    instruments: Mapping[str, Instrument],
) -> StrategySpec:
    """Return the core's description of one strategy."""
    require_none(strategy_misfits(strategy, instruments))
    resize, band = _resize(strategy.resize)
    schedule = strategy.schedule
    return StrategySpec(
        id=strategy.id,
        account=strategy.account,
        instruments=strategy.instruments,
        interval=strategy.interval or 0,
        deciders=deciders,
        sizing=_sizing(strategy, instruments[strategy.instruments[0]], deciders),
        capital=capital,
        exits=_exits(strategy.exits),
        style=_style(strategy.orders),
        execution=_execution(strategy.execution),
        resize=resize,
        band=band,
        first_entry=FirstEntry(strategy.first_entry),
        late_entry=LateEntry(max_bars=strategy.late_entry.max_bars, max_move=strategy.late_entry.max_move),
        retry=RetryRules(
            times=strategy.retry.times, first=strategy.retry.first, factor=strategy.retry.factor
        ),
        schedule=schedule_of(strategy),
        drift=None if schedule is None else schedule.drift,
    )


def schedule_of(strategy: words.Strategy) -> Schedule:
    """Return how often a portfolio is asked for its weights."""
    return Schedule.DAY if strategy.schedule is None else Schedule(strategy.schedule.every or "never")


def _resize(word: str | float) -> tuple[Resize, float]:
    return (Resize(word), 0.0) if isinstance(word, str) else (Resize.BAND, word)


def _sizing(strategy: words.Strategy, instrument: Instrument, deciders: Mapping[str, Strategy]) -> SizingSpec:
    match strategy.sizing:
        case None:
            weights = any(is_joint(decider) for decider in deciders.values())
            return FractionOfEquity(fraction=_DEFAULT_FOR_WEIGHTS if weights else _DEFAULT_FRACTION)
        case words.FixedQty() as s:
            return FixedQty(qty=float(s.qty))
        case words.FixedNotional() as s:
            return FixedNotional(notional=float(s.notional.amount))
        case words.FractionOfEquity() as s:
            return FractionOfEquity(fraction=s.fraction)
        case words.VolatilityTarget() as s:
            return VolatilityTarget(
                annual=s.target,
                window=s.lookback,
                periods_per_year=periods_per_year(strategy.interval or 0, instrument.calendar),
                max_fraction=s.max_fraction,
            )
        case words.FixedRisk() as s:
            stop = s.stop if s.stop is not None or s.atr is not None else strategy.exits.stop_loss
            return FixedRisk(
                risk=s.risk,
                stop=stop,
                atr_multiple=None if s.atr is None else float(s.atr.multiple),
                atr_window=14 if s.atr is None else s.atr.bars,
                max_fraction=s.max_fraction,
            )


def sizing_lookback(strategy: words.Strategy) -> int:
    """Return how many bars the sizing rule must have seen before it gives a size."""
    match strategy.sizing:
        case words.VolatilityTarget(lookback=bars):
            return bars + 1
        case words.FixedRisk(atr=words.AtrStop(bars=bars)):
            return Sizer(FixedRisk(risk=1.0, atr_multiple=1.0, atr_window=bars)).lookback
        case _:
            return 0


def _exits(exits: words.Exits) -> ExitRules:
    return ExitRules(
        stop_loss=exits.stop_loss,
        take_profit=exits.take_profit,
        trailing=exits.trailing,
        max_bars=exits.max_bars,
        after_exit=exits.after_exit,
        is_local=exits.where == "engine",
    )


def _style(orders: words.Orders) -> OrderStyle:
    auctions = {"opening_auction": Tif.AT_OPEN, "closing_auction": Tif.AT_CLOSE}
    return OrderStyle(
        kind=OrderKind(orders.type),
        collar=orders.collar,
        tif=Tif(orders.tif),
        auction=auctions.get(orders.at),
    )


def _execution(execution: words.Execution) -> ExecutionSpec:
    if isinstance(execution, words.Twap):
        return ExecutionSpec(kind="twap", slices=execution.slices, over=execution.over)
    return ExecutionSpec()


# --- the simulated venue --------------------------------------------------------------------------


def fill_settings(fills: sim_words.Fills) -> FillSettings:
    """Return the venue's fill rules."""
    rule = fills.limit_rule
    return FillSettings(
        market_at=MarketAt(fills.market_at),
        limit_rule=LimitRule.PENETRATE if isinstance(rule, int) else LimitRule(rule),
        penetrate_ticks=rule if isinstance(rule, int) else 1,
        limit_improve=LimitImprove(fills.limit_improve),
        stop_gap=StopGap(fills.stop_gap),
        intrabar_path=IntrabarPath(fills.intrabar_path),
        same_bar_entry_exit=SameBar(fills.same_bar_entry_exit),
        volume_cap=None if fills.volume_cap is None else Decimal(str(fills.volume_cap)),
        trail_lift=TrailLift(fills.trail.lift),
        trail_reference=TrailReference(fills.trail.reference),
        stop_through=StopThrough(fills.order.stop_through),
    )


def fee_model(
    fees: sim_words.Fees, rates: Mapping[str, str | Money], instruments: Iterable[Instrument]
) -> FeeModel:
    """Return the venue's fee model for these instruments.

    A fee in a third asset needs a fixed rate to the quote asset, which must be that of them all, or both
    one to a third.
    """
    if isinstance(fees, sim_words.NoFee):
        return NoFees()
    if isinstance(fees, sim_words.PerShareFee):
        return PerShareFees(
            rate=fees.rate, minimum=fees.min, cap=None if fees.cap is None else Decimal(str(fees.cap))
        )
    maker, taker = fees.maker_bps, fees.taker_bps
    if fees.asset == "quote":
        return BpsFees(maker=maker, taker=taker)
    if fees.asset == "base":
        return ReceivedAssetFees(maker=maker, taker=taker)
    quote, *more = sorted({instrument.quote for instrument in instruments})
    if more:
        message = f"must be quote or base where instruments are priced in {quote} and {more[0]} alike"
        raise refuse("fees.asset", f"{message}, was {fees.asset}")
    if fees.asset == quote:
        return BpsFees(maker=maker, taker=taker)
    rate, own = rates.get(fees.asset), rates.get(quote)
    if isinstance(rate, Money) and rate.asset == quote:
        own = Money(Decimal(1), quote)
    if not isinstance(rate, Money) or not isinstance(own, Money) or rate.asset != own.asset:
        message = f"fees in {fees.asset} need a fixed rate: rates: {{{fees.asset}: 300 {quote}}}"
        raise refuse("fees.asset", f"{message}, or fixed rates of both {fees.asset} and {quote} to the base")
    per_quote = own.amount / rate.amount
    return ThirdAssetFees(maker=maker, taker=taker, asset=fees.asset, per_quote=per_quote)


def slippage_model(slippage: sim_words.Slippage) -> SlippageModel:
    """Return the venue's slippage model."""
    match slippage:
        case sim_words.NoSlippage():
            return NoSlippage()
        case sim_words.BpsSlippage():
            return BpsSlippage(bps=float(slippage.bps))
        case sim_words.TickSlippage():
            if slippage.probability != 1.0:
                raise refuse(
                    "slippage.probability", "must be 100 %: the simulated venue draws no random numbers"
                )
            return TickSlippage(ticks=slippage.ticks)
        case sim_words.HalfSpreadSlippage():
            return HalfSpread(spread_bps=float(slippage.spread))
        case sim_words.VolumeShareSlippage():
            return VolumeShareSlippage(impact=float(slippage.impact))


def latency_model(latency: sim_words.Latency) -> FixedLatency:
    """Return how long commands travel to the venue."""
    return FixedLatency(submit=latency.order, cancel=latency.order, replace=latency.order)


def delays(latency: sim_words.Latency) -> Delays:
    """Return how long data and reports travel to us."""
    return Delays(data=latency.data, report=latency.report)


def assumptions(config: Config, account: str) -> tuple[str, ...]:
    """Return in sentences how fills of a simulated account are decided."""
    fills, fees = config.fills_of(account), config.fees_of(account)
    slippage, latency = config.slippage_of(account), config.latency_of(account)
    cap = (
        "orders never run out of volume"
        if fills.volume_cap is None
        else f"at most {fills.volume_cap:.4g} of a bar's volume"
    )
    return (
        f"market orders fill at {fills.market_at.replace('_', ' ')}; limits on {fills.limit_rule} "
        f"({fills.limit_improve.replace('_', ' ')}); stops over a gap at {fills.stop_gap.replace('_', ' ')}",
        f"inside a bar the path is {fills.intrabar_path.replace('_', ' ')}; {cap}",
        f"fees: {fees.kind}; slippage: {slippage.kind}; latency of orders: {latency.order / 1e9:g} s, "
        f"of data {latency.data / 1e9:g} s, of reports {latency.report / 1e9:g} s",
    )
