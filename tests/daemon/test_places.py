"""Where a daemon's things are: who wins, who is kept apart, what is refused."""

import socket
from pathlib import Path

import pytest

from tradebot.daemon import places
from tradebot.errors import ConfigError, InvariantError, PermissionRefused


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in ("XDG_STATE_HOME", "XDG_CONFIG_HOME", "XDG_RUNTIME_DIR"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    return tmp_path


def project(tmp_path: Path, name: str = "bot") -> Path:
    folder = tmp_path / name
    folder.mkdir(parents=True)
    return folder


def test_without_settings_everything_is_in_the_users_own_folders(home: Path) -> None:
    found = places.find_places(project(home), {})

    assert found.state.parent == home / ".local/state/tradebot"
    assert found.config == home / ".config/tradebot"
    assert found.runtime == found.state
    assert found.logs == found.state / "logs"
    assert found.credentials is None


def test_systemd_wins_over_everything(home: Path) -> None:
    env = {
        "STATE_DIRECTORY": "/var/lib/tradebot:/var/lib/other",
        "RUNTIME_DIRECTORY": "/run/tradebot",
        "CONFIGURATION_DIRECTORY": "/etc/tradebot",
        "CREDENTIALS_DIRECTORY": "/run/credentials/tradebot.service",
        "LOGS_DIRECTORY": "/var/log/tradebot",
        "TRADEBOT_STATE": "/elsewhere",
    }
    found = places.find_places(project(home), env)

    assert str(found.state) == "/var/lib/tradebot"
    assert str(found.socket) == "/run/tradebot/control.sock"
    assert str(found.key_files) == "/etc/tradebot/credentials"
    assert str(found.credentials) == "/run/credentials/tradebot.service"
    assert str(found.logs) == "/var/log/tradebot"


def test_a_command_beside_the_service_finds_what_systemd_gave_it(home: Path) -> None:
    folder = project(home)
    env = {
        "STATE_DIRECTORY": "/var/lib/tradebot",
        "RUNTIME_DIRECTORY": "/run/tradebot",
        "CONFIGURATION_DIRECTORY": "/etc/tradebot",
    }

    assert places.service_places(folder) == places.find_places(folder, env)


def test_two_projects_of_one_name_never_share_a_state(home: Path) -> None:
    one, two = project(home, "a/bot"), project(home, "b/bot")

    for env in ({}, {"TRADEBOT_STATE": str(home / "s")}):
        states = {places.find_places(p, env).state for p in (one, two)}
        assert len(states) == 2
        assert all(s.name.startswith("bot-") for s in states)


def test_a_project_is_the_same_through_a_link(home: Path) -> None:
    folder = project(home)
    (home / "link").symlink_to(folder)

    assert places.find_places(home / "link", {}) == places.find_places(folder, {})


def test_accounts_modes_and_venues_have_files_of_their_own(home: Path) -> None:
    found = places.find_places(project(home), {})
    accounts = [
        found.account(mode, venue, account)
        for mode in ("paper", "live")
        for venue in ("sim", "alpaca")
        for account in ("main", "main-2")
    ]

    assert len({a.journal for a in accounts}) == 8
    assert accounts[0].folder == found.state / "paper-sim-main"
    assert [p.name for p in (accounts[0].archive, accounts[0].venue, accounts[0].halt)] == [
        "archive.db",
        "venue.db",
        "halt",
    ]


@pytest.mark.parametrize("words", [("paper", "si-m", "a"), ("..", "sim", "a"), ("paper", "sim", "../x")])
def test_words_that_could_lead_elsewhere_are_a_bug(home: Path, words: tuple[str, str, str]) -> None:
    with pytest.raises(InvariantError, match="must be plain words"):
        places.find_places(project(home), {}).account(*words)


def test_made_folders_are_the_owners_only_and_say_whose_they_are(home: Path) -> None:
    found = places.find_places(project(home), {})
    places.make(found)
    places.make_account(found.account("paper", "sim", "main"))
    found.state.chmod(0o755)
    places.make(found)  # and again, also after somebody opened them

    for folder in (found.state, found.logs, found.state / "paper-sim-main"):
        assert folder.stat().st_mode & 0o777 == 0o700
    assert (found.state / "where").read_text() == f"{home / 'bot'}\n"


def test_state_that_cannot_be_made_is_77_with_its_name(home: Path) -> None:
    (home / "file").write_text("")
    found = places.find_places(project(home), {"TRADEBOT_STATE": str(home / "file")})

    with pytest.raises(PermissionRefused, match=r"file/bot-\w+ must be a folder that can be made: Not a dir"):
        places.make(found)


def test_state_of_another_project_is_refused(home: Path) -> None:
    env = {"STATE_DIRECTORY": str(home / "state")}
    places.make(places.find_places(project(home, "one"), env))

    with pytest.raises(ConfigError, match=r"holds the state of the project in .*/one, not of .*/two"):
        places.make(places.find_places(project(home, "two"), env))


def test_state_of_a_project_that_was_moved_is_found(home: Path) -> None:
    old = project(home, "old")
    made = places.find_places(old, {})
    places.make(made)
    moved = old.rename(home / "new")
    found = places.find_places(moved, {})
    places.make(found)

    assert places.lost_states(found) == [(old, made.state)]


@pytest.mark.parametrize("depth", [1, 120])
def test_socket_is_reached_however_long_its_path(tmp_path: Path, depth: int) -> None:
    folder = tmp_path / ("x" * depth)
    folder.mkdir()
    path = folder / "control.sock"

    with socket.socket(socket.AF_UNIX) as server, socket.socket(socket.AF_UNIX) as client:
        with places.address(path) as text:
            server.bind(text)
        server.listen()
        with places.address(path) as text:
            client.connect(text)
        assert path.is_socket()
