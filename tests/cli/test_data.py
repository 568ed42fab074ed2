"""data: import, list, check, resample, synthetic."""

from pathlib import Path

import pytest

from tests.cli.conftest import Tradebot, configured, entry, write_bars
from tradebot.errors import ExitCode

NEW = ("--id", "UP/USD", "--tick-size", "1", "--lot-size", "0.01")


def test_list_shows_the_bundled_data_with_their_labels(tradebot: Tradebot) -> None:
    series = tradebot("data", "list", "--json").json["series"]

    labels = {(s["instrument"], s["interval"]): s["provenance"]["label"] for s in series}
    assert labels["SPX", "1d"] == ""
    assert {label for (name, _), label in labels.items() if name == "SYN/USD"} == {"SYNTHETIC"}


def test_import_stores_bars_and_says_what_it_took_for_granted(tradebot: Tradebot, here: Path) -> None:
    write_bars(here / "bars.csv")

    ended = tradebot("data", "import", "bars.csv", *NEW)

    assert ended.code == 0
    assert ended.out.startswith("Stored UP/USD 1d: 300 rows (300 added), 2020-01-01 to 2020-10-26\n")
    assert "UP/USD is new: crypto in USD, tick 1, lot 0.01, always open" in ended.out
    listed = tradebot("data", "list", "--json").json["series"]
    assert [s["rows"] for s in listed if s["instrument"] == "UP/USD"] == [300]


def test_import_again_adds_nothing(tradebot: Tradebot, here: Path) -> None:
    write_bars(here / "bars.csv")
    tradebot("data", "import", "bars.csv", *NEW)

    again = tradebot("data", "import", "bars.csv", "--id", "UP/USD", "--json").json

    assert again["merged"] == {"added": 0, "unchanged": 300, "replaced": 0, "kept": 0}


def test_import_of_other_values_is_refused_until_told_who_wins(tradebot: Tradebot, here: Path) -> None:
    text = write_bars(here / "bars.csv").read_text()
    tradebot("data", "import", "bars.csv", *NEW)
    (here / "bars.csv").write_text(text.replace(",1000\n", ",2000\n", 1))

    refused = tradebot("data", "import", "bars.csv", "--id", "UP/USD")
    replaced = tradebot("data", "import", "bars.csv", "--id", "UP/USD", "--on-conflict", "replace", "--json")

    assert refused.code == ExitCode.FAILED
    assert "1 bars are stored already with other values" in refused.err
    assert replaced.json["merged"]["replaced"] == 1


def test_dirty_rows_are_refused_by_line_and_dropped_by_name(tradebot: Tradebot, here: Path) -> None:
    text = write_bars(here / "bars.csv").read_text().splitlines()
    text[5] = text[5].replace(",1000", ",-1")
    (here / "bars.csv").write_text("\n".join(text))

    refused = tradebot("data", "import", "bars.csv", *NEW)
    dropped = tradebot("data", "import", "bars.csv", *NEW, "--bad-rows", "drop")

    assert refused.code == ExitCode.FAILED
    assert "bars.csv:6: volume must be 0 or more, was -1" in refused.err
    assert "1 of 300 rows dropped:\n    bars.csv:6: volume must be 0 or more, was -1" in dropped.out


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("nowhere.csv", *NEW), "nowhere.csv must be a file, does not exist"),
        ((".", *NEW), ". must be a file, is a folder"),
        (("bars.csv", "--id", "UP"), "say what it is with --class stock, index or crypto"),
        (("bars.csv", "--id", "UP/USD"), "such as --tick-size 0.01 --lot-size 0.00001"),
        (
            ("bars.csv", *NEW, "--tick-size", "0"),
            "--tick-size must be a number above 0, such as 0.01, was '0'",
        ),
        (("bars.csv", *NEW, "--map", "close"), "--map must be NAME=COLUMN"),
        (("bars.csv", *NEW, "--interval", "fast"), "an interval is a number and a unit"),
        (("bars.csv",), "Missing option '--id'."),
        (("bars.csv", "--id", "../UP", "--class", "stock"), "--id must be an instrument such as SPX"),
        (("bars.csv", "--id", "ÜP", "--class", "stock"), 'was "ÜP"'),
        (("bars.csv", *NEW, "--quote", "usd"), '--quote must be an asset such as USD or USDT, was "usd"'),
        (("/dev/null", *NEW), "/dev/null must be a file, is none"),
    ],
)
def test_import_asks_for_what_it_cannot_know(
    tradebot: Tradebot, here: Path, words: tuple[str, ...], told: str
) -> None:
    write_bars(here / "bars.csv")

    ended = tradebot("data", "import", *words)

    assert ended.code == ExitCode.USAGE
    assert told in ended.err
    assert not (here / "data").exists()


def test_rows_that_cannot_be_read_are_named_though_the_rest_makes_no_sense(
    tradebot: Tradebot, here: Path
) -> None:
    rows = 'date,open,high,low,close\n2020-01-01,1,2,0.5,1.5\n2020-01-02,"1,5","2,5","0,5","1,6"\n'
    (here / "comma.csv").write_text(rows + "2020-01-03,1,2,0.5,1.5\n")

    ended = tradebot("data", "import", "comma.csv", "--id", "UP", "--class", "stock")

    assert ended.code == ExitCode.FAILED
    assert "comma.csv:3: open must be a number, was '1,5'" in ended.err
    assert "1 of 3 rows are bad" in ended.err


def test_an_instrument_is_not_described_anew_in_passing(tradebot: Tradebot, here: Path) -> None:
    write_bars(here / "bars.csv")
    tradebot("data", "import", "bars.csv", *NEW)

    ended = tradebot("data", "import", "bars.csv", "--id", "UP/USD", "--tick-size", "0.5")

    assert ended.code == ExitCode.FAILED
    assert "is stored as crypto in USD, tick 1," in ended.err and "tick 0.5," in ended.err


def test_columns_of_other_names_can_be_mapped(tradebot: Tradebot, here: Path) -> None:
    text = write_bars(here / "bars.csv").read_text()
    (here / "bars.csv").write_text(text.replace("date,open,high,low,close", "Tag,Auf,Hoch,Tief,Schluss", 1))
    names = {"ts": "Tag", "open": "Auf", "high": "Hoch", "low": "Tief", "close": "Schluss"}

    ended = tradebot(
        "data", "import", "bars.csv", *NEW, *[w for pair in names.items() for w in ("--map", "=".join(pair))]
    )

    assert (ended.code, ended.err) == (0, "Next:  tradebot data check UP/USD\n")


def test_splits_of_a_stock_are_stored_and_listed_as_known_jumps(tradebot: Tradebot, here: Path) -> None:
    rows = ["date,open,high,low,close,volume"]
    days = ("2024-03-04", "2024-03-05", "2024-03-06", "2024-03-07", "2024-03-08")
    rows += [f"{d},{p},{p},{p},{p},1000" for d, p in zip(days, (400, 401, 402, 100, 101), strict=True)]
    (here / "abc.csv").write_text("\n".join(rows) + "\n")
    (here / "actions.csv").write_text("date,kind,value\n2024-03-07,split,4:1\n")
    tradebot("data", "import", "abc.csv", "--id", "ABC", "--class", "stock")
    before = tradebot("data", "check", "ABC")

    ended = tradebot("data", "import", "actions.csv", "--id", "ABC", "--kind", "actions")

    assert before.code == ExitCode.FAILED and "split" in before.out
    assert (ended.code, ended.out) == (0, "Stored 1 corporate actions of ABC (before: 0)\n")
    assert tradebot("data", "check", "ABC").code == 0


def test_an_actions_file_without_rows_takes_nothing_away(tradebot: Tradebot, here: Path) -> None:
    (here / "abc.csv").write_text("date,open,high,low,close,volume\n2024-03-04,4,4,4,4,1\n")
    tradebot("data", "import", "abc.csv", "--id", "ABC", "--class", "stock", "--interval", "1d")
    (here / "actions.csv").write_text("date,kind,value\n2024-03-07,split,4:1\n")
    (here / "none.csv").write_text("date,kind,value\n")
    words = ("--id", "ABC", "--kind", "actions")
    tradebot("data", "import", "actions.csv", *words)

    ended = tradebot("data", "import", "none.csv", *words)

    assert ended.code == ExitCode.FAILED
    assert ended.err.startswith("Error: none.csv: has no rows; nothing was stored")
    assert tradebot("data", "import", "actions.csv", *words).out.endswith("(before: 1)\n")


def test_check_finds_a_hole_and_ends_with_1(tradebot: Tradebot, here: Path) -> None:
    lines = write_bars(here / "bars.csv").read_text().splitlines()
    (here / "bars.csv").write_text("\n".join(lines[:100] + lines[130:]))
    tradebot("data", "import", "bars.csv", *NEW)

    ended = tradebot("data", "check", "UP/USD")
    told = tradebot("data", "check", "UP/USD", "--json").json

    assert ended.code == ExitCode.FAILED
    assert ended.out.startswith("FAILED  UP/USD 1d: 270 bars\n")
    assert told["ok"] is False
    assert told["series"][0]["findings"]


def test_resample_joins_days_to_weeks(tradebot: Tradebot, here: Path) -> None:
    write_bars(here / "bars.csv")
    tradebot("data", "import", "bars.csv", *NEW)

    ended = tradebot("data", "resample", "UP/USD", "--from", "1d", "--to", "1w", "--json")

    # 2020-01-01 is a Wednesday: the first whole week begins on the 6th.
    assert ended.code == 0
    assert (ended.json["stored"]["interval"], ended.json["stored"]["rows"]) == ("1w", 42)


def test_resample_to_a_shorter_interval_is_a_usage_error(tradebot: Tradebot, here: Path) -> None:
    write_bars(here / "bars.csv")
    tradebot("data", "import", "bars.csv", *NEW)

    assert tradebot("data", "resample", "UP/USD", "--from", "1d", "--to", "1h").code == ExitCode.USAGE


def test_synthetic_market_is_labelled_and_repeatable(tradebot: Tradebot, here: Path) -> None:
    first = tradebot("data", "synthetic", "LUCK/USD", "--days", "2", "--seed", "7", "--json").json
    again = tradebot("data", "synthetic", "LUCK/USD", "--days", "2", "--seed", "7", "--json").json

    assert first["stored"]["rows"] == 2 * 24 * 60
    assert first["stored"]["provenance"]["label"] == "SYNTHETIC"
    assert again["merged"]["unchanged"] == 2 * 24 * 60
    assert first["stored"]["digest"] == again["stored"]["digest"]


def test_a_synthetic_market_needs_a_pair(tradebot: Tradebot) -> None:
    assert "is BASE/QUOTE" in tradebot("data", "synthetic", "LUCK").err


def test_check_looks_at_quotes_too(tradebot: Tradebot, here: Path) -> None:
    head = "timestamp,bid,bid_qty,ask,ask_qty\n"
    rows = [f"2024-01-01T00:00:{i:02d}Z,{100 + i % 3},1,{101 + i % 3},1" for i in range(40)]
    rows[7] = "2024-01-01T00:00:07Z,150,1,151,1"
    (here / "quotes.csv").write_text(head + "\n".join(rows) + "\n")
    tradebot("data", "import", "quotes.csv", "--kind", "quotes", *NEW)

    ended = tradebot("data", "check", "UP/USD")

    assert ended.code == ExitCode.FAILED
    assert ended.out.startswith("FAILED  UP/USD 40 quotes\n    error  bad_print (1): ")
    assert tradebot("data", "check", "SYN/USD").out.startswith("ok  SYN/USD 30,973 quotes\n")


HEAD = "date,open,high,low,close,volume\n"
DAYS = "2020-01-01,1,1,1,1,5\n2020-01-02,1,1,1,1,5\n"


@pytest.mark.parametrize(
    ("text", "options"),
    [
        (HEAD + DAYS + "2020-01-03,1,1,1,-1,5\n", ["--bad-rows", "drop"]),
        (HEAD + "2020-01-01,1,1,1,1,5\n", ["--interval", "1d"]),
        (HEAD.replace("volume", "Volume BTC") + DAYS, ["--map", "volume=Volume BTC"]),
        (HEAD.replace("volume", "Volume BTC") + DAYS, ["--map", "volume=none"]),
        (HEAD.replace("close", "end") + DAYS, ["--map", "close=end"]),
        (DAYS, ["--header", "date,open,high,low,close,volume"]),
        (HEAD + DAYS.replace("2020-01-0", "01/2020/"), ["--time-format", "%m/%Y/%d"]),
        (HEAD + DAYS.replace("2020-01-0", "12345"), ["--time-unit", "s", "--interval", "1s"]),
        (HEAD + DAYS.replace(",1,1,1,1,5", ",2,2,2,2,5"), ["--on-conflict", "keep"]),
    ],
)
def test_a_refused_file_comes_in_with_the_option_that_the_refusal_names(
    tradebot: Tradebot, here: Path, text: str, options: list[str]
) -> None:
    (here / "before.csv").write_text(HEAD + DAYS)
    (here / "bars.csv").write_text(text)
    name = "UP/USD" if "--on-conflict" in options else "NEW/USD"
    words = ("data", "import", "bars.csv", "--id", name, *NEW[2:])
    tradebot("data", "import", "before.csv", *NEW)

    refused, taken = tradebot(*words), tradebot(*words, *options)

    assert (refused.code, taken.code) == (ExitCode.FAILED, 0)
    assert options[0] in refused.err


def test_a_feed_that_cannot_be_read_as_it_is_names_the_command_that_has_options(
    tradebot: Tradebot, here: Path
) -> None:
    (here / "bars.csv").write_text(HEAD + DAYS + "2020-01-03,1,1,1,-1,5\n")
    hold = entry("hold", "robo_portfolio.py:FixedWeights", "SPX", more="params: {weights: {SPX: 50%}}")
    (here / "tradebot.yaml").write_text(configured(hold, feed="bars.csv"))

    ended = tradebot("backtest", "--no-report")

    assert ended.code == ExitCode.FAILED
    assert "a feed is read without options; tradebot data import has them" in ended.err


def test_imported_bars_are_backtested(tradebot: Tradebot, here: Path) -> None:
    write_bars(here / "bars.csv")
    tradebot("data", "import", "bars.csv", *NEW)
    crossover = entry(
        "t", "ma_crossover.py:MovingAverageCrossover", "UP/USD", more="params: {fast: 3, slow: 10}"
    )
    (here / "tradebot.yaml").write_text(configured(crossover, feed="data"))

    (run,) = tradebot("backtest", "--no-report", "--json").json["runs"]

    assert run["run"]["instruments"] == ["UP/USD"]
    assert run["metrics"]["trades"]["closed"] > 0


def test_real_dirt_is_stored_refused_or_dropped_by_line_but_never_a_bug(
    shared_data: Path, tradebot: Tradebot, here: Path
) -> None:
    files = sorted((shared_data / "equity_daily").rglob("*.csv"))
    assert files
    stored = 0
    for file in files:
        name = f"{file.parent.name}.{file.stem}"[-40:].lstrip("._")
        strict = tradebot("data", "import", str(file), "--id", name, "--class", "stock")
        loose = tradebot("data", "import", str(file), "--id", name, "--class", "stock", "--bad-rows", "drop")

        for ended in (strict, loose):
            assert ended.code in (0, ExitCode.FAILED), (file.name, ended.err)
            assert ended.code == 0 or str(file) in ended.err
        stored += loose.code == 0
    checked = tradebot("data", "check", "--json").json["series"]

    # Tables of closes have no bars; each of the others is found again.
    assert stored == sum(f.parent.name != "equity_daily" for f in files)
    assert len([s for s in checked if "." in s["instrument"]]) == stored


def test_the_first_day_of_quotes_is_that_of_the_first_quote(tradebot: Tradebot, here: Path) -> None:
    rows = ["ts,bid,ask", "2024-03-05T00:00:00Z,10,11", "2024-03-05T00:00:01Z,10,12"]
    (here / "quotes.csv").write_text("\n".join(rows) + "\n")

    ended = tradebot(
        *("data", "import", "quotes.csv", "--id", "C/USD", "--class", "crypto", "--kind", "quotes"),
        *("--tick-size", "0.01", "--lot-size", "0.01"),
    )

    assert "2024-03-05 to 2024-03-05" in ended.out
