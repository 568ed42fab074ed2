"""Keys are found where they may be, refused where they may not, and shown nowhere."""

import copy
import dataclasses
import json
import os
import pickle
from pathlib import Path

import pytest

from tradebot.daemon.secrets import Keys, Secret, Variables, Vault, read_private
from tradebot.errors import ExitCode, PermissionRefused

CANARY = "PKCANARY0123456789"
PAIR = f"# from the broker's page\nkey={CANARY}\n\nsecret = s3cr3t/with=signs+\n"


def private(path: Path, text: str = PAIR, mode: int = 0o600) -> Path:
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    path.write_text(text)
    path.chmod(mode)
    return path


def vault(tmp_path: Path, env: dict[str, str] | None = None) -> tuple[Vault, list[str], list[str]]:
    found: list[str] = []
    warned: list[str] = []
    made = Vault(
        credentials=tmp_path / "systemd",
        files=tmp_path / "files",
        env=env or {},
        found=lambda secret: found.append(secret.reveal()),
        warn=warned.append,
    )
    return made, found, warned


def shown(keys: Keys) -> tuple[str, str, str | None]:
    return (
        keys.key.reveal(),
        keys.secret.reveal(),
        None if keys.passphrase is None else keys.passphrase.reveal(),
    )


def test_a_secret_shows_itself_nowhere() -> None:
    secret = Secret(CANARY)
    keys = Keys(name="a", key=secret, secret=secret, passphrase=None, source="")

    texts = [str(secret), repr(secret), f"{secret:>30}", "%s %r" % (secret, secret), repr(keys)]  # noqa: UP031
    assert not [t for t in texts if CANARY in t]
    assert secret.reveal() == CANARY
    for leak in (
        lambda: pickle.dumps(secret),
        lambda: copy.deepcopy(secret),
        lambda: json.dumps(secret),
        lambda: dataclasses.asdict(keys),
        lambda: vars(secret),
    ):
        with pytest.raises(TypeError):
            leak()


def test_systemd_goes_before_files_and_files_before_the_environment(tmp_path: Path) -> None:
    env = {"TRADEBOT_BROKER_KEY": "env-key", "TRADEBOT_BROKER_SECRET": "env-secret"}
    secrets, found, warned = vault(tmp_path, env)

    assert shown(secrets.keys("broker")) == ("env-key", "env-secret", None)
    assert len(warned) == 1
    assert "other programs of this user can read" in warned[0]
    assert "TRADEBOT_BROKER_KEY" in warned[0]

    private(tmp_path / "files/broker", "key=file-key\nsecret=file-secret\npassphrase=file-phrase")
    assert shown(secrets.keys("broker")) == ("file-key", "file-secret", "file-phrase")
    assert len(warned) == 1

    private(tmp_path / "systemd/keys_broker")
    assert shown(secrets.keys("broker")) == (CANARY, "s3cr3t/with=signs+", None)
    assert secrets.keys("broker").source == str(tmp_path / "systemd/keys_broker")
    assert {"env-key", "file-phrase", CANARY} <= set(found)


def test_the_brokers_own_variables_are_accepted_for_its_keys_only(tmp_path: Path) -> None:
    secrets, _, warned = vault(tmp_path, {"APCA_API_KEY_ID": "apca-id", "APCA_API_SECRET_KEY": "apca-secret"})

    assert shown(secrets.keys("paper", venue="alpaca")) == ("apca-id", "apca-secret", None)
    assert "APCA_API_KEY_ID, APCA_API_SECRET_KEY" in warned[0]
    with pytest.raises(
        PermissionRefused, match="TRADEBOT_PAPER_KEY and TRADEBOT_PAPER_SECRET; found in none"
    ):
        secrets.keys("paper", venue="binance")


def test_missing_keys_name_every_place_that_was_looked_at(tmp_path: Path) -> None:
    secrets, _, _ = vault(tmp_path)

    with pytest.raises(PermissionRefused) as raised:
        secrets.keys("alpaca-live")
    assert raised.value.exit_code is ExitCode.PERMISSION
    assert str(raised.value) == (
        f"keys alpaca-live must be in one of {tmp_path}/systemd/alpaca-live, {tmp_path}/files/alpaca-live, "
        "TRADEBOT_ALPACA_LIVE_KEY and TRADEBOT_ALPACA_LIVE_SECRET; found in none"
    )


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660, 0o601])
def test_file_that_others_can_reach_is_refused_unread(tmp_path: Path, mode: int) -> None:
    file = private(tmp_path / "files/broker", mode=mode)
    secrets, found, _ = vault(tmp_path)

    with pytest.raises(
        PermissionRefused, match=f"must be private .mode 0600., has mode {mode:04o}: chmod 600"
    ):
        secrets.keys("broker")
    assert found == []
    file.chmod(0o400)
    assert secrets.keys("broker").key.reveal() == CANARY


def test_folder_that_others_can_write_is_refused(tmp_path: Path) -> None:
    private(tmp_path / "files/broker")
    (tmp_path / "files").chmod(0o777)

    with pytest.raises(PermissionRefused, match="must not be writable by others"):
        vault(tmp_path)[0].keys("broker")


def test_credential_of_systemd_may_carry_the_mask_of_its_acl(tmp_path: Path) -> None:
    file = private(tmp_path / "systemd/keys_broker", mode=0o440)

    assert vault(tmp_path)[0].keys("broker").key.reveal() == CANARY
    file.chmod(0o444)
    with pytest.raises(PermissionRefused, match="has mode 0444"):
        vault(tmp_path)[0].keys("broker")


def test_what_is_no_plain_file_is_refused(tmp_path: Path) -> None:
    folder = tmp_path / "files"
    real = private(tmp_path / "real")
    folder.mkdir(mode=0o700)
    (folder / "link").symlink_to(real)
    (folder / "folder").mkdir(mode=0o700)
    os.mkfifo(folder / "pipe", 0o600)

    for name, why in (("link", "is a symbolic link"), ("folder", "regular file"), ("pipe", "regular file")):
        with pytest.raises(PermissionRefused, match=why):
            vault(tmp_path)[0].keys(name)
    assert read_private(folder / "absent") is None
    assert read_private(real / "below-a-file") is None


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a file away")
def test_file_of_another_user_is_refused(tmp_path: Path) -> None:
    os.chown(private(tmp_path / "files/broker"), 12345, -1)

    with pytest.raises(PermissionRefused, match="or root, belongs to 12345"):
        vault(tmp_path)[0].keys("broker")


@pytest.mark.parametrize(
    ("text", "why"),
    [
        (f"{CANARY}\n", ":1: must be one of key=..., secret=..., passphrase=..., each once"),
        (f"key={CANARY}\nkey={CANARY}\n", ":2: must be one of"),
        (f"key={CANARY}\n", "must have a line secret=..., has none"),
        (f"key={CANARY}\nsecret=abc\n", "must have at least 4 characters, had 3"),
        ("x" * 20_000, "must have at most 16384 bytes"),
    ],
)
def test_file_that_is_written_wrongly_says_where_and_never_what(tmp_path: Path, text: str, why: str) -> None:
    private(tmp_path / "files/broker", text)

    with pytest.raises(PermissionRefused) as raised:
        vault(tmp_path)[0].keys("broker")
    assert why in str(raised.value)
    assert CANARY not in str(raised.value)


def test_file_that_is_no_text_is_refused(tmp_path: Path) -> None:
    private(tmp_path / "files/broker").write_bytes(b"\xff\xfe")

    with pytest.raises(PermissionRefused, match="must be text in UTF-8"):
        vault(tmp_path)[0].keys("broker")


@pytest.mark.parametrize("name", ["", "../etc/passwd", "a/b", ".hidden", "1st"])
def test_name_that_could_lead_elsewhere_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(PermissionRefused, match="must be named by letters"):
        vault(tmp_path)[0].keys(name)


def test_variables_of_the_configuration_are_found_in_credentials_first(tmp_path: Path) -> None:
    env = {"NOTIFY_URL": "json://from-env", "HOME": "/root", "BASH_FUNC_x%%": "() {}"}
    secrets, found, warned = vault(tmp_path, env)
    variables = Variables(secrets, env)

    assert variables["NOTIFY_URL"] == "json://from-env"
    assert variables["BASH_FUNC_x%%"] == "() {}"
    private(tmp_path / "systemd/keys_NOTIFY_URL", "json://from-systemd\n")
    assert variables["NOTIFY_URL"] == "json://from-systemd"
    assert "NOPE" not in variables
    assert found == ["json://from-systemd"]
    assert warned == []
    assert dict(variables)["HOME"] == "/root"
