"""Factories for records and whole runs; the numbers are invented, the bookkeeping is not."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal

import numpy as np

from tradebot.core.model import DAY, MINUTE, AssetClass, Instrument, OrderKind, Side
from tradebot.report.result import (
    FillRecord,
    FloatArray,
    OpenOrder,
    RunMode,
    RunResult,
    StrategyRef,
    TsArray,
    costs_of,
)
from tradebot.report.roundtrips import round_trips
from tradebot.report.series import candles_from_prices, candles_of

START = 1_704_067_200_000_000_000  # 2024-01-01T00:00:00Z, a Monday


def make_instrument(name: str = "SPX", *, calendar: str = "XNYS", quote: str = "USD") -> Instrument:
    return Instrument(
        id=name,
        base=name,
        quote=quote,
        asset_class=AssetClass.STOCK,
        tick_size=Decimal("0.01"),
        lot_size=Decimal("0.001"),
        calendar=calendar,
    )


def make_fill(
    side: Side,
    qty: str,
    price: str,
    *,
    n: int = 0,
    order: str | None = None,
    fee: str = "0",
    instrument: str = "SPX",
    ts: int | None = None,
    **more: object,
) -> FillRecord:
    fill = FillRecord(
        fill_id=f"f{n}",
        order_id=f"o{n}" if order is None else order,
        strategy="trend",
        instrument=instrument,
        side=side,
        qty=Decimal(qty),
        price=Decimal(price),
        ts=START + n * DAY if ts is None else ts,
        fee=Decimal(fee),
    )
    return replace(fill, **more)  # type: ignore[arg-type]


def days(count: int, *, first: int = START) -> TsArray:
    return first + DAY * np.arange(1, count + 1, dtype=np.int64)


def make_result(equity: list[float] | FloatArray, ts: TsArray | None = None, **more: object) -> RunResult:
    curve = np.asarray(equity, dtype=np.float64)
    stamps = days(len(curve)) if ts is None else ts
    result = RunResult(
        run_id="2024-06-01T0910-trend",
        label="trend",
        mode=RunMode.BACKTEST,
        strategies=(StrategyRef(id="trend", class_path="ma_crossover.py:MovingAverageCrossover"),),
        instruments=(make_instrument(),),
        interval=DAY,
        start_ts=int(stamps[0]),
        end_ts=int(stamps[-1]),
        base_currency="USD",
        data_source="catalogue",
        equity_ts=stamps,
        equity=curve,
    )
    return replace(result, **more)  # type: ignore[arg-type]


def make_walk(count: int, *, seed: int = 7, start: float = 100.0, step: float = 4e-4) -> FloatArray:
    """A geometric walk with volatility that clusters; prices on a grid of 0.01."""
    rng = np.random.default_rng(seed)
    calm = np.exp(0.6 * np.sin(np.arange(count) / (count / 17 + 1)))
    path = start * np.exp(np.cumsum(rng.normal(step**2 * 2, step, count) * calm))
    return np.round(path, 2)


def make_year(
    *, instruments: tuple[str, ...] = ("BTC/USD",), bars: int = 525_600, every: int = 600, seed: int = 7
) -> RunResult:
    """A year of minutes on `instruments`: trades by moving average every `every` bars, fees, benchmark."""
    ts = START + MINUTE * np.arange(1, bars + 1, dtype=np.int64)
    cash = np.zeros(bars)
    worth = np.zeros(bars)
    gross = np.zeros(bars)
    benchmark = np.zeros(bars)
    fills: list[FillRecord] = []
    candles = []
    for k, name in enumerate(instruments):
        price = make_walk(bars, seed=seed + k)
        open_ = np.concatenate((price[:1], price[:-1]))
        candles.append(
            candles_of(
                name,
                ts,
                open_,
                np.maximum(open_, price) + 0.02,
                np.minimum(open_, price) - 0.02,
                price,
                interval=MINUTE,
            )
        )
        decisions = np.arange(every, bars - 1, every)
        held = np.zeros(bars)
        position = 0
        for i in decisions:
            want = 1 if price[i] > price[i - every] else (0 if i % (3 * every) else -1)
            if want == position:
                continue
            qty, position = (want - position) * 60, want
            fills.append(_year_fill(name, int(ts[i]), qty, float(price[i]), len(fills)))
            held[i:] += qty
            cash[i:] -= float(fills[-1].fee) + qty * price[i]
        worth += held * price
        gross += np.abs(held) * price
        benchmark += price / price[0] / len(instruments)
    fills.sort(key=lambda f: f.ts)
    capital = 10_000.0
    equity = capital + cash + worth
    done = tuple(fills)
    return make_result(
        equity,
        ts,
        label="trend_minutes",
        strategies=(
            StrategyRef(
                id="trend",
                class_path="ma_crossover.py:MovingAverageCrossover",
                params={"fast": "50", "slow": "200"},
            ),
        ),
        instruments=tuple(make_instrument(n, calendar="24/7") for n in instruments),
        interval=MINUTE,
        data_source="bundled synthetic market, seed 7",
        data_label="SYNTHETIC",
        benchmark_equity=capital * benchmark,
        exposure=gross / equity,
        candles=tuple(candles),
        trades=round_trips(done, bar_ts=ts),
        fills=done,
        costs=costs_of(done),
        assumed_fills=sum(f.assumed for f in done),
        open_orders=(
            OpenOrder(
                order_id="a1",
                strategy="trend",
                instrument=instruments[0],
                side=Side.SELL,
                kind=OrderKind.STOP,
                qty=Decimal(10),
                price=Decimal("91.20"),
            ),
        ),
        assumptions=("A market order decided on a close fills at the next open.",),
        check_verdict="no look-ahead found in 64 sampled bars",
        repeat_command="tradebot backtest --from-run 2024-06-01T0910-trend",
        config_digest="8f31c2aa",
        code_digest="11aa22bb",
        data_digest="99ff00ee",
        denials={"max_orders_per_day": 3},
        created_ts=START + 400 * DAY,
        version="0.1.0",
    )


def make_quotes_run(*, seconds: int = 600, seed: int = 3) -> RunResult:
    """Ten minutes of market making: a quote every 100 ms, thousands of small fills on both sides."""
    rng = np.random.default_rng(seed)
    count = seconds * 10
    ts = START + 100_000_000 * np.arange(1, count + 1, dtype=np.int64)
    mid = np.round(20_000 + np.cumsum(rng.normal(0, 0.4, count)), 2)
    qty = np.zeros(count)
    hits = np.flatnonzero(rng.random(count) < 0.35)
    inventory = 0
    fills = []
    for n, i in enumerate(hits.tolist()):
        buy = rng.random() < 0.5 - inventory / 80
        inventory += 1 if buy else -1
        qty[i:] += 0.01 if buy else -0.01
        price = mid[i] - 0.8 if buy else mid[i] + 0.8
        fills.append(
            make_fill(
                Side.BUY if buy else Side.SELL,
                "0.01",
                f"{price:.2f}",
                n=n,
                ts=int(ts[i]),
                instrument="BTC/USDT@binance",
                fee="-0.01",
                reason="quote",
            )
        )
    done = tuple(fills)
    spent = np.zeros(count)
    for f, i in zip(done, hits.tolist(), strict=True):
        spent[i:] += float(f.notional) * f.side.sign + float(f.fee)
    equity = 10_000.0 - spent + qty * mid
    return make_result(
        equity,
        ts,
        label="market_making",
        instruments=(make_instrument("BTC/USDT@binance", calendar="24/7", quote="USDT"),),
        interval=0,
        base_currency="USDT",
        data_source="recorded quotes",
        exposure=np.abs(qty) * mid / equity,
        net_exposure=qty * mid / equity,
        candles=(candles_from_prices("BTC/USDT@binance", ts, mid, most=600),),
        trades=round_trips(done),
        fills=done,
        costs=costs_of(done),
    )


def _year_fill(instrument: str, ts: int, qty: int, price: float, n: int) -> FillRecord:
    side = Side.BUY if qty > 0 else Side.SELL
    cents = Decimal(str(round(price, 2)))
    return make_fill(
        side,
        str(abs(qty)),
        str(cents),
        n=n,
        ts=ts,
        instrument=instrument,
        fee=str((cents * abs(qty) * Decimal("0.001")).quantize(Decimal("1e-8"))),
        slippage=Decimal(abs(qty)) * Decimal("0.01"),
        assumed=n % 17 == 0,
        reason="stop_loss" if n % 9 == 0 else "sma50 over sma200" if qty > 0 else "sma50 under sma200",
    )
