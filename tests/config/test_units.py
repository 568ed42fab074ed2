"""What each unit of the file language is worth, exactly."""

from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tradebot.config.plain import read_plain
from tradebot.config.times import Duration, Moment
from tradebot.config.units import Bps, Cash, Fraction, Money, Number, Whole, Word
from tradebot.core.model import DAY, HOUR, MINUTE, SECOND, WEEK

ANY_FRACTION = Fraction(at_least=-10, at_most=10)


@pytest.mark.parametrize(
    ("text", "value"),
    [("8%", 0.08), ("8 %", 0.08), ("0.08", 0.08), ("80bps", 0.008), ("100%", 1.0), ("1", 1.0), ("250%", 2.5),
     ("0.1%", 0.001), ("1e1%", 0.1), (".5", 0.5), ("-8%", -0.08)],
)  # fmt: skip
def test_fraction_is_read_from_text(text: str, value: float) -> None:
    assert ANY_FRACTION.read(text) == value


def test_percent_never_passes_through_binary_division() -> None:
    assert ANY_FRACTION.read("57%") == 0.57  # 57 * 0.01 is 0.5700000000000001
    assert ANY_FRACTION.read("110%") == 1.1


@given(st.decimals("-1000", "1000", places=6))
def test_fraction_survives_being_written_and_read(percent: Decimal) -> None:
    value = ANY_FRACTION.read(f"{percent}%")
    assert ANY_FRACTION.read(ANY_FRACTION.write(value)) == value
    assert value == float(percent / 100)


@pytest.mark.parametrize("text", ["10", "1.0001", "95", "1e5"])
def test_bare_number_over_one_is_no_fraction(text: str) -> None:
    with pytest.raises(ValueError, match="ambiguous"):
        ANY_FRACTION.read(text)


@pytest.mark.parametrize(
    ("text", "bps"), [("10", "10"), ("10bps", "10"), ("0.1%", "10"), ("-0.5bps", "-0.5")]
)
def test_bps_have_three_spellings(text: str, bps: str) -> None:
    assert Bps().read(text) == Decimal(bps)


@pytest.mark.parametrize(
    ("text", "amount", "asset"),
    [("5000 USD", "5000", "USD"), ("0.00000001 BTC", "0.00000001", "BTC"), ("1e3 USDT", "1000", "USDT"),
     ("100.10 EUR", "100.10", "EUR"), ("1 1INCH", "1", "1INCH")],
)  # fmt: skip
def test_money_is_exact_decimal(text: str, amount: str, asset: str) -> None:
    assert Cash().read(text) == Money(Decimal(amount), asset)


@given(st.decimals("0.00000001", "1e12", places=8))
def test_money_survives_being_written_and_read(amount: Decimal) -> None:
    money = Money(amount, "USD")
    assert Cash().read(Cash().write(money)) == money


@pytest.mark.parametrize(
    "text", ["5E10", "5000USD", "USD 5000", "5000", "-5 USD", "5 usd", "5 U S D", "1,000 USD", "٥ USD"]
)
def test_money_without_a_clear_amount_and_currency_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="must be"):
        Cash().read(text)


@pytest.mark.parametrize(
    ("text", "ns"),
    [("500ms", SECOND // 2), ("30s", 30 * SECOND), ("5m", 5 * MINUTE), ("1h", HOUR), ("1d", DAY), ("2w", 2 * WEEK),
     ("250us", 250_000), ("90 m", 90 * MINUTE)],
)  # fmt: skip
def test_duration_is_whole_nanoseconds(text: str, ns: int) -> None:
    assert Duration().read(text) == ns
    assert Duration().read(Duration().write(ns)) == ns


@pytest.mark.parametrize(
    "text", ["5", "0s", "1.5h", "1M", "1:30", "01h", "-1d", "1h30m", "m", "", "5 min", "１m"]
)
def test_duration_without_a_clear_unit_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="must be"):
        Duration().read(text)


def test_a_day_is_its_first_instant_and_as_an_end_the_next_days() -> None:
    assert Moment().read("1970-01-02") == DAY
    assert Moment(end=True).read("1970-01-02") == 2 * DAY
    assert Moment().read("1970-01-01T01:00:00Z") == HOUR
    assert Moment(end=True).read("1970-01-01 01:00+01:00") == 0
    assert Moment().read("1969-12-31") == -DAY


@given(st.integers(-100 * 366, 200 * 365))
def test_a_moment_survives_being_written_and_read(day: int) -> None:
    ts = day * DAY + 61 * SECOND
    assert Moment().read(Moment().write(ts)) == ts


@pytest.mark.parametrize(
    "text",
    ["1e30", "1e-19", "nan", "inf", "-.inf", "012", "1:30", "1_000", "0x1F", "0b11", "0o7", "--1", "1e", "²"],
)
def test_numbers_that_yaml_or_python_could_read_differently_are_refused(text: str) -> None:
    for unit in (Number(), Whole(), Bps(), ANY_FRACTION):
        with pytest.raises(ValueError, match="must be"):
            unit.read(text)
    if text not in ("--1", "1e", "²", "1e30", "1e-19", "0o7"):
        with pytest.raises(ValueError, match="must be"):
            read_plain(text)


def test_a_number_keeps_its_digits() -> None:
    assert str(Number().read("0.10")) == "0.10"
    assert Number().read("123456789012345678.123456789") == Decimal("123456789012345678.123456789")


@pytest.mark.parametrize(
    ("text", "value"),
    [("50", 50), ("-3", -3), ("0.5", 0.5), ("1e5", 100_000.0), ("2%", 0.02), ("10bps", 0.001), ("true", True),
     ("False", False), ("null", None), ("~", None), ("ema", "ema"), ("5m", "5m"), ("SYN/USD", "SYN/USD"), ("y", "y")],
)  # fmt: skip
def test_free_values_are_read_without_guessing(text: str, value: object) -> None:
    read = read_plain(text)
    assert read == value
    assert type(read) is type(value)


def test_words_given_by_programs_are_not_checked_for_yaml_traps() -> None:
    assert Word(r"[A-Z]+", "letters").read("NO") == "NO"
