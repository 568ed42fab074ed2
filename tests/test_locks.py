"""The lock files agree with each other and with pyproject.toml, pin by hash and name no address."""

import re
import tomllib
from importlib.metadata import requires
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[1]
LOCKS = ("requirements.lock", "requirements-dev.lock", "requirements-build.lock", "requirements-specs.lock")


def pins(name: str) -> dict[str, set[str]]:
    """Return the pinned requirement lines of a lock file, by package; markers may give several."""
    found: dict[str, set[str]] = {}
    for line in (ROOT / name).read_text("utf-8").splitlines():
        if re.match(r"[A-Za-z0-9]", line):
            requirement = Requirement(line.removesuffix("\\"))
            found.setdefault(canonicalize_name(requirement.name), set()).add(str(requirement))
    return found


def declared(group: str | None) -> list[Requirement]:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
    lines = project["project"]["dependencies"] if group is None else project["dependency-groups"][group]
    return [Requirement(line) for line in lines if isinstance(line, str)]


@pytest.mark.parametrize("name", LOCKS)
def test_every_locked_package_is_pinned_exactly_and_by_hash(name: str) -> None:
    entries = re.split(r"\n(?=[A-Za-z0-9])", (ROOT / name).read_text("utf-8"))[1:]

    assert entries
    for entry in entries:
        assert re.match(r"[a-z0-9._-]+==[^ ]+( ; .+)? \\\n +--hash=sha256:[0-9a-f]{64}", entry), entry[:200]


@pytest.mark.parametrize("name", LOCKS)
def test_lock_names_no_address_and_no_place(name: str) -> None:
    text = (ROOT / name).read_text("utf-8")

    assert not re.findall(r"https?:|file:|--(?:extra-)?index|--find-links| @ |--trusted-host", text)


@pytest.mark.parametrize("name", LOCKS)
def test_only_ta_may_be_built_from_source(name: str) -> None:
    options = [line for line in (ROOT / name).read_text("utf-8").splitlines() if line.startswith("--")]

    # pip lets `--only-binary :all:` undo what came before it, so the order carries meaning.
    assert options == ["--only-binary :all:", "--no-binary ta"]


@pytest.mark.parametrize("name", ["requirements.lock", "requirements-build.lock"])
def test_smaller_locks_pin_the_same_versions_as_the_whole(name: str) -> None:
    whole = pins("requirements-dev.lock")

    differing = {p for p, lines in pins(name).items() if _versions(lines) != _versions(whole.get(p, set()))}

    assert not differing, f"run `make lock`: {sorted(differing)} differ between {name} and the whole"


@pytest.mark.parametrize(
    ("group", "name"),
    [
        (None, "requirements.lock"),
        ("dev", "requirements-dev.lock"),
        ("build", "requirements-build.lock"),
        ("specs", "requirements-specs.lock"),
    ],
)
def test_everything_declared_is_locked_within_its_bounds(group: str | None, name: str) -> None:
    locked = pins(name)

    for wanted in declared(group):
        lines = locked.get(canonicalize_name(wanted.name), set())
        assert lines, f"run `make lock`: {wanted.name} is declared but not in {name}"
        for version in _versions(lines):
            assert wanted.specifier.contains(version), f"{wanted} but {name} has {version}"


def test_no_bound_of_ours_touches_what_ccxt_pins() -> None:
    pinned_by_ccxt = {
        canonicalize_name(r.name)
        for r in _requirements_of("ccxt")
        if any(s.operator == "==" for s in r.specifier)
    }

    ours = {canonicalize_name(r.name) for r in declared(None) if r.specifier}

    assert len(pinned_by_ccxt) > 5
    assert not ours & pinned_by_ccxt


def _versions(lines: set[str]) -> set[str]:
    return {s.version for line in lines for s in Requirement(line).specifier}


def _requirements_of(distribution: str) -> list[Requirement]:
    found = [Requirement(line) for line in requires(distribution) or []]
    return [r for r in found if r.marker is None or "extra" not in str(r.marker)]
