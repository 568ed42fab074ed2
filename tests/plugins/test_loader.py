"""Loading a strategy by name: what is found, what is refused, and in which words."""

from __future__ import annotations

import hashlib
import sys
from pathlib import Path

import pytest

from tests.plugins.fakes import SHIPPED
from tradebot.errors import ExitCode, PluginError
from tradebot.plugins.loader import list_strategies, load_strategy, search_path

GOOD = '''
from __future__ import annotations
from dataclasses import dataclass
from tradebot.api import Bar, BarStrategy, Context, Target

class Trend(BarStrategy):
    """Always long."""

    @dataclass(frozen=True, slots=True, kw_only=True)
    class Params:
        window: int = 3

    def on_bar(self, ctx: Context, bar: Bar) -> Target | None:
        return ctx.target(weight=1.0)

class TrendLong(Trend):
    """Long for longer."""
'''


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / "strategies"
    folder.mkdir()
    (folder / "mine.py").write_text(GOOD)
    return folder


def test_a_named_class_is_loaded_with_kind_path_and_the_digest_of_its_file(folder: Path) -> None:
    loaded = load_strategy("mine.py:Trend", [folder])
    assert (loaded.cls.__name__, loaded.kind, loaded.path) == ("Trend", "bar", folder / "mine.py")
    assert loaded.digest == hashlib.sha256(GOOD.encode()).hexdigest()
    assert loaded.reference == "mine.py:Trend"


def test_neighbours_are_neither_executed_by_loading_nor_by_listing(folder: Path) -> None:
    (folder / "bomb.py").write_text("raise SystemExit(3)")
    load_strategy("mine.py:Trend", [folder])
    assert [found.name for found in list_strategies([folder])] == ["Trend", "TrendLong"]


def test_an_edited_file_is_loaded_anew(folder: Path) -> None:
    before = load_strategy("mine.py:Trend", [folder])
    (folder / "mine.py").write_text(GOOD.replace("weight=1.0", "weight=0.5"))
    after = load_strategy("mine.py:Trend", [folder])
    assert before.digest != after.digest
    assert before.cls is not after.cls


def test_the_first_folder_wins_in_loading_and_in_listing(folder: Path, tmp_path: Path) -> None:
    second = tmp_path / "shipped"
    second.mkdir()
    (second / "mine.py").write_text(GOOD.replace("class Trend(", "class Other("))
    assert load_strategy("mine.py:Trend", [folder, second]).path.parent == folder
    assert {found.path.parent for found in list_strategies([folder, second])} == {folder}


def test_the_search_path_begins_with_the_project_and_holds_what_is_shipped(folder: Path) -> None:
    first, *rest = search_path(folder.parent)
    assert first == folder
    assert any((place / "ma_crossover.py").is_file() for place in rest)


REFUSED = {
    "no colon": ("mine.py", "a strategy must be named file.py:Class"),
    "no suffix": ("mine:Trend", "a strategy must be named file.py:Class"),
    "outside": ("../mine.py:Trend", "a strategy must be named file.py:Class"),
    "not a name": ("mine.py:3", "a strategy must be named file.py:Class"),
    "no file": (
        "mime.py:Trend",
        "there is no strategy file mime.py (looked in strategies); did you mean mine.py?",
    ),
    "no class": (
        "mine.py:Trendd",
        "strategies/mine.py has no class 'Trendd'; it defines: Trend, TrendLong; did you mean Trend?",
    ),
    "imported class": ("mine.py:BarStrategy", "BarStrategy must derive from FrameStrategy, BarStrategy, "),
}


@pytest.mark.parametrize(("reference", "message"), REFUSED.values(), ids=REFUSED)
def test_a_wrong_name_is_answered_with_what_would_be_right(
    folder: Path, reference: str, message: str
) -> None:
    with pytest.raises(PluginError) as caught:
        load_strategy(reference, [folder])
    assert message in str(caught.value)
    assert caught.value.exit_code is ExitCode.CONFIG


BROKEN = {
    "syntax": ("class Trend(:\n", "strategies/bad.py:1: import raised SyntaxError: invalid syntax"),
    "null byte": ("x = 1\0", "strategies/bad.py: import raised SyntaxError"),
    "raises": ("\nx = 1 / 0\n", "strategies/bad.py:2: import raised ZeroDivisionError: division by zero"),
    "raises deeper": (
        "import json\n\njson.loads('{')\n",
        "strategies/bad.py:3: import raised JSONDecodeError: Expecting property name",
    ),
    "exits": ("raise SystemExit(1)", "strategies/bad.py:1: import raised SystemExit: 1"),
    "neighbour": (
        "import mine",
        "strategies/bad.py:1: import raised ModuleNotFoundError: No module named 'mine'; a strategy file "
        "stands alone",
    ),
    "unknown api": (
        "from tradebot.api import FrameStrategie",
        "strategies/bad.py:1: import raised ImportError: cannot import name 'FrameStrategie'",
    ),
    "nothing in it": ("", "strategies/bad.py has no class 'Trend'; it defines no strategy at all"),
    "not a strategy": (
        "class Trend: ...",
        "strategies/bad.py: Trend must derive from FrameStrategy, BarStrategy, QuoteStrategy, "
        "PortfolioStrategy; no class in this file does",
    ),
    "decides nothing": (
        "from tradebot.api import BarStrategy\nclass Trend(BarStrategy): ...",
        "strategies/bad.py: Trend must define on_bar or on_bars",
    ),
    "frame without signals": (
        "from tradebot.api import FrameStrategy\nclass Trend(FrameStrategy): ...",
        "strategies/bad.py: Trend must define signals",
    ),
    "params not frozen": (
        GOOD.replace("frozen=True, ", ""),
        "strategies/bad.py: Trend.Params must be a dataclass with frozen=True",
    ),
    "params no dataclass": (
        GOOD.replace("    @dataclass(frozen=True, slots=True, kw_only=True)\n", ""),
        "strategies/bad.py: Trend.Params must be a dataclass with frozen=True",
    ),
    "param of a strange type": (
        GOOD.replace("window: int", "window: complex"),
        "strategies/bad.py: Trend.Params.window must be declared as bool, int, float, str, ",
    ),
    "param of an unknown type": (
        GOOD.replace("window: int", "window: Foo"),
        "strategies/bad.py: Trend.Params: a type cannot be read: name 'Foo' is not defined",
    ),
}


@pytest.mark.parametrize(("source", "message"), BROKEN.values(), ids=BROKEN)
def test_a_file_that_cannot_be_used_is_refused_with_its_line(folder: Path, source: str, message: str) -> None:
    (folder / "bad.py").write_text(source)
    before = set(sys.modules)
    with pytest.raises(PluginError) as caught:
        load_strategy("bad.py:Trend", [folder])
    assert str(caught.value).startswith(message) or message in str(caught.value)
    if "raised" in message:
        assert caught.value.__cause__ is not None
        assert not [name for name in set(sys.modules) - before if "bad" in name]


def test_a_constructor_that_raises_is_put_down_to_its_line(folder: Path) -> None:
    (folder / "bad.py").write_text(
        GOOD + "    def __init__(self, params):\n        self.x = params.nothing\n"
    )
    loaded = load_strategy("bad.py:TrendLong", [folder])
    with pytest.raises(
        PluginError, match=r"^strategies/bad\.py:19: TrendLong\.__init__ raised AttributeError: "
    ):
        loaded.create(loaded.cls.Params())


@pytest.mark.parametrize("lookback", ["0", "True", "2.5", "None"])
def test_a_lookback_that_is_no_number_of_bars_is_refused(folder: Path, lookback: str) -> None:
    (folder / "bad.py").write_text(GOOD + f"    lookback = {lookback}\n")
    loaded = load_strategy("bad.py:TrendLong", [folder])
    with pytest.raises(PluginError, match=rf"TrendLong\.lookback must be a whole number .* was {lookback}"):
        loaded.create(loaded.cls.Params())


@pytest.mark.parametrize(
    "body",
    ["return 5", "return (60,)", "return [Input('1h')]", "return (Input(0),)", "return (Input(60, None),)"],
)
def test_inputs_that_are_none_are_refused(folder: Path, body: str) -> None:
    body = f"        from tradebot.api import Input\n        {body}\n"
    (folder / "bad.py").write_text(f"{GOOD}    def inputs(self):\n{body}")
    loaded = load_strategy("bad.py:TrendLong", [folder])
    with pytest.raises(PluginError, match=r"TrendLong\.inputs\(\) must return a tuple of Input"):
        loaded.create(loaded.cls.Params())


@pytest.mark.parametrize("member", ["inputs", "lookback"])
def test_what_raises_while_it_says_what_it_needs_is_put_down_to_its_line(folder: Path, member: str) -> None:
    (folder / "bad.py").write_text(
        GOOD + f"    @property\n    def {member}(self):\n        raise RuntimeError('no luck')\n"
    )
    loaded = load_strategy("bad.py:TrendLong", [folder])
    with pytest.raises(
        PluginError, match=rf"^strategies/bad\.py:\d+: TrendLong\.{member}.* raised RuntimeError: no luck"
    ):
        loaded.create(loaded.cls.Params())


def test_listing_reads_kind_line_and_first_sentence_and_names_what_it_cannot_read(folder: Path) -> None:
    (folder / "bad.py").write_text("def f(:\n")
    (folder / "none.py").write_text("import tradebot.api as t\nclass A(t.QuoteStrategy): ...\nclass B: ...\n")
    bad, trend, longer, quoting = list_strategies([folder])
    assert (bad.name, bad.line, bad.problem) == ("", 1, "invalid syntax")
    assert (trend.reference, trend.kind, trend.line) == ("mine.py:Trend", "bar", 6)
    assert trend.summary == "Always long."
    assert (longer.reference, longer.kind, longer.summary) == ("mine.py:TrendLong", "bar", "Long for longer.")
    assert (quoting.reference, quoting.kind, quoting.summary) == ("none.py:A", "quote", "")


def test_every_shipped_strategy_is_listed_with_a_summary_and_loads_as_the_listed_kind() -> None:
    listed = list_strategies([SHIPPED])
    assert {found.name for found in listed} == {
        "AtrBreakout",
        "FixedWeights",
        "MarketMaking",
        "MeanReversion",
        "MovingAverageCrossover",
    }
    for found in listed:
        assert found.summary.endswith((".", ",", ":")) or len(found.summary) > 20
        assert load_strategy(found.reference, [SHIPPED]).kind == found.kind
