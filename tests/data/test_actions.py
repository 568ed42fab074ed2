"""Corporate actions are read exactly, and prices are adjusted only for what was known."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import date
from decimal import Decimal
from fractions import Fraction
from pathlib import Path

import pytest

from tradebot.core.messages import Dividend, Split
from tradebot.core.model import DAY, Instrument
from tradebot.data.actions import Action, events, read_actions
from tradebot.data.arrays import BarArrays
from tradebot.data.calendars import sessions
from tradebot.data.catalogue import Catalogue
from tradebot.data.merge import utc_text
from tradebot.data.series import Provenance
from tradebot.errors import DataError

MakeBars = Callable[..., BarArrays]
NYSE = sessions("XNYS")


@pytest.fixture
def file(tmp_path: Path) -> Callable[[str], Path]:
    def write(text: str) -> Path:
        path = tmp_path / "actions.csv"
        path.write_text(text)
        return path

    return write


def test_splits_and_dividends_are_read_with_their_ex_dates(file: Callable[[str], Path]) -> None:
    path = file(
        "ex_date,kind,value,pay_date\n2020-08-31,split,4,\n2020-08-07,dividend,0.82,2020-08-13\n"
        "2021-01-04,split,1:8,\n2022-06-09,rename,META,\n"
    )
    assert read_actions(path, NYSE) == (
        Action(kind="dividend", ex_date=date(2020, 8, 7), amount=Decimal("0.82"), pay_date=date(2020, 8, 13)),
        Action(kind="split", ex_date=date(2020, 8, 31), ratio=Fraction(4)),
        Action(kind="split", ex_date=date(2021, 1, 4), ratio=Fraction(1, 8)),
        Action(kind="rename", ex_date=date(2022, 6, 9), symbol="META"),
    )


def test_the_ex_date_is_the_session_after_the_last_cum_date(file: Callable[[str], Path]) -> None:
    # Thanksgiving lies between.
    path = file("last_cum_date,kind,value\n2023-11-22,dividend,1\n2023-11-24,split,2\n")
    assert [action.ex_date for action in read_actions(path, NYSE)] == [date(2023, 11, 24), date(2023, 11, 27)]


def test_events_happen_at_midnight_of_the_ex_date_at_the_exchange() -> None:
    actions = [
        Action(kind="split", ex_date=date(2020, 8, 31), ratio=Fraction(4)),
        Action(kind="dividend", ex_date=date(2020, 2, 7), amount=Decimal("0.77"), pay_date=date(2020, 2, 13)),
    ]
    dividend, split = events(actions, "AAPL", NYSE)
    assert isinstance(dividend, Dividend) and isinstance(split, Split)
    assert (utc_text(dividend.ts), utc_text(dividend.pays_at)) == (
        "2020-02-07T05:00:00Z",
        "2020-02-13T05:00:00Z",
    )
    assert dividend.amount == Decimal("0.77")
    assert (utc_text(split.ts), split.ratio) == ("2020-08-31T04:00:00Z", Decimal(4))


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ("2020-13-01,split,4,", ":2: ex_date must be a date like 2020-08-31, was '2020-13-01'"),
        ("2020-08-31,merger,4,", ":2: kind must be split, dividend or rename"),
        ("2020-08-31,split,0,", ":2: value must be a number above 0, was '0'"),
        ("2020-08-31,split,four,", ":2: value must be a number above 0, was 'four'"),
        ("2020-08-31,split,NaN,", ":2: value must be a number above 0, was 'NaN'"),
        ("2020-08-31,split,4:0,", ":2: value must be a number above 0, was '0'"),
        ("2020-08-31,split,1e999999,", ":2: value must be from 1E-12 to 1E+12, was '1e999999'"),
        ("2020-08-31,dividend,1e-400,", ":2: value must be from 1E-12 to 1E+12, was '1e-400'"),
        ("0001-01-01,split,4,", ":2: ex_date must be a date like 2020-08-31, was '0001-01-01'; years from"),
        ("2020-08-31,dividend,1,9999-12-31", ":2: pay_date must be a date like 2020-08-31, was '9999-12-31'"),
        ("2020-08-31,split,1,", ":2: a split of 1:1 changes nothing"),
        ("2020-08-31,dividend,-1,", ":2: value must be a number above 0, was '-1'"),
        ("2020-08-31,dividend,1,2020-08-30", ":2: pay_date must not be before the ex-date 2020-08-31"),
        ("2020-08-31,rename,,", ":2: kind must be split"),
        ("2020-08-31,split", ":2: the number of fields differs"),
        ("2020-08-31,split,4,,,", ":2: the number of fields differs"),
        ("2020-08-31,split,4,\n2020-08-31,split,2,", ":3: a second split with ex-date 2020-08-31"),
    ],
)
def test_a_row_that_cannot_be_right_is_refused_with_its_line(
    file: Callable[[str], Path], row: str, message: str
) -> None:
    with pytest.raises(DataError) as caught:
        read_actions(file(f"ex_date,kind,value,pay_date\n{row}\n"), NYSE)
    assert message in str(caught.value)


def test_comments_above_the_header_are_no_rows_and_count_as_lines(file: Callable[[str], Path]) -> None:
    text = "# actions.csv\n\n# splits of ACME\nex_date,kind,value\n2020-08-31,split,{}\n"

    assert [a.ratio for a in read_actions(file(text.format(4)), NYSE)] == [4]
    with pytest.raises(DataError, match=r"actions\.csv:5: value must be"):
        read_actions(file(text.format("four")), NYSE)
    with pytest.raises(DataError, match=r"actions.csv:2: needs columns .* found \['kind'\]"):
        read_actions(file("# only\nkind\n"), NYSE)


def test_a_foreign_symbol_and_missing_columns_are_refused(file: Callable[[str], Path]) -> None:
    path = file("symbol,date,kind,value\nMSFT,2020-08-31,split,4\n")
    with pytest.raises(DataError, match="symbol must be AAPL, was 'MSFT'"):
        read_actions(path, NYSE, symbol="AAPL")
    with pytest.raises(DataError, match="needs columns ex_date or date or last_cum_date, kind, value"):
        read_actions(file("when,what\n"), NYSE)
    with pytest.raises(DataError, match="cannot be read"):
        read_actions(path.with_name("none.csv"), NYSE)


def daily(first_day: int, count: int, make_bars: MakeBars) -> BarArrays:
    _, closes = NYSE.between(first_day * DAY, (first_day + 2 * count + 10) * DAY)
    bars = make_bars(count, interval=DAY, instrument="AAPL")
    return replace(bars, ts=closes[:count])


def test_actions_survive_the_catalogue_and_become_events(
    tmp_path: Path, stock: Instrument, make_bars: MakeBars
) -> None:
    actions = (
        Action(kind="dividend", ex_date=date(2020, 8, 7), amount=Decimal("0.82"), pay_date=date(2020, 8, 13)),
        Action(kind="split", ex_date=date(2020, 8, 31), ratio=Fraction(1, 3)),
        Action(kind="rename", ex_date=date(2022, 6, 9), symbol="META"),
    )
    catalogue = Catalogue(tmp_path)
    catalogue.write_bars(stock, daily(18_500, 4, make_bars), Provenance())
    assert catalogue.events("AAPL") == ()
    catalogue.write_actions("AAPL", actions)
    assert catalogue.actions("AAPL") == actions
    assert [type(event) for event in catalogue.events("AAPL")] == [Dividend, Split]
    assert catalogue.list()[0].rows == 4


def test_rounded_price_factors_of_real_files_become_the_true_ratios(shared_data: Path) -> None:
    ratios: dict[str, list[str]] = {}
    for name in ("AAPL", "BAC", "EEM", "IBM", "QQQ", "USO"):
        path = shared_data / "corporate_actions" / "lean" / f"{name}_actions.csv"
        actions = read_actions(path, NYSE, symbol=name, split_value="price_factor")
        ratios[name] = [f"{a.ex_date} {a.ratio}" for a in actions if a.kind == "split"]
    assert ratios == {
        "AAPL": ["2000-06-21 2", "2005-02-28 2", "2014-06-09 7", "2020-08-31 4"],
        "BAC": ["2004-08-30 2"],
        "EEM": ["2005-06-09 3", "2008-07-24 3"],
        "IBM": ["1999-05-27 2"],
        "QQQ": ["2000-03-20 2"],
        "USO": ["2020-04-29 1/8"],
    }
