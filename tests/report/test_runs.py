"""Runs on disk: stored whole, read back exactly, never overwritten, damage contained."""

from __future__ import annotations

import json
import os
import shutil
from concurrent.futures import ThreadPoolExecutor
from dataclasses import fields, replace
from pathlib import Path

import numpy as np
import pytest

from tests.report.runs_for_tests import START, make_quotes_run, make_result, make_year
from tradebot.core.model import DAY
from tradebot.errors import DataError, StoreError
from tradebot.report.metrics import measure
from tradebot.report.result import Candles, RunResult, StrategyRef
from tradebot.report.runs import CANDLES, CURVES, FILLS, RESULT, TRADES, RunStore


@pytest.fixture
def store(tmp_path: Path) -> RunStore:
    return RunStore(tmp_path / "runs")


def small(run_id: str = "2024-06-01T0910-trend", **more: object) -> RunResult:
    return make_result([100.0, 101.0, 99.0], run_id=run_id, **more)


def same(one: object, other: object) -> bool:
    if isinstance(one, np.ndarray) and isinstance(other, np.ndarray):
        return one.dtype == other.dtype and np.array_equal(one, other)
    if isinstance(one, Candles) and isinstance(other, Candles):
        return all(same(getattr(one, f.name), getattr(other, f.name)) for f in fields(Candles))
    if isinstance(one, tuple) and isinstance(other, tuple):
        return len(one) == len(other) and all(same(a, b) for a, b in zip(one, other, strict=True))
    return one == other


@pytest.mark.parametrize("make", [lambda: make_year(bars=50_000), make_quotes_run, small])
def test_a_run_comes_back_as_it_was(store: RunStore, make: object) -> None:
    result = make()  # type: ignore[operator]
    store.save(result, report=False)
    found = store.load(result.run_id)
    for f in fields(RunResult):
        assert same(getattr(found, f.name), getattr(result, f.name)), f.name
    assert measure(found) == measure(result)


def test_a_folder_holds_the_configuration_and_the_report(store: RunStore) -> None:
    folder = store.save(small(), config="version: 1\n")
    assert sorted(p.name for p in folder.iterdir()) == sorted(
        [RESULT, CURVES, CANDLES, FILLS, TRADES, "config.yaml", "report.html"]
    )
    assert (folder / "config.yaml").read_text() == "version: 1\n"
    assert json.loads((folder / RESULT).read_text())["schema_version"] == 1


def test_a_claimed_id_names_the_minute_and_the_run_and_is_given_once(store: RunStore) -> None:
    when = START + 9 * 3_600_000_000_000 + 10 * 60_000_000_000
    assert store.claim("sma_cross", when) == "2024-01-01T0910-sma_cross"
    assert store.claim("sma_cross", when) == "2024-01-01T0910-sma_cross-2"
    assert store.claim("../../etc/passwd ü", when) == "2024-01-01T0910-etc_passwd"
    assert store.claim("...", when) == "2024-01-01T0910-run"
    assert store.list() == ()


def test_a_claim_is_not_given_again_after_it_was_saved(store: RunStore) -> None:
    run_id = store.claim("x", START)
    store.save(small(run_id), report=False)
    assert store.claim("x", START) == f"{run_id}-2"
    assert [p.name for p in store.root.iterdir() if p.name.endswith(".part")] == []


def test_a_claim_is_not_given_again_while_its_run_is_being_written(store: RunStore) -> None:
    run_id = store.claim("x", START)
    given: list[str] = []
    with ThreadPoolExecutor(max_workers=1) as beside:
        saving = beside.submit(store.save, make_result([1.0, 2.0], run_id=run_id))
        while not saving.done():
            given.append(store.claim("x", START))
            (store.root / f".{given[-1]}.claim").rmdir()
    assert saving.result() == store.root / run_id
    assert run_id not in given
    assert [path.name for path in store.root.iterdir()] == [run_id]


def test_a_stored_run_is_never_overwritten(store: RunStore) -> None:
    store.save(small(), report=False)
    with pytest.raises(StoreError, match="is already stored; a run is never overwritten"):
        store.save(small(label="other"), report=False)
    assert store.load("2024-06-01T0910-trend").label == "trend"


@pytest.mark.parametrize("run_id", ["../x", "", ".hidden", "a/b", "a" * 121])
def test_an_id_that_is_no_plain_name_is_refused(store: RunStore, run_id: str) -> None:
    with pytest.raises(StoreError, match="a run id is letters, digits and"):
        store.save(small(run_id))


def test_an_unknown_run_is_refused_with_the_latest_ones(store: RunStore) -> None:
    store.save(small(), report=False)
    with pytest.raises(StoreError, match="has no run nope; the latest are: 2024-06-01T0910-trend"):
        store.load("nope")


def test_the_list_shows_what_a_table_needs(store: RunStore) -> None:
    store.save(small("b", created_ts=7, trials=3), report=False)
    store.save(small("a"))
    first, second = store.list()
    assert (first.run_id, first.has_report, second.run_id, second.has_report) == ("a", True, "b", False)
    assert (second.label, second.mode, second.created_ts, second.trials) == ("trend", "backtest", 7, 3)
    assert second.total_return == pytest.approx(-0.01)
    assert second.max_drawdown == pytest.approx(99 / 101 - 1)
    assert second.closed_trades == 0


def damage_json(folder: Path) -> None:
    (folder / RESULT).write_text("{")


def damage_version(folder: Path) -> None:
    (folder / RESULT).write_text('{"store_version": 9}')


def damage_shape(folder: Path) -> None:
    head = json.loads((folder / RESULT).read_text())
    (folder / RESULT).write_text(json.dumps({**head, "run": []}))


def damage_field(folder: Path) -> None:
    head = json.loads((folder / RESULT).read_text())
    head["run"]["created_ts"] = "yesterday"
    (folder / RESULT).write_text(json.dumps(head))


def damage_size(folder: Path) -> None:
    with (folder / FILLS).open("a") as file:
        file.write("x")


def damage_missing(folder: Path) -> None:
    (folder / CURVES).unlink()


def damage_empty(folder: Path) -> None:
    shutil.rmtree(folder)
    folder.mkdir()


@pytest.mark.parametrize(
    ("damage", "reason"),
    [
        (damage_json, "result.json: cannot be read"),
        (damage_version, "this tradebot reads runs of version 1, was 9"),
        (damage_shape, "run must be an object, was list"),
        (damage_field, "created_ts: cannot be 'yesterday'"),
        (damage_size, "fills.csv: must have"),
        (damage_missing, "curves.parquet is missing"),
        (damage_empty, "result.json: cannot be read"),
    ],
)
def test_a_damaged_run_is_listed_as_damaged_and_hides_no_other(
    store: RunStore, damage: object, reason: str
) -> None:
    broken = store.save(small("a"), report=False)
    store.save(small("b"), report=False)
    damage(broken)  # type: ignore[operator]
    first, second = store.list()
    assert first.run_id == "a" and first.damaged is not None and reason in first.damaged
    assert second.run_id == "b" and second.damaged is None
    with pytest.raises(DataError, match=reason.split(":")[0]):
        store.load("a")
    assert store.trials("trend") == 1


def test_a_changed_byte_is_found_when_loading(store: RunStore) -> None:
    folder = store.save(small(), report=False)
    raw = bytearray((folder / CURVES).read_bytes())
    raw[len(raw) // 2] ^= 1
    (folder / CURVES).write_bytes(raw)
    with pytest.raises(DataError, match=r"curves.parquet: its content is not what was stored"):
        store.load("2024-06-01T0910-trend")


def test_a_report_can_be_made_again(store: RunStore) -> None:
    store.save(make_year(bars=5_000), report=False)
    path = store.write_report("2024-06-01T0910-trend")
    assert path.name == "report.html"
    assert 'data-run="2024-06-01T0910-trend"' in path.read_text(encoding="utf-8")
    assert store.list()[0].has_report


def test_what_is_not_a_run_is_left_alone(store: RunStore) -> None:
    assert store.list() == ()
    store.save(small(), report=False)
    (store.root / "notes.txt").write_text("mine")
    (store.root / ".left.123.part").mkdir()
    assert [e.run_id for e in store.list()] == ["2024-06-01T0910-trend"]


def test_attempts_are_counted_by_what_differs(store: RunStore) -> None:
    mine = (StrategyRef(id="trend", class_path="ma.py:Cross"),)
    store.save(small("a", strategies=mine, config_digest="1", data_digest="d"), report=False)
    store.save(small("b", strategies=mine, config_digest="1", data_digest="d"), report=False)  # a repeat
    store.save(small("c", strategies=mine, config_digest="2", data_digest="d", trials=40), report=False)
    store.save(small("d", strategies=mine), report=False)  # no digests: counts for itself
    store.save(small("e", strategies=(StrategyRef(id="other", class_path="x.py:Other"),)), report=False)
    assert [store.trials(name) for name in ("trend", "Cross", "ma.py:Cross", "other", "none")] == [
        42,
        42,
        42,
        1,
        0,
    ]


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_folder_that_refuses_is_a_store_error(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    with pytest.raises(StoreError, match="cannot be made"):
        RunStore(tmp_path / "runs").claim("x", START)


def test_a_root_that_is_a_file_is_a_store_error_and_leaves_nothing(tmp_path: Path) -> None:
    (tmp_path / "runs").write_text("")
    with pytest.raises(StoreError, match="the folder for runs cannot be made"):
        RunStore(tmp_path / "runs").save(small())


def test_money_in_the_files_is_exact_text(store: RunStore) -> None:
    result = make_year(bars=20_000)
    folder = store.save(result, report=False)
    header, first = (folder / FILLS).read_text().splitlines()[:2]
    assert header.startswith("fill_id,order_id,strategy,instrument,side,qty,price,ts,fee")
    assert f",{result.fills[0].price},{result.fills[0].ts},{result.fills[0].fee}," in first


def test_texts_with_commas_and_line_breaks_survive(store: RunStore) -> None:
    reason = 'a, "b"\nc'
    base = make_year(bars=5_000)
    fills = tuple(replace(f, reason=reason) for f in base.fills)
    assert fills
    store.save(replace(base, fills=fills), report=False)
    assert store.load(base.run_id).fills == fills


def test_spans_of_a_stored_run_stay_integers(store: RunStore) -> None:
    store.save(small(interval=DAY), report=False)
    assert isinstance(store.load("2024-06-01T0910-trend").interval, int)
