"""The page that says how fills are decided says what the tests prove."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from tradebot.sim import settings

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "fills.md").read_text()
GOLDEN = json.loads((ROOT / "tests" / "golden" / "fills.json").read_text())


def test_table_states_our_default_for_every_case() -> None:
    rows = [line.split("|") for line in PAGE.splitlines() if line.count("|") == 12]
    table = {cells[1].strip(): cells[2].strip() for cells in rows if ":" in cells[2] or "none" in cells[2]}
    assert table == {case["id"]: stated(case["recommended"]["fills"], case["id"]) for case in GOLDEN["cases"]}


def test_page_names_every_value_of_every_setting() -> None:
    for choice in (
        settings.MarketAt,
        settings.LimitImprove,
        settings.StopGap,
        settings.IntrabarPath,
        settings.SameBar,
        settings.TrailLift,
        settings.TrailReference,
        settings.StopThrough,
        settings.QuoteFill,
    ):
        for value in choice:
            assert f"`{value.value}`" in PAGE, value


def stated(fills: list[dict[str, Any]], case: str) -> str:
    """Write fills as the page does: quantities only where they differ."""
    fills = [f for f in fills if f["order"] != "end" or case == "position-at-the-end-forced"]
    if not fills:
        return "none"
    if case == "duplicate-orders-same-close":
        fills = fills[:1]  # both orders fill alike
    same = len({abs(f["qty"]) for f in fills}) == 1
    return " ".join(f"{f['bar']}:{f['price']:g}" + ("" if same else f"x{abs(f['qty']):g}") for f in fills)
