"""Exits that a venue cannot rest are refused before anything is bought there."""

import pytest

from tests.contract.places import SHARE
from tests.daemon.live import COIN, HouseVenue
from tests.emulators.houses import STOCK
from tradebot.adapters.alpaca.orders import kind_inability
from tradebot.app.protection import check_exits
from tradebot.config.loader import parse
from tradebot.core.model import Instrument, OrderKind
from tradebot.core.resting import Beside, Resting
from tradebot.errors import ConfigError

CONFIG = """\
version: 1
mode: paper
accounts:
  main: {{venue: house, keys: k}}
strategies:
  - id: above
    class: above.py:Above
    account: main
    instruments: [COIN/USD]
    interval: 1m
    sizing: {{kind: fixed_qty, qty: 1}}
    exits: {{{exits}}}
"""


class Venue(HouseVenue):
    """Only what it cannot rest is asked."""

    def __init__(self) -> None:
        """Stand nowhere."""


def check(exits: str) -> None:
    config = parse(CONFIG.format(exits=exits).encode(), "tradebot.yaml", (), env={}).config
    check_exits(config, "main", Venue(), {COIN.id: COIN})


@pytest.mark.parametrize(
    "exits",
    ["", "stop_loss: 8%", "take_profit: 5%, max_bars: 9", "stop_loss: 8%, trailing: 5%, where: engine"],
)
def test_what_can_rest_or_stays_in_the_engine_is_taken(exits: str) -> None:
    check(exits)


@pytest.mark.parametrize(
    ("exits", "said"),
    [
        ("trailing: 5%", "trailing: the house has no trailing stops"),
        ("stop_loss: 8%, take_profit: 9%", "stop_loss and take_profit cannot both rest there"),
    ],
)
def test_what_cannot_rest_is_named_with_the_way_out(exits: str, said: str) -> None:
    with pytest.raises(ConfigError) as caught:
        check(exits)

    assert "strategies[0].exits: must be able to rest at house, or say `where: engine`" in str(caught.value)
    assert said in str(caught.value)


@pytest.mark.parametrize(
    ("kind", "instrument", "can"),
    [
        (OrderKind.STOP, STOCK, True),
        (OrderKind.TRAILING_STOP, STOCK, False),
        (OrderKind.TRAILING_STOP, SHARE, True),
        (OrderKind.LIMIT, COIN, True),
        (OrderKind.STOP, COIN, False),
        (OrderKind.TRAILING_STOP, COIN, False),
    ],
)
def test_alpaca_rests_no_stops_of_crypto_and_trails_whole_shares(
    kind: OrderKind, instrument: Instrument, can: bool
) -> None:
    assert (kind_inability(kind, instrument) == "") is can


class Strict(Venue):
    """Takes nothing beside what protects."""

    resting = Resting(beside=Beside.NOTHING, pairs=True)


def test_a_stop_beside_which_another_strategy_could_not_trade_is_refused() -> None:
    words = CONFIG.format(exits="stop_loss: 8%, take_profit: 9%")
    second = words[words.index("  - id") :].replace("id: above", "id: other")
    alone, both = (
        parse(text.encode(), "tradebot.yaml", (), env={}).config for text in (words, words + second)
    )

    check_exits(alone, "main", Strict(), {COIN.id: COIN})
    with pytest.raises(ConfigError, match="COIN/USD is traded by other, too"):
        check_exits(both, "main", Strict(), {COIN.id: COIN})
