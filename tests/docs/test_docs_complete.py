"""The documentation leaves nothing out, leads nowhere that does not exist, and shows what is so.

TRADEBOT_UPDATE_DOCS=1 writes the table of the README anew.
"""

import os
import re
from pathlib import Path
from typing import Any

import pytest

from tradebot.cli.border import run
from tradebot.config.loader import parse
from tradebot.config.schema import json_schema

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
PAGES = [ROOT / "README.md", ROOT / "CHANGELOG.md", *sorted(DOCS.rglob("*.md"))]
CONFIGURATION = (DOCS / "configuration.md").read_text(encoding="utf-8")


def keys_of(schema: Any) -> set[str]:
    """Return every key that a JSON schema names anywhere."""
    found: set[str] = set()
    if isinstance(schema, dict):
        found |= set(schema.get("properties", {}))
        for inner in schema.values():
            found |= keys_of(inner)
    elif isinstance(schema, list):
        for inner in schema:
            found |= keys_of(inner)
    return found


def kinds_of(schema: Any) -> set[str]:
    """Return every word that a `kind:` may be."""
    if isinstance(schema, list):
        return set().union(*map(kinds_of, schema))
    if not isinstance(schema, dict):
        return set()
    own = schema.get("properties", {}).get("kind", {})
    return {own["const"]} if "const" in own else set().union(*map(kinds_of, schema.values()), set())


def test_configuration_page_names_every_key_and_kind() -> None:
    schema = json_schema()
    keys, kinds = keys_of(schema), kinds_of(schema)
    assert len(keys) > 80
    assert {"twap", "fixed_risk", "per_share", "half_spread"} <= kinds

    # `order` and `{kind: twap, slices: 4}` both count: what matters is that it stands in code.
    code = set(re.findall(r"[a-z0-9_]+", " ".join(re.findall(r"`([^`\n]+)`", CONFIGURATION))))
    assert sorted((keys | kinds) - code - {"kind"}) == []


@pytest.mark.parametrize("text", re.findall(r"```yaml\n(version: 1.*?)```", CONFIGURATION, flags=re.DOTALL))
def test_configurations_on_the_page_are_valid(text: str) -> None:
    assert parse(text.encode(), "page.yaml", env={}).config.strategies


def heading_ids(page: Path) -> set[str]:
    heads = re.findall(r"(?m)^#+ (.+)$", page.read_text(encoding="utf-8"))
    return {re.sub(r"[^\w\- ]", "", head.lower()).strip().replace(" ", "-") for head in heads}


@pytest.mark.parametrize("page", PAGES, ids=lambda p: str(p.relative_to(ROOT)))
def test_links_of_a_page_lead_somewhere(page: Path) -> None:
    text = re.sub(r"```.*?```", "", page.read_text(encoding="utf-8"), flags=re.DOTALL)
    for target in re.findall(r"\]\(([^)\s]+)\)", text):
        if target.startswith(("http:", "https:")):
            continue
        name, _, place = target.partition("#")
        there = page.parent / name if name else page
        assert there.exists(), f"{page.name}: {target}"
        assert not place or place in heading_ids(there), f"{page.name}: {target}"


def test_every_page_is_in_the_index() -> None:
    index = (DOCS / "README.md").read_text(encoding="utf-8")
    pages = {page.name for page in DOCS.glob("*.md")} - {"README.md"}
    assert sorted(name for name in pages if f"({name})" not in index) == []


def test_first_screen_of_the_readme_says_how_to_begin() -> None:
    first = (ROOT / "README.md").read_text(encoding="utf-8").splitlines()[:60]
    assert any(line.startswith("make run ") for line in first)
    assert any(line.startswith("make test ") for line in first)
    assert any("docs/images/report.png" in line for line in first)


def test_picture_of_the_report_is_small() -> None:
    picture = (DOCS / "images" / "report.png").read_bytes()
    assert picture.startswith(b"\x89PNG")
    assert len(picture) < 300_000


def test_table_in_the_readme_is_what_a_newcomer_sees(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    page = ROOT / "README.md"
    readme = page.read_text(encoding="utf-8")
    (shown,) = re.findall(r"```\n(  BACKTEST  trend .*?)```", readme, flags=re.DOTALL)
    monkeypatch.chdir(tmp_path)
    assert run(["init", "--defaults"]) == 0
    capfd.readouterr()
    assert run(["backtest", "trend"]) == 0
    printed = capfd.readouterr().out
    if os.environ.get("TRADEBOT_UPDATE_DOCS") == "1":
        page.write_text(readme.replace(shown, printed), encoding="utf-8")
        shown = printed

    # The name of the run holds the time.
    assert re.sub(r"20[\dT:-]+-trend", "RUN", shown) == re.sub(r"20[\dT:-]+-trend", "RUN", printed)
