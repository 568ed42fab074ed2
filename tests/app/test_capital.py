"""What each strategy gets of an account's first money."""

from __future__ import annotations

from decimal import Decimal

import pytest

from tradebot.app import plan
from tradebot.app.capital import Capital, capital_of
from tradebot.config.loader import parse
from tradebot.config.models import Config
from tradebot.errors import ConfigError

D = Decimal


def config(account: str, *capitals: str) -> Config:
    rows = [
        f"  - {{id: s{i}, class: a.py:A, instruments: [X], interval: 1d{capital and f', capital: {capital}'}}}"
        for i, capital in enumerate(capitals)
    ]
    text = "\n".join([f"version: 1\naccounts: {{main: {{venue: sim, {account}}}}}\nstrategies:", *rows, ""])
    return parse(text.encode(), "t.yaml").config


@pytest.mark.parametrize(
    ("account", "capitals", "found"),
    [
        ("cash: 10000 USD", ("", ""), [D("0.5"), D("0.5")]),
        ("cash: [10000 USD, 600 EUR]", ("70%", ""), [D("0.7"), D("0.3")]),
        ("cash: 10000 USD", ("4000 USD", ""), [{"USD": D(4000)}, {"USD": D(6000)}]),
        (
            "cash: [10000 USD, 600 EUR]",
            ("4000 USD", "", ""),
            [{"USD": D(4000)}, {"USD": D(3000), "EUR": D(300)}, {"USD": D(3000), "EUR": D(300)}],
        ),
        (
            "cash: [10000 USD, 600 EUR]",
            ("4000 USD", "50%"),
            [{"USD": D(4000)}, {"USD": D(5000), "EUR": D(300)}],
        ),
        ("cash: [10000 USD, 600 EUR], capital: 5000 USD", ("20%", ""), [{"USD": D(1000)}, {"USD": D(4000)}]),
        ("cash: 3000 USD, capital: 5000 USD", ("",), [{"USD": D(3000)}]),
    ],
)
def test_an_amount_is_of_its_asset_alone_and_a_share_of_each(
    account: str, capitals: tuple[str, ...], found: list[Capital]
) -> None:
    assert list(capital_of(config(account, *capitals), "main").values()) == found


@pytest.mark.parametrize(
    ("account", "capitals", "said"),
    [
        ("cash: 10000 USD", ("300 EUR",), "account main has no EUR to take 300 EUR from"),
        (
            "cash: 10000 USD",
            ("6000 USD", "50%"),
            "the strategies' capital must not exceed the 10000 USD that account main may use, was 11000 USD",
        ),
        (
            "cash: 10000 USD, capital: 5000 USD",
            ("6000 USD",),
            "the strategies' capital must not exceed the 5000 USD that account main may use, was 6000 USD",
        ),
        ("cash: 10000 USD", ("10000 USD", ""), "nothing of account main is left"),
        (
            "cash: 600 EUR, base: EUR, capital: 5 USD",
            ("",),
            "must be in the account's cash (EUR), was 5 USD",
        ),
    ],
)
def test_what_cannot_be_dealt_out_is_refused(account: str, capitals: tuple[str, ...], said: str) -> None:
    with pytest.raises(ConfigError) as caught:
        capital_of(config(account, *capitals), "main")
    assert said in str(caught.value)


def test_an_accounts_capital_must_be_in_its_base_currency() -> None:
    asked = config("cash: [10000 USD, 600 EUR], capital: 500 EUR", "")
    with pytest.raises(
        ConfigError, match=r"accounts\.main\.capital: must be in the account's base currency USD"
    ):
        plan.account_spec(asked, "main")
