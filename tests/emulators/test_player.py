"""A made-up past comes to where the market is, in days, hours and its last minutes."""

from tests.emulators.houses import T0
from tradebot.core.model import ALWAYS_OPEN, DAY, HOUR, MINUTE
from tradebot.data.synthetic import Market
from tradebot.emulators.player import made_up_past


def test_a_made_up_past_ends_at_todays_price() -> None:
    market = Market(instrument="BTC/USD", price=500.0)

    past = made_up_past(market, seed=1, end=T0, days=10, calendar=ALWAYS_OPEN)

    by_interval = {i: [b for b in past if b.interval == i] for i in (MINUTE, HOUR, DAY)}
    assert [len(by_interval[i]) for i in (DAY, HOUR, MINUTE)] == [9, 239, 5 * 1440]
    last = by_interval[MINUTE][-1]
    assert (last.ts, round(last.close, 2)) == (T0, 500.0)


def test_a_made_up_past_of_a_stock_has_the_days_of_its_exchange() -> None:
    market = Market(instrument="SPY", price=600.0)

    past = made_up_past(market, seed=1, end=T0, days=14, calendar="XNYS")

    assert 9 <= sum(bar.interval == DAY for bar in past) <= 10
