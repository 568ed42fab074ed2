"""Real money is traded only by what has run on paper as it is, or is named."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.daemon.served import Project
from tradebot.app.rehearsal import rehearsed
from tradebot.config.loader import load_config
from tradebot.errors import ConfigError, ExitCode


@pytest.fixture(scope="module")
def rehearsal(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """A project whose strategy has run on paper to the end of its data."""
    made = Project(tmp_path_factory.mktemp("rehearsal"))
    made.write(begin="2019-12-01", pace="")
    with made.start("--until-end") as daemon:
        assert daemon.ended() == ExitCode.OK
    return made


@pytest.fixture
def project(rehearsal: Project) -> Iterator[Project]:
    """The same, with its strategy as it was."""
    source = rehearsal.root / "strategies" / "flip.py"
    text = source.read_text(encoding="utf-8")
    yield rehearsal
    source.write_text(text, encoding="utf-8")


LIVE = """
version: 1
mode: live
accounts:
  main: {venue: alpaca, account_id: "123", keys: alpaca-live, feed: iex, capital: 500 USD}
strategies:
  - {id: flip, class: flip.py:Flip, account: main, instruments: [SPX], interval: 1d, sizing: {kind: fixed_qty, qty: 1}}
limits: {max_order: 500 USD, max_position: 500 USD, max_gross: 500 USD, max_daily_loss: 3%, max_drawdown: 9%, max_orders_per_day: 9}
"""


def live(project: Project, old: str = "", new: str = "") -> Path:
    assert old in LIVE
    file = project.root / "live.yaml"
    file.write_text(LIVE.replace(old, new) if old else LIVE, encoding="utf-8")
    return file


def judge(project: Project, old: str = "", new: str = "", *, although: tuple[str, ...] = ()) -> None:
    config = load_config(live(project, old, new))
    rehearsed(config, project.root, project.state, although=although)


def test_what_ran_on_paper_as_it_is_may_trade_with_another_size(project: Project) -> None:
    judge(project)
    judge(project, "qty: 1}", "qty: 7}")


def test_other_bars_and_other_code_are_named_and_refused(project: Project) -> None:
    with pytest.raises(
        ConfigError, match=r"flip did with other interval; run it .* or say --never-on-paper flip"
    ):
        judge(project, "interval: 1d", "interval: 1w")
    source = project.root / "strategies" / "flip.py"
    source.write_text(source.read_text(encoding="utf-8") + "\n# another\n", encoding="utf-8")
    with pytest.raises(ConfigError, match="flip did with other code"):
        judge(project)
    judge(project, although=("flip",))


def test_a_name_that_is_no_strategys_lets_nothing_through(project: Project) -> None:
    with pytest.raises(ConfigError, match=r"must name a strategy \(flip\), was 'flop'"):
        judge(project, although=("flop",))


def test_a_live_start_of_what_never_ran_ends_with_the_code_of_a_wrong_configuration(tmp_path: Path) -> None:
    made = Project(tmp_path)
    keys = {"APCA_API_KEY_ID": "AKNOBODY", "APCA_API_SECRET_KEY": "nothing"}
    with made.start("--live", "-c", str(live(made)), env=keys) as daemon:
        assert daemon.ended() == ExitCode.CONFIG
    assert "flip never did" in "\n".join(daemon.text)
